//! The fields of a dataset: name, kind and nullability.

/// Separates the items of a list where a database receives the list as one text. No declaration contains it.
pub const LIST_SEPARATOR: char = '\u{1f}';

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Name, the same in Avro, JSON and SQL.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Whether null is allowed. Lists are never null.
    pub nullable: bool,
    /// Meaning, unit, and when it is null.
    pub doc: String,
}
