//! Indexes of hypertables. TimescaleDB builds none `concurrently`, but one chunk after the other, each in a transaction.
//!
//! Writers of a chunk wait while its index is built, and nobody else waits.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor as _};

use super::{LOCK_TIMEOUT, Reported, Session};
use crate::migrations::{Index, per_chunk};
use crate::outcome::StoreError;
use crate::postgres::fault::classify;

/// How long the build of an index may wait for the writers of a chunk. Giving up loses what is built, so it is longer
/// than [`LOCK_TIMEOUT`]. A consumer that waits behind it gives up its own statement after as long, and tries again.
const CHUNK_LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether TimescaleDB is there.
pub(super) const IS_INSTALLED: &str = "to_regclass('timescaledb_information.hypertables') is not null";

/// Whether a table is a hypertable, where TimescaleDB is installed.
pub(super) fn is_hypertable(table: &str) -> String {
    format!(
        "exists (select from timescaledb_information.hypertables \
         where to_regclass(format('%I.%I', hypertable_schema, hypertable_name)) = to_regclass('{table}'))"
    )
}

/// Whether the creation of an index was interrupted.
pub(super) fn is_invalid(index: &str) -> String {
    format!("exists (select from pg_index where indexrelid = to_regclass('{index}') and not indisvalid)")
}

impl Session<'_> {
    /// Whether a condition holds.
    pub(super) async fn holds(&mut self, condition: &str) -> Result<bool, StoreError> {
        let query = format!("select where {condition}");
        let found = self.connection.fetch_optional(AssertSqlSafe(query)).await;
        found.map(|row| row.is_some()).map_err(classify)
    }

    /// Whether the index is to be built on a hypertable.
    pub(super) async fn is_on_hypertable(&mut self, index: &Index) -> Result<bool, StoreError> {
        Ok(self.holds(IS_INSTALLED).await? && self.holds(&is_hypertable(&index.table)).await?)
    }

    /// Builds the index that the statement creates concurrently. A unique one is left to the next statement, which makes it the
    /// primary key (see `rules.rs`): TimescaleDB builds none chunk by chunk.
    pub(super) async fn chunk_by_chunk(
        &mut self,
        what: &str,
        index: &Index,
        statement: &str,
    ) -> Result<(), StoreError> {
        let Index { name, is_unique, .. } = index;
        if *is_unique {
            return Ok(());
        }
        let (create, drop) = (per_chunk(statement), format!("drop index concurrently if exists {name}"));
        let mut reported = Reported::default();
        loop {
            // `if not exists` takes what is half built for the index.
            if self.holds(&is_invalid(name)).await? {
                self.patiently(&format!("{what}, after an interruption"), &[&drop]).await?;
            }
            self.set_lock_timeout(CHUNK_LOCK_TIMEOUT).await?;
            self.built = Some(index.clone());
            let outcome = self.attempt(what, &[&create]).await;
            self.built = None;
            self.set_lock_timeout(LOCK_TIMEOUT).await?;
            let Err(error) = outcome else { return Ok(()) };
            self.obstructed(what, error, &mut reported).await?;
        }
    }
}
