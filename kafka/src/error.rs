//! Errors, named by what to do next.

use thiserror::Error;

use crate::refusal;

/// Why a request to Kafka failed. The text is one line for a person; no code parses it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KafkaError {
    /// Kafka is unavailable or busy: retry later.
    #[error("{0}")]
    Retry(String),
    /// A retry would fail the same way: an operator is needed.
    #[error("{0}")]
    Halt(String),
}

/// A failure of Kafka's client library that a retry can cure, unless the user lacks a right.
pub(crate) fn retry(what: &str, error: &rdkafka::error::KafkaError) -> KafkaError {
    match error.rdkafka_error_code().and_then(refusal::lacks_right) {
        Some(advice) => KafkaError::Halt(format!("{what}: {error}: {advice}")),
        None => KafkaError::Retry(format!("{what}: {error}")),
    }
}

/// A failure of Kafka's client library that our use of it causes.
pub(crate) fn halt(error: &rdkafka::error::KafkaError) -> KafkaError {
    KafkaError::Halt(error.to_string())
}
