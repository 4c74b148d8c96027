//! Connections to a SQLite file.

use std::str::FromStr as _;
use std::time::{Duration, Instant};

use backon::{ConstantBuilder, Retryable as _};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _};
use service::secret::without_credentials;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Executor, Row as _, SqliteConnection, TypeInfo as _, ValueRef as _};

use super::Sqlite;
use super::fault::{fault, is_locked};
use crate::dialect::Connection;
use crate::fault::Fault;
use crate::line::{Cell, Line};
use crate::outcome::StoreError;
use crate::statement::Statement;

/// How long to wait for another process's write lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Time between two attempts while another process creates the file.
const OPENING_WAIT: Duration = Duration::from_millis(20);

impl Sqlite {
    /// The address without credentials.
    pub(super) fn shown(&self) -> String {
        without_credentials(self.address.expose())
    }

    /// The address as sqlx's options.
    pub(super) fn options(&self) -> Result<SqliteConnectOptions, StoreError> {
        let options = SqliteConnectOptions::from_str(self.address.expose())
            .map_err(|_| StoreError::Halt(format!("`{}` is not a database address", self.shown())))?;
        // Sessions are for the symbols that match a pattern.
        Ok(options.disable_statement_logging().with_regexp())
    }

    /// Opens the file, or creates it.
    pub(super) async fn open(&self) -> Result<SqliteConnection, StoreError> {
        let options = self
            .options()?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A power cut loses the last rows together with their positions, and Kafka still has the records.
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(BUSY_TIMEOUT);
        // SQLite returns an error at once to a process that opens a file while another creates it.
        let waits = ConstantBuilder::default().with_delay(OPENING_WAIT).with_jitter().without_max_times();
        let start = Instant::now();
        let again = |error: &_| is_locked(error) && start.elapsed() < BUSY_TIMEOUT;
        let opened = (|| options.connect()).retry(waits).when(again).await;
        opened.map_err(|error| StoreError::connection(format!("cannot open database `{}`: {error}", self.shown())))
    }

    /// Opens a connection that reads a snapshot.
    pub(super) async fn open_snapshot(&self) -> Result<SqliteConnection, StoreError> {
        let options = self.options()?.read_only(true).busy_timeout(BUSY_TIMEOUT);
        let cannot = |error| StoreError::Halt(format!("cannot open database `{}`: {error}", self.shown()));
        let mut connection = options.connect().await.map_err(cannot)?;
        connection.run("BEGIN").await?;
        Ok(connection)
    }
}

impl Connection for SqliteConnection {
    fn run(&mut self, statement: &'static str) -> BoxFuture<'_, Result<(), Fault>> {
        async move { Executor::execute(self, statement).await.map(drop).map_err(fault) }.boxed()
    }

    fn execute(&mut self, statement: Statement) -> BoxFuture<'_, Result<u64, Fault>> {
        async move { Ok(statement.into_query().execute(self).await.map_err(fault)?.rows_affected()) }.boxed()
    }

    fn fetch(&mut self, statement: Statement) -> BoxStream<'_, Result<Line, Fault>> {
        statement.into_query().fetch(self).map(|row| row.map(|row| line(&row)).map_err(fault)).boxed()
    }
}

pub(super) fn line(row: &SqliteRow) -> Line {
    Line::new((0..row.len()).map(|at| cell(row, at).unwrap_or(Cell::Null)).collect())
}

fn cell(row: &SqliteRow, at: usize) -> Option<Cell> {
    // A null has its column's declared type.
    let raw = row.try_get_raw(at).ok().filter(|raw| !raw.is_null())?;
    Some(match raw.type_info().name() {
        "INTEGER" => Cell::Number(row.try_get_unchecked(at).ok()?),
        "REAL" => Cell::Double(row.try_get_unchecked(at).ok()?),
        "BLOB" => Cell::Bytes(row.try_get_unchecked(at).ok()?),
        _ => Cell::Text(row.try_get_unchecked(at).ok()?),
    })
}
