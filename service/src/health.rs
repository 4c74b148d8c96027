//! Whether a daemon is alive and ready: heartbeats of its loops, and checks of what it depends on.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::metrics::{Gauges, Metrics};

/// How old the heartbeat of a daemon's loop may become: longer than anything that a loop may wait for in one piece,
/// such as a broker that does not answer.
pub const HEARTBEAT_BOUND: Duration = Duration::from_secs(60);
/// Between two looks at the heartbeats nobody gets older than this: a process that was itself stopped, or whose
/// machine was, does not take its loops for hung when it goes on.
const MAX_LOOK: Duration = Duration::from_secs(2);

/// No beat since the last look.
const SILENT: u8 = 0;
/// A beat since the last look.
const BEATEN: u8 = 1;
/// Nothing is due until the next beat.
const RESTING: u8 = 2;

/// The health of this process; clones are the same.
#[derive(Debug, Clone)]
pub struct Health {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    watch: Mutex<Watch>,
    checks: Mutex<Vec<Check>>,
    metrics: Metrics,
    ages: Gauges<1>,
    ready: Gauges<1>,
}

/// The heartbeats, and how old each was at the last look.
#[derive(Debug)]
struct Watch {
    looked_at: Instant,
    /// When the watchdog ends the process; None: never.
    limit: Option<Duration>,
    loops: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    name: String,
    bound: Duration,
    age: Duration,
    state: Arc<AtomicU8>,
}

struct Check {
    name: String,
    look: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
}

impl std::fmt::Debug for Check {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.name)
    }
}

/// A loop that was not heard of for too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hung {
    pub(crate) name: String,
    pub(crate) age: Duration,
}

impl Default for Health {
    fn default() -> Health {
        Health::new()
    }
}

impl Health {
    /// Of a process in which nothing has been registered.
    pub fn new() -> Health {
        let metrics = Metrics::default();
        let ages = metrics.gauges("heartbeat_age_seconds", "Time since a loop was last heard of", ["name"]);
        let ready = metrics.gauges("ready", "1 where a check of readiness is passed, else 0", ["check"]);
        let watch = Watch { looked_at: Instant::now(), limit: None, loops: Vec::new() };
        Health { shared: Arc::new(Shared { watch: Mutex::new(watch), checks: Mutex::default(), metrics, ages, ready }) }
    }

    /// Registers a loop, which must beat at least once in `bound` for the process to be alive.
    pub fn heartbeat(&self, name: &str, bound: Duration) -> Heartbeat {
        let state = Arc::new(AtomicU8::new(BEATEN));
        self.watch().loops.push(Watched { name: name.to_owned(), bound, age: Duration::ZERO, state: state.clone() });
        Heartbeat { state }
    }

    /// Registers something that must be so for the process to be ready; at first it is not.
    pub fn readiness(&self, name: &str) -> Readiness {
        let state = Arc::new(Mutex::new(Err("not known yet".to_owned())));
        let looked_at = state.clone();
        self.check(name, move || lock(&looked_at).clone());
        Readiness { state }
    }

    /// Registers a function that says why the process is not ready, when it is not.
    pub fn check(&self, name: &str, look: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        lock(&self.shared.checks).push(Check { name: name.to_owned(), look: Box::new(look) });
    }

    /// The metrics of this process.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// The loops that are not alive: older than their bound, or than half of what the watchdog allows, so that it can
    /// be seen before the process ends.
    pub(crate) fn not_alive(&self, now: Instant) -> Vec<Hung> {
        let mut watch = self.watch();
        watch.look(now);
        let half = watch.limit.map_or(Duration::MAX, |limit| limit / 2);
        watch.older_than(|watched| watched.bound.min(half))
    }

    /// The loops that the watchdog does not put up with any longer.
    pub(crate) fn hung(&self, now: Instant) -> Vec<Hung> {
        let mut watch = self.watch();
        watch.look(now);
        let limit = watch.limit.unwrap_or(Duration::MAX);
        watch.older_than(|_| limit)
    }

    /// Says from when on a loop counts as hung.
    pub(crate) fn limit(&self, limit: Option<Duration>) {
        self.watch().limit = limit;
    }

    /// Why the process is not ready, one line each.
    pub(crate) fn not_ready(&self) -> Vec<String> {
        let checks = lock(&self.shared.checks);
        let reason = |check: &Check| {
            let reason = (check.look)().err()?;
            Some(format!("{}: {}", check.name, reason.replace(['\n', '\r'], " ")))
        };
        checks.iter().filter_map(reason).collect()
    }

    /// All metrics as text.
    pub(crate) fn shown_metrics(&self) -> String {
        let Shared { checks, metrics, ages, ready, .. } = &*self.shared;
        ages.clear();
        let mut watch = self.watch();
        watch.look(Instant::now());
        watch.loops.iter().for_each(|watched| ages.set([&watched.name], watched.age.as_secs_f64()));
        drop(watch);
        for check in lock(checks).iter() {
            ready.set([&check.name], if (check.look)().is_ok() { 1.0 } else { 0.0 });
        }
        metrics.shown()
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        lock(&self.shared.watch)
    }
}

impl Watch {
    /// Makes the silent older, and forgets loops that have ended.
    fn look(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.looked_at).min(MAX_LOOK);
        self.looked_at = self.looked_at.max(now);
        self.loops.retain(|watched| Arc::strong_count(&watched.state) > 1);
        for watched in &mut self.loops {
            // A beat between the two lines is seen at the next look.
            let state = watched.state.load(Ordering::Relaxed);
            let _ = watched.state.compare_exchange(BEATEN, SILENT, Ordering::Relaxed, Ordering::Relaxed);
            watched.age = if state == SILENT { watched.age + passed } else { Duration::ZERO };
        }
    }

    fn older_than(&self, bound: impl Fn(&Watched) -> Duration) -> Vec<Hung> {
        let old = self.loops.iter().filter(|watched| watched.age > bound(watched));
        old.map(|watched| Hung { name: watched.name.clone(), age: watched.age }).collect()
    }
}

/// Says that a loop goes on; dropped when it ends.
#[derive(Debug)]
pub struct Heartbeat {
    state: Arc<AtomicU8>,
}

impl Heartbeat {
    /// The loop has come round once more. One atomic store.
    pub fn beat(&self) {
        self.state.store(BEATEN, Ordering::Relaxed);
    }

    /// The loop has nothing to do, and may be silent until the next beat.
    pub fn rest(&self) {
        self.state.store(RESTING, Ordering::Relaxed);
    }
}

/// Says whether something is as it must be for the process to be ready.
#[derive(Debug, Clone)]
pub struct Readiness {
    state: Arc<Mutex<Result<(), String>>>,
}

impl Readiness {
    /// It is.
    pub fn ready(&self) {
        *lock(&self.state) = Ok(());
    }

    /// It is not, and why. The reason is shown to whoever asks: no secret may be in it.
    pub fn not_ready(&self, reason: &str) {
        *lock(&self.state) = Err(reason.to_owned());
    }

    /// Whether it is.
    pub fn is_ready(&self) -> bool {
        lock(&self.state).is_ok()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Looks once a second for so many seconds; gives what is not alive at the end.
    fn after(health: &Health, from: &mut Instant, seconds: u32, mut each: impl FnMut()) -> Vec<String> {
        for _ in 0..seconds {
            *from += SECOND;
            each();
            health.not_alive(*from);
        }
        health.not_alive(*from).into_iter().map(|hung| hung.name).collect()
    }

    #[test]
    fn a_loop_is_alive_while_it_beats_or_rests_and_until_its_bound_after() {
        let health = Health::new();
        let (first, second) = (health.heartbeat("first", 10 * SECOND), health.heartbeat("second", 30 * SECOND));
        let mut now = Instant::now();
        assert_eq!(after(&health, &mut now, 100, || [&first, &second].into_iter().for_each(Heartbeat::beat)), [""; 0]);
        assert_eq!(after(&health, &mut now, 9, || second.beat()), [""; 0]);
        assert_eq!(after(&health, &mut now, 3, || second.beat()), ["first"]);
        first.beat();
        assert_eq!(after(&health, &mut now, 1, || ()), [""; 0]);
        second.rest();
        assert_eq!(after(&health, &mut now, 1000, || first.beat()), [""; 0]);
        second.beat();
        assert_eq!(after(&health, &mut now, 32, || first.beat()), ["second"]);
        drop(second);
        assert_eq!(after(&health, &mut now, 1, || first.beat()), [""; 0], "a loop that has ended is not missed");
    }

    #[test]
    fn a_process_that_was_stopped_does_not_take_its_loops_for_hung() {
        let health = Health::new();
        let _beat = health.heartbeat("loop", 10 * SECOND);
        let now = Instant::now();
        health.not_alive(now);
        assert_eq!(health.not_alive(now + 3600 * SECOND), []);
    }

    #[test]
    fn half_of_what_the_watchdog_allows_is_not_alive() {
        let health = Health::new();
        health.limit(Some(6 * SECOND));
        let _beat = health.heartbeat("loop", 60 * SECOND);
        let mut now = Instant::now();
        assert_eq!(after(&health, &mut now, 3, || ()), [""; 0]);
        assert_eq!(after(&health, &mut now, 2, || ()), ["loop"]);
    }

    #[test]
    fn every_reason_not_to_be_ready_is_one_line() {
        let health = Health::new();
        let database = health.readiness("database");
        assert_eq!(health.not_ready(), ["database: not known yet"]);
        health.check("progress", || Err("two\nlines".to_owned()));
        database.not_ready("away");
        assert_eq!(health.not_ready(), ["database: away", "progress: two lines"]);
        database.ready();
        assert_eq!(health.not_ready(), ["progress: two lines"]);
    }

    #[test]
    fn ages_and_checks_are_metrics_too() {
        let health = Health::new();
        let _beat = health.heartbeat("loop", SECOND);
        health.readiness("database");
        let shown = health.shown_metrics();
        assert!(shown.contains("tapedeck_heartbeat_age_seconds{name=\"loop\"} "), "{shown}");
        assert!(shown.contains("tapedeck_ready{check=\"database\"} 0.0"), "{shown}");
    }
}
