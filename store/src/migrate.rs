//! Migrates a database, and says where it stands.

use std::path::Path;
use std::sync::Arc;

use crate::Database;
use crate::history;
use crate::migrations::{self, Loss, Migration, Report};
use crate::outcome::StoreError;

/// A migration, and whether the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Its number.
    pub version: i64,
    /// Its name.
    pub description: String,
    /// When it was applied, as the database says it; None: it is missing.
    pub applied_at: Option<String>,
    /// Whether this executable has it; otherwise a newer one applied it.
    pub is_known: bool,
}

/// A migration that going down reverts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reversion {
    /// Its number.
    pub version: i64,
    /// Its name.
    pub description: String,
    /// What it destroys, and the number of rows where a table goes.
    pub losses: Vec<(Loss, Option<u64>)>,
}

impl Database {
    /// The same database with the migrations of a folder instead of those of this executable. A test of upgrades takes
    /// the place of a newer executable with it.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub fn with_migrations(mut self, folder: &Path) -> std::io::Result<Database> {
        self.migrations = Arc::new(migrations::of_folder(folder)?);
        Ok(self)
    }

    /// Brings the tables up to date: applies the missing migrations, each in a transaction unless its file says that it
    /// needs none.
    ///
    /// Safe for concurrent processes: one applies the migrations, the others wait. Changes nothing when the tables are
    /// up to date, or newer. With PostgreSQL it also writes the declarations' texts as comments.
    ///
    /// It waits for locks as long as others hold them, but never keeps others waiting for long. If it is killed, the next
    /// call completes it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Halt`] when the database refuses a statement, or has migrations that do not fit this executable.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.migrate_to(None, &|_| {}).await
    }

    /// The same up to a migration, or all; reports progress.
    ///
    /// # Errors
    ///
    /// As [`Database::migrate`].
    pub async fn migrate_to(&self, to: Option<i64>, report: Report<'_>) -> Result<(), StoreError> {
        if let Some(to) = to {
            self.check_version(to)?;
        }
        self.backend.migrate(&self.migrations, to, report).await
    }

    /// Reverts the tables to that migration; 0 drops them all. The positions of each dropped table go with it, so that a
    /// consumer fills it again from the start of its topic.
    ///
    /// # Errors
    ///
    /// As [`Database::migrate`].
    pub async fn migrate_down(&self, to: i64, report: Report<'_>) -> Result<(), StoreError> {
        self.check_version(to)?;
        self.backend.migrate_down(&self.migrations, to, report).await
    }

    /// Creates the roles `tapedeck_owner`, `tapedeck_sink`, `tapedeck_api` and `tapedeck_reader`, and gives each the rights
    /// that it needs on our tables and views. Can be repeated.
    ///
    /// # Errors
    ///
    /// As [`Database::migrate`]; SQLite has no roles.
    pub async fn grant_roles(&self, report: Report<'_>) -> Result<(), StoreError> {
        self.backend.grant_roles(&self.migrations, report).await
    }

    /// Every migration that this executable or the database has.
    ///
    /// # Errors
    ///
    /// [`StoreError::Retry`] or [`StoreError::Halt`] when the database cannot be read.
    pub async fn migration_status(&self) -> Result<Vec<MigrationStatus>, StoreError> {
        let history = self.backend.history().await?;
        history::check(&self.migrations, &history)?;
        let ours = self.migrations.iter().map(|migration| MigrationStatus {
            version: migration.version,
            description: migration.description.clone(),
            applied_at: history.iter().find(|one| one.version == migration.version).map(|one| one.installed_on.clone()),
            is_known: true,
        });
        let is_theirs = |one: &&history::Applied| self.migrations.iter().all(|known| known.version != one.version);
        let theirs = history.iter().filter(is_theirs).map(|one| MigrationStatus {
            version: one.version,
            description: one.description.clone(),
            applied_at: Some(one.installed_on.clone()),
            is_known: false,
        });
        Ok(ours.chain(theirs).collect())
    }

    /// What [`Database::migrate_down`] would do, in its order. Counts the rows of tables that it would drop.
    ///
    /// # Errors
    ///
    /// As [`Database::migration_status`].
    pub async fn reversions(&self, to: i64) -> Result<Vec<Reversion>, StoreError> {
        self.check_version(to)?;
        let history = self.backend.history().await?;
        let mut reversions = Vec::new();
        for migration in history::surplus(&self.migrations, &history, to)? {
            let losses = self.counted(migration).await?;
            let Migration { version, description, .. } = migration.clone();
            reversions.push(Reversion { version, description, losses });
        }
        Ok(reversions)
    }

    async fn counted(&self, migration: &Migration) -> Result<Vec<(Loss, Option<u64>)>, StoreError> {
        let mut store = self.store("migrate");
        // Counting a large table can take minutes.
        if let Some(no_time_limit) = store.syntax().no_time_limit {
            store.rows(no_time_limit.to_owned(), &[]).await?;
        }
        let mut losses = Vec::new();
        for loss in migration.losses() {
            let rows = match &loss {
                Loss::Table(table) => {
                    let count = store.rows(format!("select cast(count(*) as text) as n from {table}"), &[]).await?;
                    count.into_iter().flatten().flatten().next().and_then(|count| count.parse().ok())
                }
                Loss::Rows(_) | Loss::Column(..) => None,
            };
            losses.push((loss, rows));
        }
        Ok(losses)
    }

    /// A script that migrates a database of this kind from one migration to another; the newest when None. It also does
    /// what [`Database::migrate`] does beside: [`Database::migration_status`] agrees afterwards. Does not connect.
    ///
    /// # Errors
    ///
    /// [`StoreError::Halt`]: there is no such migration.
    pub fn migration_script(&self, from: i64, to: Option<i64>) -> Result<String, StoreError> {
        let to = to.unwrap_or(self.newest_migration());
        self.check_version(from)?;
        self.check_version(to)?;
        Ok(self.backend.migration_script(&self.migrations, from, to))
    }

    /// The number of the newest migration that this executable has.
    #[must_use]
    pub fn newest_migration(&self) -> i64 {
        self.migrations.last().map_or(0, |migration| migration.version)
    }

    fn check_version(&self, version: i64) -> Result<(), StoreError> {
        let is_known = version == 0 || self.migrations.iter().any(|migration| migration.version == version);
        let newest = self.newest_migration();
        let unknown = || StoreError::Halt(format!("there is no migration {version}: choose 0 to {newest}"));
        if is_known { Ok(()) } else { Err(unknown()) }
    }
}
