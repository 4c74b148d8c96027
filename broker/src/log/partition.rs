//! A partition: its segments, and appending to the last one.

mod flush;
mod read;
#[cfg(test)]
pub(super) mod tests;
mod times;
mod trim;

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use kafka_protocol::error::ResponseError;
use tokio::sync::Notify;

use super::Flush;
use super::batch::{self, Header, Stamped};
use super::files::{self, OpenFiles, failed, lock, replace_checked};
use super::index::Index;
use super::meta::Mark;
use super::producers::Producers;
use super::recovery::{self, Recovered};
use super::topic::{TopicConfig, TopicState};
use crate::limits::MAX_EPOCHS;

pub use read::Slice;

/// What all partitions share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) epoch: i32,
    pub(super) flush: Flush,
    pub(super) files: OpenFiles,
}

/// A segment that is no longer written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) base: i64,
    pub(super) next: i64,
    pub(super) size: u64,
    pub(super) max_time: i64,
}

impl Closed {
    pub(super) fn of(index: &Index) -> Closed {
        Closed { base: index.base, next: index.next, size: index.size, max_time: index.max_time }
    }
}

/// The segment that is written.
#[derive(Debug)]
struct Active {
    index: Arc<Index>,
    /// None while nobody appends.
    file: Option<Arc<File>>,
    /// Offset and position of the last batch.
    tail: Option<(i64, u64)>,
    /// Whether it was appended to since the last flush.
    is_fresh: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Open,
    /// A failed write could not be undone.
    Offline,
    /// The log was closed.
    Stopped,
    Deleted,
}

#[derive(Debug)]
struct State {
    status: Status,
    start: i64,
    closed: VecDeque<Closed>,
    active: Active,
    producers: Producers,
    /// Offsets of the producers' snapshots on disk.
    snapshots: VecDeque<i64>,
    /// Leader epochs and the offset at which each begins.
    epochs: Vec<(i32, i64)>,
    /// The last time that the broker stamped.
    stamp: i64,
    /// Files and folders with changes that may not be on disk.
    unsynced: Vec<Arc<File>>,
}

impl State {
    fn end(&self) -> i64 {
        self.active.index.next
    }

    /// All segments from the oldest to the active one.
    fn segments(&self) -> impl Iterator<Item = Closed> {
        self.closed.iter().copied().chain([Closed::of(&self.active.index)])
    }

    fn is_readable(&self) -> Result<(), ResponseError> {
        if self.status == Status::Deleted { Err(ResponseError::UnknownTopicOrPartition) } else { Ok(()) }
    }

    fn is_writable(&self) -> Result<(), ResponseError> {
        self.is_readable()?;
        if self.status == Status::Open { Ok(()) } else { Err(ResponseError::KafkaStorageError) }
    }

    /// Remembers a batch that was written.
    fn push(&mut self, header: &Header, now_ms: i64) {
        self.active.tail = Some((header.base_offset, self.active.index.size));
        self.active.is_fresh = true;
        Arc::make_mut(&mut self.active.index).push(header);
        self.producers.push(header, now_ms);
        if header.is_append_time() {
            self.stamp = header.max_time;
        }
        push_epoch(&mut self.epochs, header);
    }
}

/// Remembers where a leader epoch begins.
pub(super) fn push_epoch(epochs: &mut Vec<(i32, i64)>, header: &Header) {
    if epochs.last().is_none_or(|last| last.0 < header.epoch) {
        if epochs.len() >= MAX_EPOCHS {
            epochs.remove(0);
        }
        epochs.push((header.epoch, header.base_offset));
    }
}

/// The result of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the batch's first record.
    pub base_offset: i64,
    /// The time that the broker stamped; -1 unless the topic has `LogAppendTime`.
    pub append_time_ms: i64,
    /// The first offset of the partition.
    pub log_start: i64,
    /// Whether the batch had been appended before; `base_offset` and `append_time_ms` are those of the first time.
    pub is_duplicate: bool,
    /// The partition's end: pass it to [`Partition::durable`].
    pub end: i64,
}

/// A partition of a topic.
#[derive(Debug)]
pub struct Partition {
    folder: PathBuf,
    /// Identifies the partition in this process.
    id: u64,
    shared: Arc<Shared>,
    topic: Arc<TopicState>,
    state: Mutex<State>,
    /// Held while a flush runs.
    flushing: Mutex<()>,
    /// Everything before this offset is on disk.
    synced: AtomicI64,
    /// Whether a task of [`Partition::durable`] flushes.
    is_flushing: AtomicBool,
    flushed: Notify,
    /// Held while the log start moves.
    trimming: Mutex<()>,
}

impl Partition {
    /// Opens a partition and recovers its data. A `mark` of None checks all of it.
    pub(super) fn open(
        folder: PathBuf,
        shared: Arc<Shared>,
        topic: Arc<TopicState>,
        mark: Option<&Mark>,
        now_ms: i64,
    ) -> anyhow::Result<Partition> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let Recovered { start, closed, active, producers, snapshots, epochs, stamp } =
            recovery::recover(&folder, mark, now_ms)?;
        let synced = AtomicI64::new(active.next);
        let active = Active { index: Arc::new(active), file: None, tail: None, is_fresh: false };
        let status = Status::Open;
        let unsynced = Vec::new();
        let state = State { status, start, closed, active, producers, snapshots, epochs, stamp, unsynced };
        Ok(Partition {
            folder,
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            shared,
            topic,
            state: Mutex::new(state),
            flushing: Mutex::new(()),
            synced,
            is_flushing: AtomicBool::new(false),
            flushed: Notify::new(),
            trimming: Mutex::new(()),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The first offset.
    pub fn start(&self) -> i64 {
        self.state().start
    }

    /// The offset after the last record.
    pub fn end(&self) -> i64 {
        self.state().end()
    }

    /// The offset after the last record that consumers may read. With [`Flush::Always`] those are the records on disk:
    /// a power loss must not take back what somebody has read.
    pub fn visible_end(&self) -> i64 {
        let state = self.state();
        match self.shared.flush {
            Flush::Interval => state.end(),
            Flush::Always => self.synced.load(Ordering::Acquire).clamp(state.start, state.end()),
        }
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.state().segments().map(|segment| segment.size).sum()
    }

    /// Appends the records of a Produce request, which are exactly one batch of format 2.
    pub fn append(&self, records: &[u8], now_ms: i64) -> Result<Appended, ResponseError> {
        let config = self.topic.config();
        let header = batch::check(records, config.max_message_bytes)?;
        let mut state = self.state();
        state.is_writable()?;
        if let Some(first) = state.producers.check(&header)? {
            let (base_offset, append_time_ms) = (first.offset, first.time);
            let (log_start, end) = (state.start, state.end());
            return Ok(Appended { base_offset, append_time_ms, log_start, is_duplicate: true, end });
        }
        let appended = self.write(&mut state, records, &header, &config, now_ms)?;
        drop(state);
        self.topic.changed.notify_waiters();
        Ok(appended)
    }

    fn write(
        &self,
        state: &mut State,
        records: &[u8],
        header: &Header,
        config: &TopicConfig,
        now_ms: i64,
    ) -> Result<Appended, ResponseError> {
        let offset = state.end();
        offset.checked_add(i64::from(header.count)).ok_or(ResponseError::KafkaStorageError)?;
        let time = config.append_time.then(|| now_ms.max(state.stamp));
        let stamped = Stamped::new(records, offset, self.shared.epoch, time).ok_or(ResponseError::InvalidRecord)?;
        let size = state.active.index.size;
        if size > 0 && size.saturating_add(header.size) > u64::try_from(config.segment_bytes).unwrap_or(0) {
            self.roll(state)?;
        }
        let size = state.active.index.size;
        let path = segment(&self.folder, state.active.index.base);
        let file = self.open_active(state)?;
        if let Err(error) = write_all(&file, &mut stamped.parts()) {
            if let Err(error) = file.set_len(size) {
                tracing::error!("{}: cannot undo a failed write: {error}; the partition is offline", path.display());
                state.status = Status::Offline;
            }
            return Err(failed(&path, "write", &error));
        }
        state.push(&stamped.header, now_ms);
        let append_time_ms = time.unwrap_or(-1);
        Ok(Appended {
            base_offset: offset,
            append_time_ms,
            log_start: state.start,
            is_duplicate: false,
            end: state.end(),
        })
    }

    fn open_active(&self, state: &mut State) -> Result<Arc<File>, ResponseError> {
        if let Some(file) = &state.active.file {
            return Ok(Arc::clone(file));
        }
        let path = segment(&self.folder, state.active.index.base);
        let file = OpenOptions::new().read(true).append(true).open(&path);
        let file = Arc::new(file.map_err(|error| failed(&path, "open", &error))?);
        state.active.file = Some(Arc::clone(&file));
        Ok(file)
    }

    /// Closes the active segment and begins a new one.
    fn roll(&self, state: &mut State) -> Result<(), ResponseError> {
        let base = state.end();
        let path = segment(&self.folder, base);
        let created = || -> io::Result<(File, File)> {
            let file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
            file.set_len(0)?;
            Ok((file, File::open(&self.folder)?))
        };
        let old = self.open_active(state)?;
        let (file, folder) = created().map_err(|error| failed(&path, "create", &error))?;
        self.write_index(&state.active.index);
        self.write_snapshot(state);
        state.unsynced.extend([old, Arc::new(folder)]);
        state.closed.push_back(Closed::of(&state.active.index));
        let index = Arc::new(Index::new(base));
        state.active = Active { index, file: Some(Arc::new(file)), tail: None, is_fresh: true };
        Ok(())
    }

    /// Writes an index file. Without it, the next start reads the segment's headers.
    fn write_index(&self, index: &Index) {
        let path = index_file(&self.folder, index.base);
        if let Err(error) = replace_checked(&path, &index.encode()) {
            tracing::warn!("{}: cannot write the index: {error}", path.display());
        }
    }

    /// Writes a snapshot of the producers. The newest snapshot that is on disk stays, and all later ones.
    fn write_snapshot(&self, state: &mut State) {
        let end = state.end();
        let path = snapshot(&self.folder, end);
        let written = replace_checked(&path, &state.producers.encode()).and_then(|()| File::open(&path));
        match written {
            Ok(file) => state.unsynced.push(Arc::new(file)),
            Err(error) => {
                tracing::warn!("{}: cannot write the snapshot of the producers: {error}", path.display());
                return;
            }
        }
        if state.snapshots.back() != Some(&end) {
            state.snapshots.push_back(end);
        }
        let synced = self.synced.load(Ordering::Acquire);
        while state.snapshots.get(1).is_some_and(|newer| *newer <= synced)
            && let Some(old) = state.snapshots.pop_front()
        {
            let path = snapshot(&self.folder, old);
            if let Err(error) = files::remove(&path) {
                tracing::warn!("{}: cannot delete: {error}", path.display());
            }
        }
    }

    /// Refuses everything from now on and forgets the files.
    pub(super) fn delete(&self) {
        let mut state = self.state();
        state.status = Status::Deleted;
        state.active.file = None;
        state.unsynced.clear();
        drop(state);
        self.shared.files.forget(self.id, i64::MAX);
        self.flushed.notify_waiters();
    }
}

/// Writes all parts at the end of the file.
fn write_all(mut file: &File, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
    let mut left = parts;
    #[cfg(test)]
    tests::fill_disk(file, left)?;
    while !left.is_empty() {
        match file.write_vectored(left) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The file of a segment.
pub(super) fn segment(folder: &Path, base: i64) -> PathBuf {
    folder.join(format!("{base:020}.log"))
}

/// The file of a segment's index.
pub(super) fn index_file(folder: &Path, base: i64) -> PathBuf {
    folder.join(format!("{base:020}.index"))
}

/// The file of a snapshot of the producers.
pub(super) fn snapshot(folder: &Path, offset: i64) -> PathBuf {
    folder.join(format!("{offset:020}.producers"))
}
