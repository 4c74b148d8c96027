//! Refused messages as rows of the dataset `dead_letter`, with their original bytes.

use chrono::{DateTime, Utc};
use contract::records::DeadLetter;
use contract::{Dataset, Decoder, Rows};
use rdkafka::Message;
use rdkafka::message::Headers;

use crate::chunk::Partition;

/// Longest reason that is kept, in bytes.
const MAX_REASON_BYTES: usize = 2048;

/// Why a message is refused.
#[derive(Debug)]
pub struct Cause {
    /// `decode`, `validate` or `store`.
    pub stage: &'static str,
    /// Short token for counting by cause.
    pub class: &'static str,
    /// One line for a person.
    pub reason: String,
}

/// Writes dead letters.
#[derive(Debug)]
pub struct DeadLetters {
    decoder: Decoder,
}

impl DeadLetters {
    /// For rows of that dataset, which is `dead_letter`.
    pub fn new(dataset: &Dataset) -> DeadLetters {
        let decoder = Decoder::new(dataset, &dataset.schema).expect("a declaration can be read as itself");
        DeadLetters { decoder }
    }

    /// Appends a message as a dead letter.
    pub fn append<M: Message>(
        &self,
        message: &M,
        partition: &Partition,
        dataset: &Dataset,
        cause: Cause,
        now: DateTime<Utc>,
        rows: &mut Rows,
    ) {
        let letter = letter(message, partition, dataset, cause, now);
        let mut body = Vec::new();
        letter.encode(&mut body);
        self.decoder.decode(&body, rows).expect("what was just encoded can be decoded");
    }
}

fn letter<M: Message>(
    message: &M,
    partition: &Partition,
    dataset: &Dataset,
    cause: Cause,
    now: DateTime<Utc>,
) -> DeadLetter {
    let Partition { sink, topic, incarnation, number } = partition;
    DeadLetter {
        source: sink.to_string(),
        dead_letter_id: format!("{topic}/{incarnation}/{number}/{}", message.offset()),
        stage: cause.stage.to_owned(),
        error_class: cause.class.to_owned(),
        sqlstate: None,
        reason: clean(cause.reason),
        dataset: dataset.name.clone(),
        kafka_topic: Some(topic.to_string()),
        kafka_incarnation: Some((*incarnation).into()),
        kafka_partition: Some((*number).into()),
        kafka_offset: Some(message.offset()),
        record_timestamp_ms: message.timestamp().to_millis(),
        record_key: message.key().map(<[u8]>::to_vec),
        record_value: message.payload().map(<[u8]>::to_vec),
        record_headers: headers(message),
        known_at: now,
        observed_at: now,
        flags: Vec::new(),
    }
}

/// A reason that any database can store: no NUL, one line, bounded.
fn clean(mut reason: String) -> String {
    reason.retain(|character| !character.is_control());
    reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
    reason
}

fn headers<M: Message>(message: &M) -> Option<Vec<u8>> {
    let headers = message.headers().filter(|headers| headers.count() > 0)?;
    let mut bytes = Vec::new();
    let mut put = |part: Option<&[u8]>| {
        let length = part.map_or(-1, |part| i32::try_from(part.len()).unwrap_or(i32::MAX));
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(part.unwrap_or_default());
    };
    for header in headers.iter() {
        put(Some(header.key.as_bytes()));
        put(header.value);
    }
    Some(bytes)
}
