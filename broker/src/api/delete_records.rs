//! DeleteRecords: moves the start of a log.

use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsRequest};
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};

use super::{Broker, answer, code};
use crate::wire::{Reply, Request};

/// Deletes the records before an offset; -1 is the end.
pub(super) fn handle(broker: &Broker, request: Request) -> Reply {
    answer(request, |asked: DeleteRecordsRequest| {
        let topics = asked.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| delete(broker, &topic.name, partition)).collect();
            DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions)
        });
        DeleteRecordsResponse::default().with_topics(topics.collect())
    })
}

fn delete(broker: &Broker, topic: &str, asked: &DeleteRecordsPartition) -> DeleteRecordsPartitionResult {
    let partition = broker.named(topic, asked.partition_index);
    let outcome = partition.and_then(|partition| partition.delete_before(asked.offset));
    DeleteRecordsPartitionResult::default()
        .with_partition_index(asked.partition_index)
        .with_error_code(code(&outcome))
        .with_low_watermark(outcome.unwrap_or(-1))
}
