//! Producers: poll the providers and publish their records.
//!
//! A source is data and one pure function per endpoint (the crate `sources`). A record passes [`poll`] (what is due),
//! [`fetch`] (HTTP and files), [`published`] (is it new?) and `deliver` (to Kafka); [`state`] is what the next process
//! needs.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

pub mod answer;
pub mod clock;
pub mod commands;
mod deliver;
mod events;
pub mod fetch;
pub mod meters;
pub mod poll;
pub mod progress;
pub mod published;
pub mod run;
pub mod seed;
pub mod state;
mod tally;
#[cfg(test)]
mod tests;
pub mod watchlist;
