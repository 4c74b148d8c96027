//! Producers: what asks the providers, and publishes what they say.
//!
//! A source is data and one pure function per endpoint ([`source`], [`sources`]). The loop ([`poll`]), the requests
//! ([`fetch`]) and the delivery ([`publish`]) exist once.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

pub mod agenda;
mod alarm;
pub mod article;
pub mod ask;
mod asker;
pub mod backfill;
mod caught;
pub mod clock;
pub mod delete;
mod deliver;
pub mod fetch;
pub mod fingerprint;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod hostile;
pub mod json;
pub mod market;
pub mod memory;
pub mod meters;
pub mod occ;
pub mod page;
pub mod percent;
pub mod plan;
pub mod poll;
pub mod progress;
pub mod raw;
pub mod schedule;
pub mod seen;
pub mod sentiment;
pub mod sift;
pub mod source;
pub mod sources;
pub mod state;
pub mod status;
#[cfg(test)]
mod stub;
pub mod tail;
mod tally;
pub mod value;
pub mod watchlist;

pub use kafka::publish;
pub use sources::SOURCES;
