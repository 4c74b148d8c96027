//! Indexes of hypertables.

use std::process::Command;

use super::back::run;
use super::*;

const TIMESCALE: &str = "TAPEDECK_TEST_TIMESCALE";

/// An index whose rows take 0.1 s each. Only rows of the source `slow` are in it.
const MIGRATION: &str = "-- no-transaction\n\
    create or replace function slow(text) returns text language plpgsql immutable as \
        $$ begin perform pg_sleep(0.1); return $1; end $$;\n\
    create index concurrently if not exists ohlcv_bar_slow on ohlcv_bar (slow(symbol)) where source = 'slow';\n";

/// A bar of one of six years, each in a chunk of its own.
const WRITE: &str = "insert into ohlcv_bar (source, symbol, bar_interval, ts_start, trading_date, close, known_at, \
    observed_at, flags, content_hash, deleted) select 'quick', gen_random_uuid()::text, '1d', \
    make_timestamptz(2010 + floor(random() * 6)::integer, 6, 1, 0, 0, 0), '2010-06-01', 1, now(), now(), '{}', 0, false";

/// The same in the last year.
const WRITE_LAST: &str = "insert into ohlcv_bar (source, symbol, bar_interval, ts_start, trading_date, close, known_at, \
    observed_at, flags, content_hash, deleted) select 'quick', 'last', '1d', '2015-06-01', '2015-06-01', 1, now(), \
    now(), '{}', 0, false";

const IS_VALID: &str = "select count(*) from pg_index where indexrelid = to_regclass('ohlcv_bar_slow') and indisvalid";

const OID: &str = "select coalesce(to_regclass('ohlcv_bar_slow')::oid::bigint, 0)";

/// A database with that many slow bars in each of six years, and the executable that brings the index.
fn filled(database: &Database, bars: u32) -> Database {
    migrate(database);
    let insert = format!(
        "insert into ohlcv_bar (source, symbol, bar_interval, ts_start, trading_date, close, known_at, observed_at, flags, \
         content_hash, deleted) select 'slow', number::text, '1d', make_timestamptz(year, 6, 1, 0, 0, 0), '2010-06-01', 1, \
         now(), now(), '{{}}', 0, false from generate_series(2010, 2015) as year, generate_series(1, {bars}) as number"
    );
    block_on(database.store("test").rows(insert, &[])).unwrap();
    newer(database, &[("9001_index.up.sql", MIGRATION)])
}

#[test]
fn a_concurrent_index_of_a_hypertable_is_built_chunk_by_chunk_and_a_writer_waits_for_one_chunk_at_most() {
    // 2 s per chunk, and 12 s in all.
    let (bars, of_chunk) = (20, Duration::from_secs(2));
    let build = |name: &str, scratch: &ScratchDatabase| {
        let newest = filled(&scratch.database, bars);
        let (lines, waited) = std::thread::scope(|scope| {
            let migrating = scope.spawn(|| migrate(&newest));
            let mut waited = Duration::ZERO;
            while !migrating.is_finished() {
                waited = waited.max(slowest(&scratch.database, WRITE, Duration::from_millis(500)));
            }
            (migrating.join().unwrap(), waited)
        });
        let is_hypertable = name == TIMESCALE;
        let bound = if is_hypertable { of_chunk + BEHIND } else { BEHIND };
        assert!(waited < bound, "a writer waited for {waited:?} on {name}");
        let phase = if is_hypertable { " of 6 chunks" } else { "building index" };
        let slow = lines.iter().find(|line| line.contains("migration 9001 `index`, statement 2 of 2 runs for 10 s"));
        assert!(slow.is_some_and(|line| line.contains(phase)), "{lines:?} on {name}");
        let mut client = Client::new(&scratch.database);
        assert_eq!(client.number(IS_VALID), 1, "on {name}");
        let of_chunks = "select count(*) from pg_class where relname like '%chunk\\_ohlcv\\_bar\\_slow'";
        assert_eq!(client.number(of_chunks), if is_hypertable { 6 } else { 0 }, "on {name}");
    };
    let databases = postgres_databases();
    std::thread::scope(|scope| {
        databases.iter().for_each(|(name, scratch)| drop(scope.spawn(|| build(name, scratch))));
    });
}

#[test]
fn a_half_built_index_of_a_hypertable_is_dropped_and_built_again_after_a_kill_and_after_a_lock() {
    let Some((_, scratch)) = postgres_databases().into_iter().find(|(name, _)| *name == TIMESCALE) else { return };
    let newest = filled(&scratch.database, 5);
    let mut client = Client::new(&scratch.database);
    // Dropping the runtime closes the connection, as the end of a process does.
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        tokio::select! {
            migrated = newest.migrate() => panic!("the build did not take time: {migrated:?}"),
            () = half_built(&scratch.database, "ohlcv_bar_slow") => {}
        }
    });
    drop(runtime);
    client.run(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'tapedeck/migrate' \
         and datname = current_database()",
    );
    let half = client.number(OID);
    assert_eq!((half > 0, client.number(IS_VALID)), (true, 0), "it is half built");
    let lines = Mutex::new(Vec::new());
    let say = |progress: &store::Progress| lines.lock().unwrap().push(progress.to_string());
    std::thread::scope(|scope| {
        let migrating = scope.spawn(|| block_on(newest.migrate_to(None, &say)));
        // Dropped, and begun anew.
        until("another one is half built", || ![0, half].contains(&client.number(OID)));
        // The last chunk stays locked for longer than the build waits.
        client.run("begin");
        client.run(WRITE_LAST);
        until("the build gives up", || {
            lines.lock().unwrap().iter().any(|line| line.contains("2 of 2 waits for a lock"))
        });
        client.run("commit");
        migrating.join().unwrap().unwrap();
    });
    assert_eq!(client.number(IS_VALID), 1);
    assert_eq!(client.number("select count(*) from _sqlx_migrations where version = 9001"), 1);
}

#[test]
fn a_script_for_psql_builds_the_index_of_a_hypertable_as_a_migration_does() {
    let Some((_, scratch)) = postgres_databases().into_iter().find(|(name, _)| *name == TIMESCALE) else { return };
    migrate(&scratch.database);
    let script = newer(&scratch.database, &[("9001_index.up.sql", MIGRATION)]).migration_script(0, None).unwrap();
    for _ in 0..2 {
        run(Command::new("psql").args(["-X", "-q", scratch.database.address().expose()]), &script);
    }
    assert_eq!(Client::new(&scratch.database).number(IS_VALID), 1);
}
