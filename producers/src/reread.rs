//! Reads what is on a topic, from its beginning to its end as of now, outside of any group.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use service::kafka::{Cluster, ranges};

/// How long one poll waits.
const POLL_PATIENCE: Duration = Duration::from_millis(200);
/// How long Kafka may be silent before the command gives up.
const SILENCE: Duration = Duration::from_secs(60);

/// Settings of the consumer: what a consumer of tapedeck would see, all of it, in bounded memory.
const SETTINGS: &[(&str, &str)] = &[
    // librdkafka wants a group's name; nothing joins it.
    ("group.id", "tapedeck-reread"),
    ("enable.auto.commit", "false"),
    ("auto.offset.reset", "error"),
    ("isolation.level", "read_committed"),
    ("enable.partition.eof", "true"),
    ("queued.max.messages.kbytes", "8192"),
    ("fetch.queue.backoff.ms", "10"),
];

/// A message as it is on a topic.
pub(crate) struct Published<'a> {
    /// Key; None when it has none.
    pub(crate) key: Option<&'a [u8]>,
    /// Value; None for a deletion.
    pub(crate) value: Option<&'a [u8]>,
    message: &'a BorrowedMessage<'a>,
}

impl<'a> Published<'a> {
    /// Value of the first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.message.headers()?.iter().find(|header| header.key == name)?.value
    }
}

/// A topic up to where it ends when this is made.
pub(crate) struct Topic {
    name: String,
    brokers: String,
    consumer: BaseConsumer<DefaultConsumerContext>,
    /// By partition, first offset and the one after the last.
    ranges: BTreeMap<i32, (i64, i64)>,
}

/// Where the partitions of these topics end; one that is not there has none.
pub(crate) fn ends(cluster: &Cluster, topics: &[String]) -> anyhow::Result<BTreeMap<(String, i32), i64>> {
    let consumer = consumer(cluster)?;
    let unreachable = || format!("cannot reach Kafka at `{}`", cluster.brokers());
    let mut ends = BTreeMap::new();
    for name in topics {
        let ranges = ranges(&consumer, name).with_context(unreachable)?;
        ends.extend(ranges.into_iter().map(|(partition, (_, high))| ((name.clone(), partition), high)));
    }
    Ok(ends)
}

fn consumer(cluster: &Cluster) -> anyhow::Result<BaseConsumer<DefaultConsumerContext>> {
    let mut config = cluster.client_config("reread");
    for (name, value) in SETTINGS {
        config.set(*name, *value);
    }
    Ok(config.create()?)
}

impl Topic {
    /// Looks where the partitions begin and end.
    pub(crate) fn open(cluster: &Cluster, name: &str) -> anyhow::Result<Topic> {
        let consumer = consumer(cluster)?;
        let unreachable = || format!("cannot reach Kafka at `{}`", cluster.brokers());
        let ranges = ranges(&consumer, name).with_context(unreachable)?;
        if ranges.is_empty() {
            bail!("there is no topic `{name}` on Kafka at `{}`", cluster.brokers());
        }
        Ok(Topic { name: name.to_owned(), brokers: cluster.brokers().to_owned(), consumer, ranges })
    }

    /// From these offsets on, where they are behind its beginning.
    pub(crate) fn after(mut self, offsets: &BTreeMap<i32, i64>) -> Topic {
        for (partition, (low, high)) in &mut self.ranges {
            *low = offsets.get(partition).map_or(*low, |offset| (*offset).clamp(*low, *high));
        }
        self
    }

    /// Gives every message once, each partition's in order.
    pub(crate) fn each(&self, mut each: impl FnMut(&Published<'_>) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut left: BTreeMap<i32, i64> = BTreeMap::new();
        let mut list = TopicPartitionList::new();
        for (partition, (low, high)) in self.ranges.iter().filter(|(_, (low, high))| low < high) {
            list.add_partition_offset(&self.name, *partition, Offset::Offset(*low))?;
            left.insert(*partition, *high);
        }
        self.consumer.assign(&list)?;
        let mut heard = Instant::now();
        while !left.is_empty() {
            let message = match self.consumer.poll(POLL_PATIENCE) {
                None if heard.elapsed() < SILENCE => continue,
                None => bail!("cannot read topic `{}`: Kafka at `{}` is silent", self.name, self.brokers),
                Some(Ok(message)) => message,
                // What ends here ended before too, or it holds no record up to there.
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    left.remove(&partition);
                    continue;
                }
                Some(Err(error)) => match error.rdkafka_error_code() {
                    Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown) => continue,
                    _ => bail!("cannot read topic `{}`: {error}", self.name),
                },
            };
            heard = Instant::now();
            let Some(high) = left.get(&message.partition()).copied() else { continue };
            if message.offset() < high {
                each(&Published { key: message.key(), value: message.payload(), message: &message })?;
            }
            if message.offset() + 1 >= high {
                left.remove(&message.partition());
            }
        }
        self.consumer.unassign()?;
        Ok(())
    }
}
