//! PostgreSQL's migrations, and the declarations' texts as comments.

use std::collections::HashMap;
use std::sync::LazyLock;

use contract::{Dataset, datasets};
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};

use super::Postgres;
use super::fault::{classify, migration_failed};
use crate::migrations::{self, migrator};
use crate::outcome::StoreError;
use crate::sql;

static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| migrator(migrations::POSTGRES));

/// The advisory lock for writing comments: any number that no other program uses.
const COMMENT_LOCK: i64 = 0x7461_7065_6465_636b;

impl Postgres {
    /// Brings the tables up to date.
    pub(super) async fn migrate_up(&self) -> Result<(), StoreError> {
        let mut connection = self.open().await?;
        // Another process may be migrating: wait for its lock until the statement's time limit, not just a few seconds.
        connection.execute("set lock_timeout = 0").await.map_err(classify)?;
        MIGRATOR.run(&mut connection).await.map_err(migration_failed)?;
        // One process after the other: PostgreSQL returns an error to one of two that comment on a table concurrently.
        let mut transaction = connection.begin().await.map_err(classify)?;
        let lock = sqlx::query("select pg_advisory_xact_lock($1)").bind(COMMENT_LOCK);
        lock.execute(&mut *transaction).await.map_err(classify)?;
        for dataset in datasets() {
            comment(&mut transaction, dataset).await.map_err(classify)?;
        }
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

/// Writes the declaration's texts as comments on the table and its columns, where the present ones differ.
async fn comment(connection: &mut PgConnection, dataset: &Dataset) -> sqlx::Result<()> {
    let query = "select attname::text, col_description(attrelid, attnum) from pg_attribute \
        where attrelid = $1::regclass and attnum > 0 union all select '', obj_description($1::regclass, 'pg_class')";
    let rows = sqlx::query(query).bind(&dataset.name).fetch_all(&mut *connection).await?;
    let present: HashMap<String, Option<String>> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    for (column, text) in sql::comments(dataset) {
        if present.get(column.unwrap_or_default()) == Some(&Some(text.clone())) {
            continue;
        }
        let target = match column {
            None => format!("table {}", dataset.name),
            Some(column) => format!("column {}.{column}", dataset.name),
        };
        let literal = text.replace('\'', "''");
        connection.execute(AssertSqlSafe(format!("comment on {target} is '{literal}'"))).await?;
    }
    Ok(())
}
