//! The types of a writer's schema.

use serde_json::Value;

use crate::field::Kind;

/// Deepest nesting of a writer's schema.
const MAX_DEPTH: usize = 16;

/// The types of a writer's field that tapedeck reads or skips.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Avro {
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
    /// With its scale: digits after the point.
    Decimal(u32),
}

impl Avro {
    pub(super) fn parse(json: &Value, depth: usize) -> Option<Avro> {
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
            // Another logical type means another unit: the value is not a plain number.
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

    pub(super) fn fits(&self, kind: Kind, nullable: bool) -> bool {
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
