//! A sink's flow as a state machine: events and the time in, actions out.
//!
//! Pure: it knows neither Kafka nor a database, never blocks and reads no clock. It counts records and bytes, but holds
//! none. The live sink, a replay and the tests drive the same machine: each feeds it events and executes the actions of
//! [`State::next_action`].
//!
//! It holds these invariants, whatever the order of events:
//!
//! 1. Of each partition at most one chunk is being written, and one is being built.
//! 2. The chunks of a partition follow each other without hole or overlap; no record is read twice or skipped.
//! 3. A full partition accepts no message before its chunk is handed over.
//! 4. A position is reported to Kafka only after its commit.
//! 5. A paused partition is resumed once there is room, and a missing schema is retried.
//! 6. All chunks together hold at most one message more than [`Rules::max_held`], in records and in bytes.
//! 7. While no chunk can grow, no writer is idle that could write one.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use store::chunk::Limits;

use super::breaker::Breakers;
use super::partition::{Intake, Parked, Partition};

mod blocking;
mod budget;

use budget::Held;
pub(crate) use budget::{MAX_HELD, Size};

/// The settings of a machine; the same for all its partitions.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// When a chunk is handed over.
    pub(crate) limits: Limits,
    /// Most that is held in memory, in chunks being built and being written, of all partitions together.
    pub(crate) max_held: Size,
    /// Chunks written concurrently.
    pub(crate) writers: usize,
    /// How long polling may be blocked before the partitions that block it are paused; None: they are never paused.
    pub(crate) pause_after: Option<Duration>,
    /// Share of a publisher's refused records at which its quarantine begins, in percent.
    pub(crate) breaker_percent: usize,
    /// How long a partition waits before it tries a missing schema again.
    pub(crate) schema_interval: Duration,
    /// How long a partition waits for a schema that the registry does not know.
    pub(crate) unknown_patience: Duration,
    /// How long a partition waits for a registry that does not answer; None: forever.
    pub(crate) away_patience: Option<Duration>,
    /// Whether to finish at the end of the topic.
    pub(crate) once: bool,
}

/// A chunk that was handed over. A partition can be revoked and assigned again while its old chunk is being written:
/// the number tells the writers' results apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ChunkId(u64);

impl ChunkId {
    /// The chunk of that number.
    pub(crate) fn numbered(number: u64) -> ChunkId {
        ChunkId(number)
    }
}

/// What the driver must do. Actions are executed in the order in which the machine returns them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Hand the partition's chunk, which has this range of offsets, to the writers. They have room for it.
    Write { partition: i32, chunk: ChunkId, from: i64, to: i64 },
    /// Stop fetching the partition.
    Pause { partition: i32 },
    /// Resume fetching the partition.
    Resume { partition: i32 },
    /// Stop fetching the partition; when it is resumed, continue with the message at this offset.
    HoldAt { partition: i32, offset: i64 },
    /// Report the partition's committed position to Kafka.
    Report { partition: i32, next_offset: i64 },
}

/// Why a schema is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lack {
    /// The registry does not answer.
    Away,
    /// The registry does not know it.
    Unknown,
}

/// Why the machine cannot go on: an operator is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Halt {
    /// The schema of the next message has been missing for too long.
    Schema { waited: Duration, lack: Lack },
}

/// The phase of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The group has not assigned partitions yet.
    Joining,
    /// Partitions are assigned, possibly none.
    Running,
    /// Reading has ended; the chunks being built are handed over.
    Draining,
}

/// The state of a sink, or of a replay.
#[derive(Debug)]
pub(crate) struct State {
    rules: Rules,
    /// Size at which a chunk is full.
    limits: Size,
    phase: Phase,
    partitions: BTreeMap<i32, Partition>,
    /// Partitions whose intake is `Full`: while there are any, polling is blocked.
    full: usize,
    held: Held,
    /// Whether all partitions are paused, because the memory is used up: polling them returns nothing.
    is_held_up: bool,
    blocked_since: Option<Instant>,
    last_chunk: u64,
    actions: VecDeque<Action>,
}

impl State {
    pub(crate) fn new(rules: Rules) -> State {
        let (limits, most) = (rules.limits, rules.max_held);
        // With one partition, a chunk is built while another is written.
        let at_most = |limit: usize, held: usize| limit.min(held / 2).max(1);
        State {
            limits: Size { records: at_most(limits.rows, most.records), bytes: at_most(limits.bytes, most.bytes) },
            held: Held::new(most),
            is_held_up: false,
            rules,
            phase: Phase::Joining,
            partitions: BTreeMap::new(),
            full: 0,
            blocked_since: None,
            last_chunk: 0,
            actions: VecDeque::new(),
        }
    }

    /// Most chunks in flight: for each writer one being written and one in its queue.
    pub(crate) fn max_in_flight(writers: usize) -> usize {
        2 * writers
    }

    /// The next action; None when there is none.
    pub(crate) fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether the machine was to stop at the end of the topic and has committed everything up to it.
    pub(crate) fn is_done(&self) -> bool {
        let done = |partition: &Partition| partition.intake == Intake::AtEnd && partition.is_settled();
        self.rules.once && self.phase == Phase::Running && self.partitions.values().all(done)
    }

    /// Whether any chunk is being written.
    pub(crate) fn is_writing(&self) -> bool {
        self.held.in_flight() > 0
    }

    /// Whether a partition waits for the schema of its next message.
    pub(crate) fn waits_for_schema(&self, partition: i32) -> bool {
        self.partitions.get(&partition).is_some_and(|partition| matches!(partition.intake, Intake::Parked(_)))
    }

    /// Whether every chunk has been handed over and committed.
    pub(crate) fn is_drained(&self) -> bool {
        self.partitions.values().all(Partition::is_settled)
    }

    /// Whether this message is the next one of its partition. If so, [`State::on_taken`] or
    /// [`State::on_schema_missing`] must follow; if not, it was already read or its partition is not ours.
    pub(crate) fn expects(&self, partition: i32, offset: i64) -> bool {
        self.partitions.get(&partition).is_some_and(|partition| match &partition.intake {
            // Messages fetched ahead of the parked one are fetched again after it.
            Intake::Parked(parked) => parked.offset == offset,
            _ => offset >= partition.next_offset,
        })
    }

    /// Handles an assignment: exactly these partitions are ours, each from this offset on.
    pub(crate) fn on_assigned(&mut self, starts: impl Iterator<Item = (i32, i64)>) {
        self.forget_partitions();
        let breakers = Breakers::new(self.rules.breaker_percent);
        self.partitions = starts.map(|(number, offset)| (number, Partition::new(offset, breakers.clone()))).collect();
        if self.phase == Phase::Joining {
            self.phase = Phase::Running;
        }
    }

    /// Handles a revocation: no partition is ours any more. The writers still report the results of its chunks.
    pub(crate) fn on_revoked(&mut self) {
        self.forget_partitions();
        if self.phase == Phase::Running {
            self.phase = Phase::Joining;
        }
    }

    fn forget_partitions(&mut self) {
        self.partitions.clear();
        self.held.forget_built();
        (self.full, self.is_held_up, self.blocked_since) = (0, false, None);
    }

    /// Counts records of the expected message's partition by publisher.
    pub(crate) fn breakers(&mut self, number: i32) -> Option<&mut Breakers> {
        Some(&mut self.partitions.get_mut(&number)?.breakers)
    }

    /// The expected message is in its partition's chunk now, as a row or, refused, as a dead letter.
    pub(crate) fn on_taken(&mut self, number: i32, offset: i64, bytes: usize, now: Instant) {
        self.take(number, offset, Size { records: 1, bytes }, now);
    }

    /// The expected message is skipped, because a replay filters it out.
    pub(crate) fn on_passed(&mut self, number: i32, offset: i64, bytes: usize, now: Instant) {
        self.take(number, offset, Size { records: 0, bytes }, now);
    }

    fn take(&mut self, number: i32, offset: i64, message: Size, now: Instant) {
        let Some(partition) = self.partitions.get_mut(&number) else { return };
        partition.take(offset, message, now);
        self.held.take(message);
        self.full += usize::from(partition.fill(self.limits));
        if self.is_blocked() {
            self.dispatch(now);
        }
    }

    /// The expected message cannot be read, because its schema is missing. Only its partition waits. Returns whether
    /// the wait is new.
    pub(crate) fn on_schema_missing(
        &mut self,
        number: i32,
        offset: i64,
        lack: Lack,
        now: Instant,
    ) -> Result<bool, Halt> {
        let Some(partition) = self.partitions.get_mut(&number) else { return Ok(false) };
        let (since, is_new) = match &partition.intake {
            Intake::Parked(parked) => (parked.since, false),
            _ => (now, true),
        };
        let waited = now.duration_since(since);
        let unknown_patience = (lack == Lack::Unknown).then_some(self.rules.unknown_patience);
        let patience = [self.rules.away_patience, unknown_patience].into_iter().flatten().min();
        if patience.is_some_and(|patience| waited >= patience) {
            return Err(Halt::Schema { waited, lack });
        }
        let was_full = partition.park(Parked { offset, since, try_at: now + self.rules.schema_interval });
        self.full -= usize::from(was_full);
        self.actions.push_back(Action::HoldAt { partition: number, offset });
        Ok(is_new)
    }

    /// The partition has been read to its end.
    pub(crate) fn on_end(&mut self, number: i32, now: Instant) {
        if let Some(partition) = self.partitions.get_mut(&number) {
            partition.end();
            self.dispatch(now);
        }
    }

    /// A chunk has been committed, with this range's end.
    pub(crate) fn on_committed(&mut self, number: i32, chunk: ChunkId, to: i64, now: Instant) {
        self.held.committed(chunk);
        self.actions.push_back(Action::Report { partition: number, next_offset: to });
        if let Some(partition) = self.partitions.get_mut(&number) {
            partition.committed(chunk);
        }
        self.dispatch(now);
    }

    /// Time has passed: checks the ages of chunks, the partitions to pause, and the waits for schemas.
    pub(crate) fn on_tick(&mut self, now: Instant) {
        self.dispatch(now);
        self.pause_blocked(now);
        if self.is_held_up {
            // There is no room for a message that waits for its schema either.
            return;
        }
        for (number, partition) in &mut self.partitions {
            if partition.is_to_be_tried(now, self.rules.schema_interval) {
                self.actions.push_back(Action::Resume { partition: *number });
            }
        }
    }

    /// Reading has ended: from now on the chunks being built are handed over, full or not.
    pub(crate) fn on_stop(&mut self, now: Instant) {
        self.phase = Phase::Draining;
        self.dispatch(now);
    }

    /// Hands over chunks while the writers have room: full chunks first, then the oldest. When the memory is used up,
    /// the largest.
    fn dispatch(&mut self, now: Instant) {
        while self.held.in_flight() < State::max_in_flight(self.rules.writers) {
            let largest = || if self.held.is_used_up() { self.largest() } else { None };
            let Some(number) = self.due(now).or_else(largest) else { break };
            self.hand_over(number);
        }
        // While polling is blocked, no chunk can grow: writers do not wait for a fuller one.
        while self.full > 0 && self.held.in_flight() < self.rules.writers {
            let Some(number) = self.largest() else { break };
            self.hand_over(number);
        }
        self.note_room(now);
    }

    /// The partition whose chunk is the most urgent, of those that are due.
    fn due(&self, now: Instant) -> Option<i32> {
        let is_draining = self.phase == Phase::Draining;
        let due = self.partitions.iter().filter_map(|(number, partition)| {
            let urgency = partition.urgency(self.rules.limits.age, now, is_draining)?;
            Some((urgency, *number))
        });
        due.min().map(|(_, number)| number)
    }

    /// The partition with the largest chunk, of those that can be handed over.
    fn largest(&self) -> Option<i32> {
        let idle = self.partitions.iter().filter(|(_, partition)| partition.can_be_written());
        idle.max_by_key(|(_, partition)| self.held.share(partition.size())).map(|(number, _)| *number)
    }

    fn hand_over(&mut self, number: i32) {
        let Some(partition) = self.partitions.get_mut(&number) else { return };
        let chunk = ChunkId::numbered(self.last_chunk + 1);
        self.held.hand_over(chunk, partition.size());
        let (from, to, before) = partition.hand_over(chunk);
        self.last_chunk += 1;
        self.actions.push_back(Action::Write { partition: number, chunk, from, to });
        match before {
            Intake::Full { .. } => self.full -= 1,
            // It is resumed with all others.
            Intake::Paused { .. } if self.is_held_up => {}
            Intake::Paused { .. } => self.actions.push_back(Action::Resume { partition: number }),
            Intake::Reading | Intake::AtEnd | Intake::Parked(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
