//! A chunk: the records of one partition that a consumer commits at once. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use contract::rows::Versions;
use contract::{Column, Dataset, Original, Rows, Text};

use crate::dead_letter::{self, Cause, Refusal, Refused};
pub use crate::partition::{LastRecord, SinkPartition};
use crate::quarantine::{Trip, publisher};

mod originals;

/// Rows on their way into a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Incoming<'a> {
    pub(crate) dataset: &'static Dataset,
    /// The dataset's own table, or a side table of the same shape.
    pub(crate) table: &'a str,
    pub(crate) rows: &'a Rows,
    /// Where on a topic they are; None for rows that come from no topic.
    pub(crate) places: Option<Places<'a>>,
}

/// Places of rows in a partition of a topic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places<'a> {
    pub(crate) incarnation: i32,
    pub(crate) partition: i32,
    /// The offset of each row.
    pub(crate) offsets: &'a [i64],
}

impl Incoming<'_> {
    /// The offset of a row.
    pub(crate) fn offset(&self, row: usize) -> Option<i64> {
        self.places.map(|places| places.offsets[row])
    }
}

use originals::Originals;

/// The target table of a sink's rows.
#[derive(Debug, Clone)]
pub struct Target {
    /// The dataset.
    pub dataset: &'static Dataset,
    /// The table: the dataset's own, or one beside it of the same shape.
    pub table: Arc<str>,
    /// The name under which dead letters are stored; None: they are only counted.
    pub dead_letters: Option<Arc<str>>,
    /// Whether position and ledger are written; a dry run writes neither.
    pub accounted: bool,
    /// Of each partition the incarnation of the topic that is read; None: that of the sink. A replay counts its own from 0.
    pub incarnations: Option<Arc<BTreeMap<i32, i32>>>,
}

impl Target {
    /// The dataset's own table, written by that sink.
    pub fn live(dataset: &'static Dataset, sink: Arc<str>) -> Target {
        Target {
            dataset,
            table: dataset.name.as_str().into(),
            dead_letters: Some(sink),
            accounted: true,
            incarnations: None,
        }
    }
}

/// Records of one partition in a contiguous range of offsets, decoded and validated.
///
/// [`ChunkBuilder`] builds it, [`crate::Store::commit`] commits it. Offsets without a record of the sink (transaction
/// markers, records of another key in a replay) count as passed.
#[derive(Debug)]
pub struct Chunk {
    /// The partition.
    pub partition: SinkPartition,
    /// The table.
    pub target: Target,
    /// First offset of the range, which is the position before the commit.
    pub from_offset: i64,
    /// End of the range, which is the position after the commit.
    pub to_offset: i64,
    /// The last record in the range; None when there is no record in it.
    pub last: Option<LastRecord>,
    /// Accepted records.
    pub rows: Rows,
    /// Refused records, as rows of `dead_letter`.
    pub dead_letters: Rows,
    /// The publisher of each refused record.
    pub publishers: Vec<Text>,
    /// The publishers of whose records too many are refused.
    pub trips: Vec<Trip>,
    /// The original messages of the rows, for dead letters of rows that the database refuses.
    originals: Originals,
    refused: HashSet<usize>,
    /// By publisher, how many of its rows the database refuses.
    refusals: HashMap<Text, usize>,
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
            publishers: Vec::new(),
            trips: Vec::new(),
            originals: Originals::default(),
            refused: HashSet::new(),
            refusals: HashMap::new(),
        }
    }

    /// Number of records, accepted and refused.
    pub fn records(&self) -> usize {
        self.rows.len() - self.refused.len() + self.dead_letters.len()
    }

    /// The rows to write, in the order of the keys: the distinct versions that were not refused.
    pub fn versions(&self) -> Versions {
        self.rows.versions(self.target.dataset, |row| self.refused.contains(&row))
    }

    /// The accepted records, on their way into the table.
    pub(crate) fn incoming(&self) -> Incoming<'_> {
        let SinkPartition { incarnation, number, .. } = self.partition;
        let of_topic = |known: &Arc<BTreeMap<i32, i32>>| known.get(&number).copied().unwrap_or_default();
        let incarnation = self.target.incarnations.as_ref().map_or(incarnation, of_topic);
        Incoming {
            dataset: self.target.dataset,
            table: &self.target.table,
            rows: &self.rows,
            places: Some(Places { incarnation, partition: number, offsets: &self.originals.offsets }),
        }
    }

    /// Turns a row that the database refuses into a dead letter. Idempotent.
    pub fn refuse(&mut self, row: usize, cause: Cause, now: DateTime<Utc>) {
        if self.refused.insert(row) {
            let original = self.originals.get(row);
            let (publisher, reason) = (self.publisher_of(row), cause.reason.clone());
            append(&original, &self.partition, &self.target, (cause, now), &mut self.dead_letters);
            self.publishers.push(publisher.clone());
            self.count_refusal(publisher, reason);
        }
    }

    /// Begins the publisher's quarantine when the database refuses too many of its rows.
    fn count_refusal(&mut self, publisher: Text, reason: String) {
        let refused = self.refusals.entry(publisher.clone()).or_default();
        *refused += 1;
        let refused = *refused;
        if refused < MIN_REFUSED || self.trips.iter().any(|trip| trip.publisher == publisher) {
            return;
        }
        let seen = (0..self.rows.len()).filter(|row| self.publisher_of(*row) == publisher).count();
        if refused * 100 > seen * MAX_REFUSED_PERCENT {
            self.trips.push(Trip { publisher, refused, seen, reason });
        }
    }

    fn publisher_of(&self, row: usize) -> Text {
        let source = self.target.dataset.position("source");
        publisher(source.and_then(|at| self.rows.column(at).text(row)))
    }

    /// The offset of a refused record.
    pub(crate) fn offset_of_dead_letter(&self, row: usize) -> i64 {
        let position = dead_letter::dataset().position("kafka_offset");
        match position.map(|at| self.dead_letters.column(at)) {
            Some(Column::Long(offsets)) => offsets[row].unwrap_or_default(),
            _ => 0,
        }
    }
}

/// Appends a refused message to the dead letters.
fn append(
    original: &Original<'_>,
    partition: &SinkPartition,
    target: &Target,
    (cause, refused_at): (Cause, DateTime<Utc>),
    dead_letters: &mut Rows,
) {
    let source = target.dead_letters.as_deref().unwrap_or(&partition.sink);
    let refusal = Refusal { original, partition, source, dataset: target.dataset, cause, refused_at };
    dead_letter::append(refusal, dead_letters);
}

/// A publisher with fewer refused records is not quarantined, whatever their share.
pub const MIN_REFUSED: usize = 50;
/// Share of a publisher's rows in a chunk that the database may refuse, in percent, before its quarantine begins.
const MAX_REFUSED_PERCENT: usize = 5;

/// When a chunk is committed: as soon as it reaches one of these limits.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Number of records.
    pub rows: usize,
    /// Bytes of their messages.
    pub bytes: usize,
    /// Time since the first record.
    pub age: Duration,
}

/// Collects the records of a partition into one chunk after the other.
#[derive(Debug)]
pub struct ChunkBuilder {
    chunk: Chunk,
    bytes: usize,
    since: Option<Instant>,
}

impl ChunkBuilder {
    /// Starts with an empty chunk at an offset.
    pub fn new(partition: SinkPartition, target: Target, offset: i64) -> Self {
        ChunkBuilder { chunk: Chunk::new(partition, target, offset), bytes: 0, since: None }
    }

    /// The partition.
    pub fn partition(&self) -> &SinkPartition {
        &self.chunk.partition
    }

    /// Offset of the next record to add. A record with a lower offset was already added.
    pub fn next_offset(&self) -> i64 {
        self.chunk.to_offset
    }

    /// The rows, to append one record to; call [`ChunkBuilder::took`] afterwards, also when the record was refused.
    pub fn rows(&mut self) -> &mut Rows {
        &mut self.chunk.rows
    }

    /// Completes a record, which was appended to the rows, or refused for a cause and becomes a dead letter.
    pub fn took(&mut self, original: &Original<'_>, refused: Option<Refused>, now: Instant) {
        let chunk = &mut self.chunk;
        match refused {
            None => chunk.originals.push(original),
            Some(Refused { cause, publisher }) => {
                let (partition, target) = (&chunk.partition, &chunk.target);
                append(original, partition, target, (cause, Utc::now()), &mut chunk.dead_letters);
                chunk.publishers.push(publisher);
            }
        }
        chunk.last = Some(LastRecord::of(original));
        self.passed(original.offset, original.len(), now);
    }

    /// Too many of a publisher's records are refused.
    pub fn tripped(&mut self, trip: Trip) {
        self.chunk.trips.push(trip);
    }

    /// Skips a record that is not for this sink, such as another key in a replay.
    pub fn passed(&mut self, offset: i64, bytes: usize, now: Instant) {
        self.chunk.to_offset = offset + 1;
        self.bytes += bytes;
        self.since.get_or_insert(now);
    }

    /// Number of records, accepted and refused.
    pub fn records(&self) -> usize {
        self.chunk.records()
    }

    /// Whether the chunk has reached its number of records or bytes.
    pub fn is_full(&self, limits: &Limits) -> bool {
        self.chunk.records() >= limits.rows || self.bytes >= limits.bytes
    }

    /// Whether the chunk has reached one of its limits.
    pub fn is_due(&self, limits: &Limits, now: Instant) -> bool {
        self.is_full(limits) || self.since.is_some_and(|since| now.duration_since(since) >= limits.age)
    }

    /// Whether the chunk has neither records nor passed offsets.
    pub fn is_empty(&self) -> bool {
        self.since.is_none()
    }

    /// Takes the chunk out; the builder starts the next one at its end.
    pub fn take(&mut self) -> Chunk {
        let Chunk { partition, target, to_offset, .. } = &self.chunk;
        let next = ChunkBuilder::new(partition.clone(), target.clone(), *to_offset);
        std::mem::replace(self, next).chunk
    }
}
