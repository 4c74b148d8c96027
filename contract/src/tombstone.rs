//! Deletions on the wire: a message without a value, with the version of the deletion in its headers.
//!
//! The message key is the natural key without the time; the time, where the dataset has one, is a header. Without these
//! headers a deletion has no version, so a consumer refuses it.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use thiserror::Error;

use crate::dataset::{Dataset, Kind};
use crate::rows::{Column, Rows, Value};
use crate::topic;

/// Header: when the deletion was known, RFC 3339.
pub const KNOWN_AT: &str = "tapedeck-known-at";
/// Header: when the producer received the deletion, RFC 3339.
pub const OBSERVED_AT: &str = "tapedeck-observed-at";
/// Header: the value of the key's time field, RFC 3339 or `YYYY-MM-DD`; absent when the dataset has no time.
pub const TIME: &str = "tapedeck-time";

/// Why a message without a value is not a deletion.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TombstoneError {
    /// A header is missing or cannot be read.
    #[error(
        "message has no value, and its header `{0}` is missing or malformed: a deletion must say when it was known"
    )]
    Header(&'static str),
    /// The message key is not a key of the dataset.
    #[error("message has no value, and its key is not a key of `{dataset}`")]
    Key {
        /// The dataset.
        dataset: String,
    },
}

impl TombstoneError {
    /// Short token for metrics and dead letters.
    pub fn class(&self) -> &'static str {
        "tombstone"
    }
}

/// Appends a deletion as one row: key and version are set, all other fields are null.
///
/// `key` is the message key, and `header` returns the value of the header of a name.
///
/// # Errors
///
/// See [`TombstoneError`]; the rows are then as before.
pub fn decode<'a>(
    dataset: &Dataset,
    key: Option<&[u8]>,
    header: impl Fn(&str) -> Option<&'a [u8]>,
    rows: &mut Rows,
) -> Result<(), TombstoneError> {
    let text = |name: &'static str| {
        let text = header(name).and_then(|bytes| std::str::from_utf8(bytes).ok());
        text.ok_or(TombstoneError::Header(name))
    };
    let version = |name| value(Kind::Timestamp, text(name)?).ok_or(TombstoneError::Header(name));
    let (known_at, observed_at) = (version(KNOWN_AT)?, version(OBSERVED_AT)?);
    let not_a_key = || TombstoneError::Key { dataset: dataset.name.clone() };
    let key = key.and_then(|key| std::str::from_utf8(key).ok()).ok_or_else(not_a_key)?;
    let mut values = vec![Value::Null; dataset.fields.len()];
    let parts = topic::key_parts(key);
    if parts.len() != dataset.message_key().count() {
        return Err(not_a_key());
    }
    for (position, part) in dataset.message_key().zip(parts) {
        values[position] = value(dataset.fields[position].kind, &part).ok_or_else(not_a_key)?;
    }
    if let Some(time) = dataset.time {
        values[time] = value(dataset.fields[time].kind, text(TIME)?).ok_or(TombstoneError::Header(TIME))?;
    }
    for (position, version) in dataset.version_fields.into_iter().zip([known_at, observed_at]) {
        values[position] = version;
    }
    rows.push_row(values, true);
    Ok(())
}

/// Message key and headers of a deletion of that row's key, with `known_at` and `observed_at` as its version.
pub fn encode(
    dataset: &Dataset,
    rows: &Rows,
    row: usize,
    known_at: DateTime<Utc>,
    observed_at: DateTime<Utc>,
) -> (String, Vec<(&'static str, String)>) {
    let mut key = String::new();
    for position in dataset.message_key() {
        topic::put_key_part(shown(rows.column(position), row), &mut key);
    }
    let mut headers = vec![(KNOWN_AT, rfc3339(known_at)), (OBSERVED_AT, rfc3339(observed_at))];
    headers.extend(dataset.time.map(|time| (TIME, shown(rows.column(time), row))));
    (key, headers)
}

/// A field of a key as text; empty for null and for kinds that a key cannot have.
pub fn shown(column: &Column, row: usize) -> String {
    let text = match column {
        Column::Text(values) => values[row].clone(),
        Column::Long(values) => values[row].map(|value| value.to_string()),
        Column::Double(values) => values[row].map(|value| value.to_string()),
        Column::Date(values) => values[row].and_then(date).map(|date| date.to_string()),
        Column::Timestamp(values) => values[row].and_then(DateTime::from_timestamp_micros).map(rfc3339),
        Column::Decimal(values) => values[row].map(|value| value.to_string()),
        Column::Json(values) => values[row].clone(),
        Column::Bytes(_) | Column::TextList(_) => None,
    };
    text.unwrap_or_default()
}

/// The value of a key's field, read from its text; None when the text is not of that kind.
pub fn value(kind: Kind, text: &str) -> Option<Value> {
    Some(match kind {
        Kind::Text => Value::Text(text.into()),
        Kind::Long => Value::Long(text.parse().ok()?),
        Kind::Date => {
            let days = text.parse::<NaiveDate>().ok()?.signed_duration_since(NaiveDate::default()).num_days();
            Value::Date(i32::try_from(days).ok()?)
        }
        Kind::Timestamp => Value::Long(DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros()),
        Kind::Double | Kind::Decimal | Kind::Json | Kind::Bytes | Kind::TextList => return None,
    })
}

fn date(days: i32) -> Option<NaiveDate> {
    NaiveDate::default().checked_add_signed(chrono::TimeDelta::days(days.into()))
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}
