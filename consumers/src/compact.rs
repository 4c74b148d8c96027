//! Compacts the ledger beside the sinks: it would otherwise grow with every chunk.

use std::time::Duration;

use chrono::Utc;
use store::Database;

use crate::reminder::Reminder;

/// How often the ledger is compacted. A day has an entry per chunk anyway, so that this adds little to it.
const INTERVAL: Duration = Duration::from_secs(600);

/// Compacts the ledger now and every ten minutes. Never ends; it can be dropped at any time.
///
/// Each consumer does this for all sinks of its database. They share the work, or wait for another turn.
pub(crate) async fn keep_compact(database: &Database) {
    let mut reminder = Reminder::default();
    loop {
        match database.compact_ledger(Utc::now()).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "old entries of the ledger are merged"),
            Err(error) if reminder.is_due_for(&error.to_string()) => {
                tracing::warn!(%error, "cannot compact the ledger, retrying in {} s", INTERVAL.as_secs());
            }
            Err(_) => {}
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
