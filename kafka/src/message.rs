//! A message as Kafka's client returns it.

use contract::Original;
use contract::original::encode_headers;
use rdkafka::message::{BorrowedMessage, Message as _};

use crate::headers::Headers;

/// A message from a topic. It borrows the client's memory: handle it before the next poll, or copy what you keep.
#[derive(Debug)]
pub struct Message<'a>(BorrowedMessage<'a>);

impl<'a> Message<'a> {
    pub(crate) fn new(message: BorrowedMessage<'a>) -> Message<'a> {
        Message(message)
    }

    /// Number of its partition.
    pub fn partition(&self) -> i32 {
        self.0.partition()
    }

    /// Offset in its partition.
    pub fn offset(&self) -> i64 {
        self.0.offset()
    }

    /// Kafka's timestamp in milliseconds since 1970; None when it has none.
    pub fn timestamp_ms(&self) -> Option<i64> {
        self.0.timestamp().to_millis()
    }

    /// Key; None when it has none.
    pub fn key(&self) -> Option<&[u8]> {
        self.0.key()
    }

    /// Value; None for a deletion.
    pub fn value(&self) -> Option<&[u8]> {
        self.0.payload()
    }

    /// Value of the first header with this name; None when there is none or it is null.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        Headers::of(&self.0).find(|(other, _)| *other == name.as_bytes())?.1
    }

    /// The original message, for a dead letter; its headers are encoded into `buffer`.
    pub fn original<'b>(&'b self, buffer: &'b mut Vec<u8>) -> Original<'b> {
        buffer.clear();
        encode_headers(Headers::of(&self.0), buffer);
        Original {
            offset: self.offset(),
            timestamp_ms: self.timestamp_ms(),
            key: self.key(),
            value: self.value(),
            headers: (!buffer.is_empty()).then_some(buffer),
        }
    }
}
