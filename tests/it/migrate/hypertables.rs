//! Tables become hypertables as declared, with their rows, and plain tables again.

use std::collections::BTreeMap;
use std::process::Command;

use contract::datasets;
use store::{Layout, sql};
use tests::broker::embedded;
use tests::message::{bar, send_records};

use super::back::run;
use super::*;

/// The migration whose way back makes plain tables.
const HYPERTABLES: i64 = 17;
/// The plan of a conversion of a table with rows.
const PLANNED: &str = "to a hypertable by `known_at`: nobody reads or writes it meanwhile";

const COUNT: &str = "select count(*) from ohlcv_bar_revision";
const IS_PLAIN: &str = "select count(*) from pg_class where oid = 'ohlcv_bar_revision'::regclass and not relhassubclass \
    and not exists (select from timescaledb_information.hypertables where hypertable_name = 'ohlcv_bar_revision')";

/// Rows and revisions that were known over 30 years.
const FILL: [&str; 2] = [
    "insert into ohlcv_bar (source, symbol, bar_interval, ts_start, trading_date, close, known_at, observed_at, flags, \
        content_hash) select 'x', 'S' || n % 5, '1d', timestamptz '1995-01-01 UTC' + n * interval '10 days', \
        '1995-01-01', n, timestamptz '1995-01-01 UTC' + n * interval '11 days', now(), '{}', n \
        from generate_series(1, 1000) as n",
    "insert into ohlcv_bar_revision (source, symbol, bar_interval, ts_start, trading_date, close, known_at, observed_at, \
        flags, content_hash, topic_offset) select 'x', 'S' || n % 5, '1d', \
        timestamptz '1995-01-01 UTC' + n * interval '10 days', '1995-01-01', -n, \
        timestamptz '1995-01-01 UTC' + n * interval '10 days', now(), '{a}', n, n from generate_series(1, 1000) as n",
];

/// The last migration before the one whose way back makes plain tables.
fn before_hypertables(database: &Database) -> i64 {
    let status = block_on(database.migration_status()).unwrap();
    status.iter().map(|one| one.version).filter(|version| *version < HYPERTABLES).max().unwrap()
}

/// All rows of both tables, and what was known at some moments.
fn content(database: &Database) -> Vec<Vec<Option<String>>> {
    let of = |table: &str| {
        format!("select count(*)::text, md5(string_agg(r::text, '|' order by r::text)) from {table} as r")
    };
    let moments = ["1996-06-01", "2005-01-01", "2020-01-01"];
    let as_of = moments.iter().map(|moment| of(&format!("ohlcv_bar_as_of('{moment}')")));
    let all = [of("ohlcv_bar"), of("ohlcv_bar_revision")].into_iter().chain(as_of).collect::<Vec<_>>();
    block_on(database.query(&all.join(" union all "))).unwrap().rows
}

fn fill(database: &Database) {
    for statement in FILL {
        block_on(database.store("test").rows(statement.to_owned(), &[])).unwrap();
    }
}

/// What the database has of each table that is declared to be a hypertable: column and days of its chunks.
fn found(database: &Database) -> BTreeMap<String, (String, u64)> {
    let query = "select hypertable_name::text, column_name::text, (extract(epoch from time_interval) / 86400)::bigint::text \
        from timescaledb_information.dimensions";
    let text = |text: Option<String>| text.unwrap();
    let rows = block_on(database.query(query)).unwrap().rows.into_iter();
    let row = |row: Vec<Option<String>>| {
        let [name, column, days] = <[Option<String>; 3]>::try_from(row).unwrap().map(text);
        (name, (column, days.parse().unwrap()))
    };
    rows.map(row).collect()
}

/// The same as declared.
fn declared() -> BTreeMap<String, (String, u64)> {
    let mut all = BTreeMap::new();
    for dataset in datasets() {
        if let Some(time) = dataset.time {
            let days = dataset.chunk_days.unwrap_or_else(|| panic!("{} declares no chunk_days", dataset.name));
            all.insert(dataset.name.clone(), (dataset.fields[time].name.clone(), days.into()));
        }
        let days =
            dataset.revision_chunk_days.unwrap_or_else(|| panic!("{} declares no revision_chunk_days", dataset.name));
        all.insert(sql::revision(&dataset.name), ("known_at".to_owned(), days.into()));
    }
    all
}

fn timescale_database() -> Option<ScratchDatabase> {
    postgres_databases().into_iter().find(|(name, _)| *name == "TAPEDECK_TEST_TIMESCALE").map(|(_, scratch)| scratch)
}

#[test]
fn every_table_that_grows_with_time_is_a_hypertable_with_the_column_and_the_chunks_that_are_declared() {
    let Some(scratch) = timescale_database() else { return };
    migrate(&scratch.database);
    assert_eq!(found(&scratch.database), declared());
    let layouts = block_on(scratch.database.layouts()).unwrap();
    assert!(layouts.iter().all(Layout::is_as_declared) && layouts.len() == declared().len(), "{layouts:?}");
}

#[test]
fn a_plain_table_with_rows_becomes_a_hypertable_and_a_plain_table_again_with_all_its_rows_and_rights() {
    let Some(bench) = timescale() else { return };
    let database = &bench.database;
    let earlier = before_hypertables(database);
    // First all the way up: later, nothing hashes the rows again.
    migrate(database);
    block_on(database.migrate_down(earlier, &|_| {})).unwrap();
    block_on(database.grant_roles(&|_| {})).unwrap();
    fill(database);
    let before = content(database);
    let mut client = Client::new(database);
    let catalogue = || {
        let query = "select relowner::regrole::text, relacl::text, obj_description(oid, 'pg_class'), \
            (select string_agg(pg_get_constraintdef(oid) || conname, '|' order by conname) from pg_constraint \
            where conrelid = 'ohlcv_bar_revision'::regclass) from pg_class where relname = 'ohlcv_bar_revision'";
        bench.query(query)
    };
    let attached = catalogue();

    let planned = succeed("consumer", &["migrate", "up", "--dry-run"], &bench.environment);
    let line = planned.lines().find(|line| line.contains("`ohlcv_bar_revision`"));
    assert!(planned.contains("applies migration 17 `hypertables`\n"), "{planned}");
    assert!(line.is_some_and(|line| line.starts_with("converts ") && line.ends_with(PLANNED)), "{planned}");
    assert_eq!((client.number(IS_PLAIN), client.number(COUNT)), (1, 1000), "nothing was changed");

    let lines = migrate(database);
    let done = "conversion of `ohlcv_bar_revision` to a hypertable by `known_at` took";
    assert!(lines.iter().any(|line| line.starts_with(done)), "{lines:?}");
    assert_eq!(found(database), declared());
    assert_eq!(content(database), before);
    assert_eq!(catalogue(), attached, "owner, rights and comment stay");
    assert_eq!(client.number("select count(*) from show_chunks('ohlcv_bar_revision')"), 4);
    let planned = succeed("consumer", &["migrate", "up", "--dry-run"], &bench.environment);
    assert_eq!(planned, "nothing to do\n");
    let status = succeed("consumer", &["migrate", "status"], &bench.environment);
    assert!(status.contains("ohlcv_bar_revision            4 chunks of 3600 days by known_at\n"), "{status}");
    assert!(status.contains(", Apache edition: compression and retention need the community edition\n"), "{status}");

    succeed("consumer", &["migrate", "down", "--to", &earlier.to_string()], &bench.environment);
    assert_eq!(client.number(IS_PLAIN), 1);
    assert_eq!(content(database), before);
    assert_eq!(catalogue(), attached, "owner, rights and comment stay");
    migrate(database);
    assert_eq!(content(database), before);
}

#[test]
fn tables_that_were_made_before_timescaledb_was_installed_become_hypertables_with_their_rows() {
    let Some(scratch) = timescale_database() else { return };
    Client::new(&scratch.database).run("drop extension timescaledb");
    migrate(&scratch.database);
    fill(&scratch.database);
    let before = content(&scratch.database);
    Client::new(&scratch.database).run("create extension timescaledb");
    let script = scratch.database.migration_script(0, None).unwrap();
    migrate(&scratch.database);
    assert_eq!((found(&scratch.database), content(&scratch.database)), (declared(), before.clone()));
    // A script for psql does the same, here for a second time.
    run(Command::new("psql").args(["-X", "-q", scratch.database.address().expose()]), &script);
    assert_eq!((found(&scratch.database), content(&scratch.database)), (declared(), before));
}

#[test]
fn chunks_of_another_length_than_declared_are_made_as_declared_from_the_next_migration_on() {
    let Some(bench) = timescale() else { return };
    migrate(&bench.database);
    fill(&bench.database);
    let mut client = Client::new(&bench.database);
    client.run("select set_chunk_time_interval('ohlcv_bar_revision', interval '1 day')");
    let status = succeed("consumer", &["migrate", "status"], &bench.environment);
    assert!(status.contains("4 chunks of 1 days by known_at (declared: 3600 days)\n"), "{status}");
    let planned = succeed("consumer", &["migrate", "up", "--dry-run"], &bench.environment);
    assert_eq!(planned, "makes the next chunks of `ohlcv_bar_revision` 3600 days long\n");
    migrate(&bench.database);
    assert_eq!(found(&bench.database), declared());
    assert_eq!(client.number(COUNT), 1000);
}

#[test]
fn a_table_that_timescaledb_refuses_to_convert_stays_as_it_is_and_a_lock_only_delays_the_conversion() {
    let Some(scratch) = timescale_database() else { return };
    let mut client = Client::new(&scratch.database);
    let earlier = before_hypertables(&scratch.database);
    block_on(scratch.database.migrate_to(Some(earlier), &|_| {})).unwrap();
    fill(&scratch.database);
    client.run("create unique index mine on ohlcv_bar_revision (topic_offset)");
    let lines = migrate(&scratch.database);
    let refused = lines.iter().find(|line| line.starts_with("conversion of `ohlcv_bar_revision`"));
    assert!(refused.is_some_and(|line| line.contains("failed") && line.contains("unique index")), "{lines:?}");
    assert_eq!((client.number(IS_PLAIN), client.number(COUNT)), (1, 1000));
    client.run("drop index mine");

    client.run("begin");
    client.run("select count(*) from ohlcv_bar_revision");
    let lines = Mutex::new(Vec::new());
    let say = |progress: &store::Progress| lines.lock().unwrap().push(progress.to_string());
    std::thread::scope(|scope| {
        let migrating = scope.spawn(|| block_on(scratch.database.migrate_to(None, &say)));
        until("the conversion waits", || {
            let waits = "conversion of `ohlcv_bar_revision` to a hypertable by `known_at` waits for a lock";
            lines.lock().unwrap().iter().any(|line| line.starts_with(waits))
        });
        client.run("commit");
        migrating.join().unwrap().unwrap();
    });
    assert_eq!(found(&scratch.database), declared());
}

#[test]
fn a_read_as_of_a_moment_goes_through_the_chunks_of_revisions_backward_from_there() {
    let Some(scratch) = timescale_database() else { return };
    migrate(&scratch.database);
    fill(&scratch.database);
    let explain = |moment: &str| {
        let query = format!(
            "explain (costs off) select * from ohlcv_bar_as_of('{moment}') where source = 'x' and symbol = 'S1' \
             and bar_interval = '1d' and ts_start = '1999-02-19 UTC'"
        );
        let rows = block_on(scratch.database.store("test").rows(query, &[])).unwrap();
        rows.into_iter().flatten().flatten().collect::<Vec<_>>()
    };
    // The chunks of the search for the latest version: those that are older than the moment, in the order of their times.
    for (moment, chunks) in [("1996-06-01", 1), ("2005-01-01", 2), ("2021-01-01", 4)] {
        let plan = explain(moment);
        let searched = plan.iter().filter(|line| line.contains("AND (known_at <= '")).count();
        assert_eq!(searched, chunks, "as of {moment}: {plan:#?}");
        let is_ordered = |line: &String| line.trim_start().starts_with("Order: r") && line.contains(".known_at DESC");
        assert!(plan.iter().any(is_ordered), "not in their order as of {moment}: {plan:#?}");
    }
}

#[test]
fn policies_are_refused_with_a_reason_where_the_database_cannot_have_them() {
    let policies = |bench: &Bench, arguments: &[&str]| {
        fail("consumer", &[&["migrate", "policies"], arguments].concat(), &bench.environment)
    };
    for (bench, reason) in [
        (Some(embedded()), "need TimescaleDB, which this database has not"),
        (postgres(), "need TimescaleDB, which this database has not"),
        (timescale(), "here is the Apache edition"),
    ] {
        let Some(bench) = bench else { continue };
        migrate(&bench.database);
        let said = policies(&bench, &["ohlcv_bar", "--compress-after", "90"]);
        assert!(said.contains(reason), "{said}");
        assert!(policies(&bench, &[]).contains("add `--compress-after DAYS` or `--retain DAYS`"));
        assert!(policies(&bench, &["--retain", "90"]).contains("name the datasets"));
        assert!(policies(&bench, &["nothing", "--retain", "90"]).contains("there is no dataset `nothing`"));
        assert!(policies(&bench, &["filing", "--retain", "0"]).contains("expected days from 1 to 36500, or `off`"));
    }
}

/// As TimescaleDB's community edition notes a policy. The Apache edition does not run it.
pub(crate) const POLICY: &str = "insert into _timescaledb_config.bgw_job (id, application_name, schedule_interval, max_runtime, \
    max_retries, retry_period, proc_schema, proc_name, owner, scheduled, fixed_schedule, hypertable_id, config) \
    select 1000, 'Retention', '1 day', '1 hour', 1, '1 hour', '_timescaledb_functions', 'policy_retention', \
    current_user::regrole, false, false, id, jsonb_build_object('drop_after', '365 days', 'hypertable_id', id) \
    from _timescaledb_catalog.hypertable where table_name = 'ohlcv_bar'";

#[test]
fn rows_that_retention_removes_are_not_missing_to_a_deep_verification_and_all_others_are() {
    let Some(bench) = timescale() else { return };
    // Days from 2024-01-01.
    let today = u32::try_from((chrono::Utc::now() - tests::message::at(0)).num_days()).unwrap();
    let bars = [0, 40, today - 3, today - 2].map(|day| bar("KEPT", day, 1.0, 0, 0).into());
    send_records(&bench, "ohlcv_bar", &bars);
    succeed("consumer", &["run", "ohlcv_bar", "--once"], &bench.environment);
    succeed("consumer", &["verify", "ohlcv_bar", "--deep"], &bench.environment);
    bench.execute("select drop_chunks('ohlcv_bar', now() - interval '365 days')::text");
    assert_eq!(bench.number("select count(*) as n from ohlcv_bar"), 2);
    let said = fail("consumer", &["verify", "ohlcv_bar", "--deep"], &bench.environment);
    assert!(said.contains("2 violations"), "removed by hand, they are missing: {said}");

    Client::new(&bench.database).run(POLICY);
    let said = succeed("consumer", &["verify", "ohlcv_bar", "--deep"], &bench.environment);
    let note = "retention removes rows after 365 days: of 2 records nobody can say whether their rows are missing";
    assert!(said.contains(note), "{said}");
    let status = succeed("consumer", &["migrate", "status"], &bench.environment);
    assert!(status.contains("chunks of 360 days by ts_start, removed after 365 days\n"), "{status}");
    bench.execute("delete from ohlcv_bar where ts_start > now() - interval '365 days'");
    let said = fail("consumer", &["verify", "ohlcv_bar", "--deep"], &bench.environment);
    assert!(said.contains("2 violations"), "these are missing: {said}");
}
