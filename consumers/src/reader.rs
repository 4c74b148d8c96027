//! Reading topics outside of any group: what is at an offset, where a partition ends, which offset a time has.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use service::kafka::{Cluster, REQUEST_TIMEOUT, ranges};

use crate::chunk::LastRecord;
use crate::consume::client_config;
use crate::original::original_of;
use crate::sink::SinkError;

/// The beginning of 2200 in milliseconds.
const YEAR_2200_MS: i64 = 7_258_118_400_000;

/// The records that are at these offsets now, or at the next ones that hold a record.
pub(crate) fn fingerprints(
    cluster: &Cluster,
    topic: &str,
    offsets: &[(i32, i64)],
) -> Result<HashMap<i32, LastRecord>, SinkError> {
    let mut found = HashMap::new();
    if offsets.is_empty() {
        return Ok(found);
    }
    let reader = Reader::assign(cluster, topic, offsets)?;
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    let mut headers = Vec::new();
    while found.len() < offsets.len() {
        if let Some(message) = reader.poll(Duration::from_millis(100))? {
            let original = original_of(&message, &mut headers);
            let fingerprint = LastRecord { offset: original.offset, hash: original.hash() };
            found.entry(rdkafka::Message::partition(&message)).or_insert(fingerprint);
        }
        if Instant::now() > deadline {
            return Err(SinkError::Retry(format!("cannot read the last records of `{topic}` again: kafka is silent")));
        }
    }
    Ok(found)
}

/// Reads partitions outside of any group, from given offsets on.
#[expect(missing_debug_implementations, reason = "librdkafka's consumer has none")]
pub struct Reader {
    consumer: BaseConsumer<DefaultConsumerContext>,
    topic: String,
    /// Partitions that have been read to their end.
    ended: RefCell<HashSet<i32>>,
}

impl Reader {
    /// Begins at these offsets, (partition, offset).
    pub fn assign(cluster: &Cluster, topic: &str, offsets: &[(i32, i64)]) -> Result<Reader, SinkError> {
        let mut config = client_config(cluster, "reader")?;
        // Without a group, but librdkafka wants a name.
        config.set("group.id", "tapedeck-reader").set("enable.partition.eof", "true");
        let halt = |error: KafkaError| SinkError::Halt(error.to_string());
        let consumer: BaseConsumer<DefaultConsumerContext> = config.create().map_err(halt)?;
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).map_err(halt)?;
        }
        consumer.assign(&list).map_err(halt)?;
        Ok(Reader { consumer, topic: topic.to_owned(), ended: RefCell::default() })
    }

    /// The next message, if one comes within that time.
    pub fn poll(&self, patience: Duration) -> Result<Option<BorrowedMessage<'_>>, SinkError> {
        match self.consumer.poll(patience) {
            None => Ok(None),
            Some(Ok(message)) => {
                self.ended.borrow_mut().remove(&rdkafka::Message::partition(&message));
                Ok(Some(message))
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                self.ended.borrow_mut().insert(partition);
                Ok(None)
            }
            Some(Err(error)) => match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown) => Ok(None),
                _ => Err(SinkError::Retry(format!("cannot read topic `{}`: {error}", self.topic))),
            },
        }
    }

    /// Whether a partition has been read to its end; not every offset before that need hold a record.
    pub fn is_at_end(&self, partition: i32) -> bool {
        self.ended.borrow().contains(&partition)
    }
}

/// The first offset of each partition whose record Kafka got at that time or later; the end where there is none.
///
/// None when the broker does not find times: the embedded one answers a time after its last record with offset 0.
pub fn offsets_at(
    cluster: &Cluster,
    topic: &str,
    ends: &[(i32, i64, i64)],
    millis: i64,
) -> anyhow::Result<Option<Vec<(i32, i64)>>> {
    let consumer: BaseConsumer<DefaultConsumerContext> = cluster.client_config("offsets").create()?;
    // Every record came after the beginning of 1970 and before 2200: a broker that finds times says so.
    let (first, last) = (offsets_of(&consumer, topic, ends, 1)?, offsets_of(&consumer, topic, ends, YEAR_2200_MS)?);
    let answers = first.iter().zip(&last).zip(ends);
    let mut filled = answers.filter(|(_, (_, low, end))| low < end);
    if !filled.all(|((first, last), (_, low, end))| first.1 == *low && last.1 == *end) {
        return Ok(None);
    }
    offsets_of(&consumer, topic, ends, millis).map(Some)
}

fn offsets_of(
    consumer: &BaseConsumer<DefaultConsumerContext>,
    topic: &str,
    ends: &[(i32, i64, i64)],
    millis: i64,
) -> anyhow::Result<Vec<(i32, i64)>> {
    let mut times = TopicPartitionList::new();
    for (partition, _, _) in ends {
        times.add_partition_offset(topic, *partition, Offset::Offset(millis))?;
    }
    let found = consumer.offsets_for_times(times, REQUEST_TIMEOUT)?;
    let offset = |(partition, _, end): &(i32, i64, i64)| {
        let element = found.find_partition(topic, *partition);
        let offset = element.and_then(|element| element.offset().to_raw()).filter(|offset| *offset >= 0);
        (*partition, offset.unwrap_or(*end))
    };
    Ok(ends.iter().map(offset).collect())
}

/// The end of each partition of a topic, as Kafka has it now.
pub fn end_offsets(cluster: &Cluster, topic: &str) -> anyhow::Result<Vec<(i32, i64, i64)>> {
    let consumer: BaseConsumer<DefaultConsumerContext> = cluster.client_config("offsets").create()?;
    Ok(ranges(&consumer, topic)?.into_iter().map(|(partition, (low, end))| (partition, low, end)).collect())
}
