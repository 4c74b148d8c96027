//! Refused messages as rows of the dataset `dead_letter`, with their original bytes.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use contract::original::fingerprint;
use contract::records::DeadLetter;
use contract::{Dataset, Decoder, Original, Rows, Text};

use crate::partition::SinkPartition;

/// Longest stored reason, in bytes: a few screens. A database's message can repeat a whole statement.
const MAX_REASON_BYTES: usize = 2048;

/// Why a message is refused.
#[derive(Debug, Clone)]
pub struct Cause {
    /// `decode`, `validate` or `store`.
    pub stage: &'static str,
    /// Short name of the failure, for counting.
    pub class: &'static str,
    /// PostgreSQL's code, if PostgreSQL refused the record.
    pub sqlstate: Option<String>,
    /// One line for a person.
    pub reason: String,
}

/// Why a message is refused, and whose it is.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Why.
    pub cause: Cause,
    /// The publisher, see [`crate::quarantine::publisher`].
    pub publisher: Text,
}

/// The dataset of dead letters.
pub fn dataset() -> &'static Dataset {
    static DATASET: LazyLock<&'static Dataset> =
        LazyLock::new(|| contract::dataset("dead_letter").expect("it is declared"));
    &DATASET
}

/// A message that is refused.
#[derive(Debug)]
pub struct Refusal<'a> {
    /// The message.
    pub original: &'a Original<'a>,
    /// Where it was read.
    pub partition: &'a SinkPartition,
    /// The sink that refuses it: the source of the dead letter.
    pub source: &'a str,
    /// The dataset of its topic.
    pub dataset: &'a Dataset,
    /// Why it is refused.
    pub cause: Cause,
    /// When it is refused.
    pub refused_at: DateTime<Utc>,
}

/// Appends a refused message to rows of dead letters. Its id is the coordinate of the message.
///
/// It keeps [`Original::kept`]; of each part that is too large the reason has the length and a hash.
pub fn append(refusal: Refusal<'_>, rows: &mut Rows) {
    static DECODER: LazyLock<Decoder> =
        LazyLock::new(|| Decoder::new(dataset(), &dataset().schema).expect("a declaration reads itself"));
    let mut body = Vec::new();
    record(refusal).encode(&mut body);
    DECODER.decode(&body, rows).expect("what was just encoded can be decoded");
}

fn record(refusal: Refusal<'_>) -> DeadLetter {
    let Refusal { original, partition, source, dataset, cause, refused_at } = refusal;
    let mut reason = clean(cause.reason);
    for (name, part) in original.too_large() {
        reason += &format!(" (its {name} of {} bytes, XXH3 {}, is left out)", part.len(), fingerprint(part));
    }
    let kept = original.kept();
    DeadLetter {
        source: source.into(),
        dead_letter_id: partition.coordinate(original.offset).to_string().into(),
        stage: cause.stage.into(),
        error_class: cause.class.into(),
        sqlstate: cause.sqlstate.map(Text::from),
        reason: reason.into(),
        dataset: dataset.name.as_str().into(),
        kafka_topic: Some(partition.topic.to_string().into()),
        kafka_incarnation: Some(partition.incarnation.into()),
        kafka_partition: Some(partition.number.into()),
        kafka_offset: Some(original.offset),
        record_timestamp_ms: original.timestamp_ms,
        record_key: kept.key.map(<[u8]>::to_vec),
        record_value: kept.value.map(<[u8]>::to_vec),
        record_headers: kept.headers.map(<[u8]>::to_vec),
        known_at: refused_at,
        observed_at: refused_at,
        flags: Vec::new(),
    }
}

/// A reason in a form that every database can store: no NUL, one line, bounded.
fn clean(mut reason: String) -> String {
    reason.retain(|character| !character.is_control());
    reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
    reason
}
