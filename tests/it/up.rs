//! `tapedeck up --demo`, undisturbed and with its processes killed.

use std::path::Path;

use contract::Dataset;
use serde_json::Value;
use sources::SOURCES;
use store::Database;
use tempfile::TempDir;
use tests::broker::block_on;
use tests::process::{Environment, Running, command, fail, signal_process, succeed, until};

/// Demos run side by side here. With the default port, one could take it just after another's broker was killed.
fn demo(folder: &Path) -> [&str; 8] {
    ["up", "--demo", "--once", "--json", "--kafka-port", "0", "--data-dir", folder.to_str().unwrap()]
}

fn database(folder: &Path) -> Database {
    Database::new(&format!("sqlite:{}", folder.join("tapedeck.db").display())).unwrap()
}

fn query(folder: &Path, sql: &str) -> Vec<Vec<Option<String>>> {
    block_on(database(folder).query(sql)).unwrap().rows
}

/// The dataset that differs in each run: a record per request.
const LOG: &str = "fetch_log";

fn logs(folder: &Path) -> u64 {
    query(folder, &format!("select 1 from {LOG}")).len() as u64
}

/// What is the same in every run: keys and values of every dataset, in order, without the times of receipt and writing.
fn content(folder: &Path) -> Vec<Vec<Option<String>>> {
    let rows = |dataset: &Dataset| {
        let key = dataset.key.iter().map(|field| dataset.fields[*field].name.as_str()).collect::<Vec<_>>().join(", ");
        query(folder, &format!("select {key}, content_hash, flags from {} order by {key}", dataset.name))
    };
    contract::datasets().iter().filter(|dataset| dataset.name != LOG).flat_map(rows).collect()
}

fn count(summary: &Value, name: &str) -> u64 {
    summary[name].as_u64().unwrap_or_else(|| panic!("no {name} in {summary}"))
}

fn summary(printed: &str) -> Value {
    let summary: Value = serde_json::from_str(printed).unwrap();
    let parts = ["stored", "unchanged", "superseded", "dead_lettered"];
    let sum: u64 = parts.iter().map(|part| count(&summary, part)).sum();
    assert_eq!(count(&summary, "published"), sum, "{summary}");
    summary
}

#[test]
fn the_demo_stores_every_record_of_all_sources_and_a_second_run_stores_nothing_new() {
    let folder = TempDir::new().unwrap();
    let nothing = Environment::new();
    let first = summary(&succeed("tapedeck", &demo(folder.path()), &nothing));
    assert!(count(&first, "published") >= 100_000, "{first}");
    assert_eq!(count(&first, "dead_lettered"), 1, "the demo has one odd row: {first}");
    // EODHD has one day in bulk and by symbol, and one exchange for two symbols: the same values.
    let twice = count(&first, "unchanged") + count(&first, "superseded");
    assert!((1..100).contains(&twice), "{first}");
    for source in SOURCES.iter().filter(|source| !source.is_local()) {
        for name in source.endpoints.iter().flat_map(|endpoint| endpoint.datasets) {
            let rows = query(folder.path(), &format!("select 1 from {name} where source = '{}' limit 1", source.name));
            assert!(!rows.is_empty(), "no {name} of {}", source.name);
        }
    }
    let (before, logged) = (content(folder.path()), logs(folder.path()));
    assert!(logged > 30, "{logged} requests were recorded");
    // Of corrected values, both versions were published.
    let changed = query(folder.path(), "select sum(records_changed) from sink_chunk");
    let changed: u64 = changed[0][0].as_deref().unwrap().parse().unwrap();
    assert!(changed <= 4, "{changed}");
    assert_eq!(before.len() as u64 + logged, count(&first, "published") - twice - changed);
    let unanswered = format!("select source, item, error from {LOG} where outcome <> 'answered'");
    assert_eq!(query(folder.path(), &unanswered), Vec::<Vec<Option<String>>>::new());
    // The providers repeat their responses: only the requests' own records are new.
    let second = summary(&succeed("tapedeck", &demo(folder.path()), &nothing));
    // A few items were polled before, for their corrections.
    let items = query(folder.path(), &format!("select distinct source, endpoint, item from {LOG}")).len() as u64;
    assert_eq!((count(&second, "stored"), logs(folder.path())), (items, logged + items), "{second}");
    assert_eq!(count(&second, "published"), items, "{second}");
    assert_eq!(content(folder.path()), before, "a row was changed or doubled");
}

/// The process of that name; waits until it runs.
fn process(folder: &Path, name: &str) -> u32 {
    let file = folder.join("run").join(format!("{name}.pid"));
    let mut id = None;
    until(&format!("{name} runs"), || {
        id = std::fs::read_to_string(&file).ok().and_then(|text| text.parse().ok());
        id.is_some()
    });
    id.unwrap()
}

fn stored(folder: &Path) -> u64 {
    let found = block_on(database(folder).query("select coalesce(sum(records_read), 0) as n from sink_chunk"));
    found.map_or(0, |found| found.rows[0][0].as_deref().unwrap().parse().unwrap())
}

#[test]
fn consumer_producer_and_broker_killed_during_the_demo_leave_the_same_table() {
    let (undisturbed, disturbed) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    succeed("tapedeck", &demo(undisturbed.path()), &Environment::new());
    let folder = disturbed.path();
    let mut up = command("tapedeck", &demo(folder), &Environment::new());
    up.stdout(std::fs::File::create(folder.join("summary")).unwrap());
    let mut up = Running::start(up);
    for (name, at_least) in [("producer", 500), ("broker", 5_000), ("consumer", 10_000), ("broker", 15_000)] {
        until("more is stored", || stored(folder) >= at_least);
        let killed = process(folder, name);
        signal_process(killed, "KILL");
        until(&format!("{name} is started again"), || process(folder, name) != killed);
    }
    assert!(up.wait(), "the demo failed");
    let printed = std::fs::read_to_string(folder.join("summary")).unwrap();
    summary(&printed);
    assert!(content(folder) == content(undisturbed.path()), "the tables differ");
}

#[test]
fn an_interrupted_demo_stops_cleanly_and_loses_nothing() {
    let (undisturbed, interrupted) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let whole = summary(&succeed("tapedeck", &demo(undisturbed.path()), &Environment::new()));
    let folder = interrupted.path();
    let mut up = Running::start(command("tapedeck", &demo(folder), &Environment::new()));
    until("something is stored", || stored(folder) > 5_000);
    up.signal("INT");
    assert!(up.wait(), "Ctrl-C did not end with success");
    for name in ["broker", "consumer", "producer"] {
        assert!(!folder.join("run").join(format!("{name}.pid")).exists(), "{name} still runs");
    }
    let rest = summary(&succeed("tapedeck", &demo(folder), &Environment::new()));
    assert!(count(&rest, "published") < count(&whole, "published"), "all of it was published again: {rest}");
    assert!(content(folder) == content(undisturbed.path()), "the tables differ");
}

#[test]
fn when_up_is_killed_its_processes_end_too() {
    let folder = TempDir::new().unwrap();
    let up = Running::start(command("tapedeck", &demo(folder.path()), &Environment::new()));
    until("something is stored", || stored(folder.path()) > 1_000);
    let processes = ["broker", "consumer"].map(|name| process(folder.path(), name));
    up.signal("KILL");
    for id in processes {
        until("the process ends", || !Path::new(&format!("/proc/{id}/exe")).exists());
    }
}

#[test]
fn a_second_up_on_the_same_folder_is_refused_in_one_line() {
    let folder = TempDir::new().unwrap();
    let first = Running::start(command("tapedeck", &demo(folder.path()), &Environment::new()));
    process(folder.path(), "broker");
    let said = fail("tapedeck", &demo(folder.path()), &Environment::new());
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("another tapedeck uses data folder"), "{said}");
    drop(first);
}

#[test]
fn without_a_key_fred_is_skipped_and_up_says_why() {
    let folder = TempDir::new().unwrap();
    let watchlist = folder.path().join("watchlist.toml");
    std::fs::write(&watchlist, "[fred]\nseries = [\"GDP\"]\n").unwrap();
    let environment = Environment::from([("TAPEDECK_WATCHLIST", watchlist.display().to_string())]);
    let arguments = ["up", "--once", "--data-dir", folder.path().to_str().unwrap()];
    let said = fail("tapedeck", &arguments, &environment);
    assert!(said.contains("fred: left out, `FRED_API_KEY` is not set"), "{said}");
    assert!(!said.contains("yahoo") && !said.contains("eodhd"), "nobody asked for them: {said}");
    std::fs::write(&watchlist, "").unwrap();
    let said = fail("tapedeck", &arguments, &environment);
    assert!(said.contains("nothing to poll: the watchlist has no items; `tapedeck init` writes one"), "{said}");
}

#[test]
fn a_query_is_shown_as_a_table_and_cannot_write() {
    let folder = TempDir::new().unwrap();
    block_on(database(folder.path()).migrate()).unwrap();
    let ask =
        |sql: &str| ["query".to_owned(), "--data-dir".to_owned(), folder.path().display().to_string(), sql.to_owned()];
    let found = ask("select 1 as one, 'two' as other, null as missing");
    let shown = succeed("tapedeck", &found.each_ref().map(String::as_str), &Environment::new());
    assert_eq!(shown, "one  other  missing\n  1  two\n(1 row)\n");
    let write = ask("delete from ohlcv_bar");
    let said = fail("tapedeck", &write.each_ref().map(String::as_str), &Environment::new());
    assert!(said.contains("readonly"), "{said}");
}
