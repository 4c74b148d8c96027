//! A sink: one dataset's consumer group and the database that it fills.
//!
//! One thread owns the state. It polls Kafka, decodes and validates into chunks, hands full chunks to the writers and
//! takes their answers. A partition has at most one chunk being written and one being built.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use chrono::Utc;
use contract::codec::split_header;
use contract::validate::validate_last;
use contract::{Dataset, topic};
use rdkafka::Message;
use service::kafka::Cluster;
use service::registry::Registry;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::chunk::{Chunk, ChunkBuilder, Limits, Partition};
use crate::consume::{Change, Consumption, InFlight, Polled, Start};
use crate::dead_letter::{Cause, DeadLetters};
use crate::schemas::Schemas;
use crate::store::{Database, Outcome, Store, StoreError};

/// How long one poll waits; also how often ages are looked at.
const POLL_PATIENCE: Duration = Duration::from_millis(20);
/// How long the writers may hold us up before a partition is paused and polling goes on without it.
const BLOCKED_PATIENCE: Duration = Duration::from_secs(2);
/// How often a sink without partitions asks whether others have them.
const IDLE_INTERVAL: Duration = Duration::from_secs(2);
/// How long a shutdown waits for what is being written.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);
/// How long a command, unlike a daemon, goes on trying.
const COMMAND_PATIENCE: Duration = Duration::from_secs(60);
/// Records held in memory by a sink, built and being written, whatever the number of its partitions: some 25 MB.
const MAX_RECORDS_HELD: usize = 64_000;
/// How often a failure that lasts is logged again.
pub(crate) const REMINDER: Duration = Duration::from_secs(60);
/// Answers of writers that may wait to be taken: one per partition is the most there can be; more partitions wait.
const ANSWERS: usize = 1024;

/// Why a sink stopped, named by what to do next.
#[derive(Debug, Error)]
pub enum SinkError {
    /// Begin again: Kafka, the registry or the database is not available, or a partition moved on.
    #[error("{0}")]
    Retry(String),
    /// An operator is needed.
    #[error("{0}")]
    Halt(String),
}

/// What a sink needs.
#[derive(Debug, Clone)]
pub struct Sink {
    /// The dataset.
    pub dataset: &'static Dataset,
    /// Where its topic is.
    pub cluster: Cluster,
    /// Where its table is.
    pub database: Database,
    /// Where its writers' schemas are.
    pub registry: Option<Registry>,
    /// When a chunk is committed.
    pub limits: Limits,
    /// Chunks written side by side.
    pub writers: usize,
    /// Whether to end at the end of the topic.
    pub once: bool,
}

impl Sink {
    /// Runs until it is stopped, or to the end of the topic; gives what became of the records.
    ///
    /// Blocks: to be called on a thread of its own. Failures that pass are waited for, for ever unless `once`.
    pub fn run(&self, runtime: &Handle, stop: &CancellationToken) -> Result<Outcome, SinkError> {
        let mut total = Outcome::default();
        let mut failing: Option<Instant> = None;
        let mut waits = backoff();
        loop {
            let before = total.read;
            match Session::run(self, runtime, stop, &mut total) {
                Ok(()) => return Ok(total),
                Err(SinkError::Halt(reason)) => return Err(SinkError::Halt(reason)),
                Err(SinkError::Retry(_)) if stop.is_cancelled() => return Ok(total),
                Err(SinkError::Retry(reason)) => {
                    if total.read > before {
                        (failing, waits) = (None, backoff());
                    }
                    let since = *failing.get_or_insert_with(Instant::now);
                    if self.once && since.elapsed() > COMMAND_PATIENCE {
                        return Err(SinkError::Halt(reason));
                    }
                    tracing::warn!(dataset = self.dataset.name, reason, "sink begins again");
                }
            }
            let wait = waits.next().unwrap_or(MAX_WAIT);
            runtime.block_on(async {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = stop.cancelled() => {}
                }
            });
        }
    }
}

/// Longest wait between two attempts.
const MAX_WAIT: Duration = Duration::from_secs(15);

fn backoff() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(Duration::from_millis(250))
        .with_max_delay(MAX_WAIT)
        .without_max_times()
        .build()
}

/// What a writer answers.
struct Written {
    partition: i32,
    to_offset: i64,
    result: Result<Outcome, StoreError>,
}

/// A partition that is ours.
struct Assigned {
    builder: ChunkBuilder,
    writing: bool,
    paused: bool,
    at_end: bool,
}

/// What the group has given us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Assignment {
    /// Nothing said yet.
    Awaited,
    /// No partition, since then; whether others have them is not known.
    Empty(Instant),
    /// Partitions, or none because others have them all.
    Good,
}

/// From joining the group to leaving it.
struct Session<'a> {
    sink: &'a Sink,
    runtime: &'a Handle,
    group: Arc<str>,
    topic: Arc<str>,
    dead_letter: &'static Dataset,
    dead_letters: DeadLetters,
    schemas: Schemas,
    limits: Limits,
    partitions: HashMap<i32, Assigned>,
    assignment: Assignment,
    writers: Vec<mpsc::Sender<Chunk>>,
    answers: Receiver<Written>,
    in_flight: Arc<InFlight>,
    blocked_since: Option<Instant>,
    looked_at: Instant,
}

impl<'a> Session<'a> {
    fn run(
        sink: &'a Sink,
        runtime: &'a Handle,
        stop: &CancellationToken,
        total: &mut Outcome,
    ) -> Result<(), SinkError> {
        let cancelled = CancellationToken::new();
        // Whatever way the session ends, its writers end with it.
        let _guard = cancelled.clone().drop_guard();
        let mut session = Session::new(sink, runtime, &cancelled);
        let created = runtime.block_on(sink.cluster.ensure_topics(&[session.topic.to_string()]));
        created.map_err(|error| SinkError::Retry(service::telemetry::one_line(&error)))?;
        let consumption = Consumption::join(
            &sink.cluster,
            (&session.group, &session.topic),
            &sink.database,
            session.in_flight.clone(),
            runtime,
            sink.once,
        )?;
        while !stop.is_cancelled() && !session.is_done() {
            session.step(&consumption, total)?;
        }
        session.drain(&consumption, total)
    }

    fn new(sink: &'a Sink, runtime: &'a Handle, cancelled: &CancellationToken) -> Session<'a> {
        let dead_letter = contract::dataset("dead_letter").expect("it is declared");
        let group: Arc<str> = topic::group(sink.cluster.namespace(), sink.dataset, &sink.database.sink()).into();
        let in_flight = Arc::<InFlight>::default();
        let (answer, answers) = sync_channel(ANSWERS);
        let writer = |_| {
            let (sender, receiver) = mpsc::channel(1);
            let writer = Writer {
                store: sink.database.store(&group),
                chunks: receiver,
                answers: answer.clone(),
                in_flight: in_flight.clone(),
                cancelled: cancelled.clone(),
            };
            runtime.spawn(writer.run());
            sender
        };
        Session {
            writers: (0..sink.writers).map(writer).collect(),
            sink,
            runtime,
            topic: topic::topic(sink.cluster.namespace(), sink.dataset).into(),
            dead_letter,
            dead_letters: DeadLetters::new(dead_letter),
            schemas: Schemas::new(sink.dataset, sink.registry.clone()),
            limits: sink.limits,
            partitions: HashMap::new(),
            assignment: Assignment::Awaited,
            answers,
            in_flight: in_flight.clone(),
            blocked_since: None,
            looked_at: Instant::now(),
            group: group.clone(),
        }
    }

    fn is_done(&self) -> bool {
        let done = |assigned: &Assigned| assigned.at_end && assigned.builder.is_empty() && !assigned.writing;
        self.sink.once && self.assignment == Assignment::Good && self.partitions.values().all(done)
    }

    /// One turn: answers, one message, changes of the assignment, chunks that are due.
    fn step(&mut self, consumption: &Consumption, total: &mut Outcome) -> Result<(), SinkError> {
        while let Ok(written) = self.answers.try_recv() {
            self.written(written, consumption, total)?;
        }
        if self.is_blocked(consumption)? {
            return match self.answers.recv_timeout(POLL_PATIENCE) {
                Ok(written) => self.written(written, consumption, total),
                Err(RecvTimeoutError::Timeout) => Ok(()),
                Err(RecvTimeoutError::Disconnected) => Err(SinkError::Halt("all writers have ended".to_owned())),
            };
        }
        self.check_assignment(consumption)?;
        let polled = consumption.poll(POLL_PATIENCE)?;
        for change in consumption.changes() {
            self.change(change)?;
        }
        match polled {
            Polled::Message(message) => self.take(&message)?,
            Polled::End(partition) => {
                if let Some(assigned) = self.partitions.get_mut(&partition) {
                    assigned.at_end = true;
                }
            }
            Polled::Nothing => {}
        }
        let now = Instant::now();
        if now.duration_since(self.looked_at) >= POLL_PATIENCE {
            self.looked_at = now;
            self.partitions.values_mut().for_each(|assigned| {
                dispatch(assigned, &self.limits, now, &self.writers, &self.in_flight, self.dead_letter)
            });
        }
        Ok(())
    }

    /// Whether a message must not be polled now, because its partition could have no room for it.
    ///
    /// Polling must go on sooner or later, or Kafka takes the partitions away: after a while the full ones are paused.
    fn is_blocked(&mut self, consumption: &Consumption) -> Result<bool, SinkError> {
        let limits = &self.limits;
        let full = |assigned: &Assigned| !assigned.paused && assigned.builder.is_full(limits);
        if !self.partitions.values().any(full) {
            self.blocked_since = None;
            return Ok(false);
        }
        let now = Instant::now();
        self.partitions
            .values_mut()
            .for_each(|assigned| dispatch(assigned, limits, now, &self.writers, &self.in_flight, self.dead_letter));
        if now.duration_since(*self.blocked_since.get_or_insert(now)) < BLOCKED_PATIENCE {
            return Ok(self.partitions.values().any(full));
        }
        for (number, assigned) in self.partitions.iter_mut().filter(|(_, assigned)| full(assigned)) {
            consumption.pause(*number)?;
            assigned.paused = true;
        }
        Ok(false)
    }

    fn check_assignment(&mut self, consumption: &Consumption) -> Result<(), SinkError> {
        match self.assignment {
            Assignment::Empty(since) if since.elapsed() >= IDLE_INTERVAL => {
                if consumption.nobody_has_partitions()? {
                    return Err(SinkError::Retry(format!("group `{}` gave its partitions to nobody", self.group)));
                }
                self.assignment = Assignment::Good;
            }
            _ => {}
        }
        Ok(())
    }

    fn change(&mut self, change: Change) -> Result<(), SinkError> {
        match change {
            Change::Failed(error) => return Err(error),
            Change::Revoked => {
                self.partitions.clear();
                self.assignment = Assignment::Awaited;
            }
            Change::Assigned(starts) => {
                let share = MAX_RECORDS_HELD / (2 * starts.len().max(1));
                self.limits.rows = self.sink.limits.rows.min(share.max(1));
                self.partitions = starts.iter().map(|start| (start.partition, self.begin(start))).collect();
                self.assignment = if starts.is_empty() { Assignment::Empty(Instant::now()) } else { Assignment::Good };
                tracing::info!(sink = &*self.group, partitions = starts.len(), "assigned");
            }
        }
        Ok(())
    }

    fn begin(&self, start: &Start) -> Assigned {
        let partition = Partition {
            sink: self.group.clone(),
            topic: self.topic.clone(),
            incarnation: start.incarnation,
            number: start.partition,
        };
        let builder = ChunkBuilder::new(self.sink.dataset, self.dead_letter, partition, start.offset);
        Assigned { builder, writing: false, paused: false, at_end: false }
    }

    /// Decodes and validates a message into its partition's chunk, as a row or as a dead letter.
    fn take<M: Message>(&mut self, message: &M) -> Result<(), SinkError> {
        let dataset = self.sink.dataset;
        let Some(assigned) = self.partitions.get_mut(&message.partition()) else {
            return Ok(());
        };
        assigned.at_end = false;
        let builder = &mut assigned.builder;
        if message.offset() < builder.next_offset() {
            return Ok(());
        }
        let now = Utc::now();
        if let Some(cause) = refuse(message, dataset, &mut self.schemas, self.runtime, builder, now.timestamp_micros())?
        {
            let partition = builder.partition().clone();
            tracing::debug!(%partition, offset = message.offset(), reason = cause.reason, "dead letter");
            self.dead_letters.append(message, &partition, dataset, cause, now, builder.dead_letters());
        }
        let bytes = message.payload().map_or(0, <[u8]>::len) + message.key().map_or(0, <[u8]>::len);
        builder.took(message.offset(), bytes, Instant::now());
        Ok(())
    }

    fn written(&mut self, written: Written, consumption: &Consumption, total: &mut Outcome) -> Result<(), SinkError> {
        let outcome = written.result.map_err(SinkError::from)?;
        *total += outcome;
        consumption.report(written.partition, written.to_offset);
        if let Some(assigned) = self.partitions.get_mut(&written.partition) {
            assigned.writing = false;
            dispatch(assigned, &self.limits, Instant::now(), &self.writers, &self.in_flight, self.dead_letter);
            if assigned.paused && !assigned.builder.is_full(&self.limits) {
                consumption.resume(written.partition)?;
                assigned.paused = false;
            }
        }
        Ok(())
    }

    /// Hands over what is built, and waits for what is being written.
    fn drain(&mut self, consumption: &Consumption, total: &mut Outcome) -> Result<(), SinkError> {
        let at_once = Limits { rows: 1, bytes: 1, age: Duration::ZERO };
        let deadline = Instant::now() + DRAIN_PATIENCE;
        loop {
            for assigned in self.partitions.values_mut() {
                dispatch(assigned, &at_once, Instant::now(), &self.writers, &self.in_flight, self.dead_letter);
            }
            if self.partitions.values().all(|assigned| !assigned.writing && assigned.builder.is_empty()) {
                return Ok(());
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                // Nothing is lost: what is not committed is read again.
                return Ok(());
            };
            if let Ok(written) = self.answers.recv_timeout(left.min(POLL_PATIENCE)) {
                self.written(written, consumption, total)?;
            }
        }
    }
}

/// Appends the message's record to the rows, or says why not; the outer error is an outage.
fn refuse<M: Message>(
    message: &M,
    dataset: &Dataset,
    schemas: &mut Schemas,
    runtime: &Handle,
    builder: &mut ChunkBuilder,
    now_micros: i64,
) -> Result<Option<Cause>, SinkError> {
    let refused = |stage, class, reason: String| Ok(Some(Cause { stage, class, reason }));
    let (id, body) = match split_header(message.payload().unwrap_or_default()) {
        Ok(parts) => parts,
        Err(error) => return refused("decode", error.class(), error.to_string()),
    };
    let decoder = match schemas.decoder(id, runtime).map_err(|error| SinkError::Retry(error.to_string()))? {
        Ok(decoder) => decoder,
        Err(reason) => return refused("decode", "unknown_schema", reason.to_owned()),
    };
    let rows = builder.rows();
    if let Err(error) = decoder.decode(body, rows) {
        return refused("decode", error.class(), error.to_string());
    }
    if let Err(refusal) = validate_last(dataset, rows, now_micros) {
        rows.truncate(rows.len() - 1);
        return refused("validate", refusal.class(), refusal.to_string());
    }
    Ok(None)
}

/// Hands a partition's chunk to its writer if it is due and the writer is free.
fn dispatch(
    assigned: &mut Assigned,
    limits: &Limits,
    now: Instant,
    writers: &[mpsc::Sender<Chunk>],
    in_flight: &InFlight,
    dead_letter: &'static Dataset,
) {
    let due = assigned.builder.is_due(limits, now) || (assigned.at_end && !assigned.builder.is_empty());
    if assigned.writing || !due {
        return;
    }
    let number = assigned.builder.partition().number;
    let writer = &writers[number.cast_unsigned() as usize % writers.len()];
    if let Ok(permit) = writer.try_reserve() {
        in_flight.begin();
        permit.send(assigned.builder.take(dead_letter));
        assigned.writing = true;
    }
}

/// Writes chunks on one connection, one after the other.
struct Writer {
    store: Box<dyn Store>,
    chunks: mpsc::Receiver<Chunk>,
    answers: SyncSender<Written>,
    in_flight: Arc<InFlight>,
    cancelled: CancellationToken,
}

impl Writer {
    async fn run(mut self) {
        while let Some(chunk) = self.chunks.recv().await {
            let result = self.commit(&chunk).await;
            self.in_flight.end();
            let written = Written { partition: chunk.partition.number, to_offset: chunk.to_offset, result };
            if self.answers.send(written).is_err() {
                return;
            }
        }
    }

    /// Commits a chunk, however long the database is away; gives up only when the session ends.
    async fn commit(&mut self, chunk: &Chunk) -> Result<Outcome, StoreError> {
        let mut waits = backoff();
        let mut logged: Option<Instant> = None;
        loop {
            let error = match self.store.commit(chunk).await {
                Err(StoreError::Retry(reason)) if !self.cancelled.is_cancelled() => reason,
                result => return result,
            };
            if logged.is_none_or(|logged| logged.elapsed() > REMINDER) {
                tracing::warn!(partition = %chunk.partition, reason = error, "cannot store, will go on trying");
                logged = Some(Instant::now());
            }
            tokio::select! {
                () = tokio::time::sleep(waits.next().unwrap_or(MAX_WAIT)) => {}
                () = self.cancelled.cancelled() => return Err(StoreError::Retry(error)),
            }
        }
    }
}
