use std::path::Path;

use kafka_protocol::messages::{ApiKey, TopicName};
use kafka_protocol::protocol::{Decodable as _, Encodable as _};
use tempfile::tempdir;

use super::super::{KnownTopics, text};
use super::*;
use crate::groups::Groups;
use crate::log::tests::plain;
use crate::log::{Flush, Log, Options, TopicConfig};

/// Version of the requests.
const VERSION: i16 = 9;

/// A broker with a topic `t` of two partitions.
fn broker(folder: &Path, flush: Flush) -> Broker {
    let log = Arc::new(Log::open(folder, Options { flush }).unwrap());
    log.create_topic("t", 2, TopicConfig::default()).unwrap();
    let address = "127.0.0.1:9092".parse().unwrap();
    let groups = Groups::open(folder, Arc::new(KnownTopics(log.clone())), address).unwrap();
    Broker::new(log, groups, address)
}

/// A request with a batch for each of these partitions.
fn request(acks: i16, partitions: &[i32]) -> Request {
    let batch =
        |index: &i32| PartitionProduceData::default().with_index(*index).with_records(Some(plain(1, 10).into()));
    let data = TopicProduceData::default()
        .with_name(TopicName(text("t")))
        .with_partition_data(partitions.iter().map(batch).collect());
    let mut body = bytes::BytesMut::new();
    ProduceRequest::default().with_acks(acks).with_topic_data(vec![data]).encode(&mut body, VERSION).unwrap();
    Request {
        api: ApiKey::Produce,
        version: VERSION,
        correlation_id: 1,
        client_id: None,
        peer: "127.0.0.1:1".parse().unwrap(),
        body: body.freeze(),
    }
}

/// The partitions of a response with their error codes.
fn codes(reply: Reply) -> Vec<(i32, i16)> {
    let Reply::Message(body) = reply else { panic!("no response: {reply:?}") };
    let response = ProduceResponse::decode(&mut body.freeze(), VERSION).unwrap();
    let partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    partitions.map(|partition| (partition.index, partition.error_code)).collect()
}

#[tokio::test]
async fn without_flushing_the_answer_is_there_at_once() {
    let folder = tempdir().unwrap();
    let broker = broker(folder.path(), Flush::Interval);
    assert_eq!(codes(handle(&broker, request(-1, &[0, 1]))), [(0, 0), (1, 0)]);
}

#[tokio::test]
async fn with_flushing_the_answer_comes_when_every_partition_is_on_disk() {
    let folder = tempdir().unwrap();
    let broker = broker(folder.path(), Flush::Always);
    let topic = broker.log.topic("t").unwrap();
    let is_on_disk = |index| topic.partition(index).unwrap().is_durable(1);
    let Reply::Later(later) = handle(&broker, request(-1, &[0, 7, 1])) else {
        panic!("answered before the disk has it")
    };
    assert!(!is_on_disk(0) && !is_on_disk(1));
    assert_eq!(codes(later.await), [(0, 0), (7, ResponseError::UnknownTopicOrPartition.code()), (1, 0)]);
    assert!(is_on_disk(0) && is_on_disk(1));
}

#[tokio::test]
async fn a_client_that_wants_no_answer_waits_for_no_disk_and_learns_of_errors_by_a_closed_connection() {
    let folder = tempdir().unwrap();
    let broker = broker(folder.path(), Flush::Always);
    assert!(matches!(handle(&broker, request(0, &[0])), Reply::Nothing));
    assert!(matches!(handle(&broker, request(0, &[7])), Reply::Close));
}
