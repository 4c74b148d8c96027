//! Reading: which bytes of which files hold the records from an offset on.

use std::fs::{self, File};
use std::io;
use std::sync::Arc;

use kafka_protocol::error::ResponseError;

use super::super::batch::Header;
use super::super::files::failed;
use super::super::index::Index;
use super::super::recovery;
use super::super::walk::Walk;
use super::{Partition, index_file, segment};

/// Whole batches in a file. The file stays readable after retention deletes it.
#[derive(Debug, Clone)]
pub struct Slice {
    /// The segment.
    pub file: Arc<File>,
    /// Where the first batch begins.
    pub position: u64,
    /// Length in bytes.
    pub len: usize,
}

/// A segment to read, as of one moment.
#[derive(Debug)]
pub(super) struct View {
    pub(super) file: Arc<File>,
    pub(super) index: Arc<Index>,
    /// Offset and position of the last batch, if known.
    tail: Option<(i64, u64)>,
}

impl View {
    /// Walks from a position to the segment's end.
    pub(super) fn walk(&self, position: u64) -> Walk<'_> {
        Walk::new(&self.file, position, self.index.size)
    }

    /// The batch that holds an offset, and its position.
    pub(super) fn find(&self, offset: i64) -> io::Result<(Header, u64)> {
        let indexed = self.index.by_offset(offset).position;
        let position = self.tail.filter(|tail| tail.0 <= offset).map_or(indexed, |tail| tail.1);
        let mut walk = self.walk(position);
        while let Some((header, at)) = walk.next()? {
            if header.next() > offset {
                return Ok((header, at));
            }
        }
        Err(io::Error::other(format!("offset {offset} is missing from the segment")))
    }

    /// The end of the last batch that ends at or before `limit`.
    fn fit(&self, from: u64, limit: u64) -> io::Result<u64> {
        if limit >= self.index.size {
            return Ok(self.index.size);
        }
        let mut walk = Walk::new(&self.file, self.index.by_position(limit).position.max(from), limit);
        while walk.next()?.is_some() {}
        Ok(walk.position())
    }
}

impl Partition {
    /// Whole batches from `offset` on, the first of which may begin before it. They fit into `max_bytes`, except that
    /// with `at_least_one` the first batch may be larger. Empty at [`Partition::visible_end`].
    pub fn read(&self, offset: i64, max_bytes: usize, at_least_one: bool) -> Result<Vec<Slice>, ResponseError> {
        let mut slices = Vec::new();
        let (mut offset, mut left) = (offset, max_bytes as u64);
        let end = self.visible_end();
        while let Some(view) = self.view(offset)?.filter(|_| offset < end) {
            let found = self.place(&view, [offset, end], left, at_least_one && slices.is_empty());
            let (from, to) = found.map_err(|error| failed(&segment(&self.folder, view.index.base), "read", &error))?;
            let Some(len) = usize::try_from(to - from).ok().filter(|len| *len > 0) else { break };
            left = left.saturating_sub(to - from);
            offset = view.index.next;
            let is_end = to == view.index.size;
            slices.push(Slice { file: view.file, position: from, len });
            if !is_end {
                break;
            }
        }
        Ok(slices)
    }

    fn place(&self, view: &View, [offset, end]: [i64; 2], left: u64, at_least_one: bool) -> io::Result<(u64, u64)> {
        let (first, from) = view.find(offset)?;
        let fitting = view.fit(from, from.saturating_add(left))?;
        let to = if at_least_one { fitting.max(from + first.size) } else { fitting };
        let visible = if view.index.next > end { view.find(end)?.1 } else { view.index.size };
        Ok((from, to.min(visible)))
    }

    /// The segment that holds an offset; None at the end.
    pub(super) fn view(&self, offset: i64) -> Result<Option<View>, ResponseError> {
        let state = self.state();
        state.is_readable()?;
        if offset < state.start || offset > state.end() {
            return Err(ResponseError::OffsetOutOfRange);
        }
        if offset == state.end() {
            return Ok(None);
        }
        let active = &state.active;
        if offset >= active.index.base {
            let (index, tail) = (Arc::clone(&active.index), active.tail);
            if let Some(file) = active.file.clone() {
                return Ok(Some(View { file, index, tail }));
            }
            drop(state);
            let file = self.open_idle(index.base)?.file.clone();
            return Ok(Some(View { file, index, tail }));
        }
        let at = state.closed.partition_point(|closed| closed.next <= offset);
        let Some(closed) = state.closed.get(at).copied() else { return Err(ResponseError::KafkaStorageError) };
        drop(state);
        let open = self.open_idle(closed.base)?;
        let index = match open.index.get() {
            Some(index) => Arc::clone(index),
            None => {
                let index = Arc::new(self.load_index(&open.file, closed.base, closed.size)?);
                Arc::clone(open.index.get_or_init(|| index))
            }
        };
        Ok(Some(View { file: Arc::clone(&open.file), index, tail: None }))
    }

    /// Opens a segment; one that retention deleted in the meantime is out of range.
    fn open_idle(&self, base: i64) -> Result<Arc<super::super::files::OpenSegment>, ResponseError> {
        let path = segment(&self.folder, base);
        self.shared.files.open((self.id, base), &path).map_err(|error| {
            let state = self.state();
            match state.is_readable() {
                Ok(()) if state.segments().next().is_some_and(|first| first.base > base) => {
                    ResponseError::OffsetOutOfRange
                }
                Ok(()) => failed(&path, "open", &error),
                Err(deleted) => deleted,
            }
        })
    }

    /// Loads the index of a closed segment, or builds it.
    fn load_index(&self, file: &File, base: i64, size: u64) -> Result<Index, ResponseError> {
        let is_its = |index: &Index| index.base == base && index.size == size;
        let stored = fs::read(index_file(&self.folder, base)).ok().and_then(|content| Index::decode(&content));
        if let Some(index) = stored.filter(is_its) {
            return Ok(index);
        }
        let path = segment(&self.folder, base);
        let index = recovery::scan(file, base, size, i64::MAX, &mut |_| {});
        let index = index.map_err(|error| failed(&path, "read", &error))?;
        if !is_its(&index) {
            return Err(failed(&path, "read", &io::Error::other(format!("damaged at byte {}", index.size))));
        }
        self.write_index(&index);
        Ok(index)
    }
}
