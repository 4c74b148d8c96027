//! A sink: one dataset's consumer group and the database that it fills.
//!
//! [`state`] decides, [`driver`] executes, [`session`] feeds them events. [`admit`] turns messages into rows,
//! [`writer`] commits chunks, and [`positions`] finds the offsets to start from.

use std::time::{Duration, Instant};

use contract::{Dataset, topic};
use kafka::Cluster;
use kafka::registry::Registry;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::events::Events;

pub mod admit;
pub mod breaker;
pub(crate) mod driver;
mod error;
pub mod meters;
mod partition;
mod positions;
pub(crate) mod schemas;
mod session;
pub(crate) mod state;
pub(crate) mod writer;

pub use error::SinkError;
pub(crate) use error::panic_text;
pub use positions::OnGap;
use session::Session;
use store::chunk::Limits;
use store::{Database, Outcome, halts};
use writer::{MAX_WAIT, backoff};

/// How long a command, unlike a daemon, keeps retrying.
pub(crate) const COMMAND_PATIENCE: Duration = Duration::from_secs(60);

/// How long the note that a sink has halted may take; without it, `verify` finds the partitions that do not move.
const HALT_PATIENCE: Duration = Duration::from_secs(10);

/// The configuration of a sink.
#[derive(Debug, Clone)]
pub struct Sink {
    /// The dataset.
    pub dataset: &'static Dataset,
    /// The cluster of its topic.
    pub cluster: Cluster,
    /// The database of its table.
    pub database: Database,
    /// The database's identity, once it is migrated.
    pub identity: Option<String>,
    /// The source of its writers' schemas.
    pub registry: Option<Registry>,
    /// When a chunk is committed.
    pub limits: Limits,
    /// Chunks written concurrently.
    pub writers: usize,
    /// What to do when Kafka removed records before the sink read them.
    pub on_gap: OnGap,
    /// Share of refused records at which the sink halts, in percent.
    pub breaker_percent: usize,
    /// How long a partition waits for a schema that the registry does not know.
    pub schema_patience: Duration,
    /// Whether to stop at the end of the topic.
    pub once: bool,
    /// Its metrics.
    pub meters: meters::Meters,
    /// Its events.
    pub events: Events,
}

impl Sink {
    /// Runs until it is stopped, or to the end of the topic; returns the records' outcomes.
    ///
    /// Blocks: call it on a thread of its own. After a failure that a retry can cure it starts another session, which
    /// continues from the database's positions. It does so forever, unless `once`.
    ///
    /// # Errors
    ///
    /// Only [`SinkError::Halt`]: an operator is needed, or a thread has panicked.
    pub fn run(&self, runtime: &Handle, stop: &CancellationToken) -> Result<Outcome, SinkError> {
        let result = self.run_sessions(runtime, stop);
        match &result {
            Err(error) => runtime.block_on(self.note_halt(Some(&error.to_string()))),
            // A daemon that was stopped may have halted again a moment later.
            Ok(_) if self.once && !stop.is_cancelled() => runtime.block_on(self.note_halt(None)),
            Ok(_) => {}
        }
        result
    }

    /// Notes in the database that the sink has halted, and why; or that it runs.
    pub(crate) async fn note_halt(&self, reason: Option<&str>) {
        let (mut store, sink) = (self.database.store("halt"), self.group());
        let noted = async {
            match reason {
                Some(reason) => halts::record(&mut *store, &sink, reason).await,
                None => halts::clear(&mut *store, &sink).await,
            }
        };
        match tokio::time::timeout(HALT_PATIENCE, noted).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(sink, %error, "cannot note in `sink_halt` whether the sink runs"),
            Err(_) => tracing::warn!(sink, "cannot note in `sink_halt` whether the sink runs: no answer"),
        }
    }

    /// The consumer group, which names the sink.
    pub(crate) fn group(&self) -> String {
        topic::group(self.cluster.namespace(), self.dataset, &self.database.sink())
    }

    fn run_sessions(&self, runtime: &Handle, stop: &CancellationToken) -> Result<Outcome, SinkError> {
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
                    self.events.restarts(&reason);
                    self.meters.restarts(&reason);
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
