//! Content hashes of an earlier build: `consumer migrate` carries them over, so that a replay changes nothing.

use std::sync::Mutex;
use std::time::Duration;

use contract::{Dataset, Record, Rows, Value, dataset};
use sources::{fixture, source};
use tests::broker::{Bench, benches, block_on, postgres, timescale};
use tests::message::{bar, send_records};
use tests::process::succeed;
use tokio::runtime::Runtime;

/// Bars: more than are hashed at once.
const BARS: u32 = 4500;
/// Articles in the fixture.
const ARTICLES: usize = 3;

/// Fills two tables, and a third beside them.
fn load(bench: &Bench) {
    let bars: Vec<Record> = (0..BARS).map(|day| bar("A", day, f64::from(day), 10, 10).into()).collect();
    send_records(bench, "ohlcv_bar", &bars);
    let articles = fixture::parse(source("eodhd").unwrap(), "news", "AAPL.US.json").unwrap().records;
    assert_eq!(articles.len(), ARTICLES);
    send_records(bench, "news_article", &articles);
    succeed("consumer", &["run", "ohlcv_bar", "news_article", "--once"], &bench.environment);
    succeed("consumer", &["replay", "ohlcv_bar", "--into", "beside", "--to-offset", "100"], &bench.environment);
}

/// The tables' rows in full, but for the times of writing.
fn content(bench: &Bench) -> Vec<Vec<Vec<Option<String>>>> {
    let tables = [("ohlcv_bar", "symbol, ts_start"), ("beside", "symbol, ts_start"), ("news_article", "article_id")];
    let columns = "observed_at, known_at, content_hash, deleted";
    tables.map(|(table, key)| bench.query(&format!("select {key}, {columns} from {table} order by {key}"))).to_vec()
}

/// Gives rows the hashes of an earlier build.
fn age(bench: &Bench, dataset: &'static Dataset, table: &str, key: &str, limit: usize) {
    let at = dataset.position(key).unwrap();
    let mut updates = Vec::new();
    block_on(async {
        let each = bench.database.pages(dataset).each_row(|line| {
            let mut rows = Rows::new(dataset);
            let value =
                |(at, field): (usize, &contract::dataset::Field)| line.value(at, field.kind).unwrap_or(Value::Null);
            rows.push_row(dataset.fields.iter().enumerate().map(value), false);
            updates.push((line.text(at), rows.hash(dataset.values(), 0)));
            Ok::<(), store::StoreError>(())
        });
        each.await.unwrap();
    });
    let cases = updates.iter().take(limit).map(|(key, hash)| format!("('{key}', {hash})")).collect::<Vec<_>>();
    let column = if bench.database.address().expose().starts_with("sqlite:") || key != "ts_start" {
        "old.place".to_owned()
    } else {
        "cast(old.place as timestamptz)".to_owned()
    };
    bench.execute(&format!(
        "with old(place, hash) as (values {}) update {table} set content_hash = old.hash from old where {table}.{key} = {column}",
        cases.join(", ")
    ));
}

fn age_all(bench: &Bench) {
    let (bars, articles) = (dataset("ohlcv_bar").unwrap(), dataset("news_article").unwrap());
    age(bench, bars, "ohlcv_bar", "ts_start", usize::MAX);
    age(bench, bars, "beside", "ts_start", usize::MAX);
    age(bench, articles, "news_article", "article_id", usize::MAX);
}

fn replay(bench: &Bench, dataset: &str) -> serde_json::Value {
    let said = succeed("consumer", &["replay", dataset, "--json"], &bench.environment);
    serde_json::from_str(said.lines().next().unwrap()).unwrap()
}

#[test]
fn rows_of_an_earlier_build_are_hashed_again_and_a_replay_changes_nothing() {
    for (name, bench) in benches() {
        load(&bench);
        let before = content(&bench);
        assert_eq!((before[0].len(), before[1].len(), before[2].len()), (BARS as usize, 100, ARTICLES), "on {name}");
        age_all(&bench);
        let aged = content(&bench);
        assert!(before.iter().zip(&aged).all(|(before, aged)| before.iter().zip(aged).all(|(one, two)| one != two)));
        // The earlier build knows nothing of this table.
        bench.execute("delete from content_hash_version");
        for (dataset, count) in [("ohlcv_bar", BARS as usize), ("news_article", ARTICLES)] {
            let report = replay(&bench, dataset);
            let counts =
                ["inserted", "changed", "unchanged", "superseded"].map(|count| report[count].as_u64().unwrap());
            assert_eq!(counts, [0, 0, 0, count as u64], "{dataset} on {name}");
        }
        assert_eq!(content(&bench), before, "on {name}");
        assert_eq!(
            bench.number("select count(*) as n from content_hash_version"),
            contract::datasets().len() as i64,
            "on {name}"
        );
        succeed("consumer", &["verify", "ohlcv_bar", "news_article", "--deep"], &bench.environment);
    }
}

#[test]
fn rows_that_an_earlier_build_writes_during_a_rollout_are_hashed_again_by_the_next_start() {
    for (name, bench) in benches() {
        load(&bench);
        let before = content(&bench);
        age(&bench, dataset("ohlcv_bar").unwrap(), "ohlcv_bar", "ts_start", 10);
        assert_ne!(content(&bench), before, "on {name}");
        block_on(bench.database.migrate()).unwrap();
        assert_eq!(content(&bench), before, "on {name}");
        // After the rollout no start reads the tables any more.
        let long_ago = "2020-01-01T00:00:00.000000Z";
        bench.execute(&format!("update content_hash_version set since = '{long_ago}', checked_at = '{long_ago}'"));
        age(&bench, dataset("ohlcv_bar").unwrap(), "ohlcv_bar", "ts_start", 10);
        block_on(bench.database.migrate()).unwrap();
        assert_ne!(content(&bench), before, "on {name}");
    }
}

#[test]
fn a_long_rehash_reports_rows_done_of_rows_and_the_time_left_and_continues_after_an_interruption() {
    for bench in [postgres(), timescale()].into_iter().flatten() {
        load(&bench);
        let before = content(&bench);
        age_all(&bench);
        bench.execute("delete from content_hash_version");
        // A page of 2000 rows takes 6 s.
        bench.execute(
            "create function slow() returns trigger language plpgsql as \
             $$ begin perform pg_sleep(0.003); return new; end $$",
        );
        bench.execute("create trigger slow before update on ohlcv_bar for each row execute function slow()");
        let lines = Mutex::new(Vec::new());
        let say = |progress: &store::Progress| lines.lock().unwrap().push(progress.to_string());
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            tokio::select! {
                done = bench.database.migrate_to(None, &say) => panic!("it was not slow: {done:?}"),
                () = async { while lines.lock().unwrap().is_empty() { tokio::time::sleep(Duration::from_millis(10)).await } } => {}
            }
        });
        drop(runtime);
        let said = lines.into_inner().unwrap().join("\n");
        let expected = "hashes rows of `ohlcv_bar` again: 2000 of 4500 rows, about ";
        assert!(said.starts_with(expected) && said.ends_with(" s left"), "{said}");
        // The server has not noticed yet: its statement would go on for 6 s, and the next one waits for at most 5 s.
        bench.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity \
             where datname = current_database() and pid <> pg_backend_pid()",
        );
        bench.execute("drop trigger slow on ohlcv_bar");
        assert_ne!(content(&bench), before);
        block_on(bench.database.migrate()).unwrap();
        assert_eq!(content(&bench), before);
    }
}
