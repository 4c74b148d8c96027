//! SQLite's migrations.

use sqlx::Connection as _;

use super::Sqlite;
use super::fault::{classify, migration_failed};
use crate::outcome::StoreError;

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../migrations/sqlite");

impl Sqlite {
    /// Brings the tables up to date.
    pub(super) async fn migrate_up(&self) -> Result<(), StoreError> {
        let mut connection = self.open().await?;
        // In one transaction with the write lock: otherwise SQLite returns an error to one of two concurrent
        // migrations.
        let mut transaction = connection.begin_with("begin immediate").await.map_err(classify)?;
        MIGRATOR.run(&mut *transaction).await.map_err(migration_failed)?;
        transaction.commit().await.map_err(classify)?;
        connection.close().await.map_err(classify)
    }

    /// Reverts the tables to that migration.
    pub(super) async fn undo(&self, to: i64) -> Result<(), StoreError> {
        let mut connection = self.open().await?;
        MIGRATOR.undo(&mut connection, to).await.map_err(migration_failed)?;
        connection.close().await.map_err(classify)
    }
}
