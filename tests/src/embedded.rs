//! The embedded broker for tests that crash it, and an independent reader of its topics.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tempfile::TempDir;

use crate::broker::block_on;
use crate::process::{Environment, PATIENCE, Running, command, until};

/// Longest that the reader waits for one response.
const RESPONSE_PATIENCE: Duration = Duration::from_secs(20);

/// A `tapedeck-broker` with its data in a temporary folder.
#[derive(Debug)]
pub struct Embedded {
    /// Where it listens; a restart changes nothing.
    pub address: String,
    folder: TempDir,
    running: Running,
}

/// A record as an independent client reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its time in milliseconds.
    pub time: i64,
    /// Its key.
    pub key: Option<String>,
    /// Its value.
    pub value: Option<String>,
    /// Its headers, in order.
    pub headers: Vec<(String, String)>,
}

impl Embedded {
    /// Starts a broker on a free port.
    pub fn start() -> Embedded {
        let folder = TempDir::new().unwrap();
        let address = address_outside_of_ephemeral_ports();
        let running = launch(&address, folder.path());
        Embedded { address, folder, running }
    }

    /// Ends the broker with a signal, and starts it again on the same port and data.
    pub fn restart(&mut self, signal: &str) {
        self.running.signal(signal);
        let ended_well = self.running.wait();
        assert_eq!(ended_well, signal == "TERM", "the broker's end after {signal}");
        self.running = launch(&self.address, self.folder.path());
    }

    /// Sends the broker a signal.
    pub fn signal(&self, signal: &str) {
        self.running.signal(signal);
    }

    /// Creates a topic that keeps old records.
    pub fn create_topic(&self, topic: &str, partitions: i32) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1)).set("retention.ms", "-1");
        let created = block_on(admin.create_topics([&new], &AdminOptions::new())).unwrap();
        assert_eq!(created, [Ok(topic.to_owned())]);
    }

    /// Publishes a record `0`, `1` and so on for each partition and time in milliseconds, in this order.
    pub fn publish(&self, topic: &str, records: &[(i32, i64)]) {
        let producer: BaseProducer = self.config().create().unwrap();
        for (number, (partition, time)) in records.iter().enumerate() {
            let value = number.to_string();
            let record = BaseRecord::<(), str>::to(topic).payload(&value).partition(*partition).timestamp(*time);
            producer.send(record).unwrap();
            // One batch per record: a time lookup then finds the exact record.
            producer.flush(RESPONSE_PATIENCE).unwrap();
        }
    }

    /// The segment files of all topics.
    pub fn segments(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        files_below(&self.folder.path().join("data"), &mut found);
        found.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
        found
    }

    /// Warnings and errors that the broker logged.
    pub fn complaints(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Every record of a topic by partition and offset, as librdkafka reads it.
    pub fn records(&self, topic: &str) -> Vec<Received> {
        let consumer = self.reader();
        let metadata = consumer.fetch_metadata(Some(topic), RESPONSE_PATIENCE).unwrap();
        let partitions = i32::try_from(metadata.topics()[0].partitions().len()).unwrap();
        assert!(partitions > 0, "no topic {topic}");
        (0..partitions).flat_map(|partition| read(&consumer, topic, partition)).collect()
    }

    /// First offset of a partition, and the one after its last.
    pub fn bounds(&self, topic: &str, partition: i32) -> (i64, i64) {
        self.reader().fetch_watermarks(topic, partition, RESPONSE_PATIENCE).unwrap()
    }

    /// The committed offset of a group.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> i64 {
        let consumer: BaseConsumer = self.config().set("group.id", group).create().unwrap();
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition(topic, partition);
        let found = consumer.committed_offsets(wanted, RESPONSE_PATIENCE).unwrap();
        found.find_partition(topic, partition).unwrap().offset().to_raw().unwrap()
    }

    fn reader(&self) -> BaseConsumer {
        self.config()
            .set("group.id", "reader")
            .set("check.crcs", "true")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap()
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        config
    }
}

fn read(consumer: &BaseConsumer, topic: &str, partition: i32) -> Vec<Received> {
    let (mut next, end) = consumer.fetch_watermarks(topic, partition, RESPONSE_PATIENCE).unwrap();
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, partition, Offset::Offset(next)).unwrap();
    consumer.assign(&assignment).unwrap();
    let (mut records, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    while next < end {
        assert!(Instant::now() < deadline, "{topic}[{partition}] ends at {end}, but nothing follows offset {next}");
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let record = received(&message.unwrap());
        next = record.offset + 1;
        records.push(record);
    }
    records
}

fn received(message: &BorrowedMessage<'_>) -> Received {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    Received {
        partition: message.partition(),
        offset: message.offset(),
        time: message.timestamp().to_millis().unwrap(),
        key: message.key().map(text),
        value: message.payload().map(text),
        headers: headers.map(|header| (header.key.to_owned(), text(header.value.unwrap()))).collect(),
    }
}

fn launch(address: &str, folder: &Path) -> Running {
    let data = folder.join("data");
    let arguments = ["--data-dir", data.to_str().unwrap(), "--listen", address];
    let mut command = command("tapedeck-broker", &arguments, &Environment::new());
    command.stderr(std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap());
    let mut running = Running::start(command);
    until("the embedded broker listens", || {
        let ended = running.0.try_wait().unwrap();
        assert!(ended.is_none(), "the broker ended: {}", std::fs::read_to_string(folder.join("log")).unwrap());
        TcpStream::connect(address).is_ok()
    });
    running
}

/// A free address whose port no outgoing connection takes while the broker restarts, and no other test of this process.
fn address_outside_of_ephemeral_ports() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let candidates = std::iter::repeat_with(|| {
        let step = std::process::id().wrapping_mul(97).wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed));
        format!("127.0.0.1:{}", 10_000 + step % 10_000)
    });
    candidates.take(10_000).find(|address| TcpListener::bind(address).is_ok()).unwrap()
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files_below(&path, found) } else { found.push(path) }
    }
}
