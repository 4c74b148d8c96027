//! PostgreSQL, with or without TimescaleDB.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use contract::rows::Folded;
use contract::{Dataset, Rows, datasets};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use service::secret::{Secret, without_credentials};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection, Row as _};

use crate::chunk::{Chunk, Target};
use crate::dead_letter;
use crate::isolate::Isolation;
use crate::outcome::{Commit, Gap, Outcome, Position, StoreError, Total, Upserted};
use crate::sql::{self, Dialect};
use crate::statements::{POSTGRES, about, about_gap, ledger_row, moving, outbox_names, outcome, position, total};
use crate::store::{Store, Texts};

mod bind;
mod copy;
mod dead_letters;
mod fault;

pub(crate) use bind::{date, insert_values, timestamp};

use bind::{arguments, keys_and_versions};
use copy::Coldness;
use fault::{Fault, classify, is_conflict, refused};

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../migrations/postgres");

/// Settings of every session. The server ends what hangs, because a client that gives up on a statement cannot know
/// what became of it; and a consumer that is stopped in mid-transaction must not hold its locks for ever.
const SESSION: &[(&str, &str)] = &[
    ("statement_timeout", "30s"),
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_user_timeout", "15000"),
    ("synchronous_commit", "on"),
    // A plan of its own for each of the first chunks costs tens of milliseconds, and as it knows how many rows come, it may
    // well read all of a table of a million rows instead of its index.
    ("plan_cache_mode", "force_generic_plan"),
];

/// How long the network may take to open a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a transaction of one statement may take: longer than the longest statement that the server allows.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(35);
/// How long the positions may take to be read: Kafka is not polled meanwhile.
const POSITIONS_TIMEOUT: Duration = Duration::from_secs(10);

/// Names the lock under which comments are written; any number that nobody else uses.
const COMMENT_LOCK: i64 = 0x7461_7065_6465_636b;

/// One connection, opened when it is needed.
pub(crate) struct Postgres {
    address: Secret,
    role: String,
    connection: Option<PgConnection>,
    upserts: HashMap<Arc<str>, Arc<str>>,
    care: Care,
    coldness: Coldness,
    /// Whether the last chunk had nothing new: probably the next one has nothing either, and its keys and versions are
    /// enough to know.
    settled: bool,
}

/// What earlier attempts have taught about the chunk at hand.
#[derive(Debug, Clone, Copy)]
struct Care {
    /// Into how many statements the rows are divided: more after one took too long.
    statements: usize,
    /// Whether a row was refused, so that each statement needs a savepoint.
    isolate: bool,
    /// Whether TimescaleDB refused to unpack as many rows as the chunk needs.
    unpack: bool,
}

impl Care {
    const NONE: Care = Care { statements: 1, isolate: false, unpack: false };
    /// Most statements that a chunk is divided into.
    const MOST_STATEMENTS: usize = 64;

    /// How long an attempt may take: it has as many statements as it takes to find the rows that are to blame.
    fn patience(self) -> Duration {
        ATTEMPT_TIMEOUT * if self.isolate { 4 } else { self.statements as u32 }
    }
}

impl Postgres {
    pub(crate) fn new(address: Secret, role: &str) -> Postgres {
        let (role, upserts) = (role.to_owned(), HashMap::new());
        let (care, coldness) = (Care::NONE, Coldness::UNKNOWN);
        Postgres { address, role, connection: None, upserts, care, coldness, settled: false }
    }

    /// The connection, taken out: whoever does not put it back after an error has closed it. A connection on which
    /// something failed is never used again, so that no statement can run in a transaction that is already lost.
    async fn take(&mut self) -> Result<PgConnection, StoreError> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => connect(&self.address, &self.role).await,
        }
    }

    fn upsert(&mut self, dataset: &'static Dataset, table: &Arc<str>) -> Arc<str> {
        let upsert = self.upserts.entry(table.clone());
        upsert.or_insert_with(|| sql::postgres_upsert(dataset, table).into()).clone()
    }

    /// Tries until the chunk is committed or something is wrong that care for its rows does not help.
    async fn commit_chunk(&mut self, chunk: &mut Chunk) -> Result<Commit, StoreError> {
        loop {
            // The server ends what takes too long, but cannot tell us so when the network is gone. The connection is dropped
            // with the attempt, and what became of it is read from the position.
            let patience = self.care.patience();
            let attempt = tokio::time::timeout(patience, self.attempt(chunk)).await;
            let fault = match attempt.unwrap_or_else(|_| Err(StoreError::Retry(silent(patience)).into())) {
                Ok(commit) => {
                    self.care = Care::NONE;
                    return Ok(commit);
                }
                Err(fault) => fault,
            };
            match fault {
                Fault::Store(error) => return Err(error),
                Fault::Record(_) if !self.care.isolate => self.care.isolate = true,
                Fault::Unpack(_) if !self.care.unpack => self.care.unpack = true,
                Fault::Slow(_) if self.care.statements < Care::MOST_STATEMENTS => {
                    self.care.statements *= 2;
                    return Err(fault.into());
                }
                Fault::Slow(_) => return Err(fault.into()),
                Fault::Record(cause) => return Err(StoreError::Halt(refused(&cause.reason))),
                Fault::Unpack(message) => return Err(StoreError::Halt(refused(&message))),
            }
        }
    }

    async fn attempt(&mut self, chunk: &mut Chunk) -> Result<Commit, Fault> {
        let upsert = self.upsert(chunk.target.dataset, &chunk.target.table);
        let dead_letters = dead_letter::dataset();
        let upsert_dead = self.upsert(dead_letters, &dead_letters.name.as_str().into());
        let mut connection = self.take().await?;
        let mut transaction = connection.begin().await?;
        if chunk.target.accounted && !move_position(&mut transaction, chunk).await? {
            transaction.rollback().await?;
            let outcome = committed_before(&mut connection, chunk).await?;
            self.connection = Some(connection);
            let fenced = || StoreError::Fenced { partition: chunk.partition.clone() };
            return Ok(Commit { outcome: outcome.ok_or_else(fenced)?, already: true });
        }
        let upserted = match self.write_rows(&mut transaction, &upsert, chunk).await {
            // The next attempt is on the same connection: a new one would cost the partition more time than the bad row.
            Err(Fault::Record(cause)) => {
                transaction.rollback().await?;
                self.connection = Some(connection);
                return Err(Fault::Record(cause));
            }
            written => written?,
        };
        if let Some(source) = chunk.target.dead_letters.clone() {
            let letters = chunk.dead_letters.fold(dead_letters, |_| false);
            write(&mut transaction, &upsert_dead, dead_letters, &chunk.dead_letters, &letters).await?;
            fill_outbox(&mut transaction, &source, chunk).await?;
        }
        let outcome = Outcome::of_upsert(chunk.records() as u64, chunk.dead_letters.len() as u64, upserted);
        // Last before COMMIT: PostgreSQL answers the COMMIT of a failed transaction without an error, but this would fail.
        if chunk.target.accounted {
            insert_ledger(&mut transaction, chunk, &outcome).await?;
        }
        transaction.commit().await?;
        self.connection = Some(connection);
        Ok(Commit { outcome, already: false })
    }

    /// Upserts the chunk's rows; those that the database refuses become dead letters where `care` says so.
    async fn write_rows(
        &mut self,
        connection: &mut PgConnection,
        upsert: &Arc<str>,
        chunk: &mut Chunk,
    ) -> Result<Upserted, Fault> {
        let (dataset, care) = (chunk.target.dataset, self.care);
        let mut upserted = Upserted::default();
        if care.unpack {
            // There where TimescaleDB is, which has refused.
            connection.execute("set local timescaledb.max_tuples_decompressed_per_dml_transaction = 0").await?;
        }
        if !care.isolate {
            let mut folded = chunk.fold();
            if self.settled {
                folded = newer(connection, &chunk.target, &chunk.rows, folded).await?;
            }
            let is_cold = care.statements == 1 && self.coldness.is_copy_worthwhile(folded.len());
            if is_cold && let Some(copied) = self.copy_rows(connection, chunk, &folded).await? {
                return Ok(copied);
            }
            for part in folded.chunks(folded.len().div_ceil(care.statements).max(1)) {
                upserted += write(connection, upsert, dataset, &chunk.rows, part).await?;
            }
            self.coldness.note(!folded.is_empty() && upserted.seen[0] == folded.len() as u64);
            self.settled = upserted.seen == [0; 3];
            return Ok(upserted);
        }
        let mut isolation = Isolation::new(chunk);
        while let Some(part) = isolation.next(chunk) {
            let mut savepoint = connection.begin().await?;
            match write(&mut savepoint, upsert, dataset, &chunk.rows, &part).await.map_err(Fault::from) {
                Ok(done) => {
                    savepoint.commit().await?;
                    upserted += done;
                }
                Err(Fault::Record(cause)) => {
                    savepoint.rollback().await?;
                    isolation.refuse(part, cause, chunk, Utc::now())?;
                }
                Err(other) => return Err(other),
            }
        }
        Ok(upserted)
    }

    /// Copies the chunk's rows; None when the table has one of their keys, or does not take them all.
    async fn copy_rows(
        &mut self,
        connection: &mut PgConnection,
        chunk: &Chunk,
        folded: &[Folded],
    ) -> Result<Option<Upserted>, Fault> {
        let target = &chunk.target;
        let mut savepoint = connection.begin().await?;
        match copy::copy(&mut savepoint, &target.table, target.dataset, &chunk.rows, folded).await {
            Ok(copied) if copied == folded.len() as u64 => {
                savepoint.commit().await?;
                self.coldness.note(true);
                Ok(Some(Upserted { seen: [copied, 0, 0], written: copied }))
            }
            // A trigger can leave rows out, which only the upsert accounts for.
            outcome => match outcome.err().filter(|error| !is_conflict(error)) {
                Some(error) => Err(error.into()),
                None => {
                    savepoint.rollback().await?;
                    self.coldness.note_conflict();
                    Ok(None)
                }
            },
        }
    }
}

impl Store for Postgres {
    fn positions<'a>(&'a mut self, sink: &'a str, topic: &'a str) -> BoxFuture<'a, Result<Vec<Position>, StoreError>> {
        let read = async move {
            let mut connection = self.take().await?;
            let query = sqlx::query(POSTGRES.positions.as_str()).bind(sink).bind(topic);
            let rows = query.fetch_all(&mut connection).await.map_err(classify)?;
            self.connection = Some(connection);
            Ok(rows.iter().map(position).collect())
        };
        let silence = |_| Err(StoreError::Retry(silent(POSITIONS_TIMEOUT)));
        // The clock is asked for when the future runs, which is on the runtime.
        async move { tokio::time::timeout(POSITIONS_TIMEOUT, read).await.unwrap_or_else(silence) }.boxed()
    }

    fn commit<'a>(&'a mut self, chunk: &'a mut Chunk) -> BoxFuture<'a, Result<Commit, StoreError>> {
        self.commit_chunk(chunk).boxed()
    }

    fn record_gap<'a>(&'a mut self, gap: &'a Gap) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            let mut connection = self.take().await?;
            let mut transaction = connection.begin().await.map_err(classify)?;
            let incarnation = gap.partition.incarnation;
            let insert = about_gap(&POSTGRES.insert_gap, gap, incarnation).bind(gap.reason);
            insert.execute(&mut *transaction).await.map_err(classify)?;
            let new = gap.next.0 != incarnation;
            let moving = if new { &POSTGRES.new_incarnation } else { &POSTGRES.pass_gap };
            about_gap(moving, gap, gap.next.0).execute(&mut *transaction).await.map_err(classify)?;
            transaction.commit().await.map_err(classify)?;
            self.connection = Some(connection);
            Ok(())
        }
        .boxed()
    }

    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn rows<'a>(
        &'a mut self,
        statement: String,
        parameters: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Texts, StoreError>> {
        async move {
            let mut connection = self.take().await?;
            let query = sqlx::query(AssertSqlSafe(statement)).persistent(false);
            let query = parameters.iter().fold(query, |query, parameter| query.bind(*parameter));
            let rows = query.fetch_all(&mut connection).await.map_err(classify)?;
            self.connection = Some(connection);
            Ok(rows.iter().map(|row| (0..row.len()).map(|at| row.get_unchecked(at)).collect()).collect())
        }
        .boxed()
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

fn silent(time: Duration) -> String {
    format!("the database has been silent for {} s", time.as_secs())
}

/// Moves the position from the chunk's beginning to its end; false when it is somewhere else.
async fn move_position(connection: &mut PgConnection, chunk: &Chunk) -> sqlx::Result<bool> {
    let moved = moving(&POSTGRES.move_position, chunk).execute(&mut *connection).await?;
    if moved.rows_affected() == 1 {
        return Ok(true);
    }
    Ok(moving(&POSTGRES.first_position, chunk).execute(connection).await?.rows_affected() == 1)
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

/// Notes that the chunk's dead letters are to be published.
async fn fill_outbox(connection: &mut PgConnection, source: &str, chunk: &Chunk) -> sqlx::Result<()> {
    if let Some(names) = outbox_names(chunk) {
        sqlx::query(POSTGRES.outbox.as_str()).bind(source.to_owned()).bind(names).execute(connection).await?;
    }
    Ok(())
}

/// Those of the rows that the upsert would write, as things stand.
async fn newer(
    connection: &mut PgConnection,
    target: &Target,
    rows: &Rows,
    folded: Vec<Folded>,
) -> sqlx::Result<Vec<Folded>> {
    let arguments = keys_and_versions(target.dataset, rows, &folded).map_err(sqlx::Error::Encode)?;
    let query = sql::postgres_newer(target.dataset, &target.table);
    let places: Vec<i64> = sqlx::query_scalar_with(AssertSqlSafe(query), arguments).fetch_all(connection).await?;
    Ok(places.into_iter().map(|place| folded[place as usize - 1]).collect())
}

/// Upserts folded rows.
async fn write(
    connection: &mut PgConnection,
    upsert: &Arc<str>,
    dataset: &'static Dataset,
    rows: &Rows,
    folded: &[Folded],
) -> sqlx::Result<Upserted> {
    if folded.is_empty() {
        return Ok(Upserted::default());
    }
    let arguments = arguments(dataset, rows, folded).map_err(sqlx::Error::Encode)?;
    let row = sqlx::query_with(AssertSqlSafe(upsert.clone()), arguments).fetch_one(connection).await?;
    let count = |at: usize| row.try_get::<i64, _>(at).map(i64::cast_unsigned);
    Ok(Upserted { seen: [count(0)?, count(1)?, count(2)?], written: count(3)? })
}

pub(crate) async fn connect(address: &Secret, role: &str) -> Result<PgConnection, StoreError> {
    let options: PgConnectOptions = address.expose().parse().map_err(|_| {
        StoreError::Halt(format!("`{}` is not a database address", without_credentials(address.expose())))
    })?;
    service::tls::install();
    let options = options.application_name(&format!("tapedeck/{role}")).options(SESSION.iter().copied());
    let options = options.disable_statement_logging();
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await;
    let connected = connected.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())));
    connected.map_err(|error| match classify(error) {
        StoreError::Retry(reason) => StoreError::Retry(format!(
            "cannot connect to database `{}`: {reason}",
            without_credentials(address.expose())
        )),
        other => other,
    })
}

pub(crate) async fn migrate(address: &Secret) -> Result<(), StoreError> {
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

pub(crate) async fn migrate_down(address: &Secret, to: i64) -> Result<(), StoreError> {
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
