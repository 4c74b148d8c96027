//! Producers: what asks the providers, and publishes what they say.
//!
//! A source is data and one pure function per endpoint (the crate `sources`). The loop ([`poll`]), the requests
//! ([`fetch`]) and the delivery ([`publish`]) exist once.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

pub mod agenda;
mod alarm;
pub mod ask;
mod asker;
pub mod backfill;
pub mod clock;
pub mod delete;
mod deliver;
pub mod fetch;
pub mod fingerprint;
#[cfg(test)]
mod hostile;
pub mod memory;
pub mod meters;
pub mod plan;
pub mod poll;
pub mod progress;
pub mod publish;
mod reread;
pub mod sift;
pub mod state;
pub mod status;
#[cfg(test)]
mod stub;
pub mod tail;
mod tally;
pub mod watchlist;

// The paths of before the crate `sources`, until nothing imports them.
#[cfg(test)]
pub(crate) use ::sources::fixture;
pub use ::sources::{SOURCES, market, schedule};

/// What is now in `sources::source`, `sources::response` and at the top of `sources`.
pub mod source {
    pub use ::sources::response::*;
    pub use ::sources::source::*;
    pub use ::sources::{source, source_among, variables};
}

/// What is now in `sources::parse` and `sources::time`.
pub mod page {
    pub use ::sources::parse::body::*;
    pub use ::sources::parse::date::*;
    pub use ::sources::parse::fault::*;
    pub use ::sources::parse::lines::*;
    pub use ::sources::time::*;
}

/// What is now in `sources::providers`.
pub mod sources {
    pub use ::sources::providers::*;
}

/// What is now in `sources::parse::percent`.
pub mod percent {
    pub use ::sources::parse::percent::*;
}
