//! A dataset, read from its declaration.
//!
//! `schemas/README.md` describes the attributes of a declaration.

use serde_json::Value;
use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

use crate::assumed::Assumed;
use crate::column::Column;
use crate::decimal;
use crate::field::default_value;
pub use crate::field::{Field, Kind};
use crate::rows::Rows;
use crate::rule::{Rule, RuleError};

/// The provider that a record came from. Every dataset has this field; it is never null.
pub const SOURCE: &str = "source";
/// When the provider made the value public: the first part of a record's version. Never null.
pub const KNOWN_AT: &str = "known_at";
/// When the producer received the record: the second part of a record's version. Never null.
pub const OBSERVED_AT: &str = "observed_at";
/// The texts of the expectations that a record breaks; mostly an empty list.
pub const FLAGS: &str = "flags";

/// Longest declared time of a chunk: a hundred years, which is within the times that a record may have.
pub const MAX_CHUNK_DAYS: u32 = 36_500;

/// The attribute of a declaration with the days of a chunk of the table.
const CHUNK_DAYS: &str = "chunk_days";
/// The attribute of a declaration with the days of a chunk of its revisions.
const REVISION_CHUNK_DAYS: &str = "revision_chunk_days";
/// The attribute of a declaration with the rules of [`Dataset::assumed_known_at`].
const ASSUMED: &str = "assumed_known_at";

/// A dataset: one `.avsc` file.
///
/// Fields are addressed by their position in [`Dataset::fields`]; [`Dataset::position`] finds it by name. The columns
/// of [`crate::Rows`] are in the same order.
#[derive(Debug)]
pub struct Dataset {
    /// Singular snake_case token used everywhere: file, table, topic, route.
    pub name: String,
    /// One sentence: what a record is.
    pub doc: String,
    /// Number at the end of the topic's name; grows with an incompatible change.
    pub version: u32,
    /// Id on the wire when no schema registry is configured.
    pub schema_id: u32,
    /// Fields in the order of the declaration.
    pub fields: Vec<Field>,
    /// Positions of the natural key's fields.
    pub key: Vec<usize>,
    /// The same in the order of the tables' primary keys: what the record is about first and the source last, so that a
    /// query without a source finds its rows by the key.
    pub primary_key: Vec<usize>,
    /// Position of the key's field that a TimescaleDB hypertable is split by; None for datasets without a time.
    pub time: Option<usize>,
    /// Days of `time` in a chunk of the hypertable; None: the table stays a plain one.
    pub chunk_days: Option<u32>,
    /// Days of `known_at` in a chunk of the revisions' hypertable; None: their table stays a plain one.
    pub revision_chunk_days: Option<u32>,
    /// What a record must satisfy; a consumer refuses a record that breaks one.
    pub rules: Vec<Rule>,
    /// What a record should satisfy; validation names each broken one in `flags`.
    pub expectations: Vec<Rule>,
    /// When a record whose publication nobody states counts as known; empty where nothing tells. See
    /// [`Dataset::assumed_known_at`].
    pub assumed: Vec<Assumed>,
    /// The declaration as written.
    pub schema: String,
    /// Positions of `known_at` and `observed_at`.
    pub version_fields: [usize; 2],
    /// Position of `flags`.
    pub flags: usize,
    /// The values as the content hash takes them, whatever their order in the declaration: hash of the name, position.
    pub(crate) hashed: Vec<(u64, usize)>,
}

/// Why a text is not a declaration.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DeclarationError {
    /// Not JSON.
    #[error("declaration is not JSON: {0}")]
    Json(String),
    /// An attribute is absent or of the wrong type.
    #[error("`{0}` is missing or malformed")]
    Attribute(String),
    /// A type that tapedeck does not use.
    #[error("field `{0}` has a type that is not supported")]
    Type(String),
    /// A default that is not a value of its field. A nullable field has null.
    #[error("field `{0}` has a default that is not its value")]
    Default(String),
    /// An alias that is the name or alias of another field too.
    #[error("alias `{0}` belongs to two fields")]
    Alias(String),
    /// A key, time or version names no field.
    #[error("`{0}` is not a field")]
    NoField(String),
    /// `assumed_known_at` cannot be read.
    #[error("`assumed_known_at`: {0}")]
    Assumed(String),
    /// A rule cannot be read.
    #[error("rule `{rule}`: {error}")]
    Rule {
        /// The rule's text.
        rule: String,
        /// What is wrong with it.
        error: RuleError,
    },
}

impl Dataset {
    /// Reads a declaration, as in `schemas/`.
    ///
    /// # Errors
    ///
    /// When the text is not JSON, lacks an attribute, uses a type that tapedeck does not support, names a field that
    /// does not exist, or has a rule that cannot be read.
    pub fn parse(text: &str) -> Result<Dataset, DeclarationError> {
        let json: Value = serde_json::from_str(text).map_err(|error| DeclarationError::Json(error.to_string()))?;
        let fields = list(&json, "fields")?.iter().map(field).collect::<Result<Vec<_>, _>>()?;
        check_aliases(&fields)?;
        let position = |name: &str| {
            fields.iter().position(|field| field.name == name).ok_or_else(|| DeclarationError::NoField(name.to_owned()))
        };
        let rules = |attribute: &str| -> Result<Vec<Rule>, DeclarationError> {
            texts(&json, attribute)?
                .into_iter()
                .map(|rule| Rule::parse(&rule, &fields).map_err(|error| DeclarationError::Rule { rule, error }))
                .collect()
        };
        let key: Vec<usize> = texts(&json, "key")?.iter().map(|name| position(name)).collect::<Result<_, _>>()?;
        let (last, first): (Vec<usize>, Vec<usize>) = key.iter().partition(|at| fields[**at].name == SOURCE);
        let mut dataset = Dataset {
            name: text_of(&json, "name")?,
            doc: text_of(&json, "doc")?,
            version: number(&json, "version")?,
            schema_id: number(&json, "schema_id")?,
            key,
            primary_key: [first, last].concat(),
            time: match json.get("time") {
                None | Some(Value::Null) => None,
                Some(_) => Some(position(&text_of(&json, "time")?)?),
            },
            chunk_days: chunk_days(&json, CHUNK_DAYS)?,
            revision_chunk_days: chunk_days(&json, REVISION_CHUNK_DAYS)?,
            rules: rules("rules")?,
            expectations: rules("expectations")?,
            assumed: assumed(&json, &fields)?,
            schema: text.to_owned(),
            version_fields: [position(KNOWN_AT)?, position(OBSERVED_AT)?],
            flags: position(FLAGS)?,
            hashed: Vec::new(),
            fields,
        };
        if dataset.time.is_none() && dataset.chunk_days.is_some() {
            return Err(DeclarationError::Attribute(CHUNK_DAYS.to_owned()));
        }
        // A renamed field counts under its first name, so that no hash changes.
        let first_name = |field: &Field| field.aliases.first().unwrap_or(&field.name).clone();
        let named = |at: usize| (xxh3_64(first_name(&dataset.fields[at]).as_bytes()), at);
        dataset.hashed = dataset.values().map(named).collect();
        dataset.hashed.sort_unstable();
        Ok(dataset)
    }

    /// Position of the field of that name; None when the dataset has no such field.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// Positions of the key's fields without the time: the message key, so that a series stays in one partition.
    pub fn message_key(&self) -> impl Iterator<Item = usize> + '_ {
        self.key.iter().copied().filter(|position| Some(*position) != self.time)
    }

    /// When a row counts as known if nobody states it, in microseconds since 1970: for a daily bar the close of its
    /// session. Never after its `observed_at`, by which it was known.
    ///
    /// It is for the first version of a key alone. A correction counts as known from its receipt on. None where the
    /// declaration has no rule that fits the row; such a row is known from its receipt on, too.
    pub fn assumed_known_at(&self, rows: &Rows, row: usize) -> Option<i64> {
        let known_at = self.assumed.iter().find_map(|assumed| assumed.micros(rows, row))?;
        match rows.column(self.version_fields[1]) {
            Column::Timestamp(observed) => Some(known_at.min(observed[row]?)),
            _ => None,
        }
    }

    /// Positions of the values: all fields but the key, the version and the flags.
    pub fn values(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.fields.len())
            .filter(|at| !self.key.contains(at) && !self.version_fields.contains(at) && *at != self.flags)
    }
}

/// The rules of `assumed_known_at`, in their order.
fn assumed(json: &Value, fields: &[Field]) -> Result<Vec<Assumed>, DeclarationError> {
    if json.get(ASSUMED).is_none() {
        return Ok(Vec::new());
    }
    let rules = list(json, ASSUMED)?.iter().map(|rule| Assumed::parse(rule, fields));
    rules.collect::<Result<_, _>>().map_err(DeclarationError::Assumed)
}

/// The days of a chunk; None where they are not declared.
fn chunk_days(json: &Value, name: &str) -> Result<Option<u32>, DeclarationError> {
    if json.get(name).is_none() {
        return Ok(None);
    }
    let days = number(json, name)?;
    let is_allowed = (1..=MAX_CHUNK_DAYS).contains(&days);
    if is_allowed { Ok(Some(days)) } else { Err(DeclarationError::Attribute(name.to_owned())) }
}

/// Each of a writer's fields is one field of the dataset.
fn check_aliases(fields: &[Field]) -> Result<(), DeclarationError> {
    let names = || fields.iter().flat_map(|field| std::iter::once(&field.name).chain(&field.aliases));
    let twice = |alias: &&String| names().filter(|name| name == alias).count() > 1;
    match fields.iter().flat_map(|field| &field.aliases).find(twice) {
        Some(alias) => Err(DeclarationError::Alias(alias.clone())),
        None => Ok(()),
    }
}

fn field(json: &Value) -> Result<Field, DeclarationError> {
    let name = text_of(json, "name")?;
    let avro = json.get("type").ok_or_else(|| DeclarationError::Type(name.clone()))?;
    let (kind, nullable) = match avro {
        Value::Array(branches) => match branches.as_slice() {
            [Value::String(null), branch] if null == "null" => (kind(branch), true),
            _ => (None, true),
        },
        plain => (kind(plain), false),
    };
    let kind = kind.filter(|kind| !(nullable && *kind == Kind::TextList));
    let kind = kind.ok_or_else(|| DeclarationError::Type(name.clone()))?;
    let default = match json.get("default") {
        None => None,
        Some(default) => {
            Some(default_value(default, kind, nullable).ok_or_else(|| DeclarationError::Default(name.clone()))?)
        }
    };
    let aliases = if json.get("aliases").is_some() { texts(json, "aliases")? } else { Vec::new() };
    Ok(Field { kind, nullable, doc: text_of(json, "doc")?, aliases, default, name })
}

fn kind(avro: &Value) -> Option<Kind> {
    if let Some(primitive) = avro.as_str() {
        return Some(match primitive {
            "string" => Kind::Text,
            "long" => Kind::Long,
            "double" => Kind::Double,
            "bytes" => Kind::Bytes,
            _ => return None,
        });
    }
    let attribute = |name: &str| avro.get(name).and_then(Value::as_str);
    match (attribute("type")?, attribute("logicalType"), attribute("items")) {
        ("bytes", Some("decimal"), _) => is_decimal(avro).then_some(Kind::Decimal),
        ("string", Some("json"), _) => Some(Kind::Json),
        ("int", Some("date"), _) => Some(Kind::Date),
        ("long", Some("timestamp-micros"), _) => Some(Kind::Timestamp),
        ("array", None, Some("string")) => Some(Kind::TextList),
        _ => None,
    }
}

/// All decimals have one size, so that a value of one field fits into every other.
fn is_decimal(avro: &Value) -> bool {
    let is = |name: &str, number: u32| avro.get(name).and_then(Value::as_u64) == Some(number.into());
    is("scale", decimal::SCALE) && is("precision", decimal::SCALE + decimal::MAX_WHOLE_DIGITS)
}

fn list<'a>(json: &'a Value, name: &str) -> Result<&'a Vec<Value>, DeclarationError> {
    json.get(name).and_then(Value::as_array).ok_or_else(|| DeclarationError::Attribute(name.to_owned()))
}

fn texts(json: &Value, name: &str) -> Result<Vec<String>, DeclarationError> {
    list(json, name)?
        .iter()
        .map(|value| value.as_str().map(str::to_owned))
        .collect::<Option<_>>()
        .ok_or_else(|| DeclarationError::Attribute(name.to_owned()))
}

fn text_of(json: &Value, name: &str) -> Result<String, DeclarationError> {
    let text = json.get(name).and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| DeclarationError::Attribute(name.to_owned()))
}

fn number(json: &Value, name: &str) -> Result<u32, DeclarationError> {
    let number = json.get(name).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| DeclarationError::Attribute(name.to_owned()))
}
