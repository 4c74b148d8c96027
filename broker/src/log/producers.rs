//! Idempotent producers of a partition: which batch of each is new, a duplicate, or out of order.

use std::collections::{HashMap, VecDeque};

use bytes::{Buf as _, BufMut as _};
use kafka_protocol::error::ResponseError;

use super::batch::Header;
use super::files::{seal, unseal};
use crate::limits::{MAX_PRODUCERS, PRODUCER_BATCHES, PRODUCER_EXPIRY_MS};

/// First bytes of a snapshot file, with its version.
const MAGIC: &[u8; 8] = b"TDPRODU1";

/// A batch that was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    first: i32,
    last: i32,
    /// Offset of the first record.
    pub(super) offset: i64,
    /// Time that the broker stamped, or -1.
    pub(super) time: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Producer {
    epoch: i16,
    /// By the broker's clock: the records of a backfill carry old times.
    last_append_ms: i64,
    batches: VecDeque<Written>,
}

/// The idempotent producers of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Producers {
    producers: HashMap<i64, Producer>,
}

impl Producers {
    /// Compares a batch with what its producer wrote: a duplicate of one of the last five batches, new (None), or an
    /// error.
    pub(super) fn check(&self, header: &Header) -> Result<Option<Written>, ResponseError> {
        let known = if header.is_idempotent() { self.producers.get(&header.producer_id) } else { None };
        let Some(known) = known else { return Ok(None) };
        let is_same = |batch: &&Written| batch.first == header.base_sequence && batch.last == header.last_sequence();
        match header.producer_epoch {
            epoch if epoch < known.epoch => Err(ResponseError::InvalidProducerEpoch),
            epoch if epoch > known.epoch && header.base_sequence == 0 => Ok(None),
            epoch if epoch > known.epoch => Err(ResponseError::OutOfOrderSequenceNumber),
            _ => match (known.batches.iter().find(is_same), known.batches.back()) {
                (Some(duplicate), _) => Ok(Some(*duplicate)),
                (None, Some(last)) if header.base_sequence != last.last.checked_add(1).unwrap_or(0) => {
                    Err(ResponseError::OutOfOrderSequenceNumber)
                }
                _ => Ok(None),
            },
        }
    }

    /// Remembers an appended batch.
    pub(super) fn push(&mut self, header: &Header, now_ms: i64) {
        if !header.is_idempotent() {
            return;
        }
        if self.producers.len() >= MAX_PRODUCERS && !self.producers.contains_key(&header.producer_id) {
            self.make_room();
        }
        let fresh = || Producer { epoch: header.producer_epoch, last_append_ms: now_ms, batches: VecDeque::new() };
        let producer = self.producers.entry(header.producer_id).or_insert_with(fresh);
        if producer.epoch != header.producer_epoch {
            *producer = fresh();
        }
        if producer.batches.len() >= PRODUCER_BATCHES {
            producer.batches.pop_front();
        }
        let time = if header.is_append_time() { header.max_time } else { -1 };
        let (first, last) = (header.base_sequence, header.last_sequence());
        producer.batches.push_back(Written { first, last, offset: header.base_offset, time });
        producer.last_append_ms = now_ms;
    }

    fn make_room(&mut self) {
        let mut times: Vec<i64> = self.producers.values().map(|producer| producer.last_append_ms).collect();
        let half = times.len() / 2;
        let median = *times.select_nth_unstable(half).1;
        let before = self.producers.len();
        self.producers.retain(|_, producer| producer.last_append_ms >= median);
        if self.producers.len() == before {
            // All appended in the same millisecond: none has been silent for longer than another.
            let mut surplus = half;
            self.producers.retain(|_, _| {
                surplus = surplus.saturating_sub(1);
                surplus == 0
            });
        }
    }

    /// Forgets producers that appended nothing for a day.
    pub(super) fn expire(&mut self, now_ms: i64) {
        self.producers.retain(|_, producer| now_ms.saturating_sub(producer.last_append_ms) < PRODUCER_EXPIRY_MS);
    }

    /// The content of a snapshot file.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut to = MAGIC.to_vec();
        for (id, producer) in &self.producers {
            to.put_i64(*id);
            to.put_i16(producer.epoch);
            to.put_i64(producer.last_append_ms);
            to.put_u8(u8::try_from(producer.batches.len()).unwrap_or(0));
            for batch in &producer.batches {
                to.put_i32(batch.first);
                to.put_i32(batch.last);
                to.put_i64(batch.offset);
                to.put_i64(batch.time);
            }
        }
        seal(to)
    }

    /// Decodes a snapshot file; None if it is damaged.
    pub(super) fn decode(content: &[u8]) -> Option<Producers> {
        let mut from = unseal(content)?.strip_prefix(MAGIC)?;
        let mut producers = HashMap::new();
        while !from.is_empty() {
            let id = from.try_get_i64().ok()?;
            let (epoch, last_append_ms) = (from.try_get_i16().ok()?, from.try_get_i64().ok()?);
            let mut batches = VecDeque::new();
            for _ in 0..from.try_get_u8().ok()? {
                batches.push_back(Written {
                    first: from.try_get_i32().ok()?,
                    last: from.try_get_i32().ok()?,
                    offset: from.try_get_i64().ok()?,
                    time: from.try_get_i64().ok()?,
                });
            }
            producers.insert(id, Producer { epoch, last_append_ms, batches });
        }
        Some(Producers { producers })
    }
}
