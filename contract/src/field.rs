//! The fields of a dataset: name, kind and nullability.

use serde_json::Value as Json;

use crate::decimal;
use crate::value::Value;

/// What a field holds. Whether null is allowed belongs to the [`Field`], not to the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text without a NUL character.
    Text,
    /// Signed 64-bit integer.
    Long,
    /// Finite IEEE 754 double: neither NaN nor infinite.
    Double,
    /// Days since 1970-01-01, in 32 bits.
    Date,
    /// Microseconds since 1970-01-01T00:00:00Z, in 64 bits.
    Timestamp,
    /// Exact decimal number, see [`crate::decimal`].
    Decimal,
    /// JSON, see [`crate::json`].
    Json,
    /// Raw bytes.
    Bytes,
    /// List of texts; empty instead of null.
    TextList,
}

/// One field of a dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Name, the same in Avro, JSON and SQL.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Whether null is allowed. Lists are never null.
    pub nullable: bool,
    /// Meaning, unit, and when it is null.
    pub doc: String,
    /// Names that the field had in earlier versions.
    pub aliases: Vec<String>,
    /// Its value in records of a version that does not have it.
    pub default: Option<Value>,
}

/// The default of a field, as Avro writes it: bytes are a text of the characters U+0000 to U+00FF.
///
/// None when it is not a value of that kind.
pub(crate) fn default_value(json: &Json, kind: Kind, nullable: bool) -> Option<Value> {
    if nullable {
        return json.is_null().then_some(Value::Null);
    }
    let bytes = || json.as_str()?.chars().map(|one| u8::try_from(one).ok()).collect::<Option<Vec<u8>>>();
    Some(match kind {
        Kind::Text | Kind::Json => Value::Text(json.as_str()?.into()),
        Kind::Long | Kind::Timestamp => Value::Long(json.as_i64()?),
        Kind::Double => Value::Double(json.as_f64()?),
        Kind::Date => Value::Date(i32::try_from(json.as_i64()?).ok()?),
        Kind::Decimal => Value::Decimal(decimal::read(&bytes()?, decimal::SCALE)?),
        Kind::Bytes => Value::Bytes(bytes()?),
        Kind::TextList => {
            let texts = json.as_array()?.iter().map(|item| item.as_str().map(str::to_owned));
            Value::TextList(texts.collect::<Option<_>>()?)
        }
    })
}
