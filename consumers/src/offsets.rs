//! What Kafka says a consumer group has got to; for comparison only.

use std::collections::HashMap;

use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use rdkafka::{Offset, TopicPartitionList};
use service::kafka::{Cluster, REQUEST_TIMEOUT};

/// The offsets that a group has reported for these partitions of a topic; those that it never reported are left out.
pub(crate) fn group_offsets(
    cluster: &Cluster,
    group: &str,
    topic: &str,
    partitions: impl IntoIterator<Item = i32>,
) -> anyhow::Result<HashMap<i32, i64>> {
    let mut config = cluster.client_config("group-offsets");
    // Named, not joined: its members notice nothing.
    config.set("group.id", group).set("enable.auto.commit", "false");
    let consumer: BaseConsumer<DefaultConsumerContext> = config.create()?;
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(topic, partition);
    }
    let committed = consumer.committed_offsets(list, REQUEST_TIMEOUT)?;
    let reported = committed.elements().into_iter().filter_map(|element| match element.offset() {
        Offset::Offset(offset) => Some((element.partition(), offset)),
        _ => None,
    });
    Ok(reported.collect())
}
