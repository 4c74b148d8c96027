//! What tapedeck's parts agree on: datasets, records, wire format and validation, all derived from `schemas/*.avsc`.
//!
//! Pure: no runtime, network or clock. See `schemas/README.md` for the grammar of a declaration.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

pub mod codec;
pub mod coordinate;
pub mod dataset;
pub mod decimal;
pub mod json;
pub mod original;
pub mod records;
pub mod rows;
pub mod rule;
pub mod text;
pub mod tombstone;
pub mod topic;
pub mod validate;

pub use codec::{DecodeError, Decoder};
pub use coordinate::{Coordinate, LastRecord};
pub use dataset::{Dataset, Field, Kind, dataset, datasets};
pub use original::Original;
pub use records::Record;
pub use rows::{Column, Rows, Value};
pub use rust_decimal::Decimal;
pub use text::Text;
