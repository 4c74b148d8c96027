//! Reading the wire format strictly: truncation, trailing bytes and impossible values are errors, never nulls.
//!
//! This is our own code because apache-avro's generic path reads a truncated record as nulls and ignores trailing
//! bytes. A property test compares the two.

mod avro;
mod input;

use serde_json::Value;
use thiserror::Error;

use self::avro::Avro;
use self::input::Input;
pub use self::input::MAX_BYTES;
use crate::dataset::Dataset;
use crate::encode::MAGIC;
use crate::field::Kind;
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
/// Fields are matched by name. The decoder skips fields that the dataset does not have. A field that the writer does
/// not have becomes null, or an empty list. Types must be the same, but for int as long and any scale of a decimal.
#[derive(Debug)]
pub struct Decoder {
    steps: Vec<Step>,
    absent: Vec<usize>,
}

/// What to do with the writer's next field.
#[derive(Debug)]
struct Step {
    name: String,
    avro: Avro,
    /// Position in the dataset; None when the dataset does not have the field.
    target: Option<usize>,
}

impl Decoder {
    /// Prepares to decode records that were written with `writer_schema`, an Avro schema in JSON.
    ///
    /// # Errors
    ///
    /// See [`SchemaError`]: no record of this schema can be read, so a consumer refuses all of them.
    pub fn new(dataset: &Dataset, writer_schema: &str) -> Result<Decoder, SchemaError> {
        let json: Value =
            serde_json::from_str(writer_schema).map_err(|error| SchemaError::Unreadable(error.to_string()))?;
        let unreadable = || SchemaError::Unreadable("it is not a record with named fields".to_owned());
        let fields = json.get("fields").and_then(Value::as_array).ok_or_else(unreadable)?;
        let mut steps = Vec::with_capacity(fields.len());
        for field in fields {
            let name = field.get("name").and_then(Value::as_str).ok_or_else(unreadable)?.to_owned();
            let avro = field.get("type").and_then(|avro| Avro::parse(avro, 0)).ok_or_else(|| {
                SchemaError::Unreadable(format!("field `{name}` has a type that tapedeck does not read"))
            })?;
            steps.push(Step { target: dataset.position(&name), name, avro });
        }
        let incompatible = |position: usize, what| SchemaError::Incompatible {
            dataset: dataset.name.clone(),
            field: dataset.fields[position].name.clone(),
            what,
        };
        for step in &steps {
            if let Some(position) = step.target
                && !step.avro.fits(dataset.fields[position].kind, dataset.fields[position].nullable)
            {
                return Err(incompatible(position, "is of another type"));
            }
        }
        let absent: Vec<usize> = (0..dataset.fields.len())
            .filter(|position| !steps.iter().any(|step| step.target == Some(*position)))
            .collect();
        for position in &absent {
            let field = &dataset.fields[*position];
            if !field.nullable && field.kind != Kind::TextList {
                return Err(incompatible(*position, "is absent"));
            }
        }
        Ok(Decoder { steps, absent })
    }

    /// Appends the record as one row, which is not validated yet.
    ///
    /// # Errors
    ///
    /// See [`DecodeError`]; the rows are then as before.
    pub fn decode(&self, body: &[u8], rows: &mut Rows) -> Result<(), DecodeError> {
        let len = rows.len();
        let outcome = self.append(body, rows);
        if outcome.is_err() {
            rows.truncate(len);
        }
        outcome
    }

    fn append(&self, body: &[u8], rows: &mut Rows) -> Result<(), DecodeError> {
        let mut input = Input::new(body);
        let columns = rows.columns_mut();
        for step in &self.steps {
            let read = match step.target {
                Some(position) => input.read(&step.avro, &mut columns[position]),
                None => input.skip(&step.avro),
            };
            read.map_err(|fault| fault.in_field(&step.name))?;
        }
        for position in &self.absent {
            columns[*position].push_null();
        }
        if input.remaining() > 0 {
            return Err(DecodeError::Trailing { count: input.remaining() });
        }
        rows.finish_row(false);
        Ok(())
    }
}
