//! Consumer groups: validate what is on the topics and upsert it, chunk by chunk, each with the next offset in one transaction.

pub mod admit;
pub mod breaker;
pub mod chunk;
pub mod consume;
pub mod dead_letter;
pub mod original;
pub mod reader;
pub mod schemas;
pub mod sink;
pub mod store;
mod writer;
