//! A chunk: what a consumer commits at once. Pure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::{Dataset, Rows};

/// A partition of a topic, as one sink sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Partition {
    /// The consumer group, which names the sink.
    pub sink: Arc<str>,
    /// The topic.
    pub topic: Arc<str>,
    /// How often the topic has been recreated or truncated; offsets are only comparable within one incarnation.
    pub incarnation: i32,
    /// The partition's number.
    pub number: i32,
}

impl std::fmt::Display for Partition {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}[{}]", self.topic, self.number)
    }
}

/// Records of one partition in a contiguous range of offsets, decoded and validated.
#[derive(Debug)]
pub struct Chunk {
    /// Where they are from.
    pub partition: Partition,
    /// The dataset.
    pub dataset: &'static Dataset,
    /// First offset of the range: where the sink stood.
    pub from_offset: i64,
    /// End of the range: where the sink will stand.
    pub to_offset: i64,
    /// Good records.
    pub rows: Rows,
    /// Refused records, as rows of `dead_letter`.
    pub dead_letters: Rows,
}

impl Chunk {
    /// Number of records in it.
    pub fn records(&self) -> usize {
        self.rows.len() + self.dead_letters.len()
    }
}

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
    pub fn new(dataset: &'static Dataset, dead_letter: &'static Dataset, partition: Partition, offset: i64) -> Self {
        let (rows, dead_letters) = (Rows::new(dataset), Rows::new(dead_letter));
        let chunk = Chunk { partition, dataset, from_offset: offset, to_offset: offset, rows, dead_letters };
        ChunkBuilder { chunk, bytes: 0, since: None }
    }

    /// Where the records are from.
    pub fn partition(&self) -> &Partition {
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

    /// The dead letters, for the record at hand to be appended to; [`ChunkBuilder::took`] must follow.
    pub fn dead_letters(&mut self) -> &mut Rows {
        &mut self.chunk.dead_letters
    }

    /// Notes that the record at that offset is in, as a row or as a dead letter.
    pub fn took(&mut self, offset: i64, bytes: usize, now: Instant) {
        self.chunk.to_offset = offset + 1;
        self.bytes += bytes;
        self.since.get_or_insert(now);
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
    pub fn take(&mut self, dead_letter: &'static Dataset) -> Chunk {
        let next =
            ChunkBuilder::new(self.chunk.dataset, dead_letter, self.chunk.partition.clone(), self.chunk.to_offset);
        std::mem::replace(self, next).chunk
    }
}
