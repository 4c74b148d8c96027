//! The wire format, read strictly: truncation, trailing bytes and impossible values are errors, never nulls.
//!
//! Our own code because decoding is what the project exists for: apache-avro's generic path reads a truncated record
//! as nulls and ignores trailing bytes. A property test holds the two against each other.

mod avro;
mod input;

use serde_json::Value;
use thiserror::Error;

use self::avro::Avro;
use self::input::Input;
use crate::dataset::Dataset;
use crate::encode::MAGIC;
use crate::field::Kind;
use crate::rows::Rows;

/// Magic byte and schema id.
const HEADER_LENGTH: usize = 5;

/// Why a message cannot be decoded.
#[derive(Debug, Error, PartialEq, Eq, Clone)]
pub enum DecodeError {
    /// No value: a tombstone without a version says nothing about when it was known.
    #[error("message has no value")]
    Empty,
    /// The first byte is not zero, or there are fewer than five bytes.
    #[error("message does not begin with a zero byte and a 4-byte schema id")]
    Header,
    /// The bytes end before the record does.
    #[error("record is cut off in field `{field}`")]
    Truncated {
        /// Where it ends.
        field: String,
    },
    /// Bytes are left after the record.
    #[error("{count} bytes follow the record")]
    Trailing {
        /// How many.
        count: usize,
    },
    /// A field holds what Avro does not allow.
    #[error("field `{field}`: {what}")]
    Malformed {
        /// Which one.
        field: String,
        /// What is wrong.
        what: &'static str,
    },
}

impl DecodeError {
    /// Short token for counting by cause.
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

/// Why records of a writer's schema cannot be read as a dataset.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SchemaError {
    /// Not an Avro record schema that can be read.
    #[error("writer's schema cannot be read: {0}")]
    Unreadable(String),
    /// The dataset's field is absent and has no default, or is of another type.
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

/// Schema id and Avro body of a message.
pub fn split_header(message: &[u8]) -> Result<(u32, &[u8]), DecodeError> {
    match message.split_first_chunk::<HEADER_LENGTH>() {
        Some(([MAGIC, id @ ..], body)) => Ok((u32::from_be_bytes(*id), body)),
        _ if message.is_empty() => Err(DecodeError::Empty),
        _ => Err(DecodeError::Header),
    }
}

/// Decodes Avro bodies of one writer's schema into rows of one dataset.
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
    /// Position in the dataset; None: the dataset does not have it.
    target: Option<usize>,
}

impl Decoder {
    /// Prepares to decode what was written with that schema; fields are matched by name.
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

    /// Appends the record as one row. On an error the rows are as before.
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
