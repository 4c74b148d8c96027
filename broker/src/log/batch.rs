//! Record batches of format 2: a header of 61 bytes, then the records, which the log never decodes if compressed.

use std::io::IoSlice;

use bytes::Buf as _;
use kafka_protocol::error::ResponseError;

/// Length of a batch's header.
pub(super) const HEADER: usize = 61;
/// Bytes before the ones that the length field counts: base offset and length.
const PREFIX: usize = 12;
/// The checksum covers everything from here: base offset and leader epoch lie outside.
pub(super) const CHECKED_FROM: usize = 21;

const COMPRESSION: i16 = 7;
const APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
/// Zstandard, the last compression that Kafka has.
const LAST_COMPRESSION: i16 = 4;

/// The header of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) base_offset: i64,
    /// Length of the whole batch in bytes.
    pub(super) size: u64,
    pub(super) epoch: i32,
    pub(super) magic: i8,
    pub(super) crc: u32,
    attributes: i16,
    last_delta: i32,
    /// Time of the first record.
    pub(super) first_time: i64,
    /// Latest time of all records.
    pub(super) max_time: i64,
    pub(super) producer_id: i64,
    pub(super) producer_epoch: i16,
    pub(super) base_sequence: i32,
    pub(super) count: i32,
}

impl Header {
    /// Decodes a header; nothing in it is checked except that the length can be one.
    pub(super) fn parse(bytes: &[u8]) -> Option<Header> {
        let mut from = bytes.first_chunk::<HEADER>()?.as_slice();
        let header = Header {
            base_offset: from.get_i64(),
            size: u64::try_from(from.get_i32()).ok()? + PREFIX as u64,
            epoch: from.get_i32(),
            magic: from.get_i8(),
            crc: from.get_u32(),
            attributes: from.get_i16(),
            last_delta: from.get_i32(),
            first_time: from.get_i64(),
            max_time: from.get_i64(),
            producer_id: from.get_i64(),
            producer_epoch: from.get_i16(),
            base_sequence: from.get_i32(),
            count: from.get_i32(),
        };
        (header.size >= HEADER as u64).then_some(header)
    }

    /// Whether the log could have written this header at this offset.
    pub(super) fn follows(&self, offset: i64) -> bool {
        self.base_offset == offset && self.magic == 2 && self.count >= 1 && self.last_delta == self.count - 1
    }

    /// Offset after the last record.
    pub(super) fn next(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_delta)).saturating_add(1)
    }

    /// Whether the broker's clock stamped the records.
    pub(super) fn is_append_time(&self) -> bool {
        self.attributes & APPEND_TIME != 0
    }

    /// Whether the records are compressed.
    pub(super) fn is_compressed(&self) -> bool {
        self.attributes & COMPRESSION != 0
    }

    /// Whether an idempotent producer wrote the batch.
    pub(super) fn is_idempotent(&self) -> bool {
        self.producer_id >= 0
    }

    /// Sequence of the last record: 0 follows `i32::MAX`.
    pub(super) fn last_sequence(&self) -> i32 {
        let last = i64::from(self.base_sequence) + i64::from(self.last_delta);
        i32::try_from(last & i64::from(i32::MAX)).unwrap_or(0)
    }

    /// Offset and time of the first record at or after `offset` and `time`, if the batch has one. Compressed records
    /// stay unread: the first record of the batch stands for all.
    pub(super) fn find_time(&self, batch: &[u8], offset: i64, time: i64) -> Option<(i64, i64)> {
        let first = self.base_offset.max(offset);
        if self.is_append_time() {
            return Some((first, self.max_time));
        }
        if self.is_compressed() {
            return Some((first, self.first_time));
        }
        let found = Times::of(self, batch).find(|record| record.0 >= offset && record.1 >= time);
        // Without deleted records, only garbage contradicts the header.
        found.or((self.base_offset >= offset).then_some((first, self.first_time)))
    }

    /// Offset and time of the record that has the latest time, `time`, if the batch has it.
    pub(super) fn find_latest(&self, batch: &[u8], offset: i64, time: i64) -> Option<(i64, i64)> {
        if self.is_compressed() && !self.is_append_time() && self.first_time != self.max_time {
            return Some((self.next() - 1, self.max_time));
        }
        self.find_time(batch, offset, time)
    }

    /// The latest time of the records from `offset` on.
    pub(super) fn max_time_from(&self, batch: &[u8], offset: i64) -> i64 {
        if self.base_offset >= offset || !self.is_readable() {
            return self.max_time;
        }
        Times::of(self, batch).filter(|record| record.0 >= offset).map(|record| record.1).max().unwrap_or(-1)
    }

    /// Whether looking at the single records tells more than the header.
    pub(super) fn is_readable(&self) -> bool {
        !self.is_append_time() && !self.is_compressed()
    }
}

/// Offsets and times of uncompressed records; ends early at garbage.
struct Times<'a> {
    header: Header,
    records: &'a [u8],
    left: i32,
}

impl Times<'_> {
    fn of<'a>(header: &Header, batch: &'a [u8]) -> Times<'a> {
        Times { header: *header, records: batch.get(HEADER..).unwrap_or_default(), left: header.count }
    }
}

impl Iterator for Times<'_> {
    type Item = (i64, i64);

    fn next(&mut self) -> Option<(i64, i64)> {
        self.left = self.left.checked_sub(1).filter(|left| *left >= 0)?;
        let length = usize::try_from(varint(&mut self.records)?).ok()?;
        let (mut record, rest) = self.records.split_at_checked(length)?;
        self.records = rest;
        record.try_get_i8().ok()?;
        let time = self.header.first_time.checked_add(varint(&mut record)?)?;
        let offset = self.header.base_offset.checked_add(varint(&mut record)?)?;
        (offset < self.header.next()).then_some((offset, time))
    }
}

/// Decodes a zigzag number of at most ten bytes.
fn varint(from: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = from.try_get_u8().ok()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}

/// Checks the records of a Produce request, in Kafka's order: exactly one whole batch, small enough, undamaged, complete.
pub(super) fn check(records: &[u8], max_bytes: i32) -> Result<Header, ResponseError> {
    let length =
        records.get(8..12).and_then(|length| length.first_chunk::<4>()).map(|length| i32::from_be_bytes(*length));
    if length.is_some_and(|length| length < (HEADER - PREFIX) as i32) {
        return Err(ResponseError::CorruptMessage);
    }
    if records.get(16).is_some_and(|magic| *magic > 2) {
        return Err(ResponseError::CorruptMessage);
    }
    let header = Header::parse(records).ok_or(ResponseError::InvalidRecord)?;
    if header.magic != 2 || header.size != records.len() as u64 || header.base_offset != 0 {
        return Err(ResponseError::InvalidRecord);
    }
    if i64::try_from(records.len()).is_ok_and(|length| length > i64::from(max_bytes)) {
        return Err(ResponseError::MessageTooLarge);
    }
    if header.crc != crc32c::crc32c(records.get(CHECKED_FROM..).unwrap_or_default()) {
        return Err(ResponseError::CorruptMessage);
    }
    if header.attributes & CONTROL != 0 || !header.follows(0) || (header.is_idempotent() && header.base_sequence < 0) {
        return Err(ResponseError::InvalidRecord);
    }
    if header.attributes & TRANSACTIONAL != 0 {
        return Err(ResponseError::TransactionalIdAuthorizationFailed);
    }
    if header.is_append_time() {
        return Err(ResponseError::InvalidTimestamp);
    }
    if header.attributes & COMPRESSION > LAST_COMPRESSION {
        return Err(ResponseError::UnsupportedCompressionType);
    }
    Ok(header)
}

/// A checked batch with its offset, leader epoch and, for `LogAppendTime`, its time: ready to be written.
#[derive(Debug)]
pub(super) struct Stamped<'a> {
    pub(super) header: Header,
    bytes: [u8; HEADER],
    records: &'a [u8],
}

impl<'a> Stamped<'a> {
    /// Stamps a batch that [`check`] accepted.
    pub(super) fn new(batch: &'a [u8], offset: i64, epoch: i32, append_time: Option<i64>) -> Option<Stamped<'a>> {
        let (head, records) = batch.split_first_chunk::<HEADER>()?;
        let mut bytes = *head;
        put(&mut bytes, 0, &offset.to_be_bytes());
        put(&mut bytes, 12, &epoch.to_be_bytes());
        if let Some(time) = append_time {
            bytes[22] |= APPEND_TIME.to_be_bytes()[1];
            put(&mut bytes, 35, &time.to_be_bytes());
            let head = crc32c::crc32c(bytes.get(CHECKED_FROM..).unwrap_or_default());
            let crc = crc32c::crc32c_append(head, records);
            put(&mut bytes, 17, &crc.to_be_bytes());
        }
        Some(Stamped { header: Header::parse(&bytes)?, bytes, records })
    }

    /// The two parts of the batch.
    pub(super) fn parts(&self) -> [IoSlice<'_>; 2] {
        [IoSlice::new(&self.bytes), IoSlice::new(self.records)]
    }
}

fn put(bytes: &mut [u8; HEADER], at: usize, value: &[u8]) {
    bytes.iter_mut().skip(at).zip(value).for_each(|(byte, value)| *byte = *value);
}
