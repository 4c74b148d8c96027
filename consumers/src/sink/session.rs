//! A session of a sink: from joining the consumer group to leaving it.
//!
//! One thread owns the state. A message, an assignment, a writer's result and a tick of the clock are all events.
//! [`Session::run`] is the only loop, and one `match` hands each event to its handler.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::topic;
use kafka::group::{GroupConsumer, Membership, Start};
use kafka::schemas::RETRY_INTERVAL;
use kafka::{KafkaError, Message, group};
use store::chunk::{SinkPartition, Target};
use store::{Outcome, StoreError};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::admit::Admission;
use super::driver::{Admitted, Driver, Feed, Writers};
use super::error::{SinkError, panic_text};
use super::meters::PartitionMeter;
use super::positions::DatabasePositions;
use super::schemas;
use super::state::{MAX_HELD, Rules};
use super::writer::{WriteError, Written};
use super::{COMMAND_PATIENCE, Sink};
use crate::events::Events;
use crate::reminder::Reminder;

/// How long one poll waits; also how often the ages of chunks are checked.
const POLL_PATIENCE: Duration = Duration::from_millis(20);
/// The same for a sink that has had no chunk for [`IDLE_AFTER`]. A message ends the wait at once, a shutdown does not.
const IDLE_PATIENCE: Duration = Duration::from_secs(1);
/// How long a sink without a chunk polls as before.
const IDLE_AFTER: Duration = Duration::from_secs(10);
/// How long full partitions may hold up the others before they are paused.
const BLOCKED_PATIENCE: Duration = Duration::from_secs(2);
/// How long a shutdown waits for the chunks being written.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);
/// How long a sink must run after an assignment before its last halt counts as over: one that halts again and again, and
/// is restarted each time, does not seem to run in between.
const HALT_OVER_AFTER: Duration = Duration::from_secs(30);

/// An event of a session.
enum Event<'a> {
    /// An event of the consumer group.
    Kafka(group::Event<'a>),
    /// A writer's result.
    Committed(Written),
    /// Time has passed.
    Nothing,
}

/// A session: from joining the group to leaving it.
pub(super) struct Session<'a> {
    sink: &'a Sink,
    group: Arc<str>,
    topic: Arc<str>,
    driver: Driver,
    total: &'a mut Outcome,
    ticked_at: Instant,
    /// When the sink last had a chunk, or began.
    busy_at: Instant,
    /// When the partitions were assigned, until the last halt counts as over.
    assigned_at: Option<Instant>,
    of_waiting: Reminder,
    /// The meter of the last message's partition.
    meter: Option<(i32, Arc<PartitionMeter>)>,
}

impl<'a> Session<'a> {
    /// Runs until it is stopped, or to the end of the topic; adds the records' outcomes to `total`.
    pub(super) fn run(
        sink: &'a Sink,
        runtime: &Handle,
        stop: &CancellationToken,
        total: &'a mut Outcome,
    ) -> Result<(), SinkError> {
        let cancelled = CancellationToken::new();
        // However the session ends, its writers end with it.
        let _guard = cancelled.clone().drop_guard();
        let topic = topic::topic(sink.cluster.namespace(), sink.dataset);
        runtime.block_on(sink.cluster.ensure_topics(std::slice::from_ref(&topic)))?;
        let stores = (0..sink.writers).map(|_| sink.database.store(&sink.group())).collect();
        let writers = Writers::start(stores, Some(&sink.meters), runtime, &cancelled);
        let positions = DatabasePositions {
            database: sink.database.clone(),
            group: sink.group(),
            topic: topic.clone(),
            on_gap: sink.on_gap,
            once: sink.once,
            runtime: runtime.clone(),
            meters: sink.meters.clone(),
            events: sink.events.clone(),
        };
        let membership = Membership {
            group: &sink.group(),
            topic: &topic,
            database: sink.identity.as_deref(),
            positions: Box::new(positions),
            in_flight: writers.in_flight(),
            reports_ends: sink.once,
        };
        // Created before the consumer, so that it is dropped after it: a revocation waits for the writers, which need a
        // receiver for their results.
        let mut session = Session::new(sink, &topic, writers, runtime, total);
        let consumer = GroupConsumer::join(&sink.cluster, membership)?;
        // Caught before the consumer is dropped: leaving the group can take seconds.
        let outcome = catch_unwind(AssertUnwindSafe(|| session.consume(&consumer, stop)));
        outcome.unwrap_or_else(|panic| Err(session.on_panic(&*panic)))
    }

    fn new(sink: &'a Sink, topic: &str, writers: Writers, runtime: &Handle, total: &'a mut Outcome) -> Session<'a> {
        let group: Arc<str> = sink.group().into();
        let rules = Rules {
            limits: sink.limits,
            max_held: MAX_HELD,
            writers: sink.writers,
            pause_after: Some(BLOCKED_PATIENCE),
            breaker_percent: sink.breaker_percent,
            schema_interval: RETRY_INTERVAL,
            unknown_patience: sink.schema_patience,
            away_patience: sink.once.then_some(COMMAND_PATIENCE),
            once: sink.once,
        };
        let schemas = schemas::kept_in(&sink.database, sink.dataset, sink.registry.clone());
        let admission = Admission::new(sink.dataset, schemas, Vec::new());
        let target = Target::live(sink.dataset, group.clone());
        let driver = Driver::new(rules, target, admission, writers, runtime);
        let now = Instant::now();
        Session {
            sink,
            group,
            topic: topic.into(),
            driver,
            total,
            ticked_at: now,
            busy_at: now,
            assigned_at: None,
            of_waiting: Reminder::default(),
            meter: None,
        }
    }

    /// The loop.
    fn consume(&mut self, consumer: &GroupConsumer, stop: &CancellationToken) -> Result<(), SinkError> {
        let feed = LiveFeed { consumer, events: &self.sink.events };
        while !self.driver.state.is_done() {
            let event = self.next_event(consumer)?;
            let now = Instant::now();
            match event {
                Event::Committed(written) => self.on_committed(written, now)?,
                Event::Kafka(group::Event::Message(message)) => self.on_message(&message, now)?,
                Event::Kafka(group::Event::Assigned(starts)) => self.on_assigned(&starts),
                Event::Kafka(group::Event::Revoked) => self.on_revoked(),
                Event::Kafka(group::Event::Waiting(reason)) => self.on_waiting(&reason),
                Event::Kafka(group::Event::Lost(error)) => return Err(self.on_lost(error)),
                Event::Kafka(group::Event::End(partition)) => self.driver.on_end(partition, None, now),
                Event::Kafka(group::Event::Ends(ends)) => self.sink.meters.on_ends(&ends),
                Event::Nothing => {}
            }
            if self.is_tick(now) {
                if stop.is_cancelled() {
                    break;
                }
                self.driver.state.on_tick(now);
                self.end_halt(now);
            }
            self.driver.perform(&feed)?;
        }
        self.drain(&feed)
    }

    /// Writers' results come first, because they make room. While polling is blocked, it waits for them.
    fn next_event<'b>(&mut self, consumer: &'b GroupConsumer) -> Result<Event<'b>, SinkError> {
        if let Some(written) = self.driver.try_answer() {
            return Ok(Event::Committed(written));
        }
        if self.driver.state.is_blocked() {
            let written = self.driver.await_answer(POLL_PATIENCE)?;
            return Ok(written.map_or(Event::Nothing, Event::Committed));
        }
        if !self.driver.state.is_drained() || self.sink.once {
            self.busy_at = self.ticked_at;
        }
        let is_idle = self.ticked_at.duration_since(self.busy_at) >= IDLE_AFTER;
        let patience = if is_idle { IDLE_PATIENCE } else { POLL_PATIENCE };
        Ok(consumer.poll(patience)?.map_or(Event::Nothing, Event::Kafka))
    }

    fn on_assigned(&mut self, starts: &[Start]) {
        self.meter = None;
        self.sink.meters.on_assigned(starts);
        let partition = |start: &Start| SinkPartition {
            sink: self.group.clone(),
            topic: self.topic.clone(),
            incarnation: start.incarnation,
            number: start.partition,
        };
        let starts: Vec<_> = starts.iter().map(|start| (partition(start), start.offset)).collect();
        tracing::info!(sink = &*self.group, partitions = starts.len(), "assigned");
        self.driver.on_assigned(starts);
        self.assigned_at = Some(Instant::now());
    }

    /// The sink has run for long enough that its last halt is over.
    fn end_halt(&mut self, now: Instant) {
        if self.assigned_at.is_some_and(|since| now.duration_since(since) >= HALT_OVER_AFTER) {
            self.assigned_at = None;
            let sink = self.sink.clone();
            self.driver.runtime.spawn(async move { sink.note_halt(None).await });
        }
    }

    /// The group has waited for the chunks being written. The next owner reads the chunks being built again.
    fn on_revoked(&mut self) {
        self.meter = None;
        self.sink.meters.on_revoked();
        self.driver.on_revoked();
    }

    /// The database does not say where to start. The member stays in its group and asks again.
    fn on_waiting(&mut self, reason: &str) {
        self.sink.meters.on_lost(reason);
        if self.of_waiting.is_due_for(reason) {
            let sink = &*self.group;
            tracing::warn!(sink, reason, "waiting for the database, without partitions until it answers");
        }
    }

    fn on_lost(&self, error: KafkaError) -> SinkError {
        self.sink.meters.on_lost(&error.to_string());
        error.into()
    }

    /// Decodes and validates a message into its partition's chunk, as a row or as a dead letter.
    fn on_message(&mut self, message: &Message<'_>, now: Instant) -> Result<(), SinkError> {
        let (partition, offset) = (message.partition(), message.offset());
        self.measure(message);
        match self.driver.on_message(message, |_| true, now)? {
            Admitted::Taken | Admitted::Skipped => {}
            Admitted::Refused(cause) => self.sink.events.refused(partition, offset, &cause),
            Admitted::Held { missing, is_new: true } => {
                self.sink.events.waits_for_schema(partition, offset, &missing);
            }
            Admitted::Held { is_new: false, .. } => {}
        }
        Ok(())
    }

    fn measure(&mut self, message: &Message<'_>) {
        let partition = message.partition();
        if self.meter.as_ref().is_none_or(|(number, _)| *number != partition) {
            self.meter = self.sink.meters.partition(partition).map(|meter| (partition, meter));
        }
        if let Some((_, meter)) = &self.meter {
            meter.took(message.offset(), message.timestamp_ms());
        }
    }

    /// Handles a writer's result. Any error ends the session; the next one continues from the committed position.
    fn on_committed(&mut self, written: Written, now: Instant) -> Result<(), SinkError> {
        let (partition, elapsed) = (written.partition, written.elapsed);
        let commit = self.driver.on_committed(written, now).inspect_err(|error| match error {
            WriteError::Store(StoreError::Fenced { partition }) => self.sink.events.fenced(partition),
            WriteError::Panicked(line) => self.sink.events.panicked(line),
            WriteError::Store(_) => {}
        })?;
        if commit.already {
            self.sink.events.recognised(partition);
        }
        for trip in &commit.quarantined {
            self.sink.events.quarantined(trip);
        }
        tracing::debug!(partition, ?elapsed, outcome = ?commit.outcome, "committed");
        *self.total += commit.outcome;
        Ok(())
    }

    /// Whether it is time to look at the ages of chunks, the waits and the stop, which is not done after every message.
    fn is_tick(&mut self, now: Instant) -> bool {
        let is_due = now.duration_since(self.ticked_at) >= POLL_PATIENCE;
        if is_due {
            self.ticked_at = now;
            self.sink.meters.beat();
        }
        is_due
    }

    fn on_panic(&self, panic: &(dyn std::any::Any + Send)) -> SinkError {
        let line = format!("sink panicked at {}: {}", self.driver.on_panic(&self.topic), panic_text(panic));
        self.sink.events.panicked(&line);
        SinkError::Halt(line)
    }

    /// Hands over the chunks being built and waits until they are written. When that takes too long, nothing is lost:
    /// the next session reads uncommitted records again.
    fn drain(&mut self, feed: &LiveFeed<'_>) -> Result<(), SinkError> {
        let deadline = Instant::now() + DRAIN_PATIENCE;
        self.driver.state.on_stop(Instant::now());
        loop {
            self.driver.perform(feed)?;
            let left = deadline.checked_duration_since(Instant::now());
            let Some(left) = left.filter(|_| !self.driver.state.is_drained()) else { return Ok(()) };
            if let Some(written) = self.driver.await_answer(left)? {
                self.on_committed(written, Instant::now())?;
            }
        }
    }
}

/// The consumer group, as the driver sees it.
struct LiveFeed<'a> {
    consumer: &'a GroupConsumer,
    events: &'a Events,
}

impl Feed for LiveFeed<'_> {
    fn pause(&self, partition: i32) -> Result<(), KafkaError> {
        self.events.paused(partition);
        self.consumer.pause(partition)
    }

    fn resume(&self, partition: i32) -> Result<(), KafkaError> {
        self.consumer.resume(partition)
    }

    fn hold_at(&self, partition: i32, offset: i64) -> Result<(), KafkaError> {
        self.consumer.hold_at(partition, offset)
    }

    fn report(&self, partition: i32, next_offset: i64) {
        self.consumer.report(partition, next_offset);
    }
}
