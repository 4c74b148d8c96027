//! A consumer group of which the broker is killed: what its members read and commit.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::kills::{PARTITIONS, TOPICS, number};
use super::ledger::Place;

/// The group.
const GROUP: &str = "group";
/// Pause between two commits.
const COMMIT_INTERVAL: Duration = Duration::from_millis(50);
/// How long the observer waits for committed offsets.
const OBSERVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Fewest observations of a run.
const LEAST_OBSERVED: usize = 5;

/// Offsets that a member committed.
#[derive(Debug, Default, Clone, Copy)]
struct Commit {
    /// The highest that a member sent.
    attempted: i64,
    /// The highest that the broker confirmed.
    confirmed: i64,
}

/// What all members were told.
#[derive(Debug, Default)]
pub(super) struct Group {
    commits: Mutex<BTreeMap<Place, Commit>>,
    confirmed: AtomicUsize,
    observed: AtomicUsize,
    /// Numbers of the records that members read, by offset.
    read: Mutex<BTreeMap<Place, BTreeMap<i64, usize>>>,
    violations: Mutex<Vec<String>>,
}

impl Group {
    /// Reads and commits until `stop`.
    pub(super) fn consume(&self, config: &ClientConfig, stop: &AtomicBool) {
        let mut config = config.clone();
        config.set("group.id", GROUP).set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
        config.set("heartbeat.interval.ms", "50").set("session.timeout.ms", "6000");
        let consumer: BaseConsumer = config.create().unwrap();
        consumer.subscribe(&TOPICS).unwrap();
        let mut committed = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            // Errors: the broker is away.
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(10)) {
                let (place, number) = (place(message.topic(), message.partition()), number(message.payload()));
                self.has_read(place, message.offset(), number);
            }
            if committed.elapsed() >= COMMIT_INTERVAL {
                self.commit(&consumer);
                committed = Instant::now();
            }
        }
    }

    fn has_read(&self, place: Place, offset: i64, number: usize) {
        let before = self.read.lock().unwrap().entry(place).or_default().insert(offset, number);
        if let Some(before) = before.filter(|before| *before != number) {
            self.violates(format!("{place:?}@{offset} was record {before} and became {number}"));
        }
    }

    fn commit(&self, consumer: &BaseConsumer) {
        let Ok(positions) = consumer.position() else { return };
        let mut sent = TopicPartitionList::new();
        for (place, offset) in known(&positions) {
            sent.add_partition_offset(TOPICS[place.0], place.1, Offset::Offset(offset)).unwrap();
            let mut commits = self.commits.lock().unwrap();
            let commit = commits.entry(place).or_default();
            commit.attempted = commit.attempted.max(offset);
        }
        if sent.count() > 0 && consumer.commit(&sent, CommitMode::Sync).is_ok() {
            for (place, offset) in known(&sent) {
                let mut commits = self.commits.lock().unwrap();
                let commit = commits.entry(place).or_default();
                commit.confirmed = commit.confirmed.max(offset);
            }
            self.confirmed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Looks at the committed offsets again and again until `stop`.
    pub(super) fn observe(&self, config: &ClientConfig, stop: &AtomicBool) {
        let observer: BaseConsumer = config.clone().set("group.id", GROUP).create().unwrap();
        let mut seen = BTreeMap::<Place, i64>::new();
        while !stop.load(Ordering::Relaxed) {
            let least = self.commits.lock().unwrap().clone();
            let Ok(committed) = observer.committed_offsets(everything(), OBSERVE_TIMEOUT) else { continue };
            let most = self.commits.lock().unwrap().clone();
            let committed: BTreeMap<Place, i64> = known(&committed).into_iter().collect();
            for place in everywhere() {
                let now = committed.get(&place).copied().unwrap_or(0);
                let least =
                    least.get(&place).map_or(0, |commit| commit.confirmed).max(seen.insert(place, now).unwrap_or(0));
                let most = most.get(&place).map_or(0, |commit| commit.attempted);
                if !(least..=most).contains(&now) {
                    self.violates(format!("{place:?}: committed {now}, expected {least} to {most}"));
                }
            }
            self.observed.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(COMMIT_INTERVAL);
        }
    }

    /// Number of commits that the broker confirmed.
    pub(super) fn confirmed(&self) -> usize {
        self.confirmed.load(Ordering::Relaxed)
    }

    /// Whether these offsets are committed.
    pub(super) fn is_at(&self, ends: &BTreeMap<Place, i64>) -> bool {
        let commits = self.commits.lock().unwrap();
        ends.iter().all(|(place, end)| commits.get(place).map_or(0, |commit| commit.confirmed) >= *end)
    }

    /// What was wrong while the members read, and where the logs contradict what they read.
    pub(super) fn violations(&self, logs: &BTreeMap<Place, Vec<usize>>) -> Vec<String> {
        let mut found = self.violations.lock().unwrap().clone();
        let observed = self.observed.load(Ordering::Relaxed);
        if observed < LEAST_OBSERVED {
            found.push(format!("the committed offsets were observed only {observed} times"));
        }
        let read = self.read.lock().unwrap();
        for (place, log) in logs {
            let expected: BTreeMap<i64, usize> = (0..).zip(log.iter().copied()).collect();
            if read.get(place).map_or(!log.is_empty(), |read| *read != expected) {
                found.push(format!("{place:?}: the members read other records than the log holds"));
            }
        }
        found
    }

    fn violates(&self, what: String) {
        self.violations.lock().unwrap().push(what);
    }
}

impl Display for Group {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} commits, observed {} times", self.confirmed(), self.observed.load(Ordering::Relaxed))
    }
}

fn place(topic: &str, partition: i32) -> Place {
    (TOPICS.iter().position(|known| *known == topic).unwrap(), partition)
}

fn everywhere() -> impl Iterator<Item = Place> {
    (0..TOPICS.len()).flat_map(|topic| (0..PARTITIONS).map(move |partition| (topic, partition)))
}

fn everything() -> TopicPartitionList {
    let mut all = TopicPartitionList::new();
    for (topic, partition) in everywhere() {
        all.add_partition(TOPICS[topic], partition);
    }
    all
}

/// The places that have an offset.
fn known(list: &TopicPartitionList) -> Vec<(Place, i64)> {
    let elements = list.elements();
    let offset = |offset| if let Offset::Offset(offset) = offset { Some(offset) } else { None };
    let known = elements
        .iter()
        .filter_map(|element| Some((place(element.topic(), element.partition()), offset(element.offset())?)));
    known.collect()
}
