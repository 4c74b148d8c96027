//! The state of a source: fetched items, the calls of the day, missing days, published offsets.
//!
//! One small SQLite file per source, in `TAPEDECK_STATE_DIR`, that several processes use at a time: a daemon, a
//! backfill beside it, and `producer status`. Two lock files beside it let one process at a time create it, and one
//! poll. The file can be deleted: then everything is fetched and published again.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Row as _, SqliteConnection, SqliteExecutor};
use tokio::sync::Mutex;
use tracing::warn;

mod backfills;
mod budget;
mod gaps;
mod items;
mod lock;
mod quota;
mod stopped;
mod topics;
mod validators;

pub use backfills::{BackfillKey, BackfillProgress};
pub use budget::{Budget, Class, Spent};
pub use gaps::{Gap, GapState};
pub use items::{Attempt, FAILURES_TO_ALERT, ItemState, Standing, Streak, Update};
pub use lock::Lock;
pub use stopped::Stopped;
pub use topics::Extent;
pub use validators::Validators;

/// How long to wait for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Number of the layout below; a file with another one is put aside. A column with a default that is added later
/// ([`ADDED_COLUMNS`]) keeps the number: versions with and without it read the same file, so going back loses nothing.
const LAYOUT: i64 = 2;
const LAID_OUT: &str = "pragma user_version = 2";

const TABLES: &str = "
create table if not exists item (
  endpoint text not null,
  item text not null,
  asked_at integer not null,
  answered_at integer,
  failures integer not null default 0,
  alerted integer not null default 0,
  calls integer not null default 1,
  latest_at integer,
  horizon_at integer,
  reread integer not null default 0,
  etag text,
  last_modified text,
  memory blob,
  error text,
  primary key (endpoint, item)
);
create table if not exists gap (
  endpoint text not null,
  item text not null,
  day text not null,
  noticed_at integer not null,
  asked_at integer not null,
  asks integer not null,
  state text not null check (state in ('open', 'filled', 'absent')),
  primary key (endpoint, item, day)
) without rowid;
create table if not exists quota (
  day text not null,
  class text not null,
  calls integer not null,
  primary key (day, class)
) without rowid;
create table if not exists pace (id integer primary key check (id = 0), free_at integer not null);
create table if not exists backfill (
  endpoint text not null,
  item text not null,
  first_day text not null,
  last_day text not null,
  next_day text not null,
  calls integer not null,
  records integer not null,
  primary key (endpoint, item, first_day, last_day)
) without rowid;
create table if not exists topic (
  name text not null,
  partition integer not null,
  end_offset integer not null,
  noted_offset integer not null,
  primary key (name, partition)
) without rowid;
create table if not exists publishing (id integer primary key check (id = 0));
create table if not exists tail (key integer primary key, dataset text not null, body blob not null);
create table if not exists stopped (
  id integer primary key check (id = 0),
  reason text not null,
  since integer not null,
  next_try_at integer not null
);
";

/// Columns that files from earlier versions lack: table, column, and the statement that adds it.
const ADDED_COLUMNS: &[[&str; 3]] =
    &[["item", "alerted", "alter table item add column alerted integer not null default 0"]];

/// The state of one source.
///
/// **Guarantees.** Every method is one transaction: it is done entirely or not at all, whatever happens to the process
/// or the machine. Several processes may use the same file.
///
/// **Errors.** An error means that nothing was written. Another process that writes is waited for, up to
/// [`BUSY_TIMEOUT`].
///
/// **Cancel safety.** A future that is dropped has done its transaction or nothing.
#[derive(Debug)]
pub struct State {
    source: &'static str,
    connection: Mutex<SqliteConnection>,
    /// The file that one process at a time locks to poll; None for a state in memory.
    lock: Option<File>,
}

/// How long to wait before the next request, and why.
pub type Refused = (Duration, String);

impl State {
    /// Path of the state file of a source.
    pub fn path(folder: &Path, source: &str) -> PathBuf {
        folder.join(format!("{source}.sqlite"))
    }

    /// Opens the state of a source, or creates it. A file that cannot be read is put aside: everything in it can be
    /// fetched again from the provider.
    pub async fn open(folder: &Path, source: &'static str) -> anyhow::Result<State> {
        let cannot = || format!("cannot keep the state of `{source}` in `{}`", folder.display());
        std::fs::create_dir_all(folder).with_context(cannot)?;
        let lock = lock::file(folder, source).with_context(cannot)?;
        let path = State::path(folder, source);
        let shown = path.display().to_string();
        let opening = lock::file(folder, &format!("{source}.opening")).with_context(cannot)?;
        let _opening = lock::opening(&opening, source).await;
        let connection = match connect(file(&path)).await {
            Ok(connection) => connection,
            Err(error) if is_spoilt(&error) => {
                put_aside(source, &path, &error)?;
                connect(file(&path)).await.with_context(|| format!("cannot keep state in `{shown}`"))?
            }
            Err(error) => return Err(error).with_context(|| format!("cannot keep state in `{shown}`")),
        };
        Ok(State { source, connection: Mutex::new(connection), lock: Some(lock) })
    }

    /// A state that ends with the process.
    pub async fn in_memory(source: &'static str) -> anyhow::Result<State> {
        let connection = connect(SqliteConnectOptions::new().in_memory(true)).await?;
        Ok(State { source, connection: Mutex::new(connection), lock: None })
    }

    /// Opens the state of a source, if there is one.
    pub async fn existing(folder: &Path, source: &'static str) -> anyhow::Result<Option<State>> {
        if State::path(folder, source).exists() { State::open(folder, source).await.map(Some) } else { Ok(None) }
    }

    /// Copies the state into another file.
    #[cfg(test)]
    pub(crate) async fn copy(&self, to: &Path) {
        let mut connection = self.connection.lock().await;
        sqlx::query("vacuum into ?").bind(to.display().to_string()).execute(&mut *connection).await.unwrap();
    }

    /// Forgets everything that was fetched, but not the calls that were made.
    pub async fn forget(&self) -> anyhow::Result<()> {
        let mut connection = self.connection.lock().await;
        let forget = "begin immediate; delete from item; delete from gap; delete from backfill; delete from topic;
            delete from publishing; delete from tail; commit";
        sqlx::raw_sql(forget).execute(&mut *connection).await?;
        Ok(())
    }
}

fn file(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // A call must be counted before it is made, whatever happens to the machine.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
}

async fn connect(options: SqliteConnectOptions) -> sqlx::Result<SqliteConnection> {
    let mut connection = options.connect().await?;
    let layout: i64 = sqlx::query_scalar("pragma user_version").fetch_one(&mut connection).await?;
    if layout != 0 && layout != LAYOUT {
        return Err(sqlx::Error::Decode(format!("its layout is {layout}, and this version reads {LAYOUT}").into()));
    }
    sqlx::raw_sql(TABLES).execute(&mut connection).await?;
    add_columns(&mut connection).await?;
    if layout == 0 {
        sqlx::raw_sql(LAID_OUT).execute(&mut connection).await?;
    }
    Ok(connection)
}

/// Adds the columns that a file from an earlier version lacks. Only one process at a time opens the file.
async fn add_columns(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    for [table, column, add] in ADDED_COLUMNS {
        let has = "select exists (select 1 from pragma_table_info(?) where name = ?)";
        if !sqlx::query_scalar::<_, bool>(has).bind(table).bind(column).fetch_one(&mut *connection).await? {
            sqlx::raw_sql(*add).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

/// Renames a file that cannot be read, so that a new one takes its place.
fn put_aside(source: &str, path: &Path, error: &sqlx::Error) -> anyhow::Result<()> {
    let (shown, aside) = (path.display().to_string(), path.with_extension("spoilt"));
    warn!(source, file = shown, aside = %aside.display(), "cannot read the state, starting with a new one: {error}");
    std::fs::rename(path, &aside).with_context(|| format!("cannot put `{shown}` aside"))?;
    for beside in ["sqlite-wal", "sqlite-shm"] {
        // They belong to the file that was put aside, and need not exist.
        let _ = std::fs::remove_file(path.with_extension(beside));
    }
    Ok(())
}

/// Whether the file is not a database, damaged, or of another version.
fn is_spoilt(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Decode(_) => true,
        // SQLITE_CORRUPT and SQLITE_NOTADB, extended codes included.
        sqlx::Error::Database(error) => {
            let code = error.code().and_then(|code| code.parse::<i32>().ok());
            code.is_some_and(|code| matches!(code & 0xff, 11 | 26))
        }
        _ => false,
    }
}

/// A time as it is saved.
fn micros_of(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros()
}

/// A time that was saved.
fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

#[cfg(test)]
mod tests;
