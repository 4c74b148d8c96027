//! SQLite: one file, one writer at a time.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use chrono::Utc;
use contract::rows::Folded;
use contract::{Dataset, Rows};
use futures::future::{BoxFuture, LocalBoxFuture};
use futures::{FutureExt as _, TryStreamExt as _};
use service::secret::Secret;
use sqlx::sqlite::SqliteArguments;
use sqlx::{
    Arguments as _, AssertSqlSafe, Column as _, ConnectOptions as _, Executor as _, Row as _, SqlSafeStr as _,
    SqliteConnection, Statement as _, TypeInfo as _, ValueRef as _,
};

use crate::chunk::Chunk;
use crate::dialect::{Care, Dialect, Table};
use crate::fault::Fault;
use crate::migrations::{self, Migration, Report};
use crate::outcome::{StoreError, Upserted};
use crate::query::Found;
use crate::sql::{ColumnDeclaration, columns};
use crate::statements::Statements;
use crate::store::Tables;
use crate::syntax::Syntax;
use crate::text;

mod connection;
mod fault;
mod migrate;
mod parameters;
mod side;
mod sql;

use fault::fault;
use parameters::Parameters;

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
};

static STATEMENTS: LazyLock<Statements> = LazyLock::new(|| Statements::new(&SYNTAX));

/// Most rows per statement: enough to make its fixed cost negligible, few enough for SQLite's 32,766 parameters.
const ROWS_PER_STATEMENT: usize = 250;

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
        columns(dataset, sql::sql_type, "INTEGER")
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
        table: Table<'a>,
        rows: &'a Rows,
        folded: &'a [Folded],
    ) -> BoxFuture<'a, Result<Upserted, Fault>> {
        write_parts(connection, table, rows, folded).map(|written| written.map_err(fault)).boxed()
    }

    fn write_chunk<'a>(
        &'a mut self,
        connection: &'a mut SqliteConnection,
        chunk: &'a Chunk,
        folded: Vec<Folded>,
        _: Care,
    ) -> BoxFuture<'a, Result<Upserted, Fault>> {
        let table = (chunk.target.dataset, &*chunk.target.table);
        async move { self.write(connection, table, &chunk.rows, &folded).await }.boxed()
    }
}

/// Upserts folded rows, [`ROWS_PER_STATEMENT`] at a time.
///
/// SQLite works on a thread of its own. Meanwhile this one builds the parameters of the next statement.
async fn write_parts(
    connection: &mut SqliteConnection,
    table: Table<'_>,
    rows: &Rows,
    folded: &[Folded],
) -> sqlx::Result<Upserted> {
    let dataset = table.0;
    let mut parameters = Parameters::new(rows, dataset.fields.len());
    let (mut upserted, mut are_new) = (Upserted::default(), true);
    let mut parts = folded.chunks(ROWS_PER_STATEMENT);
    let mut next = parts.next().map(|part| (part, keys_and_versions(dataset, &mut parameters, part)));
    while let Some((part, keys)) = next.take() {
        // A replay finds nothing new, so nothing would use its parameters.
        let all = async { are_new.then(|| values(dataset, &mut parameters, part.iter())) };
        let (newer, all) = tokio::join!(newer(connection, table, part, keys?), all);
        let newer = newer?;
        are_new = newer.len() == part.len();
        let values = match all {
            Some(all) if are_new => Some(all),
            _ if newer.is_empty() => None,
            _ => Some(values(dataset, &mut parameters, newer.iter().map(|(row, _)| *row))),
        };
        let write = async {
            match values {
                Some(values) => write_part(connection, table, &newer, values?).await,
                None => Ok(Upserted::default()),
            }
        };
        let following = async { parts.next().map(|part| (part, keys_and_versions(dataset, &mut parameters, part))) };
        let (written, following) = tokio::join!(write, following);
        upserted += written?;
        next = following;
    }
    Ok(upserted)
}

/// The parameters of [`sql::newer_rows`].
fn keys_and_versions(
    dataset: &Dataset,
    parameters: &mut Parameters<'_>,
    part: &[Folded],
) -> sqlx::Result<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    for (place, row) in part.iter().enumerate() {
        arguments.add(place as i64).map_err(sqlx::Error::Encode)?;
        for field in dataset.key.iter().chain(&dataset.version_fields) {
            parameters.add(&mut arguments, *field, row.row).map_err(sqlx::Error::Encode)?;
        }
        arguments.add(row.version.2).map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// The parameters of [`sql::upsert`].
fn values<'a>(
    dataset: &Dataset,
    parameters: &mut Parameters<'_>,
    part: impl Iterator<Item = &'a Folded>,
) -> sqlx::Result<SqliteArguments> {
    let now: Arc<str> = text::of_time(Utc::now()).into();
    let mut arguments = SqliteArguments::default();
    for row in part {
        for field in 0..dataset.fields.len() {
            parameters.add(&mut arguments, field, row.row).map_err(sqlx::Error::Encode)?;
        }
        arguments.add(row.version.2).map_err(sqlx::Error::Encode)?;
        arguments.add(parameters.is_deleted(row.row)).map_err(sqlx::Error::Encode)?;
        arguments.add(Arc::clone(&now)).map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// Upserts rows that are newer than the stored ones, whose hashes come with them.
async fn write_part(
    connection: &mut SqliteConnection,
    (dataset, table): Table<'_>,
    newer: &[(&Folded, Option<i64>)],
    values: SqliteArguments,
) -> sqlx::Result<Upserted> {
    let mut seen = [0; 3];
    for (row, stored) in newer {
        seen[match stored {
            None => 0,
            Some(hash) if *hash != row.version.2 => 1,
            Some(_) => 2,
        }] += 1;
    }
    let statement = AssertSqlSafe(sql::upsert(dataset, table, newer.len()));
    let written = sqlx::query_with(statement, values).execute(connection).await?.rows_affected();
    Ok(Upserted { seen, written })
}

/// The rows with a higher version than the stored ones, each with the hash of the row that it replaces.
async fn newer<'a>(
    connection: &mut SqliteConnection,
    (dataset, table): Table<'_>,
    part: &'a [Folded],
    keys_and_versions: SqliteArguments,
) -> sqlx::Result<Vec<(&'a Folded, Option<i64>)>> {
    let query = AssertSqlSafe(sql::newer_rows(dataset, table, part.len()));
    let found: Option<String> = sqlx::query_scalar_with(query, keys_and_versions).fetch_one(connection).await?;
    let read = |pair: &str| {
        let (place, hash) = pair.split_once(':')?;
        let row = part.get(place.parse::<usize>().ok()?)?;
        let hash = if hash.is_empty() { None } else { Some(hash.parse().ok()?) };
        Some((row, hash))
    };
    let pairs = found.iter().flat_map(|pairs| pairs.split(','));
    pairs.map(|pair| read(pair).ok_or_else(|| sqlx::Error::Decode(pair.into()))).collect()
}
