//! The sparse index of a segment, and the file that keeps it.

use bytes::{Buf as _, BufMut as _};

use super::batch::Header;
use super::files::{seal, unseal};
use crate::limits::INDEX_INTERVAL_BYTES;

/// First bytes of an index file, with its version.
const MAGIC: &[u8; 8] = b"TDINDEX1";
const ENTRY: usize = 24;

/// A batch in the segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) offset: i64,
    pub(super) position: u64,
    /// Latest time of all batches of the segment before this one.
    pub(super) max_time: i64,
}

/// What is known about the content of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) base: i64,
    /// Offset after the last record.
    pub(super) next: i64,
    /// Length of the file.
    pub(super) size: u64,
    /// Latest time of all batches, -1 without any.
    pub(super) max_time: i64,
    entries: Vec<Entry>,
}

impl Index {
    /// The index of an empty segment.
    pub(super) fn new(base: i64) -> Index {
        Index { base, next: base, size: 0, max_time: -1, entries: Vec::new() }
    }

    /// Adds a batch at the end.
    pub(super) fn push(&mut self, header: &Header) {
        let last = self.entries.last().map_or(0, |entry| entry.position);
        if self.size - last >= INDEX_INTERVAL_BYTES {
            self.entries.push(Entry { offset: header.base_offset, position: self.size, max_time: self.max_time });
        }
        self.next = header.next();
        self.size += header.size;
        self.max_time = self.max_time.max(header.max_time);
    }

    fn first(&self) -> Entry {
        Entry { offset: self.base, position: 0, max_time: -1 }
    }

    /// The last entry that `is_before` accepts; the first batch of the segment if none.
    fn last_before(&self, is_before: impl Fn(&Entry) -> bool) -> Entry {
        let at = self.entries.partition_point(is_before);
        at.checked_sub(1).and_then(|at| self.entries.get(at)).copied().unwrap_or(self.first())
    }

    /// The last entry at or before an offset.
    pub(super) fn by_offset(&self, offset: i64) -> Entry {
        self.last_before(|entry| entry.offset <= offset)
    }

    /// The last entry at or before a position.
    pub(super) fn by_position(&self, position: u64) -> Entry {
        self.last_before(|entry| entry.position <= position)
    }

    /// The last entry before which all batches are older than `time`.
    pub(super) fn by_time(&self, time: i64) -> Entry {
        self.last_before(|entry| entry.max_time < time)
    }

    /// The content of the index file.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut to = MAGIC.to_vec();
        to.put_i64(self.base);
        to.put_i64(self.next);
        to.put_u64(self.size);
        to.put_i64(self.max_time);
        for entry in &self.entries {
            to.put_i64(entry.offset);
            to.put_u64(entry.position);
            to.put_i64(entry.max_time);
        }
        seal(to)
    }

    /// Decodes an index file; None if it is damaged.
    pub(super) fn decode(content: &[u8]) -> Option<Index> {
        let mut from = unseal(content)?.strip_prefix(MAGIC)?;
        if from.len() < 32 || from.len() % ENTRY != 32 % ENTRY {
            return None;
        }
        let mut index = Index {
            base: from.get_i64(),
            next: from.get_i64(),
            size: from.get_u64(),
            max_time: from.get_i64(),
            entries: Vec::new(),
        };
        while from.len() >= ENTRY {
            let entry = Entry { offset: from.get_i64(), position: from.get_u64(), max_time: from.get_i64() };
            index.entries.push(entry);
        }
        Some(index)
    }
}
