//! Results of a store: outcomes of chunks, positions, gaps and errors.

use std::fmt;

use thiserror::Error;

use crate::partition::{LastRecord, SinkPartition};
use crate::quarantine::Trip;

/// Why a request to a store failed, named by the caller's next action.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database is unavailable or busy: retry the same call later.
    #[error("{reason}")]
    Retry {
        /// Kind of the failure, for counting.
        class: RetryClass,
        /// One line for a person.
        reason: String,
    },
    /// Another consumer moved this partition on: read the position again and continue from there.
    #[error("another consumer moved partition {partition} on")]
    Fenced {
        /// The partition.
        partition: SinkPartition,
    },
    /// The database has an unexpected state, or refuses a valid write: an operator is needed.
    #[error("{0}")]
    Halt(String),
}

impl StoreError {
    /// A temporary failure of the connection.
    pub(crate) fn connection(reason: String) -> StoreError {
        StoreError::Retry { class: RetryClass::Connection, reason }
    }
}

/// The kind of failure that causes a retry. As text it is the label `class` of the metric `commit_retries`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RetryClass {
    /// The connection failed or could not be opened.
    Connection,
    /// The database did not answer in time. Counted as a failed connection.
    Timeout,
    /// PostgreSQL returned an error of that class: the first two characters of its SQLSTATE.
    Sqlstate([u8; 2]),
    /// SQLite returned an error.
    Sqlite,
    /// PostgreSQL returned a code that is not an SQLSTATE.
    Unknown,
}

impl RetryClass {
    /// The class of an SQLSTATE.
    pub fn of_sqlstate(code: &str) -> RetryClass {
        match code.as_bytes() {
            [first, second, ..] if first.is_ascii_alphanumeric() && second.is_ascii_alphanumeric() => {
                RetryClass::Sqlstate([*first, *second])
            }
            _ => RetryClass::Unknown,
        }
    }

    /// The metric's label.
    pub fn label(&self) -> &str {
        match self {
            RetryClass::Connection | RetryClass::Timeout => "connection",
            RetryClass::Sqlstate(class) => std::str::from_utf8(class).unwrap_or("unknown"),
            RetryClass::Sqlite => "sqlite",
            RetryClass::Unknown => "unknown",
        }
    }
}

impl fmt::Display for RetryClass {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.label())
    }
}

/// The number of a chunk's records by outcome; `read` is the sum of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Outcome {
    /// All records.
    pub read: u64,
    /// Records whose key was not in the table.
    pub inserted: u64,
    /// Records that replaced a row of a lower version with other values.
    pub changed: u64,
    /// Records that advanced only the version of a row, with the same values.
    pub unchanged: u64,
    /// Records older than the table's row, or than another record of the same chunk.
    pub superseded: u64,
    /// Of these, the versions that were not there yet and are kept as revisions. None for chunks that an executable
    /// without revisions committed.
    pub kept: Option<u64>,
    /// Refused records: dead letters, and those that a quarantine parks.
    pub dead_lettered: u64,
}

impl std::ops::AddAssign for Outcome {
    fn add_assign(&mut self, other: Outcome) {
        self.read += other.read;
        self.inserted += other.inserted;
        self.changed += other.changed;
        self.unchanged += other.unchanged;
        self.superseded += other.superseded;
        self.kept = self.kept.zip(other.kept).map(|(ours, theirs)| ours + theirs);
        self.dead_lettered += other.dead_lettered;
    }
}

impl Outcome {
    /// The counts in the order of the ledger's columns.
    pub(crate) fn counts(&self) -> [Option<u64>; 7] {
        let Outcome { read, inserted, changed, unchanged, superseded, kept, dead_lettered } = *self;
        let [read, inserted, changed, unchanged] = [read, inserted, changed, unchanged].map(Some);
        [read, inserted, changed, unchanged, Some(superseded), Some(dead_lettered), kept]
    }

    /// The outcome of a chunk of `read` records, of which `dead_lettered` were refused and the others upserted.
    ///
    /// The upsert classifies rows before it writes them. In between, a chunk of another partition can write the same
    /// keys. Rows that are then not written count as superseded, so that the counts always add up.
    pub(crate) fn of_upsert(read: u64, dead_lettered: u64, Upserted { seen, written, kept }: Upserted) -> Outcome {
        let mut lost = seen.iter().sum::<u64>().saturating_sub(written);
        let [inserted, changed, unchanged] = seen.map(|count| {
            let taken = count.min(lost);
            lost -= taken;
            count - taken
        });
        let superseded = read - dead_lettered - inserted - changed - unchanged;
        Outcome { read, inserted, changed, unchanged, superseded, kept: Some(kept), dead_lettered }
    }
}

/// The result of an upsert: the rows that it classified as new, changed and unchanged, the rows that it wrote, and the
/// versions that it kept as revisions.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Upserted {
    pub(crate) seen: [u64; 3],
    pub(crate) written: u64,
    pub(crate) kept: u64,
}

impl std::ops::AddAssign for Upserted {
    fn add_assign(&mut self, other: Upserted) {
        self.seen = std::array::from_fn(|at| self.seen[at] + other.seen[at]);
        self.written += other.written;
        self.kept += other.kept;
    }
}

/// A committed chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The outcome of its records.
    pub outcome: Outcome,
    /// Whether an earlier attempt committed the chunk, but its answer was lost.
    pub already: bool,
    /// The quarantines that began with it.
    pub quarantined: Vec<Trip>,
}

/// Records that Kafka removed before a sink could read them.
#[derive(Debug)]
pub struct Gap {
    /// The partition, with the incarnation that the sink was reading.
    pub partition: SinkPartition,
    /// The next offset to read before the gap.
    pub from_offset: i64,
    /// Incarnation and offset at which the sink continues.
    pub next: (i32, i64),
    /// `retention`, `truncated` or `recreated`.
    pub reason: &'static str,
}

/// How far a sink has got in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// How often the topic has been recreated or truncated.
    pub incarnation: i32,
    /// The partition's number.
    pub partition: i32,
    /// The next offset to read.
    pub next_offset: i64,
    /// The last record that was read; None before the first.
    pub last: Option<LastRecord>,
    /// The id of the topic that was read; None where Kafka did not say.
    pub topic_id: Option<String>,
}

/// The outcome of all records of a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Total {
    /// The consumer group.
    pub sink: String,
    /// The sum over its chunks.
    pub outcome: Outcome,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_class_of_an_sqlstate_becomes_a_label() {
        assert_eq!(RetryClass::of_sqlstate("40P01").label(), "40");
        assert_eq!(RetryClass::of_sqlstate("\u{e9}").label(), "unknown");
        assert_eq!(RetryClass::of_sqlstate("").label(), "unknown");
        assert_eq!(RetryClass::Sqlite.label(), "sqlite");
        assert_eq!(RetryClass::Connection.label(), "connection");
        assert_eq!(RetryClass::Timeout.label(), "connection");
    }
}
