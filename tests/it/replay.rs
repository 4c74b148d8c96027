//! Replays: any range, into the table or beside it, without reverting newer rows. `replay/`: exchanges.

use std::process::Output;

use contract::Record;
use tests::broker::{Bench, benches};
use tests::message::{BAR_SCHEMA_ID, bar, encode, send, send_records};
use tests::process::{Running, command, fail, run, succeed, until};

mod complete;
mod exchange;

fn consume(bench: &Bench) {
    succeed("consumer", &["run", "ohlcv_bar", "--once"], &bench.environment);
}

fn replay(bench: &Bench, arguments: &[&str]) -> serde_json::Value {
    let arguments = [&["replay", "ohlcv_bar", "--json"], arguments].concat();
    let said = succeed("consumer", &arguments, &bench.environment);
    serde_json::from_str(said.lines().next().unwrap()).unwrap()
}

/// A whole table without the times of writing.
fn table(bench: &Bench, name: &str) -> Vec<Vec<Option<String>>> {
    bench.query(&format!(
        "select source, symbol, bar_interval, ts_start, close, volume, known_at, observed_at, content_hash, deleted \
         from {name} order by symbol, ts_start"
    ))
}

/// Three versions of several days each, and a message that cannot be read.
fn load(bench: &Bench) -> usize {
    let version = |known_at: i64| {
        move |at: u32| Record::from(bar(["AAPL", "MSFT"][at as usize % 2], at / 2, f64::from(at), known_at, known_at))
    };
    let records: Vec<Record> = [20, 10, 30].into_iter().flat_map(|known_at| (0..40).map(version(known_at))).collect();
    send_records(bench, "ohlcv_bar", &records);
    send(bench, "ohlcv_bar", &[(Some(0), None, Some(b"nonsense".to_vec()))]);
    records.len() + 1
}

#[test]
fn a_replay_of_everything_changes_nothing_and_brings_back_what_was_lost() {
    for (name, bench) in benches() {
        let sent = load(&bench);
        consume(&bench);
        let before = table(&bench, "ohlcv_bar");
        let report = replay(&bench, &[]);
        assert_eq!(report["read"], sent, "on {name}");
        assert_eq!((&report["inserted"], &report["changed"]), (&0.into(), &0.into()), "on {name}");
        assert_eq!((&report["unchanged"], &report["superseded"]), (&0.into(), &(sent - 1).into()), "on {name}");
        assert_eq!(report["refused_by_class"]["header"], 1, "on {name}");
        assert_eq!(table(&bench, "ohlcv_bar"), before, "on {name}");
        assert_eq!(bench.number("select count(*) as n from dead_letter"), 1, "on {name}");

        bench.execute("delete from ohlcv_bar where symbol = 'AAPL'");
        // Known later than anything on the topic: the replay must not revert it.
        bench.execute("update ohlcv_bar set close = 7, content_hash = 7, known_at = '2025-01-01T00:00:00.000000Z'");
        let kept = table(&bench, "ohlcv_bar");
        let accounts = "select (select count(*) from sink_position) + (select count(*) from sink_chunk) as n";
        let accounted = bench.number(accounts);
        let trial = replay(&bench, &["--dry-run"]);
        assert_eq!(trial["would_change"]["added"], 20, "on {name}: {trial}");
        assert_eq!(trial["would_change"]["changed"], 0, "on {name}: {trial}");
        assert_eq!(table(&bench, "ohlcv_bar"), kept, "a dry run writes nothing on {name}");
        assert_eq!(bench.number(accounts), accounted, "on {name}");

        let report = replay(&bench, &[]);
        assert_eq!((&report["inserted"], &report["changed"]), (&20.into(), &0.into()), "on {name}");
        let after = table(&bench, "ohlcv_bar");
        assert_eq!(after.len(), before.len(), "on {name}");
        assert_eq!(&after[..20], &before[..20], "AAPL is back on {name}");
        assert_eq!(&after[20..], &kept[..], "MSFT is as it was on {name}");
    }
}

#[test]
fn a_replay_can_be_for_a_part_of_the_topic() {
    for (name, bench) in benches() {
        let sent = load(&bench);
        consume(&bench);
        bench.execute("delete from ohlcv_bar");
        let by_key = replay(&bench, &["--key", "test|AAPL|1d"]);
        assert_eq!((&by_key["read"], &by_key["inserted"]), (&60.into(), &20.into()), "on {name}");
        assert_eq!(bench.number("select count(*) as n from ohlcv_bar where symbol = 'MSFT'"), 0, "on {name}");
        let parts: Vec<u64> = (0..4)
            .map(|number: i32| replay(&bench, &["--partition", &number.to_string()])["read"].as_u64().unwrap())
            .collect();
        assert_eq!(parts.iter().sum::<u64>(), sent as u64, "on {name}");
        let [first, rest] = [["--to-offset", "1"], ["--from-offset", "1"]].map(|part| replay(&bench, &part));
        let read = |report: &serde_json::Value| report["read"].as_u64().unwrap();
        assert_eq!(read(&first) + read(&rest), sent as u64, "on {name}");
        assert!(read(&first) >= 1 && read(&rest) >= 1, "on {name}");
        let none = replay(&bench, &["--from-time", "2100-01-01T00:00:00Z"]);
        assert_eq!(read(&none), 0, "on {name}");
        let all = replay(&bench, &["--from-time", "2020-01-01T00:00:00Z", "--to-time", "2100-01-01T00:00:00Z"]);
        assert_eq!(read(&all), sent as u64, "on {name}");
        let said = fail("consumer", &["replay", "ohlcv_bar", "--partition", "9"], &bench.environment);
        assert!(said.lines().last().unwrap().ends_with("has no partition 9: it has 4"), "{said}");
    }
}

#[test]
fn a_side_table_is_filled_under_another_rule_compared_and_exchanged() {
    for (name, bench) in benches() {
        load(&bench);
        consume(&bench);
        let before = table(&bench, "ohlcv_bar");
        let side = ["--into", "bars_next", "--rule", "close >= 10"];
        let report = replay(&bench, &side);
        assert_eq!(report["refused_by_class"]["rule"], 30, "ten closes of three versions each on {name}");
        // A value changed only in the live table.
        bench.execute("update ohlcv_bar set volume = 5 where close = 39");
        let said = succeed("consumer", &[&["replay", "ohlcv_bar", "--diff"], &side[..]].concat(), &bench.environment);
        assert!(said.contains("added 0, changed 1, vanished 10, another version alone 0"), "on {name}: {said}");
        assert!(said.contains("  volume differs in 1\n"), "on {name}: {said}");
        assert!(said.contains("  vanished: test|AAPL|1d|2024-01-01"), "on {name}: {said}");
        let said = fail(
            "consumer",
            &["replay", "ohlcv_bar", "--into", "bars_next", "--rule", "close >= 20"],
            &bench.environment,
        );
        assert!(said.contains("table `bars_next` is there already, and not from this replay"), "{said}");

        // Records that arrive meanwhile are in the side table too when it takes over.
        send_records(&bench, "ohlcv_bar", &[bar("NEW", 0, 50.0, 0, 0).into(), bar("NEW", 1, 5.0, 0, 0).into()]);
        consume(&bench);
        succeed("consumer", &[&["replay", "ohlcv_bar", "--swap"], &side[..]].concat(), &bench.environment);
        let closes = bench.query("select distinct symbol from ohlcv_bar where close < 10");
        assert!(closes.is_empty(), "on {name}: {closes:?}");
        assert_eq!(bench.number("select count(*) as n from ohlcv_bar"), before.len() as i64 - 10 + 1, "on {name}");
        assert_eq!(bench.number("select count(*) as n from bars_next"), before.len() as i64 + 2, "on {name}");

        // The live sink continues with the new table, which still equals the declaration.
        send_records(&bench, "ohlcv_bar", &[bar("NEW", 0, 60.0, 9, 9).into()]);
        consume(&bench);
        assert_eq!(bench.number("select count(*) as n from ohlcv_bar where close = 60"), 1, "on {name}");
        let key = "insert into ohlcv_bar select * from ohlcv_bar where close = 60";
        assert!(bench.try_execute(key).is_err(), "the key is kept on {name}");
        assert!(bench.try_execute("update ohlcv_bar set low = 9, high = 1").is_err(), "the checks are kept on {name}");
    }
}

#[test]
fn a_side_table_is_dropped_with_its_replays_and_no_other_table_is() {
    for (name, bench) in benches() {
        load(&bench);
        consume(&bench);
        let side = |more: &[&str]| {
            let all = [&["replay", "ohlcv_bar", "--into", "bars_next"], more].concat();
            run("consumer", &all, &bench.environment)
        };
        let said = |output: &Output| String::from_utf8(output.stdout.clone()).unwrap();
        let first = said(&side(&["--rule", "close >= 10"]));
        side(&["--rule", "close >= 20", "--restart"]);
        // The first replay's positions are gone with its rows.
        let again = side(&["--rule", "close >= 10"]);
        assert!(!again.status.success(), "on {name}: {again:?}");
        let looked = side(&["--drop"]);
        let rows = bench.number("select count(*) as n from bars_next");
        assert_eq!(said(&looked), format!("`bars_next` has {rows} rows; `--yes` drops it\n"), "on {name}");
        assert_eq!(
            said(&side(&["--drop", "--yes"])),
            format!("dropped `bars_next`, which had {rows} rows\n"),
            "on {name}"
        );
        assert!(bench.try_execute("select 1 from bars_next").is_err(), "on {name}");
        assert_eq!(said(&side(&["--rule", "close >= 10"])), first, "on {name}: nothing is left of the other replays");
        // Also after an exchange, when it has the rows from before.
        assert!(side(&["--rule", "close >= 10", "--swap"]).status.success(), "on {name}");
        assert!(side(&["--drop", "--yes"]).status.success(), "on {name}");
        bench.execute("create table bars_next (precious text)");
        for arguments in [["--drop", "--yes"].as_slice(), &["--restart"]] {
            let refused = side(arguments);
            let words = String::from_utf8(refused.stderr).unwrap();
            assert!(words.contains("table `bars_next` was not made by a replay"), "on {name}: {words}");
            bench.execute("insert into bars_next values ('mine')");
        }
    }
}

#[test]
fn a_killed_replay_continues_where_it_stopped() {
    for (name, bench) in benches() {
        let value = |at: u32| Some(encode(BAR_SCHEMA_ID, &bar(&format!("S{}", at % 300), at / 300, 1.0, 0, 0).into()));
        let messages: Vec<_> = (0..60_000).map(|at| (Some(at as i32 % 4), None, value(at))).collect();
        send(&bench, "ohlcv_bar", &messages);
        succeed("consumer", &["migrate"], &bench.environment);
        let environment = bench.with(&[("TAPEDECK_CHUNK_ROWS", "500")]);
        let mut running = Running::start(command("consumer", &["replay", "ohlcv_bar", "--into", "bars"], &environment));
        let committed = "select coalesce(sum(next_offset), 0) as n from sink_position";
        until("the replay has written something", || bench.number(committed) > 2000);
        running.signal("KILL");
        assert!(!running.wait());
        let written = bench.number(committed);
        assert!(written < 60_000, "it was killed too late to tell on {name}");
        let report = replay(&bench, &["--into", "bars"]);
        let read = report["read"].as_i64().unwrap();
        assert_eq!(report["resumed"], true, "on {name}");
        // A chunk in flight at the kill may have been committed after we looked.
        assert!(read <= 60_000 - written && read > 0, "{read} after {written} on {name}");
        assert_eq!(bench.number("select count(*) as n from bars"), 60_000, "on {name}");
        assert_eq!(bench.number("select count(*) as n from ohlcv_bar"), 0, "on {name}");
        assert_eq!(bench.number("select cast(sum(records_read) as bigint) as n from sink_chunk"), 60_000, "on {name}");
    }
}

#[test]
fn a_name_that_cannot_be_a_side_table_is_refused_in_one_line() {
    let bench = tests::broker::embedded();
    send_records(&bench, "ohlcv_bar", &[bar("AAPL", 0, 1.0, 0, 0).into()]);
    for table in ["ohlcv_bar", "series", "sink_position", "x; drop table series", "Bars", ""] {
        let said = fail("consumer", &["replay", "ohlcv_bar", "--into", table], &bench.environment);
        assert!(said.lines().last().unwrap().contains("cannot be a side table"), "{table}: {said}");
    }
    let said = fail("consumer", &["replay", "ohlcv_bar", "--into", "x", "--rule", "colour = 1"], &bench.environment);
    assert!(said.lines().last().unwrap().contains("rule `colour = 1`: `colour` is not a field"), "{said}");
}
