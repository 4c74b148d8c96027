//! The metrics of each sink, and the checks whether it is alive, ready and making progress.
//!
//! The calls are cheap: two atomic stores per message; some additions and an uncontended lock per chunk.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use contract::Dataset;
use kafka::group::Start;
use service::health::{HEARTBEAT_BOUND, Health, Heartbeat, Readiness};
use service::metrics::{CounterHandle, Counters, Gauges, HistogramHandle, Histograms};
use store::{Commit, Outcome, StoreError};

/// A sink is stuck when it commits nothing for this long, although records wait and its database answers.
const STUCK: Duration = Duration::from_secs(5 * 60);

/// The metrics of all sinks of a process.
#[derive(Debug, Clone)]
pub struct SinkMetrics {
    health: Health,
    rows: Counters<2>,
    commit_seconds: Histograms<1>,
    retries: Counters<2>,
    assigned: Gauges<1>,
    lag_records: Gauges<2>,
    lag_seconds: Gauges<2>,
}

impl SinkMetrics {
    /// Registers them.
    pub fn new(health: &Health) -> SinkMetrics {
        let metrics = health.metrics();
        SinkMetrics {
            health: health.clone(),
            rows: metrics.counters(
                "rows",
                "Records in committed chunks, by what became of them",
                ["dataset", "outcome"],
            ),
            commit_seconds: metrics.histograms(
                "chunk_commit_seconds",
                "Time to commit a chunk, without attempts that failed",
                ["dataset"],
            ),
            retries: metrics.counters(
                "commit_retries",
                "Attempts to commit that failed and are made again, by class of the SQLSTATE",
                ["dataset", "class"],
            ),
            assigned: metrics.gauges("assigned_partitions", "Partitions that a sink has", ["dataset"]),
            lag_records: metrics.gauges(
                "lag_records",
                "Records on a partition that are not committed to the database",
                ["dataset", "partition"],
            ),
            lag_seconds: metrics.gauges(
                "lag_seconds",
                "How long the oldest record that is not committed has been on Kafka, at most",
                ["dataset", "partition"],
            ),
        }
    }

    /// The meters of one dataset's sink.
    pub fn sink(&self, dataset: &Dataset) -> Meters {
        let name = dataset.name.as_str();
        let readiness = |what: &str, reason: &str| {
            let readiness = self.health.readiness(&format!("{name} {what}"));
            readiness.not_ready(reason);
            readiness
        };
        let rows = |outcome| self.rows.with([name, outcome]);
        let heartbeat = self.health.heartbeat(&format!("sink {name}"), HEARTBEAT_BOUND);
        // The watchdog checks it from the first turn of its loop on.
        heartbeat.rest();
        let inner = Arc::new(Inner {
            dataset: name.to_owned(),
            heartbeat,
            assignment: readiness("assignment", "has not joined its consumer group yet"),
            database: readiness("database", "the database has not been asked yet"),
            progress: Mutex::default(),
            rows: ["inserted", "changed", "unchanged", "superseded", "dead_lettered"].map(rows),
            commit_seconds: self.commit_seconds.with([name]),
            metrics: self.clone(),
        });
        let (lags, progress) = (inner.clone(), inner.clone());
        self.health.metrics().before_shown(move || lags.show_lag(Utc::now().timestamp_millis()));
        self.health.check(&format!("{name} progress"), move || progress.check(Instant::now()));
        Meters { inner }
    }
}

/// The meters of one sink; clones are the same.
#[derive(Debug, Clone)]
pub struct Meters {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dataset: String,
    heartbeat: Heartbeat,
    assignment: Readiness,
    database: Readiness,
    progress: Mutex<Progress>,
    rows: [CounterHandle; 5],
    commit_seconds: HistogramHandle,
    metrics: SinkMetrics,
}

/// Progress of our partitions.
#[derive(Debug, Default)]
struct Progress {
    partitions: HashMap<i32, Arc<PartitionMeter>>,
    /// Time of the last commit, or the last time that there was nothing to commit.
    moved_at: Option<Instant>,
}

/// Progress of a partition. A reader may see values late and in any order, so relaxed stores suffice.
#[derive(Debug)]
pub(crate) struct PartitionMeter {
    /// Offset of the next record to commit.
    position: AtomicI64,
    /// End of the partition, as last reported by the client.
    end: AtomicI64,
    /// Every record older than this time, in milliseconds, is committed or in a chunk.
    taken_until_ms: AtomicI64,
}

impl PartitionMeter {
    fn new(offset: i64) -> PartitionMeter {
        PartitionMeter {
            position: AtomicI64::new(offset),
            end: AtomicI64::new(offset),
            taken_until_ms: AtomicI64::new(Utc::now().timestamp_millis()),
        }
    }

    /// Records that a message was read, with the broker's timestamp.
    pub(crate) fn took(&self, offset: i64, timestamp_ms: Option<i64>) {
        // Only the sink's thread writes this field, so that there is no race.
        if self.end.load(Ordering::Relaxed) <= offset {
            self.end.store(offset + 1, Ordering::Relaxed);
        }
        if let Some(timestamp_ms) = timestamp_ms {
            self.taken_until_ms.store(timestamp_ms, Ordering::Relaxed);
        }
    }

    fn lag(&self) -> i64 {
        (self.end.load(Ordering::Relaxed) - self.position.load(Ordering::Relaxed)).max(0)
    }

    /// Records a time at which everything was committed: records published later are younger.
    fn note_end(&self, now_ms: i64) {
        if self.lag() == 0 {
            self.taken_until_ms.store(now_ms, Ordering::Relaxed);
        }
    }
}

impl Meters {
    /// The loop has completed a turn.
    pub fn beat(&self) {
        self.inner.heartbeat.beat();
    }

    /// The loop has ended: the watchdog no longer expects its heartbeat.
    pub fn ended(&self) {
        self.inner.heartbeat.rest();
        self.lost("has ended");
    }

    /// A session has failed, and another one starts.
    pub(crate) fn restarts(&self, reason: &str) {
        self.beat();
        self.lost(&format!("restarts: {reason}"));
    }

    /// Exactly these partitions are ours now.
    pub(crate) fn on_assigned(&self, starts: &[Start]) {
        let meter = |start: &Start| (start.partition, PartitionMeter::new(start.offset).into());
        let mut progress = self.inner.progress();
        progress.partitions = starts.iter().map(meter).collect();
        progress.moved_at = Some(Instant::now());
        drop(progress);
        self.inner.metrics.assigned.set([&self.inner.dataset], starts.len() as f64);
        self.inner.assignment.ready();
    }

    /// No partition is ours any more.
    pub(crate) fn on_revoked(&self) {
        self.lost("its partitions are being reassigned");
    }

    /// An assignment failed.
    pub(crate) fn on_lost(&self, reason: &str) {
        self.lost(reason);
    }

    fn lost(&self, reason: &str) {
        let Inner { dataset, metrics, assignment, .. } = &*self.inner;
        for partition in std::mem::take(&mut self.inner.progress().partitions).into_keys() {
            metrics.lag_records.remove([dataset, &partition.to_string()]);
            metrics.lag_seconds.remove([dataset, &partition.to_string()]);
        }
        metrics.assigned.set([dataset], 0.0);
        assignment.not_ready(reason);
    }

    /// The progress of a partition, if it is ours.
    pub(crate) fn partition(&self, partition: i32) -> Option<Arc<PartitionMeter>> {
        self.inner.progress().partitions.get(&partition).cloned()
    }

    /// The partitions' ends, (partition, end), as Kafka's client knows them.
    pub(crate) fn on_ends(&self, ends: &[(i32, i64)]) {
        let now_ms = Utc::now().timestamp_millis();
        let mut progress = self.inner.progress();
        for (partition, end) in ends {
            if let Some(meter) = progress.partitions.get(partition) {
                meter.end.fetch_max(*end, Ordering::Relaxed);
            }
        }
        progress.partitions.values().for_each(|meter| meter.note_end(now_ms));
        progress.note_idle();
    }

    /// Counts the result of an attempt to commit a chunk.
    pub(crate) fn attempted(
        &self,
        partition: i32,
        to_offset: i64,
        result: &Result<Commit, StoreError>,
        elapsed: Duration,
    ) {
        self.answered(result);
        if let Ok(Commit { outcome, .. }) = result {
            self.committed(partition, to_offset, outcome, elapsed);
        }
    }

    fn committed(&self, partition: i32, to_offset: i64, outcome: &Outcome, elapsed: Duration) {
        let Outcome { inserted, changed, unchanged, superseded, dead_lettered, .. } = *outcome;
        let counts = [inserted, changed, unchanged, superseded, dead_lettered];
        self.inner.rows.iter().zip(counts).for_each(|(rows, count)| rows.add(count));
        self.inner.commit_seconds.observe(elapsed);
        let mut progress = self.inner.progress();
        progress.moved_at = Some(Instant::now());
        if let Some(meter) = progress.partitions.get(&partition) {
            meter.position.fetch_max(to_offset, Ordering::Relaxed);
            meter.note_end(Utc::now().timestamp_millis());
        }
    }

    /// Records whether the database answered.
    pub(crate) fn answered<T>(&self, result: &Result<T, StoreError>) {
        let Inner { dataset, database, metrics, .. } = &*self.inner;
        match result {
            Ok(_) | Err(StoreError::Fenced { .. }) => database.ready(),
            Err(StoreError::Retry { class, reason }) => {
                metrics.retries.with([dataset, class.label()]).add(1);
                database.not_ready(reason);
            }
            Err(StoreError::Halt(reason)) => database.not_ready(reason),
        }
    }
}

impl Inner {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show_lag(&self, now_ms: i64) {
        let Inner { dataset, metrics, .. } = self;
        for (number, meter) in &self.progress().partitions {
            let (number, lag) = (number.to_string(), meter.lag());
            let age_ms = if lag > 0 { (now_ms - meter.taken_until_ms.load(Ordering::Relaxed)).max(0) } else { 0 };
            metrics.lag_records.set([dataset, &number], lag as f64);
            metrics.lag_seconds.set([dataset, &number], age_ms as f64 / 1000.0);
        }
    }

    /// Whether records wait and nothing was committed for too long without a known reason.
    fn check(&self, now: Instant) -> Result<(), String> {
        let progress = self.progress();
        let idle = progress.moved_at.map_or(Duration::ZERO, |moved_at| now.saturating_duration_since(moved_at));
        let lag = progress.lag();
        if lag == 0 || idle < STUCK || !self.database.is_ready() {
            return Ok(());
        }
        Err(format!("{lag} records wait, and nothing was committed for {} s", idle.as_secs()))
    }
}

impl Progress {
    fn lag(&self) -> i64 {
        self.partitions.values().map(|meter| meter.lag()).sum()
    }

    fn note_idle(&mut self) {
        if self.lag() == 0 {
            self.moved_at = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests;
