//! Produce: appends batches, verbatim.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, ProduceResponse, TopicProduceResponse};

use super::{Broker, code, decode, encode};
use crate::clock::now_ms;
use crate::log::{Appended, Partition, Topic};
use crate::wire::{Reply, Request};

/// From this version on, clients know zstd.
const ZSTD_VERSION: i16 = 7;
/// Position and mask of the compression in a batch, and zstd's number.
const ATTRIBUTES_AT: usize = 22;
const COMPRESSION: u8 = 0b111;
const ZSTD: u8 = 4;

/// Appends, and answers when the records are as durable as the broker's `--flush` says.
pub(super) async fn handle(broker: &Broker, request: Request) -> Reply {
    let version = request.version;
    let Some(produce) = decode::<ProduceRequest>(request.body, version) else { return Reply::Close };
    let refused = refusal(&produce);
    let mut responses = Vec::with_capacity(produce.topic_data.len());
    let mut has_failed = false;
    for data in produce.topic_data {
        let topic = broker.topic(&data.name, data.topic_id);
        let appended = append(&data, topic.as_ref().map_err(|error| *error), refused, version);
        let mut partition_responses = Vec::with_capacity(appended.len());
        for (index, outcome) in appended {
            let outcome = durable(outcome).await;
            has_failed |= outcome.is_err();
            partition_responses.push(response(index, outcome));
        }
        let named = TopicProduceResponse::default().with_name(data.name).with_topic_id(data.topic_id);
        responses.push(named.with_partition_responses(partition_responses));
    }
    match produce.acks {
        // Without a response, a closed connection is the only way to report an error.
        0 if has_failed => Reply::Close,
        0 => Reply::Nothing,
        _ => encode(&ProduceResponse::default().with_responses(responses), version),
    }
}

/// Why the whole request is refused.
fn refusal(produce: &ProduceRequest) -> Option<ResponseError> {
    if !matches!(produce.acks, -1..=1) {
        return Some(ResponseError::InvalidRequiredAcks);
    }
    produce.transactional_id.as_ref().map(|_| ResponseError::TransactionalIdAuthorizationFailed)
}

type Outcome = Result<(Arc<Partition>, Appended), ResponseError>;

fn append(
    data: &TopicProduceData,
    topic: Result<&Arc<Topic>, ResponseError>,
    refused: Option<ResponseError>,
    version: i16,
) -> Vec<(i32, Outcome)> {
    let one = |data: &PartitionProduceData| {
        if let Some(refused) = refused {
            return Err(refused);
        }
        let partition = topic?.partition(data.index).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let records = data.records.as_deref().ok_or(ResponseError::InvalidRecord)?;
        let is_zstd = records.get(ATTRIBUTES_AT).is_some_and(|attributes| attributes & COMPRESSION == ZSTD);
        if is_zstd && version < ZSTD_VERSION {
            return Err(ResponseError::UnsupportedCompressionType);
        }
        let appended = partition.append(records, now_ms())?;
        Ok((partition, appended))
    };
    let appended = data.partition_data.iter().map(|data| (data.index, one(data))).collect();
    if let Ok(topic) = topic {
        topic.changed().notify_waiters();
    }
    appended
}

async fn durable(outcome: Outcome) -> Result<Appended, ResponseError> {
    let (partition, appended) = outcome?;
    partition.durable(appended.end).await?;
    Ok(appended)
}

fn response(index: i32, outcome: Result<Appended, ResponseError>) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default().with_index(index).with_error_code(code(&outcome));
    match outcome {
        Ok(appended) => response
            .with_base_offset(appended.base_offset)
            .with_log_append_time_ms(appended.append_time_ms)
            .with_log_start_offset(appended.log_start),
        Err(_) => response.with_base_offset(-1).with_log_append_time_ms(-1).with_log_start_offset(-1),
    }
}
