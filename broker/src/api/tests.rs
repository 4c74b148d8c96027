//! Every version of every request is answered, whether the topic exists or not. The encoder refuses a field that the
//! version lacks, and the broker would close the connection.

use kafka_protocol::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use kafka_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use kafka_protocol::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::messages::{DescribeClusterRequest, InitProducerIdRequest, TopicName};

use super::*;
use crate::log::Options;
use crate::wire::APIS;

/// From this version on, Fetch and Produce name a topic by its id.
const PRODUCE_BY_ID: i16 = 13;
const FETCH_BY_ID: i16 = 13;
/// From this version on, DeleteTopics has a struct for each topic.
const DELETE_BY_STRUCT: i16 = 6;
/// Kafka's number for topics among the resources with settings.
const TOPIC_RESOURCE: i8 = 2;

fn broker(folder: &std::path::Path) -> Broker {
    let log = Arc::new(Log::open(folder, Options { flush: Flush::Interval }).unwrap());
    let address: SocketAddr = "127.0.0.1:9092".parse().unwrap();
    let groups = Groups::open(folder, Arc::new(KnownTopics(log.clone())), address).unwrap();
    Broker::new(log, groups, address)
}

fn encoded(body: &impl Encodable, version: i16) -> Option<Bytes> {
    let mut bytes = BytesMut::new();
    body.encode(&mut bytes, version).unwrap();
    Some(bytes.freeze())
}

fn name(topic: &str) -> TopicName {
    TopicName(text(topic))
}

/// A request about records of a topic's partition 0.
fn about_records(api: ApiKey, version: i16, topic: &str) -> Option<Bytes> {
    match api {
        ApiKey::Produce => {
            let data = TopicProduceData::default().with_partition_data(vec![PartitionProduceData::default()]);
            let data = if version < PRODUCE_BY_ID { data.with_name(name(topic)) } else { data };
            encoded(&ProduceRequest::default().with_acks(-1).with_topic_data(vec![data]), version)
        }
        ApiKey::Fetch => {
            let wanted = FetchTopic::default().with_partitions(vec![FetchPartition::default()]);
            let wanted = if version < FETCH_BY_ID { wanted.with_topic(name(topic)) } else { wanted };
            encoded(&FetchRequest::default().with_topics(vec![wanted]), version)
        }
        ApiKey::ListOffsets => {
            let times = [-1, -2, -3, 1].map(|time| ListOffsetsPartition::default().with_timestamp(time));
            let wanted = ListOffsetsTopic::default().with_name(name(topic)).with_partitions(times.into());
            encoded(&ListOffsetsRequest::default().with_topics(vec![wanted]), version)
        }
        ApiKey::OffsetForLeaderEpoch => {
            let wanted = OffsetForLeaderTopic::default().with_topic(name(topic));
            let wanted = wanted.with_partitions(vec![OffsetForLeaderPartition::default()]);
            encoded(&OffsetForLeaderEpochRequest::default().with_topics(vec![wanted]), version)
        }
        ApiKey::DeleteRecords => {
            let partitions = vec![DeleteRecordsPartition::default().with_offset(-1)];
            let wanted = DeleteRecordsTopic::default().with_name(name(topic)).with_partitions(partitions);
            encoded(&DeleteRecordsRequest::default().with_topics(vec![wanted]), version)
        }
        _ => None,
    }
}

/// A request about a topic or the cluster; None for those about groups, which have their own tests.
fn about_topics(api: ApiKey, version: i16, topic: &str) -> Option<Bytes> {
    let named = text(topic);
    match api {
        ApiKey::Metadata => {
            let wanted = MetadataRequestTopic::default().with_name(Some(name(topic)));
            encoded(&MetadataRequest::default().with_topics(Some(vec![wanted])), version)
        }
        ApiKey::CreateTopics => {
            let new =
                CreatableTopic::default().with_name(name(topic)).with_num_partitions(1).with_replication_factor(1);
            encoded(&CreateTopicsRequest::default().with_validate_only(true).with_topics(vec![new]), version)
        }
        ApiKey::DeleteTopics => {
            let by_name = DeleteTopicsRequest::default();
            let state = DeleteTopicState::default().with_name(Some(name(topic)));
            let wanted = if version < DELETE_BY_STRUCT {
                by_name.with_topic_names(vec![name(topic)])
            } else {
                by_name.with_topics(vec![state])
            };
            encoded(&wanted, version)
        }
        ApiKey::CreatePartitions => {
            let wanted = CreatePartitionsTopic::default().with_name(name(topic)).with_count(2).with_assignments(None);
            encoded(&CreatePartitionsRequest::default().with_topics(vec![wanted]), version)
        }
        ApiKey::DescribeConfigs => {
            let wanted = DescribeConfigsResource::default().with_resource_type(TOPIC_RESOURCE);
            let wanted = wanted.with_resource_name(named).with_configuration_keys(None);
            encoded(&DescribeConfigsRequest::default().with_resources(vec![wanted]), version)
        }
        ApiKey::IncrementalAlterConfigs => {
            let change = AlterableConfig::default().with_name(text("retention.ms")).with_value(Some(text("1")));
            let wanted = AlterConfigsResource::default().with_resource_type(TOPIC_RESOURCE);
            let wanted = wanted.with_resource_name(named).with_configs(vec![change]);
            encoded(&IncrementalAlterConfigsRequest::default().with_resources(vec![wanted]), version)
        }
        ApiKey::InitProducerId => encoded(&InitProducerIdRequest::default().with_transactional_id(None), version),
        ApiKey::DescribeCluster => encoded(&DescribeClusterRequest::default(), version),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_of_every_request_about_topics_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path());
    let mut answered = 0;
    for topic in ["here", "missing"] {
        for api in APIS {
            for version in api.min..=api.max {
                // A request before this one may have deleted it.
                let _ = broker.log.create_topic("here", 1, crate::log::TopicConfig::default());
                let body = about_records(api.key, version, topic).or_else(|| about_topics(api.key, version, topic));
                let Some(body) = body else { continue };
                let (correlation_id, peer) = (0, broker.advertised);
                let request = Request { api: api.key, version, correlation_id, client_id: None, peer, body };
                let reply = broker.handle(request).await;
                assert!(!matches!(reply, Reply::Close), "{:?} version {version} about `{topic}`", api.key);
                answered += 1;
            }
        }
    }
    assert_eq!(answered, 2 * 86, "requests without groups");
}
