//! The sources. To add one: its file, a line in [`SOURCES`], a fixture.

pub mod cboe;
pub mod eodhd;
pub mod file;
pub mod fmp;
pub mod fred;
pub mod ici;
pub mod newsapi;
pub mod sec_edgar;
pub mod yahoo;

use crate::source::Source;

/// Every source there is.
pub const SOURCES: &[Source] = &[
    cboe::SOURCE,
    eodhd::SOURCE,
    file::SOURCE,
    fmp::SOURCE,
    fred::SOURCE,
    ici::SOURCE,
    newsapi::SOURCE,
    sec_edgar::SOURCE,
    yahoo::SOURCE,
];
