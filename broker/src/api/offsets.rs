//! ListOffsets and OffsetForLeaderEpoch: where to begin to read.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};

use super::{Broker, answer, code};
use crate::wire::{Reply, Request};

/// Special times of ListOffsets.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;

/// From this version on, ListOffsets names the leader's epoch; the encoder refuses it in an older response.
const NAMES_EPOCH: i16 = 4;

/// The offset of a time, or of the log's start or end.
pub(super) fn list(broker: &Broker, request: Request) -> Reply {
    let epoch = if request.version >= NAMES_EPOCH { broker.log.epoch() } else { -1 };
    answer(request, |asked: ListOffsetsRequest| {
        let topics = asked.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                let outcome = offset(broker, &topic.name, partition);
                listed(partition.partition_index, &outcome, epoch)
            });
            let partitions = partitions.collect();
            ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions)
        });
        ListOffsetsResponse::default().with_topics(topics.collect())
    })
}

fn listed(
    partition: i32,
    outcome: &Result<Option<(i64, i64)>, ResponseError>,
    epoch: i32,
) -> ListOffsetsPartitionResponse {
    let response =
        ListOffsetsPartitionResponse::default().with_partition_index(partition).with_error_code(code(outcome));
    match *outcome {
        Ok(Some((offset, timestamp))) => {
            response.with_offset(offset).with_timestamp(timestamp).with_leader_epoch(epoch)
        }
        Ok(None) | Err(_) => response.with_offset(-1).with_timestamp(-1).with_leader_epoch(-1),
    }
}

/// The offset and its time; None when no record is that late.
fn offset(broker: &Broker, topic: &str, asked: &ListOffsetsPartition) -> Result<Option<(i64, i64)>, ResponseError> {
    let partition = broker.named(topic, asked.partition_index)?;
    broker.check_epoch(asked.current_leader_epoch)?;
    match asked.timestamp {
        LATEST => Ok(Some((partition.visible_end(), -1))),
        EARLIEST | EARLIEST_LOCAL => Ok(Some((partition.start(), -1))),
        MAX_TIMESTAMP => Ok(partition.latest_time()),
        unknown if unknown < 0 => Err(ResponseError::UnsupportedVersion),
        time => partition.find_time(time),
    }
}

/// The end of the records that a former leader wrote.
pub(super) fn for_leader_epoch(broker: &Broker, request: Request) -> Reply {
    answer(request, |asked: OffsetForLeaderEpochRequest| {
        let topics = asked.topics.into_iter().map(|topic| {
            let partitions =
                topic.partitions.iter().map(|partition| epoch_end(broker, &topic.topic, partition)).collect();
            OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions)
        });
        OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
    })
}

fn epoch_end(broker: &Broker, topic: &str, asked: &OffsetForLeaderPartition) -> EpochEndOffset {
    let outcome = broker.named(topic, asked.partition).and_then(|partition| {
        broker.check_epoch(asked.current_leader_epoch)?;
        Ok(partition.epoch_end(asked.leader_epoch))
    });
    let response = EpochEndOffset::default().with_partition(asked.partition).with_error_code(code(&outcome));
    let (epoch, end) = outcome.unwrap_or((-1, -1));
    response.with_leader_epoch(epoch).with_end_offset(end)
}
