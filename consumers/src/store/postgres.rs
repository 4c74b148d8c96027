//! PostgreSQL, with or without TimescaleDB.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Days, NaiveDate, Utc};
use contract::rows::Folded;
use contract::{Column, Dataset, Rows, datasets, sql};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use service::secret::{Secret, without_credentials};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgDatabaseError};
use sqlx::{
    Arguments as _, AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection, Row as _,
};

use super::statements::{POSTGRES, about, ledger_row, outcome, position, total};
use super::{Outcome, Position, Store, StoreError, Total};
use crate::chunk::Chunk;

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../migrations/postgres");

/// Settings of every session. The server ends what hangs, because a client that gives up on a statement cannot know
/// what became of it; and a consumer that is stopped in mid-transaction must not hold its locks for ever.
const SESSION: &[(&str, &str)] = &[
    ("statement_timeout", "30s"),
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "30s"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_user_timeout", "15000"),
    ("synchronous_commit", "on"),
];

/// Names the lock under which comments are written; any number that nobody else uses.
const COMMENT_LOCK: i64 = 0x7461_7065_6465_636b;

/// One connection, opened when it is needed.
pub(super) struct Postgres {
    address: Secret,
    role: String,
    connection: Option<PgConnection>,
    upserts: HashMap<&'static str, Arc<str>>,
}

impl Postgres {
    pub(super) fn new(address: Secret, role: &str) -> Postgres {
        Postgres { address, role: role.to_owned(), connection: None, upserts: HashMap::new() }
    }

    /// The connection, taken out: whoever does not put it back after an error has closed it. A connection on which
    /// something failed is never used again, so that no statement can run in a transaction that is already lost.
    async fn take(&mut self) -> Result<PgConnection, StoreError> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => connect(&self.address, &self.role).await,
        }
    }

    fn upsert(&mut self, dataset: &'static Dataset) -> Arc<str> {
        self.upserts.entry(&dataset.name).or_insert_with(|| sql::postgres_upsert(dataset).into()).clone()
    }

    async fn commit_chunk(&mut self, chunk: &Chunk) -> Result<Outcome, StoreError> {
        let dead_letter = contract::dataset("dead_letter").expect("it is declared");
        let (upsert, upsert_dead) = (self.upsert(chunk.dataset), self.upsert(dead_letter));
        let mut connection = self.take().await?;
        let mut transaction = connection.begin().await.map_err(classify)?;
        if !move_position(&mut transaction, chunk).await.map_err(classify)? {
            transaction.rollback().await.map_err(classify)?;
            let outcome = committed_before(&mut connection, chunk).await.map_err(classify)?;
            self.connection = Some(connection);
            return outcome.ok_or_else(|| StoreError::Fenced { partition: chunk.partition.clone() });
        }
        let (seen, written) = write(&mut transaction, upsert, chunk.dataset, &chunk.rows).await.map_err(classify)?;
        write(&mut transaction, upsert_dead, dead_letter, &chunk.dead_letters).await.map_err(classify)?;
        let outcome = Outcome::of_upsert(chunk, seen, written);
        // Last before COMMIT: PostgreSQL answers the COMMIT of a failed transaction without an error, but this would fail.
        insert_ledger(&mut transaction, chunk, &outcome).await.map_err(classify)?;
        transaction.commit().await.map_err(classify)?;
        self.connection = Some(connection);
        Ok(outcome)
    }
}

impl Store for Postgres {
    fn positions<'a>(&'a mut self, sink: &'a str, topic: &'a str) -> BoxFuture<'a, Result<Vec<Position>, StoreError>> {
        async move {
            let mut connection = self.take().await?;
            let query = sqlx::query(POSTGRES.positions.as_str()).bind(sink).bind(topic);
            let rows = query.fetch_all(&mut connection).await.map_err(classify)?;
            self.connection = Some(connection);
            Ok(rows.iter().map(position).collect())
        }
        .boxed()
    }

    fn commit<'a>(&'a mut self, chunk: &'a Chunk) -> BoxFuture<'a, Result<Outcome, StoreError>> {
        self.commit_chunk(chunk).boxed()
    }

    fn totals(&mut self) -> BoxFuture<'_, Result<Vec<Total>, StoreError>> {
        async move {
            let mut connection = self.take().await?;
            let rows = sqlx::query(POSTGRES.totals.as_str()).fetch_all(&mut connection).await.map_err(classify)?;
            self.connection = Some(connection);
            Ok(rows.iter().map(total).collect())
        }
        .boxed()
    }
}

/// Moves the position from the chunk's beginning to its end; false when it is somewhere else.
async fn move_position(connection: &mut PgConnection, chunk: &Chunk) -> sqlx::Result<bool> {
    let moved = about(&POSTGRES.move_position, chunk).execute(&mut *connection).await?;
    if moved.rows_affected() == 1 {
        return Ok(true);
    }
    Ok(about(&POSTGRES.first_position, chunk).execute(connection).await?.rows_affected() == 1)
}

/// The outcome in the ledger, when this very chunk was committed by an attempt whose answer was lost.
async fn committed_before(connection: &mut PgConnection, chunk: &Chunk) -> sqlx::Result<Option<Outcome>> {
    let row = about(&POSTGRES.committed, chunk).fetch_optional(connection).await?;
    Ok(row.map(|row| outcome(&row, 0)))
}

async fn insert_ledger(connection: &mut PgConnection, chunk: &Chunk, outcome: &Outcome) -> sqlx::Result<()> {
    ledger_row(&POSTGRES.insert_ledger, chunk, outcome).execute(connection).await?;
    Ok(())
}

/// Upserts rows; gives how many were seen as new, changed and unchanged, and how many were written.
async fn write(
    connection: &mut PgConnection,
    upsert: Arc<str>,
    dataset: &'static Dataset,
    rows: &Rows,
) -> sqlx::Result<([u64; 3], u64)> {
    if rows.is_empty() {
        return Ok(([0; 3], 0));
    }
    let arguments = arguments(dataset, rows, &rows.fold(dataset)).map_err(sqlx::Error::Encode)?;
    let row = sqlx::query_with(AssertSqlSafe(upsert), arguments).fetch_one(connection).await?;
    let count = |at: usize| row.try_get::<i64, _>(at).map(i64::cast_unsigned);
    Ok(([count(0)?, count(1)?, count(2)?], count(3)?))
}

fn arguments(dataset: &Dataset, rows: &Rows, folded: &[Folded]) -> Result<PgArguments, sqlx::error::BoxDynError> {
    let mut arguments = PgArguments::default();
    for position in 0..dataset.fields.len() {
        add(&mut arguments, rows.column(position), folded)?;
    }
    arguments.add(folded.iter().map(|row| row.version.2).collect::<Vec<i64>>())?;
    match dataset.time.map(|time| rows.column(time)) {
        Some(Column::Timestamp(values)) => {
            let (least, greatest) = span(folded.iter().filter_map(|row| values[row.row]));
            arguments.add(timestamp(least))?;
            arguments.add(timestamp(greatest))?;
        }
        Some(Column::Date(values)) => {
            let (least, greatest) = span(folded.iter().filter_map(|row| values[row.row]));
            arguments.add(date(least))?;
            arguments.add(date(greatest))?;
        }
        _ => {}
    }
    Ok(arguments)
}

fn span<T: Ord + Copy + Default>(values: impl Iterator<Item = T>) -> (T, T) {
    values
        .fold(None, |span: Option<(T, T)>, value| {
            let (least, greatest) = span.unwrap_or((value, value));
            Some((least.min(value), greatest.max(value)))
        })
        .unwrap_or_default()
}

fn add(arguments: &mut PgArguments, column: &Column, folded: &[Folded]) -> Result<(), sqlx::error::BoxDynError> {
    let rows = folded.iter().map(|row| row.row);
    match column {
        Column::Text(values) => arguments.add(rows.map(|row| values[row].as_deref()).collect::<Vec<_>>()),
        Column::Long(values) => arguments.add(rows.map(|row| values[row]).collect::<Vec<_>>()),
        Column::Double(values) => arguments.add(rows.map(|row| values[row]).collect::<Vec<_>>()),
        Column::Bytes(values) => arguments.add(rows.map(|row| values[row].as_deref()).collect::<Vec<_>>()),
        Column::Date(values) => arguments.add(rows.map(|row| values[row].map(date)).collect::<Vec<_>>()),
        Column::Timestamp(values) => arguments.add(rows.map(|row| values[row].map(timestamp)).collect::<Vec<_>>()),
        Column::TextList(values) => {
            let separator = sql::LIST_SEPARATOR.to_string();
            arguments.add(rows.map(|row| values[row].join(&separator)).collect::<Vec<_>>())
        }
    }
}

pub(super) fn date(days: i32) -> NaiveDate {
    let epoch = DateTime::UNIX_EPOCH.date_naive();
    let distance = Days::new(days.unsigned_abs().into());
    let date = if days < 0 { epoch.checked_sub_days(distance) } else { epoch.checked_add_days(distance) };
    date.expect("validation bounds dates")
}

pub(super) fn timestamp(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).expect("validation bounds timestamps")
}

pub(super) async fn connect(address: &Secret, role: &str) -> Result<PgConnection, StoreError> {
    let options: PgConnectOptions = address.expose().parse().map_err(|_| {
        StoreError::Halt(format!("`{}` is not a database address", without_credentials(address.expose())))
    })?;
    service::registry::install_tls();
    let options = options.application_name(&format!("tapedeck/{role}")).options(SESSION.iter().copied());
    options.disable_statement_logging().connect().await.map_err(|error| match classify(error) {
        StoreError::Retry(reason) => StoreError::Retry(format!(
            "cannot connect to database `{}`: {reason}",
            without_credentials(address.expose())
        )),
        other => other,
    })
}

/// What to do after an error, by SQLSTATE.
fn classify(error: sqlx::Error) -> StoreError {
    let Some(database) = error.as_database_error() else {
        return match &error {
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => StoreError::Retry(error.to_string()),
            _ => StoreError::Halt(error.to_string()),
        };
    };
    let code = database.code().unwrap_or_default();
    // The message alone: the detail can hold the row.
    let message = format!("{} (SQLSTATE {code})", database.message());
    match database.try_downcast_ref::<PgDatabaseError>().map_or("", |_| code.get(..2).unwrap_or_default()) {
        // Connection, resources, operator intervention, system, read-only, serialization, login refused.
        "08" | "53" | "57" | "58" | "25" | "40" | "55" | "28" | "3D" => StoreError::Retry(message),
        _ => StoreError::Halt(format!("the database refuses what tapedeck sends: {message}")),
    }
}

pub(super) async fn migrate(address: &Secret) -> Result<(), StoreError> {
    let mut connection = connect(address, "migrate").await?;
    MIGRATOR.run(&mut connection).await.map_err(migration_failed)?;
    // One after the other: two that comment on one table at the same time would fail.
    let mut transaction = connection.begin().await.map_err(classify)?;
    let lock = sqlx::query("select pg_advisory_xact_lock($1)").bind(COMMENT_LOCK);
    lock.execute(&mut *transaction).await.map_err(classify)?;
    for dataset in datasets() {
        comment(&mut transaction, dataset).await.map_err(classify)?;
    }
    transaction.commit().await.map_err(classify)?;
    connection.close().await.map_err(classify)
}

pub(super) async fn migrate_down(address: &Secret, to: i64) -> Result<(), StoreError> {
    let mut connection = connect(address, "migrate").await?;
    MIGRATOR.undo(&mut connection, to).await.map_err(migration_failed)?;
    connection.close().await.map_err(classify)
}

fn migration_failed(error: sqlx::migrate::MigrateError) -> StoreError {
    match error {
        sqlx::migrate::MigrateError::Execute(error) | sqlx::migrate::MigrateError::ExecuteMigration(error, _) => {
            classify(error)
        }
        other => StoreError::Halt(format!("cannot migrate the database: {other}")),
    }
}

/// Puts the declaration's texts where a database's user looks for them; writes only what differs.
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
