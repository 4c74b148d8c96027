//! Finds the batch that a consumer cannot read: rdkafka's errors name no partition.
#![expect(unsafe_code, reason = "rdkafka drops the partition and the offset of an error")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::bindings::{rd_kafka_consumer_poll, rd_kafka_message_destroy, rd_kafka_resp_err_t as Code};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::cluster::{AtEnd, Cluster, REQUEST_TIMEOUT};
use crate::error::{KafkaError, halt, retry};
use crate::quiet::Quiet;

/// How long one poll waits.
const POLL_PATIENCE: Duration = Duration::from_millis(100);

/// Whether an error is about the bytes of a batch: compression, checksum, or a codec or format that is unknown.
pub(crate) fn is_of_bytes(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{BadCompression, BadMessage, NotImplemented};
    matches!(code, BadCompression | BadMessage | NotImplemented)
}

/// A batch that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) partition: i32,
    /// Offset of its first record.
    pub(crate) first: i64,
    /// The offset after its last record.
    pub(crate) end: i64,
    /// librdkafka's own words.
    pub(crate) error: String,
    /// Whether librdkafka no longer knows where it is after this error.
    pub(crate) is_lost: bool,
}

/// After a wrong checksum librdkafka skips the wrong number of bytes, and takes what follows for the next batch.
fn is_lost_after(code: RDKafkaErrorCode) -> bool {
    code != RDKafkaErrorCode::BadCompression
}

/// Finds the first batch that cannot be read at the next offset of any of these partitions. Blocks.
///
/// # Errors
///
/// [`KafkaError::Retry`] when every partition can be read by now, or Kafka does not answer in time.
pub(crate) fn find(cluster: &Cluster, topic: &str, next: &BTreeMap<i32, i64>) -> Result<Batch, KafkaError> {
    let mut probe = Probe::new(cluster, topic)?;
    let Some(Failure { partition, offset: first, text, code }) = probe.look(next)? else {
        return Err(KafkaError::Retry(format!("a batch of topic `{topic}` could not be read")));
    };
    let range = probe.consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT);
    let (_, high) = range.map_err(|error| retry(&format!("cannot read offsets of {topic}[{partition}]"), &error))?;
    // Kafka returns the whole batch for every offset in it.
    let mut inside = first.max(next.get(&partition).copied().unwrap_or(first));
    let (mut end, mut step) = (high.max(inside + 1), 1);
    let is_lost = is_lost_after(code);
    while end - inside > 1 {
        if is_lost {
            probe = Probe::new(cluster, topic)?;
        }
        let at = inside + step.min((end - inside) / 2);
        match probe.look(&BTreeMap::from([(partition, at)]))? {
            Some(failure) if failure.offset == first => (inside, step) = (at, step * 2),
            _ => end = at,
        }
    }
    Ok(Batch { partition, first, end, error: text, is_lost })
}

/// An error about bytes.
struct Failure {
    partition: i32,
    /// First offset of the batch.
    offset: i64,
    text: String,
    code: RDKafkaErrorCode,
}

/// A consumer outside of any group.
struct Probe<'a> {
    consumer: BaseConsumer<Quiet>,
    topic: &'a str,
}

impl<'a> Probe<'a> {
    fn new(cluster: &Cluster, topic: &'a str) -> Result<Probe<'a>, KafkaError> {
        let mut config = cluster.consumer_config("probe", AtEnd::Report)?;
        // The probe does not join this group, but librdkafka requires a name.
        config.set("group.id", "tapedeck-probe");
        let consumer = config.create_with_context(Quiet::default()).map_err(|error| halt(&error))?;
        Ok(Probe { consumer, topic })
    }

    /// The first error about bytes at these offsets; None when there is a message or the end at each of them.
    fn look(&self, offsets: &BTreeMap<i32, i64>) -> Result<Option<Failure>, KafkaError> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            let added = list.add_partition_offset(self.topic, *partition, Offset::Offset(*offset));
            added.map_err(|error| halt(&error))?;
        }
        self.consumer.assign(&list).map_err(|error| halt(&error))?;
        let mut waiting: BTreeSet<i32> = offsets.keys().copied().collect();
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        while !waiting.is_empty() {
            if Instant::now() > deadline {
                let seconds = REQUEST_TIMEOUT.as_secs();
                return Err(KafkaError::Retry(format!(
                    "cannot find the batch of topic `{}` that cannot be read: Kafka did not answer within {seconds} s",
                    self.topic
                )));
            }
            let Some(failure) = self.poll() else { continue };
            match failure.code {
                code if is_of_bytes(code) => return Ok(Some(failure)),
                RDKafkaErrorCode::NoError | RDKafkaErrorCode::PartitionEOF => {
                    waiting.remove(&failure.partition);
                }
                // librdkafka reconnects by itself.
                _ => {}
            }
        }
        Ok(None)
    }

    /// What comes next: a message, an end or an error.
    fn poll(&self) -> Option<Failure> {
        let patience = i32::try_from(POLL_PATIENCE.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the client is valid while it is borrowed, and it is in no group whose callbacks could run here.
        let message = unsafe { rd_kafka_consumer_poll(self.consumer.client().native_ptr(), patience) };
        // SAFETY: librdkafka returns null or a message that is valid until it is destroyed.
        let ours = unsafe { message.as_ref() }?;
        let text = match ours.err {
            Code::RD_KAFKA_RESP_ERR_NO_ERROR => String::new(),
            // SAFETY: the payload of an error is its text, of that length, or null.
            _ if !ours.payload.is_null() => unsafe {
                String::from_utf8_lossy(std::slice::from_raw_parts(ours.payload.cast::<u8>(), ours.len)).into_owned()
            },
            code => RDKafkaErrorCode::from(code).to_string(),
        };
        let found = Failure { partition: ours.partition, offset: ours.offset, text, code: ours.err.into() };
        // SAFETY: the message is ours, and nothing refers to it any more.
        unsafe { rd_kafka_message_destroy(message) };
        Some(found)
    }
}
