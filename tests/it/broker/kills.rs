//! The broker is killed again and again while producers and a consumer group work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tests::process::{PATIENCE, until};
use tests::workload::Random;

use super::Embedded;
use super::group::Group;
use super::ledger::{Ledger, Outcome, Place};

/// Topics: one with default settings, two that begin new segments all the time.
pub(super) const TOPICS: [&str; 3] = ["plain", "small-segments", "append-time"];
/// Partitions of each topic.
pub(super) const PARTITIONS: i32 = 3;
/// Producers that work at the same time.
const PRODUCERS: usize = 3;
/// Keys of each producer.
const KEYS: usize = 30;
/// A producer sends so many records and then pauses: the test measures no speed.
const BURST: usize = 20;
/// Pause after a burst.
const PAUSE: Duration = Duration::from_millis(5);
/// A producer sends so many records; then another client with a new producer id takes its place.
const CLIENT_RECORDS: usize = 20_000;
/// A record is rarely so large.
const LARGE: usize = 40_000;
/// Longest random wait before a kill.
const LONGEST_WAIT_MS: usize = 400;
/// Longest wait before a kill that strikes the broker's start.
const LONGEST_START_MS: usize = 40;

fn settings(topic: &str) -> Vec<(&'static str, &'static str)> {
    match topic {
        "small-segments" => vec![("segment.bytes", "65536")],
        "append-time" => vec![("segment.bytes", "262144"), ("message.timestamp.type", "LogAppendTime")],
        _ => Vec::new(),
    }
}

#[test]
fn a_hundred_kills_under_load_lose_and_double_no_acknowledged_record() {
    torture("interval", 100);
}

#[test]
fn kills_of_a_broker_that_flushes_always_lose_and_double_no_acknowledged_record() {
    torture("always", 10);
}

fn torture(flush: &'static str, kills: usize) {
    let seed = std::env::var("TAPEDECK_FAULTS_SEED").map_or_else(
        |_| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64,
        |seed| seed.parse().unwrap(),
    );
    eprintln!("TAPEDECK_FAULTS_SEED={seed}");
    let mut broker = Embedded::start(flush);
    broker.create_topics(&TOPICS, PARTITIONS, settings);
    let (ledger, group, stop) = (Arc::<Ledger>::default(), Group::default(), Stop::default());
    let (began, config) = (Instant::now(), broker.client());
    std::thread::scope(|scope| {
        // A failure ends the other threads too.
        let _guard = StopOnPanic(&stop.all);
        let members = [(), ()].map(|()| scope.spawn(|| group.consume(&config, &stop.all)));
        let observer = scope.spawn(|| group.observe(&config, &stop.all));
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|number| {
                let random = Random::new(seed + number as u64);
                let load = Load { number, config: &config, ledger: &ledger, stop: &stop, random };
                scope.spawn(|| load.run())
            })
            .collect();
        kill_again_and_again(&mut broker, kills, &mut Random::new(seed), (&ledger, &group, &stop));
        stop.sending.store(true, Ordering::Relaxed);
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        let logs = read_all(&broker);
        let ends = logs.iter().map(|(place, log)| (*place, log.len() as i64)).collect();
        until("the group commits the end of each partition", || group.is_at(&ends));
        stop.all.store(true, Ordering::Relaxed);
        members.into_iter().chain([observer]).for_each(|thread| thread.join().unwrap());
        check(&ledger, &group, &logs);
    });
    let (acknowledged, failed) = (ledger.acknowledged(), ledger.failed());
    eprintln!(
        "--flush {flush}: {kills} kills in {:.0?}, {acknowledged} records, {failed} failed, {group}",
        began.elapsed()
    );
}

/// When threads end.
#[derive(Debug, Default)]
struct Stop {
    sending: AtomicBool,
    all: AtomicBool,
}

impl Stop {
    /// Whether the producers end.
    fn sending(&self) -> bool {
        self.sending.load(Ordering::Relaxed) || self.all()
    }

    /// Whether all threads end.
    fn all(&self) -> bool {
        self.all.load(Ordering::Relaxed)
    }
}

/// Ends all threads when its own panics.
struct StopOnPanic<'a>(&'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

fn kill_again_and_again(
    broker: &mut Embedded,
    kills: usize,
    random: &mut Random,
    (ledger, group, stop): (&Ledger, &Group, &Stop),
) {
    for kill in 0..kills {
        let (acknowledged, committed) = (ledger.acknowledged(), group.confirmed());
        if kill % 5 == 4 {
            // The broker still recovers what the kill before left.
            sleep(Duration::from_millis(random.below(LONGEST_START_MS) as u64));
        } else {
            until("records are acknowledged", || {
                broker.assert_runs();
                assert!(!stop.all(), "a producer failed");
                ledger.acknowledged() > acknowledged
            });
            if kill % 3 == 0 {
                until("offsets are committed", || group.confirmed() > committed);
            }
            sleep(Duration::from_millis(random.below(LONGEST_WAIT_MS) as u64));
        }
        broker.kill();
        broker.restart();
    }
}

fn check(ledger: &Ledger, group: &Group, logs: &BTreeMap<Place, Vec<usize>>) {
    let mut violations = ledger.violations(logs);
    violations.extend(group.violations(logs));
    let count = violations.len();
    violations.truncate(20);
    assert!(violations.is_empty(), "{count} violations:\n{}", violations.join("\n"));
}

/// Records' numbers in the order of offsets, which have no gap. The high watermark is their number.
fn read_all(broker: &Embedded) -> BTreeMap<Place, Vec<usize>> {
    let reader: BaseConsumer = broker.client().set("group.id", "reader").set("check.crcs", "true").create().unwrap();
    let (mut logs, mut ends) = (BTreeMap::<Place, Vec<usize>>::new(), BTreeMap::new());
    let mut all = TopicPartitionList::new();
    for (at, topic) in TOPICS.iter().enumerate() {
        for partition in 0..PARTITIONS {
            let (low, high) = reader.fetch_watermarks(topic, partition, PATIENCE).unwrap();
            assert_eq!(low, 0);
            ends.insert((at, partition), high);
            logs.insert((at, partition), Vec::new());
            all.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
    }
    reader.assign(&all).unwrap();
    until("everything is read", || {
        while let Some(message) = reader.poll(Duration::from_millis(50)) {
            let message = message.unwrap();
            let at = TOPICS.iter().position(|topic| *topic == message.topic()).unwrap();
            let log = logs.get_mut(&(at, message.partition())).unwrap();
            assert_eq!(message.offset(), log.len() as i64, "a gap in {}/{}", message.topic(), message.partition());
            log.push(number(message.payload()));
        }
        ends.iter().all(|(place, end)| logs[place].len() as i64 >= *end)
    });
    for (place, end) in ends {
        assert_eq!(logs[&place].len() as i64, end, "the high watermark of {place:?}");
    }
    logs
}

/// The number of a record, the first word of its value.
pub(super) fn number(value: Option<&[u8]>) -> usize {
    std::str::from_utf8(value.unwrap()).unwrap().split(' ').next().unwrap().parse().unwrap()
}

/// A producer's work.
struct Load<'a> {
    number: usize,
    config: &'a rdkafka::ClientConfig,
    ledger: &'a Arc<Ledger>,
    stop: &'a Stop,
    random: Random,
}

impl Load<'_> {
    fn run(mut self) {
        let _guard = StopOnPanic(&self.stop.all);
        while !self.stop.sending() {
            let producer = self.client();
            let mut sent = 0;
            while sent < CLIENT_RECORDS && !self.stop.sending() {
                (0..BURST).for_each(|_| self.send(&producer));
                sent += BURST;
                sleep(PAUSE);
            }
            let deadline = Instant::now() + PATIENCE;
            while producer.flush(Duration::from_secs(1)).is_err() && !self.stop.all() {
                assert!(Instant::now() < deadline, "producer {} is not done", self.number);
            }
            let fatal = producer.client().fatal_error();
            assert!(fatal.is_none(), "producer {} cannot continue: {fatal:?}", self.number);
        }
    }

    fn client(&self) -> ThreadedProducer<Reports> {
        let mut config = self.config.clone();
        config.set("enable.idempotence", "true").set("acks", "all").set("compression.type", "zstd");
        config.set("linger.ms", "2").set("queue.buffering.max.messages", "2000").set("batch.num.messages", "200");
        config.create_with_context(Reports(self.ledger.clone())).unwrap()
    }

    fn send(&mut self, producer: &ThreadedProducer<Reports>) {
        let key = self.random.below(KEYS);
        let topic = key % TOPICS.len();
        let number = self.ledger.sending(self.number, topic);
        let length = if self.random.below(200) == 0 { LARGE } else { 300 };
        // Words that hardly compress.
        let words = (0..self.random.below(length) / 17).map(|_| format!(" {:016x}", self.random.number()));
        let value: String = std::iter::once(number.to_string()).chain(words.collect::<Vec<_>>()).collect();
        let key = format!("{} {key}", self.number);
        let mut record = BaseRecord::with_opaque_to(TOPICS[topic], number).key(&key).payload(&value);
        while let Err((error, refused)) = producer.send(record) {
            assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            if self.stop.all() {
                return;
            }
            // The broker is away.
            sleep(PAUSE);
            record = refused;
        }
    }
}

/// Writes delivery reports into the ledger.
struct Reports(Arc<Ledger>);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        self.0.reported(
            number,
            match result {
                Ok(message) => Outcome::Acknowledged(message.partition(), message.offset()),
                Err(_) => Outcome::Failed,
            },
        );
    }
}
