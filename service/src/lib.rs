//! What every executable needs at its edge: settings, Kafka, the schema registry, logging, shutdown. Knows no dataset.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

pub mod health;
pub mod kafka;
pub mod metrics;
pub mod registry;
pub mod secret;
mod server;
pub mod settings;
pub mod shutdown;
mod start;
pub mod telemetry;
pub mod watchdog;
