//! Reading topics outside of any group: from given offsets, a whole range, or the records at known offsets.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use contract::LastRecord;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::cluster::{AtEnd, Cluster, REQUEST_TIMEOUT};
use crate::detour::Detours;
use crate::error::{KafkaError, halt, retry};
use crate::message::Message;
use crate::offsets::end_offsets;
use crate::probe::is_of_bytes;
use crate::quiet::Quiet;

/// How long one poll of [`Topic::each`] waits.
const POLL_PATIENCE: Duration = Duration::from_millis(200);
/// How long Kafka may send nothing before [`Topic::each`] gives up.
const MAX_SILENCE: Duration = Duration::from_secs(60);

/// Reads partitions outside of any group, from given offsets on.
///
/// Returns every committed message of each partition in the order of their offsets; it skips aborted transactions. It
/// continues by itself after an outage of Kafka. It reports nothing to Kafka, so that it disturbs no other consumer.
/// Belongs to one thread at a time, because it blocks.
#[expect(missing_debug_implementations, reason = "librdkafka's consumer has none")]
pub struct Reader {
    consumer: BaseConsumer<Quiet>,
    topic: String,
    /// Partitions that have been read to their end.
    ended: RefCell<HashSet<i32>>,
    detours: Detours,
}

impl Reader {
    /// Starts reading at these offsets, (partition, offset). Does not wait for Kafka.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Halt`] when a setting is wrong.
    pub fn assign(cluster: &Cluster, topic: &str, offsets: &[(i32, i64)]) -> Result<Reader, KafkaError> {
        let mut config = cluster.consumer_config("reader", AtEnd::Report)?;
        // The reader does not join this group, but librdkafka requires a name.
        config.set("group.id", "tapedeck-reader");
        let consumer: BaseConsumer<Quiet> =
            config.create_with_context(Quiet::default()).map_err(|error| halt(&error))?;
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).map_err(|error| halt(&error))?;
        }
        consumer.assign(&list).map_err(|error| halt(&error))?;
        let detours = Detours::new(cluster, topic);
        detours.assigned(offsets.iter().copied());
        Ok(Reader { consumer, topic: topic.to_owned(), ended: RefCell::default(), detours })
    }

    /// The next message, if one comes within that time. None also when Kafka is unavailable or a partition ends.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Retry`] when the topic cannot be read, e.g. because an offset no longer exists.
    pub fn poll(&self, patience: Duration) -> Result<Option<Message<'_>>, KafkaError> {
        if let Some(message) = self.detours.poll(&self.consumer)? {
            return Ok(Some(message));
        }
        match self.consumer.poll(self.detours.patience(patience)) {
            None => Ok(None),
            Some(Ok(message)) => {
                let message = Message::new(message);
                // A topic can grow after its end was reached.
                self.ended.borrow_mut().remove(&message.partition());
                self.detours.at(message.partition(), message.offset() + 1);
                Ok(Some(message))
            }
            Some(Err(ClientError::PartitionEOF(partition))) => {
                self.ended.borrow_mut().insert(partition);
                Ok(None)
            }
            Some(Err(error)) => {
                use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, GroupAuthorizationFailed};
                let what = format!("cannot read topic `{}`", self.topic);
                let refusal = self.consumer.context().refusal.take();
                match (refusal, error.rdkafka_error_code()) {
                    (Some(refusal), _) => Err(KafkaError::Halt(format!("{what}: {refusal}"))),
                    // librdkafka reconnects by itself.
                    (None, Some(BrokerTransportFailure | AllBrokersDown)) => Ok(None),
                    // It looks for the group's coordinator, which a reader does not need.
                    (None, Some(GroupAuthorizationFailed)) => Ok(None),
                    (None, Some(code)) if is_of_bytes(code) => self.detours.begin(&self.consumer).map(|()| None),
                    (None, Some(code)) if self.detours.is_stray(&self.consumer, code)? => Ok(None),
                    (None, _) => Err(retry(&what, &error)),
                }
            }
        }
    }

    /// Stops fetching a partition; after [`Reader::resume`] it continues with the message at that offset.
    pub fn hold_at(&self, partition: i32, offset: i64) -> Result<(), KafkaError> {
        if self.detours.hold(partition, true, Some(offset)) {
            return Ok(());
        }
        self.detours.at(partition, offset);
        // In this order: a pause after the seek would undo it.
        let paused = self.consumer.pause(&self.one(partition));
        let sought = || self.consumer.seek(&self.topic, partition, Offset::Offset(offset), REQUEST_TIMEOUT);
        paused
            .and_then(|()| sought())
            .map_err(|error| retry(&format!("cannot go back in {}[{partition}]", self.topic), &error))
    }

    /// Resumes fetching a partition.
    pub fn resume(&self, partition: i32) -> Result<(), KafkaError> {
        if self.detours.hold(partition, false, None) {
            return Ok(());
        }
        let resumed = self.consumer.resume(&self.one(partition));
        resumed.map_err(|error| retry(&format!("cannot resume {}[{partition}]", self.topic), &error))
    }

    fn one(&self, partition: i32) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, partition);
        list
    }

    /// Whether a partition has been read to its end. The last offsets before the end may hold no records: transaction
    /// markers have offsets, too.
    pub fn is_at_end(&self, partition: i32) -> bool {
        self.ended.borrow().contains(&partition) && !self.detours.has(partition)
    }
}

/// A range of offsets in each partition of a topic, for one pass.
#[derive(Debug)]
pub struct Topic {
    cluster: Cluster,
    name: String,
    /// By partition, the first offset and the end.
    ranges: BTreeMap<i32, (i64, i64)>,
    max_silence: Duration,
}

impl Topic {
    /// The whole topic up to its present end: records published later are not read. Blocks.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Retry`] when Kafka cannot be reached, [`KafkaError::Halt`] when the topic does not exist.
    pub fn open(cluster: &Cluster, name: &str) -> Result<Topic, KafkaError> {
        let ranges = end_offsets(cluster, name)?.into_iter().map(|(partition, low, end)| (partition, (low, end)));
        let topic = Topic::of(cluster, name, ranges.collect());
        if topic.ranges.is_empty() {
            let reason = format!("there is no topic `{name}` on Kafka at `{}`", cluster.brokers());
            return Err(KafkaError::Halt(reason));
        }
        Ok(topic)
    }

    /// These ranges of a topic: by partition, the first offset and the end.
    pub fn of(cluster: &Cluster, name: &str, ranges: BTreeMap<i32, (i64, i64)>) -> Topic {
        Topic { cluster: cluster.clone(), name: name.to_owned(), ranges, max_silence: MAX_SILENCE }
    }

    /// Reads the named partitions only from these offsets on; other partitions stay as they are.
    pub fn after(mut self, offsets: &BTreeMap<i32, i64>) -> Topic {
        for (partition, (low, end)) in &mut self.ranges {
            *low = offsets.get(partition).map_or(*low, |offset| (*offset).clamp(*low, *end));
        }
        self
    }

    /// How long Kafka may send nothing before reading fails; by default a minute.
    pub fn max_silence(mut self, max_silence: Duration) -> Topic {
        self.max_silence = max_silence;
        self
    }

    /// Calls `each` with every message once, each partition's in the order of their offsets. Blocks.
    ///
    /// # Errors
    ///
    /// What `each` returns; an error of Kafka; or that Kafka sent nothing for too long.
    pub fn each<E: From<KafkaError>>(&self, mut each: impl FnMut(&Message<'_>) -> Result<(), E>) -> Result<(), E> {
        let filled = || self.ranges.iter().filter(|(_, (low, end))| low < end);
        let mut ends: BTreeMap<i32, i64> = filled().map(|(partition, (_, end))| (*partition, *end)).collect();
        let starts: Vec<(i32, i64)> = filled().map(|(partition, (low, _))| (*partition, *low)).collect();
        if starts.is_empty() {
            return Ok(());
        }
        let reader = Reader::assign(&self.cluster, &self.name, &starts)?;
        let mut last_message_at = Instant::now();
        while !ends.is_empty() {
            let Some(message) = reader.poll(POLL_PATIENCE)? else {
                // A partition that ends here has no further record in the range: only transaction markers remain.
                ends.retain(|partition, _| !reader.is_at_end(*partition));
                if !ends.is_empty() && last_message_at.elapsed() > self.max_silence {
                    return Err(self.silent().into());
                }
                continue;
            };
            last_message_at = Instant::now();
            let Some(end) = ends.get(&message.partition()).copied() else { continue };
            if message.offset() < end {
                each(&message)?;
            }
            if message.offset() + 1 >= end {
                ends.remove(&message.partition());
            }
        }
        Ok(())
    }

    fn silent(&self) -> KafkaError {
        let (name, brokers, seconds) = (&self.name, self.cluster.brokers(), self.max_silence.as_secs());
        KafkaError::Retry(format!("cannot read topic `{name}`: Kafka at `{brokers}` sent nothing for {seconds} s"))
    }
}

/// The records at these offsets, (partition, offset), or the next ones after them that hold a record. Blocks.
///
/// # Errors
///
/// [`KafkaError::Retry`] when Kafka does not send them all within [`REQUEST_TIMEOUT`].
pub fn records_at(
    cluster: &Cluster,
    topic: &str,
    offsets: &[(i32, i64)],
) -> Result<HashMap<i32, LastRecord>, KafkaError> {
    let mut found = HashMap::new();
    if offsets.is_empty() {
        return Ok(found);
    }
    let reader = Reader::assign(cluster, topic, offsets)?;
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    let mut headers = Vec::new();
    while found.len() < offsets.len() {
        if let Some(message) = reader.poll(POLL_PATIENCE / 2)? {
            let record = LastRecord::of(&message.original(&mut headers));
            found.entry(message.partition()).or_insert(record);
        }
        if Instant::now() > deadline {
            let (brokers, seconds) = (cluster.brokers(), REQUEST_TIMEOUT.as_secs());
            return Err(KafkaError::Retry(format!(
                "cannot read the last records of topic `{topic}` again: Kafka at `{brokers}` did not send them within \
                 {seconds} s"
            )));
        }
    }
    Ok(found)
}
