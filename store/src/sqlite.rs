//! SQLite: one file, one writer at a time.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{ConstantBuilder, Retryable as _};
use chrono::{DateTime, Days, SecondsFormat, Utc};
use contract::rows::Folded;
use contract::{Column, Dataset, Rows};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use service::secret::{Secret, without_credentials};
use sqlx::error::DatabaseError;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Arguments as _, AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, SqliteConnection};
use tokio::sync::Mutex;

use crate::chunk::Chunk;
use crate::dead_letter::{self, Cause};
use crate::isolate::{self, Isolation};
use crate::outcome::{Commit, Gap, Outcome, Position, StoreError, Total, Upserted};
use crate::sql::{self, Dialect};
use crate::statements::{SQLITE, about, about_gap, ledger_row, moving, outbox_names, outcome, position, total};
use crate::store::{Store, Texts};

mod dead_letters;

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../migrations/sqlite");

/// How long to wait for another process that writes.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Wait for another process that makes the file, before the next look.
const OPENING_WAIT: Duration = Duration::from_millis(20);
/// Rows written by one statement: enough that its fixed cost does not count, few enough for SQLite's 32,766 parameters.
const ROWS_PER_STATEMENT: usize = 250;

/// The connection that all sinks of a process share.
pub(crate) type Shared = Mutex<Option<SqliteConnection>>;

/// One sink's use of the shared connection.
pub(crate) struct Sqlite {
    address: Secret,
    shared: Arc<Shared>,
}

impl Sqlite {
    pub(crate) fn new(address: Secret, shared: Arc<Shared>) -> Sqlite {
        Sqlite { address, shared }
    }

    async fn commit_chunk(&self, chunk: &mut Chunk) -> Result<Commit, StoreError> {
        let mut slot = self.shared.lock().await;
        let mut connection = take(&mut slot, &self.address).await?;
        let dead_letters = dead_letter::dataset();
        // Take the write lock at once: a transaction that begins by reading cannot wait for it.
        let mut transaction = connection.begin_with("begin immediate").await.map_err(classify)?;
        if chunk.target.accounted && !move_position(&mut transaction, chunk).await.map_err(classify)? {
            let outcome = committed_before(&mut transaction, chunk).await.map_err(classify)?;
            transaction.rollback().await.map_err(classify)?;
            *slot = Some(connection);
            let fenced = || StoreError::Fenced { partition: chunk.partition.clone() };
            return Ok(Commit { outcome: outcome.ok_or_else(fenced)?, already: true });
        }
        let upserted = write_rows(&mut transaction, chunk).await?;
        if let Some(source) = chunk.target.dead_letters.clone() {
            for letters in chunk.dead_letters.fold(dead_letters, |_| false).chunks(ROWS_PER_STATEMENT) {
                let written = write(&mut transaction, (dead_letters, &dead_letters.name), &chunk.dead_letters, letters);
                written.await.map_err(classify)?;
            }
            if let Some(names) = outbox_names(chunk) {
                let outbox = sqlx::query(SQLITE.outbox.as_str()).bind(source.to_string()).bind(names);
                outbox.execute(&mut *transaction).await.map_err(classify)?;
            }
        }
        let outcome = Outcome::of_upsert(chunk.records() as u64, chunk.dead_letters.len() as u64, upserted);
        if chunk.target.accounted {
            insert_ledger(&mut transaction, chunk, &outcome).await.map_err(classify)?;
        }
        transaction.commit().await.map_err(classify)?;
        *slot = Some(connection);
        Ok(Commit { outcome, already: false })
    }

    async fn write_gap(&self, gap: &Gap) -> Result<(), StoreError> {
        let mut slot = self.shared.lock().await;
        let mut connection = take(&mut slot, &self.address).await?;
        let mut transaction = connection.begin_with("begin immediate").await.map_err(classify)?;
        let incarnation = gap.partition.incarnation;
        let insert = about_gap(&SQLITE.insert_gap, gap, incarnation).bind(gap.reason);
        insert.execute(&mut *transaction).await.map_err(classify)?;
        let moving = if gap.next.0 == incarnation { &SQLITE.pass_gap } else { &SQLITE.new_incarnation };
        about_gap(moving, gap, gap.next.0).execute(&mut *transaction).await.map_err(classify)?;
        transaction.commit().await.map_err(classify)?;
        *slot = Some(connection);
        Ok(())
    }
}

/// The connection, taken out: whoever does not put it back after an error has closed it.
async fn take(slot: &mut Option<SqliteConnection>, address: &Secret) -> Result<SqliteConnection, StoreError> {
    match slot.take() {
        Some(connection) => Ok(connection),
        None => connect(address).await,
    }
}

impl Store for Sqlite {
    fn positions<'a>(&'a mut self, sink: &'a str, topic: &'a str) -> BoxFuture<'a, Result<Vec<Position>, StoreError>> {
        async move {
            let mut slot = self.shared.lock().await;
            let mut connection = take(&mut slot, &self.address).await?;
            let query = sqlx::query(SQLITE.positions.as_str()).bind(sink).bind(topic);
            let rows = query.fetch_all(&mut connection).await.map_err(classify)?;
            *slot = Some(connection);
            Ok(rows.iter().map(position).collect())
        }
        .boxed()
    }

    fn commit<'a>(&'a mut self, chunk: &'a mut Chunk) -> BoxFuture<'a, Result<Commit, StoreError>> {
        self.commit_chunk(chunk).boxed()
    }

    fn record_gap<'a>(&'a mut self, gap: &'a Gap) -> BoxFuture<'a, Result<(), StoreError>> {
        self.write_gap(gap).boxed()
    }

    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn rows<'a>(
        &'a mut self,
        statement: String,
        parameters: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Texts, StoreError>> {
        async move {
            let mut slot = self.shared.lock().await;
            let mut connection = take(&mut slot, &self.address).await?;
            let query = sqlx::query(AssertSqlSafe(statement)).persistent(false);
            let query = parameters.iter().fold(query, |query, parameter| query.bind(*parameter));
            let rows = query.fetch_all(&mut connection).await.map_err(classify)?;
            *slot = Some(connection);
            Ok(rows.iter().map(|row| (0..row.len()).map(|at| row.get_unchecked(at)).collect()).collect())
        }
        .boxed()
    }

    fn totals(&mut self) -> BoxFuture<'_, Result<Vec<Total>, StoreError>> {
        async move {
            let mut slot = self.shared.lock().await;
            let mut connection = take(&mut slot, &self.address).await?;
            let rows = sqlx::query(SQLITE.totals.as_str()).fetch_all(&mut connection).await.map_err(classify)?;
            *slot = Some(connection);
            Ok(rows.iter().map(total).collect())
        }
        .boxed()
    }
}

/// Moves the position from the chunk's beginning to its end; false when it is somewhere else.
async fn move_position(connection: &mut SqliteConnection, chunk: &Chunk) -> sqlx::Result<bool> {
    let moved = moving(&SQLITE.move_position, chunk).execute(&mut *connection).await?;
    if moved.rows_affected() == 1 {
        return Ok(true);
    }
    Ok(moving(&SQLITE.first_position, chunk).execute(connection).await?.rows_affected() == 1)
}

/// The outcome in the ledger, when this very chunk was committed by an attempt whose answer was lost.
async fn committed_before(connection: &mut SqliteConnection, chunk: &Chunk) -> sqlx::Result<Option<Outcome>> {
    let row = about(&SQLITE.committed, chunk).fetch_optional(connection).await?;
    Ok(row.map(|row| outcome(&row, 0)))
}

async fn insert_ledger(connection: &mut SqliteConnection, chunk: &Chunk, outcome: &Outcome) -> sqlx::Result<()> {
    ledger_row(&SQLITE.insert_ledger, chunk, outcome).execute(connection).await?;
    Ok(())
}

/// Upserts the chunk's rows; those that the database refuses become dead letters.
async fn write_rows(connection: &mut SqliteConnection, chunk: &mut Chunk) -> Result<Upserted, StoreError> {
    let target = chunk.target.clone();
    let mut upserted = Upserted::default();
    let mut isolation = Isolation::new(chunk);
    while let Some(rest) = isolation.next(chunk) {
        for part in rest.chunks(ROWS_PER_STATEMENT) {
            // A statement that is refused leaves the transaction as it was before it.
            match write(connection, (target.dataset, &target.table), &chunk.rows, part).await {
                Ok(done) => upserted += done,
                Err(error) => {
                    let cause = refusal(&error).ok_or_else(|| classify(error))?;
                    isolation.refuse(part.to_vec(), cause, chunk, Utc::now())?;
                }
            }
        }
    }
    Ok(upserted)
}

/// Why the database refuses a row; None when the row is not at fault.
fn refusal(error: &sqlx::Error) -> Option<Cause> {
    let database = error.as_database_error()?;
    let code: u32 = database.code()?.parse().ok()?;
    let class = match (code & 0xff, code >> 8) {
        (19, 1) => "check",
        (19, 3) => "foreign_key",
        (19, 5) => "not_null",
        (19, 7) => "raised",
        (19, _) => "unique",
        (18, _) => "too_large",
        (20, _) => "data",
        _ => return None,
    };
    Some(isolate::cause(class, None, format!("{} (SQLite code {code})", database.message())))
}

/// Upserts folded rows of a dataset into a table, at most [`ROWS_PER_STATEMENT`].
async fn write(
    connection: &mut SqliteConnection,
    (dataset, table): (&'static Dataset, &str),
    rows: &Rows,
    part: &[Folded],
) -> sqlx::Result<Upserted> {
    let now = text(Utc::now());
    let mut seen = [0; 3];
    let newer = newer(connection, (dataset, table), rows, part).await?;
    for (row, stored) in &newer {
        seen[match stored {
            None => 0,
            Some(hash) if *hash != row.version.2 => 1,
            Some(_) => 2,
        }] += 1;
    }
    if newer.is_empty() {
        return Ok(Upserted::default());
    }
    let mut arguments = SqliteArguments::default();
    for (row, _) in &newer {
        for position in 0..dataset.fields.len() {
            add(&mut arguments, rows.column(position), row.row).map_err(sqlx::Error::Encode)?;
        }
        arguments.add(row.version.2).map_err(sqlx::Error::Encode)?;
        arguments.add(rows.deleted()[row.row]).map_err(sqlx::Error::Encode)?;
        arguments.add(now.as_str()).map_err(sqlx::Error::Encode)?;
    }
    let statement = AssertSqlSafe(sql::sqlite_upsert(dataset, table, newer.len()));
    let written = sqlx::query_with(statement, arguments).execute(&mut *connection).await?.rows_affected();
    Ok(Upserted { seen, written })
}

/// The rows that are newer than what is stored, each with the hash of the row it replaces.
async fn newer<'a>(
    connection: &mut SqliteConnection,
    (dataset, table): (&'static Dataset, &str),
    rows: &Rows,
    part: &'a [Folded],
) -> sqlx::Result<Vec<(&'a Folded, Option<i64>)>> {
    let mut arguments = SqliteArguments::default();
    for (place, row) in part.iter().enumerate() {
        arguments.add(place as i64).map_err(sqlx::Error::Encode)?;
        for position in dataset.key.iter().chain(&dataset.version_fields) {
            add(&mut arguments, rows.column(*position), row.row).map_err(sqlx::Error::Encode)?;
        }
        arguments.add(row.version.2).map_err(sqlx::Error::Encode)?;
    }
    let query = AssertSqlSafe(sql::sqlite_newer(dataset, table, part.len()));
    let found = sqlx::query_with(query, arguments).fetch_all(connection).await?;
    Ok(found.iter().map(|row| (&part[row.get::<i64, _>(0) as usize], row.get(1))).collect())
}

fn add(arguments: &mut SqliteArguments, column: &Column, row: usize) -> Result<(), sqlx::error::BoxDynError> {
    match column {
        Column::Text(values) | Column::Json(values) => arguments.add(values[row].as_deref()),
        Column::Decimal(values) => arguments.add(values[row].map(|value| value.normalize().to_string())),
        Column::Long(values) => arguments.add(values[row]),
        Column::Double(values) => arguments.add(values[row]),
        Column::Bytes(values) => arguments.add(values[row].as_deref()),
        Column::Date(values) => arguments.add(values[row].map(date)),
        Column::Timestamp(values) => arguments.add(values[row].map(timestamp)),
        Column::TextList(values) => {
            arguments.add(serde_json::to_string(&values[row]).expect("a list of texts is JSON"))
        }
    }
}

fn date(days: i32) -> String {
    let epoch = DateTime::UNIX_EPOCH.date_naive();
    let distance = Days::new(days.unsigned_abs().into());
    let date = if days < 0 { epoch.checked_sub_days(distance) } else { epoch.checked_add_days(distance) };
    date.expect("validation bounds dates").to_string()
}

fn timestamp(micros: i64) -> String {
    text(DateTime::from_timestamp_micros(micros).expect("validation bounds timestamps"))
}

/// A time as text of one width, so that texts sort as times do.
fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

async fn connect(address: &Secret) -> Result<SqliteConnection, StoreError> {
    let shown = without_credentials(address.expose());
    let options = SqliteConnectOptions::from_str(address.expose())
        .map_err(|_| StoreError::Halt(format!("`{shown}` is not a database address")))?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // Rows and positions are lost together, if a power cut takes the last of them, and Kafka still has the records.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging();
    // SQLite makes nobody wait who finds a file that another process makes at that moment: it is locked, at once.
    let waits = ConstantBuilder::default().with_delay(OPENING_WAIT).with_jitter().without_max_times();
    let start = Instant::now();
    let again = |error: &_| is_locked(error) && start.elapsed() < BUSY_TIMEOUT;
    let opened = (|| options.connect()).retry(waits).when(again).await;
    opened.map_err(|error| StoreError::Retry(format!("cannot open database `{shown}`: {error}")))
}

fn is_locked(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| code(error) & 0xff == 5)
}

/// The number SQLite gives the error, with what it adds to it in the higher bits.
fn code(error: &dyn DatabaseError) -> u32 {
    error.code().and_then(|code| code.parse().ok()).unwrap_or_default()
}

/// What to do after an error, by SQLite's code.
fn classify(error: sqlx::Error) -> StoreError {
    let Some(database) = error.as_database_error() else {
        return StoreError::Retry(error.to_string());
    };
    let code = code(database);
    let message = format!("{} (SQLite code {code})", database.message());
    match code & 0xff {
        // Busy, locked, out of memory, read-only, input/output, full, cannot open.
        5 | 6 | 7 | 8 | 10 | 13 | 14 => StoreError::Retry(message),
        _ => StoreError::Halt(format!("the database refuses what tapedeck sends: {message}")),
    }
}

pub(crate) async fn migrate(address: &Secret) -> Result<(), StoreError> {
    let mut connection = connect(address).await?;
    // In one transaction that holds the write lock: two processes that migrate at the same time would fail.
    let mut transaction = connection.begin_with("begin immediate").await.map_err(classify)?;
    MIGRATOR.run(&mut *transaction).await.map_err(migration_failed)?;
    transaction.commit().await.map_err(classify)?;
    connection.close().await.map_err(classify)
}

pub(crate) async fn migrate_down(address: &Secret, to: i64) -> Result<(), StoreError> {
    let mut connection = connect(address).await?;
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
