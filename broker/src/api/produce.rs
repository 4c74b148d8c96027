//! Produce: appends batches, verbatim.

use std::sync::Arc;

use futures::future::join_all;
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

/// Appends, and answers when the records are as durable as the broker's `--flush` says. While an answer waits for the
/// disk, the connection's next requests are handled.
pub(super) fn handle(broker: &Broker, request: Request) -> Reply {
    let version = request.version;
    let Some(produce) = decode::<ProduceRequest>(request.body, version) else { return Reply::Close };
    let refused = refusal(&produce);
    let append = |data: TopicProduceData| {
        let topic = broker.topic(&data.name, data.topic_id);
        let outcomes = append(&data, topic.as_ref().map_err(|error| *error), refused, version);
        AppendedTopic {
            named: TopicProduceResponse::default().with_name(data.name).with_topic_id(data.topic_id),
            outcomes,
        }
    };
    let topics: Vec<AppendedTopic> = produce.topic_data.into_iter().map(append).collect();
    let mut outcomes = topics.iter().flat_map(|topic| &topic.outcomes);
    if produce.acks == 0 {
        // Without a response, a closed connection is the only way to report an error.
        return if outcomes.any(|(_, outcome)| outcome.is_err()) { Reply::Close } else { Reply::Nothing };
    }
    if outcomes.all(|(_, outcome)| is_durable(outcome)) {
        return respond(topics, version);
    }
    Reply::Later(Box::pin(async move {
        let mut topics = topics;
        let outcomes = topics.iter_mut().flat_map(|topic| &mut topic.outcomes);
        join_all(outcomes.map(|(_, outcome)| await_durable(outcome))).await;
        respond(topics, version)
    }))
}

/// What became of a topic's part of a request.
struct AppendedTopic {
    named: TopicProduceResponse,
    /// By number of the partition.
    outcomes: Vec<(i32, Outcome)>,
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

fn is_durable(outcome: &Outcome) -> bool {
    outcome.as_ref().map_or(true, |(partition, appended)| partition.is_durable(appended.end))
}

async fn await_durable(outcome: &mut Outcome) {
    if let Ok((partition, appended)) = outcome
        && let Err(error) = partition.durable(appended.end).await
    {
        *outcome = Err(error);
    }
}

fn respond(topics: Vec<AppendedTopic>, version: i16) -> Reply {
    let topic = |AppendedTopic { named, outcomes }| {
        named.with_partition_responses(outcomes.into_iter().map(|(index, outcome)| response(index, outcome)).collect())
    };
    let responses = topics.into_iter().map(topic).collect();
    encode(&ProduceResponse::default().with_responses(responses), version)
}

fn response(index: i32, outcome: Outcome) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default().with_index(index).with_error_code(code(&outcome));
    match outcome {
        Ok((_, appended)) => response
            .with_base_offset(appended.base_offset)
            .with_log_append_time_ms(appended.append_time_ms)
            .with_log_start_offset(appended.log_start),
        Err(_) => response.with_base_offset(-1).with_log_append_time_ms(-1).with_log_start_offset(-1),
    }
}

#[cfg(test)]
mod tests;
