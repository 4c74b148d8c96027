//! What is counted and measured of each sink, and what says whether it is alive, ready and getting on.
//!
//! The calls are cheap: per message two atomic stores, per chunk some additions and a lock that nobody else holds.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use contract::Dataset;
use serde::Deserialize;
use service::health::{HEARTBEAT_BOUND, Health, Heartbeat, Readiness};
use service::metrics::{CounterHandle, Counters, Gauges, HistogramHandle, Histograms};

use crate::consume::{Change, Start};
use crate::dead_letter::Cause;
use crate::store::{Commit, Outcome, StoreError};

/// A sink that has records to read, and a database that answers, and commits nothing for that long, is stuck.
const STUCK: Duration = Duration::from_secs(5 * 60);
/// What Kafka's client says for an offset that it does not know is below.
const FIRST_OFFSET: i64 = 0;

/// The metrics of all sinks of a process.
#[derive(Debug, Clone)]
pub struct SinkMetrics {
    health: Health,
    rows: Counters<2>,
    dead_letters: Counters<3>,
    commit_seconds: Histograms<1>,
    events: Counters<2>,
    retries: Counters<2>,
    gap_records: Counters<1>,
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
            dead_letters: metrics.counters(
                "dead_letters",
                "Records that were refused, also those that are read again after an interruption",
                ["dataset", "stage", "class"],
            ),
            commit_seconds: metrics.histograms(
                "chunk_commit_seconds",
                "Time to commit a chunk, without attempts that failed",
                ["dataset"],
            ),
            events: metrics.counters("sink_events", "What a sink has been through", ["dataset", "event"]),
            retries: metrics.counters(
                "commit_retries",
                "Attempts to commit that failed and are made again, by class of the SQLSTATE",
                ["dataset", "class"],
            ),
            gap_records: metrics.counters("gap_records", "Records that were gone before they were read", ["dataset"]),
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
        let event = |event| self.events.with([name, event]);
        let heartbeat = self.health.heartbeat(&format!("sink {name}"), HEARTBEAT_BOUND);
        // It is watched from its first turn on.
        heartbeat.rest();
        let inner = Arc::new(Inner {
            dataset: name.to_owned(),
            heartbeat,
            assignment: readiness("assignment", "has not joined its consumer group yet"),
            database: readiness("database", "the database has not been asked yet"),
            progress: Mutex::default(),
            rows: ["inserted", "changed", "unchanged", "superseded", "dead_lettered"].map(rows),
            commit_seconds: self.commit_seconds.with([name]),
            pauses: event("pause"),
            fenced: event("fenced"),
            recognised: event("commit_recognised"),
            gaps: event("gap"),
            trips: event("breaker_trip"),
            restarts: event("session_failed"),
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
    pauses: CounterHandle,
    fenced: CounterHandle,
    recognised: CounterHandle,
    gaps: CounterHandle,
    trips: CounterHandle,
    restarts: CounterHandle,
    metrics: SinkMetrics,
}

/// How far the partitions are that are ours.
#[derive(Debug, Default)]
struct Progress {
    partitions: HashMap<i32, Arc<PartitionMeter>>,
    /// The last commit, or the last time that there was nothing to commit.
    moved_at: Option<Instant>,
}

/// How far a partition is. What is in it is only shown: nothing depends on when another thread sees it.
#[derive(Debug)]
pub(crate) struct PartitionMeter {
    /// Offset of the next record to commit.
    position: AtomicI64,
    /// Offset at which the next record will be written, as far as we have heard.
    end: AtomicI64,
    /// Before that time, in milliseconds, everything had been committed or was at least taken.
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

    /// Notes that a message has been taken, with the broker's timestamp.
    pub(crate) fn took(&self, offset: i64, timestamp_ms: Option<i64>) {
        // Only the thread of the sink writes it here, so that this is no race.
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

    /// Notes the time when there is nothing that is not committed: what is written later is no older.
    fn note_end(&self, now_ms: i64) {
        if self.lag() == 0 {
            self.taken_until_ms.store(now_ms, Ordering::Relaxed);
        }
    }
}

impl Meters {
    /// The loop has come round once more.
    pub fn beat(&self) {
        self.inner.heartbeat.beat();
    }

    /// The loop has ended, and is not missed.
    pub fn ended(&self) {
        self.inner.heartbeat.rest();
    }

    /// A session has ended by a failure that passes, and another will begin.
    pub(crate) fn session_failed(&self, reason: &str) {
        self.beat();
        self.inner.restarts.add(1);
        self.lost(&format!("begins again: {reason}"));
    }

    /// What is assigned has changed.
    pub(crate) fn assignment(&self, change: &Change) {
        match change {
            Change::Revoked => self.lost("its partitions are being given out anew"),
            Change::Failed(error) => self.lost(&error.to_string()),
            Change::Assigned(starts) => {
                let meter = |start: &Start| (start.partition, PartitionMeter::new(start.offset).into());
                let mut progress = self.inner.progress();
                progress.partitions = starts.iter().map(meter).collect();
                progress.moved_at = Some(Instant::now());
                drop(progress);
                self.inner.metrics.assigned.set([&self.inner.dataset], starts.len() as f64);
                self.inner.assignment.ready();
            }
        }
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

    /// How far that partition is, when it is ours.
    pub(crate) fn partition(&self, partition: i32) -> Option<Arc<PartitionMeter>> {
        self.inner.progress().partitions.get(&partition).cloned()
    }

    /// Reads the ends of the partitions out of the statistics of Kafka's client.
    pub(crate) fn statistics(&self, topic: &str, json: &[u8]) {
        let Ok(statistics) = serde_json::from_slice::<Statistics>(json) else { return };
        let Some(topic) = statistics.topics.get(topic) else { return };
        let now_ms = Utc::now().timestamp_millis();
        let mut progress = self.inner.progress();
        for (number, statistics) in &topic.partitions {
            let Some(meter) = progress.partitions.get(number) else { continue };
            // What we may read ends with the last transaction that is complete.
            let end = if statistics.ls_offset >= FIRST_OFFSET { statistics.ls_offset } else { statistics.hi_offset };
            if end >= FIRST_OFFSET {
                meter.end.fetch_max(end, Ordering::Relaxed);
            }
            meter.note_end(now_ms);
        }
        progress.note_idle();
    }

    /// Notes how an attempt to commit a partition's chunk up to that offset ended.
    pub(crate) fn attempted(
        &self,
        partition: i32,
        to_offset: i64,
        result: &Result<Commit, StoreError>,
        elapsed: Duration,
    ) {
        self.answered(result);
        if let Ok(Commit { outcome, already }) = result {
            self.inner.recognised.add((*already).into());
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

    /// Notes whether the database answered.
    pub(crate) fn answered<T>(&self, result: &Result<T, StoreError>) {
        let Inner { dataset, database, metrics, fenced, .. } = &*self.inner;
        match result {
            Ok(_) => database.ready(),
            Err(StoreError::Retry { class, reason }) => {
                metrics.retries.with([dataset, class.label()]).add(1);
                database.not_ready(reason);
            }
            Err(StoreError::Fenced { .. }) => {
                fenced.add(1);
                database.ready();
            }
            Err(StoreError::Halt(reason)) => database.not_ready(reason),
        }
    }

    /// A message has become a dead letter.
    pub(crate) fn refused(&self, cause: &Cause) {
        let Inner { dataset, metrics, .. } = &*self.inner;
        metrics.dead_letters.with([dataset, cause.stage, cause.class]).add(1);
    }

    /// A partition is not read for a while, because its chunks are not written fast enough.
    pub(crate) fn paused(&self) {
        self.inner.pauses.add(1);
    }

    /// So many records were gone before they were read.
    pub fn gap(&self, records: u64) {
        self.inner.gaps.add(1);
        self.inner.metrics.gap_records.with([&self.inner.dataset]).add(records);
    }

    /// Too many records in a row were refused.
    pub fn tripped(&self) {
        self.inner.trips.add(1);
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

    /// Whether records are waiting and nothing has been committed for too long, for no reason that is known.
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

/// What is read of the statistics of Kafka's client.
#[derive(Debug, Deserialize)]
struct Statistics {
    #[serde(default)]
    topics: HashMap<String, TopicStatistics>,
}

#[derive(Debug, Deserialize)]
struct TopicStatistics {
    #[serde(default)]
    partitions: HashMap<i32, PartitionStatistics>,
}

#[derive(Debug, Deserialize)]
struct PartitionStatistics {
    hi_offset: i64,
    ls_offset: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::SinkError;
    use crate::store::RetryClass;

    const HOUR_MS: i64 = 3_600_000;

    fn meters(health: &Health) -> Meters {
        let meters = SinkMetrics::new(health).sink(contract::dataset("ohlcv_bar").unwrap());
        let start = |partition, offset| Start { partition, incarnation: 0, offset };
        meters.assignment(&Change::Assigned(vec![start(0, 100), start(1, 0)]));
        meters
    }

    fn committed(meters: &Meters, to_offset: i64, result: Result<Outcome, StoreError>) {
        let result = result.map(|outcome| Commit { outcome, already: false });
        meters.attempted(0, to_offset, &result, Duration::from_millis(5));
    }

    fn retry(class: RetryClass) -> StoreError {
        StoreError::Retry { class, reason: "away".to_owned() }
    }

    fn statistics(meters: &Meters, ends: [i64; 2]) {
        let [first, second] = ends;
        let json = format!(
            r#"{{"name":"x","topics":{{"t":{{"topic":"t","partitions":{{"0":{{"partition":0,"hi_offset":999,"ls_offset":{first}}},
            "1":{{"hi_offset":{second},"ls_offset":-1001}},"-1":{{"hi_offset":-1001,"ls_offset":-1001}}}}}}}}}}"#
        );
        meters.statistics("t", json.as_bytes());
    }

    /// The value of the line that begins so.
    fn shown(health: &Health, line: &str) -> Option<f64> {
        let shown = health.metrics().shown();
        let line = shown.lines().find_map(|shown| shown.strip_prefix(line).and_then(|rest| rest.strip_prefix(' ')));
        line.map(|value| value.parse().unwrap())
    }

    fn lag(health: &Health, what: &str, partition: i32) -> Option<f64> {
        shown(health, &format!("tapedeck_lag_{what}{{dataset=\"ohlcv_bar\",partition=\"{partition}\"}}"))
    }

    #[test]
    fn lag_is_what_kafka_has_and_the_database_has_not() {
        let health = Health::new();
        let meters = meters(&health);
        statistics(&meters, [150, 7]);
        assert_eq!((lag(&health, "records", 0), lag(&health, "records", 1)), (Some(50.0), Some(7.0)));
        let hour_ago = Utc::now().timestamp_millis() - HOUR_MS;
        meters.partition(0).unwrap().took(109, Some(hour_ago));
        committed(&meters, 110, Ok(Outcome { read: 10, inserted: 10, ..Outcome::default() }));
        assert_eq!(lag(&health, "records", 0), Some(40.0));
        let seconds = lag(&health, "seconds", 0).unwrap();
        assert!((3600.0..3700.0).contains(&seconds), "{seconds}");
        committed(&meters, 150, Ok(Outcome { read: 40, changed: 39, dead_lettered: 1, ..Outcome::default() }));
        assert_eq!((lag(&health, "records", 0), lag(&health, "seconds", 0)), (Some(0.0), Some(0.0)));
        // Idle for an hour until now: a record that has just come is not an hour old.
        meters.partition(0).unwrap().took(150, None);
        assert!(lag(&health, "seconds", 0).unwrap() < 60.0);
        for (outcome, count) in [("inserted", 10.0), ("changed", 39.0), ("dead_lettered", 1.0), ("superseded", 0.0)] {
            let line = format!("tapedeck_rows_total{{dataset=\"ohlcv_bar\",outcome=\"{outcome}\"}}");
            assert_eq!(shown(&health, &line), Some(count), "{outcome}");
        }
        meters.assignment(&Change::Revoked);
        assert_eq!(lag(&health, "records", 0), None, "what is no longer ours is not shown");
    }

    #[test]
    fn it_is_ready_when_it_has_joined_and_the_database_answered_last_time() {
        let health = Health::new();
        let meters = meters(&health);
        let Inner { assignment, database, .. } = &*meters.inner;
        assert!(assignment.is_ready() && !database.is_ready());
        committed(&meters, 101, Ok(Outcome::default()));
        assert!(database.is_ready());
        committed(&meters, 102, Err(retry(RetryClass::of_sqlstate("57P01"))));
        committed(&meters, 102, Err(retry(RetryClass::Connection)));
        assert!(!database.is_ready());
        let class = |class| format!("tapedeck_commit_retries_total{{dataset=\"ohlcv_bar\",class=\"{class}\"}}");
        assert_eq!((shown(&health, &class("57")), shown(&health, &class("connection"))), (Some(1.0), Some(1.0)));
        committed(&meters, 102, Ok(Outcome::default()));
        assert!(database.is_ready());
        meters.assignment(&Change::Failed(SinkError::Retry("no broker".to_owned())));
        assert!(!assignment.is_ready());
    }

    #[test]
    fn records_that_wait_while_nothing_is_committed_are_no_progress() {
        let health = Health::new();
        let meters = meters(&health);
        let later = Instant::now() + 2 * STUCK;
        assert_eq!(meters.inner.check(later), Ok(()), "nothing waits");
        statistics(&meters, [150, 0]);
        meters.answered::<()>(&Err(retry(RetryClass::Connection)));
        assert_eq!(meters.inner.check(later), Ok(()), "the database is known to be away");
        meters.answered(&Ok(()));
        assert_eq!(meters.inner.check(Instant::now()), Ok(()));
        let reason = meters.inner.check(later).unwrap_err();
        assert!(reason.starts_with("50 records wait, and nothing was committed for "), "{reason}");
    }
}
