//! What a run of the producer needs, how it is stopped, and how it ends.

use std::path::PathBuf;
use std::time::Duration;

use kafka::Cluster;
use service::health::Health;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::meters::Meters;
use crate::progress::Progress;
use crate::watchlist::Watchlist;

/// First and longest wait for a Kafka that cannot be reached.
pub(crate) const KAFKA_WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// How long to poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One round of everything.
    Once,
    /// Until the shutdown.
    Daemon,
}

/// What a run needs to know.
#[derive(Debug, Clone)]
pub struct Run {
    /// What to poll.
    pub watchlist: Watchlist,
    /// Where to publish.
    pub cluster: Cluster,
    /// How long.
    pub mode: Mode,
    /// Whether to report progress to the program that started the run.
    pub progress: Progress,
    /// Cancelled to end the run.
    pub shutdown: CancellationToken,
    /// Metrics and health.
    pub meters: Meters,
    /// Folder of the state files; None keeps the state in memory.
    pub state_dir: Option<PathBuf>,
    /// What time it is.
    pub clock: Clock,
}

impl Run {
    /// A run that reports no progress, keeps its state in memory and uses the system's clock, until a field is changed.
    pub fn new(watchlist: Watchlist, cluster: Cluster, mode: Mode) -> Run {
        Run {
            watchlist,
            cluster,
            mode,
            progress: Progress::Silent,
            shutdown: CancellationToken::new(),
            meters: Meters::new(&Health::new()),
            state_dir: None,
            clock: Clock::default(),
        }
    }

    /// Waits, and returns the next wait for Kafka, which is twice as long.
    ///
    /// # Errors
    ///
    /// [`Stop::Shutdown`] as soon as the shutdown begins.
    pub(crate) async fn pause(&self, wait: Duration) -> Result<Duration, Stop> {
        self.shutdown.run_until_cancelled(sleep(wait)).await.ok_or(Stop::Shutdown)?;
        Ok((wait * 2).min(KAFKA_WAITS[1]))
    }
}

/// How a run ended. The log has the errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Everything was published, or skipped because the provider does not have it.
    Complete,
    /// A source was stopped, or items were given up.
    Incomplete,
}

/// Why a source is no longer polled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The run is over.
    Shutdown,
    /// Nothing more can be fetched from the source.
    Source(String),
    /// Nothing can be published: no source can go on.
    Kafka(String),
}
