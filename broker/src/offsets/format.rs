//! Records of the file of committed offsets.
//!
//! The file begins with [`MAGIC`]. A record is a mark, the length of its content, the content's CRC-32C, and the
//! content. Numbers are little-endian; a string is its length (4 bytes) and its bytes.

use std::sync::Arc;

use bytes::{Buf, BufMut};
use uuid::Uuid;

use super::{Committed, Place};
use crate::limits::MAX_OFFSETS_RECORD;

/// The beginning of the file.
pub(super) const MAGIC: &[u8] = b"tapedeck offsets 1\n";
/// Most offsets in a record of a compacted file, so that it stays below [`MAX_OFFSETS_RECORD`].
pub(super) const OFFSETS_PER_RECORD: usize = 500;
/// Begins every record.
const MARK: [u8; 4] = [0xC0, 0xFF, 0x5E, 0x7A];
/// Bytes of a record before its content.
const HEAD: usize = 12;

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Commit { group: String, offsets: Vec<(Place, Committed)> },
    ForgetGroup(String),
    Forget { group: String, places: Vec<(Uuid, i32)> },
    ForgetTopic(Uuid),
}

/// A record with its mark, length and checksum.
pub(super) fn encode(change: &Change) -> Vec<u8> {
    let mut record = Vec::from(MARK);
    record.put_bytes(0, HEAD - MARK.len());
    match change {
        Change::Commit { group, offsets } => {
            record.put_u8(1);
            put_string(&mut record, group);
            record.put_u32_le(count(offsets.len()));
            for (place, committed) in offsets {
                put_string(&mut record, &place.topic);
                record.put_slice(place.id.as_bytes());
                record.put_i32_le(place.partition);
                record.put_i64_le(committed.offset);
                record.put_i32_le(committed.epoch);
                put_string(&mut record, &committed.metadata);
            }
        }
        Change::ForgetGroup(group) => {
            record.put_u8(2);
            put_string(&mut record, group);
        }
        Change::Forget { group, places } => {
            record.put_u8(3);
            put_string(&mut record, group);
            record.put_u32_le(count(places.len()));
            for (id, partition) in places {
                record.put_slice(id.as_bytes());
                record.put_i32_le(*partition);
            }
        }
        Change::ForgetTopic(id) => {
            record.put_u8(4);
            record.put_slice(id.as_bytes());
        }
    }
    let content = &record[HEAD..];
    let (length, checksum) = (count(content.len()), crc32c::crc32c(content));
    record[4..8].copy_from_slice(&length.to_le_bytes());
    record[8..HEAD].copy_from_slice(&checksum.to_le_bytes());
    record
}

/// A record is far smaller than 4 GiB: see [`MAX_OFFSETS_RECORD`].
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn put_string(record: &mut Vec<u8>, string: &str) {
    record.put_u32_le(count(string.len()));
    record.put_slice(string.as_bytes());
}

fn get_string<'a>(content: &mut &'a [u8]) -> Option<&'a str> {
    let length = content.try_get_u32_le().ok()?;
    let (string, rest) = content.split_at_checked(length.try_into().ok()?)?;
    *content = rest;
    std::str::from_utf8(string).ok()
}

fn get_id(content: &mut &[u8]) -> Option<Uuid> {
    let mut id = [0; 16];
    content.try_copy_to_slice(&mut id).ok()?;
    Some(Uuid::from_bytes(id))
}

fn decode(mut content: &[u8]) -> Option<Change> {
    let content = &mut content;
    let change = match content.try_get_u8().ok()? {
        1 => {
            let group = get_string(content)?.to_owned();
            let offsets = (0..content.try_get_u32_le().ok()?).map(|_| offset(content)).collect::<Option<_>>()?;
            Change::Commit { group, offsets }
        }
        2 => Change::ForgetGroup(get_string(content)?.to_owned()),
        3 => {
            let group = get_string(content)?.to_owned();
            let place = |content: &mut &[u8]| Some((get_id(content)?, content.try_get_i32_le().ok()?));
            let places = (0..content.try_get_u32_le().ok()?).map(|_| place(content)).collect::<Option<_>>()?;
            Change::Forget { group, places }
        }
        4 => Change::ForgetTopic(get_id(content)?),
        _ => return None,
    };
    content.is_empty().then_some(change)
}

fn offset(content: &mut &[u8]) -> Option<(Place, Committed)> {
    let topic = Arc::from(get_string(content)?);
    let (id, partition) = (get_id(content)?, content.try_get_i32_le().ok()?);
    let (offset, epoch) = (content.try_get_i64_le().ok()?, content.try_get_i32_le().ok()?);
    let metadata = Arc::from(get_string(content)?);
    Some((Place { topic, id, partition }, Committed { offset, epoch, metadata }))
}

/// The changes in a file, in order. It skips damaged records.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    data: &'a [u8],
    end: usize,
    is_damaged: bool,
}

impl<'a> Scan<'a> {
    /// `data` begins with [`MAGIC`].
    pub(super) fn new(data: &'a [u8]) -> Scan<'a> {
        Scan { data, end: MAGIC.len(), is_damaged: false }
    }

    /// The end of the last whole record.
    pub(super) fn end(&self) -> u64 {
        self.end as u64
    }

    /// Whether a record was damaged although whole ones follow: no torn write does that.
    pub(super) fn is_damaged(&self) -> bool {
        self.is_damaged
    }
}

impl Iterator for Scan<'_> {
    type Item = Change;

    fn next(&mut self) -> Option<Change> {
        let rest = self.data.get(self.end..)?;
        let marks = rest.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
        let whole = |(at, _): (usize, &[u8])| record_at(rest.get(at..)?).map(|found| (at, found));
        let (skipped, (change, length)) = marks.into_iter().find_map(whole)?;
        self.is_damaged |= skipped > 0;
        self.end += skipped + length;
        Some(change)
    }
}

/// The record at the beginning of `data`, and its length.
fn record_at(data: &[u8]) -> Option<(Change, usize)> {
    let mut head = data.get(MARK.len()..HEAD)?;
    let length = usize::try_from(head.try_get_u32_le().ok()?).ok().filter(|length| *length <= MAX_OFFSETS_RECORD)?;
    let checksum = head.try_get_u32_le().ok()?;
    let content = data.get(HEAD..HEAD + length)?;
    let change = if crc32c::crc32c(content) == checksum { decode(content)? } else { return None };
    Some((change, HEAD + length))
}
