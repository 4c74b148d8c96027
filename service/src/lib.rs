//! What every executable needs at its edge: settings, secrets, TLS, health, logging, shutdown. Knows no dataset.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

pub mod health;
pub mod metrics;
pub mod secret;
mod server;
pub mod settings;
pub mod shutdown;
mod start;
pub mod telemetry;
pub mod tls;
pub mod watchdog;
