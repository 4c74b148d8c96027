//! Producers: poll the providers and publish their records.
//!
//! A source is data and one pure function per endpoint ([`source`], [`sources`]). A record passes [`poll`] (what is due),
//! [`fetch`] (HTTP and files), [`published`] (is it new?) and `deliver` (to Kafka); [`state`] is what the next process needs.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

pub mod answer;
pub mod article;
mod caught;
pub mod clock;
pub mod commands;
mod deliver;
pub mod fetch;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod hostile;
pub mod json;
pub mod market;
pub mod meters;
pub mod occ;
pub mod page;
pub mod percent;
pub mod poll;
pub mod progress;
pub mod publish;
pub mod published;
pub mod raw;
mod reread;
pub mod run;
pub mod schedule;
pub mod seen;
pub mod sentiment;
pub mod source;
pub mod sources;
pub mod state;
#[cfg(test)]
mod stub;
#[cfg(test)]
mod testing;
pub mod value;
pub mod watchlist;

pub use sources::SOURCES;
