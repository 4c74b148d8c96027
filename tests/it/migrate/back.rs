//! Going back, and scripts for the databases' own clients.

use std::io::Write as _;
use std::process::{Command, Stdio};

use chrono::NaiveDate;
use contract::Record;
use contract::datasets;
use contract::records::EtfFlow;
use store::Database;
use tempfile::TempDir;
use tests::broker::{Bench, benches, block_on};
use tests::message::{Message, at, encode, send};
use tests::process::{Environment, fail, succeed};
use tests::table;

use super::{bars, missing, stored};
use crate::declared::{declared_in_postgres, declared_in_sqlite, postgres_databases};

/// Sends that many records of a dataset that migration 3 creates.
fn flows(bench: &Bench, count: u32) {
    let flow = |day: u32| EtfFlow {
        source: "test".into(),
        report: "combined".into(),
        frequency: "weekly".into(),
        period_end: NaiveDate::from_ymd_opt(2024, 1, 1).unwrap() + chrono::Days::new(day.into()),
        category: "total".into(),
        net_flow_millions: i64::from(day),
        parts_deviation_millions: None,
        source_file: "x".into(),
        known_at: at(0),
        observed_at: at(0),
        flags: Vec::new(),
    };
    let schema = contract::dataset("etf_flow").unwrap().schema_id;
    let message = |day| -> Message {
        let record = Record::from(flow(day));
        (None, Some(record.message_key().into_bytes()), Some(encode(schema, &record)))
    };
    send(bench, "etf_flow", &(0..count).map(message).collect::<Vec<_>>());
}

fn consume(bench: &Bench) {
    succeed("consumer", &["run", "ohlcv_bar", "etf_flow", "--once"], &bench.environment);
}

fn positions(bench: &Bench, dataset: &str) -> i64 {
    let topic = bench.topic(dataset);
    let count = |table| format!("(select count(*) from {table} where kafka_topic = '{topic}')");
    bench.number(&format!("select {} + {} as n", count("sink_position"), count("sink_chunk")))
}

#[test]
fn a_table_that_was_dropped_is_filled_again_from_kafka_and_the_others_stay_as_they_are() {
    for (name, bench) in benches() {
        flows(&bench, 500);
        bars(&bench, "KEPT");
        consume(&bench);
        let (kept, dropped) = (positions(&bench, "ohlcv_bar"), positions(&bench, "etf_flow"));
        assert!(kept > 0 && dropped > 0, "on {name}");

        let refused = fail("consumer", &["migrate", "down", "--to", "2"], &bench.environment);
        assert!(refused.contains("add `--yes`"), "on {name}: {refused}");
        let shown = succeed("consumer", &["migrate", "down", "--to", "2", "--dry-run"], &bench.environment);
        assert!(shown.contains("drops table `etf_flow` with 500 rows\n"), "on {name}: {shown}");
        assert!(shown.contains("drops column `unchanged` of `fetch_log`\n"), "on {name}: {shown}");
        assert_eq!(bench.number("select count(*) as n from etf_flow"), 500, "nothing was changed on {name}");

        succeed("consumer", &["migrate", "down", "--to", "2", "--yes"], &bench.environment);
        assert_eq!((positions(&bench, "ohlcv_bar"), positions(&bench, "etf_flow")), (kept, 0), "on {name}");
        consume(&bench);
        assert_eq!(bench.number("select count(*) as n from etf_flow"), 500, "on {name}");
        assert_eq!((stored(&bench, "KEPT"), positions(&bench, "ohlcv_bar")), (100, kept), "on {name}");
        succeed("consumer", &["verify", "ohlcv_bar", "etf_flow", "--deep"], &bench.environment);
    }
}

/// The script for a database, printed without one.
fn script(arguments: &[&str]) -> String {
    succeed("consumer", &[&["migrate", "sql"], arguments].concat(), &Environment::new())
}

/// Runs a script with a database's own client, which must succeed.
pub(super) fn run(client: &mut Command, script: &str) {
    let mut child = client.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{client:?}: {said}");
}

/// The migrations after that one.
fn after(database: &Database, version: i64) -> Vec<i64> {
    let status = block_on(database.migration_status()).unwrap();
    status.iter().map(|one| one.version).filter(|other| *other > version).collect()
}

#[test]
fn a_script_for_psql_makes_the_tables_that_a_migration_makes_and_can_be_run_again() {
    for (name, scratch) in postgres_databases() {
        let (database, address) = (&scratch.database, scratch.database.address().expose());
        let psql = |script: &str| run(Command::new("psql").args(["-X", "-q", address]), script);
        psql(&script(&["--database", "postgres", "--to", "2"]));
        assert_eq!(missing(database), after(database, 2), "on {name}");
        for _ in 0..2 {
            psql(&script(&["--database", "postgres"]));
            assert_eq!(missing(database), [0; 0], "on {name}");
        }
        block_on(async {
            for dataset in datasets() {
                let expected = declared_in_postgres(database, dataset).await;
                assert_eq!(table::postgres(address, &dataset.name).await, expected, "on {name}");
            }
        });
        let comments = "select count(*)::text as n from pg_description where classoid = 'pg_class'::regclass \
            and objoid in (select oid from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r')";
        let count = || block_on(database.query(comments)).unwrap().rows;
        let before = count();
        block_on(database.migrate()).unwrap();
        assert_eq!(count(), before, "the script wrote all comments on {name}");

        let position = "insert into sink_position (sink, kafka_topic, kafka_incarnation, kafka_partition, next_offset) \
            values ('x', 'tapedeck.' || $1 || '.v1', 0, 0, 1)";
        for dataset in ["ohlcv_bar", "etf_flow"] {
            block_on(database.store("test").rows(position.to_owned(), &[dataset])).unwrap();
        }
        let latest = after(database, 0).last().unwrap().to_string();
        let back = ["--database", "postgres", "--from", &latest, "--to", "2"];
        psql(&script(&back));
        psql(&script(&back));
        assert_eq!(missing(database), after(database, 2), "on {name}");
        let left = block_on(database.query("select kafka_topic from sink_position")).unwrap().rows;
        assert_eq!(left, [[Some("tapedeck.ohlcv_bar.v1".to_owned())]], "on {name}");
    }
}

#[test]
fn a_script_for_sqlite3_makes_the_tables_that_a_migration_makes() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.db");
    let address = format!("sqlite:{}", path.display());
    let database = Database::new(&address).unwrap();
    let sqlite = |script: &str| run(Command::new("sqlite3").arg(&path), script);
    sqlite(&script(&["--database", "sqlite", "--to", "4"]));
    assert_eq!(missing(&database), after(&database, 4));
    sqlite(&script(&["--database", "sqlite", "--from", "4"]));
    assert_eq!(missing(&database), [0; 0]);
    block_on(database.migrate()).unwrap();
    for dataset in datasets() {
        let made = block_on(table::sqlite(&address, &dataset.name));
        assert_eq!(made, declared_in_sqlite(&database, dataset));
    }
    let latest = after(&database, 0).last().unwrap().to_string();
    sqlite(&script(&["--database", "sqlite", "--from", &latest, "--to", "2"]));
    assert_eq!(missing(&database), after(&database, 2));
}
