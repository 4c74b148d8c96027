//! Writers: each commits chunks on one connection, one after the other, however long the database is away.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use crate::chunk::Chunk;
use crate::consume::InFlight;
use crate::meters::Meters;
use crate::store::{Commit, Store, StoreError};

/// Shortest wait before something is tried again.
const MIN_WAIT: Duration = Duration::from_millis(50);
/// Longest wait before something is tried again, before jitter doubles it at most: what bounds how soon rows flow
/// again after the database, Kafka or the registry is back.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(2);
/// How often a failure that lasts is logged again.
pub(crate) const REMINDER: Duration = Duration::from_secs(60);

/// Waits between attempts: growing, with jitter, for ever.
pub(crate) fn backoff() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(MIN_WAIT)
        .with_max_delay(MAX_WAIT)
        .without_max_times()
        .build()
}

/// What a writer answers.
pub(crate) struct Written {
    pub(crate) partition: i32,
    pub(crate) to_offset: i64,
    /// From when the chunk was handed over until it was committed.
    pub(crate) elapsed: Duration,
    pub(crate) result: Result<Commit, StoreError>,
}

/// Chunks that are to be written, taken by whichever writer has time.
pub(crate) type Queue = Arc<Mutex<mpsc::Receiver<Chunk>>>;

/// A queue for so many writers, with room for one chunk each.
pub(crate) fn queue(writers: usize) -> (mpsc::Sender<Chunk>, Queue) {
    let (sender, receiver) = mpsc::channel(writers);
    (sender, Arc::new(Mutex::new(receiver)))
}

async fn next(queue: &Queue) -> Option<Chunk> {
    queue.lock().await.recv().await
}

/// Writes chunks on one connection, one after the other.
pub(crate) struct Writer {
    pub(crate) store: Box<dyn Store>,
    pub(crate) chunks: Queue,
    pub(crate) answers: SyncSender<Written>,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) cancelled: CancellationToken,
    /// None: it is not a daemon's.
    pub(crate) meters: Option<Meters>,
}

impl Writer {
    pub(crate) async fn run(self) {
        self.run_and_return().await;
    }

    /// Runs until there are no more chunks; gives the store back.
    pub(crate) async fn run_and_return(mut self) -> Box<dyn Store> {
        while let Some(mut chunk) = next(&self.chunks).await {
            let began = Instant::now();
            let result = self.commit(&mut chunk).await;
            self.in_flight.end();
            let (partition, to_offset) = (chunk.partition.number, chunk.to_offset);
            if self.answers.send(Written { partition, to_offset, elapsed: began.elapsed(), result }).is_err() {
                break;
            }
        }
        self.store
    }

    /// Commits a chunk; gives up only when the session ends.
    async fn commit(&mut self, chunk: &mut Chunk) -> Result<Commit, StoreError> {
        let mut waits = backoff();
        let mut logged: Option<(Instant, String)> = None;
        loop {
            let began = Instant::now();
            let attempt = self.store.commit(chunk).await;
            if let Some(meters) = &self.meters {
                meters.attempted(chunk.partition.number, chunk.to_offset, &attempt, began.elapsed());
            }
            let (class, error) = match attempt {
                Err(StoreError::Retry { class, reason }) if !self.cancelled.is_cancelled() => (class, reason),
                result => return result,
            };
            // Another reason is news; the same one is repeated now and then.
            let known = |(since, reason): &(Instant, String)| since.elapsed() < REMINDER && *reason == error;
            if !logged.as_ref().is_some_and(known) {
                tracing::warn!(partition = %chunk.partition, reason = error, "cannot store, will go on trying");
                logged = Some((Instant::now(), error.clone()));
            }
            tokio::select! {
                () = tokio::time::sleep(waits.next().unwrap_or(MAX_WAIT)) => {}
                () = self.cancelled.cancelled() => return Err(StoreError::Retry { class, reason: error }),
            }
        }
    }
}
