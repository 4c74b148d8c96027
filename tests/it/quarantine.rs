//! A publisher's bad data costs only that publisher.

use contract::Record;
use serde_json::Value;
use store::quarantine::MAX_DEAD_LETTERS;
use tests::broker::{Bench, benches, postgres};
use tests::message::{Message, bar, encode, send, send_records};
use tests::process::{fail, run, succeed};
use tests::service;

/// Bars of a publisher; the bad ones have a low above their high. All are in one partition.
fn bars(bench: &Bench, publisher: &str, symbols: std::ops::Range<usize>, is_bad: bool) {
    let schema_id = contract::dataset("ohlcv_bar").unwrap().schema_id;
    let message = |symbol: usize| -> Message {
        let mut bar = bar(&format!("S{symbol}"), 0, 1.0, 10, 10);
        bar.source = publisher.into();
        if is_bad {
            bar.low = bar.high.map(|high| high + 1.0);
        }
        let record = Record::from(bar);
        (Some(0), Some(record.message_key().into_bytes()), Some(encode(schema_id, &record)))
    };
    send(bench, "ohlcv_bar", &symbols.map(message).collect::<Vec<_>>());
}

fn consume(bench: &Bench) -> String {
    let output = run("consumer", &["run", "ohlcv_bar", "--once"], &bench.environment);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

/// What `dead-letters list` says about the quarantines.
fn quarantines(bench: &Bench) -> Vec<Value> {
    let listed = succeed("consumer", &["dead-letters", "list", "--json"], &bench.environment);
    serde_json::from_str::<Value>(&listed).unwrap()["quarantines"].as_array().unwrap().clone()
}

fn letters(bench: &Bench) -> i64 {
    bench.number("select count(*) as n from dead_letter where dataset = 'ohlcv_bar'")
}

fn parked(bench: &Bench) -> i64 {
    bench.number("select cast(coalesce(sum(records), 0) as bigint) as n from parked_record")
}

fn verify(bench: &Bench) {
    succeed("consumer", &["verify", "ohlcv_bar", "--deep"], &bench.environment);
}

const LIMIT: i64 = MAX_DEAD_LETTERS as i64;

#[test]
fn a_publisher_whose_records_are_refused_is_quarantined_and_nobody_elses_records_wait() {
    for (name, bench) in benches() {
        bars(&bench, "good", 0..300, false);
        bars(&bench, "bad", 0..3000, true);
        bars(&bench, "bad", 5000..5020, false);
        bars(&bench, "good", 300..600, false);
        let said = consume(&bench);
        assert_eq!(said.matches("quarantined: 50 of its last 50 records are refused").count(), 1, "on {name}: {said}");
        let stored =
            |source: &str| bench.number(&format!("select count(*) as n from ohlcv_bar where source = '{source}'"));
        assert_eq!((stored("good"), stored("bad")), (600, 20), "on {name}");
        // Before the quarantine it had fewer dead letters than trip the breaker.
        let before = letters(&bench) - LIMIT;
        assert!((0..50).contains(&before), "on {name}: {} dead letters", letters(&bench));
        assert_eq!(letters(&bench) + parked(&bench), 3000, "on {name}");
        verify(&bench);
        let all = quarantines(&bench);
        let [quarantine] = all.as_slice() else { panic!("on {name}: {all:?}") };
        assert_eq!(quarantine["publisher"], "bad", "on {name}");
        assert_eq!((&quarantine["dead_letters"], &quarantine["parked"]), (&LIMIT.into(), &parked(&bench).into()));
        assert_eq!(quarantine["reason"], "breaks the rule `low <= high`", "on {name}");

        // The limit outlives the process, and nothing is reported twice.
        bars(&bench, "bad", 3000..3200, true);
        assert!(!consume(&bench).contains("quarantined"), "on {name}");
        assert_eq!((letters(&bench), letters(&bench) + parked(&bench)), (LIMIT + before, 3200), "on {name}");
        verify(&bench);
    }
}

#[test]
fn a_released_quarantine_makes_dead_letters_of_what_was_parked_with_the_original_bytes() {
    for (name, bench) in benches() {
        bars(&bench, "bad", 0..1500, true);
        consume(&bench);
        let left = parked(&bench);
        assert!(left >= 500, "on {name}: {left} parked");
        let release = ["dead-letters", "release", "bad", "--dataset", "ohlcv_bar"];
        let refused = fail("consumer", &["dead-letters", "release", "good", "--yes"], &bench.environment);
        assert!(refused.contains("`good` has no quarantine"), "on {name}: {refused}");
        let refused = fail("consumer", &release, &bench.environment);
        assert!(refused.contains("add `--yes`"), "on {name}: {refused}");
        let dry = succeed("consumer", &[&release[..], &["--dry-run"]].concat(), &bench.environment);
        assert_eq!(dry, format!("{left} parked records would become dead letters\n"), "on {name}");
        assert_eq!(parked(&bench), left, "on {name}");
        let said = succeed("consumer", &[&release[..], &["--yes", "--json"]].concat(), &bench.environment);
        let report: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(report, serde_json::json!({ "refused": left, "valid": 0, "gone": 0 }), "on {name}");
        assert_eq!((letters(&bench), parked(&bench), quarantines(&bench).len()), (1500, 0, 0), "on {name}");
        let empty = "select count(*) as n from dead_letter where dataset = 'ohlcv_bar' and record_value is null";
        assert_eq!(bench.number(empty), 0, "on {name}");
        verify(&bench);

        // A new quarantine begins only when as many are refused again.
        bars(&bench, "bad", 1500..1549, true);
        consume(&bench);
        assert_eq!((letters(&bench), quarantines(&bench).len()), (1549, 0), "on {name}");
        bars(&bench, "bad", 1549..1649, true);
        assert!(consume(&bench).contains("quarantined"), "on {name}");
        verify(&bench);
    }
}

#[test]
fn parked_records_that_kafka_no_longer_has_are_released_as_lost() {
    for (name, bench) in benches() {
        bars(&bench, "bad", 0..1500, true);
        consume(&bench);
        let left = parked(&bench);
        bench.remove_before("ohlcv_bar", 0, 1400);
        let said = succeed("consumer", &["dead-letters", "release", "bad", "--yes", "--json"], &bench.environment);
        let report: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(report, serde_json::json!({ "refused": 100, "valid": 0, "gone": left - 100 }), "on {name}");
        let gone = "select count(*) as n from dead_letter where error_class = 'gone'";
        assert_eq!((bench.number(gone), letters(&bench)), (left - 100, 1500), "on {name}");
        verify(&bench);
    }
}

#[test]
fn a_breaker_of_100_percent_never_trips_and_every_refused_record_is_a_dead_letter() {
    for (name, bench) in benches() {
        let nonsense: Vec<Message> = (0..1100).map(|_| (Some(0), None, Some(b"nonsense".to_vec()))).collect();
        send(&bench, "ohlcv_bar", &nonsense);
        let environment = bench.with(&[("TAPEDECK_BREAKER_PERCENT", "100")]);
        succeed("consumer", &["run", "ohlcv_bar", "--once"], &environment);
        assert_eq!((letters(&bench), parked(&bench), quarantines(&bench).len()), (1100, 0, 0), "on {name}");
    }
}

#[test]
fn unreadable_records_that_become_readable_are_stored_once_they_are_released_and_redriven() {
    let (Some(bench), Some(registry)) = (postgres(), service("TAPEDECK_TEST_REGISTRY")) else { return };
    let id = bench.register(&registry, "ohlcv_bar");
    let message = |symbol: usize| -> Message {
        let record = Record::from(bar(&format!("S{symbol}"), 0, 1.0, 10, 10));
        (Some(0), Some(record.message_key().into_bytes()), Some(encode(id, &record)))
    };
    send(&bench, "ohlcv_bar", &(0..1500).map(message).collect::<Vec<_>>());
    let good: Vec<Record> = (0..10).map(|day| bar("GOOD", day, 1.0, 10, 10).into()).collect();
    send_records(&bench, "ohlcv_bar", &good);
    consume(&bench);
    assert_eq!(bench.number("select count(*) as n from ohlcv_bar"), 10);
    let all = quarantines(&bench);
    assert_eq!((all.len(), &all[0]["publisher"]), (1, &"(unreadable)".into()));
    let left = parked(&bench);
    assert!(left >= 450, "{left} parked");
    let with = bench.with(&[("TAPEDECK_SCHEMA_REGISTRY_URL", &registry)]);
    let said = succeed("consumer", &["dead-letters", "release", "(unreadable)", "--yes"], &with);
    assert!(said.contains(&format!("{left}  valid now")), "{said}");
    succeed("consumer", &["dead-letters", "redrive", "--yes"], &with);
    assert_eq!(bench.number("select count(*) as n from ohlcv_bar"), 1510);
    succeed("consumer", &["verify", "ohlcv_bar", "--deep"], &with);
}

#[test]
fn rows_of_a_file_that_break_a_rule_are_refused_before_they_are_published() {
    for (name, bench) in benches() {
        let folder = bench.folder.path();
        std::fs::create_dir_all(folder.join("history")).unwrap();
        let rows = |from: usize| -> String {
            let row = |at: usize| format!("S{at},2024-01-02,1,2,0.5,1.5\n");
            "symbol,trading_date,open,high,low,close\n".to_owned() + &(from..from + 200).map(row).collect::<String>()
        };
        std::fs::write(folder.join("history/bad.csv"), rows(0)).unwrap();
        std::fs::write(folder.join("history/good.csv"), rows(0)).unwrap();
        let watchlist = folder.join("watchlist.toml");
        let items = "[file]\ncsv = [\"bad.csv?ohlcv_bar&bar_interval:=4h&source:=bad\", \
            \"good.csv?ohlcv_bar&bar_interval:=1d&source:=good\"]\n";
        std::fs::write(&watchlist, items).unwrap();
        let address = format!("file:{}", folder.join("history").display());
        let environment =
            bench.with(&[("TAPEDECK_WATCHLIST", watchlist.to_str().unwrap()), ("TAPEDECK_FILE_URL", &address)]);
        for round in ["at first", "again"] {
            // The item whose rows are all refused fails the run and costs no other.
            run("producer", &["run", "file", "--once"], &environment);
            succeed("consumer", &["run", "--once"], &bench.environment);
            let count = |sql: &str| bench.number(&format!("select count(*) as n from {sql}"));
            assert_eq!(count("ohlcv_bar where source = 'good'"), 200, "{round} on {name}");
            assert_eq!(count("ohlcv_bar where source = 'bad'"), 0, "{round} on {name}");
            let refused = "dead_letter where source = 'file' and stage = 'parse' and error_class = 'rule'";
            assert_eq!((count(refused), count("dead_letter")), (200, 200), "{round} on {name}");
            assert_eq!(quarantines(&bench), [Value::Null; 0], "{round} on {name}");
        }
    }
}
