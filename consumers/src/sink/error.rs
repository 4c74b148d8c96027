//! Why a sink stopped.

use kafka::KafkaError;
use store::StoreError;
use thiserror::Error;

/// Why a sink stopped, named by what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SinkError {
    /// Start another session: Kafka, the registry or the database is not available, or a partition moved on.
    #[error("{0}")]
    Retry(String),
    /// An operator is needed.
    #[error("{0}")]
    Halt(String),
}

impl From<KafkaError> for SinkError {
    fn from(error: KafkaError) -> SinkError {
        match error {
            KafkaError::Retry(reason) => SinkError::Retry(reason),
            KafkaError::Halt(reason) => SinkError::Halt(reason),
        }
    }
}

impl From<StoreError> for SinkError {
    fn from(error: StoreError) -> SinkError {
        match error {
            StoreError::Halt(reason) => SinkError::Halt(reason),
            other => SinkError::Retry(other.to_string()),
        }
    }
}

/// The message of a panic.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "without a text".to_owned()).replace(['\n', '\r'], " ")
}
