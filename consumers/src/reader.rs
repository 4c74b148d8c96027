//! Reading topics outside of any group: what is at an offset, where a partition ends, which offset a time has.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use service::kafka::{Cluster, REQUEST_TIMEOUT};

use crate::chunk::Fingerprint;
use crate::consume::SETTINGS;
use crate::original::Original;
use crate::sink::SinkError;

/// The records that are at these offsets now, or at the next ones that hold a record.
pub(crate) fn fingerprints(
    cluster: &Cluster,
    topic: &str,
    offsets: &[(i32, i64)],
) -> Result<HashMap<i32, Fingerprint>, SinkError> {
    let mut found = HashMap::new();
    if offsets.is_empty() {
        return Ok(found);
    }
    let reader = Reader::assign(cluster, topic, offsets)?;
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    let mut headers = Vec::new();
    while found.len() < offsets.len() {
        if let Some(message) = reader.poll(Duration::from_millis(100))? {
            let original = Original::of(&message, &mut headers);
            let fingerprint = Fingerprint { offset: original.offset, hash: original.hash() };
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
}

impl Reader {
    /// Begins at these offsets, (partition, offset).
    pub fn assign(cluster: &Cluster, topic: &str, offsets: &[(i32, i64)]) -> Result<Reader, SinkError> {
        let mut config = cluster.client_config("reader");
        for (name, value) in SETTINGS {
            config.set(*name, *value);
        }
        // Without a group, but librdkafka wants a name.
        config.set("group.id", "tapedeck-reader");
        let halt = |error: KafkaError| SinkError::Halt(error.to_string());
        let consumer: BaseConsumer<DefaultConsumerContext> = config.create().map_err(halt)?;
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).map_err(halt)?;
        }
        consumer.assign(&list).map_err(halt)?;
        Ok(Reader { consumer, topic: topic.to_owned() })
    }

    /// The next message, if one comes within that time.
    pub fn poll(&self, patience: Duration) -> Result<Option<BorrowedMessage<'_>>, SinkError> {
        match self.consumer.poll(patience) {
            None => Ok(None),
            Some(Ok(message)) => Ok(Some(message)),
            Some(Err(error)) => match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown) => Ok(None),
                _ => Err(SinkError::Retry(format!("cannot read topic `{}`: {error}", self.topic))),
            },
        }
    }
}

/// The end of each partition of a topic, as Kafka has it now.
pub fn end_offsets(cluster: &Cluster, topic: &str) -> anyhow::Result<Vec<(i32, i64, i64)>> {
    let consumer: BaseConsumer<DefaultConsumerContext> = cluster.client_config("offsets").create()?;
    let metadata = consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT)?;
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
    partitions
        .map(|partition| {
            let (low, high) = consumer.fetch_watermarks(topic, partition.id(), REQUEST_TIMEOUT)?;
            Ok((partition.id(), low, high))
        })
        .collect()
}
