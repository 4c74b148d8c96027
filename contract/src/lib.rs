//! What tapedeck's parts agree on: datasets, records, wire format and validation, all derived from `schemas/*.avsc`.
//!
//! Pure: no runtime, network or clock. See `schemas/README.md` for the grammar of a declaration.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

pub mod column;
pub mod coordinate;
pub mod dataset;
pub mod decimal;
pub mod declarations;
pub mod decode;
pub mod encode;
pub mod field;
mod fold;
pub mod invariant;
pub mod json;
pub mod original;
pub mod records;
pub mod rows;
pub mod rule;
pub mod text;
pub mod tombstone;
pub mod topic;
pub mod validate;
pub mod value;

pub use column::Column;
pub use coordinate::Coordinate;
pub use dataset::Dataset;
pub use declarations::{dataset, datasets};
pub use decode::{DecodeError, Decoder};
pub use field::{Field, Kind};
pub use invariant::Invariant;
pub use original::Original;
pub use records::Record;
pub use rows::Rows;
pub use rust_decimal::Decimal;
pub use text::Text;
pub use value::Value;

/// The two halves of the wire format under the name that they had together.
pub mod codec {
    pub use crate::decode::{DecodeError, Decoder, SchemaError, split_header};
    pub use crate::encode::*;
}
