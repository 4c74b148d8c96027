//! One partition in the state machine: its intake, the chunk being built, the chunk being written. Pure.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use super::breaker::Breakers;
use super::state::{ChunkId, Size};

/// Whether a partition accepts messages, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Intake {
    /// It accepts messages.
    Reading,
    /// It accepts messages, but has read all that are on the topic.
    AtEnd,
    /// Its chunk is full and cannot be handed over yet: polling is blocked.
    Full { at_end: bool },
    /// Its chunk is full, and the partition is paused, so that the others can be polled.
    Paused { at_end: bool },
    /// Its next message waits for its schema, and the partition is paused.
    Parked(Parked),
}

/// A message that waits for its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parked {
    pub(super) offset: i64,
    pub(super) since: Instant,
    pub(super) try_at: Instant,
}

/// The chunk that a partition is building.
#[derive(Debug)]
struct Built {
    size: Size,
    since: Instant,
}

/// How urgently a chunk is to be handed over; the lowest value comes first.
pub(super) type Urgency = (Reverse<bool>, Instant);

/// A partition that is ours.
#[derive(Debug)]
pub(super) struct Partition {
    /// Offset of the next record to read: a lower one was already read.
    pub(super) next_offset: i64,
    pub(super) intake: Intake,
    pub(super) breakers: Breakers,
    /// First offset of the chunk being built.
    from: i64,
    /// None: the chunk is empty.
    built: Option<Built>,
    /// The chunk that is being written.
    written: Option<ChunkId>,
}

impl Partition {
    pub(super) fn new(offset: i64, breakers: Breakers) -> Partition {
        Partition { next_offset: offset, intake: Intake::Reading, breakers, from: offset, built: None, written: None }
    }

    /// Size of the chunk being built.
    pub(super) fn size(&self) -> Size {
        self.built.as_ref().map_or(Size::default(), |built| built.size)
    }

    /// Whether it has no chunk being built or written.
    pub(super) fn is_settled(&self) -> bool {
        self.built.is_none() && self.written.is_none()
    }

    /// Whether it has a chunk to write, and the previous one is committed.
    pub(super) fn can_be_written(&self) -> bool {
        self.built.is_some() && self.written.is_none()
    }

    /// Takes a message.
    pub(super) fn take(&mut self, offset: i64, message: Size, now: Instant) {
        self.next_offset = offset + 1;
        let built = self.built.get_or_insert(Built { size: Size::default(), since: now });
        built.size.add(message);
        match &mut self.intake {
            Intake::AtEnd | Intake::Parked(_) => self.intake = Intake::Reading,
            // A full partition is not polled. If it were, its message must not be lost.
            Intake::Full { at_end } | Intake::Paused { at_end } => *at_end = false,
            Intake::Reading => {}
        }
    }

    /// Marks the partition as full when its chunk reaches a limit; true when it was not full before.
    pub(super) fn fill(&mut self, limits: Size) -> bool {
        let fills = self.intake == Intake::Reading && self.size().reaches(limits);
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

    /// The partition has been read to its end.
    pub(super) fn end(&mut self) {
        match &mut self.intake {
            Intake::Reading | Intake::AtEnd => self.intake = Intake::AtEnd,
            Intake::Full { at_end } | Intake::Paused { at_end } => *at_end = true,
            // A stale end: the message that waits for its schema is still to come.
            Intake::Parked(_) => {}
        }
    }

    /// Pauses the partition if it is full; true when it was not paused before.
    pub(super) fn pause(&mut self) -> bool {
        let Intake::Full { at_end } = self.intake else { return false };
        self.intake = Intake::Paused { at_end };
        true
    }

    /// Whether to retry its missing schema now; if so, schedules the next retry an interval later.
    pub(super) fn is_to_be_tried(&mut self, now: Instant, interval: Duration) -> bool {
        let Intake::Parked(parked) = &mut self.intake else { return false };
        let is_due = parked.try_at <= now;
        if is_due {
            parked.try_at = now + interval;
        }
        is_due
    }

    /// How urgently its chunk is to be handed over; None when it is not due or cannot be.
    pub(super) fn urgency(&self, age: Duration, now: Instant, is_draining: bool) -> Option<Urgency> {
        let built = self.built.as_ref().filter(|_| self.written.is_none())?;
        let is_full = matches!(self.intake, Intake::Full { .. } | Intake::Paused { .. });
        let is_old = now.saturating_duration_since(built.since) >= age;
        let is_due = is_full || is_old || is_draining || self.intake == Intake::AtEnd;
        is_due.then_some((Reverse(is_full), built.since))
    }

    /// Hands over its chunk; returns the range of offsets and the previous intake.
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

    /// A chunk is committed. Not always the current one: the partition may have been revoked and assigned again.
    pub(super) fn committed(&mut self, chunk: ChunkId) {
        if self.written == Some(chunk) {
            self.written = None;
        }
    }
}
