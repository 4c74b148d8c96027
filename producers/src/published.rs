//! What is already published: filters it out of new pages, and recovers it from Kafka after a crash.

pub mod filter;
pub mod fingerprint;
pub mod index;
pub mod recover;
