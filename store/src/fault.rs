//! What a statement can fail with, and what helps.

use crate::dead_letter::Cause;
use crate::outcome::{RetryClass, StoreError};

/// What an attempt to write rows can fail with, by what helps next.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The database refuses a row for what it holds: isolate the row.
    Record(Cause),
    /// A statement took too long: write fewer rows at once.
    Slow(String),
    /// TimescaleDB would have to unpack more rows than it may: let it.
    Unpack(String),
    /// The rows have nothing to do with it.
    Store(StoreError),
}

/// SQLSTATE class of a statement that took too long.
const SLOW: RetryClass = RetryClass::Sqlstate(*b"57");
/// SQLSTATE class of a limit that was reached.
const UNPACK: RetryClass = RetryClass::Sqlstate(*b"53");

impl Fault {
    /// The reason, in one line.
    pub(crate) fn reason(&self) -> String {
        match self {
            Fault::Record(cause) => cause.reason.clone(),
            Fault::Slow(reason) | Fault::Unpack(reason) => reason.clone(),
            Fault::Store(StoreError::Retry { reason, .. } | StoreError::Halt(reason)) => reason.clone(),
            Fault::Store(error) => error.to_string(),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        Fault::Store(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> StoreError {
        match fault {
            Fault::Record(cause) => refused(&cause.reason),
            Fault::Slow(reason) => StoreError::Retry { class: SLOW, reason },
            Fault::Unpack(reason) => StoreError::Retry { class: UNPACK, reason },
            Fault::Store(error) => error,
        }
    }
}

/// The database refuses a statement that must work.
pub(crate) fn refused(reason: &str) -> StoreError {
    StoreError::Halt(format!("the database refuses what tapedeck sends: {reason}"))
}
