//! The front door: `tapedeck up`, which runs everything on one machine, and the commands beside it.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

mod commands;
pub mod deck;
mod folder;

pub use commands::main;
