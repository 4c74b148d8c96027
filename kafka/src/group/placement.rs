//! Where a member of a group starts to read its partitions.

use std::collections::HashMap;

use contract::LastRecord;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::Context;
use crate::cluster::{Cluster, REQUEST_TIMEOUT};
use crate::error::{KafkaError, retry};
use crate::reader::records_at;

/// Where to start in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The partition's number.
    pub partition: i32,
    /// How often the topic has been recreated or truncated.
    pub incarnation: i32,
    /// The offset of the first message to read.
    pub offset: i64,
}

/// Finds the offsets to start from; implemented by the sink.
pub trait Positions: Send + Sync {
    /// Where to start in each partition that was just assigned.
    ///
    /// Called on the polling thread, during [`GroupConsumer::poll`](super::GroupConsumer::poll): the group waits for it. It must return within
    /// `max.poll.interval.ms`, or Kafka revokes the partitions again. The caller of `poll` gets an error as
    /// [`Event::Waiting`](super::Event::Waiting) or [`Event::Lost`](super::Event::Lost).
    fn starts(&self, assignment: &Assignment<'_>) -> Result<Vec<Start>, Unplaced>;
}

/// Why it is unknown where to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unplaced {
    /// The database does not say: ask again soon, and stay in the group. Leaving it would give the partitions to members
    /// with the same database.
    Later(String),
    /// The session must end.
    Failed(KafkaError),
}

impl From<KafkaError> for Unplaced {
    fn from(error: KafkaError) -> Unplaced {
        Unplaced::Failed(error)
    }
}

/// Partitions that are being assigned, with access to their offsets and records.
#[expect(missing_debug_implementations, reason = "librdkafka's consumer has none")]
pub struct Assignment<'a> {
    pub(super) consumer: &'a BaseConsumer<Context>,
    pub(super) cluster: &'a Cluster,
    pub(super) topic: &'a str,
    pub(super) topic_id: Option<String>,
    pub(super) partitions: &'a [i32],
}

impl Assignment<'_> {
    /// The partitions' numbers.
    pub fn partitions(&self) -> &[i32] {
        self.partitions
    }

    /// The id of the topic; None when the brokers do not say.
    pub fn topic_id(&self) -> Option<&str> {
        self.topic_id.as_deref()
    }

    /// The id that the cluster gave itself when it was made; None when it does not say.
    pub fn cluster_id(&self) -> Option<String> {
        self.consumer.client().fetch_cluster_id(REQUEST_TIMEOUT)
    }

    /// First offset and end of a partition.
    pub fn range(&self, partition: i32) -> Result<(i64, i64), KafkaError> {
        let range = self.consumer.fetch_watermarks(self.topic, partition, REQUEST_TIMEOUT);
        range.map_err(|error| retry(&format!("cannot read offsets of {}[{partition}]", self.topic), &error))
    }

    /// The records at these offsets, (partition, offset), or the next ones after them.
    pub fn records_at(&self, offsets: &[(i32, i64)]) -> Result<HashMap<i32, LastRecord>, KafkaError> {
        records_at(self.cluster, self.topic, offsets)
    }
}
