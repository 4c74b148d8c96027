//! Plays ranges of a topic: the same state machine as the live sink's, fed by a reader.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use contract::rule::Rule;
use kafka::reader::Reader;
use kafka::schemas::RETRY_INTERVAL;
use kafka::{KafkaError, Message};
use store::chunk::{Limits, SinkPartition, Target};
use store::{Store, StoreError};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::range::PartitionRange;
use super::{Replay, Report};
use crate::sink::admit::Admission;
use crate::sink::driver::{Admitted, Driver, Feed, Writers};
use crate::sink::schemas;
use crate::sink::state::{MAX_HELD, Rules};
use crate::sink::writer::{WriteError, Written};
use crate::sink::{COMMAND_PATIENCE, SinkError};

/// How often progress is reported.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);
/// How long one poll waits.
const POLL_PATIENCE: Duration = Duration::from_millis(50);

/// Where a player writes.
pub(super) struct Destination {
    /// The sink whose positions and ledger are written.
    pub(super) sink: Arc<str>,
    pub(super) topic: String,
    pub(super) target: Target,
    pub(super) store: Box<dyn Store>,
}

/// Plays ranges of a topic through the state machine.
pub(super) struct Player<'a> {
    replay: &'a Replay,
    sink: Arc<str>,
    topic: String,
    driver: Driver,
    stop: &'a CancellationToken,
    /// Ends the writer's retries.
    cancelled: CancellationToken,
    pub(super) report: Report,
}

impl<'a> Player<'a> {
    pub(super) fn new(
        replay: &'a Replay,
        rules_today: Vec<Rule>,
        destination: Destination,
        runtime: &Handle,
        stop: &'a CancellationToken,
    ) -> Player<'a> {
        let Destination { sink, topic, target, store } = destination;
        let dataset = replay.dataset;
        let schemas = schemas::kept_in(&replay.database, dataset, replay.registry.clone());
        let admission = Admission::new(dataset, schemas, rules_today);
        let cancelled = CancellationToken::new();
        let writers = Writers::start(vec![store], None, runtime, &cancelled);
        let driver = Driver::new(rules(replay.limits), target, admission, writers, runtime);
        Player { replay, sink, topic, driver, stop, cancelled, report: Report::default() }
    }

    /// Plays the ranges to their ends, or until it is stopped. The next run plays uncommitted records again.
    pub(super) fn play(&mut self, ranges: &[PartitionRange]) -> anyhow::Result<()> {
        let open: Vec<&PartitionRange> = ranges.iter().filter(|range| range.from < range.to).collect();
        let ends: BTreeMap<i32, i64> = open.iter().map(|range| (range.partition, range.to)).collect();
        let starts: Vec<(i32, i64)> = open.iter().map(|range| (range.partition, range.from)).collect();
        if starts.is_empty() {
            return Ok(());
        }
        let reader = Reader::assign(&self.replay.cluster, &self.topic, &starts)?;
        self.driver.on_assigned(starts.iter().map(|(number, offset)| (self.partition(*number), *offset)).collect());
        let mut progress = Progress::new(open.iter().map(|range| range.to - range.from).sum());
        let mut ticked_at = Instant::now();
        while !self.driver.state.is_done() && !self.stop.is_cancelled() {
            if let Some(written) = self.next_answer()? {
                self.on_committed(written)?;
            } else if !self.driver.state.is_blocked() {
                self.read(&reader, &ends)?;
            }
            let now = Instant::now();
            // It looks at every partition: not after each of many messages.
            if now.duration_since(ticked_at) >= POLL_PATIENCE {
                ticked_at = now;
                self.driver.state.on_tick(now);
            }
            self.driver.perform(&ReaderFeed(&reader))?;
            progress.report(|| self.driver.left(&ends));
        }
        self.finish()
    }

    /// A writer's result; waits for it while polling is blocked.
    fn next_answer(&self) -> Result<Option<Written>, SinkError> {
        match self.driver.state.is_blocked() {
            true => self.driver.await_answer(POLL_PATIENCE),
            false => Ok(self.driver.try_answer()),
        }
    }

    fn read(&mut self, reader: &Reader, ends: &BTreeMap<i32, i64>) -> anyhow::Result<()> {
        let now = Instant::now();
        let Some(message) = reader.poll(POLL_PATIENCE)? else {
            // The last offsets of a range may hold no records: then the reader reports the end instead.
            for (partition, end) in ends.iter().filter(|(partition, _)| reader.is_at_end(**partition)) {
                self.driver.on_end(*partition, Some(*end), now);
            }
            return Ok(());
        };
        let (partition, offset) = (message.partition(), message.offset());
        let Some(end) = ends.get(&partition).copied() else { return Ok(()) };
        if offset < end {
            self.on_message(&message, now)?;
        }
        if offset + 1 >= end {
            self.driver.on_end(partition, Some(end), now);
        }
        Ok(())
    }

    fn on_message(&mut self, message: &Message<'_>, now: Instant) -> Result<(), SinkError> {
        let replay = self.replay;
        let is_wanted = |message: &Message<'_>| {
            let is_other = replay.key.as_ref().is_some_and(|key| message.key() != Some(key.as_bytes()));
            !is_other && replay.range.includes(message.timestamp_ms())
        };
        let admitted = self.driver.on_message(message, is_wanted, now)?;
        if let Admitted::Refused(cause) = admitted {
            *self.report.refused_by_class.entry(cause.class.to_owned()).or_default() += 1;
        }
        Ok(())
    }

    fn on_committed(&mut self, written: Written) -> anyhow::Result<()> {
        match self.driver.on_committed(written, Instant::now()) {
            Ok(commit) => self.report.outcome += commit.outcome,
            Err(WriteError::Store(StoreError::Fenced { .. })) => bail!("another process runs the same replay"),
            Err(WriteError::Store(error)) => return Err(error.into()),
            Err(WriteError::Panicked(line)) => bail!(line),
        }
        Ok(())
    }

    /// Waits for the chunks being written. A stopped replay does not wait for an unavailable database.
    fn finish(&mut self) -> anyhow::Result<()> {
        while self.driver.state.is_writing() {
            if self.stop.is_cancelled() {
                self.cancelled.cancel();
            }
            if let Some(written) = self.driver.await_answer(POLL_PATIENCE)? {
                self.on_committed(written)?;
            }
        }
        Ok(())
    }

    fn partition(&self, number: i32) -> SinkPartition {
        SinkPartition { sink: self.sink.clone(), topic: self.topic.as_str().into(), incarnation: 0, number }
    }

    /// The writer's store, once every chunk is written.
    pub(super) fn into_store(self) -> anyhow::Result<Box<dyn Store>> {
        self.driver.into_store().context("the writer has ended without its store")
    }
}

fn rules(limits: Limits) -> Rules {
    Rules {
        // A replay has no latency to keep: it writes only full chunks, and the last ones.
        limits: Limits { age: Duration::MAX, ..limits },
        max_held: MAX_HELD,
        writers: 1,
        // A replay is in no group, so that it never loses its partitions.
        pause_after: None,
        // Refused records are counted and reported.
        breaker_percent: 100,
        schema_interval: RETRY_INTERVAL,
        unknown_patience: COMMAND_PATIENCE,
        away_patience: Some(COMMAND_PATIENCE),
        once: true,
    }
}

/// A reader, as the driver sees it.
struct ReaderFeed<'a>(&'a Reader);

impl Feed for ReaderFeed<'_> {
    fn pause(&self, _: i32) -> Result<(), KafkaError> {
        // The rules never pause: while the writer has no room, the player does not poll.
        Ok(())
    }

    fn resume(&self, partition: i32) -> Result<(), KafkaError> {
        self.0.resume(partition)
    }

    fn hold_at(&self, partition: i32, offset: i64) -> Result<(), KafkaError> {
        self.0.hold_at(partition, offset)
    }

    fn report(&self, _: i32, _: i64) {
        // A reader has no group to report to.
    }
}

/// Logs the progress of a replay.
struct Progress {
    total: i64,
    began: Instant,
    reported: Instant,
}

impl Progress {
    fn new(total: i64) -> Progress {
        Progress { total, began: Instant::now(), reported: Instant::now() }
    }

    fn report(&mut self, left: impl FnOnce() -> i64) {
        if self.reported.elapsed() < PROGRESS_INTERVAL || self.total == 0 {
            return;
        }
        self.reported = Instant::now();
        let left = left();
        let done = self.total - left;
        let rate = done as f64 / self.began.elapsed().as_secs_f64();
        let seconds = left as f64 / rate.max(1.0);
        let percent = done * 100 / self.total;
        tracing::info!("replayed {done} of {} records ({percent} %), {rate:.0}/s, {seconds:.0} s left", self.total);
    }
}
