//! A sink: one dataset's consumer group and the database that it fills.
//!
//! One thread owns the state. It polls Kafka, decodes and validates into chunks, hands full chunks to the writers and
//! takes their answers. A partition has at most one chunk being written and one being built.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use chrono::Utc;
use contract::{Dataset, topic};
use rdkafka::Message;
use service::kafka::Cluster;
use service::registry::Registry;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::admit::Admission;
use crate::breaker::Breaker;
use crate::chunk::{Chunk, ChunkBuilder, Limits, SinkPartition, Target};
use crate::consume::{Change, Consumption, InFlight, OnGap, Polled, Start};
use crate::meters::Meters;
use crate::original::original_of;
use crate::schemas::{Missing, RETRY_INTERVAL, Schemas};
use crate::store::{Commit, Database, Outcome, StoreError};
use crate::writer::{self, MAX_WAIT, Writer, Written, backoff};

/// How long one poll waits; also how often ages are looked at.
const POLL_PATIENCE: Duration = Duration::from_millis(20);
/// How long the writers may hold us up before a partition is paused and polling goes on without it.
const BLOCKED_PATIENCE: Duration = Duration::from_secs(2);
/// How long a shutdown waits for what is being written.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);
/// How long a command, unlike a daemon, goes on trying.
const COMMAND_PATIENCE: Duration = Duration::from_secs(60);
/// Records held in memory by a sink, built and being written, whatever the number of its partitions: some 20 MB.
const MAX_RECORDS_HELD: usize = 40_000;
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
    /// What to do when records are gone unread.
    pub on_gap: OnGap,
    /// Share of refused records at which the sink halts, in percent.
    pub breaker_percent: usize,
    /// How long a partition waits for a schema that the registry does not know.
    pub schema_patience: Duration,
    /// Whether to end at the end of the topic.
    pub once: bool,
    /// What is measured of it.
    pub meters: Meters,
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
                    self.meters.session_failed(&reason);
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

/// A partition that is ours.
struct Assigned {
    builder: ChunkBuilder,
    breaker: Breaker,
    writing: bool,
    paused: bool,
    at_end: bool,
    /// Waiting for a schema.
    parked: Option<Parked>,
}

/// A partition whose next message cannot be read yet.
struct Parked {
    offset: i64,
    since: Instant,
    try_at: Instant,
}

/// From joining the group to leaving it.
struct Session<'a> {
    sink: &'a Sink,
    runtime: &'a Handle,
    group: Arc<str>,
    topic: Arc<str>,
    target: Target,
    admission: Admission,
    headers: Vec<u8>,
    limits: Limits,
    partitions: HashMap<i32, Assigned>,
    /// Whether the group has said which partitions are ours; there may be none.
    is_assigned: bool,
    writers: Writers,
    answers: Receiver<Written>,
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
            (&sink.database, sink.on_gap),
            (session.writers.in_flight.clone(), sink.meters.clone()),
            runtime,
            sink.once,
        )?;
        while !stop.is_cancelled() && !session.is_done() {
            session.step(&consumption, total)?;
        }
        session.drain(&consumption, total)
    }

    fn new(sink: &'a Sink, runtime: &'a Handle, cancelled: &CancellationToken) -> Session<'a> {
        let group: Arc<str> = topic::group(sink.cluster.namespace(), sink.dataset, &sink.database.sink()).into();
        let in_flight = Arc::<InFlight>::default();
        let (answer, answers) = sync_channel(ANSWERS);
        let (queue, chunks) = writer::queue(sink.writers);
        for _ in 0..sink.writers {
            let writer = Writer {
                store: sink.database.store(&group),
                chunks: chunks.clone(),
                answers: answer.clone(),
                in_flight: in_flight.clone(),
                cancelled: cancelled.clone(),
                meters: Some(sink.meters.clone()),
            };
            runtime.spawn(writer.run());
        }
        Session {
            writers: Writers { queue, in_flight },
            sink,
            runtime,
            topic: topic::topic(sink.cluster.namespace(), sink.dataset).into(),
            target: Target::live(sink.dataset, group.clone()),
            admission: Admission::new(sink.dataset, Schemas::new(sink.dataset, sink.registry.clone()), Vec::new()),
            headers: Vec::new(),
            limits: sink.limits,
            partitions: HashMap::new(),
            is_assigned: false,
            answers,
            blocked_since: None,
            looked_at: Instant::now(),
            group: group.clone(),
        }
    }

    fn is_done(&self) -> bool {
        let done = |assigned: &Assigned| assigned.at_end && assigned.builder.is_empty() && !assigned.writing;
        self.sink.once && self.is_assigned && self.partitions.values().all(done)
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
        let polled = consumption.poll(POLL_PATIENCE)?;
        for change in consumption.changes() {
            self.change(change)?;
        }
        match polled {
            Polled::Message(message) => self.take(&message, consumption)?,
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
            self.partitions.values_mut().for_each(|assigned| self.writers.dispatch(assigned, &self.limits, now));
            self.unpark(consumption, now)?;
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
        self.partitions.values_mut().for_each(|assigned| self.writers.dispatch(assigned, limits, now));
        // No writer waits for a chunk to be full while nothing can be added to it.
        let idle = self.sink.writers.saturating_sub(self.partitions.values().filter(|one| one.writing).count());
        let mut waiting: Vec<&mut Assigned> = self.partitions.values_mut().filter(|one| !one.writing).collect();
        waiting.sort_unstable_by_key(|one| Reverse(one.builder.records()));
        for assigned in waiting.into_iter().take(idle) {
            self.writers.hand_over(assigned);
        }
        if now.duration_since(*self.blocked_since.get_or_insert(now)) < BLOCKED_PATIENCE {
            return Ok(self.partitions.values().any(full));
        }
        for (number, assigned) in self.partitions.iter_mut().filter(|(_, assigned)| full(assigned)) {
            consumption.pause(*number)?;
            self.sink.meters.paused();
            assigned.paused = true;
        }
        Ok(false)
    }

    fn change(&mut self, change: Change) -> Result<(), SinkError> {
        match change {
            Change::Failed(error) => return Err(error),
            Change::Revoked => {
                self.partitions.clear();
                self.is_assigned = false;
            }
            Change::Assigned(starts) => {
                let share = MAX_RECORDS_HELD / (2 * starts.len().max(1));
                self.limits.rows = self.sink.limits.rows.min(share.max(1));
                self.partitions = starts.iter().map(|start| (start.partition, self.begin(start))).collect();
                self.is_assigned = true;
                tracing::info!(sink = &*self.group, partitions = starts.len(), "assigned");
            }
        }
        Ok(())
    }

    fn begin(&self, start: &Start) -> Assigned {
        let partition = SinkPartition {
            sink: self.group.clone(),
            topic: self.topic.clone(),
            incarnation: start.incarnation,
            number: start.partition,
        };
        let builder = ChunkBuilder::new(partition, self.target.clone(), start.offset);
        let breaker = Breaker::new(self.sink.breaker_percent);
        Assigned { builder, breaker, writing: false, paused: false, at_end: false, parked: None }
    }

    /// Decodes and validates a message into its partition's chunk, as a row or as a dead letter.
    fn take<M: Message>(&mut self, message: &M, consumption: &Consumption) -> Result<(), SinkError> {
        let Some(assigned) = self.partitions.get_mut(&message.partition()) else {
            return Ok(());
        };
        assigned.at_end = false;
        let Assigned { builder, breaker, parked, .. } = assigned;
        let skipped = parked.as_ref().is_some_and(|parked| parked.offset != message.offset());
        if message.offset() < builder.next_offset() || skipped {
            return Ok(());
        }
        let original = original_of(message, &mut self.headers);
        let now = Utc::now().timestamp_micros();
        let refused = match self.admission.admit(&original, self.runtime, builder.rows(), now) {
            Ok(refused) => refused,
            Err(missing) => return self.park(message.partition(), message.offset(), &missing, consumption),
        };
        *parked = None;
        breaker.note(refused.is_some());
        if let Some(cause) = &refused {
            let partition = builder.partition();
            self.sink.meters.refused(cause);
            tracing::debug!(%partition, offset = original.offset, reason = cause.reason, "dead letter");
            if let Some((refused, seen)) = breaker.tripped() {
                self.sink.meters.tripped();
                return Err(SinkError::Halt(format!(
                    "{refused} of the last {seen} records of {partition} are refused, the last one at offset {}: {}; \
                     mend the cause, or raise `TAPEDECK_BREAKER_PERCENT` to let them become dead letters",
                    original.offset, cause.reason
                )));
            }
        }
        builder.took(&original, refused, Instant::now());
        Ok(())
    }

    /// Stops reading a partition until the schema of its next message is there; the others go on.
    fn park(
        &mut self,
        partition: i32,
        offset: i64,
        missing: &Missing,
        consumption: &Consumption,
    ) -> Result<(), SinkError> {
        let patience = self.sink.schema_patience;
        let Some(assigned) = self.partitions.get_mut(&partition) else {
            return Ok(());
        };
        let now = Instant::now();
        let known = assigned.builder.partition().clone();
        if assigned.parked.is_none() {
            tracing::warn!(partition = %known, offset, reason = %missing, "waiting for a schema");
        }
        let since = assigned.parked.as_ref().map_or(now, |parked| parked.since);
        let waited = now.duration_since(since);
        if self.sink.once && waited >= COMMAND_PATIENCE {
            return Err(SinkError::Halt(format!("{known} at offset {offset}: {missing}")));
        }
        if matches!(missing, Missing::Unknown(_)) && waited >= patience {
            return Err(SinkError::Halt(format!(
                "{known} at offset {offset}: {missing}, for {} s; register it, and the sink goes on from there",
                patience.as_secs()
            )));
        }
        assigned.parked = Some(Parked { offset, since, try_at: now + RETRY_INTERVAL });
        consumption.hold_at(partition, offset)
    }

    /// Reads partitions again that have waited for long enough.
    fn unpark(&mut self, consumption: &Consumption, now: Instant) -> Result<(), SinkError> {
        for (number, assigned) in &mut self.partitions {
            if let Some(parked) = assigned.parked.as_mut().filter(|parked| parked.try_at <= now) {
                parked.try_at = now + RETRY_INTERVAL;
                if !assigned.paused {
                    consumption.resume(*number)?;
                }
            }
        }
        Ok(())
    }

    fn written(&mut self, written: Written, consumption: &Consumption, total: &mut Outcome) -> Result<(), SinkError> {
        let Commit { outcome, already } = written.result.map_err(|error| {
            if let StoreError::Fenced { partition } = &error {
                tracing::warn!(%partition, "fenced: another consumer moved the partition on");
            }
            SinkError::from(error)
        })?;
        if already {
            let partition = written.partition;
            tracing::warn!(partition, "already committed: the answer to an earlier attempt was lost");
        }
        tracing::debug!(partition = written.partition, elapsed = ?written.elapsed, ?outcome, "committed");
        *total += outcome;
        consumption.report(written.partition, written.to_offset);
        if let Some(assigned) = self.partitions.get_mut(&written.partition) {
            assigned.writing = false;
            self.writers.dispatch(assigned, &self.limits, Instant::now());
            if assigned.paused && !assigned.builder.is_full(&self.limits) {
                assigned.paused = false;
                if assigned.parked.is_none() {
                    consumption.resume(written.partition)?;
                }
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
                self.writers.dispatch(assigned, &at_once, Instant::now());
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

/// Those that write, whoever has time first.
struct Writers {
    queue: mpsc::Sender<Chunk>,
    in_flight: Arc<InFlight>,
}

impl Writers {
    /// Hands over a partition's chunk if it is due and the one before it is written.
    fn dispatch(&self, assigned: &mut Assigned, limits: &Limits, now: Instant) {
        if assigned.builder.is_due(limits, now) || assigned.at_end {
            self.hand_over(assigned);
        }
    }

    /// Hands over a partition's chunk if it holds something and the one before it is written.
    fn hand_over(&self, assigned: &mut Assigned) {
        if assigned.writing || assigned.builder.is_empty() {
            return;
        }
        if let Ok(permit) = self.queue.try_reserve() {
            self.in_flight.begin();
            permit.send(assigned.builder.take());
            assigned.writing = true;
        }
    }
}
