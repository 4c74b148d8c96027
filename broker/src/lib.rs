//! An embedded Kafka-compatible broker: one process with its data in one folder.
//!
//! | module | does |
//! |---|---|
//! | [`api`] | answers requests |
//! | [`clock`] | the time in Kafka's messages |
//! | [`daemon`] | runs the process |
//! | [`groups`] | consumer groups: members, waiting requests, committed offsets |
//! | [`limits`] | names every limit |
//! | [`wire`] | serves connections: frames, checks, responses in order |
//! | [`log`] | stores record batches in files |

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

pub mod api;
pub mod clock;
pub mod daemon;
mod group;
pub mod groups;
pub mod limits;
pub mod log;
mod offsets;
pub mod wire;
