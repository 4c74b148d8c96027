//! Fetch: sends batches as they are stored, and waits for new ones without polling.

mod response;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::select_all;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use tokio::time::{Instant, timeout_at};

use self::response::{Found, FoundTopic};
use super::{Broker, decode};
use crate::limits::{MAX_FETCH_BYTES, MAX_FETCH_WAIT};
use crate::log::{Partition, Slice, Topic};
use crate::wire::{Reply, Request};

/// Isolation level `read_committed`: the client also asks for aborted transactions. The broker has none.
const READ_COMMITTED: i8 = 1;

/// Answers when there are as many bytes as the client asked for, at an error, or when its wait is over.
pub(super) async fn handle(broker: &Broker, request: Request) -> Reply {
    let version = request.version;
    let Some(fetch) = decode::<FetchRequest>(request.body, version) else { return Reply::Close };
    // The broker keeps no fetch sessions: it answers with session 0, and clients then name all partitions each time.
    if fetch.session_id != 0 {
        return response::failed(version, ResponseError::FetchSessionIdNotFound);
    }
    let is_committed = fetch.isolation_level == READ_COMMITTED;
    let wait = Duration::from_millis(fetch.max_wait_ms.try_into().unwrap_or_default()).min(MAX_FETCH_WAIT);
    let until = Instant::now() + wait;
    let asked: Vec<Asked> = fetch.topics.iter().map(|topic| Asked::new(broker, topic)).collect();
    loop {
        // Registered before looking, so that no append between the two is missed.
        let changes: Vec<_> = asked.iter().filter_map(Asked::change).collect();
        let (found, is_enough) = look(broker, &asked, &fetch);
        if is_enough || changes.is_empty() || Instant::now() >= until {
            return response::found(version, &found, is_committed);
        }
        if timeout_at(until, select_all(changes)).await.is_err() {
            let (found, _) = look(broker, &asked, &fetch);
            return response::found(version, &found, is_committed);
        }
    }
}

/// A topic of a request, and what the broker has under its name.
struct Asked<'a> {
    request: &'a FetchTopic,
    topic: Result<Arc<Topic>, ResponseError>,
}

impl<'a> Asked<'a> {
    fn new(broker: &Broker, request: &'a FetchTopic) -> Asked<'a> {
        Asked { request, topic: broker.topic(&request.topic, request.topic_id) }
    }

    /// Resolves at the next change of the topic.
    fn change(&self) -> Option<Pin<Box<impl Future<Output = ()> + Send + '_>>> {
        let topic = self.topic.as_ref().ok()?;
        Some(Box::pin(topic.changed().notified()))
    }
}

/// What the log has now, and whether to answer with it.
fn look(broker: &Broker, asked: &[Asked<'_>], fetch: &FetchRequest) -> (Vec<FoundTopic>, bool) {
    let limit = usize::try_from(fetch.max_bytes).unwrap_or_default().min(MAX_FETCH_BYTES);
    let (mut total, mut has_failed) = (0, false);
    let mut topics = Vec::with_capacity(asked.len());
    for topic in asked {
        let mut partitions = Vec::with_capacity(topic.request.partitions.len());
        for request in &topic.request.partitions {
            let found = read(broker, topic, request, limit.saturating_sub(total), total == 0);
            match &found {
                Ok((_, slices)) => total += slices.iter().map(|slice| slice.len).sum::<usize>(),
                Err(_) => has_failed = true,
            }
            partitions.push(Found::new(request.partition, found));
        }
        topics.push(FoundTopic { name: topic.request.topic.clone(), id: topic.request.topic_id, partitions });
    }
    let wanted = usize::try_from(fetch.min_bytes).unwrap_or_default();
    (topics, has_failed || total >= wanted)
}

fn read(
    broker: &Broker,
    asked: &Asked<'_>,
    request: &FetchPartition,
    left: usize,
    is_first: bool,
) -> Result<(Arc<Partition>, Vec<Slice>), ResponseError> {
    let topic = asked.topic.as_ref().map_err(|error| *error)?;
    if topic.is_deleted() {
        return Err(broker.topic(topic.name(), topic.id()).err().unwrap_or(ResponseError::UnknownTopicOrPartition));
    }
    let partition = topic.partition(request.partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
    broker.check_epoch(request.current_leader_epoch)?;
    let limit = usize::try_from(request.partition_max_bytes).unwrap_or_default().min(left);
    let slices = partition.read(request.fetch_offset, limit, is_first)?;
    Ok((partition, slices))
}
