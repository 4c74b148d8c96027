//! SQLite: one file, one writer at a time.

use std::sync::LazyLock;
use std::time::Duration;

use contract::Dataset;
use contract::rows::Folded;
use futures::future::{BoxFuture, LocalBoxFuture};
use futures::{FutureExt as _, TryStreamExt as _};
use service::secret::Secret;
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions as _, Executor as _, Row as _, SqlSafeStr as _, SqliteConnection,
    Statement as _, TypeInfo as _, ValueRef as _,
};

use crate::as_of;
use crate::chunk::Incoming;
use crate::dialect::{Care, Dialect};
use crate::fault::Fault;
use crate::migrations::{self, Migration, Report};
use crate::outcome::{StoreError, Upserted};
use crate::query::Found;
use crate::sql::{ColumnDeclaration, columns};
use crate::statements::Statements;
use crate::store::Tables;
use crate::syntax::Syntax;

mod connection;
mod fault;
mod migrate;
mod parameters;
mod rows;
mod side;
mod sql;

use fault::fault;

static SYNTAX: Syntax = Syntax {
    // Take the write lock at once: a transaction that starts by reading cannot wait for it later.
    begin: "BEGIN IMMEDIATE",
    now: "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')",
    time: str::to_owned,
    read: |_, column| column.to_owned(),
    texts: |parameter| format!("json_each({parameter}) as name"),
    items: |parameter| format!("json_each({parameter}) as name"),
    lock_outbox: "",
    lock_quarantines: "",
    hold_outbox: None,
    mixed: |offset| format!("((({offset}) % 2147483647) * (({offset}) % 2147483629) % 1099511627689)"),
    judge_at_once: None,
    unpack: None,
    // Two that hash the same rows do no harm.
    rehash_alone: &[],
    compact_alone: None,
    no_time_limit: None,
    table_exists: "select '1' from sqlite_schema where type = 'table' and name = $1",
    exchange: side::EXCHANGE,
    views: "select name from sqlite_schema where type = 'view'",
    as_of: as_of::in_sqlite,
    timescale: None,
};

static STATEMENTS: LazyLock<Statements> = LazyLock::new(|| Statements::new(&SYNTAX));

/// A SQLite file.
#[derive(Debug, Clone)]
pub(crate) struct Sqlite {
    address: Secret,
}

impl Sqlite {
    pub(crate) fn new(address: Secret) -> Sqlite {
        Sqlite { address }
    }

    /// Runs a user's query.
    async fn find(&self, query: &str, limit: usize) -> Result<Found, StoreError> {
        // The statement is the user's: what the database says of it is enough.
        let failed = |error: sqlx::Error| {
            let said = error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
            StoreError::Halt(format!("the query failed: {said}"))
        };
        let mut connection = self.options()?.read_only(true).connect().await.map_err(|error| {
            StoreError::Halt(format!("cannot open database `{}`: {}", self.shown(), fault(error).reason()))
        })?;
        let statement = connection.prepare(AssertSqlSafe(query.to_owned()).into_sql_str()).await.map_err(failed)?;
        let columns = statement.columns().iter().map(|column| column.name().to_owned()).collect();
        let mut found = Found { columns, ..Found::default() };
        let mut rows = statement.query().fetch(&mut connection);
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            found.is_cut = found.rows.len() == limit;
            if found.is_cut {
                break;
            }
            let is_text = |at: &usize| {
                row.try_get_raw(*at).is_ok_and(|value| !value.is_null() && is_text(value.type_info().name()))
            };
            found.texts.extend((0..row.len()).filter(is_text));
            found.rows.push(connection::line(&row).into_texts());
        }
        drop(rows);
        Ok(found)
    }
}

/// Whether a value of this type is no number.
fn is_text(type_name: &str) -> bool {
    !matches!(type_name, "INTEGER" | "REAL")
}

impl Dialect for Sqlite {
    type Connection = SqliteConnection;

    const NAME: &'static str = "sqlite";
    const MIGRATIONS: &'static [(&'static str, &'static str)] = migrations::SQLITE;
    const MAX_WRITERS: usize = 1;
    const SHARES_CONNECTION: bool = true;
    const ATTEMPT_TIMEOUT: Option<Duration> = None;
    const SNAPSHOT_TIMEOUT: Option<Duration> = None;
    const POSITIONS_TIMEOUT: Option<Duration> = None;

    fn syntax() -> &'static Syntax {
        &SYNTAX
    }

    fn statements() -> &'static Statements {
        &STATEMENTS
    }

    fn tables() -> &'static dyn Tables {
        &side::SideTables
    }

    fn columns(dataset: &Dataset) -> Vec<ColumnDeclaration> {
        columns(dataset, sql::sql_type, ["INTEGER"; 2])
    }

    fn with_role(&self, _: &str) -> Sqlite {
        self.clone()
    }

    fn connect(&self) -> BoxFuture<'_, Result<SqliteConnection, StoreError>> {
        self.open().boxed()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<SqliteConnection, StoreError>> {
        self.open_snapshot().boxed()
    }

    fn query<'a>(&'a self, query: &'a str, limit: usize) -> BoxFuture<'a, Result<Found, StoreError>> {
        self.find(query, limit).boxed()
    }

    fn migrate<'a>(
        &'a self,
        migrations: &'a [Migration],
        to: Option<i64>,
        report: Report<'a>,
    ) -> LocalBoxFuture<'a, Result<(), StoreError>> {
        self.migrate_up(migrations, to, report).boxed_local()
    }

    fn migrate_down<'a>(
        &'a self,
        migrations: &'a [Migration],
        to: i64,
        report: Report<'a>,
    ) -> LocalBoxFuture<'a, Result<(), StoreError>> {
        self.undo(migrations, to, report).boxed_local()
    }

    fn grant_roles<'a>(&'a self, _: &'a [Migration], _: Report<'a>) -> LocalBoxFuture<'a, Result<(), StoreError>> {
        let reason = "SQLite has no roles: the rights on its file decide who reads and writes";
        async move { Err(StoreError::Halt(reason.to_owned())) }.boxed_local()
    }

    fn migration_script(migrations: &[Migration], from: i64, to: i64) -> String {
        migrate::script(migrations, from, to)
    }

    fn write<'a>(
        &'a mut self,
        connection: &'a mut SqliteConnection,
        incoming: Incoming<'a>,
        folded: &'a [Folded],
    ) -> BoxFuture<'a, Result<Upserted, Fault>> {
        rows::write(connection, incoming, folded).map(|written| written.map_err(fault)).boxed()
    }

    fn keep<'a>(
        &'a mut self,
        connection: &'a mut SqliteConnection,
        incoming: Incoming<'a>,
        versions: &'a [Folded],
    ) -> BoxFuture<'a, Result<u64, Fault>> {
        let written = rows::write(connection, incoming, versions);
        async move { Ok(written.await.map_err(fault)?.kept) }.boxed()
    }

    fn write_chunk<'a>(
        &'a mut self,
        connection: &'a mut SqliteConnection,
        incoming: Incoming<'a>,
        folded: Vec<Folded>,
        _: Care,
    ) -> BoxFuture<'a, Result<Upserted, Fault>> {
        async move { self.write(connection, incoming, &folded).await }.boxed()
    }
}
