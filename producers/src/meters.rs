//! The metrics and the health of each source: is its poll loop alive, do its records reach Kafka.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use service::health::{HEARTBEAT_BOUND, Health, Heartbeat, Readiness};
use service::metrics::{Counters, Gauges};
use sources::response::PageError;
use sources::source::Source;
use tokio::time::{MissedTickBehavior, interval};

use crate::state::FAILURES_TO_ALERT;

/// How often a poll loop beats, whatever it waits for.
const BEAT_INTERVAL: Duration = Duration::from_secs(5);

/// The meters of all sources of a process; clones are the same.
#[derive(Debug, Clone)]
pub struct Meters {
    health: Health,
    fetches: Counters<3>,
    published: Counters<2>,
    rejected: Counters<2>,
    bytes: Counters<1>,
    delivery_errors: Counters<1>,
    failing: Gauges<2>,
    succeeded: Arc<Mutex<HashMap<Endpoint, Instant>>>,
}

/// Source and endpoint, by their names.
type Endpoint = (&'static str, &'static str);

impl Meters {
    /// Registers the meters.
    pub fn new(health: &Health) -> Meters {
        let metrics = health.metrics();
        let succeeded = Arc::<Mutex<HashMap<Endpoint, Instant>>>::default();
        let since: Gauges<2> = metrics.gauges(
            "last_success_age_seconds",
            "Time since a provider last answered with a page, or since the start",
            ["source", "endpoint"],
        );
        let times = succeeded.clone();
        metrics.before_shown(move || {
            for ((source, endpoint), at) in times.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                since.set([source, endpoint], at.elapsed().as_secs_f64());
            }
        });
        Meters {
            health: health.clone(),
            fetches: metrics.counters(
                "fetches",
                "Pages fetched, by outcome: answered, skipped, given_up (until the next round), halted",
                ["source", "endpoint", "outcome"],
            ),
            published: metrics.counters(
                "records_published",
                "Records that Kafka has acknowledged",
                ["source", "endpoint"],
            ),
            rejected: metrics.counters(
                "records_rejected",
                "Rows that could not be read, published as dead letters",
                ["source", "endpoint"],
            ),
            bytes: metrics.counters("published_bytes", "Bytes of acknowledged messages, uncompressed", ["source"]),
            delivery_errors: metrics.counters(
                "delivery_errors",
                "Failures to reach Kafka or to get everything acknowledged",
                ["source"],
            ),
            failing: metrics.gauges(
                "items_failing",
                &format!("Items that have failed {FAILURES_TO_ALERT} times in a row or more"),
                ["source", "endpoint"],
            ),
            succeeded,
        }
    }

    /// The meters of one source's poll loop.
    pub(crate) fn source(&self, source: &'static Source) -> SourceMeters {
        let now = Instant::now();
        let mut succeeded = self.succeeded.lock().unwrap_or_else(PoisonError::into_inner);
        for endpoint in source.endpoints {
            succeeded.entry((source.name, endpoint.name)).or_insert(now);
        }
        drop(succeeded);
        let kafka = self.health.readiness(&format!("source {}", source.name));
        kafka.not_ready("Kafka has not answered yet");
        SourceMeters { source: source.name, kafka, meters: self.clone() }
    }

    /// Runs a poll loop with a heartbeat: a timer beats while the task is polled. So the loop may wait for hours, but
    /// must not block its thread.
    pub(crate) async fn beating<F: Future>(&self, source: &Source, poll_loop: F) -> F::Output {
        let heartbeat = self.health.heartbeat(&format!("source {}", source.name), HEARTBEAT_BOUND);
        let beats = beat_for_ever(&heartbeat);
        tokio::select! {
            output = poll_loop => output,
            never = beats => never,
        }
    }
}

async fn beat_for_ever<T>(heartbeat: &Heartbeat) -> T {
    let mut ticks = interval(BEAT_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        heartbeat.beat();
    }
}

/// The meters of one source.
#[derive(Debug, Clone)]
pub(crate) struct SourceMeters {
    source: &'static str,
    kafka: Readiness,
    meters: Meters,
}

impl SourceMeters {
    /// A page was fetched, with that outcome.
    pub(crate) fn fetched<T>(&self, endpoint: &'static str, outcome: &Result<T, PageError>) {
        let word = match outcome {
            Ok(_) => "answered",
            Err(PageError::NoMore(_) | PageError::Skip(_)) => "skipped",
            Err(PageError::Retry(_) | PageError::GiveUp(_)) => "given_up",
            Err(PageError::Halt(_)) => "halted",
        };
        self.meters.fetches.with([self.source, endpoint, word]).add(1);
        if outcome.is_ok() {
            let mut succeeded = self.meters.succeeded.lock().unwrap_or_else(PoisonError::into_inner);
            succeeded.insert((self.source, endpoint), Instant::now());
        }
    }

    /// So many items of an endpoint have failed too often in a row.
    pub(crate) fn failing(&self, endpoint: &'static str, items: usize) {
        self.meters.failing.set([self.source, endpoint], items as f64);
    }

    /// Kafka has acknowledged so much of an endpoint's page.
    pub(crate) fn published(&self, endpoint: &str, [published, rejected]: [u64; 2]) {
        self.meters.published.with([self.source, endpoint]).add(published);
        self.meters.rejected.with([self.source, endpoint]).add(rejected);
    }

    /// Kafka has answered: the topics are there. So a source with nothing due is ready.
    pub(crate) fn connected(&self) {
        self.kafka.ready();
    }

    /// Kafka has acknowledged everything; with 0 bytes there was nothing to publish.
    pub(crate) fn delivered(&self, bytes: u64) {
        self.meters.bytes.with([self.source]).add(bytes);
        self.kafka.ready();
    }

    /// Kafka could not be reached, or did not acknowledge everything.
    pub(crate) fn not_delivered(&self, reason: &str) {
        self.meters.delivery_errors.with([self.source]).add(1);
        self.kafka.not_ready(reason);
    }

    /// The source is no longer polled.
    pub(crate) fn stopped(&self, reason: &str) {
        self.kafka.not_ready(&format!("stopped: {reason}"));
    }
}

#[cfg(test)]
mod tests {
    use sources::source;

    use super::*;

    #[test]
    fn fetches_are_counted_by_how_they_ended_and_the_last_success_ages() {
        let health = Health::new();
        let meters = Meters::new(&health).source(source("cboe").unwrap());
        let endpoint = source("cboe").unwrap().endpoints[0].name;
        meters.fetched(endpoint, &Ok(()));
        meters.fetched::<()>(endpoint, &Err(PageError::Retry("503".to_owned())));
        meters.published(endpoint, [7, 1]);
        meters.delivered(100);
        let shown = health.metrics().shown();
        for line in [
            "tapedeck_fetches_total{source=\"cboe\",endpoint=\"index_history\",outcome=\"answered\"} 1",
            "tapedeck_fetches_total{source=\"cboe\",endpoint=\"index_history\",outcome=\"given_up\"} 1",
            "tapedeck_records_published_total{source=\"cboe\",endpoint=\"index_history\"} 7",
            "tapedeck_records_rejected_total{source=\"cboe\",endpoint=\"index_history\"} 1",
            "tapedeck_published_bytes_total{source=\"cboe\"} 100",
            "tapedeck_last_success_age_seconds{source=\"cboe\",endpoint=\"index_history\"} 0.",
        ] {
            assert!(shown.contains(line), "no `{line}` in:\n{shown}");
        }
    }
}
