//! Finds offsets by time and by leader epoch.

use std::io;

use kafka_protocol::error::ResponseError;

use super::super::batch::Header;
use super::super::files::failed;
use super::super::walk::read_batch;
use super::read::View;
use super::{Closed, Partition, segment};

impl Partition {
    /// Offset and time of the first record at or after `timestamp`. For compressed records with their producer's time
    /// the first record of the batch stands for all: early, never late.
    pub fn find_time(&self, timestamp: i64) -> Result<Option<(i64, i64)>, ResponseError> {
        let (start, segments) = self.candidates()?;
        for segment in segments.iter().filter(|segment| segment.max_time >= timestamp) {
            let found = self.search(segment, start, |view| find(view, start, timestamp, Header::find_time))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Offset and time of the record with the latest time. None if no record has a time, or on an error, which is
    /// logged.
    pub fn latest_time(&self) -> Option<(i64, i64)> {
        let (start, segments) = self.candidates().ok()?;
        let mut latest: Option<(Closed, i64)> = None;
        for segment in segments {
            // A part of the first segment may be deleted: its index tells too much.
            let time = match segment.base < start {
                true => self.search(&segment, start, |view| max_time(view, start)).ok()?.unwrap_or(-1),
                false => segment.max_time,
            };
            if time > latest.map_or(-1, |latest| latest.1) {
                latest = Some((segment, time));
            }
        }
        let (segment, time) = latest?;
        let found = self.search(&segment, start, |view| find(view, start, time, Header::find_latest));
        found.ok().flatten()
    }

    /// The largest known leader epoch up to `epoch`, and the offset at which it ended; (-1, -1) for an epoch of the
    /// future.
    pub fn epoch_end(&self, epoch: i32) -> (i32, i64) {
        let state = self.state();
        let current = self.shared.epoch;
        if epoch < 0 || epoch > current {
            return (-1, -1);
        }
        if epoch == current {
            return (current, state.end());
        }
        let after = state.epochs.partition_point(|known| known.0 <= epoch);
        let end = state.epochs.get(after).map_or(state.end(), |known| known.1);
        let known = after.checked_sub(1).and_then(|at| state.epochs.get(at));
        (known.map_or(epoch, |known| known.0), end)
    }

    /// The log start and all segments with records.
    fn candidates(&self) -> Result<(i64, Vec<Closed>), ResponseError> {
        let state = self.state();
        state.is_readable()?;
        let segments = state.segments().filter(|segment| segment.next > state.start && segment.size > 0);
        Ok((state.start, segments.collect()))
    }

    /// Looks into a segment; None if retention deleted it in the meantime.
    fn search<T>(
        &self,
        closed: &Closed,
        start: i64,
        look: impl FnOnce(&View) -> io::Result<Option<T>>,
    ) -> Result<Option<T>, ResponseError> {
        match self.view(closed.base.max(start)) {
            Ok(Some(view)) => look(&view).map_err(|error| failed(&segment(&self.folder, closed.base), "read", &error)),
            Ok(None) | Err(ResponseError::OffsetOutOfRange) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Picks a record in a batch: the batch, first offset, time.
type Pick = fn(&Header, &[u8], i64, i64) -> Option<(i64, i64)>;

/// The first record that `pick` finds in the batches with records from `start` on that may be at or after `time`.
fn find(view: &View, start: i64, time: i64, pick: Pick) -> io::Result<Option<(i64, i64)>> {
    let position = view.index.by_time(time).position.max(view.index.by_offset(start).position);
    let mut walk = view.walk(position);
    while let Some((header, at)) = walk.next()? {
        if header.next() > start && header.max_time >= time {
            let found = pick(&header, &records(view, &header, at)?, start, time);
            if found.is_some() {
                return Ok(found);
            }
        }
    }
    Ok(None)
}

/// The batch's bytes, if its records are worth reading.
fn records(view: &View, header: &Header, at: u64) -> io::Result<Vec<u8>> {
    if header.is_readable() { read_batch(&view.file, header, at) } else { Ok(Vec::new()) }
}

/// The latest time of the batches with records from `start` on.
fn max_time(view: &View, start: i64) -> io::Result<Option<i64>> {
    let mut walk = view.walk(view.index.by_offset(start).position);
    let mut latest = None;
    while let Some((header, at)) = walk.next()? {
        if header.base_offset >= start {
            latest = latest.max(Some(header.max_time));
        } else if header.next() > start {
            latest = latest.max(Some(header.max_time_from(&records(view, &header, at)?, start)));
        }
    }
    Ok(latest)
}
