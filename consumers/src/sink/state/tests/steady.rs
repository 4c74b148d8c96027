//! A sink that catches up: records arrive faster than the writers store them. Time passes only by what things cost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::super::{Action, ChunkId, Limits, MAX_HELD, Rules, Size, State};

/// The rules of a sink with default settings.
pub(super) fn rules() -> Rules {
    Rules {
        limits: Limits { rows: 10_000, bytes: 4 << 20, age: Duration::from_millis(500) },
        max_held: MAX_HELD,
        writers: 2,
        pause_after: Some(Duration::from_secs(2)),
        once: false,
        ..super::rules()
    }
}

/// Time to read a message.
const READING: Duration = Duration::from_micros(3);
/// Time to write a chunk, and each record of it: what a writer needs beside another.
const WRITING: (Duration, Duration) = (Duration::from_millis(3), Duration::from_micros(16));
/// Time between two ticks.
const TICK: Duration = Duration::from_millis(20);

/// A chunk on its way to the database.
struct Written {
    partition: i32,
    chunk: ChunkId,
    to: i64,
    records: i64,
}

/// A topic without an end, and what its sink has done.
pub(super) struct CatchUp {
    state: State,
    began: Instant,
    pub(super) now: Instant,
    ticked_at: Instant,
    writers: usize,
    /// Bytes of each message.
    bytes: usize,
    /// By partition, the next offset.
    next: Vec<i64>,
    paused: BTreeSet<i32>,
    queue: VecDeque<Written>,
    writing: Vec<(Instant, Written)>,
    /// How long the database takes for a partition's chunks beside the usual.
    pub(super) delays: BTreeMap<i32, Duration>,
    /// Sizes of the committed chunks.
    committed: Vec<i64>,
    committed_at: Instant,
    /// Longest time between two commits.
    pub(super) longest_wait: Duration,
    /// Most that was held.
    pub(super) most_held: Size,
}

impl CatchUp {
    pub(super) fn new(rules: Rules, partitions: i32, bytes: usize) -> CatchUp {
        let (writers, now) = (rules.writers, Instant::now());
        let mut state = State::new(rules);
        state.on_assigned((0..partitions).map(|number| (number, 0)));
        CatchUp {
            state,
            began: now,
            now,
            ticked_at: now,
            writers,
            bytes,
            next: vec![0; partitions as usize],
            paused: BTreeSet::new(),
            queue: VecDeque::new(),
            writing: Vec::new(),
            delays: BTreeMap::new(),
            committed: Vec::new(),
            committed_at: now,
            longest_wait: Duration::ZERO,
            most_held: Size::default(),
        }
    }

    /// Reads that many messages: from each partition a run of that length, one partition after the other.
    pub(super) fn read(&mut self, messages: usize, run: usize) {
        let partitions = self.next.len();
        let mut at = 0;
        for _ in 0..messages {
            while self.state.is_blocked() || self.paused.contains(&((at / run % partitions) as i32)) {
                match self.state.is_blocked() || self.paused.len() == partitions {
                    true => self.wait(),
                    false => at = (at / run + 1) * run,
                }
            }
            let partition = (at / run % partitions) as i32;
            let offset = self.next[partition as usize];
            self.next[partition as usize] += 1;
            self.state.on_taken(partition, offset, self.bytes, self.now);
            at += 1;
            self.now += READING;
            self.proceed();
        }
    }

    /// Records that were committed per second.
    pub(super) fn rate(&self) -> f64 {
        self.committed.iter().sum::<i64>() as f64 / (self.now - self.began).as_secs_f64()
    }

    /// Records of a chunk, on average.
    pub(super) fn average_chunk(&self) -> f64 {
        self.committed.iter().sum::<i64>() as f64 / self.committed.len() as f64
    }

    /// Nothing can be read: time passes until something happens.
    fn wait(&mut self) {
        let answer = self.writing.iter().map(|(until, _)| *until).min();
        self.now = answer.into_iter().fold(self.ticked_at + TICK, Instant::min).max(self.now);
        self.proceed();
    }

    fn proceed(&mut self) {
        while let Some(at) = self.writing.iter().position(|(until, _)| *until <= self.now) {
            let (_, Written { partition, chunk, to, records }) = self.writing.swap_remove(at);
            self.committed.push(records);
            self.longest_wait = self.longest_wait.max(self.now - self.committed_at);
            self.committed_at = self.now;
            self.state.on_committed(partition, chunk, to, self.now);
        }
        if self.now >= self.ticked_at + TICK {
            self.ticked_at = self.now;
            self.state.on_tick(self.now);
        }
        while let Some(action) = self.state.next_action() {
            match action {
                Action::Write { partition, chunk, from, to } => {
                    self.queue.push_back(Written { partition, chunk, to, records: to - from });
                }
                Action::Pause { partition } => assert!(self.paused.insert(partition)),
                Action::Resume { partition } => assert!(self.paused.remove(&partition)),
                Action::HoldAt { .. } | Action::Report { .. } => {}
            }
        }
        while self.writing.len() < self.writers
            && let Some(written) = self.queue.pop_front()
        {
            let delay = self.delays.get(&written.partition).copied().unwrap_or_default();
            let until = self.now + WRITING.0 + WRITING.1 * written.records as u32 + delay;
            self.writing.push((until, written));
        }
        let records = self.next.iter().sum::<i64>() - self.committed.iter().sum::<i64>();
        let records = records as usize;
        self.most_held.records = self.most_held.records.max(records);
        self.most_held.bytes = self.most_held.bytes.max(records * self.bytes);
    }
}
