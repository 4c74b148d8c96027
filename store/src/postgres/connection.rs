//! Connections to PostgreSQL.

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _};
use service::secret::without_credentials;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor, PgConnection, Row as _, TypeInfo as _, ValueRef as _};

use super::Postgres;
use super::fault::{classify, fault};
use crate::dialect::Connection;
use crate::fault::Fault;
use crate::line::{Cell, Line};
use crate::outcome::StoreError;
use crate::statement::{Parameter, Statement};

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
const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

impl Postgres {
    /// The address as sqlx takes it.
    pub(super) fn options(&self) -> Result<PgConnectOptions, StoreError> {
        service::tls::install();
        let options: PgConnectOptions = self.address.expose().parse().map_err(|_| {
            StoreError::Halt(format!("`{}` is not a database address", without_credentials(self.address.expose())))
        })?;
        Ok(options.disable_statement_logging())
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

    /// Opens a connection on which all that is read is as of one moment.
    pub(super) async fn open_snapshot(&self) -> Result<PgConnection, StoreError> {
        let mut connection = self.open().await?;
        // A topic is read while the snapshot waits, and a table takes as long as it takes.
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
        async move { Ok(bound(statement).execute(self).await.map_err(fault)?.rows_affected()) }.boxed()
    }

    fn fetch(&mut self, statement: Statement) -> BoxStream<'_, Result<Line, Fault>> {
        bound(statement).fetch(self).map(|row| row.map(|row| line(&row)).map_err(fault)).boxed()
    }
}

fn bound(statement: Statement) -> Query<'static, sqlx::Postgres, PgArguments> {
    let query = sqlx::query(AssertSqlSafe(statement.text)).persistent(statement.is_kept);
    statement.parameters.into_iter().fold(query, |query, parameter| match parameter {
        Parameter::Text(text) => query.bind(text),
        Parameter::Number(number) => query.bind(number),
    })
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
