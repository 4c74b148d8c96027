//! Sinks that have halted, and why: `verify` and an operator read it when the process is long gone.

use crate::outcome::StoreError;
use crate::store::Store;

/// Records that a sink has halted.
///
/// # Errors
///
/// [`StoreError::Retry`] when the database is unavailable.
pub async fn record(store: &mut dyn Store, sink: &str, reason: &str) -> Result<(), StoreError> {
    let insert = format!(
        "insert into sink_halt (sink, reason, halted_at) values ($1, $2, {}) on conflict (sink) \
         do update set reason = excluded.reason, halted_at = excluded.halted_at",
        store.syntax().now
    );
    // PostgreSQL stores no NUL, and a reason can quote a message.
    store.rows(insert, &[sink, &reason.replace('\0', "\u{fffd}")]).await.map(drop)
}

/// Records that a sink runs.
///
/// # Errors
///
/// [`StoreError::Retry`] when the database is unavailable.
pub async fn clear(store: &mut dyn Store, sink: &str) -> Result<(), StoreError> {
    store.rows("delete from sink_halt where sink = $1".to_owned(), &[sink]).await.map(drop)
}
