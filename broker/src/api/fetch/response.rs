//! The Fetch response, written by hand: its records stay in their files until the connection sends them.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::TopicName;
use uuid::Uuid;

use crate::log::{Partition, Slice};
use crate::wire::{Piece, Reply};

/// First versions of parts of the response.
const SESSIONS: i16 = 7;
const LOG_START: i16 = 5;
const PREFERRED_REPLICA: i16 = 11;
const FLEXIBLE: i16 = 12;
const TOPIC_IDS: i16 = 13;
/// The topic has no preferred replica, a partition no offset.
const NONE: i32 = -1;
const NO_OFFSET: i64 = -1;
/// Errors of partitions that do not exist.
const UNKNOWN: [ResponseError; 2] = [ResponseError::UnknownTopicOrPartition, ResponseError::UnknownTopicId];

/// The batches of a topic.
#[derive(Debug)]
pub(super) struct FoundTopic {
    pub(super) name: TopicName,
    pub(super) id: Uuid,
    pub(super) partitions: Vec<Found>,
}

/// The batches of a partition.
#[derive(Debug)]
pub(super) struct Found {
    index: i32,
    error: i16,
    start: i64,
    end: i64,
    slices: Vec<Slice>,
}

impl Found {
    pub(super) fn new(index: i32, found: Result<(Arc<Partition>, Vec<Slice>), ResponseError>) -> Found {
        match found {
            Ok((partition, slices)) => {
                Found { index, error: 0, start: partition.start(), end: partition.visible_end(), slices }
            }
            Err(error) => Found { index, error: error.code(), start: NO_OFFSET, end: NO_OFFSET, slices: Vec::new() },
        }
    }

    /// Whether the response has an empty list of aborted transactions instead of null. Kafka sends null to a client that
    /// reads uncommitted records, and with most errors. For an unknown partition it sends the empty list.
    fn lists_aborted(&self, is_committed: bool) -> bool {
        match self.error {
            0 => is_committed,
            error => UNKNOWN.iter().any(|unknown| unknown.code() == error),
        }
    }
}

/// A response that refuses the whole request.
pub(super) fn failed(version: i16, error: ResponseError) -> Reply {
    write(version, error.code(), &[], false)
}

/// A response with these batches.
pub(super) fn found(version: i16, topics: &[FoundTopic], is_committed: bool) -> Reply {
    write(version, 0, topics, is_committed)
}

fn write(version: i16, error: i16, topics: &[FoundTopic], is_committed: bool) -> Reply {
    let mut writer = Writer { version, bytes: BytesMut::new(), pieces: Vec::new() };
    writer.bytes.put_i32(0); // throttle time
    if version >= SESSIONS {
        writer.bytes.put_i16(error);
        writer.bytes.put_i32(0); // no session
    }
    writer.count(topics.len());
    for topic in topics {
        writer.topic(topic, is_committed);
    }
    writer.no_tags();
    writer.end()
}

/// Writes into a buffer, which becomes a piece whenever records of a file follow.
struct Writer {
    version: i16,
    bytes: BytesMut,
    pieces: Vec<Piece>,
}

impl Writer {
    fn topic(&mut self, topic: &FoundTopic, is_committed: bool) {
        if self.version >= TOPIC_IDS {
            self.bytes.put_slice(topic.id.as_bytes());
        } else {
            self.string(&topic.name);
        }
        self.count(topic.partitions.len());
        for partition in &topic.partitions {
            self.partition(partition, is_committed);
        }
        self.no_tags();
    }

    fn partition(&mut self, found: &Found, is_committed: bool) {
        self.bytes.put_i32(found.index);
        self.bytes.put_i16(found.error);
        self.bytes.put_i64(found.end);
        // There are no transactions: every record is stable.
        self.bytes.put_i64(found.end);
        if self.version >= LOG_START {
            self.bytes.put_i64(found.start);
        }
        self.aborted_transactions(found.lists_aborted(is_committed));
        if self.version >= PREFERRED_REPLICA {
            self.bytes.put_i32(NONE);
        }
        self.records(&found.slices);
        self.no_tags();
    }

    /// An empty list, or null.
    fn aborted_transactions(&mut self, is_listed: bool) {
        match (is_listed, self.version >= FLEXIBLE) {
            (true, _) => self.count(0),
            (false, true) => self.bytes.put_u8(0),
            (false, false) => self.bytes.put_i32(NONE),
        }
    }

    fn records(&mut self, slices: &[Slice]) {
        self.count(slices.iter().map(|slice| slice.len).sum());
        for slice in slices {
            self.flush();
            let Slice { file, position, len } = slice.clone();
            self.pieces.push(Piece::File { file, position, len });
        }
    }

    /// The length of an array or of bytes.
    fn count(&mut self, count: usize) {
        if self.version >= FLEXIBLE {
            self.unsigned(count as u64 + 1);
        } else {
            // A response is shorter than `MAX_FETCH_BYTES` and a batch.
            self.bytes.put_i32(count.try_into().unwrap_or(i32::MAX));
        }
    }

    fn string(&mut self, text: &str) {
        if self.version >= FLEXIBLE {
            self.unsigned(text.len() as u64 + 1);
        } else {
            // The name was in the request, with a length of two bytes.
            self.bytes.put_i16(text.len().try_into().unwrap_or(i16::MAX));
        }
        self.bytes.put_slice(text.as_bytes());
    }

    /// A number in groups of seven bits, the lowest first.
    fn unsigned(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.put_u8((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.put_u8(number as u8);
    }

    fn no_tags(&mut self) {
        if self.version >= FLEXIBLE {
            self.bytes.put_u8(0);
        }
    }

    fn flush(&mut self) {
        if !self.bytes.is_empty() {
            self.pieces.push(Piece::Bytes(self.bytes.split().freeze()));
        }
    }

    fn end(mut self) -> Reply {
        self.flush();
        Reply::Pieces(self.pieces)
    }
}

#[cfg(test)]
mod tests;
