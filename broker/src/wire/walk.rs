//! The walk: checks a request's body against the shape table before `kafka-protocol` decodes it.
//!
//! The crate allocates arrays by the count on the wire, so five bytes could abort the process. The walk allocates
//! nothing. It refuses counts that the remaining bytes cannot hold, truncation, invalid UTF-8 and nulls where the
//! crate expects a value: the crate decodes whatever passes.

use std::fmt::{Display, Formatter};

use kafka_protocol::messages::ApiKey;

use super::shapes::{Field, Kind, shape};
use crate::limits::{MAX_ELEMENTS, MAX_UNKNOWN_TAGS};

/// Why the walk refused a body, and at which field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) field: &'static str,
    pub(super) reason: &'static str,
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "field `{}`: {}", self.field, self.reason)
    }
}

/// What a body holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Walked {
    /// Bytes of the message; Kafka and the broker ignore any bytes that follow.
    pub(super) bytes: usize,
    /// Elements of all arrays.
    pub(super) elements: usize,
}

/// Checks `body`, the bytes after the header of a request.
pub(super) fn walk(api: ApiKey, version: i16, body: &[u8]) -> Result<Walked, Refusal> {
    let Some(shape) = shape(api) else { return Err(Refusal { field: "header", reason: "no shape for this API" }) };
    let flexible = version >= shape.flexible;
    let mut walker = Walker { rest: body, version, flexible, field: "body", elements: 0, unknown_tags: 0 };
    walker.fields(shape.fields)?;
    Ok(Walked { bytes: body.len() - walker.rest.len(), elements: walker.elements })
}

/// Reads a request header after its first eight bytes: the client id and, in flexible versions, tagged fields.
/// Returns the client id and the number of bytes.
pub(super) fn header(api: ApiKey, version: i16, bytes: &[u8]) -> Result<(Option<&str>, usize), Refusal> {
    let flexible = api.request_header_version(version) >= 2;
    let mut walker = Walker { rest: bytes, version, flexible: false, field: "client_id", elements: 0, unknown_tags: 0 };
    let client_id = walker.text(true)?;
    if flexible {
        walker.tags(&[])?;
    }
    Ok((client_id, bytes.len() - walker.rest.len()))
}

struct Walker<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    /// The field that the walker is at.
    field: &'static str,
    elements: usize,
    unknown_tags: usize,
}

/// Most bytes of a variable-length `u32`.
const VARINT_BYTES: u32 = 5;

impl<'a> Walker<'a> {
    fn refuse<T>(&self, reason: &'static str) -> Result<T, Refusal> {
        Err(Refusal { field: self.field, reason })
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Refusal> {
        let Some((taken, rest)) = self.rest.split_at_checked(n) else { return self.refuse("truncated") };
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let Some((taken, rest)) = self.rest.split_first_chunk() else { return self.refuse("truncated") };
        self.rest = rest;
        Ok(*taken)
    }

    fn varint(&mut self) -> Result<u32, Refusal> {
        let mut value: u64 = 0;
        for i in 0..VARINT_BYTES {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                return match u32::try_from(value) {
                    Ok(value) => Ok(value),
                    Err(_) => self.refuse("invalid variable-length number"),
                };
            }
        }
        self.refuse("invalid variable-length number")
    }

    /// A length or count on the wire; `None` is null.
    fn length(&mut self, short: bool, null: bool) -> Result<Option<usize>, Refusal> {
        let length = if self.flexible {
            i64::from(self.varint()?) - 1
        } else if short {
            i64::from(i16::from_be_bytes(self.array()?))
        } else {
            i64::from(i32::from_be_bytes(self.array()?))
        };
        match length {
            -1 if null => Ok(None),
            -1 => self.refuse("null"),
            _ => match usize::try_from(length) {
                Ok(length) => Ok(Some(length)),
                Err(_) => self.refuse("negative length"),
            },
        }
    }

    fn text(&mut self, null: bool) -> Result<Option<&'a str>, Refusal> {
        let Some(length) = self.length(true, null)? else { return Ok(None) };
        match std::str::from_utf8(self.take(length)?) {
            Ok(text) => Ok(Some(text)),
            Err(_) => self.refuse("not UTF-8"),
        }
    }

    fn data(&mut self, null: bool) -> Result<(), Refusal> {
        if let Some(length) = self.length(false, null)? {
            self.take(length)?;
        }
        Ok(())
    }

    fn list(&mut self, of: &Kind, null: bool) -> Result<(), Refusal> {
        let Some(count) = self.length(false, null)? else { return Ok(()) };
        if count > self.rest.len() / smallest(of, self.version, self.flexible).max(1) {
            return self.refuse("more elements than bytes");
        }
        self.elements += count;
        if self.elements > MAX_ELEMENTS {
            return self.refuse("too many elements");
        }
        let field = self.field;
        for _ in 0..count {
            self.kind(of)?;
            self.field = field;
        }
        Ok(())
    }

    fn kind(&mut self, kind: &Kind) -> Result<(), Refusal> {
        match kind {
            Kind::Bool => self.take(1).map(drop),
            Kind::Fixed(bytes) => self.take(*bytes).map(drop),
            Kind::Text => self.text(false).map(drop),
            Kind::NullText => self.text(true).map(drop),
            Kind::Data => self.data(false),
            Kind::NullData => self.data(true),
            Kind::List(of) => self.list(of, false),
            Kind::NullList(of) => self.list(of, true),
            Kind::Struct(fields) => self.fields(fields),
        }
    }

    fn fields(&mut self, fields: &[Field]) -> Result<(), Refusal> {
        for field in fields {
            if let Some((name, kind)) = present(field, self.version) {
                self.field = name;
                self.kind(kind)?;
            }
        }
        if self.flexible { self.tags(fields) } else { Ok(()) }
    }

    /// Tagged fields. A known one must have exactly the announced size: the crate ignores that size.
    fn tags(&mut self, fields: &[Field]) -> Result<(), Refusal> {
        self.field = "tagged fields";
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let size = self.varint()? as usize;
            let known = fields.iter().find_map(|field| match field {
                Field::Tag(since, number, name, kind) if *number == tag => Some((*since, *name, kind)),
                _ => None,
            });
            let Some((since, name, kind)) = known else {
                self.unknown_tags += 1;
                if self.unknown_tags > MAX_UNKNOWN_TAGS {
                    return self.refuse("too many unknown tagged fields");
                }
                self.take(size)?;
                continue;
            };
            self.field = name;
            if self.version < since {
                return self.refuse("tag of a later version");
            }
            let before = self.rest.len();
            self.kind(kind)?;
            if before - self.rest.len() != size {
                return self.refuse("tagged field of another size");
            }
            self.field = "tagged fields";
        }
        Ok(())
    }
}

/// The field's name and type if `version` has it; `None` for tagged fields.
pub(super) fn present(field: &Field, version: i16) -> Option<(&'static str, &Kind)> {
    match field {
        Field::All(name, kind) => Some((name, kind)),
        Field::Since(first, name, kind) if version >= *first => Some((name, kind)),
        Field::Until(last, name, kind) if version <= *last => Some((name, kind)),
        Field::Between(first, last, name, kind) if (*first..=*last).contains(&version) => Some((name, kind)),
        _ => None,
    }
}

/// Fewest bytes of a value.
fn smallest(kind: &Kind, version: i16, flexible: bool) -> usize {
    match kind {
        Kind::Bool => 1,
        Kind::Fixed(bytes) => *bytes,
        Kind::Text | Kind::NullText => {
            if flexible {
                1
            } else {
                2
            }
        }
        Kind::Data | Kind::NullData | Kind::List(_) | Kind::NullList(_) => {
            if flexible {
                1
            } else {
                4
            }
        }
        Kind::Struct(fields) => {
            let fields = fields.iter().filter_map(|field| present(field, version));
            fields.map(|(_, kind)| smallest(kind, version, flexible)).sum::<usize>() + usize::from(flexible)
        }
    }
}

#[cfg(test)]
mod tests;
