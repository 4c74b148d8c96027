//! Sources: what providers offer, when it is asked for, and how their responses are read.
//!
//! A source is data and one pure function per endpoint ([`source`], [`providers`]). Nothing here reaches the network, Kafka
//! or a database.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

mod dead_letter;
#[cfg(any(test, feature = "fixtures"))]
pub mod fixture;
pub mod market;
pub mod parse;
pub mod providers;
pub mod response;
pub mod schedule;
pub mod sentiment;
pub mod source;
pub mod time;

pub use providers::{SOURCES, source, source_among, variables};
