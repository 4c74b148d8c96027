//! What Kafka has acknowledged, counted on the publisher's thread.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Message as _};
use rdkafka::producer::ProducerContext;
use tracing::debug;

use super::Acknowledged;
use crate::delivery::is_on_topic;
use crate::refusal::Refusal;

/// Counts Kafka's acknowledgements.
#[derive(Debug, Default)]
pub(super) struct Acknowledgements {
    delivered: AtomicU64,
    failed: AtomicU64,
    /// Code of the last failure: one stands for a whole outage.
    last_error: Mutex<Option<RDKafkaErrorCode>>,
    pub(super) refusal: Refusal,
    /// By topic and partition, the offset after the last message.
    next: Mutex<HashMap<String, BTreeMap<i32, i64>>>,
}

/// Records since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) delivered: u64,
    pub(super) failed: u64,
}

impl Acknowledgements {
    pub(super) fn counts(&self) -> Counts {
        Counts { delivered: self.delivered.load(Ordering::Acquire), failed: self.failed.load(Ordering::Acquire) }
    }

    pub(super) fn last_error(&self) -> Option<RDKafkaErrorCode> {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take_acknowledged(&self) -> Vec<Acknowledged> {
        let topics = std::mem::take(&mut *self.next.lock().unwrap_or_else(PoisonError::into_inner));
        let of_topic = |(topic, partitions): (String, BTreeMap<i32, i64>)| {
            let one = move |(partition, next)| Acknowledged { topic: topic.clone(), partition, next };
            partitions.into_iter().map(one)
        };
        topics.into_iter().flat_map(of_topic).collect()
    }

    fn acknowledged(&self, message: &BorrowedMessage<'_>) {
        let (topic, next) = (message.topic(), message.offset() + 1);
        let mut topics = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if !topics.contains_key(topic) {
            topics.insert(topic.to_owned(), BTreeMap::new());
        }
        if let Some(partitions) = topics.get_mut(topic) {
            partitions.entry(message.partition()).and_modify(|known| *known = next.max(*known)).or_insert(next);
        }
    }
}

impl ClientContext for Acknowledgements {
    fn stats_raw(&self, _statistics: &[u8]) {}

    // An operator needs the error of `publish` or `flush` alone, once.
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        debug!(facility, message, "kafka client");
    }

    fn error(&self, error: ClientError, reason: &str) {
        debug!(%error, reason, "kafka client");
        self.refusal.note(&error, reason);
    }
}

impl ProducerContext for Acknowledgements {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let error = match result {
            Ok(message) if is_on_topic(message.offset()) => {
                self.acknowledged(message);
                self.delivered.fetch_add(1, Ordering::Release);
                return;
            }
            Ok(_) => Some(RDKafkaErrorCode::OutOfOrderSequenceNumber),
            Err((error, _)) => error.rdkafka_error_code(),
        };
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = error;
        self.failed.fetch_add(1, Ordering::Release);
    }
}
