//! Connections to PostgreSQL.

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _};
use service::secret::without_credentials;
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{ConnectOptions as _, Executor, PgConnection, Row as _, TypeInfo as _, ValueRef as _};

use super::Postgres;
use super::fault::{classify, fault};
use crate::dialect::Connection;
use crate::fault::Fault;
use crate::line::{Cell, Line};
use crate::outcome::StoreError;
use crate::statement::Statement;

/// Settings of every session. The server cancels hanging statements: a client that times out cannot know whether its
/// statement took effect, and a consumer suspended in a transaction must not hold its locks forever.
const SESSION: &[(&str, &str)] = &[
    ("statement_timeout", "30s"),
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_user_timeout", "15000"),
    ("synchronous_commit", "on"),
    // Whatever the database's default is: at other levels a concurrent upsert fails where it should look again.
    ("default_transaction_isolation", "read committed"),
    // Use the generic plan from the start. A custom plan for each of the first chunks costs tens of milliseconds, and
    // can prefer a scan of a table of a million rows to its index.
    ("plan_cache_mode", "force_generic_plan"),
];

/// How long opening a connection may take.
const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

impl Postgres {
    /// The address as sqlx's options.
    pub(super) fn options(&self) -> Result<PgConnectOptions, StoreError> {
        service::tls::install();
        let options: PgConnectOptions = self.address.expose().parse().map_err(|_| {
            StoreError::Halt(format!("`{}` is not a database address", without_credentials(self.address.expose())))
        })?;
        // Whatever the default of the database is: the statements are written for it.
        Ok(options.options([("standard_conforming_strings", "on")]).disable_statement_logging())
    }

    /// Opens a connection.
    pub(super) async fn open(&self) -> Result<PgConnection, StoreError> {
        let options = self.options()?.application_name(&format!("tapedeck/{}", self.role));
        let options = options.options(SESSION.iter().copied());
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await;
        let connected = connected.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())));
        connected.map_err(|error| match classify(error) {
            StoreError::Retry { class, reason } => {
                let shown = without_credentials(self.address.expose());
                StoreError::Retry { class, reason: format!("cannot connect to database `{shown}`: {reason}") }
            }
            other => other,
        })
    }

    /// Opens a connection that reads a snapshot.
    pub(super) async fn open_snapshot(&self) -> Result<PgConnection, StoreError> {
        let mut connection = self.open().await?;
        // The transaction is idle while a topic is read, and reading a table can take hours.
        for statement in [
            "begin isolation level repeatable read read only",
            "set local statement_timeout = 0",
            "set local idle_in_transaction_session_timeout = 0",
        ] {
            connection.run(statement).await?;
        }
        Ok(connection)
    }
}

impl Connection for PgConnection {
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

fn line(row: &PgRow) -> Line {
    Line::new((0..row.len()).map(|at| cell(row, at).unwrap_or(Cell::Null)).collect())
}

fn cell(row: &PgRow, at: usize) -> Option<Cell> {
    let raw = row.try_get_raw(at).ok().filter(|raw| !raw.is_null())?;
    Some(match raw.type_info().name() {
        "INT8" => Cell::Number(row.try_get(at).ok()?),
        "INT4" => Cell::Number(row.try_get::<i32, _>(at).ok()?.into()),
        "INT2" => Cell::Number(row.try_get::<i16, _>(at).ok()?.into()),
        "BOOL" => Cell::Number(row.try_get::<bool, _>(at).ok()?.into()),
        "FLOAT8" => Cell::Double(row.try_get(at).ok()?),
        "BYTEA" => Cell::Bytes(row.try_get(at).ok()?),
        _ => Cell::Text(row.try_get_unchecked(at).ok()?),
    })
}
