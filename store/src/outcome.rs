//! What a store answers: outcomes of chunks, positions, gaps and errors.

use thiserror::Error;

use crate::partition::{LastRecord, SinkPartition};

/// Why a store did not do it, named by what to do next.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database is not available or busy: the same again later.
    #[error("{0}")]
    Retry(String),
    /// Another consumer has moved this partition on: read the position and go on from there.
    #[error("partition {partition} was moved on by another consumer")]
    Fenced {
        /// The partition.
        partition: SinkPartition,
    },
    /// The database is not what it must be: an operator is needed.
    #[error("{0}")]
    Halt(String),
}

/// What became of a chunk's records; the sum of the parts is `read`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Outcome {
    /// All.
    pub read: u64,
    /// Keys that were not in the table.
    pub inserted: u64,
    /// Rows replaced by other values of a higher version.
    pub changed: u64,
    /// Rows whose version alone advanced: the same values again.
    pub unchanged: u64,
    /// Records older than the table's row, or than another one in the same chunk.
    pub superseded: u64,
    /// Refused records.
    pub dead_lettered: u64,
}

impl std::ops::AddAssign for Outcome {
    fn add_assign(&mut self, other: Outcome) {
        self.read += other.read;
        self.inserted += other.inserted;
        self.changed += other.changed;
        self.unchanged += other.unchanged;
        self.superseded += other.superseded;
        self.dead_lettered += other.dead_lettered;
    }
}

impl Outcome {
    /// The outcome of an upsert that wrote `written` rows, of which a look beforehand saw so many of each class.
    ///
    /// Between that look and the write another partition's chunk can have written the same keys; what was then not
    /// written is superseded, so that the sum holds whatever happens.
    pub(crate) fn of_upsert(read: u64, dead_lettered: u64, Upserted { seen, written }: Upserted) -> Outcome {
        let mut lost = seen.iter().sum::<u64>().saturating_sub(written);
        let [inserted, changed, unchanged] = seen.map(|count| {
            let taken = count.min(lost);
            lost -= taken;
            count - taken
        });
        let superseded = read - dead_lettered - inserted - changed - unchanged;
        Outcome { read, inserted, changed, unchanged, superseded, dead_lettered }
    }
}

/// What an upsert did: how many rows were seen as new, changed and unchanged beforehand, and how many were written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Upserted {
    pub(crate) seen: [u64; 3],
    pub(crate) written: u64,
}

impl std::ops::AddAssign for Upserted {
    fn add_assign(&mut self, other: Upserted) {
        self.seen = std::array::from_fn(|at| self.seen[at] + other.seen[at]);
        self.written += other.written;
    }
}

/// A chunk that is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// What became of its records.
    pub outcome: Outcome,
    /// Whether an earlier attempt had committed it, whose answer was lost.
    pub already: bool,
}

/// Records that were gone before a sink could read them.
#[derive(Debug)]
pub struct Gap {
    /// Where.
    pub partition: SinkPartition,
    /// The next offset that the sink wanted.
    pub from_offset: i64,
    /// Incarnation and offset at which it goes on.
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
    /// The next offset to take.
    pub next_offset: i64,
    /// The last record that was taken; None before the first.
    pub last: Option<LastRecord>,
}

/// What became of all records of one dataset's sinks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Total {
    /// The consumer group.
    pub sink: String,
    /// The sum over its chunks.
    pub outcome: Outcome,
}
