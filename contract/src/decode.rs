//! Reading the wire format strictly: truncation, trailing bytes and impossible values are errors, never nulls.
//!
//! This is our own code because apache-avro's generic path reads a truncated record as nulls and ignores trailing
//! bytes. A property test compares the two.

mod avro;
mod input;
mod plan;
mod skip;

use thiserror::Error;

pub use self::input::MAX_BYTES;
use self::plan::Plan;
use crate::dataset::Dataset;
use crate::encode::MAGIC;
use crate::rows::Rows;

/// Magic byte and schema id.
const HEADER_LENGTH: usize = 5;

/// Why a message cannot be decoded.
#[derive(Debug, Error, PartialEq, Eq, Clone)]
pub enum DecodeError {
    /// The message has no value; see [`crate::tombstone`] for deletions.
    #[error("message has no value")]
    Empty,
    /// The first byte is not zero, or there are fewer than five bytes.
    #[error("message does not begin with a zero byte and a 4-byte schema id")]
    Header,
    /// The bytes end before the record does.
    #[error("record is cut off in field `{field}`")]
    Truncated {
        /// The field in which they end.
        field: String,
    },
    /// Bytes follow the record.
    #[error("{count} bytes follow the record")]
    Trailing {
        /// How many bytes.
        count: usize,
    },
    /// A field holds bytes that Avro does not allow.
    #[error("field `{field}`: {what}")]
    Malformed {
        /// The field.
        field: String,
        /// What is wrong.
        what: &'static str,
    },
    /// Several schemas have the id, and the bytes are a different record by each of two of them.
    #[error("two schemas have its id, and its bytes are a different record by each")]
    Ambiguous,
}

impl DecodeError {
    /// Short token for metrics and dead letters, one per cause.
    pub fn class(&self) -> &'static str {
        match self {
            DecodeError::Empty => "empty",
            DecodeError::Header => "header",
            DecodeError::Truncated { .. } => "truncated",
            DecodeError::Trailing { .. } => "trailing_bytes",
            DecodeError::Malformed { .. } => "malformed",
            DecodeError::Ambiguous => "ambiguous",
        }
    }
}

/// Why records written with a schema cannot be read as records of a dataset.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SchemaError {
    /// The text is not an Avro record schema, or uses a type that tapedeck does not read.
    #[error("writer's schema cannot be read: {0}")]
    Unreadable(String),
    /// A field of the dataset is absent although it is not nullable, or has another type.
    #[error("writer's schema does not fit dataset `{dataset}`: field `{field}` {what}")]
    Incompatible {
        /// The dataset.
        dataset: String,
        /// Its field.
        field: String,
        /// What is wrong.
        what: &'static str,
    },
}

/// Splits a message into schema id and Avro body.
///
/// # Errors
///
/// [`DecodeError::Empty`] without a value, [`DecodeError::Header`] when the first five bytes are no header.
pub fn split_header(message: &[u8]) -> Result<(u32, &[u8]), DecodeError> {
    match message.split_first_chunk::<HEADER_LENGTH>() {
        Some(([MAGIC, id @ ..], body)) => Ok((u32::from_be_bytes(*id), body)),
        _ if message.is_empty() => Err(DecodeError::Empty),
        _ => Err(DecodeError::Header),
    }
}

/// Decodes Avro bodies that were written with one schema into rows of one dataset.
///
/// Fields are matched by name, or by an alias that the declaration has. The decoder skips fields that the dataset does
/// not have. A field that the writer does not have gets its default, else null or an empty list. Types are promoted as
/// Avro specifies: int to long, both and float to double, text to bytes and back. Times and decimals are units, so the
/// writer's logical type must be the field's; a decimal can have any scale.
#[derive(Debug, PartialEq)]
pub struct Decoder {
    plan: Plan,
    /// For other schemas under the same id.
    others: Vec<Plan>,
}

impl Decoder {
    /// Prepares to decode records that were written with `writer_schema`, an Avro schema in JSON.
    ///
    /// # Errors
    ///
    /// See [`SchemaError`]: no record of this schema can be read, so a consumer refuses all of them.
    pub fn new(dataset: &Dataset, writer_schema: &str) -> Result<Decoder, SchemaError> {
        Ok(Decoder { plan: Plan::new(dataset, writer_schema)?, others: Vec::new() })
    }

    /// The same where one of several schemas was the writer's, because all of them had the same id.
    ///
    /// The bytes decide: the writer's schema reads all of them, with none left. If another schema does so too and finds
    /// another record, the message is refused as [`DecodeError::Ambiguous`]. So no record is read by a wrong schema.
    ///
    /// # Errors
    ///
    /// The first [`SchemaError`] if none of the schemas fits.
    pub fn of_any<'a>(
        dataset: &Dataset,
        writer_schemas: impl IntoIterator<Item = &'a str>,
    ) -> Result<Decoder, SchemaError> {
        let (mut plans, mut error) = (Vec::new(), None);
        for schema in writer_schemas {
            match Plan::new(dataset, schema) {
                Ok(plan) if plans.contains(&plan) => {}
                Ok(plan) => plans.push(plan),
                Err(reason) => error = error.or(Some(reason)),
            }
        }
        let mut plans = plans.into_iter();
        let none = || error.unwrap_or_else(|| SchemaError::Unreadable("there is no schema".to_owned()));
        Ok(Decoder { plan: plans.next().ok_or_else(none)?, others: plans.collect() })
    }

    /// Appends the record as one row, which is not validated yet.
    ///
    /// # Errors
    ///
    /// See [`DecodeError`]; the rows are then as before.
    pub fn decode(&self, body: &[u8], rows: &mut Rows) -> Result<(), DecodeError> {
        if self.others.is_empty() { self.plan.decode(body, rows) } else { self.decode_any(body, rows) }
    }

    #[cold]
    fn decode_any(&self, body: &[u8], rows: &mut Rows) -> Result<(), DecodeError> {
        let len = rows.len();
        let mut outcome = self.plan.decode(body, rows);
        for plan in &self.others {
            let end = rows.len();
            let other = plan.decode(body, rows);
            if outcome.is_err() && other.is_ok() {
                outcome = Ok(());
            } else if other.is_ok() {
                let is_same = rows.is_same(len, end);
                rows.truncate(if is_same { end } else { len });
                if !is_same {
                    return Err(DecodeError::Ambiguous);
                }
            }
        }
        outcome
    }
}
