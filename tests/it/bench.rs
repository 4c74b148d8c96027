//! Small benchmarks, run for what they check and not for the time they take.

use serde_json::Value;
use tests::broker::postgres;
use tests::process::succeed;

fn measure(arguments: &[&str]) -> Option<Value> {
    let bench = postgres()?;
    let report = succeed("tapedeck-bench", &[arguments, &["--json", "--check"]].concat(), &bench.environment);
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
