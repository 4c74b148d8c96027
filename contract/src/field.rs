//! The fields of a dataset: name, kind and nullability.

/// Separates the items of a list where a database takes the list as one text. No declaration holds it.
pub const LIST_SEPARATOR: char = '\u{1f}';

/// What a field holds. Nullability is the field's, not the kind's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text without NUL.
    Text,
    /// Signed 64-bit integer.
    Long,
    /// Finite IEEE 754 double.
    Double,
    /// Days since 1970-01-01.
    Date,
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp,
    /// Exact decimal number, see [`crate::decimal`].
    Decimal,
    /// JSON, see [`crate::json`].
    Json,
    /// Raw bytes.
    Bytes,
    /// List of texts, never null.
    TextList,
}

/// One field of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Name, the same in Avro, JSON and SQL.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Whether null is allowed.
    pub nullable: bool,
    /// Meaning and unit.
    pub doc: String,
}
