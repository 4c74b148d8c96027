//! Producers: what asks the providers, and publishes what they say.
//!
//! A source is data and one pure function per endpoint ([`source`], [`sources`]). The loop ([`poll`]), the requests
//! ([`fetch`]) and the delivery ([`publish`]) exist once.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

pub mod article;
pub mod ask;
mod caught;
pub mod delete;
mod deliver;
pub mod fetch;
#[cfg(test)]
mod fixture;
pub mod json;
pub mod meters;
pub mod occ;
pub mod page;
pub mod percent;
pub mod poll;
pub mod progress;
pub mod publish;
pub mod raw;
mod reread;
pub mod seen;
pub mod sentiment;
pub mod source;
pub mod sources;
#[cfg(test)]
mod stub;
pub mod value;
pub mod watchlist;

pub use sources::SOURCES;
