//! The types of a writer's schema, as a field of the dataset reads them.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::field::Kind;

/// Deepest nesting of types in a writer's schema.
const MAX_DEPTH: usize = 64;

/// The types of a writer's field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Avro {
    Null,
    /// A branch of a union that does not fit the field.
    Misfit,
    /// A type that the field reads as its own.
    Promoted(Box<Avro>),
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
    /// Its place in [`Types::records`], because a record can hold itself.
    Record(usize),
    /// With the number of its symbols.
    Enum(usize),
    Fixed(usize),
    Date,
    TimestampMicros,
    /// Digits after the point, in bytes.
    Decimal(u32),
    /// Digits after the point, and the length of the bytes.
    FixedDecimal(u32, usize),
    /// A type whose logical type gives its values another unit: it fits no field, and is skipped as the inner type.
    Foreign(Box<Avro>),
}

impl Avro {
    /// The type as a field of that kind reads it, by Avro's rules of schema resolution; None when it does not fit.
    ///
    /// A branch of a union that does not fit is an error of the record that has it, as in Avro, not of the schema.
    pub(super) fn resolved(self, kind: Kind, nullable: bool) -> Option<Avro> {
        match self {
            Avro::Null => nullable.then_some(Avro::Null),
            Avro::Union(branches) => {
                let resolved = |branch: Avro| branch.resolved(kind, nullable).unwrap_or(Avro::Misfit);
                let branches: Vec<Avro> = branches.into_iter().map(resolved).collect();
                let fits = |branch: &Avro| !matches!(branch, Avro::Null | Avro::Misfit);
                let is_null = branches.iter().all(|branch| *branch == Avro::Null);
                (is_null || branches.iter().any(fits)).then_some(Avro::Union(branches))
            }
            Avro::Array(items) if kind == Kind::TextList => match items.resolved(Kind::Text, false)? {
                Avro::Text => Some(Avro::Array(Box::new(Avro::Text))),
                items => Some(Avro::Promoted(Box::new(Avro::Array(Box::new(items))))),
            },
            plain if plain.is_of(kind) => Some(plain),
            other => other.promotes(kind).then(|| Avro::Promoted(Box::new(other))),
        }
    }

    /// Whether a declared field of that kind has this type, at any scale of a decimal.
    fn is_of(&self, kind: Kind) -> bool {
        match kind {
            Kind::Text | Kind::Json => *self == Avro::Text,
            Kind::Bytes => *self == Avro::Bytes,
            Kind::Long => *self == Avro::Long,
            Kind::Double => *self == Avro::Double,
            Kind::Date => *self == Avro::Date,
            Kind::Timestamp => *self == Avro::TimestampMicros,
            Kind::Decimal => matches!(self, Avro::Decimal(_)),
            Kind::TextList => false,
        }
    }

    /// Whether a value of this type can be read as that kind, which is not its own.
    ///
    /// A logical type is a unit, so it must be the field's. Avro would read any long as a time.
    fn promotes(&self, kind: Kind) -> bool {
        match kind {
            Kind::Text | Kind::Json => *self == Avro::Bytes,
            Kind::Bytes => *self == Avro::Text,
            Kind::Long => *self == Avro::Int,
            Kind::Double => matches!(self, Avro::Int | Avro::Long | Avro::Float),
            Kind::Decimal => matches!(self, Avro::FixedDecimal(..)),
            Kind::Date | Kind::Timestamp | Kind::TextList => false,
        }
    }
}

/// The named types of a writer's schema.
#[derive(Debug, Default)]
pub(super) struct Types {
    /// By full name. Enums and fixed types are copied to where they are used.
    names: HashMap<String, Avro>,
    /// The types of the fields of each record.
    pub(super) records: Vec<Vec<Avro>>,
}

impl Types {
    /// The names and types of the fields of a whole schema; the error says what is wrong with it.
    pub(super) fn fields(&mut self, schema: &Value) -> Result<Vec<(String, Avro)>, String> {
        let unnamed = || "it is not a record with named fields".to_owned();
        let object = schema.as_object().ok_or_else(unnamed)?;
        let json = object.get("fields").and_then(Value::as_array).ok_or_else(unnamed)?;
        let namespace = match text(object, "name") {
            None => String::new(),
            // The record can hold itself.
            Some(_) => self.declare(object, "", Avro::Record(0)).ok_or_else(unnamed)?,
        };
        self.records.push(Vec::new());
        let mut fields: Vec<(String, Avro)> = Vec::with_capacity(json.len());
        for field in json {
            let name = field.get("name").and_then(Value::as_str).ok_or_else(unnamed)?.to_owned();
            let unread = || format!("field `{name}` has a type that tapedeck does not read");
            let avro = field.get("type").and_then(|avro| self.parse(avro, &namespace, 0)).ok_or_else(unread)?;
            if fields.iter().any(|(other, _)| *other == name) {
                return Err(format!("it has two fields `{name}`"));
            }
            fields.push((name, avro));
        }
        self.records[0] = fields.iter().map(|(_, avro)| avro.clone()).collect();
        Ok(fields)
    }

    fn parse(&mut self, json: &Value, namespace: &str, depth: usize) -> Option<Avro> {
        if depth > MAX_DEPTH {
            return None;
        }
        match json {
            Value::String(name) => primitive(name).or_else(|| self.names.get(&full_name(name, namespace)).cloned()),
            Value::Array(branches) => {
                let branches = branches.iter().map(|branch| self.parse(branch, namespace, depth + 1));
                Some(Avro::Union(branches.collect::<Option<_>>()?))
            }
            Value::Object(object) => {
                let of_type = match object.get("type")?.as_str() {
                    None => self.parse(object.get("type")?, namespace, depth + 1)?,
                    Some(name) => self.complex(name, object, namespace, depth)?,
                };
                Some(logical(of_type, object))
            }
            _ => None,
        }
    }

    fn complex(&mut self, name: &str, object: &Map<String, Value>, namespace: &str, depth: usize) -> Option<Avro> {
        Some(match name {
            "array" => Avro::Array(Box::new(self.parse(object.get("items")?, namespace, depth + 1)?)),
            "map" => Avro::Map(Box::new(self.parse(object.get("values")?, namespace, depth + 1)?)),
            "enum" => {
                let avro = Avro::Enum(object.get("symbols")?.as_array()?.len());
                self.declare(object, namespace, avro.clone())?;
                avro
            }
            "fixed" => {
                let size = usize::try_from(object.get("size")?.as_u64()?).ok()?;
                self.declare(object, namespace, logical(Avro::Fixed(size), object))?;
                Avro::Fixed(size)
            }
            "record" => {
                let place = self.records.len();
                self.records.push(Vec::new());
                let namespace = self.declare(object, namespace, Avro::Record(place))?;
                let fields = object.get("fields")?.as_array()?.iter();
                let fields = fields.map(|field| self.parse(field.get("type")?, &namespace, depth + 1));
                self.records[place] = fields.collect::<Option<_>>()?;
                Avro::Record(place)
            }
            name => self.parse(&Value::String(name.to_owned()), namespace, depth)?,
        })
    }

    /// Gives a type its name, and returns its namespace; None when it has no name, or the name of another type.
    fn declare(&mut self, object: &Map<String, Value>, enclosing: &str, avro: Avro) -> Option<String> {
        let name = full_name(text(object, "name")?, text(object, "namespace").unwrap_or(enclosing));
        let namespace = name.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
        self.names.insert(name, avro).is_none().then_some(namespace)
    }
}

fn text<'a>(object: &'a Map<String, Value>, attribute: &str) -> Option<&'a str> {
    object.get(attribute).and_then(Value::as_str)
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

fn primitive(name: &str) -> Option<Avro> {
    Some(match name {
        "null" => Avro::Null,
        "boolean" => Avro::Boolean,
        "int" => Avro::Int,
        "long" => Avro::Long,
        "float" => Avro::Float,
        "double" => Avro::Double,
        "bytes" => Avro::Bytes,
        "string" => Avro::Text,
        _ => return None,
    })
}

/// A type with its logical type.
fn logical(avro: Avro, object: &Map<String, Value>) -> Avro {
    let Some(name) = text(object, "logicalType") else { return avro };
    let scale = || u32::try_from(object.get("scale").map_or(Some(0), Value::as_u64)?).ok();
    match (avro, name) {
        (Avro::Int, "date") => Avro::Date,
        (Avro::Long, "timestamp-micros") => Avro::TimestampMicros,
        (Avro::Bytes, "decimal") => scale().map_or(Avro::Foreign(Box::new(Avro::Bytes)), Avro::Decimal),
        (Avro::Fixed(size), "decimal") => scale().map_or(Avro::Fixed(size), |scale| Avro::FixedDecimal(scale, size)),
        // Another logical type means another unit: the value is not a plain number.
        (plain @ (Avro::Int | Avro::Long | Avro::Bytes), _) => Avro::Foreign(Box::new(plain)),
        (plain, _) => plain,
    }
}
