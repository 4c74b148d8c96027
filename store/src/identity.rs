//! The identity of a database: a random name that a migration gives it. A restored backup and a promoted replica keep it.

use crate::outcome::StoreError;
use crate::store::Store;

/// The identity of the database.
///
/// # Errors
///
/// [`StoreError::Retry`] when the database is unavailable; [`StoreError::Halt`] when it has none.
pub async fn read(store: &mut dyn Store) -> Result<String, StoreError> {
    let rows = store.rows("select database_id from sink_identity".to_owned(), &[]).await?;
    rows.into_iter()
        .flatten()
        .flatten()
        .next()
        .ok_or_else(|| StoreError::Halt("table `sink_identity` has no row: insert (1, any random text)".to_owned()))
}
