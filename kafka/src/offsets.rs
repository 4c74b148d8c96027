//! Offsets: the beginning and end of partitions, the offset of a time, the reported offsets of a consumer group.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError as ClientError, KafkaResult};
use rdkafka::metadata::Metadata;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::cluster::{Cluster, REQUEST_TIMEOUT};
use crate::error::{KafkaError, halt};
use crate::quiet::{Quiet, failed, metadata};

/// Wait before retrying a request that the brokers cannot answer yet.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Number, first offset and end (the offset after the last one) of each partition of a topic; empty when the topic
/// does not exist.
pub fn ranges<C: ConsumerContext>(consumer: &BaseConsumer<C>, topic: &str) -> KafkaResult<BTreeMap<i32, (i64, i64)>> {
    ranges_in(&consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT)?, consumer, topic)
}

fn ranges_in<C: ConsumerContext>(
    metadata: &Metadata,
    consumer: &BaseConsumer<C>,
    topic: &str,
) -> KafkaResult<BTreeMap<i32, (i64, i64)>> {
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
    partitions.map(|partition| Ok((partition.id(), range(consumer, topic, partition.id())?))).collect()
}

/// First offset and end of one partition. Retries errors right after the topic was created: neither the client nor the
/// brokers know a new partition's leader at once.
pub(crate) fn range<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> KafkaResult<(i64, i64)> {
    use RDKafkaErrorCode::{LeaderNotAvailable, NotLeaderForPartition, UnknownPartition, UnknownTopicOrPartition};
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    loop {
        match consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT) {
            Err(ClientError::MetadataFetch(
                LeaderNotAvailable | NotLeaderForPartition | UnknownPartition | UnknownTopicOrPartition,
            )) if Instant::now() < deadline => {
                std::thread::sleep(RETRY_INTERVAL);
            }
            answer => return answer,
        }
    }
}

/// Number, first offset and end of each partition of a topic, as of now. Blocks.
///
/// # Errors
///
/// [`KafkaError::Retry`] when Kafka cannot be reached.
pub fn end_offsets(cluster: &Cluster, topic: &str) -> Result<Vec<(i32, i64, i64)>, KafkaError> {
    let ranges = topic_ranges(cluster, &consumer(cluster, "offsets")?, topic)?;
    Ok(ranges.into_iter().map(|(partition, (low, end))| (partition, low, end)).collect())
}

/// First offset and end of partitions, by topic and partition.
pub type Ranges = BTreeMap<(String, i32), (i64, i64)>;

/// First offset and end of the partitions of these topics, asked by one client; a topic that does not exist has none.
/// Blocks.
///
/// # Errors
///
/// [`KafkaError::Retry`] when Kafka cannot be reached.
pub fn ranges_of(cluster: &Cluster, topics: &[String]) -> Result<Ranges, KafkaError> {
    let consumer = consumer(cluster, "offsets")?;
    let mut all = BTreeMap::new();
    for topic in topics {
        let ranges = topic_ranges(cluster, &consumer, topic)?;
        all.extend(ranges.into_iter().map(|(partition, range)| ((topic.clone(), partition), range)));
    }
    Ok(all)
}

/// The first offset of each partition whose record Kafka received at that time or later; the end where there is none.
/// `ends` are the partitions as [`end_offsets`] returns them. Blocks.
///
/// # Errors
///
/// [`KafkaError::Retry`] when Kafka cannot be reached.
pub fn offsets_at(
    cluster: &Cluster,
    topic: &str,
    ends: &[(i32, i64, i64)],
    millis: i64,
) -> Result<Vec<(i32, i64)>, KafkaError> {
    let consumer = consumer(cluster, "offsets")?;
    let mut times = TopicPartitionList::new();
    for (partition, _, _) in ends {
        times.add_partition_offset(topic, *partition, Offset::Offset(millis)).map_err(|error| halt(&error))?;
    }
    let found = consumer.offsets_for_times(times, REQUEST_TIMEOUT);
    let found =
        found.map_err(|error| failed(&consumer, &format!("cannot look up a time in topic `{topic}`"), &error))?;
    let offset = |(partition, _, end): &(i32, i64, i64)| {
        let element = found.find_partition(topic, *partition);
        let offset = element.and_then(|element| element.offset().to_raw()).filter(|offset| *offset >= 0);
        (*partition, offset.unwrap_or(*end))
    };
    Ok(ends.iter().map(offset).collect())
}

/// The id that the cluster gave itself when it was made; None when it does not say within ten seconds. Blocks.
///
/// # Errors
///
/// [`KafkaError::Halt`] when a setting is wrong.
pub fn cluster_id(cluster: &Cluster) -> Result<Option<String>, KafkaError> {
    Ok(consumer(cluster, "cluster-id")?.client().fetch_cluster_id(REQUEST_TIMEOUT))
}

/// A client without a group, which only asks.
pub(crate) fn consumer(cluster: &Cluster, role: &str) -> Result<BaseConsumer<Quiet>, KafkaError> {
    cluster.client_config(role).create_with_context(Quiet::default()).map_err(|error| halt(&error))
}

fn topic_ranges(
    cluster: &Cluster,
    consumer: &BaseConsumer<Quiet>,
    topic: &str,
) -> Result<BTreeMap<i32, (i64, i64)>, KafkaError> {
    let unreadable = || format!("cannot read the offsets of topic `{topic}` from Kafka at `{}`", cluster.brokers());
    let metadata = metadata(consumer, Some(topic), &unreadable())?;
    ranges_in(&metadata, consumer, topic).map_err(|error| failed(consumer, &unreadable(), &error))
}
