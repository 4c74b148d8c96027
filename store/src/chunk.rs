//! A chunk: what a consumer commits at once. Pure.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use contract::rows::Folded;
use contract::{Dataset, Original, Rows};

use crate::dead_letter::{self, Cause};
pub use crate::partition::{LastRecord, SinkPartition};

mod originals;

use originals::Originals;

/// Where the rows of a sink go.
#[derive(Debug, Clone)]
pub struct Target {
    /// The dataset.
    pub dataset: &'static Dataset,
    /// The table: the dataset's own, or one beside it of the same shape.
    pub table: Arc<str>,
    /// Under whose name dead letters are kept; None: they are only counted.
    pub dead_letters: Option<Arc<str>>,
    /// Whether positions and ledger are kept; a trial run has none.
    pub accounted: bool,
}

impl Target {
    /// The dataset's own table, fed by that sink.
    pub fn live(dataset: &'static Dataset, sink: Arc<str>) -> Target {
        Target { dataset, table: dataset.name.as_str().into(), dead_letters: Some(sink), accounted: true }
    }
}

/// Records of one partition in a contiguous range of offsets, decoded and validated.
#[derive(Debug)]
pub struct Chunk {
    /// Where they are from.
    pub partition: SinkPartition,
    /// Where they go.
    pub target: Target,
    /// First offset of the range: where the sink stood.
    pub from_offset: i64,
    /// End of the range: where the sink will stand.
    pub to_offset: i64,
    /// The last record in the range; None when it holds none.
    pub last: Option<LastRecord>,
    /// Good records.
    pub rows: Rows,
    /// Refused records, as rows of `dead_letter`.
    pub dead_letters: Rows,
    /// The messages behind the rows, for those that only the database refuses.
    originals: Originals,
    refused: HashSet<usize>,
}

impl Chunk {
    fn new(partition: SinkPartition, target: Target, offset: i64) -> Chunk {
        let (rows, dead_letters) = (Rows::new(target.dataset), Rows::new(dead_letter::dataset()));
        Chunk {
            partition,
            target,
            from_offset: offset,
            to_offset: offset,
            last: None,
            rows,
            dead_letters,
            originals: Originals::default(),
            refused: HashSet::new(),
        }
    }

    /// Number of records in it.
    pub fn records(&self) -> usize {
        self.rows.len() - self.refused.len() + self.dead_letters.len()
    }

    /// The rows to write: one per key, the highest version of those that were not refused, in the order of the keys.
    pub fn fold(&self) -> Vec<Folded> {
        self.rows.fold(self.target.dataset, |row| self.refused.contains(&row))
    }

    /// Makes a row that the database refuses a dead letter; the chunk stays what it was otherwise.
    pub fn refuse(&mut self, row: usize, cause: Cause, now: DateTime<Utc>) {
        if self.refused.insert(row) {
            let original = self.originals.get(row);
            let (partition, dataset) = (&self.partition, self.target.dataset);
            let source = self.target.dead_letters.as_deref().unwrap_or(&partition.sink);
            dead_letter::append(&original, partition, source, dataset, cause, now, &mut self.dead_letters);
        }
    }
}

/// Fewer refused records than this are never too many, whatever their share.
pub const MIN_REFUSED: usize = 50;

/// When a chunk is committed: as soon as one of the bounds is reached.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Records.
    pub rows: usize,
    /// Bytes of messages.
    pub bytes: usize,
    /// Time since the first record.
    pub age: Duration,
}

/// Collects a chunk.
#[derive(Debug)]
pub struct ChunkBuilder {
    chunk: Chunk,
    bytes: usize,
    since: Option<Instant>,
}

impl ChunkBuilder {
    /// Begins at an offset.
    pub fn new(partition: SinkPartition, target: Target, offset: i64) -> Self {
        ChunkBuilder { chunk: Chunk::new(partition, target, offset), bytes: 0, since: None }
    }

    /// Where the records are from.
    pub fn partition(&self) -> &SinkPartition {
        &self.chunk.partition
    }

    /// Offset of the next record to take: a lower one is a repetition.
    pub fn next_offset(&self) -> i64 {
        self.chunk.to_offset
    }

    /// The rows, for the record at hand to be appended to; [`ChunkBuilder::took`] must follow.
    pub fn rows(&mut self) -> &mut Rows {
        &mut self.chunk.rows
    }

    /// Notes that the record at hand was appended to the rows, or with the cause, why it was not.
    pub fn took(&mut self, original: &Original<'_>, refused: Option<Cause>, now: Instant) {
        let chunk = &mut self.chunk;
        match refused {
            None => chunk.originals.push(original),
            Some(cause) => {
                let (partition, dataset) = (&chunk.partition, chunk.target.dataset);
                let source = chunk.target.dead_letters.as_deref().unwrap_or(&partition.sink);
                dead_letter::append(original, partition, source, dataset, cause, Utc::now(), &mut chunk.dead_letters);
            }
        }
        chunk.last = Some(LastRecord::of(original));
        self.passed(original.offset, original.len(), now);
    }

    /// Notes that a record is none of ours, e.g. because a replay is for another key.
    pub fn passed(&mut self, offset: i64, bytes: usize, now: Instant) {
        self.chunk.to_offset = offset + 1;
        self.bytes += bytes;
        self.since.get_or_insert(now);
    }

    /// Number of records in it.
    pub fn records(&self) -> usize {
        self.chunk.records()
    }

    /// Whether it holds as much as it may.
    pub fn is_full(&self, limits: &Limits) -> bool {
        self.chunk.records() >= limits.rows || self.bytes >= limits.bytes
    }

    /// Whether it should be committed now.
    pub fn is_due(&self, limits: &Limits, now: Instant) -> bool {
        self.is_full(limits) || self.since.is_some_and(|since| now.duration_since(since) >= limits.age)
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.since.is_none()
    }

    /// Takes the chunk; the builder begins anew where it ends.
    pub fn take(&mut self) -> Chunk {
        let Chunk { partition, target, to_offset, .. } = &self.chunk;
        let next = ChunkBuilder::new(partition.clone(), target.clone(), *to_offset);
        std::mem::replace(self, next).chunk
    }
}
