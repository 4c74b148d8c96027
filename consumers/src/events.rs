//! What a sink has been through: each event is logged and counted here, and nowhere else.

use std::sync::Arc;

use contract::Dataset;
use kafka::schemas::Missing;
use service::metrics::{CounterHandle, Counters, Metrics};
use store::chunk::SinkPartition;
use store::dead_letter::Cause;
use store::quarantine::{MAX_DEAD_LETTERS, Trip};

/// The counters of all sinks of a process.
#[derive(Debug, Clone)]
pub struct EventMetrics {
    events: Counters<2>,
    dead_letters: Counters<3>,
    gap_records: Counters<1>,
}

impl EventMetrics {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> EventMetrics {
        EventMetrics {
            events: metrics.counters("sink_events", "What a sink has been through", ["dataset", "event"]),
            dead_letters: metrics.counters(
                "dead_letters",
                "Records that were refused, also those that are read again after an interruption",
                ["dataset", "stage", "class"],
            ),
            gap_records: metrics.counters("gap_records", "Records that were gone before they were read", ["dataset"]),
        }
    }

    /// The events of one dataset's sink.
    pub fn sink(&self, dataset: &Dataset) -> Events {
        let name = dataset.name.as_str();
        let event = |event| self.events.with([name, event]);
        Events(Arc::new(Counted {
            dataset: name.to_owned(),
            pauses: event("pause"),
            fenced: event("fenced"),
            recognised: event("commit_recognised"),
            gaps: event("gap"),
            quarantines: event("quarantine"),
            restarts: event("session_failed"),
            panics: event("panic"),
            metrics: self.clone(),
        }))
    }
}

/// The events of one sink; clones are the same.
#[derive(Debug, Clone)]
pub struct Events(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    dataset: String,
    pauses: CounterHandle,
    fenced: CounterHandle,
    recognised: CounterHandle,
    gaps: CounterHandle,
    quarantines: CounterHandle,
    restarts: CounterHandle,
    panics: CounterHandle,
    metrics: EventMetrics,
}

impl Events {
    /// A partition is paused, because its chunks are not written fast enough.
    pub(crate) fn paused(&self, partition: i32) {
        self.0.pauses.add(1);
        tracing::debug!(dataset = self.0.dataset, partition, "paused until its chunk is written");
    }

    /// Another consumer has moved a partition on.
    pub(crate) fn fenced(&self, partition: &SinkPartition) {
        self.0.fenced.add(1);
        tracing::warn!(%partition, "fenced: another consumer moved the partition on");
    }

    /// An earlier attempt had committed the chunk, but its answer was lost.
    pub(crate) fn recognised(&self, partition: i32) {
        self.0.recognised.add(1);
        let dataset = &*self.0.dataset;
        tracing::warn!(dataset, partition, "already committed: the answer to an earlier attempt was lost");
    }

    /// So many records were gone before they were read.
    pub(crate) fn gap(&self, what: &str, records: u64) {
        self.0.gaps.add(1);
        self.0.metrics.gap_records.with([&self.0.dataset]).add(records);
        tracing::warn!(what, "gap");
    }

    /// A message has become a dead letter.
    pub(crate) fn refused(&self, partition: i32, offset: i64, cause: &Cause) {
        let Counted { dataset, metrics, .. } = &*self.0;
        metrics.dead_letters.with([dataset, cause.stage, cause.class]).add(1);
        tracing::debug!(dataset, partition, offset, reason = cause.reason, "dead letter");
    }

    /// The quarantine of a publisher has begun: too many of its records were refused.
    pub(crate) fn quarantined(&self, trip: &Trip) {
        self.0.quarantines.add(1);
        let dataset = &*self.0.dataset;
        let Trip { publisher, refused, seen, reason } = trip;
        tracing::error!(
            dataset,
            publisher = publisher.as_str(),
            "quarantined: {refused} of its last {seen} records are refused, the last one because: {reason}; after \
             {MAX_DEAD_LETTERS} more dead letters only their coordinates are kept, until `dead-letters release`"
        );
    }

    /// The next message of a partition cannot be read yet.
    pub(crate) fn waits_for_schema(&self, partition: i32, offset: i64, missing: &Missing) {
        let dataset = &*self.0.dataset;
        tracing::warn!(dataset, partition, offset, reason = %missing, "waiting for a schema");
    }

    /// A session has failed, and another one starts.
    pub(crate) fn restarts(&self, reason: &str) {
        self.0.restarts.add(1);
        tracing::warn!(dataset = self.0.dataset, reason, "sink restarts");
    }

    /// A thread or a writer of the sink has panicked; the line says where it was.
    pub(crate) fn panicked(&self, line: &str) {
        self.0.panics.add(1);
        tracing::error!(dataset = self.0.dataset, "{line}");
    }
}
