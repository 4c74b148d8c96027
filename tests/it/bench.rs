//! Small benchmarks, run for what they check and not for the time they take.

use serde_json::Value;
use tests::broker::postgres;
use tests::process::succeed;

fn measure(arguments: &[&str]) -> Option<Value> {
    run(&[arguments, &["--check"]].concat())
}

/// Without the limits, which are for an idle machine.
fn run(arguments: &[&str]) -> Option<Value> {
    let bench = postgres()?;
    let report = succeed("tapedeck-bench", &[arguments, &["--json"]].concat(), &bench.environment);
    Some(serde_json::from_str(&report).unwrap())
}

#[test]
fn a_backfill_of_the_simulators_bars_ends_with_each_of_them_in_the_database_once() {
    // The benchmark fails if a record is missing, doubled or refused.
    let Some(report) = measure(&["pipeline", "--symbols", "3", "--years", "1"]) else { return };
    // The simulator has 259 trading days in 2025; each share is halted on up to 3 of them.
    let bars = report["bars"].as_u64().unwrap();
    assert!((3 * 256..=3 * 259).contains(&bars), "{report}");
    let [kafka, database] = ["kafka_seconds", "database_seconds"].map(|name| report[name].as_f64().unwrap());
    assert!(0.0 < kafka && kafka <= database, "{report}");
}

#[test]
fn a_daemon_with_nothing_to_do_does_nothing() {
    let Some(report) = measure(&["idle", "--items", "3", "--seconds", "2"]) else { return };
    assert!(report["core_percent"].as_f64().unwrap() < 50.0, "{report}");
    assert!(report["idle_resident_mb"].as_f64().unwrap() > 1.0, "{report}");
}

#[test]
fn a_deep_verification_of_many_keys_counts_each_of_them_once_and_stays_small() {
    // Of every hundred keys two are corrected and one is repeated; the benchmark fails unless all are verified.
    let Some(report) = measure(&["verify", "--keys", "300000"]) else { return };
    assert_eq!(report["records"], 309_000, "{report}");
    let [resident, temporary] = ["peak_resident_mb", "temporary_mb"].map(|name| report[name].as_f64().unwrap());
    assert!(1.0 < resident && resident < 256.0, "{report}");
    // A part of the rows, and one of the records, goes to disk beyond 64 KiB: of 300,000 keys all do.
    assert!((256.0 * 2.0 * 0.065..300.0).contains(&temporary), "{report}");
}

#[test]
fn each_query_of_the_benchmark_finds_the_rows_that_were_stored_for_it() {
    // The benchmark fails if an answer has more or fewer rows.
    let Some(report) = run(&["query", "--bars", "6000", "--symbols", "20", "--rounds", "12"]) else { return };
    let queries = report["queries"].as_array().unwrap();
    let rows: Vec<u64> = queries.iter().map(|query| query["rows"].as_u64().unwrap()).collect();
    // Of 300 trading days the last 90 calendar days have 65, the last five years all. Four quarters have 12 statements,
    // and their year has three.
    assert_eq!(rows, [1, 65, 20, 20 * 300, 20 * 100, 15, 250, 250, 250], "{report}");
    let figures = queries.iter().flat_map(|query| [&query["p50_ms"], &query["p99_ms"]]).map(|ms| ms.as_f64().unwrap());
    assert!(figures.into_iter().all(|ms| ms > 0.0), "{report}");
    assert!(report["as_of_ratio"].as_f64().unwrap() > 0.0, "{report}");
}
