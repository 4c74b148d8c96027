//! `consumer verify` as a monitor: it fails for what keeps records from the tables, and names the cause.

use contract::Record;
use serde_json::Value;
use tests::broker::{Bench, benches, embedded};
use tests::message::{BAR_SCHEMA_ID, Message, bar, encode, send};
use tests::process::{Heard, command, fail, run, succeed, until};

fn good(days: std::ops::Range<u32>) -> Vec<Message> {
    let value = |day| encode(BAR_SCHEMA_ID, &Record::from(bar("AAPL", day, 1.0, 0, 0)));
    days.map(|day| (Some(0), Some(format!("key {day}").into_bytes()), Some(value(day)))).collect()
}

fn consume(bench: &Bench) {
    succeed("consumer", &["run", "ohlcv_bar", "--once"], &bench.environment);
}

/// The violations that `verify` reports for bars, as kinds and lines, and its exit code.
fn violations(bench: &Bench, patience: &str) -> (Vec<(String, String)>, Option<i32>) {
    let arguments = ["verify", "ohlcv_bar", "--json", "--patience", patience];
    let output = run("consumer", &arguments, &bench.environment);
    let text = String::from_utf8(output.stdout).unwrap();
    let report: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    let violations = report["violations"].as_array().unwrap();
    assert_eq!(report["verified"], violations.is_empty(), "{report}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let found = violations.iter().map(|violation| (text(&violation["kind"]), text(&violation["what"]))).collect();
    (found, output.status.code())
}

/// The only violation must be of this kind, and its line must hold these words.
fn is_found(bench: &Bench, patience: &str, kind: &str, words: &[&str]) {
    let (found, code) = violations(bench, patience);
    assert_eq!(code, Some(1), "{found:?}");
    assert_eq!(found.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(), [kind], "{found:?}");
    for word in words {
        assert!(found[0].1.contains(word), "`{word}` is not in {found:?}");
    }
}

#[test]
fn a_topic_that_does_not_exist_is_no_verified_table() {
    for (name, bench) in benches() {
        succeed("consumer", &["migrate"], &bench.environment);
        let topic = bench.topic("ohlcv_bar");
        is_found(&bench, "300", "missing_topic", &[&format!("there is no topic `{topic}`"), &bench.brokers]);
        consume(&bench);
        assert_eq!(violations(&bench, "300"), (Vec::new(), Some(0)), "on {name}");
        // Another dataset's topic is still missing, and is verified when none is named.
        let said = fail("consumer", &["verify"], &bench.environment);
        assert!(said.contains("does not hold what the topics say"), "{said}");
    }
}

#[test]
fn records_that_nobody_consumes_fail_the_verification_once_they_are_older_than_the_patience() {
    for (name, bench) in benches() {
        send(&bench, "ohlcv_bar", &good(0..3));
        succeed("consumer", &["migrate"], &bench.environment);
        assert_eq!(violations(&bench, "300"), (Vec::new(), Some(0)), "on {name}");
        is_found(&bench, "0", "stuck", &["[0] has never stored a record: 3 records wait", "consumer run ohlcv_bar"]);
        consume(&bench);
        assert_eq!(violations(&bench, "0"), (Vec::new(), Some(0)), "on {name}");
        send(&bench, "ohlcv_bar", &good(3..5));
        assert_eq!(violations(&bench, "300"), (Vec::new(), Some(0)), "on {name}");
        until("the records are older than the patience", || !violations(&bench, "5").0.is_empty());
        is_found(&bench, "5", "stuck", &["[0] has not moved from offset 3 for ", "2 records wait, the first for "]);
        // A consumer that is slow has moved the position a moment ago. Verifying can take a busy machine longer than the
        // patience, so the moment is to come.
        let soon = (chrono::Utc::now() + chrono::TimeDelta::minutes(1)).format("%Y-%m-%dT%H:%M:%S%.6fZ");
        bench.execute(&format!("update sink_position set updated_at = '{soon}' where kafka_partition = 0"));
        is_found(&bench, "5", "behind", &["[0] moves, but is behind: 2 records wait"]);
        consume(&bench);
        assert_eq!(violations(&bench, "0"), (Vec::new(), Some(0)), "on {name}");
    }
}

#[test]
fn a_sink_that_halted_fails_the_verification_until_it_runs_again() {
    for (name, bench) in benches() {
        send(&bench, "ohlcv_bar", &good(0..10));
        consume(&bench);
        send(&bench, "ohlcv_bar", &good(10..30));
        bench.remove_before("ohlcv_bar", 0, 25);
        fail("consumer", &["run", "ohlcv_bar"], &bench.environment);
        is_found(&bench, "300", "halted", &["ohlcv_bar", " halted at 2", "15 records are gone unread"]);
        let lenient = bench.with(&[("TAPEDECK_ON_GAP", "record")]);
        succeed("consumer", &["run", "ohlcv_bar", "--once"], &lenient);
        assert_eq!(violations(&bench, "300"), (Vec::new(), Some(0)), "on {name}");
    }
}

#[test]
fn a_daemon_that_runs_on_ends_its_last_halt() {
    let bench = embedded();
    succeed("consumer", &["migrate"], &bench.environment);
    let sink = format!("{}.ohlcv_bar.{}", bench.namespace, bench.database.sink());
    bench.execute(&format!("insert into sink_halt values ('{sink}', 'it was full', '2026-01-02T03:04:05.000006Z')"));
    let daemon = Heard::start(command("consumer", &["run", "ohlcv_bar"], &bench.environment));
    daemon.until_said("assigned");
    is_found(&bench, "300", "halted", &["halted at 2026-01-02T03:04:05.000006Z: it was full"]);
    until("the halt is over", || violations(&bench, "300").0.is_empty());
}
