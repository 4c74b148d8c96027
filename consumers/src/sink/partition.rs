//! One partition in the state machine: what it takes in, what it has built, what is being written. Pure.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use super::breaker::Breaker;
use super::state::ChunkId;
use crate::chunk::Limits;

/// Whether a partition takes messages, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Intake {
    /// It takes messages.
    Reading,
    /// It takes messages, but all that are on the topic have been taken.
    AtEnd,
    /// Its chunk is full and cannot be handed over yet: nothing may be polled.
    Full { at_end: bool },
    /// Its chunk is full, and Kafka fetches nothing of it, so that the others can be polled.
    Paused { at_end: bool },
    /// Its next message cannot be read yet, and Kafka fetches nothing of it.
    Parked(Parked),
}

/// A message that waits for its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parked {
    pub(super) offset: i64,
    pub(super) since: Instant,
    pub(super) try_at: Instant,
}

/// What a partition has built and not handed over.
#[derive(Debug)]
struct Built {
    records: usize,
    bytes: usize,
    since: Instant,
}

/// How urgently a chunk is to be handed over; the least comes first.
pub(super) type Urgency = (Reverse<bool>, Instant);

/// A partition that is ours.
#[derive(Debug)]
pub(super) struct Partition {
    /// Offset of the next record to take: a lower one is a repetition.
    pub(super) next_offset: i64,
    pub(super) intake: Intake,
    pub(super) breaker: Breaker,
    /// Where the chunk begins that is being built.
    from: i64,
    /// None: it holds nothing.
    built: Option<Built>,
    /// The chunk that is being written.
    written: Option<ChunkId>,
}

impl Partition {
    pub(super) fn new(offset: i64, breaker: Breaker) -> Partition {
        Partition { next_offset: offset, intake: Intake::Reading, breaker, from: offset, built: None, written: None }
    }

    /// Number of records in the chunk that is being built.
    pub(super) fn records(&self) -> usize {
        self.built.as_ref().map_or(0, |built| built.records)
    }

    /// Whether it has nothing built and nothing being written.
    pub(super) fn is_settled(&self) -> bool {
        self.built.is_none() && self.written.is_none()
    }

    /// Whether it has something to write, and the chunk before is committed.
    pub(super) fn can_be_written(&self) -> bool {
        self.built.is_some() && self.written.is_none()
    }

    /// Takes a message.
    pub(super) fn take(&mut self, offset: i64, bytes: usize, records: usize, now: Instant) {
        self.next_offset = offset + 1;
        let built = self.built.get_or_insert(Built { records: 0, bytes: 0, since: now });
        built.records += records;
        built.bytes += bytes;
        match &mut self.intake {
            Intake::AtEnd | Intake::Parked(_) => self.intake = Intake::Reading,
            // Nothing is polled of a full partition; were it, the message must not be lost.
            Intake::Full { at_end } | Intake::Paused { at_end } => *at_end = false,
            Intake::Reading => {}
        }
    }

    /// Notices that the chunk holds as much as it may; true when that is new.
    pub(super) fn fill(&mut self, limits: &Limits) -> bool {
        let is_full = |built: &Built| built.records >= limits.rows || built.bytes >= limits.bytes;
        let fills = self.intake == Intake::Reading && self.built.as_ref().is_some_and(is_full);
        if fills {
            self.intake = Intake::Full { at_end: false };
        }
        fills
    }

    /// Waits for the schema of the next message; true when it was full.
    pub(super) fn park(&mut self, parked: Parked) -> bool {
        let before = std::mem::replace(&mut self.intake, Intake::Parked(parked));
        matches!(before, Intake::Full { .. })
    }

    /// Everything on the topic has been taken.
    pub(super) fn end(&mut self) {
        match &mut self.intake {
            Intake::Reading | Intake::AtEnd => self.intake = Intake::AtEnd,
            Intake::Full { at_end } | Intake::Paused { at_end } => *at_end = true,
            // Stale: the message that waits is still to come.
            Intake::Parked(_) => {}
        }
    }

    /// Stops being fetched if it is full; true when it was not paused before.
    pub(super) fn pause(&mut self) -> bool {
        let Intake::Full { at_end } = self.intake else { return false };
        self.intake = Intake::Paused { at_end };
        true
    }

    /// Whether the schema that it waits for is to be tried again now; if so, the next try is an interval later.
    pub(super) fn is_to_be_tried(&mut self, now: Instant, interval: Duration) -> bool {
        let Intake::Parked(parked) = &mut self.intake else { return false };
        let is_due = parked.try_at <= now;
        if is_due {
            parked.try_at = now + interval;
        }
        is_due
    }

    /// How urgently its chunk is to be handed over; None when it need not or cannot be.
    pub(super) fn urgency(&self, age: Duration, now: Instant, is_draining: bool) -> Option<Urgency> {
        let built = self.built.as_ref().filter(|_| self.written.is_none())?;
        let is_full = matches!(self.intake, Intake::Full { .. } | Intake::Paused { .. });
        let is_old = now.saturating_duration_since(built.since) >= age;
        let is_due = is_full || is_old || is_draining || self.intake == Intake::AtEnd;
        is_due.then_some((Reverse(is_full), built.since))
    }

    /// Hands over its chunk; gives the range of offsets and what the intake was before.
    pub(super) fn hand_over(&mut self, chunk: ChunkId) -> (i64, i64, Intake) {
        let range = (self.from, self.next_offset);
        self.from = self.next_offset;
        self.built = None;
        self.written = Some(chunk);
        let after = match &self.intake {
            Intake::Full { at_end: true } | Intake::Paused { at_end: true } | Intake::AtEnd => Intake::AtEnd,
            Intake::Full { at_end: false } | Intake::Paused { at_end: false } | Intake::Reading => Intake::Reading,
            Intake::Parked(parked) => Intake::Parked(parked.clone()),
        };
        (range.0, range.1, std::mem::replace(&mut self.intake, after))
    }

    /// A chunk is committed. Not always its own: it can have been revoked and assigned again since.
    pub(super) fn committed(&mut self, chunk: ChunkId) {
        if self.written == Some(chunk) {
            self.written = None;
        }
    }
}
