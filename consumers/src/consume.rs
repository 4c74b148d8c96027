//! The consumer group on Kafka: which partitions are ours, where to begin in them, and the messages.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{ClientConfig, ClientContext, Message as _, Offset, TopicPartitionList};
use service::kafka::{Cluster, REQUEST_TIMEOUT};
use service::settings;
use tokio::runtime::Handle;

use crate::chunk::{LastRecord, SinkPartition};
use crate::meters::{Meters, PartitionMeter};
use crate::reader::fingerprints;
use crate::sink::SinkError;
use crate::store::{Database, Gap, Position, StoreError};
use crate::writer::REMINDER;

/// How long a partition that is taken from us waits for its chunk that is being written: whoever gets it reads the
/// position, and would be fenced by our commit.
const REVOKE_PATIENCE: Duration = Duration::from_secs(5);

/// Largest message that Kafka takes by default, with its frame.
const MAX_MESSAGE_BYTES: i64 = 1_048_588;

/// Most that librdkafka fetches at once.
const MAX_FETCH_BYTES: i64 = 2_147_483_135;

/// How often Kafka's client says how far the partitions go; it asks the brokers itself where it does not fetch.
const STATISTICS_INTERVAL_MS: &str = "5000";

/// Settings of the consumer; each is a choice for the guarantees, not a preference.
const SETTINGS: &[(&str, &str)] = &[
    // The database knows how far we are; the group's offsets are for dashboards and never read back.
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("isolation.level", "read_committed"),
    ("check.crcs", "true"),
    ("group.protocol", "classic"),
    ("partition.assignment.strategy", "range"),
    // How long a consumer that was killed keeps its partitions from its successor.
    ("session.timeout.ms", "10000"),
    ("heartbeat.interval.ms", "3000"),
    ("max.poll.interval.ms", "300000"),
    // How soon partitions that are added to a topic are noticed; by default it takes five minutes.
    ("topic.metadata.refresh.interval.ms", "10000"),
    ("fetch.wait.max.ms", "100"),
    // What is fetched ahead is most of the memory that a consumer needs: fetches come compressed and are kept
    // unpacked, and a small message takes five times its size in the queue. Enough for the writers never to wait.
    ("queued.min.messages", "5000"),
    ("queued.max.messages.kbytes", "2048"),
    // A full queue is looked at again after this, by default a second: the writers would wait for most of it.
    ("fetch.queue.backoff.ms", "10"),
];

/// Settings of whatever reads from Kafka, but for the group's name.
pub(crate) fn client_config(cluster: &Cluster, role: &str) -> Result<ClientConfig, SinkError> {
    let mut config = cluster.client_config(role);
    for (name, value) in SETTINGS {
        config.set(*name, *value);
    }
    let fetch_bytes = settings::read_number(&settings::FETCH_BYTES, 1 << 10..=1 << 30);
    let fetch_bytes = fetch_bytes.map_err(|error| SinkError::Halt(error.to_string()))?;
    config
        .set("fetch.message.max.bytes", fetch_bytes.to_string())
        // Some partitions' worth; librdkafka wants it to be no less than the largest message.
        .set("fetch.max.bytes", (8 * fetch_bytes).clamp(MAX_MESSAGE_BYTES, MAX_FETCH_BYTES).to_string());
    Ok(config)
}

/// What to do when records are gone unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnGap {
    /// Halt: an operator decides.
    Halt,
    /// Write it down and go on.
    Record,
}

impl OnGap {
    /// As the environment says.
    pub fn from_settings() -> anyhow::Result<OnGap> {
        match settings::read(&settings::ON_GAP).as_deref() {
            Some("halt") => Ok(OnGap::Halt),
            Some("record") => Ok(OnGap::Record),
            other => anyhow::bail!(
                "`{}` is `{}`, which is neither `halt` nor `record`",
                settings::ON_GAP.name,
                other.unwrap_or_default()
            ),
        }
    }
}

/// A change of what is assigned to us.
#[derive(Debug)]
pub(crate) enum Change {
    /// Partitions that are now ours, each with its incarnation and the offset to begin at.
    Assigned(Vec<Start>),
    /// What was ours no longer is.
    Revoked,
    /// We could not find out where to begin.
    Failed(SinkError),
}

/// Where to begin in a partition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    pub(crate) partition: i32,
    pub(crate) incarnation: i32,
    pub(crate) offset: i64,
}

/// What a poll gave.
#[derive(Debug)]
pub(crate) enum Polled<'a> {
    Message(BorrowedMessage<'a>),
    /// The partition has been read to its end.
    End(i32),
    Nothing,
}

/// Counts the chunks that are being written.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    count: Mutex<usize>,
    changed: Condvar,
}

impl InFlight {
    pub(crate) fn begin(&self) {
        *self.lock() += 1;
    }

    pub(crate) fn end(&self) {
        *self.lock() -= 1;
        self.changed.notify_all();
    }

    /// Waits until nothing is being written; false when it takes too long.
    pub(crate) fn await_none(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut count = self.lock();
        while *count > 0 {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return false;
            };
            count = self.changed.wait_timeout(count, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A member of a consumer group that begins where the database says.
pub(crate) struct Consumption {
    consumer: BaseConsumer<Group>,
    topic: String,
    brokers: String,
    away_logged: Cell<Option<Instant>>,
    /// The meter of the partition of the last message.
    metered: RefCell<Option<(i32, Arc<PartitionMeter>)>>,
}

/// What the rebalance callback needs; it runs on the thread that polls.
struct Group {
    cluster: Cluster,
    sink: String,
    topic: String,
    database: Database,
    on_gap: OnGap,
    runtime: Handle,
    in_flight: Arc<InFlight>,
    meters: Meters,
    changes: Mutex<Vec<Change>>,
}

impl Consumption {
    /// Joins the group. With `until_end`, the end of each partition is reported.
    pub(crate) fn join(
        cluster: &Cluster,
        (sink, topic): (&str, &str),
        (database, on_gap): (&Database, OnGap),
        (in_flight, meters): (Arc<InFlight>, Meters),
        runtime: &Handle,
        until_end: bool,
    ) -> Result<Consumption, SinkError> {
        let mut config = client_config(cluster, "consumer")?;
        config
            .set("group.id", sink)
            .set("enable.partition.eof", until_end.to_string())
            .set("statistics.interval.ms", STATISTICS_INTERVAL_MS);
        let group = Group {
            cluster: cluster.clone(),
            on_gap,
            sink: sink.to_owned(),
            topic: topic.to_owned(),
            database: database.clone(),
            runtime: runtime.clone(),
            in_flight,
            meters,
            changes: Mutex::default(),
        };
        let consumer: BaseConsumer<Group> =
            config.create_with_context(group).map_err(|error| SinkError::Halt(error.to_string()))?;
        consumer.subscribe(&[topic]).map_err(|error| SinkError::Halt(error.to_string()))?;
        let brokers = cluster.brokers().to_owned();
        let topic = topic.to_owned();
        Ok(Consumption { consumer, topic, brokers, away_logged: Cell::new(None), metered: RefCell::default() })
    }

    /// The next message, if one comes within that time.
    pub(crate) fn poll(&self, patience: Duration) -> Result<Polled<'_>, SinkError> {
        self.consumer.context().meters.beat();
        match self.consumer.poll(patience) {
            None => Ok(Polled::Nothing),
            Some(Ok(message)) => {
                self.meter(&message);
                Ok(Polled::Message(message))
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => Ok(Polled::End(partition)),
            Some(Err(error)) => match error.rdkafka_error_code() {
                // librdkafka goes on by itself once a broker answers again.
                Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown) => {
                    self.log_away();
                    Ok(Polled::Nothing)
                }
                _ => Err(SinkError::Retry(format!("cannot read topic `{}`: {error}", self.topic))),
            },
        }
    }

    fn meter(&self, message: &BorrowedMessage<'_>) {
        let (partition, mut metered) = (message.partition(), self.metered.borrow_mut());
        if metered.as_ref().is_none_or(|(number, _)| *number != partition) {
            *metered = self.consumer.context().meters.partition(partition).map(|meter| (partition, meter));
        }
        if let Some((_, meter)) = &*metered {
            meter.took(message.offset(), message.timestamp().to_millis());
        }
    }

    fn log_away(&self) {
        if self.away_logged.get().is_none_or(|logged| logged.elapsed() > REMINDER) {
            tracing::warn!(topic = self.topic, brokers = self.brokers, "kafka does not answer, will go on trying");
            self.away_logged.set(Some(Instant::now()));
        }
    }

    /// The changes of the assignment since the last call.
    pub(crate) fn changes(&self) -> Vec<Change> {
        let changes = std::mem::take(&mut *self.consumer.context().changes());
        if !changes.is_empty() {
            self.metered.take();
        }
        changes
    }

    /// Tells Kafka how far we are, for lag dashboards; nothing depends on it.
    pub(crate) fn report(&self, partition: i32, next_offset: i64) {
        let mut positions = TopicPartitionList::new();
        let added = positions.add_partition_offset(&self.topic, partition, Offset::Offset(next_offset));
        if let Err(error) = added.and_then(|()| self.consumer.commit(&positions, CommitMode::Async)) {
            tracing::debug!(partition, %error, "cannot report the position to kafka");
        }
    }

    /// Stops fetching these partitions; what was fetched ahead is dropped and fetched again later.
    pub(crate) fn pause(&self, partition: i32) -> Result<(), SinkError> {
        let outcome = self.consumer.pause(&self.one(partition));
        outcome.map_err(|error| SinkError::Retry(format!("cannot pause {}[{partition}]: {error}", self.topic)))
    }

    /// Goes on fetching after the last message that was polled.
    pub(crate) fn resume(&self, partition: i32) -> Result<(), SinkError> {
        let outcome = self.consumer.resume(&self.one(partition));
        outcome.map_err(|error| SinkError::Retry(format!("cannot resume {}[{partition}]: {error}", self.topic)))
    }

    /// Stops fetching a partition, and goes on with the message at that offset when it is resumed.
    pub(crate) fn hold_at(&self, partition: i32, offset: i64) -> Result<(), SinkError> {
        // In this order: a seek before the pause would be undone by it.
        self.pause(partition)?;
        let outcome = self.consumer.seek(&self.topic, partition, Offset::Offset(offset), REQUEST_TIMEOUT);
        outcome.map_err(|error| SinkError::Retry(format!("cannot go back in {}[{partition}]: {error}", self.topic)))
    }

    fn one(&self, partition: i32) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, partition);
        list
    }
}

impl ClientContext for Group {
    fn stats_raw(&self, statistics: &[u8]) {
        self.meters.statistics(&self.topic, statistics);
    }
}

impl ConsumerContext for Group {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let change = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, partitions),
            _ => {
                tracing::info!(sink = self.sink, "partitions are being taken away");
                if !self.in_flight.await_none(REVOKE_PATIENCE) {
                    tracing::warn!(sink = self.sink, "a chunk is still being written while its partition moves on");
                }
                consumer.unassign().map(|()| Change::Revoked).map_err(|error| SinkError::Retry(error.to_string()))
            }
        };
        let change = change.unwrap_or_else(Change::Failed);
        self.meters.assignment(&change);
        self.changes().push(change);
    }
}

impl Group {
    fn changes(&self) -> MutexGuard<'_, Vec<Change>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) -> Result<Change, SinkError> {
        let numbers: Vec<i32> = partitions.elements().iter().map(|element| element.partition()).collect();
        let starts = match self.starts(consumer, &numbers) {
            Ok(starts) => starts,
            Err(error) => {
                // The group must get an answer all the same.
                consumer.assign(&TopicPartitionList::new()).map_err(|error| SinkError::Retry(error.to_string()))?;
                return Err(error);
            }
        };
        let mut list = TopicPartitionList::new();
        for start in &starts {
            list.add_partition_offset(&self.topic, start.partition, Offset::Offset(start.offset))
                .map_err(|error| SinkError::Halt(error.to_string()))?;
        }
        consumer.assign(&list).map_err(|error| SinkError::Retry(error.to_string()))?;
        // librdkafka keeps a partition that we paused paused when it comes back to us, and we know nothing of it then.
        consumer.resume(&list).map_err(|error| SinkError::Retry(error.to_string()))?;
        Ok(Change::Assigned(starts))
    }

    /// Where the database says that we are, checked against what Kafka has.
    fn starts(&self, consumer: &BaseConsumer<Self>, partitions: &[i32]) -> Result<Vec<Start>, SinkError> {
        let mut store = self.database.store("positions");
        let positions = self.runtime.block_on(store.positions(&self.sink, &self.topic));
        self.meters.answered(&positions);
        let positions =
            positions.map_err(SinkError::from)?.into_iter().filter(|position| partitions.contains(&position.partition));
        let known: HashMap<i32, Position> = positions.map(|position| (position.partition, position)).collect();
        let mut watermarks = HashMap::new();
        for &partition in partitions {
            self.meters.beat();
            let answer = consumer.fetch_watermarks(&self.topic, partition, REQUEST_TIMEOUT);
            watermarks.insert(partition, answer.map_err(|error| self.unreadable(partition, &error))?);
        }
        let same = self.recognised(&known, &watermarks)?;
        let start = |&partition: &i32| {
            let (low, high) = watermarks[&partition];
            let Some(position) = known.get(&partition) else {
                return Ok(Start { partition, incarnation: 0, offset: low });
            };
            let Position { incarnation, next_offset: offset, .. } = *position;
            let reason = match () {
                () if offset > high => "truncated",
                () if !same.get(&partition).copied().unwrap_or(true) => "recreated",
                () if offset < low => "retention",
                () => return Ok(Start { partition, incarnation, offset }),
            };
            self.gap(&mut *store, position, (low, high), reason)
        };
        partitions.iter().map(start).collect()
    }

    /// Of each partition whose last record is still there, whether it is the one that we took.
    fn recognised(
        &self,
        known: &HashMap<i32, Position>,
        watermarks: &HashMap<i32, (i64, i64)>,
    ) -> Result<HashMap<i32, bool>, SinkError> {
        let there = |position: &&Position| {
            let (low, high) = watermarks[&position.partition];
            position.last.is_some_and(|last| (low..high).contains(&last.offset))
        };
        let last: HashMap<i32, LastRecord> =
            known.values().filter(there).filter_map(|position| Some((position.partition, position.last?))).collect();
        let offsets: Vec<(i32, i64)> = last.iter().map(|(partition, last)| (*partition, last.offset)).collect();
        let found = fingerprints(&self.cluster, &self.topic, &offsets)?;
        Ok(last.iter().map(|(partition, last)| (*partition, found[partition] == *last)).collect())
    }

    /// Going on elsewhere than where we were would skip records silently: halts, or writes it down.
    fn gap(
        &self,
        store: &mut dyn crate::store::Store,
        position: &Position,
        (low, high): (i64, i64),
        reason: &'static str,
    ) -> Result<Start, SinkError> {
        let Position { partition, incarnation, next_offset, .. } = *position;
        let (sink, topic) = (&self.sink, &self.topic);
        let what = match reason {
            "retention" => format!("begins at offset {low}: {} records are gone unread", low - next_offset),
            "truncated" => format!("ends at offset {high}: the topic was truncated or made anew"),
            _ => "holds another record before that: the topic was made anew".to_owned(),
        };
        let what = format!("`{sink}` is at offset {next_offset} of {topic}[{partition}], which {what}");
        if self.on_gap == OnGap::Halt {
            return Err(SinkError::Halt(format!(
                "{what}; to write that down in `sink_gap` and go on at offset {low}, start with `{}=record`",
                settings::ON_GAP.name
            )));
        }
        tracing::warn!(what, "gap");
        self.meters.gap(if reason == "retention" { (low - next_offset).cast_unsigned() } else { 0 });
        let old =
            SinkPartition { sink: sink.as_str().into(), topic: topic.as_str().into(), incarnation, number: partition };
        let next = if reason == "retention" { incarnation } else { incarnation + 1 };
        let gap = Gap { partition: old, from_offset: next_offset, next: (next, low), reason };
        self.runtime.block_on(store.record_gap(&gap)).map_err(SinkError::from)?;
        Ok(Start { partition, incarnation: next, offset: low })
    }

    fn unreadable(&self, partition: i32, error: &KafkaError) -> SinkError {
        SinkError::Retry(format!("cannot read offsets of {}[{partition}]: {error}", self.topic))
    }
}

impl From<StoreError> for SinkError {
    fn from(error: StoreError) -> SinkError {
        match error {
            StoreError::Halt(reason) => SinkError::Halt(reason),
            other => SinkError::Retry(other.to_string()),
        }
    }
}
