//! What every executable needs at its edge: settings, Kafka, the schema registry, logging, shutdown. Knows no dataset.

pub mod kafka;
pub mod registry;
pub mod secret;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
