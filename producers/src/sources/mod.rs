//! The sources. To add one: its file, a line in [`SOURCES`], a fixture.

pub mod cboe;
pub mod fred;
pub mod yahoo;

use crate::source::Source;

/// Every source there is.
pub const SOURCES: &[Source] = &[cboe::SOURCE, fred::SOURCE, yahoo::SOURCE];
