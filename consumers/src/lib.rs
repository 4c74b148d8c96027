//! Consumer groups: validate what is on the topics and upsert it, chunk by chunk, each with the next offset in one transaction.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

pub mod admit;
pub mod breaker;
pub mod consume;
pub mod dead_letters;
pub mod meters;
mod offsets;
pub mod original;
pub mod reader;
pub mod relay;
pub mod replay;
pub mod replay_command;
pub mod replay_range;
pub mod schemas;
pub mod sink;
pub mod verify;
mod writer;

pub use ::store;
pub use store::{chunk, dead_letter};
