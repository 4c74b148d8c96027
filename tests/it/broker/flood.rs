//! Ten thousand connections, most of them hostile, beside a producer and a consumer that work.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{Scope, sleep};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, FutureProducer, FutureRecord, Producer as _};
use tests::broker::block_on;
use tests::process::{PATIENCE, until};
use tests::workload::Random;

use super::Embedded;
use super::garbage::{LARGE_TOPIC, connect};

/// Connections of the flood.
const CONNECTIONS: usize = 10_000;
/// Files that the test needs for them, for its clients and for the tests that run at the same time.
const OPEN_FILES: usize = CONNECTIONS + 4_000;
/// Fewest of 1,000 connections that the broker must still serve at the flood's peak. It closes those that read nothing.
const LEAST_OPEN: usize = 700;
/// Most resident memory of the broker, in MB. It serves 1,000 connections (`broker/src/limits.rs`). Each holds at most
/// 20 KB of small frames, and 64 KB of a response or of a large frame: 84 MB. The broker itself takes 16 MB. Large
/// frames may grow beyond 64 KB, up to 48 MB for all, but none arrives here.
const MEMORY_LIMIT_MB: f64 = 100.0;
/// Longest time until the well-behaved producer's record is acknowledged, while other processes use the cores too.
const LONGEST_ANSWER: Duration = Duration::from_secs(5);
/// Longest time until a new client is served after the flood; rejected clients retry after 50 ms.
const LONGEST_RETURN: Duration = Duration::from_secs(2);
/// Records of almost 1 MB that some clients ask for and never read.
const LARGE_RECORDS: usize = 32;
/// The topic of the well-behaved clients.
const TOPIC: &str = "work";
/// The soft limit of open files in a shell of Debian, and partitions as the deck has them.
const FEW_FILES: u32 = 1_024;
const MANY_PARTITIONS: i32 = 88;
/// Pause between their records.
const PAUSE: Duration = Duration::from_millis(5);
/// Records that they exchange before the flood, and again at its peak.
const RECORDS: usize = 200;

#[test]
fn ten_thousand_hostile_connections_cost_bounded_memory_and_stop_no_client() {
    // First: the broker must get along with the limit of a user's shell.
    let broker = Embedded::start("interval");
    allow_open_files();
    broker.create_topics(&[TOPIC, LARGE_TOPIC], 1, |_| Vec::new());
    fill(&broker);
    let (work, mut most_mb) = (Work::default(), 0.0);
    std::thread::scope(|scope| {
        let _guard = work.start(scope, &broker);
        until("records arrive", || work.read() >= RECORDS);
        let began = Instant::now();
        let mut random = Random::new(1);
        let mut flood = Vec::new();
        for number in 0..CONNECTIONS {
            flood.push(connect(&broker.address, number, &mut random));
            if number % 100 == 0 {
                most_mb = broker.resident_mb().max(most_mb);
            }
        }
        let (flooded, before) = (began.elapsed(), work.read());
        until("records arrive at the flood's peak", || {
            most_mb = broker.resident_mb().max(most_mb);
            work.read() >= before + RECORDS
        });
        let open = flood.iter().filter(|stream| is_open(stream)).count();
        assert!(open >= LEAST_OPEN, "the broker serves only {open} of the flood's connections");
        drop(flood);
        let began = Instant::now();
        let client: BaseProducer = broker.client().create().unwrap();
        client.client().fetch_metadata(Some(TOPIC), LONGEST_RETURN).unwrap();
        let (served, longest) = (began.elapsed(), work.longest());
        eprintln!("{CONNECTIONS} connections in {flooded:.1?}, {open} open at the end, most {most_mb:.0} MB resident");
        eprintln!("longest answer {longest:.0?}, a new client was served after {served:.0?}");
    });
    assert!(most_mb < MEMORY_LIMIT_MB, "{most_mb:.0} MB were resident");
    assert!(work.longest() < LONGEST_ANSWER, "a record waited {:?}", work.longest());
}

#[test]
fn idle_connections_leave_open_files_for_the_log() {
    let broker = Embedded::start_with_files(FEW_FILES);
    allow_open_files();
    broker.create_topics(&[TOPIC], MANY_PARTITIONS, |_| Vec::new());
    let producer: FutureProducer = broker.client().set("message.timeout.ms", "10000").create().unwrap();
    let send = |partition| {
        let record = FutureRecord::<(), _>::to(TOPIC).payload("record").partition(partition);
        block_on(producer.send(record, PATIENCE)).map(drop).map_err(|(error, _)| error)
    };
    send(0).unwrap();
    let _idle: Vec<_> = (0..FEW_FILES).map(|_| TcpStream::connect(&broker.address).unwrap()).collect();
    let failed: Vec<_> = (0..MANY_PARTITIONS).filter_map(|partition| send(partition).err()).take(1).collect();
    assert!(failed.is_empty(), "{failed:?}: {}", broker.log());
}

/// Raises the soft limit of this process, if it is lower.
fn allow_open_files() {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    // `unlimited` is no number.
    if soft.split_whitespace().next().unwrap().parse().map_or(true, |soft: usize| soft >= OPEN_FILES) {
        return;
    }
    let id = std::process::id().to_string();
    let status = Command::new("prlimit").args(["--pid", &id, &format!("--nofile={OPEN_FILES}:")]).status().unwrap();
    assert!(status.success(), "this test opens {OPEN_FILES} files: raise the hard limit (`ulimit -Hn`)");
}

/// Stores records to ask for.
fn fill(broker: &Embedded) {
    let producer: BaseProducer = broker.client().create().unwrap();
    for _ in 0..LARGE_RECORDS {
        producer.send(BaseRecord::<(), _>::to(LARGE_TOPIC).payload(&[7u8; 900_000][..])).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

/// Whether the broker still waits for the connection's next byte.
fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    stream.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// Clients that behave well.
#[derive(Default)]
struct Work {
    stop: AtomicBool,
    read: AtomicUsize,
    longest: Mutex<Duration>,
}

impl Work {
    /// Starts them; they end with the guard.
    fn start<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, broker: &Embedded) -> Guard<'scope> {
        let guard = Guard(&self.stop);
        let (producing, consuming) = (broker.client(), broker.client());
        scope.spawn(move || {
            let producer: FutureProducer = producing.clone().set("linger.ms", "0").create().unwrap();
            while !self.stop.load(Ordering::Relaxed) {
                let sent = Instant::now();
                block_on(producer.send(FutureRecord::<(), _>::to(TOPIC).payload("record"), PATIENCE)).unwrap();
                let mut longest = self.longest.lock().unwrap();
                *longest = sent.elapsed().max(*longest);
                drop(longest);
                sleep(PAUSE);
            }
        });
        scope.spawn(move || {
            let mut config = consuming.clone();
            config.set("group.id", "work").set("auto.offset.reset", "earliest");
            let consumer: BaseConsumer = config.create().unwrap();
            consumer.subscribe(&[TOPIC]).unwrap();
            while !self.stop.load(Ordering::Relaxed) {
                if let Some(message) = consumer.poll(Duration::from_millis(50)) {
                    let expected = self.read.fetch_add(1, Ordering::Relaxed) as i64;
                    assert_eq!(message.unwrap().offset(), expected);
                }
            }
        });
        guard
    }

    fn read(&self) -> usize {
        self.read.load(Ordering::Relaxed)
    }

    fn longest(&self) -> Duration {
        *self.longest.lock().unwrap()
    }
}

struct Guard<'a>(&'a AtomicBool);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
