//! The edge of every executable: settings, secrets, TLS, logging, shutdown, health and metrics. Knows no dataset.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

pub mod arguments;
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
