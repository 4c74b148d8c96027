//! The original messages of a chunk's rows.

use contract::Original;

/// Messages in one buffer.
#[derive(Debug, Default)]
pub(super) struct Originals {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// The offset of each.
    pub(super) offsets: Vec<i64>,
}

#[derive(Debug)]
struct Entry {
    start: usize,
    timestamp_ms: Option<i64>,
    lengths: [Option<u32>; 3],
}

impl Originals {
    /// Adds a message.
    pub(super) fn push(&mut self, original: &Original<'_>) {
        let parts = [original.key, original.value, original.headers];
        self.offsets.push(original.offset);
        self.entries.push(Entry {
            start: self.bytes.len(),
            timestamp_ms: original.timestamp_ms,
            lengths: parts.map(|part| part.map(|part| part.len() as u32)),
        });
        parts.into_iter().flatten().for_each(|part| self.bytes.extend_from_slice(part));
    }

    /// The message at an index.
    pub(super) fn get(&self, at: usize) -> Original<'_> {
        let entry = &self.entries[at];
        let mut rest = &self.bytes[entry.start..];
        let [key, value, headers] = entry.lengths.map(|length| {
            length.map(|length| {
                let (part, after) = rest.split_at(length as usize);
                rest = after;
                part
            })
        });
        Original { offset: self.offsets[at], timestamp_ms: entry.timestamp_ms, key, value, headers }
    }
}
