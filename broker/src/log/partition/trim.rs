//! Deletes old records: retention and `DeleteRecords`.

use std::fs;
use std::time::UNIX_EPOCH;

use kafka_protocol::error::ResponseError;

use super::super::files::{self, failed, lock, replace};
use super::super::recovery::start_file;
use super::super::topic::TopicConfig;
use super::{Closed, Partition, State, Status, index_file, segment};

impl Partition {
    /// `DeleteRecords`: deletes everything before `offset`, -1 for all records, and returns the new first offset. Disk
    /// space is freed by whole segments.
    pub fn delete_before(&self, offset: i64) -> Result<i64, ResponseError> {
        let _only_one = lock(&self.trimming);
        let state = self.state();
        state.is_writable()?;
        let (start, end) = (state.start, state.end());
        drop(state);
        let offset = if offset == -1 { end } else { offset };
        if !(0..=end).contains(&offset) {
            return Err(ResponseError::OffsetOutOfRange);
        }
        if offset > start {
            self.move_start(offset)?;
        }
        Ok(offset.max(start))
    }

    /// Deletes segments that are older or more than the topic's settings allow.
    pub(in super::super) fn retain(&self, now_ms: i64) {
        let config = self.topic.config();
        if config.retention_ms < 0 && config.retention_bytes < 0 {
            return;
        }
        let _only_one = lock(&self.trimming);
        let mut state = self.state();
        if state.status != Status::Open {
            return;
        }
        let is_old = |segment: &Closed| self.is_old(segment, &config, now_ms);
        let active = Closed::of(&state.active.index);
        // The newest segment goes as a whole once its last record is old.
        if state.closed.iter().all(is_old) && is_old(&active) && self.roll(&mut state).is_err() {
            return;
        }
        let mut left: u64 = state.segments().map(|segment| segment.size).sum();
        let limit = u64::try_from(config.retention_bytes).unwrap_or(u64::MAX);
        let mut offset = state.start;
        for segment in &state.closed {
            let is_surplus = left.saturating_sub(segment.size) >= limit;
            if !is_surplus && !is_old(segment) {
                break;
            }
            left = left.saturating_sub(segment.size);
            offset = offset.max(segment.next);
        }
        let is_later = offset > state.start;
        drop(state);
        if is_later && self.move_start(offset).is_ok() {
            tracing::info!("{}: retention deleted everything before offset {offset}", self.folder.display());
        }
    }

    fn is_old(&self, closed: &Closed, config: &TopicConfig, now_ms: i64) -> bool {
        if config.retention_ms < 0 || closed.size == 0 {
            return false;
        }
        let time = if closed.max_time >= 0 { Some(closed.max_time) } else { self.modified(closed.base) };
        time.is_some_and(|time| time < now_ms.saturating_sub(config.retention_ms))
    }

    /// When a segment whose records have no time was last written.
    fn modified(&self, base: i64) -> Option<i64> {
        let modified = fs::metadata(segment(&self.folder, base)).and_then(|metadata| metadata.modified()).ok()?;
        i64::try_from(modified.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
    }

    /// Moves the log start. The order lets a crash at any point leave a consistent log: the records before the new
    /// start are on disk, then the start, then the oldest files go first.
    fn move_start(&self, offset: i64) -> Result<(), ResponseError> {
        if offset > self.synced.load(std::sync::atomic::Ordering::Acquire) {
            self.flush();
        }
        let path = start_file(&self.folder);
        let mut state = self.state();
        state.is_writable()?;
        if offset == state.end() && state.active.index.size > 0 {
            self.roll(&mut state)?;
        }
        drop(state);
        replace(&path, format!("{offset}\n").as_bytes()).map_err(|error| failed(&path, "write", &error))?;
        let mut state = self.state();
        state.start = offset;
        let gone = cut(&mut state, offset);
        let first = state.segments().next().map_or(offset, |segment| segment.base);
        drop(state);
        self.shared.files.forget(self.id, first);
        for base in gone {
            let path = segment(&self.folder, base);
            if let Err(error) = files::remove(&path).and_then(|()| files::remove(&index_file(&self.folder, base))) {
                // The next start deletes it.
                failed(&path, "delete", &error);
                break;
            }
        }
        Ok(())
    }
}

/// Removes the closed segments and the epochs that end at or before `offset`; returns the segments' base offsets.
fn cut(state: &mut State, offset: i64) -> Vec<i64> {
    let mut gone = Vec::new();
    while let Some(closed) = state.closed.pop_front_if(|closed| closed.next <= offset) {
        gone.push(closed.base);
    }
    let after = state.epochs.partition_point(|known| known.1 <= offset);
    state.epochs.drain(..after.saturating_sub(1));
    if let Some(first) = state.epochs.first_mut() {
        first.1 = first.1.max(offset);
    }
    gone
}
