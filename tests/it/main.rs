//! One integration binary; each module is a family of promises.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod codec;
mod compose;
mod conformance;
mod declared;
mod derived;
mod fold;
mod interop;
mod pipeline;
mod rules;
mod samples;
mod tidy;
mod up;
