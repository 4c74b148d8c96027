//! Metadata: the broker, and the partitions of topics.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kafka_protocol::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};

use super::{Broker, NODE, answer, text};
use crate::log::{Topic, check_name};
use crate::wire::{Reply, Request};

/// In this version, an empty list of topics stands for all of them; later, null does.
const EMPTY_IS_ALL: i16 = 0;
/// The client did not ask which operations it may perform.
const NOT_ASKED: i32 = i32::MIN;

/// Describes the topics that the client names, or all. A topic that is named is never created.
pub(super) fn handle(broker: &Broker, request: Request) -> Reply {
    let version = request.version;
    answer(request, |asked: MetadataRequest| {
        let names = asked.topics.filter(|names| version != EMPTY_IS_ALL || !names.is_empty());
        let topics = match names {
            Some(names) => names.into_iter().map(|name| named(broker, name)).collect(),
            None => broker.log.topics().iter().map(|topic| described(broker, topic)).collect(),
        };
        let own = MetadataResponseBroker::default()
            .with_node_id(NODE)
            .with_host(text(broker.advertised.ip().to_string()))
            .with_port(broker.advertised.port().into());
        MetadataResponse::default()
            .with_brokers(vec![own])
            .with_cluster_id(Some(text(broker.log.cluster_id())))
            .with_controller_id(NODE)
            .with_cluster_authorized_operations(NOT_ASKED)
            .with_topics(topics)
    })
}

fn named(broker: &Broker, asked: MetadataRequestTopic) -> MetadataResponseTopic {
    let error = if asked.topic_id.is_nil() {
        let name = asked.name.as_deref().map_or("", |name| name);
        match broker.log.topic(name) {
            Some(topic) => return described(broker, &topic),
            None => check_name(name).err().unwrap_or(ResponseError::UnknownTopicOrPartition),
        }
    } else {
        match broker.log.topic_by_id(asked.topic_id) {
            Some(topic) => return described(broker, &topic),
            None => ResponseError::UnknownTopicId,
        }
    };
    MetadataResponseTopic::default()
        .with_error_code(error.code())
        .with_name(Some(asked.name.unwrap_or_default()))
        .with_topic_id(asked.topic_id)
        .with_topic_authorized_operations(NOT_ASKED)
}

fn described(broker: &Broker, topic: &Topic) -> MetadataResponseTopic {
    let partition = |index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(NODE)
            .with_leader_epoch(broker.log.epoch())
            .with_replica_nodes(vec![NODE])
            .with_isr_nodes(vec![NODE])
    };
    MetadataResponseTopic::default()
        .with_name(Some(text(topic.name()).into()))
        .with_topic_id(topic.id())
        .with_partitions((0..topic.partitions()).map(partition).collect())
        .with_topic_authorized_operations(NOT_ASKED)
}
