//! PostgreSQL's migrations, beside consumers and readers of a busy database.
//!
//! A migration waits for no lock longer than [`LOCK_TIMEOUT`], because every query that comes later waits behind it.
//! It gives up its place, pauses and tries again, however long the lock is held. Its statements may take any time.

use std::time::{Duration, Instant};

use sqlx::migrate::{Migrate as _, MigrateError};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use super::fault::{classify, message};
use super::{Postgres, SYNTAX};
use crate::history;
use crate::migrations::{Index, Migration, Progress, Report, Script, index_of, is_gentle, split};
use crate::outcome::StoreError;

mod chunks;
mod comments;
mod layout;
mod roles;
mod script;
mod watch;

pub(super) use script::script;

/// How long a statement may wait for a lock, and so keep others waiting behind it.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to wait for another process that migrates. Shorter than PostgreSQL's `deadlock_timeout`: building an index
/// concurrently waits for every other statement, and this one would wait for it.
const PEER_TIMEOUT: Duration = Duration::from_millis(500);
/// Time between two attempts, in which the queries that waited go on.
const PAUSE: Duration = Duration::from_secs(2);
/// Time between two lines about the same obstacle or statement.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// What the migration's session changes of [`super::connection`]'s. The server notices within seconds that the client of
/// a long statement is gone, where it can, so that the next attempt need not wait for its end.
const SESSION: &str = "select set_config('statement_timeout', '0', false); \
    select set_config(name, '5s', false) from pg_settings where name = 'client_connection_check_interval'";

/// The table in which sqlx keeps what was applied, as sqlx creates it.
const CREATE_TABLE: &str = "create table if not exists _sqlx_migrations (version bigint primary key, \
    description text not null, installed_on timestamptz not null default now(), success boolean not null, \
    checksum bytea not null, execution_time bigint not null)";

/// The bytes of hexadecimal digits.
fn checksum(digits: &str) -> String {
    format!("decode('{digits}', 'hex')")
}

impl Postgres {
    /// Applies the missing migrations up to `to`, or all.
    pub(super) async fn migrate_up(
        &self,
        migrations: &[Migration],
        to: Option<i64>,
        report: Report<'_>,
    ) -> Result<(), StoreError> {
        let mut session = Session::open(self, report).await?;
        let mut history = history::read(&mut session.connection, &SYNTAX).await?;
        if !history::pending(migrations, &history, to)?.is_empty() {
            session.lock().await?;
            session.patiently("the table of migrations", &[CREATE_TABLE]).await?;
            history = history::read(&mut session.connection, &SYNTAX).await?;
            for migration in history::pending(migrations, &history, to)? {
                session.run(migration, &migration.up, &[], &migration.record(checksum), "applied").await?;
            }
            if roles::are_used(&mut session).await? {
                roles::grant(&mut session, migrations).await?;
            }
        }
        let is_complete =
            history::pending(migrations, &history, None)?.iter().all(|one| to.is_none_or(|to| one.version <= to));
        if is_complete && !history::is_newer(migrations, &history) {
            layout::arrange(&mut session).await?;
            comments::write(&mut session.connection, report).await?;
        }
        session.connection.close().await.map_err(classify)
    }

    /// Creates the roles, and gives them their rights on the tables.
    pub(super) async fn create_roles(&self, migrations: &[Migration], report: Report<'_>) -> Result<(), StoreError> {
        let mut session = Session::open(self, report).await?;
        session.lock().await?;
        roles::create(&mut session, migrations).await?;
        session.connection.close().await.map_err(classify)
    }

    /// Reverts the migrations after `to`.
    pub(super) async fn undo(&self, migrations: &[Migration], to: i64, report: Report<'_>) -> Result<(), StoreError> {
        let mut session = Session::open(self, report).await?;
        session.lock().await?;
        let history = history::read(&mut session.connection, &SYNTAX).await?;
        for migration in history::surplus(migrations, &history, to)? {
            let Some(down) = &migration.down else {
                return Err(StoreError::Halt(format!("{} cannot be reverted", migration.shown())));
            };
            session.run(migration, down, &migration.forget(), &migration.unrecord(), "reverted").await?;
        }
        // The way back creates views and functions anew, too.
        if roles::are_used(&mut session).await? {
            roles::grant(&mut session, migrations).await?;
        }
        session.connection.close().await.map_err(classify)
    }
}

/// A connection that migrates.
struct Session<'a> {
    connection: PgConnection,
    watcher: watch::Watcher,
    report: Report<'a>,
    /// The index of a hypertable that is being built.
    built: Option<Index>,
}

impl<'a> Session<'a> {
    async fn open(database: &Postgres, report: Report<'a>) -> Result<Session<'a>, StoreError> {
        let mut connection = database.open().await?;
        connection.execute(SESSION).await.map_err(classify)?;
        let watcher = watch::Watcher::new(database, &mut connection).await?;
        let mut session = Session { connection, watcher, report, built: None };
        session.set_lock_timeout(LOCK_TIMEOUT).await?;
        Ok(session)
    }

    async fn set_lock_timeout(&mut self, timeout: Duration) -> Result<(), StoreError> {
        let statement = format!("set lock_timeout = {}", timeout.as_millis());
        self.connection.execute(AssertSqlSafe(statement)).await.map(drop).map_err(classify)
    }

    /// Waits until no other process migrates: the lock is sqlx's, so that older executables wait for it too.
    async fn lock(&mut self) -> Result<(), StoreError> {
        self.set_lock_timeout(PEER_TIMEOUT).await?;
        let mut reported = Reported::default();
        while let Err(error) = self.connection.lock().await {
            let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
                return Err(StoreError::Halt(format!("cannot migrate the database: {error}")));
            };
            if !is_contention(&error) {
                return Err(classify(error));
            }
            if reported.is_due() {
                (self.report)(&Progress::Slow("another process migrates the database: waiting for it".to_owned()));
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.set_lock_timeout(LOCK_TIMEOUT).await
    }

    /// Runs one direction of a migration: first the statements before it, at its end the one that records it.
    async fn run(
        &mut self,
        migration: &Migration,
        script: &Script,
        before: &[String],
        record: &str,
        done: &str,
    ) -> Result<(), StoreError> {
        let (name, start) = (migration.shown(), Instant::now());
        let before = before.iter().map(String::as_str);
        let statements = split(&script.sql);
        if script.in_transaction {
            let all: Vec<&str> =
                ["begin"].into_iter().chain(before).chain(statements).chain([record, "commit"]).collect();
            self.patiently(&name, &all).await?;
        } else {
            let before: Vec<&str> = ["begin"].into_iter().chain(before).chain(["commit"]).collect();
            self.patiently(&name, &before).await?;
            let count = statements.len();
            for (at, statement) in statements.into_iter().enumerate() {
                self.alone(&format!("{name}, statement {} of {count}", at + 1), statement).await?;
            }
            self.patiently(&name, &[record]).await?;
        }
        (self.report)(&Progress::Done(format!("{done} {name} in {:.1} s", start.elapsed().as_secs_f32())));
        Ok(())
    }

    /// Runs a statement that commits by itself.
    async fn alone(&mut self, what: &str, statement: &str) -> Result<(), StoreError> {
        if let Some(index) = index_of(statement) {
            if self.is_on_hypertable(&index).await? {
                return self.chunk_by_chunk(what, &index, statement).await;
            }
            // What is interrupted leaves an index that no query uses, and that `if not exists` takes for the index.
            if self.holds(&chunks::is_invalid(&index.name)).await? {
                let drop = format!("drop index concurrently if exists {}", index.name);
                Box::pin(self.alone(&format!("{what}, after an interruption"), &drop)).await?;
            }
        }
        if !is_gentle(statement) {
            return self.patiently(what, &[statement]).await;
        }
        // Nobody waits behind it, and giving up would lose an index that is nearly built.
        self.set_lock_timeout(Duration::ZERO).await?;
        self.patiently(what, &[statement]).await?;
        self.set_lock_timeout(LOCK_TIMEOUT).await
    }

    /// Runs statements again and again until no lock is in their way.
    async fn patiently(&mut self, what: &str, statements: &[&str]) -> Result<(), StoreError> {
        let mut reported = Reported::default();
        loop {
            let Err(error) = self.attempt(what, statements).await else { return Ok(()) };
            if statements.len() > 1 && error.as_database_error().is_some() {
                self.connection.execute("rollback").await.map_err(classify)?;
            }
            self.obstructed(what, error, &mut reported).await?;
        }
    }

    /// Pauses if a lock was in the way; any other error is returned.
    async fn obstructed(&mut self, what: &str, error: sqlx::Error, reported: &mut Reported) -> Result<(), StoreError> {
        if !is_contention(&error) {
            return Err(failed(what, error));
        }
        if reported.is_due() {
            let holder = self.watcher.oldest_lock().await;
            (self.report)(&Progress::Slow(format!("{what} waits for a lock{holder}")));
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    async fn attempt(&mut self, what: &str, statements: &[&str]) -> sqlx::Result<()> {
        let start = Instant::now();
        for statement in statements {
            let work = self.connection.execute(AssertSqlSafe((*statement).to_owned()));
            tokio::pin!(work);
            loop {
                tokio::select! {
                    outcome = &mut work => break outcome.map(drop)?,
                    () = tokio::time::sleep(REPORT_EVERY) => {
                        let phase = self.watcher.phase(self.built.as_ref()).await;
                        let seconds = start.elapsed().as_secs();
                        (self.report)(&Progress::Slow(format!("{what} runs for {seconds} s{phase}")));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Limits lines about the same obstacle.
#[derive(Default)]
struct Reported(Option<Instant>);

impl Reported {
    fn is_due(&mut self) -> bool {
        let is_due = self.0.is_none_or(|last| last.elapsed() >= REPORT_EVERY);
        if is_due {
            self.0 = Some(Instant::now());
        }
        is_due
    }
}

/// Whether other sessions are in the way: a lock that is held, or a deadlock.
fn is_contention(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|database| database.code());
    matches!(code.as_deref(), Some("55P03" | "40P01"))
}

fn failed(what: &str, error: sqlx::Error) -> StoreError {
    let reason = message(&error);
    match classify(error) {
        StoreError::Halt(_) => {
            StoreError::Halt(format!("{what} failed: {reason}; remove the cause, then run `migrate up` again"))
        }
        other => other,
    }
}
