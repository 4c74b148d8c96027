//! What a machine holds in memory, and how much that may be. Pure.
//!
//! The chunks of all partitions share one budget, and each may grow to its own limits. Fixed shares would be too small for
//! `COPY` with many partitions, and unused by those that receive little.

use std::collections::BTreeMap;

use super::ChunkId;

/// A number of records, and the bytes of their messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

/// Most that a sink or a replay holds, in chunks being built and being written, of all partitions.
///
/// That is four chunks of the default `TAPEDECK_CHUNK_ROWS`, and eight of the default `TAPEDECK_CHUNK_BYTES`. So many
/// small records need some 20 MB. Long texts need twice their bytes: a chunk keeps rows and original messages.
pub(crate) const MAX_HELD: Size = Size { records: 40_000, bytes: 32 << 20 };

impl Size {
    pub(crate) fn add(&mut self, other: Size) {
        self.records += other.records;
        self.bytes += other.bytes;
    }

    fn subtract(&mut self, other: Size) {
        self.records = self.records.saturating_sub(other.records);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }

    /// Whether it is at or above one of these limits.
    pub(crate) fn reaches(self, limits: Size) -> bool {
        self.records >= limits.records || self.bytes >= limits.bytes
    }
}

/// What a machine holds.
#[derive(Debug)]
pub(super) struct Held {
    most: Size,
    total: Size,
    /// Chunks that are being written, including those of revoked partitions: their writers hold them until they answer.
    written: BTreeMap<ChunkId, Size>,
}

impl Held {
    pub(super) fn new(most: Size) -> Held {
        Held { most, total: Size::default(), written: BTreeMap::new() }
    }

    /// Whether there is no room for another message.
    pub(super) fn is_used_up(&self) -> bool {
        self.total.reaches(self.most)
    }

    /// Number of chunks that are being written.
    pub(super) fn in_flight(&self) -> usize {
        self.written.len()
    }

    /// A message is in a chunk now.
    pub(super) fn take(&mut self, message: Size) {
        self.total.add(message);
    }

    /// A chunk is no longer built, but written.
    pub(super) fn hand_over(&mut self, chunk: ChunkId, size: Size) {
        self.written.insert(chunk, size);
    }

    /// A chunk is committed.
    pub(super) fn committed(&mut self, chunk: ChunkId) {
        let size = self.written.remove(&chunk).unwrap_or_default();
        self.total.subtract(size);
    }

    /// The chunks being built are dropped.
    pub(super) fn forget_built(&mut self) {
        self.total = Size::default();
        self.written.values().for_each(|size| self.total.add(*size));
    }

    /// How much of the budget a chunk uses, as a number to compare with that of others.
    pub(super) fn share(&self, size: Size) -> u128 {
        let product = |one: usize, other: usize| one as u128 * other as u128;
        product(size.records, self.most.bytes).max(product(size.bytes, self.most.records))
    }
}
