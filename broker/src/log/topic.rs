//! Topics: name, id, configuration and partitions.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use kafka_protocol::error::ResponseError;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use uuid::Uuid;

use super::partition::Partition;
use crate::limits::{MAX_MESSAGE_BYTES, MAX_SEGMENT_BYTES, MAX_TOPIC_NAME, MIN_SEGMENT_BYTES};

/// The settings of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TopicConfig {
    /// `retention.ms`; -1 keeps records forever.
    pub retention_ms: i64,
    /// `retention.bytes` of each partition; -1 sets no limit.
    pub retention_bytes: i64,
    /// `segment.bytes`.
    pub segment_bytes: i64,
    /// `max.message.bytes`: the largest batch.
    pub max_message_bytes: i32,
    /// `message.timestamp.type` is `LogAppendTime`.
    pub append_time: bool,
}

impl Default for TopicConfig {
    fn default() -> TopicConfig {
        TopicConfig {
            retention_ms: 7 * 24 * 60 * 60 * 1_000,
            retention_bytes: -1,
            segment_bytes: 64 << 20,
            max_message_bytes: 1_048_588,
            append_time: false,
        }
    }
}

impl TopicConfig {
    /// Refuses values out of range with `INVALID_CONFIG`.
    pub fn check(&self) -> Result<(), ResponseError> {
        let is_valid = self.retention_ms >= -1
            && self.retention_bytes >= -1
            && (MIN_SEGMENT_BYTES..=MAX_SEGMENT_BYTES).contains(&self.segment_bytes)
            && (0..=MAX_MESSAGE_BYTES).contains(&self.max_message_bytes);
        if is_valid { Ok(()) } else { Err(ResponseError::InvalidConfig) }
    }
}

/// Refuses names that Kafka refuses.
pub fn check_name(name: &str) -> Result<(), ResponseError> {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_valid =
        (1..=MAX_TOPIC_NAME).contains(&name.len()) && name.bytes().all(is_legal) && name != "." && name != "..";
    if is_valid { Ok(()) } else { Err(ResponseError::InvalidTopicException) }
}

/// Whether Kafka's metrics would mix up two topics: `a.b` and `a_b`.
pub(super) fn collide(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.replace('.', "_") == other.replace('.', "_")
}

/// What a topic shares with its partitions.
#[derive(Debug)]
pub(super) struct TopicState {
    config: RwLock<TopicConfig>,
    pub(super) changed: Notify,
    deleted: AtomicBool,
}

impl TopicState {
    pub(super) fn new(config: TopicConfig) -> Arc<TopicState> {
        Arc::new(TopicState { config: RwLock::new(config), changed: Notify::new(), deleted: AtomicBool::new(false) })
    }

    pub(super) fn config(&self) -> TopicConfig {
        *self.config.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A topic.
#[derive(Debug)]
pub struct Topic {
    name: String,
    id: Uuid,
    state: Arc<TopicState>,
    partitions: RwLock<Vec<Arc<Partition>>>,
}

impl Topic {
    pub(super) fn new(name: &str, id: Uuid, state: Arc<TopicState>, partitions: Vec<Arc<Partition>>) -> Topic {
        Topic { name: name.to_owned(), id, state, partitions: RwLock::new(partitions) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id; a topic created again has another one.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Its settings.
    pub fn config(&self) -> TopicConfig {
        self.state.config()
    }

    /// Partition `n`.
    pub fn partition(&self, n: i32) -> Option<Arc<Partition>> {
        let partitions = self.partitions.read().unwrap_or_else(PoisonError::into_inner);
        partitions.get(usize::try_from(n).ok()?).cloned()
    }

    /// Number of partitions.
    pub fn partitions(&self) -> i32 {
        let partitions = self.partitions.read().unwrap_or_else(PoisonError::into_inner);
        i32::try_from(partitions.len()).unwrap_or(i32::MAX)
    }

    /// Wakes waiting readers after each append and at deletion. Register before looking at the partitions.
    pub fn changed(&self) -> &Notify {
        &self.state.changed
    }

    /// Whether the topic was deleted.
    pub fn is_deleted(&self) -> bool {
        self.state.deleted.load(Ordering::Acquire)
    }

    pub(super) fn state(&self) -> &Arc<TopicState> {
        &self.state
    }

    pub(super) fn all(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn add(&self, more: Vec<Arc<Partition>>) {
        self.partitions.write().unwrap_or_else(PoisonError::into_inner).extend(more);
        self.state.changed.notify_waiters();
    }

    pub(super) fn set_config(&self, config: TopicConfig) {
        *self.state.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    pub(super) fn delete(&self) {
        self.state.deleted.store(true, Ordering::Release);
        self.all().iter().for_each(|partition| partition.delete());
        self.state.changed.notify_waiters();
    }
}
