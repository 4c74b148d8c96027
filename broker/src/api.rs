//! The answers to requests: decodes a body, asks the log and the groups, and encodes the response.

mod cluster;
mod configs;
mod delete_records;
mod fetch;
mod groups;
mod metadata;
mod offsets;
mod produce;
mod producer_id;
mod settings;
mod topics;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ApiKey, BrokerId};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use tokio::task::block_in_place;
use uuid::Uuid;

use crate::clock::now_ms;
use crate::groups::{GroupRequest, Groups, Topics};
use crate::log::{Flush, Log, Partition, Topic};
use crate::wire::{Handler, Reply, Request};

/// The only broker of the cluster.
pub const NODE: BrokerId = BrokerId(1);

/// Requests that change committed offsets. With [`Flush::Always`] their answers wait for the disk.
const CHANGES_OFFSETS: &[ApiKey] = &[ApiKey::OffsetCommit, ApiKey::OffsetDelete, ApiKey::DeleteGroups];

/// Everything a request can ask for.
#[derive(Debug)]
pub struct Broker {
    log: Arc<Log>,
    groups: Groups,
    /// The address that clients are told.
    advertised: SocketAddr,
}

impl Broker {
    /// A broker on this log and these groups.
    #[must_use]
    pub fn new(log: Arc<Log>, groups: Groups, advertised: SocketAddr) -> Broker {
        Broker { log, groups, advertised }
    }

    /// Removes what is past its retention, and flushes what is due. Blocks. To be called about once a second.
    pub fn maintain(&self) {
        self.log.maintain(now_ms());
        self.groups.sweep();
        self.flush_offsets();
    }

    /// Writes everything to the disk, before the broker stops.
    ///
    /// # Errors
    ///
    /// A file that cannot be written. The next start then recovers as after a crash.
    pub fn close(&self) -> anyhow::Result<()> {
        self.flush_offsets();
        self.log.close()
    }

    /// The process exits if the disk fails: what the operating system held may be lost, and the next start checks it.
    fn flush_offsets(&self) {
        if let Err(error) = self.groups.flush() {
            tracing::error!("cannot write committed offsets to disk: {error}; stopping, the next start checks them");
            std::process::exit(1)
        }
    }

    /// A topic by its id in newer versions of a request, by its name in older ones.
    fn topic(&self, name: &str, id: Uuid) -> Result<Arc<Topic>, ResponseError> {
        if id.is_nil() {
            self.log.topic(name).ok_or(ResponseError::UnknownTopicOrPartition)
        } else {
            self.log.topic_by_id(id).ok_or(ResponseError::UnknownTopicId)
        }
    }

    fn named(&self, topic: &str, partition: i32) -> Result<Arc<Partition>, ResponseError> {
        let topic = self.topic(topic, Uuid::nil())?;
        topic.partition(partition).ok_or(ResponseError::UnknownTopicOrPartition)
    }

    /// Refuses a client whose knowledge of the leader is of another incarnation; -1 is no knowledge.
    fn check_epoch(&self, epoch: i32) -> Result<(), ResponseError> {
        match epoch {
            -1 => Ok(()),
            newer if newer > self.log.epoch() => Err(ResponseError::UnknownLeaderEpoch),
            older if older < self.log.epoch() => Err(ResponseError::FencedLeaderEpoch),
            _ => Ok(()),
        }
    }
}

impl Handler for Broker {
    async fn handle(&self, request: Request) -> Reply {
        // What waits for the disk must not keep other connections waiting.
        match request.api {
            ApiKey::Produce => produce::handle(self, request),
            ApiKey::Fetch => fetch::handle(self, request).await,
            ApiKey::ListOffsets => offsets::list(self, request),
            ApiKey::OffsetForLeaderEpoch => offsets::for_leader_epoch(self, request),
            ApiKey::DeleteRecords => block_in_place(|| delete_records::handle(self, request)),
            ApiKey::Metadata => metadata::handle(self, request),
            ApiKey::DescribeCluster => cluster::describe(self, request),
            ApiKey::CreateTopics => block_in_place(|| topics::create(self, request)),
            ApiKey::DeleteTopics => block_in_place(|| topics::delete(self, request)),
            ApiKey::CreatePartitions => block_in_place(|| topics::add_partitions(self, request)),
            ApiKey::DescribeConfigs => configs::describe(self, request),
            ApiKey::IncrementalAlterConfigs => block_in_place(|| configs::alter(self, request)),
            ApiKey::InitProducerId => block_in_place(|| producer_id::handle(self, request)),
            api => {
                // As Kafka shows it.
                let host = format!("/{}", request.peer.ip());
                let client_id = request.client_id.as_deref();
                let asked = GroupRequest { api, version: request.version, client_id, host: &host, body: request.body };
                let reply = groups::handle(&self.groups, asked).await.map_or(Reply::Close, Reply::Message);
                if self.log.flush() == Flush::Always && CHANGES_OFFSETS.contains(&api) {
                    block_in_place(|| self.flush_offsets());
                }
                reply
            }
        }
    }
}

/// The topics, as the groups know them.
#[derive(Debug)]
pub struct KnownTopics(pub Arc<Log>);

impl Topics for KnownTopics {
    fn topic(&self, name: &str) -> Option<(Uuid, i32)> {
        self.0.topic(name).map(|topic| (topic.id(), topic.partitions()))
    }
}

/// Answers a request that needs no waiting. A body that cannot be read closes the connection, as Kafka does.
fn answer<Q: Decodable, A: Encodable>(request: Request, ask: impl FnOnce(Q) -> A) -> Reply {
    match decode(request.body, request.version) {
        Some(question) => encode(&ask(question), request.version),
        None => Reply::Close,
    }
}

fn decode<Q: Decodable>(mut body: Bytes, version: i16) -> Option<Q> {
    Q::decode(&mut body, version).inspect_err(|error| tracing::debug!(%error, "cannot decode a request")).ok()
}

fn encode<A: Encodable>(answer: &A, version: i16) -> Reply {
    let mut body = BytesMut::new();
    match answer.encode(&mut body, version) {
        Ok(()) => Reply::Message(body),
        Err(error) => {
            tracing::error!(%error, version, "cannot encode a response");
            Reply::Close
        }
    }
}

/// The code of an outcome on the wire; 0 is success.
fn code<T>(outcome: &Result<T, ResponseError>) -> i16 {
    outcome.as_ref().err().map_or(0, ResponseError::code)
}

fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

#[cfg(test)]
mod tests;
