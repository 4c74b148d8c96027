//! A model of everything around the machine: a topic, a consumer group, writers, a database, a registry. Seeded.
//!
//! First safety: events come in any order, writers are slow, schemas are missing, partitions are revoked, sessions
//! fail; after each event every action is checked against the model. Then liveness: the failures stop, and every
//! published record must be committed within a bounded number of steps.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::super::{Action, ChunkId, Lack, Limits, Rules, Size, State};

/// Most steps that a machine without failures may need to finish.
const MAX_CALM_STEPS: usize = 20_000;

/// Bytes of the largest message.
const MAX_MESSAGE_BYTES: usize = 200;

/// A small generator of random numbers (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A record of the topic.
#[derive(Debug, Clone, Copy)]
struct Record {
    offset: i64,
    bytes: usize,
    /// When its schema is registered.
    readable_at: Instant,
}

/// A partition as the consumer group fetches it.
#[derive(Debug)]
struct Fetched {
    /// Offset of the next record to deliver.
    position: i64,
    is_paused: bool,
    end_reported_at: Option<i64>,
    /// End of the last chunk that was handed over.
    handed_over: i64,
    /// Records read since; reading one again is an error.
    taken: Vec<i64>,
    taken_bytes: usize,
    /// The record that waits for its schema.
    parked: Option<i64>,
}

/// A chunk that is being written.
#[derive(Debug)]
struct Flight {
    chunk: ChunkId,
    partition: i32,
    from: i64,
    to: i64,
    size: Size,
    assignment: u64,
}

/// Everything around the machine.
pub(super) struct World {
    seed: u64,
    random: Random,
    now: Instant,
    rules: Rules,
    state: State,
    /// By partition, its records; offsets have holes, as markers of transactions make them.
    topic: Vec<Vec<Record>>,
    /// By partition, the committed position.
    database: Vec<i64>,
    assigned: BTreeMap<i32, Fetched>,
    /// Counts assignments.
    assignment: u64,
    flights: Vec<Flight>,
    chunks: BTreeSet<ChunkId>,
}

impl World {
    /// Runs a sequence of events, and then to the end of the topic.
    pub(super) fn run(seed: u64, events: usize) {
        let mut world = World::new(seed);
        for _ in 0..events {
            world.event();
            world.perform();
        }
        world.calm_down();
    }

    fn new(seed: u64) -> World {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let partitions = 1 + random.below(5) as usize;
        let rules = Rules {
            limits: Limits {
                rows: 1 + random.below(8) as usize,
                bytes: 50 + random.below(500) as usize,
                // A replay writes only full chunks, whatever their age.
                age: if random.chance(20) { Duration::MAX } else { Duration::from_millis(random.below(1000)) },
            },
            max_held: Size { records: 1 + random.below(40) as usize, bytes: 1 + random.below(5000) as usize },
            writers: 1 + random.below(3) as usize,
            pause_after: random.chance(80).then_some(Duration::from_millis(500)),
            breaker_percent: 100,
            schema_interval: Duration::from_millis(200),
            unknown_patience: Duration::from_secs(1_000_000),
            away_patience: None,
            once: random.chance(50),
        };
        World {
            seed,
            random,
            now: Instant::now(),
            state: State::new(rules.clone()),
            rules,
            topic: vec![Vec::new(); partitions],
            database: vec![0; partitions],
            assigned: BTreeMap::new(),
            assignment: 0,
            flights: Vec::new(),
            chunks: BTreeSet::new(),
        }
    }

    fn event(&mut self) {
        match self.random.below(100) {
            0..40 => self.poll(),
            40..60 => self.write(),
            60..75 => self.pass_time(),
            75..95 => self.publish(),
            95..98 => self.rebalance(),
            _ => self.fail_session(),
        }
    }

    fn end_of(&self, partition: i32) -> i64 {
        self.topic[partition as usize].last().map_or(0, |record| record.offset + 1)
    }

    fn publish(&mut self) {
        let partition = self.random.below(self.topic.len() as u64) as i32;
        for _ in 0..self.random.below(6) {
            let hole = if self.random.chance(10) { 1 + self.random.below(3) as i64 } else { 0 };
            let late = if self.random.chance(5) { self.random.below(2000) } else { 0 };
            let record = Record {
                offset: self.end_of(partition) + hole,
                bytes: self.random.below(MAX_MESSAGE_BYTES as u64 + 1) as usize,
                readable_at: self.now + Duration::from_millis(late),
            };
            self.topic[partition as usize].push(record);
        }
    }

    fn pass_time(&mut self) {
        self.now += Duration::from_millis(self.random.below(400));
        self.state.on_tick(self.now);
    }

    /// Delivers a message, or an end; sometimes one that is not the next, as a client that fetches ahead does.
    fn poll(&mut self) {
        if self.state.is_blocked() || self.assigned.is_empty() {
            return;
        }
        let at = self.random.below(self.assigned.len() as u64) as usize;
        let Some(partition) = self.assigned.keys().nth(at).copied() else { return };
        if self.random.chance(10) {
            return self.deliver_stale(partition);
        }
        let fetched = &self.assigned[&partition];
        if fetched.is_paused {
            return;
        }
        let next = self.topic[partition as usize].iter().find(|record| record.offset >= fetched.position).copied();
        match next {
            Some(record) => self.deliver(partition, record),
            None => self.deliver_end(partition),
        }
    }

    fn deliver_end(&mut self, partition: i32) {
        let Some(fetched) = self.assigned.get_mut(&partition) else { return };
        if fetched.end_reported_at != Some(fetched.position) {
            fetched.end_reported_at = Some(fetched.position);
            self.state.on_end(partition, self.now);
        }
    }

    /// A message that was already read, or, while the partition waits for a schema, one behind the parked message.
    fn deliver_stale(&mut self, partition: i32) {
        let fetched = &self.assigned[&partition];
        let next = fetched.taken.last().map_or(fetched.handed_over, |last| last + 1);
        let is_stale = |record: &&Record| match fetched.parked {
            Some(parked) => record.offset != parked,
            None => record.offset < next,
        };
        let stale: Vec<i64> =
            self.topic[partition as usize].iter().filter(is_stale).map(|record| record.offset).collect();
        for offset in stale {
            assert!(!self.state.expects(partition, offset), "seed {}: {partition}/{offset} is stale", self.seed);
        }
        if self.assigned[&partition].parked.is_some() {
            self.state.on_end(partition, self.now);
        }
    }

    fn deliver(&mut self, partition: i32, record: Record) {
        let seed = self.seed;
        let fetched = self.assigned.get_mut(&partition).unwrap();
        fetched.position = record.offset + 1;
        assert!(self.state.expects(partition, record.offset), "seed {seed}: {partition}/{} is skipped", record.offset);
        if record.readable_at > self.now {
            let lack = if self.random.chance(50) { Lack::Away } else { Lack::Unknown };
            fetched.parked = Some(record.offset);
            self.state.on_schema_missing(partition, record.offset, lack, self.now).unwrap();
            return;
        }
        fetched.parked = None;
        fetched.taken.push(record.offset);
        fetched.taken_bytes += record.bytes;
        self.state.on_taken(partition, record.offset, record.bytes, self.now);
    }

    /// One of the writers commits its chunk.
    fn write(&mut self) {
        let busy = self.flights.len().min(self.rules.writers);
        if busy == 0 {
            return;
        }
        let at = self.random.below(busy as u64) as usize;
        let flight = self.flights.remove(at);
        if !self.commit(&flight) {
            return self.fail_session();
        }
        self.state.on_committed(flight.partition, flight.chunk, flight.to, self.now);
    }

    /// Commits a chunk at the position; false: fenced.
    fn commit(&mut self, flight: &Flight) -> bool {
        let position = &mut self.database[flight.partition as usize];
        let is_there = *position == flight.from;
        if is_there {
            *position = flight.to;
        }
        is_there
    }

    /// Partitions are revoked and others assigned. Mostly the group waits for what is being written.
    fn rebalance(&mut self) {
        let partitions = self.topic.len() as i32;
        let ours: Vec<i32> = (0..partitions).filter(|_| self.random.chance(70)).collect();
        let waits = self.random.chance(80);
        self.rebalance_to(&ours, waits);
    }

    fn rebalance_to(&mut self, partitions: &[i32], waits: bool) {
        // The group waits inside a poll: the results are read after the revocation.
        let written = if waits { std::mem::take(&mut self.flights) } else { Vec::new() };
        let mut is_fenced = false;
        for flight in &written {
            is_fenced |= !self.commit(flight);
        }
        self.state.on_revoked();
        self.assigned.clear();
        if is_fenced {
            self.fail_session();
        } else {
            for flight in written {
                self.state.on_committed(flight.partition, flight.chunk, flight.to, self.now);
                self.perform();
            }
        }
        self.assign(partitions);
    }

    fn assign(&mut self, partitions: &[i32]) {
        self.assignment += 1;
        let start = |partition: &i32| {
            let position = self.database[*partition as usize];
            let fetched = Fetched {
                position,
                is_paused: false,
                end_reported_at: None,
                handed_over: position,
                taken: Vec::new(),
                taken_bytes: 0,
                parked: None,
            };
            (*partition, fetched)
        };
        self.assigned = partitions.iter().map(start).collect();
        let starts: Vec<(i32, i64)> =
            self.assigned.iter().map(|(number, fetched)| (*number, fetched.position)).collect();
        self.state.on_assigned(starts.into_iter());
    }

    /// The session ends with an error, and another starts with a new machine. Chunks in flight may be committed or not.
    fn fail_session(&mut self) {
        for flight in std::mem::take(&mut self.flights) {
            if self.random.chance(50) {
                self.commit(&flight);
            }
        }
        self.state = State::new(self.rules.clone());
        self.chunks.clear();
        self.assigned.clear();
        if self.random.chance(80) {
            let all: Vec<i32> = (0..self.topic.len() as i32).collect();
            self.assign(&all);
        }
    }

    /// Executes the machine's actions, and checks each one against the model.
    fn perform(&mut self) {
        while let Some(action) = self.state.next_action() {
            let seed = self.seed;
            match action {
                Action::Write { partition, chunk, from, to } => self.hand_over(partition, chunk, (from, to)),
                Action::Report { partition, next_offset } => {
                    let committed = self.database[partition as usize];
                    assert!(next_offset <= committed, "seed {seed}: {partition}/{next_offset} is reported too soon");
                }
                Action::Pause { partition } => {
                    let fetched = self.assigned.get_mut(&partition).unwrap();
                    assert!(!fetched.is_paused && self.rules.pause_after.is_some(), "seed {seed}: paused for nothing");
                    fetched.is_paused = true;
                }
                Action::Resume { partition } => {
                    self.assigned.get_mut(&partition).unwrap().is_paused = false;
                }
                Action::HoldAt { partition, offset } => {
                    let fetched = self.assigned.get_mut(&partition).unwrap();
                    assert_eq!(fetched.parked, Some(offset), "seed {seed}");
                    (fetched.is_paused, fetched.position) = (true, offset);
                }
            }
        }
        self.check_memory();
    }

    fn hand_over(&mut self, partition: i32, chunk: ChunkId, (from, to): (i64, i64)) {
        let seed = self.seed;
        let ours = |flight: &Flight| flight.partition == partition && flight.assignment == self.assignment;
        assert!(!self.flights.iter().any(ours), "seed {seed}: two chunks of {partition} are in flight");
        assert!(self.chunks.insert(chunk), "seed {seed}: {chunk:?} is not new");
        let fetched = self.assigned.get_mut(&partition).unwrap();
        assert_eq!(from, fetched.handed_over, "seed {seed}: the chunks of {partition} have a hole or overlap");
        assert_eq!(Some(to - 1), fetched.taken.last().copied(), "seed {seed}: {partition}/{to} was not taken");
        let there = self.topic[partition as usize].iter().map(|record| record.offset);
        let there: Vec<i64> = there.filter(|offset| (from..to).contains(offset)).collect();
        let taken = std::mem::take(&mut fetched.taken);
        assert_eq!(taken, there, "seed {seed}: records of {partition} are missing or taken twice");
        assert!(taken.len() <= self.rules.limits.rows, "seed {seed}: {} records in a chunk", taken.len());
        fetched.handed_over = to;
        let size = Size { records: taken.len(), bytes: std::mem::take(&mut fetched.taken_bytes) };
        self.flights.push(Flight { chunk, partition, from, to, size, assignment: self.assignment });
        assert!(self.flights.len() <= State::max_in_flight(self.rules.writers), "seed {seed}: no room for a chunk");
    }

    /// No more is held than allowed, in chunks being built and being written, and one message.
    fn check_memory(&self) {
        let built = self.assigned.values().map(|fetched| (fetched.taken.len(), fetched.taken_bytes));
        let written = self.flights.iter().map(|flight| (flight.size.records, flight.size.bytes));
        let (records, bytes) = built.chain(written).fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1));
        let (seed, most) = (self.seed, self.rules.max_held);
        assert!(records <= most.records, "seed {seed}: {records} records are held, {most:?} at most");
        assert!(bytes < most.bytes + MAX_MESSAGE_BYTES, "seed {seed}: {bytes} bytes are held, {most:?} at most");
    }

    /// Without further failures, every published record must be committed.
    fn calm_down(&mut self) {
        let all: Vec<i32> = (0..self.topic.len() as i32).collect();
        self.now += Duration::from_secs(10);
        for step in 0.. {
            assert!(step < MAX_CALM_STEPS, "seed {}: stuck: {:?}", self.seed, self.state);
            // A commit of an earlier assignment can still fence a chunk, and end its session.
            if self.assigned.len() < all.len() {
                self.rebalance_to(&all, true);
            }
            if !self.state.is_blocked() {
                all.iter().for_each(|partition| self.poll_next(*partition));
            }
            self.write();
            self.perform();
            self.now += Duration::from_millis(20);
            self.state.on_tick(self.now);
            self.perform();
            let is_committed =
                all.iter().all(|partition| self.database[*partition as usize] == self.end_of(*partition));
            let is_over = if self.rules.once { self.state.is_done() } else { is_committed };
            if is_over {
                assert!(is_committed, "seed {}: done, but {:?} is committed", self.seed, self.database);
                break;
            }
        }
        self.state.on_stop(self.now);
        assert!(self.state.is_drained() && self.flights.is_empty(), "seed {}: not drained", self.seed);
        let paused: Vec<&i32> =
            self.assigned.iter().filter(|(_, fetched)| fetched.is_paused).map(|(number, _)| number).collect();
        assert!(paused.is_empty(), "seed {}: {paused:?} stay paused", self.seed);
    }

    fn poll_next(&mut self, partition: i32) {
        let fetched = &self.assigned[&partition];
        if fetched.is_paused || self.state.is_blocked() {
            return;
        }
        let next = self.topic[partition as usize].iter().find(|record| record.offset >= fetched.position).copied();
        match next {
            Some(record) => self.deliver(partition, record),
            None => self.deliver_end(partition),
        }
        self.perform();
    }
}
