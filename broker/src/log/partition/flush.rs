//! Moves data to disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use kafka_protocol::error::ResponseError;

use super::super::files::{lock, sync_failed};
use super::super::meta::Mark;
use super::{Flush, Partition, Status};

impl Partition {
    /// Whether everything before `offset` is as durable as [`Flush`] says.
    pub fn is_durable(&self, offset: i64) -> bool {
        self.shared.flush == Flush::Interval || self.synced.load(Ordering::Acquire) >= offset.min(self.end())
    }

    /// With [`Flush::Always`]: resolves when everything before `offset` is on disk; one `fdatasync` serves all who
    /// wait. Otherwise it resolves at once.
    pub async fn durable(self: &Arc<Self>, offset: i64) -> Result<(), ResponseError> {
        loop {
            let flushed = self.flushed.notified();
            if self.is_durable(offset) {
                return Ok(());
            }
            self.state().is_readable()?;
            if !self.is_flushing.swap(true, Ordering::AcqRel) {
                let partition = Arc::clone(self);
                tokio::task::spawn_blocking(move || {
                    partition.flush();
                    partition.is_flushing.store(false, Ordering::Release);
                    partition.flushed.notify_waiters();
                });
            }
            flushed.await;
        }
    }

    /// Moves everything to disk that was appended so far. The process exits if that fails.
    pub(in super::super) fn flush(&self) {
        let _only_one = lock(&self.flushing);
        let mut state = self.state();
        let end = state.end();
        let files = std::mem::take(&mut state.unsynced);
        let is_fresh = std::mem::take(&mut state.active.is_fresh);
        let active = if is_fresh { state.active.file.clone() } else { state.active.file.take().and(None) };
        drop(state);
        let synced = files.iter().try_for_each(|file| file.sync_all());
        if let Err(error) = synced.and_then(|()| active.map_or(Ok(()), |file| file.sync_data())) {
            sync_failed(&self.folder, &error);
        }
        self.synced.fetch_max(end, Ordering::AcqRel);
        if self.shared.flush == Flush::Always {
            self.topic.changed.notify_waiters();
        }
    }

    /// What the next start may rely on.
    pub(in super::super) fn mark(&self) -> Mark {
        let recovery = self.synced.load(Ordering::Acquire);
        let state = self.state();
        Mark { recovery, stamp: state.stamp, epochs: state.epochs.clone() }
    }

    /// Forgets idempotent producers that are silent for long.
    pub(in super::super) fn expire(&self, now_ms: i64) {
        self.state().producers.expire(now_ms);
    }

    /// Ends appending and writes everything that lets the next start skip reading segments.
    pub(in super::super) fn stop(&self) {
        let mut state = self.state();
        if state.status == Status::Deleted {
            return;
        }
        if state.status == Status::Open {
            state.status = Status::Stopped;
            self.write_index(&state.active.index);
            if state.snapshots.back() != Some(&state.end()) {
                self.write_snapshot(&mut state);
            }
        }
        drop(state);
        self.flush();
    }
}
