//! What all parts of tapedeck agree on: datasets, records, the wire format, rules, validation and versions.
//!
//! Everything is derived from the declarations in `schemas/*.avsc`; `schemas/README.md` describes their grammar. The
//! crate is pure: it knows no runtime, network, clock, Kafka client or database.
//!
//! A producer works with types: it builds a [`Record`] and encodes it. A consumer works with data: it decodes messages
//! into [`Rows`], whatever the [`Dataset`], validates each row and folds a chunk to one row per key.
//!
//! # Example: one bar from a producer to a consumer
//!
//! ```
//! use chrono::{NaiveDate, TimeZone, Utc};
//! use contract::records::OhlcvBar;
//! use contract::{Decoder, Record, Rows, decode, encode, topic, validate};
//!
//! let dataset = contract::dataset("ohlcv_bar").expect("it is declared");
//! let start = Utc.with_ymd_and_hms(2025, 3, 3, 0, 0, 0).unwrap();
//! let received = Utc.with_ymd_and_hms(2025, 3, 3, 21, 15, 0).unwrap();
//!
//! // The producer builds a record; the compiler checks its fields.
//! let bar: Record = OhlcvBar {
//!     source: "yahoo".into(),
//!     symbol: "AAPL".into(),
//!     bar_interval: "1d".into(),
//!     ts_start: start,
//!     trading_date: NaiveDate::from_ymd_opt(2025, 3, 3).unwrap(),
//!     open: Some(241.5),
//!     high: Some(244.0),
//!     low: Some(236.25),
//!     close: 238.0,
//!     volume: Some(47_184_000.0),
//!     adjusted_close: Some(238.0),
//!     currency: Some("USD".into()),
//!     known_at: received,
//!     observed_at: received,
//!     flags: Vec::new(),
//! }
//! .into();
//!
//! // A message has a key, the natural key without the time, and a value: header and Avro body.
//! let mut message = Vec::new();
//! encode::put_header(dataset.schema_id, &mut message);
//! bar.encode(&mut message);
//! assert_eq!(topic::topic("tapedeck", dataset), "tapedeck.ohlcv_bar.v1");
//! assert_eq!(bar.message_key(), "yahoo|AAPL|1d");
//!
//! // The consumer decodes with the schema that the producer wrote with. Here it is the declaration itself.
//! let decoder = Decoder::new(dataset, &dataset.schema)?;
//! let mut rows = Rows::new(dataset);
//! let (_schema_id, body) = decode::split_header(&message)?;
//! decoder.decode(body, &mut rows)?;
//!
//! // It drops a row that is refused, and folds the rows of a chunk to one per key.
//! let now_micros = received.timestamp_micros();
//! if let Err(refusal) = validate::validate_last(dataset, &mut rows, now_micros) {
//!     println!("dead letter: {refusal}");
//!     rows.truncate(rows.len() - 1);
//! }
//! let folded = rows.fold(dataset, |_row| false);
//! assert_eq!(folded.len(), 1);
//! assert_eq!(rows.column(dataset.position("close").unwrap()).number(folded[0].row), Some(238.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

pub mod assumed;
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
pub mod settings;
pub mod text;
pub mod tombstone;
pub mod topic;
pub mod validate;
pub mod value;

pub use assumed::Assumed;
pub use column::Column;
pub use coordinate::{Coordinate, LastRecord};
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
