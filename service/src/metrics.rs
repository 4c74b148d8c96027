//! Metrics in the format that Prometheus reads. Only this file knows the metrics library.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// First part of every metric's name.
const PREFIX: &str = "tapedeck";

/// Content type of the response to `GET /metrics`.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of a histogram of durations: from a small chunk in SQLite to PostgreSQL's `statement_timeout`.
const SECONDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

type Labels<const N: usize> = [(&'static str, String); N];
type Number = Gauge<f64, std::sync::atomic::AtomicU64>;
type Refresh = Box<dyn Fn() + Send + Sync>;

/// All metrics of a process.
#[derive(Default)]
pub struct Metrics {
    registry: Mutex<Option<Registry>>,
    refreshes: Mutex<Vec<Refresh>>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Numbers that only grow, one per combination of labels. The library appends `_total` to the name.
    pub fn counters<const N: usize>(&self, name: &str, help: &str, labels: [&'static str; N]) -> Counters<N> {
        let family = Family::default();
        self.registry().get_or_insert_with(new_registry).register(name, help, family.clone());
        Counters { family, labels }
    }

    /// Numbers that go up and down, one per combination of labels.
    pub fn gauges<const N: usize>(&self, name: &str, help: &str, labels: [&'static str; N]) -> Gauges<N> {
        let family = Family::default();
        self.registry().get_or_insert_with(new_registry).register(name, help, family.clone());
        Gauges { family, labels }
    }

    /// How durations are distributed, one histogram per combination of labels.
    pub fn histograms<const N: usize>(&self, name: &str, help: &str, labels: [&'static str; N]) -> Histograms<N> {
        let family = Family::new_with_constructor(Seconds);
        self.registry().get_or_insert_with(new_registry).register(name, help, family.clone());
        Histograms { family, labels }
    }

    /// Registers a function to be called before the metrics are shown: for gauges that depend on the time.
    pub fn before_shown(&self, refresh: impl Fn() + Send + Sync + 'static) {
        self.refreshes.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(refresh));
    }

    /// All metrics in the OpenMetrics text format.
    pub fn shown(&self) -> String {
        for refresh in self.refreshes.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            refresh();
        }
        let mut out = String::new();
        // Writing into memory cannot fail.
        let _ = text::encode(&mut out, self.registry().get_or_insert_with(new_registry));
        out
    }

    fn registry(&self) -> MutexGuard<'_, Option<Registry>> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn new_registry() -> Registry {
    Registry::with_prefix(PREFIX)
}

fn labelled<const N: usize>(names: [&'static str; N], values: [&str; N]) -> Labels<N> {
    std::array::from_fn(|at| (names[at], values[at].to_owned()))
}

/// See [`Metrics::counters`].
#[derive(Debug, Clone)]
pub struct Counters<const N: usize> {
    family: Family<Labels<N>, Counter>,
    labels: [&'static str; N],
}

impl<const N: usize> Counters<N> {
    /// The counter with these values of the labels; shown from now on, even while it is 0.
    pub fn with(&self, values: [&str; N]) -> CounterHandle {
        CounterHandle(self.family.get_or_create_owned(&labelled(self.labels, values)))
    }
}

/// A counter; adding to it is one atomic addition.
#[derive(Debug, Clone)]
pub struct CounterHandle(Counter);

impl CounterHandle {
    /// Adds a number to it.
    pub fn add(&self, count: u64) {
        self.0.inc_by(count);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// See [`Metrics::gauges`].
#[derive(Debug, Clone)]
pub struct Gauges<const N: usize> {
    family: Family<Labels<N>, Number>,
    labels: [&'static str; N],
}

impl<const N: usize> Gauges<N> {
    /// Sets the gauge with these values of the labels.
    pub fn set(&self, values: [&str; N], number: f64) {
        self.family.get_or_create(&labelled(self.labels, values)).set(number);
    }

    /// Hides the gauge with these values of the labels until it is set again.
    pub fn remove(&self, values: [&str; N]) {
        self.family.remove(&labelled(self.labels, values));
    }

    /// Hides all of them until they are set again.
    pub fn clear(&self) {
        self.family.clear();
    }
}

/// See [`Metrics::histograms`].
#[derive(Debug, Clone)]
pub struct Histograms<const N: usize> {
    family: Family<Labels<N>, Histogram, Seconds>,
    labels: [&'static str; N],
}

impl<const N: usize> Histograms<N> {
    /// The histogram with these values of the labels.
    pub fn with(&self, values: [&str; N]) -> HistogramHandle {
        HistogramHandle(self.family.get_or_create_owned(&labelled(self.labels, values)))
    }
}

/// A histogram of durations.
#[derive(Debug, Clone)]
pub struct HistogramHandle(Histogram);

impl HistogramHandle {
    /// Records a duration.
    pub fn observe(&self, duration: Duration) {
        self.0.observe(duration.as_secs_f64());
    }
}

#[derive(Debug, Clone)]
struct Seconds;

impl MetricConstructor<Histogram> for Seconds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(SECONDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_shown_with_their_labels_in_the_text_format() {
        let metrics = Metrics::default();
        let rows = metrics.counters("rows", "Rows", ["dataset", "outcome"]);
        rows.with(["bar", "inserted"]).add(3);
        rows.with(["bar", "inserted"]).add(2);
        rows.with(["bar", "odd \"name\"\n"]).add(1);
        let lag = metrics.gauges("lag_records", "Lag", ["partition"]);
        lag.set(["0"], 7.5);
        lag.set(["1"], 1.0);
        lag.remove(["1"]);
        metrics.histograms("commit_seconds", "Time", ["kind"]).with(["x"]).observe(Duration::from_millis(30));
        let shown = metrics.shown();
        for line in [
            "# TYPE tapedeck_rows counter",
            "tapedeck_rows_total{dataset=\"bar\",outcome=\"inserted\"} 5",
            "tapedeck_rows_total{dataset=\"bar\",outcome=\"odd \\\"name\\\"\\n\"} 1",
            "tapedeck_lag_records{partition=\"0\"} 7.5",
            "tapedeck_commit_seconds_bucket{le=\"0.05\",kind=\"x\"} 1",
            "tapedeck_commit_seconds_bucket{le=\"0.025\",kind=\"x\"} 0",
            "tapedeck_commit_seconds_count{kind=\"x\"} 1",
            "# EOF",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "no `{line}` in:\n{shown}");
        }
        assert!(!shown.contains("partition=\"1\""), "{shown}");
    }

    #[test]
    fn what_depends_on_the_time_is_set_when_it_is_shown() {
        let metrics = Metrics::default();
        let age = metrics.gauges("age_seconds", "Age", ["of"]);
        metrics.before_shown(move || age.set(["x"], 42.0));
        assert!(metrics.shown().contains("tapedeck_age_seconds{of=\"x\"} 42.0"));
    }
}
