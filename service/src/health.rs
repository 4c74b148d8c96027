//! Whether a daemon is alive and ready: heartbeats of its loops, and checks of its dependencies.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::metrics::{Gauges, Metrics};

/// Oldest heartbeat of a daemon's loop that is alive: longer than a loop may wait for any one thing, such as a broker
/// that does not answer.
pub const HEARTBEAT_BOUND: Duration = Duration::from_secs(60);
/// Most that a heartbeat ages between two checks, so that a process does not count its loops as hung after it, or its
/// machine, was suspended.
const MAX_LOOK: Duration = Duration::from_secs(2);

/// No beat since the last check.
const SILENT: u8 = 0;
/// A beat since the last check.
const BEATEN: u8 = 1;
/// Nothing is due until the next beat.
const RESTING: u8 = 2;

/// The health of this process; clones share it.
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

/// The heartbeats, and how old each was at the last check.
#[derive(Debug)]
struct Watch {
    looked_at: Instant,
    /// Age of a heartbeat at which the watchdog ends the process; None: never.
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

/// A loop whose heartbeat is too old.
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
    /// The health of a process in which nothing is registered yet.
    pub fn new() -> Health {
        let metrics = Metrics::default();
        let ages = metrics.gauges("heartbeat_age_seconds", "Time since the last heartbeat of a loop", ["name"]);
        let ready = metrics.gauges("ready", "1 if a readiness check passes, else 0", ["check"]);
        let watch = Watch { looked_at: Instant::now(), limit: None, loops: Vec::new() };
        Health { shared: Arc::new(Shared { watch: Mutex::new(watch), checks: Mutex::default(), metrics, ages, ready }) }
    }

    /// Registers a loop, which must beat at least once in `bound` for the process to be alive.
    pub fn heartbeat(&self, name: &str, bound: Duration) -> Heartbeat {
        let state = Arc::new(AtomicU8::new(BEATEN));
        self.watch().loops.push(Watched { name: name.to_owned(), bound, age: Duration::ZERO, state: state.clone() });
        Heartbeat { state }
    }

    /// Registers a condition for the process to be ready; at first it is not met.
    pub fn readiness(&self, name: &str) -> Readiness {
        let state = Arc::new(Mutex::new(Err("not known yet".to_owned())));
        let looked_at = state.clone();
        self.check(name, move || lock(&looked_at).clone());
        Readiness { state }
    }

    /// Registers a check for the process to be ready: it returns the reason when the process is not.
    pub fn check(&self, name: &str, look: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        lock(&self.shared.checks).push(Check { name: name.to_owned(), look: Box::new(look) });
    }

    /// The metrics of this process.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// The loops that are not alive: their heartbeat is older than their bound, or than half of the watchdog's limit,
    /// so that `/livez` shows it before the process ends.
    pub(crate) fn not_alive(&self, now: Instant) -> Vec<Hung> {
        let mut watch = self.watch();
        watch.look(now);
        let half = watch.limit.map_or(Duration::MAX, |limit| limit / 2);
        watch.older_than(|watched| watched.bound.min(half))
    }

    /// The loops whose heartbeat is older than the watchdog's limit.
    pub(crate) fn hung(&self, now: Instant) -> Vec<Hung> {
        let mut watch = self.watch();
        watch.look(now);
        let limit = watch.limit.unwrap_or(Duration::MAX);
        watch.older_than(|_| limit)
    }

    /// Sets the watchdog's limit.
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
    /// Ages the heartbeats of silent loops, and drops loops that have ended.
    fn look(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.looked_at).min(MAX_LOOK);
        self.looked_at = self.looked_at.max(now);
        self.loops.retain(|watched| Arc::strong_count(&watched.state) > 1);
        for watched in &mut self.loops {
            // The next check sees a beat between these two lines.
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

/// Reports that a loop is alive; the loop drops it when it ends.
#[derive(Debug)]
pub struct Heartbeat {
    state: Arc<AtomicU8>,
}

impl Heartbeat {
    /// The loop has completed another round. Costs one atomic store.
    pub fn beat(&self) {
        self.state.store(BEATEN, Ordering::Relaxed);
    }

    /// The loop has nothing to do and may be silent until its next beat.
    pub fn rest(&self) {
        self.state.store(RESTING, Ordering::Relaxed);
    }
}

/// A condition for the process to be ready.
#[derive(Debug, Clone)]
pub struct Readiness {
    state: Arc<Mutex<Result<(), String>>>,
}

impl Readiness {
    /// The condition is met.
    pub fn ready(&self) {
        *lock(&self.state) = Ok(());
    }

    /// The condition is not met. `/readyz` shows the reason to everybody, so it must hold no secret.
    pub fn not_ready(&self, reason: &str) {
        *lock(&self.state) = Err(reason.to_owned());
    }

    /// Whether the condition is met.
    pub fn is_ready(&self) -> bool {
        lock(&self.state).is_ok()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
