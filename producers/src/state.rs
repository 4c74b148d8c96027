//! What a source's producers keep for the next one: what was asked and answered, the calls of the day, what is missing.
//!
//! One small SQLite file per source, in `TAPEDECK_STATE_DIR`, that several processes may use at a time: a daemon, a
//! backfill beside it, and whoever asks for the status. Locks beside it let one at a time make it, and one poll.
//! It can be deleted: everything is asked for and published again.

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

use crate::fetch::{Budget, Class, Spent, Validators};

mod alone;
mod backfills;
mod gaps;
mod items;
mod topics;

pub use alone::Alone;
pub use backfills::{BackfillKey, Progress};
pub use gaps::{Days, Gap, GapState};
pub use items::{End, FAILURES_TO_ALARM, ItemState, Kept, Standing, Streak};
pub use topics::{Mark, Noted};

/// How long to wait for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Wait when the state cannot be written: nothing is asked that could not be counted.
const UNKEPT_WAIT: Duration = Duration::from_secs(60);
/// Number of the layout below; what has another one is put aside. A column with a default that is added later
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
";

/// Columns that files from earlier versions lack: table, column, and its declaration.
const ADDED_COLUMNS: &[[&str; 3]] = &[["item", "alerted", "integer not null default 0"]];

/// The state of one source.
#[derive(Debug)]
pub struct State {
    source: &'static str,
    connection: Mutex<SqliteConnection>,
    /// What one process at a time holds; None when nobody else has this state.
    lock: Option<File>,
}

/// When something that was refused may be asked again, and why.
pub type Refused = (Duration, String);

impl State {
    /// Where that of a source is.
    pub fn path(folder: &Path, source: &str) -> PathBuf {
        folder.join(format!("{source}.sqlite"))
    }

    /// Opens it, or makes it. One that cannot be read is put aside: it can be had again from the provider.
    pub async fn open(folder: &Path, source: &'static str) -> anyhow::Result<State> {
        let cannot = || format!("cannot keep the state of `{source}` in `{}`", folder.display());
        std::fs::create_dir_all(folder).with_context(cannot)?;
        let lock = alone::file(folder, source).with_context(cannot)?;
        let path = State::path(folder, source);
        let shown = path.display().to_string();
        let opening = alone::file(folder, &format!("{source}.opening")).with_context(cannot)?;
        let _opening = alone::opening(&opening, source).await;
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

    /// One that ends with the process.
    pub async fn in_memory(source: &'static str) -> anyhow::Result<State> {
        let connection = connect(SqliteConnectOptions::new().in_memory(true)).await?;
        Ok(State { source, connection: Mutex::new(connection), lock: None })
    }

    /// That of a source that has one.
    pub async fn existing(folder: &Path, source: &'static str) -> anyhow::Result<Option<State>> {
        if State::path(folder, source).exists() { State::open(folder, source).await.map(Some) } else { Ok(None) }
    }

    /// Takes calls of the day for a class, or none and tells when there are more.
    pub async fn take(&self, budget: &Budget, class: Class, calls: u32, now: DateTime<Utc>) -> Result<(), Refused> {
        match self.take_of_day(budget, class, calls, now).await {
            Ok(None) => Ok(()),
            Ok(Some(day)) => {
                let (from, reason) = budget.exhausted(class, day);
                Err(((from - now).to_std().unwrap_or_default(), reason))
            }
            Err(error) => {
                Err((UNKEPT_WAIT, format!("what is spent of the quota of `{}` cannot be kept: {error}", self.source)))
            }
        }
    }

    /// The day that has not so many left; None when they are taken.
    async fn take_of_day(
        &self,
        budget: &Budget,
        class: Class,
        calls: u32,
        now: DateTime<Utc>,
    ) -> sqlx::Result<Option<NaiveDate>> {
        let mut connection = self.connection.lock().await;
        // Another process must not count in between.
        let mut transaction = connection.begin_with("begin immediate").await?;
        let (day, spent) = spent(&mut *transaction, now).await?;
        if budget.left(class, spent) < calls {
            return Ok(Some(day));
        }
        let add = "insert into quota (day, class, calls) values (?, ?, ?)
            on conflict (day, class) do update set calls = calls + excluded.calls";
        sqlx::query(add).bind(day.to_string()).bind(class.name()).bind(calls).execute(&mut *transaction).await?;
        sqlx::query("delete from quota where day < ?").bind(day.to_string()).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(None)
    }

    /// Calls of the day that were made, by class.
    pub async fn spent(&self, now: DateTime<Utc>) -> anyhow::Result<Spent> {
        let mut connection = self.connection.lock().await;
        Ok(spent(&mut *connection, now).await?.1)
    }

    /// Takes a turn for a request: at most `burst` at once, then one in each `pause`, whoever makes them. Gives how long
    /// to wait before another try when it is nobody's turn.
    pub async fn turn(&self, pause: Duration, burst: u32, now: DateTime<Utc>) -> anyhow::Result<Option<Duration>> {
        let (pause, now) = (micros(pause), now.timestamp_micros());
        let ahead = pause.saturating_mul(i64::from(burst.max(1)) - 1);
        let mut connection = self.connection.lock().await;
        let mut transaction = connection.begin_with("begin immediate").await?;
        let free_at = sqlx::query_scalar("select free_at from pace").fetch_optional(&mut *transaction).await?;
        // A clock that was put back must not make anybody wait for longer than after a burst.
        let free_at: i64 = free_at.unwrap_or(now).min(now.saturating_add(ahead + pause));
        let wait = free_at - ahead - now;
        if wait > 0 {
            return Ok(Some(Duration::from_micros(wait.cast_unsigned())));
        }
        let next = free_at.max(now) + pause;
        let keep =
            "insert into pace (id, free_at) values (0, ?) on conflict (id) do update set free_at = excluded.free_at";
        sqlx::query(keep).bind(next).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(None)
    }

    /// Copies it into a file of its own.
    #[cfg(test)]
    pub(crate) async fn copy(&self, to: &Path) {
        let mut connection = self.connection.lock().await;
        sqlx::query("vacuum into ?").bind(to.display().to_string()).execute(&mut *connection).await.unwrap();
    }

    /// Forgets all that was asked and answered, but not what it has cost.
    pub async fn forget(&self) -> anyhow::Result<()> {
        let mut connection = self.connection.lock().await;
        let forget = "begin immediate; delete from item; delete from gap; delete from backfill; delete from topic;
            delete from publishing; delete from tail; commit";
        sqlx::raw_sql(forget).execute(&mut *connection).await?;
        Ok(())
    }
}

/// The day, and what was spent of it. A clock that is put back begins none anew.
async fn spent(connection: impl SqliteExecutor<'_>, now: DateTime<Utc>) -> sqlx::Result<(NaiveDate, Spent)> {
    let today = now.date_naive();
    let rows = sqlx::query("select day, class, calls from quota where day >= ? order by day desc");
    let rows = rows.bind(today.to_string()).fetch_all(connection).await?;
    let date = |row: &sqlx::sqlite::SqliteRow| row.get::<String, _>(0).parse::<NaiveDate>().ok();
    let day = rows.first().and_then(date).unwrap_or(today);
    let of_day = rows.iter().filter(|row| date(row) == Some(day));
    let mut spent = Spent::default();
    for row in of_day {
        let (class, calls): (String, u32) = (row.get(1), row.get(2));
        if let Some(place) = Class::ALL.iter().position(|own| own.name() == class) {
            spent[place] = calls;
        }
    }
    Ok((day, spent))
}

fn file(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // A call that was made must have been counted, whatever happens to the machine.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
}

async fn connect(options: SqliteConnectOptions) -> sqlx::Result<SqliteConnection> {
    let mut connection = options.connect().await?;
    let layout: i64 = sqlx::query_scalar("pragma user_version").fetch_one(&mut connection).await?;
    if layout != 0 && layout != LAYOUT {
        return Err(sqlx::Error::Decode(
            format!("its layout is {layout}, and {LAYOUT} is what this version reads").into(),
        ));
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
    for [table, column, declaration] in ADDED_COLUMNS {
        let has = "select exists (select 1 from pragma_table_info(?) where name = ?)";
        if !sqlx::query_scalar::<_, bool>(has).bind(table).bind(column).fetch_one(&mut *connection).await? {
            let add = format!("alter table {table} add column {column} {declaration}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(add)).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

/// Lets a new one begin where one is that cannot be read.
fn put_aside(source: &str, path: &Path, error: &sqlx::Error) -> anyhow::Result<()> {
    let (shown, aside) = (path.display().to_string(), path.with_extension("spoilt"));
    warn!(source, file = shown, aside = %aside.display(), "the state cannot be read, beginning anew: {error}");
    std::fs::rename(path, &aside).with_context(|| format!("cannot put `{shown}` aside"))?;
    for beside in ["sqlite-wal", "sqlite-shm"] {
        // They belong to what was put aside; there may be none.
        let _ = std::fs::remove_file(path.with_extension(beside));
    }
    Ok(())
}

/// Whether it is no database, a damaged one, or one of another version.
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

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A time as it is kept.
fn kept(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros()
}

/// A time that was kept.
fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use tempfile::TempDir;

    use super::*;
    use crate::fixture::at;

    const NOON: &str = "2026-11-20T12:00:00Z";

    async fn spend(state: &State, budget: &Budget, class: Class, calls: u32, now: &str) -> Result<(), String> {
        state.take(budget, class, calls, at(now)).await.map_err(|(_, reason)| reason)
    }

    #[tokio::test]
    async fn what_is_spent_stays_spent_for_whoever_comes_and_until_the_day_is_over() {
        let folder = TempDir::new().unwrap();
        let budget = Budget::new(3);
        let first = State::open(folder.path(), "fmp").await.unwrap();
        // Beside the first, not after it: a backfill beside a daemon.
        let second = State::open(folder.path(), "fmp").await.unwrap();
        for state in [&first, &second, &first] {
            spend(state, &budget, Class::Live, 1, NOON).await.unwrap();
        }
        let (wait, reason) = second.take(&budget, Class::Live, 1, at(NOON)).await.unwrap_err();
        assert_eq!(wait, Duration::from_secs(12 * 3600));
        assert!(reason.contains("2026-11-21 00:00"), "{reason}");
        drop((first, second));
        let third = State::open(folder.path(), "fmp").await.unwrap();
        assert!(spend(&third, &budget, Class::Live, 1, "2026-11-20T23:59:59Z").await.is_err());
        // A clock that is put back begins no new day, and the next day is none of the old one.
        spend(&third, &budget, Class::Live, 1, "2026-11-21T00:00:00Z").await.unwrap();
        assert!(spend(&third, &budget, Class::Live, 3, "2026-11-20T12:00:00Z").await.is_err());
        spend(&third, &budget, Class::Live, 2, "2026-11-20T12:00:00Z").await.unwrap();
        assert_eq!(third.spent(at("2026-11-21T01:00:00Z")).await.unwrap(), [3, 0, 0]);
    }

    #[tokio::test]
    async fn each_class_has_what_is_left_for_it() {
        let state = State::in_memory("fmp").await.unwrap();
        let budget = Budget::new(20);
        budget.plan(10);
        for _ in 0..9 {
            spend(&state, &budget, Class::Backfill, 1, NOON).await.unwrap();
        }
        assert!(spend(&state, &budget, Class::Backfill, 1, NOON).await.is_err());
        spend(&state, &budget, Class::Repair, 1, NOON).await.unwrap();
        assert!(spend(&state, &budget, Class::Repair, 1, NOON).await.is_err());
        spend(&state, &budget, Class::Live, 10, NOON).await.unwrap();
        assert!(spend(&state, &budget, Class::Live, 1, NOON).await.is_err());
        assert_eq!(state.spent(at(NOON)).await.unwrap(), [10, 1, 9]);
    }

    #[tokio::test]
    async fn requests_come_in_a_burst_and_then_one_by_one() {
        let state = State::in_memory("fred").await.unwrap();
        let (pause, start) = (Duration::from_secs(1), at(NOON));
        let turn = async |after_ms: i64| state.turn(pause, 3, start + TimeDelta::milliseconds(after_ms)).await.unwrap();
        for _ in 0..3 {
            assert_eq!(turn(0).await, None);
        }
        assert_eq!(turn(0).await, Some(pause));
        assert_eq!(turn(400).await, Some(Duration::from_millis(600)));
        assert_eq!(turn(1000).await, None);
        assert_eq!(turn(1000).await, Some(pause));
        // After a rest the next burst may come; a clock that was put back does not make anybody wait for it.
        for _ in 0..3 {
            assert_eq!(turn(60_000).await, None);
        }
        assert_eq!(turn(60_000).await, Some(pause));
        assert_eq!(turn(-3_600_000).await, Some(pause));
    }

    #[tokio::test]
    async fn a_state_that_cannot_be_read_is_put_aside() {
        let folder = TempDir::new().unwrap();
        let path = State::path(folder.path(), "fred");
        std::fs::write(&path, vec![b'x'; 10_000]).unwrap();
        let state = State::open(folder.path(), "fred").await.unwrap();
        assert_eq!(state.spent(at(NOON)).await.unwrap(), [0, 0, 0]);
        let aside = folder.path().join("fred.spoilt");
        std::fs::remove_file(&aside).unwrap();
        sqlx::raw_sql("pragma user_version = 99").execute(&mut *state.connection.lock().await).await.unwrap();
        drop(state);
        State::open(folder.path(), "fred").await.unwrap();
        assert!(aside.exists());
        assert!(State::existing(folder.path(), "cboe").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_state_of_an_earlier_version_is_taken_over_with_all_that_is_in_it() {
        let folder = TempDir::new().unwrap();
        let path = State::path(folder.path(), "fred");
        // As versions without the column made it.
        let tables = TABLES.replace("  alerted integer not null default 0,\n", "");
        assert_ne!(tables, TABLES);
        let mut connection = file(&path).connect().await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(tables)).execute(&mut connection).await.unwrap();
        let item = "insert into item (endpoint, item, asked_at, failures) values ('series', 'GDP', 0, 3)";
        sqlx::raw_sql(item).execute(&mut connection).await.unwrap();
        sqlx::raw_sql(LAID_OUT).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        for is_alerted in [false, true] {
            let state = State::open(folder.path(), "fred").await.unwrap();
            let standing = state.standings().await.unwrap().remove(0);
            assert_eq!(standing.streak, Streak { failures: 3, is_alerted });
            state.record_alert("series", "GDP", true).await.unwrap();
        }
        assert!(!folder.path().join("fred.spoilt").exists());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 8)]
    async fn all_that_open_it_at_once_for_the_first_time_have_the_same_one() {
        for was_spoilt in [false, true].repeat(4) {
            let folder = TempDir::new().unwrap();
            if was_spoilt {
                std::fs::write(State::path(folder.path(), "fred"), vec![b'x'; 10_000]).unwrap();
            }
            let spend_one = |folder: PathBuf| async move {
                let state = State::open(&folder, "fred").await.unwrap();
                spend(&state, &Budget::new(8), Class::Live, 1, NOON).await.unwrap();
            };
            let all: Vec<_> = (0..8).map(|_| tokio::spawn(spend_one(folder.path().to_owned()))).collect();
            for one in all {
                one.await.unwrap();
            }
            let state = State::existing(folder.path(), "fred").await.unwrap().unwrap();
            assert_eq!(state.spent(at(NOON)).await.unwrap(), [8, 0, 0]);
        }
    }

    #[tokio::test]
    async fn what_was_asked_and_answered_is_forgotten_and_what_it_has_cost_is_not() {
        let state = State::in_memory("fmp").await.unwrap();
        let (budget, day) = (Budget::new(20), at(NOON).date_naive());
        spend(&state, &budget, Class::Live, 3, NOON).await.unwrap();
        spend(&state, &budget, Class::Live, 5, "2026-11-21T12:00:00Z").await.unwrap();
        let end = End {
            at: at(NOON),
            answered: true,
            calls: 1,
            error: None,
            latest: Some(1),
            reread: None,
            validators: None,
        };
        let kept = Kept { endpoint: "eod_prices", item: "AAPL", memory: None, end: Some(end) };
        state.keep(&[kept], &Noted::default()).await.unwrap();
        let missing = Days { missing: [day].into(), ..Days::default() };
        state.note_days("eod_prices", "AAPL", &missing, at(NOON)).await.unwrap();
        let key = ("eod_prices", "AAPL", day, day);
        state.note_backfill(key, Progress { next_day: day, calls: 1, records: 1 }).await.unwrap();
        assert_eq!((state.standings().await.unwrap().len(), state.gaps(None).await.unwrap().len()), (1, 1));
        state.forget().await.unwrap();
        assert_eq!((state.standings().await.unwrap(), state.gaps(None).await.unwrap()), (vec![], vec![]));
        assert_eq!(state.backfill(key).await.unwrap(), None);
        assert_eq!(state.spent(at(NOON)).await.unwrap(), [5, 0, 0]);
        // A day that is over costs no more.
        let mut connection = state.connection.lock().await;
        let days: i64 = sqlx::query_scalar("select count(*) from quota").fetch_one(&mut *connection).await.unwrap();
        assert_eq!(days, 1);
    }
}
