//! Writers: each commits chunks on one connection, one after the other, and retries while the database is unavailable.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use kafka::in_flight::InFlight;
use store::chunk::Chunk;
use store::{Commit, Store, StoreError};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::error::{SinkError, panic_text};
use super::meters::Meters;
use super::state::ChunkId;
use crate::reminder::Reminder;

/// Shortest wait before a retry.
const MIN_WAIT: Duration = Duration::from_millis(50);
/// Longest wait before a retry; jitter can double it. It bounds how soon a sink recovers once the database, Kafka or
/// the registry is back.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(2);

/// Waits between attempts: growing, with jitter, without end.
pub(crate) fn backoff() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(MIN_WAIT)
        .with_max_delay(MAX_WAIT)
        .without_max_times()
        .build()
}

/// A writer's result for a chunk.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) partition: i32,
    pub(crate) chunk: ChunkId,
    pub(crate) to_offset: i64,
    /// Time from when a writer received the chunk until it was committed.
    pub(crate) elapsed: Duration,
    pub(crate) result: Result<Commit, WriteError>,
}

/// Why a chunk was not committed.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// The store refused it, or the session ended first.
    Store(StoreError),
    /// The writer panicked; the line names the chunk.
    Panicked(String),
}

impl From<WriteError> for SinkError {
    fn from(error: WriteError) -> SinkError {
        match error {
            WriteError::Store(error) => error.into(),
            WriteError::Panicked(line) => SinkError::Halt(line),
        }
    }
}

/// A chunk on its way to a writer.
pub(crate) type Numbered = (ChunkId, Chunk);

/// A queue of chunks, shared by all writers.
pub(crate) type Queue = Arc<Mutex<mpsc::Receiver<Numbered>>>;

/// A queue with room for this many chunks.
pub(crate) fn queue(room: usize) -> (mpsc::Sender<Numbered>, Queue) {
    let (sender, receiver) = mpsc::channel(room.max(1));
    (sender, Arc::new(Mutex::new(receiver)))
}

async fn next(queue: &Queue) -> Option<Numbered> {
    queue.lock().await.recv().await
}

/// What a writer needs of a store.
pub(crate) trait Commits: Send {
    /// Commits a chunk: all of it, or nothing.
    fn commit<'a>(&'a mut self, chunk: &'a mut Chunk) -> BoxFuture<'a, Result<Commit, StoreError>>;
}

impl Commits for Box<dyn Store> {
    fn commit<'a>(&'a mut self, chunk: &'a mut Chunk) -> BoxFuture<'a, Result<Commit, StoreError>> {
        (**self).commit(chunk)
    }
}

/// Writes chunks on one connection, one after the other.
pub(crate) struct Writer<S> {
    pub(crate) store: S,
    pub(crate) chunks: Queue,
    pub(crate) answers: SyncSender<Written>,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) cancelled: CancellationToken,
    /// None for a command; only a daemon has metrics.
    pub(crate) meters: Option<Meters>,
}

impl<S: Commits> Writer<S> {
    /// Runs until the queue is closed, or until a chunk makes it panic; returns the store.
    ///
    /// Every chunk gets a result, also after a panic: a chunk without a result would block its partition forever.
    pub(crate) async fn run(mut self) -> S {
        while let Some((id, mut chunk)) = next(&self.chunks).await {
            let began = Instant::now();
            let caught = AssertUnwindSafe(self.commit(&mut chunk)).catch_unwind().await;
            let is_sound = caught.is_ok();
            let result = match caught {
                Ok(result) => result.map_err(WriteError::Store),
                Err(panic) => Err(WriteError::Panicked(panicked(&chunk, &*panic))),
            };
            self.in_flight.end();
            if !is_sound {
                // What waits in the queue may have no writer left, and a revocation must not wait for it.
                self.in_flight.abandon();
            }
            let (partition, to_offset) = (chunk.partition.number, chunk.to_offset);
            // Before the answer: then the sink may fill other chunks.
            drop(chunk);
            let written = Written { partition, chunk: id, to_offset, elapsed: began.elapsed(), result };
            if self.answers.send(written).is_err() || !is_sound {
                break;
            }
        }
        self.store
    }

    /// Commits a chunk; gives up only when the session ends.
    async fn commit(&mut self, chunk: &mut Chunk) -> Result<Commit, StoreError> {
        let mut waits = backoff();
        let mut reminder = Reminder::default();
        loop {
            let began = Instant::now();
            let attempt = self.store.commit(chunk).await;
            if let Some(meters) = &self.meters {
                meters.attempted(chunk.partition.number, chunk.to_offset, &attempt, began.elapsed());
            }
            let (class, reason) = match attempt {
                Err(StoreError::Retry { class, reason }) if !self.cancelled.is_cancelled() => (class, reason),
                result => return result,
            };
            if reminder.is_due_for(&reason) {
                tracing::warn!(partition = %chunk.partition, reason, "cannot store a chunk, retrying");
            }
            tokio::select! {
                () = tokio::time::sleep(waits.next().unwrap_or(MAX_WAIT)) => {}
                // No record is lost: the next session reads them again from the position.
                () = self.cancelled.cancelled() => return Err(StoreError::Retry { class, reason }),
            }
        }
    }
}

/// The error message for a writer's panic.
fn panicked(chunk: &Chunk, panic: &(dyn std::any::Any + Send)) -> String {
    let Chunk { partition, from_offset, to_offset, .. } = chunk;
    let text = panic_text(panic);
    format!("the writer of {partition} panicked at offsets {from_offset} to {}: {text}", to_offset - 1)
}

#[cfg(test)]
mod tests;
