//! Migrations of a busy database: locks, long statements, kills, rolling upgrades. `migrate/back.rs`: going back, scripts.
//! `migrate/chunks.rs`: indexes of hypertables. `migrate/keys.rs`: the order of primary keys. `migrate/hypertables.rs`: which
//! tables are hypertables.

use std::fs;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sqlx::migrate::Migrate as _;
use sqlx::{Connection as _, Executor as _, PgConnection, SqliteConnection};
use store::Database;
use tempfile::TempDir;
use tests::broker::{Bench, ScratchDatabase, benches, block_on, postgres, timescale};
use tests::message::{bar, send_records};
use tests::process::{Heard, Running, command, fail, succeed, until};
use tests::root;
use tokio::runtime::Runtime;

use crate::declared::postgres_databases;

mod back;
mod chunks;
pub(crate) mod hypertables;
mod keys;

/// Longer than the limits of a consumer's session: 5 s for a lock.
const LONG_LOCK: Duration = Duration::from_secs(7);
/// Longer than the limits of a consumer's session: 30 s for a statement, and 30 s for SQLite's lock.
const LONG_STATEMENT: Duration = Duration::from_secs(31);
/// Longest that a query may wait behind a migration: the migration's second, and a slow machine.
const BEHIND: Duration = Duration::from_secs(3);

/// A newer executable's view of a database: the migrations of this one and these files.
fn newer(database: &Database, files: &[(&str, &str)]) -> Database {
    let kind = if database.address().expose().starts_with("sqlite:") { "sqlite" } else { "postgres" };
    let folder = TempDir::new().unwrap();
    for entry in fs::read_dir(root().join("migrations").join(kind)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    for (name, sql) in files {
        fs::write(folder.path().join(name), sql).unwrap();
    }
    database.clone().with_migrations(folder.path()).unwrap()
}

/// Migrates, and returns the lines of progress.
fn migrate(database: &Database) -> Vec<String> {
    let lines = Mutex::new(Vec::new());
    block_on(database.migrate_to(None, &|progress| lines.lock().unwrap().push(progress.to_string()))).unwrap();
    lines.into_inner().unwrap()
}

/// A client of PostgreSQL that is not tapedeck.
struct Client {
    runtime: Runtime,
    connection: PgConnection,
}

impl Client {
    fn new(database: &Database) -> Client {
        let runtime = Runtime::new().unwrap();
        let connection = runtime.block_on(PgConnection::connect(database.address().expose())).unwrap();
        Client { runtime, connection }
    }

    fn run(&mut self, sql: &'static str) {
        self.runtime.block_on(self.connection.execute(sql)).unwrap();
    }

    fn number(&mut self, sql: &'static str) -> i64 {
        self.runtime.block_on(sqlx::query_scalar(sql).fetch_one(&mut self.connection)).unwrap()
    }
}

/// The migrations that a database lacks.
fn missing(database: &Database) -> Vec<i64> {
    let status = block_on(database.migration_status()).unwrap();
    status.iter().filter(|one| one.applied_at.is_none()).map(|one| one.version).collect()
}

/// Runs a statement again and again, for that long; returns the longest time that one took.
fn slowest(database: &Database, sql: &'static str, time: Duration) -> Duration {
    let (mut client, start, mut slowest) = (Client::new(database), Instant::now(), Duration::ZERO);
    while start.elapsed() < time {
        let begun = Instant::now();
        client.run(sql);
        slowest = slowest.max(begun.elapsed());
    }
    slowest
}

#[test]
fn a_lock_held_for_longer_than_a_session_may_wait_delays_a_consumers_start_and_nobody_else() {
    for bench in [postgres(), timescale()].into_iter().flatten() {
        block_on(bench.database.migrate_to(Some(3), &|_| {})).unwrap();
        let mut holder = Client::new(&bench.database);
        holder.run("begin");
        holder.run("select count(*) from fetch_log");
        let mut consumer = Heard::start(command("consumer", &["run", "fetch_log", "--once"], &bench.environment));
        let waited = slowest(&bench.database, "select count(*) from fetch_log", LONG_LOCK);
        assert!(waited < BEHIND, "a reader waited for {waited:?}");
        holder.run("commit");
        assert!(consumer.wait(), "{:?}", consumer.said(""));
        let said = consumer.said("migration 4 `polling` waits for a lock: process");
        assert!(said.iter().any(|line| line.contains("on `fetch_log`")), "{:?}", consumer.said(""));
        assert_eq!(missing(&bench.database), [0; 0]);
    }
}

const INSERT: &str = "insert into series (source, series_id, known_at, observed_at, flags, content_hash, deleted) \
    values ('x', gen_random_uuid()::text, now(), now(), '{}', 0, true)";

#[test]
fn an_index_that_takes_longer_than_a_session_allows_is_built_beside_writers_and_its_progress_reported() {
    let migration = "-- no-transaction\ncreate index concurrently if not exists series_title on series (title);\n\
        alter table series drop constraint if exists series_popular, add constraint series_popular \
        check (popularity >= 0) not valid;\nalter table series validate constraint series_popular;\n";
    let build = |scratch: &ScratchDatabase| {
        migrate(&scratch.database);
        let mut holder = Client::new(&scratch.database);
        // The build waits for every older snapshot.
        holder.run("begin isolation level repeatable read");
        holder.run("select count(*) from series");
        let newest = newer(&scratch.database, &[("9001_index.up.sql", migration)]);
        let lines = std::thread::scope(|scope| {
            let migrating = scope.spawn(|| migrate(&newest));
            let waited = slowest(&scratch.database, INSERT, LONG_STATEMENT);
            let waits = !migrating.is_finished();
            // Before anything fails: otherwise the build would never end.
            holder.run("commit");
            let lines = migrating.join().unwrap();
            assert!(waits, "the build did not wait");
            assert!(waited < BEHIND, "a writer waited for {waited:?}");
            lines
        });
        let slow = lines.iter().filter(|line| line.contains("migration 9001 `index`, statement 1 of 3 runs for"));
        assert!(slow.clone().count() >= 2, "{lines:?}");
        assert!(slow.clone().any(|line| line.contains("waiting for")), "{lines:?}");
        let done = "select (select count(*) from pg_index where indexrelid = 'series_title'::regclass and indisvalid) \
            + (select count(*) from pg_constraint where conname = 'series_popular' and convalidated)";
        assert_eq!(Client::new(&scratch.database).number(done), 2);
    };
    let databases = postgres_databases();
    std::thread::scope(|scope| databases.iter().for_each(|(_, scratch)| drop(scope.spawn(|| build(scratch)))));
}

#[test]
fn a_sqlite_file_that_is_locked_for_longer_than_a_writer_waits_is_migrated_afterwards() {
    let folder = TempDir::new().unwrap();
    let address = format!("sqlite:{}", folder.path().join("x.db").display());
    let database = Database::new(&address).unwrap();
    migrate(&database);
    let newest = newer(&database, &[("9001_more.up.sql", "alter table series add column more text;")]);
    let runtime = Runtime::new().unwrap();
    let mut holder = runtime.block_on(SqliteConnection::connect(&address)).unwrap();
    runtime.block_on(holder.execute("begin immediate")).unwrap();
    let lines = std::thread::scope(|scope| {
        let migrating = scope.spawn(|| migrate(&newest));
        std::thread::sleep(LONG_STATEMENT);
        runtime.block_on(holder.execute("commit")).unwrap();
        migrating.join().unwrap()
    });
    assert!(lines.iter().any(|line| line.contains("waits for another process that writes")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("applied migration 9001 `more`")), "{lines:?}");
}

#[test]
fn an_index_whose_creation_was_interrupted_is_built_anew_and_the_migration_completed() {
    let migration = "-- no-transaction\ncreate table if not exists before_it (x bigint);\n\
        create index concurrently if not exists series_title on series (title);\n";
    for (name, scratch) in postgres_databases() {
        migrate(&scratch.database);
        let newest = newer(&scratch.database, &[("9001_index.up.sql", migration)]);
        let (mut holder, mut client) = (Client::new(&scratch.database), Client::new(&scratch.database));
        holder.run("begin isolation level repeatable read");
        holder.run("select count(*) from series");
        // Dropping the runtime closes the connection, as the end of a process does.
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            tokio::select! {
                migrated = newest.migrate() => panic!("the build did not wait on {name}: {migrated:?}"),
                () = half_built(&scratch.database, "series_title") => {}
            }
        });
        drop(runtime);
        // The server ends the statement although what it waits for is still there.
        let orphans = "select count(*) from pg_stat_activity where application_name = 'tapedeck/migrate' \
            and datname = current_database()";
        until("the server notices that the client is gone", || client.number(orphans) == 0);
        holder.run("commit");
        let index = "select count(*) from pg_index where indexrelid = 'series_title'::regclass and indisvalid";
        assert_eq!(client.number(index), 0, "it is half built on {name}");
        migrate(&newest);
        assert_eq!(client.number(index), 1, "it is valid on {name}");
        assert_eq!(client.number("select count(*) from _sqlx_migrations where version = 9001"), 1);
    }
}

/// Waits until the index is in the catalogue, and not valid.
async fn half_built(database: &Database, index: &str) {
    let mut connection = PgConnection::connect(database.address().expose()).await.unwrap();
    let query = "select count(*) from pg_index where indexrelid = to_regclass($1) and not indisvalid";
    while sqlx::query_scalar::<_, i64>(query).bind(index).fetch_one(&mut connection).await.unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_migration_that_is_killed_is_completed_by_the_next_start() {
    for bench in [postgres(), timescale()].into_iter().flatten() {
        block_on(bench.database.migrate_to(Some(3), &|_| {})).unwrap();
        let mut holder = Client::new(&bench.database);
        holder.run("begin");
        holder.run("select count(*) from fetch_log");
        let migrating = Heard::start(command("consumer", &["migrate"], &bench.environment));
        migrating.until_said("migration 4 `polling` waits for a lock");
        migrating.signal("KILL");
        drop(migrating);
        holder.run("commit");
        succeed("consumer", &["migrate", "up"], &bench.environment);
        assert_eq!(missing(&bench.database), [0; 0]);
        assert!(succeed("consumer", &["migrate", "status"], &bench.environment).ends_with("up to date\n"));
    }
}

#[test]
fn a_migration_waits_for_an_older_executable_that_migrates() {
    for (name, scratch) in postgres_databases() {
        let mut older = Client::new(&scratch.database);
        older.runtime.block_on(older.connection.lock()).unwrap();
        let lines = Mutex::new(Vec::new());
        let say = |progress: &store::Progress| lines.lock().unwrap().push(progress.to_string());
        std::thread::scope(|scope| {
            let migrating = scope.spawn(|| block_on(scratch.database.migrate_to(None, &say)));
            until("the migration waits", || lines.lock().unwrap().iter().any(|line| line.contains("another process")));
            assert_eq!(older.number("select count(*) from pg_class where relname = 'series'"), 0, "on {name}");
            older.runtime.block_on(older.connection.unlock()).unwrap();
            migrating.join().unwrap().unwrap();
        });
    }
}

fn bars(bench: &Bench, symbol: &str) {
    let record = |day| bar(symbol, day, f64::from(day), 0, 0).into();
    send_records(bench, "ohlcv_bar", &(0..100).map(record).collect::<Vec<_>>());
}

fn stored(bench: &Bench, symbol: &str) -> i64 {
    bench.number(&format!("select count(*) as n from ohlcv_bar where symbol = '{symbol}'"))
}

#[test]
fn an_older_executable_keeps_running_while_and_after_a_newer_one_adds_to_the_tables() {
    for (name, bench) in benches() {
        bars(&bench, "BEFORE");
        let environment = bench.with(&[("TAPEDECK_HEALTH_ADDRESS", "127.0.0.1:0")]);
        let older = Running::start(command("consumer", &["run", "ohlcv_bar"], &environment));
        until("the older executable consumes", || {
            bench.try_execute("select 1 from ohlcv_bar").is_ok() && stored(&bench, "BEFORE") == 100
        });
        let expand =
            "alter table ohlcv_bar add column turnover integer;\ncreate table venue (name text primary key);\n";
        migrate(&newer(&bench.database, &[("9001_turnover.up.sql", expand)]));
        bars(&bench, "AFTER");
        until("the same process stores more", || stored(&bench, "AFTER") == 100);
        drop(older);
        bars(&bench, "RESTARTED");
        succeed("consumer", &["run", "ohlcv_bar", "--once"], &bench.environment);
        assert_eq!(stored(&bench, "RESTARTED"), 100, "on {name}");
        succeed("consumer", &["verify", "ohlcv_bar", "--deep"], &bench.environment);
        let status = succeed("consumer", &["migrate", "status"], &bench.environment);
        assert!(status.contains("by a newer executable"), "on {name}: {status}");
        let refused = fail("consumer", &["migrate", "down", "--to", "0", "--yes"], &bench.environment);
        assert!(refused.contains("revert with that one"), "on {name}: {refused}");

        let contract = ("9002_contract_venue.up.sql", "drop table venue;");
        migrate(&newer(&bench.database, &[("9001_turnover.up.sql", expand), contract]));
        let refused = fail("consumer", &["run", "ohlcv_bar", "--once"], &bench.environment);
        assert!(refused.contains("migration 9002 `contract venue` removes what this executable needs"), "{refused}");
    }
}
