//! A message as Kafka's client returns it.

use contract::Original;
use contract::original::encode_headers;
use rdkafka::message::{BorrowedMessage, Message as _, Timestamp};

use crate::headers::Headers;

/// A message from a topic. It borrows the client's memory: handle it before the next poll, or copy what you keep.
#[derive(Debug)]
pub struct Message<'a>(Form<'a>);

#[derive(Debug)]
enum Form<'a> {
    Borrowed(BorrowedMessage<'a>),
    Kept(Kept),
}

/// A copy of a message, or what is known of a batch that cannot be read.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: Option<i64>,
    /// Whether the broker set the timestamp.
    pub(crate) is_append_time: bool,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    /// As [`Original::headers`] holds them.
    pub(crate) headers: Option<Vec<u8>>,
    pub(crate) unreadable: Option<String>,
}

impl Kept {
    pub(crate) fn of(message: &Message<'_>) -> Kept {
        let mut headers = Vec::new();
        let original = message.original(&mut headers);
        Kept {
            partition: message.partition(),
            offset: original.offset,
            timestamp_ms: original.timestamp_ms,
            is_append_time: message.appended_micros().is_some(),
            key: original.key.map(<[u8]>::to_vec),
            value: original.value.map(<[u8]>::to_vec),
            headers: original.headers.map(<[u8]>::to_vec),
            unreadable: None,
        }
    }

    fn original(&self) -> Original<'_> {
        Original {
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: self.headers.as_deref(),
        }
    }
}

impl<'a> Message<'a> {
    pub(crate) fn new(message: BorrowedMessage<'a>) -> Message<'a> {
        Message(Form::Borrowed(message))
    }

    pub(crate) fn kept(message: Kept) -> Message<'a> {
        Message(Form::Kept(message))
    }

    /// Why this is no message: it stands for a batch that cannot be read, and has the offset of the batch's last record.
    /// It has neither key nor value.
    pub fn unreadable(&self) -> Option<&str> {
        match &self.0 {
            Form::Borrowed(_) => None,
            Form::Kept(kept) => kept.unreadable.as_deref(),
        }
    }

    /// Number of its partition.
    pub fn partition(&self) -> i32 {
        match &self.0 {
            Form::Borrowed(message) => message.partition(),
            Form::Kept(kept) => kept.partition,
        }
    }

    /// Offset in its partition.
    pub fn offset(&self) -> i64 {
        match &self.0 {
            Form::Borrowed(message) => message.offset(),
            Form::Kept(kept) => kept.offset,
        }
    }

    /// Kafka's timestamp in milliseconds since 1970; None when it has none.
    pub fn timestamp_ms(&self) -> Option<i64> {
        match &self.0 {
            Form::Borrowed(message) => message.timestamp().to_millis(),
            Form::Kept(kept) => kept.timestamp_ms,
        }
    }

    /// When the broker appended it, in microseconds since 1970; None when the topic keeps the writer's own timestamp.
    pub fn appended_micros(&self) -> Option<i64> {
        let appended_ms = match &self.0 {
            Form::Borrowed(message) => match message.timestamp() {
                Timestamp::LogAppendTime(millis) => Some(millis),
                Timestamp::CreateTime(_) | Timestamp::NotAvailable => None,
            },
            Form::Kept(kept) => kept.timestamp_ms.filter(|_| kept.is_append_time),
        };
        Some(appended_ms?.saturating_mul(1000))
    }

    /// Key; None when it has none.
    pub fn key(&self) -> Option<&[u8]> {
        match &self.0 {
            Form::Borrowed(message) => message.key(),
            Form::Kept(kept) => kept.key.as_deref(),
        }
    }

    /// Value; None for a deletion.
    pub fn value(&self) -> Option<&[u8]> {
        match &self.0 {
            Form::Borrowed(message) => message.payload(),
            Form::Kept(kept) => kept.value.as_deref(),
        }
    }

    /// Value of the first header with this name; None when there is none or it is null.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        match &self.0 {
            Form::Borrowed(message) => Headers::of(message).find(|(other, _)| *other == name.as_bytes())?.1,
            Form::Kept(kept) => kept.original().header(name),
        }
    }

    /// The original message, for a dead letter; its headers are encoded into `buffer`.
    pub fn original<'b>(&'b self, buffer: &'b mut Vec<u8>) -> Original<'b> {
        let message = match &self.0 {
            Form::Borrowed(message) => message,
            Form::Kept(kept) => return kept.original(),
        };
        buffer.clear();
        encode_headers(Headers::of(message), buffer);
        Original {
            offset: self.offset(),
            timestamp_ms: self.timestamp_ms(),
            key: self.key(),
            value: self.value(),
            headers: (!buffer.is_empty()).then_some(buffer),
        }
    }
}
