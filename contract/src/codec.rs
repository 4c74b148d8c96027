//! The wire format: Confluent's (a zero byte, the schema's id in 4 bytes, an Avro body), written and read strictly.
//!
//! Our own code because decoding is what the project exists for: apache-avro's generic path reads a truncated record
//! as nulls and ignores trailing bytes. A property test holds the two against each other.

use serde_json::Value;
use thiserror::Error;

use crate::dataset::{Dataset, Kind};
use crate::decimal;
use crate::rows::{Column, Rows};

/// First byte of a message.
const MAGIC: u8 = 0;
/// Magic byte and schema id.
const HEADER_LENGTH: usize = 5;
/// Longest text or byte string in a message: Kafka's own default bound on a message is 1 MiB.
const MAX_BYTES: usize = 8 << 20;
/// Most items in a list.
const MAX_ITEMS: usize = 10_000;
/// Deepest nesting of a writer's schema.
const MAX_DEPTH: usize = 16;

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

/// Begins a message: magic byte and schema id.
pub fn put_header(schema_id: u32, out: &mut Vec<u8>) {
    out.push(MAGIC);
    out.extend_from_slice(&schema_id.to_be_bytes());
}

/// Schema id and Avro body of a message.
pub fn split_header(message: &[u8]) -> Result<(u32, &[u8]), DecodeError> {
    match message.split_first_chunk::<HEADER_LENGTH>() {
        Some(([MAGIC, id @ ..], body)) => Ok((u32::from_be_bytes(*id), body)),
        _ if message.is_empty() => Err(DecodeError::Empty),
        _ => Err(DecodeError::Header),
    }
}

/// Writes an Avro int or long.
pub fn put_long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest as u8 & 0x7f) | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Writes an Avro double.
pub fn put_double(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Writes an Avro decimal with [`decimal::SCALE`] digits after the point.
pub fn put_decimal(value: rust_decimal::Decimal, out: &mut Vec<u8>) {
    decimal::put(value, out);
}

/// Writes Avro bytes or a string.
pub fn put_bytes(value: &[u8], out: &mut Vec<u8>) {
    put_long(value.len() as i64, out);
    out.extend_from_slice(value);
}

/// Writes an Avro array of strings.
pub fn put_texts(values: &[String], out: &mut Vec<u8>) {
    if !values.is_empty() {
        put_long(values.len() as i64, out);
        values.iter().for_each(|value| put_bytes(value.as_bytes(), out));
    }
    put_long(0, out);
}

/// Writes a union of null and something.
pub fn put_optional<T>(value: Option<T>, out: &mut Vec<u8>, put: impl FnOnce(T, &mut Vec<u8>)) {
    match value {
        None => put_long(0, out),
        Some(value) => {
            put_long(1, out);
            put(value, out);
        }
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

/// The shapes of a writer's field that we can read or skip.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Avro {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Array(Box<Avro>),
    Map(Box<Avro>),
    Union(Vec<Avro>),
    Record(Vec<Avro>),
    Enum,
    Fixed(usize),
    Date,
    TimestampMicros,
    /// With so many digits after the point.
    Decimal(u32),
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
        let mut input = Input { bytes: body };
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
        if !input.bytes.is_empty() {
            return Err(DecodeError::Trailing { count: input.bytes.len() });
        }
        rows.finish_row(false);
        Ok(())
    }
}

impl Avro {
    fn parse(json: &Value, depth: usize) -> Option<Avro> {
        if depth > MAX_DEPTH {
            return None;
        }
        let inner = |json: &Value| Avro::parse(json, depth + 1);
        if let Some(branches) = json.as_array() {
            return Some(Avro::Union(branches.iter().map(inner).collect::<Option<_>>()?));
        }
        let object = json.as_object();
        let attribute = |name: &str| object.and_then(|object| object.get(name));
        let name = json.as_str().or_else(|| attribute("type")?.as_str())?;
        Some(match (name, attribute("logicalType").and_then(Value::as_str)) {
            ("int", Some("date")) => Avro::Date,
            ("long", Some("timestamp-micros")) => Avro::TimestampMicros,
            // Another logical type means another unit: it must not be read as a plain number.
            ("int" | "long", Some(_)) => return None,
            ("null", _) => Avro::Null,
            ("boolean", _) => Avro::Boolean,
            ("int", None) => Avro::Int,
            ("long", None) => Avro::Long,
            ("float", _) => Avro::Float,
            ("double", _) => Avro::Double,
            ("bytes", None) => Avro::Bytes,
            ("bytes", Some("decimal")) => {
                let scale = attribute("scale").map_or(Some(0), Value::as_u64)?;
                Avro::Decimal(u32::try_from(scale).ok()?)
            }
            ("string", None | Some("json")) => Avro::Text,
            ("array", _) => Avro::Array(Box::new(inner(attribute("items")?)?)),
            ("map", _) => Avro::Map(Box::new(inner(attribute("values")?)?)),
            ("enum", _) => Avro::Enum,
            ("fixed", None) => Avro::Fixed(usize::try_from(attribute("size")?.as_u64()?).ok()?),
            ("record", _) => {
                let fields = attribute("fields")?.as_array()?.iter();
                Avro::Record(fields.map(|field| inner(field.get("type")?)).collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }

    fn fits(&self, kind: Kind, nullable: bool) -> bool {
        match self {
            Avro::Union(branches) => branches.iter().all(|branch| match branch {
                Avro::Null => nullable,
                other => other.fits(kind, nullable),
            }),
            Avro::Text => matches!(kind, Kind::Text | Kind::Json),
            Avro::Decimal(_) => kind == Kind::Decimal,
            Avro::Long | Avro::Int => kind == Kind::Long,
            Avro::Double => kind == Kind::Double,
            Avro::Bytes => kind == Kind::Bytes,
            Avro::Date => kind == Kind::Date,
            Avro::TimestampMicros => kind == Kind::Timestamp,
            Avro::Array(items) => kind == Kind::TextList && **items == Avro::Text,
            _ => false,
        }
    }
}

/// A fault that does not know its field yet.
enum Fault {
    Truncated,
    Malformed(&'static str),
}

impl Fault {
    fn in_field(self, field: &str) -> DecodeError {
        let field = field.to_owned();
        match self {
            Fault::Truncated => DecodeError::Truncated { field },
            Fault::Malformed(what) => DecodeError::Malformed { field, what },
        }
    }
}

struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(Fault::Truncated)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn long(&mut self) -> Result<i64, Fault> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.take(1)?[0];
            if shift == 63 && byte > 1 {
                return Err(Fault::Malformed("a number has more than 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err(Fault::Malformed("a number has more than 64 bits"))
    }

    fn int(&mut self) -> Result<i32, Fault> {
        i32::try_from(self.long()?).map_err(|_| Fault::Malformed("an int has more than 32 bits"))
    }

    fn double(&mut self) -> Result<f64, Fault> {
        let bytes = self.take(8)?.try_into().expect("eight bytes were taken");
        Ok(f64::from_le_bytes(bytes))
    }

    fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = usize::try_from(self.long()?).map_err(|_| Fault::Malformed("a length is negative"))?;
        if length > MAX_BYTES {
            return Err(Fault::Malformed("a length is over 8 MiB"));
        }
        self.take(length)
    }

    fn text(&mut self) -> Result<&'a str, Fault> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Fault::Malformed("a text is not UTF-8"))
    }

    /// Runs through the blocks of an array or a map.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut total = 0usize;
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                // A negative count is followed by the block's size in bytes, which we do not need.
                self.long()?;
            }
            let count = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
            total = total.saturating_add(count);
            if total > MAX_ITEMS {
                return Err(Fault::Malformed("a list has more than 10,000 items"));
            }
            for _ in 0..count {
                item(self)?;
            }
        }
    }

    fn branch<'b>(&mut self, branches: &'b [Avro]) -> Result<&'b Avro, Fault> {
        let index = usize::try_from(self.long()?).ok();
        index.and_then(|index| branches.get(index)).ok_or(Fault::Malformed("a union has no such branch"))
    }

    fn read(&mut self, avro: &Avro, column: &mut Column) -> Result<(), Fault> {
        let avro = match avro {
            Avro::Union(branches) => self.branch(branches)?,
            plain => plain,
        };
        if *avro == Avro::Null {
            column.push_null();
            return Ok(());
        }
        match column {
            Column::Text(values) | Column::Json(values) => values.push(Some(self.text()?.to_owned())),
            Column::Decimal(values) => {
                let Avro::Decimal(scale) = avro else {
                    return Err(Fault::Malformed("a decimal is of another type"));
                };
                let read = decimal::read(self.bytes()?, *scale);
                values.push(Some(read.ok_or(Fault::Malformed("a decimal has too many digits or none"))?));
            }
            Column::Double(values) => values.push(Some(self.double()?)),
            Column::Long(values) if *avro == Avro::Int => values.push(Some(self.int()?.into())),
            Column::Long(values) | Column::Timestamp(values) => values.push(Some(self.long()?)),
            Column::Date(values) => values.push(Some(self.int()?)),
            Column::Bytes(values) => values.push(Some(self.bytes()?.to_vec())),
            Column::TextList(values) => {
                let mut texts = Vec::new();
                self.blocks(|input| {
                    texts.push(input.text()?.to_owned());
                    Ok(())
                })?;
                values.push(texts);
            }
        }
        Ok(())
    }

    fn skip(&mut self, avro: &Avro) -> Result<(), Fault> {
        match avro {
            Avro::Null => Ok(()),
            Avro::Boolean => match self.take(1)?[0] {
                0 | 1 => Ok(()),
                _ => Err(Fault::Malformed("a boolean is neither 0 nor 1")),
            },
            Avro::Int | Avro::Date | Avro::Enum => self.int().map(drop),
            Avro::Long | Avro::TimestampMicros => self.long().map(drop),
            Avro::Float => self.take(4).map(drop),
            Avro::Double => self.double().map(drop),
            Avro::Bytes | Avro::Decimal(_) => self.bytes().map(drop),
            Avro::Text => self.text().map(drop),
            Avro::Fixed(size) => self.take(*size).map(drop),
            Avro::Array(items) => self.blocks(|input| input.skip(items)),
            Avro::Map(values) => self.blocks(|input| {
                input.text()?;
                input.skip(values)
            }),
            Avro::Record(fields) => fields.iter().try_for_each(|field| self.skip(field)),
            Avro::Union(branches) => {
                let branch = self.branch(branches)?;
                self.skip(branch)
            }
        }
    }
}
