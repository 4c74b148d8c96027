//! Refused messages as rows of the dataset `dead_letter`, with their original bytes.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use contract::records::DeadLetter;
use contract::{Dataset, Decoder, Original, Rows, Text};

use crate::partition::SinkPartition;

/// Longest reason that is kept, in bytes.
const MAX_REASON_BYTES: usize = 2048;

/// Why a message is refused.
#[derive(Debug, Clone)]
pub struct Cause {
    /// `decode`, `validate` or `store`.
    pub stage: &'static str,
    /// Short token for counting by cause.
    pub class: &'static str,
    /// The database's code, when it was the database that refused.
    pub sqlstate: Option<String>,
    /// One line for a person.
    pub reason: String,
}

/// The dataset of dead letters.
pub fn dataset() -> &'static Dataset {
    static DATASET: LazyLock<&'static Dataset> =
        LazyLock::new(|| contract::dataset("dead_letter").expect("it is declared"));
    &DATASET
}

/// Appends a message as a dead letter, kept under the name `source`.
pub fn append(
    original: &Original<'_>,
    partition: &SinkPartition,
    source: &str,
    dataset: &Dataset,
    cause: Cause,
    now: DateTime<Utc>,
    rows: &mut Rows,
) {
    static DECODER: LazyLock<Decoder> =
        LazyLock::new(|| Decoder::new(self::dataset(), &self::dataset().schema).expect("a declaration reads itself"));
    let letter = letter(original, partition, source, dataset, cause, now);
    let mut body = Vec::new();
    letter.encode(&mut body);
    DECODER.decode(&body, rows).expect("what was just encoded can be decoded");
}

fn letter(
    original: &Original<'_>,
    partition: &SinkPartition,
    source: &str,
    dataset: &Dataset,
    cause: Cause,
    now: DateTime<Utc>,
) -> DeadLetter {
    DeadLetter {
        source: source.into(),
        dead_letter_id: partition.coordinate(original.offset).to_string().into(),
        stage: cause.stage.into(),
        error_class: cause.class.into(),
        sqlstate: cause.sqlstate.map(Text::from),
        reason: clean(cause.reason).into(),
        dataset: dataset.name.as_str().into(),
        kafka_topic: Some(partition.topic.to_string().into()),
        kafka_incarnation: Some(partition.incarnation.into()),
        kafka_partition: Some(partition.number.into()),
        kafka_offset: Some(original.offset),
        record_timestamp_ms: original.timestamp_ms,
        record_key: original.key.map(<[u8]>::to_vec),
        record_value: original.value.map(<[u8]>::to_vec),
        record_headers: original.headers.map(<[u8]>::to_vec),
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
