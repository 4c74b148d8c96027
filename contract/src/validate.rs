//! What every record must satisfy before it may reach a database.
//!
//! A bad row is data: the consumer turns a [`Refusal`] into a dead letter and continues.

use thiserror::Error;

use crate::dataset::{Dataset, KNOWN_AT, OBSERVED_AT};
use crate::json;
use crate::rows::{Column, Rows};

/// Longest text in a field of the key, in bytes: databases limit the size of an index entry.
pub const MAX_KEY_BYTES: usize = 512;
/// Longest texts of a key together, in bytes: an index entry of PostgreSQL has at most 2,704 bytes, with up to 8 more for
/// each text.
pub const MAX_WHOLE_KEY_BYTES: usize = 2560;
/// Longest text in any other field, in bytes: the largest message that Kafka accepts by default.
pub const MAX_TEXT_BYTES: usize = 1 << 20;
/// First day that may be stored, 1677-09-22, in days since 1970: many readers hold times as nanoseconds in 64 bits.
pub const MIN_DAY: i32 = -106_751;
/// Last day that may be stored, 2262-04-10, in days since 1970.
pub const MAX_DAY: i32 = 106_750;
/// How far `known_at` and `observed_at` may be ahead of the time at which Kafka received the record, in microseconds: 5
/// minutes of clock skew. A version of the future would win over every later correction.
pub const VERSION_AHEAD_MICROS: i64 = 5 * 60 * 1_000_000;
/// Earliest `known_at` and `observed_at`, 1900-01-01, in microseconds.
pub const MIN_VERSION_MICROS: i64 = -25_567 * DAY_MICROS;

const DAY_MICROS: i64 = 86_400_000_000;

/// Why a record is refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// The record breaks this rule of the declaration.
    #[error("breaks the rule `{0}`")]
    Rule(String),
    /// A double is NaN or infinite.
    #[error("`{0}` is not a finite number")]
    NotFinite(String),
    /// A text, or one in a list, holds a NUL character, which PostgreSQL cannot store.
    #[error("`{0}` holds a NUL character")]
    Nul(String),
    /// A text is not JSON, or holds a NUL character or a number that is too long; see [`json::canonical`].
    #[error("`{0}` is not JSON that a database can hold")]
    NotJson(String),
    /// A text is longer than its limit in bytes.
    #[error("`{0}` is longer than {1} bytes")]
    TooLong(String, usize),
    /// A date or timestamp lies outside 1677-09-22 to 2262-04-10.
    #[error("`{0}` lies outside 1677-09-22 to 2262-04-10")]
    DateRange(String),
    /// `known_at` or `observed_at` lies before 1900 or in the future, where it would win over every later correction.
    #[error("`{0}` lies before 1900 or in the future")]
    VersionBounds(&'static str),
}

impl Refusal {
    /// Short token for metrics and dead letters, one per cause.
    pub fn class(&self) -> &'static str {
        match self {
            Refusal::Rule(_) => "rule",
            Refusal::NotFinite(_) => "not_finite",
            Refusal::Nul(_) => "nul",
            Refusal::NotJson(_) => "not_json",
            Refusal::TooLong(..) => "too_long",
            Refusal::DateRange(_) => "date_range",
            Refusal::VersionBounds(_) => "version_bounds",
        }
    }
}

/// Checks the last row against the declaration and the clock, and sets its flags.
///
/// A double that is -0.0 becomes 0.0, because SQLite stores no other zero.
///
/// `received_micros` is when Kafka received the record, in microseconds since 1970. Flags that the producer sent are
/// replaced.
///
/// # Errors
///
/// The first [`Refusal`] found. The caller must then drop the row.
///
/// # Panics
///
/// When there is no row.
pub fn validate_last(dataset: &Dataset, rows: &mut Rows, received_micros: i64) -> Result<(), Refusal> {
    let row = rows.len() - 1;
    rows.drop_zero_signs(row);
    for (position, field) in dataset.fields.iter().enumerate() {
        let limit = if dataset.key.contains(&position) { MAX_KEY_BYTES } else { MAX_TEXT_BYTES };
        bounds(rows.column(position), row, &field.name, limit)?;
    }
    let key_bytes = |at: &usize| rows.column(*at).text(row).map_or(0, str::len);
    if dataset.key.iter().map(key_bytes).sum::<usize>() > MAX_WHOLE_KEY_BYTES {
        return Err(Refusal::TooLong("key".to_owned(), MAX_WHOLE_KEY_BYTES));
    }
    versions(dataset, rows, row, received_micros)?;
    if let Some(rule) = dataset.rules.iter().find(|rule| rule.is_broken(rows, row)) {
        return Err(Refusal::Rule(rule.text.clone()));
    }
    let broken = dataset.expectations.iter().filter(|expectation| expectation.is_broken(rows, row));
    let names = broken.map(|expectation| expectation.text.clone()).collect();
    rows.set_flags(dataset.flags, row, names);
    Ok(())
}

fn bounds(column: &Column, row: usize, name: &str, limit: usize) -> Result<(), Refusal> {
    let name = || name.to_owned();
    match column {
        Column::Double(values) if values[row].is_some_and(|value| !value.is_finite()) => {
            Err(Refusal::NotFinite(name()))
        }
        Column::Text(values) => match &values[row] {
            Some(text) if text.len() > limit => Err(Refusal::TooLong(name(), limit)),
            Some(text) if text.as_bytes().contains(&0) => Err(Refusal::Nul(name())),
            _ => Ok(()),
        },
        Column::TextList(values) if values[row].iter().any(|text| text.as_bytes().contains(&0)) => {
            Err(Refusal::Nul(name()))
        }
        Column::Json(values) => match &values[row] {
            Some(text) if text.len() > limit => Err(Refusal::TooLong(name(), limit)),
            Some(text) if json::canonical(text).is_none() => Err(Refusal::NotJson(name())),
            _ => Ok(()),
        },
        Column::Date(values) => match values[row] {
            Some(day) if !(MIN_DAY..=MAX_DAY).contains(&day) => Err(Refusal::DateRange(name())),
            _ => Ok(()),
        },
        Column::Timestamp(values) => match values[row].map(|micros| micros.div_euclid(DAY_MICROS)) {
            Some(day) if !(i64::from(MIN_DAY)..=i64::from(MAX_DAY)).contains(&day) => Err(Refusal::DateRange(name())),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn versions(dataset: &Dataset, rows: &Rows, row: usize, received_micros: i64) -> Result<(), Refusal> {
    let allowed = MIN_VERSION_MICROS..=received_micros.saturating_add(VERSION_AHEAD_MICROS);
    for (position, name) in dataset.version_fields.into_iter().zip([KNOWN_AT, OBSERVED_AT]) {
        let Column::Timestamp(values) = rows.column(position) else {
            return Err(Refusal::VersionBounds(name));
        };
        match values[row] {
            Some(micros) if allowed.contains(&micros) => {}
            _ => return Err(Refusal::VersionBounds(name)),
        }
    }
    Ok(())
}
