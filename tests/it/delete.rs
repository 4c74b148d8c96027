//! Deletions: selected records, as of a time, in any order; on every available broker and database.

use contract::Record;
use contract::records::OhlcvBar;
use tests::broker::{Bench, benches};
use tests::message::{bar, deletion, insertion, publish, send, send_records};
use tests::process::{fail, succeed};

fn consume(bench: &Bench) {
    succeed("consumer", &["run", "--once"], &bench.environment);
}

fn delete(bench: &Bench, arguments: &[&str]) -> String {
    succeed("producer", &[&["delete", "ohlcv_bar"], arguments].concat(), &bench.environment)
}

/// Symbol, day of the month, deleted, close; in the order of the key.
fn stored(bench: &Bench) -> Vec<Vec<Option<String>>> {
    bench.query(
        "select symbol, case when deleted then 'deleted' else 'there' end as state, close, trading_date, currency \
         from ohlcv_bar order by symbol, ts_start",
    )
}

/// Number of rows of a symbol in that state.
fn count(bench: &Bench, symbol: &str, deleted: bool) -> i64 {
    let not = if deleted { "" } else { "not " };
    bench.number(&format!("select count(*) as n from ohlcv_bar where symbol = '{symbol}' and {not}deleted"))
}

fn published(bench: &Bench) -> i64 {
    let cluster = kafka::Cluster::new(&bench.brokers, &bench.namespace);
    let ends = kafka::offsets::end_offsets(&cluster, &bench.topic("ohlcv_bar")).unwrap();
    ends.iter().map(|(_, low, high)| high - low).sum()
}

#[test]
fn a_deletion_is_published_only_with_yes_and_deletes_what_it_names_and_nothing_else() {
    for (name, bench) in benches() {
        let mut records: Vec<Record> = Vec::new();
        for symbol in ["AAPL", "MSFT"] {
            records.extend((0..5).map(|day| Record::from(bar(symbol, day, 1.0, 10, 10))));
        }
        send_records(&bench, "ohlcv_bar", &records);
        consume(&bench);
        let between = ["--where", "symbol=AAPL", "--from", "2024-01-02", "--to", "2024-01-04"];
        let said = delete(&bench, &between);
        assert!(said.contains("2 records of `ohlcv_bar` would be deleted") && said.contains("--yes"), "{said}");
        assert!(said.contains("2  test|AAPL|1d  2024-01-0"), "{said}");
        assert_eq!(published(&bench), 10, "nothing was published on {name}");
        let said = delete(&bench, &[&between[..], &["--yes"]].concat());
        assert!(said.starts_with("2 records of `ohlcv_bar` deleted"), "{said}");
        assert_eq!(published(&bench), 12, "on {name}");
        consume(&bench);
        assert_eq!([count(&bench, "AAPL", true), count(&bench, "AAPL", false)], [2, 3], "on {name}");
        assert_eq!([count(&bench, "MSFT", true), count(&bench, "MSFT", false)], [0, 5], "on {name}");
        for row in stored(&bench).iter().filter(|row| row[1].as_deref() == Some("deleted")) {
            assert_eq!(row[2..], [None, None, None], "values of a deleted row on {name}");
        }
        // Already deleted: nothing to do, and no error.
        let said = delete(&bench, &[&between[..], &["--yes"]].concat());
        assert!(said.contains("no record of `ohlcv_bar` meets the conditions"), "{said}");
        assert_eq!(published(&bench), 12, "on {name}");

        // An earlier `known_at` does not restore the row, a later one does.
        send_records(&bench, "ohlcv_bar", &[bar("AAPL", 1, 7.0, 20, 20).into()]);
        consume(&bench);
        assert_eq!([count(&bench, "AAPL", true), count(&bench, "AAPL", false)], [2, 3], "on {name}");
        let now = chrono::Utc::now();
        let mut newer: OhlcvBar = bar("AAPL", 1, 8.0, 0, 0);
        (newer.known_at, newer.observed_at) = (now, now);
        send_records(&bench, "ohlcv_bar", &[newer.into()]);
        consume(&bench);
        assert_eq!([count(&bench, "AAPL", true), count(&bench, "AAPL", false)], [1, 4], "on {name}");
        succeed("consumer", &["verify", "--deep"], &bench.environment);
    }
}

#[test]
fn the_value_of_the_latest_version_decides_whatever_the_order_on_the_topic() {
    for (name, bench) in benches() {
        let in_currency = |symbol: &str, currency: &str, known_at| {
            let mut bar = bar(symbol, 0, 1.0, known_at, known_at);
            bar.currency = Some(currency.into());
            Record::from(bar)
        };
        // WAS was in dollars. IS is in dollars; another version of it was published later but known earlier.
        send_records(&bench, "ohlcv_bar", &[in_currency("WAS", "EUR", 20), in_currency("WAS", "USD", 10)]);
        send_records(&bench, "ohlcv_bar", &[in_currency("IS", "USD", 20), in_currency("IS", "EUR", 10)]);
        // A deletion that is on the topic before what it deletes.
        publish(&bench, "ohlcv_bar", &[deletion(&bar("GONE", 0, 1.0, 30, 30))]);
        send_records(&bench, "ohlcv_bar", &[in_currency("GONE", "USD", 20)]);
        // Not a record, so it is ignored.
        send(&bench, "ohlcv_bar", &[(None, Some(b"test|IS|1d".to_vec()), Some(b"{}".to_vec()))]);
        let said = delete(&bench, &["--where", "currency=USD"]);
        assert!(said.contains("1  test|IS|1d") && said.contains("1 record of"), "{said}");
        assert!(said.contains("skipped 1 messages that are not valid records"), "{said}");
        let said = delete(&bench, &["--where", "source=test"]);
        assert!(said.contains("2 records") && !said.contains("GONE"), "{said}");
        // Known before the record it would delete.
        let said = delete(&bench, &["--where", "symbol=IS", "--known-at", "2024-01-01T00:00:15Z", "--yes"]);
        assert!(said.contains("1 of them stay as they are"), "{said}");
        consume(&bench);
        let states: Vec<_> = stored(&bench).into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
        let expected = [("GONE", "deleted"), ("IS", "there"), ("WAS", "there")];
        let expected = expected.map(|(symbol, state)| (Some(symbol.to_owned()), Some(state.to_owned())));
        assert_eq!(states, expected, "on {name}");
    }
}

/// Versions of one key: known at, and the close, None for a deletion.
type Version = (i64, Option<f64>);

fn orders(versions: &[Version]) -> Vec<Vec<Version>> {
    if versions.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for at in 0..versions.len() {
        let mut rest = versions.to_vec();
        let first = rest.remove(at);
        all.extend(orders(&rest).into_iter().map(|order| [&[first][..], &order].concat()));
    }
    all
}

#[test]
fn deletions_and_insertions_end_the_same_in_every_order_in_one_chunk_and_in_several() {
    // The latest `known_at` decides: a deletion, an insertion, and a deletion with the same time as an insertion.
    let histories: [(&[Version], Option<f64>); 3] = [
        (&[(10, None), (20, Some(2.0)), (30, None)], None),
        (&[(10, Some(1.0)), (20, None), (30, Some(3.0))], Some(3.0)),
        (&[(10, Some(1.0)), (20, Some(2.0)), (20, None)], None),
    ];
    let message = |day: u32, (known_at, close): Version| {
        let bar = bar("S", day, close.unwrap_or(9.0), known_at, known_at);
        if close.is_some() { insertion(&bar) } else { deletion(&bar) }
    };
    for (name, bench) in benches() {
        let mut expected = Vec::new();
        let mut days: Vec<(u32, Vec<Version>)> = Vec::new();
        for (versions, outcome) in histories {
            for order in orders(versions) {
                days.push((expected.len() as u32, order));
                expected.push(outcome);
            }
        }
        let separate = days.len() as u32;
        let at_once = days.iter().flat_map(|(day, order)| order.iter().map(|version| message(*day, *version)));
        publish(&bench, "ohlcv_bar", &at_once.collect::<Vec<_>>());
        consume(&bench);
        for place in 0..3 {
            let one = days.iter().map(|(day, order)| message(separate + day, order[place]));
            publish(&bench, "ohlcv_bar", &one.collect::<Vec<_>>());
            consume(&bench);
        }
        let rows =
            bench.query("select close, case when deleted then 1 else 0 end as gone from ohlcv_bar order by ts_start");
        assert_eq!(rows.len(), 2 * expected.len(), "on {name}");
        for (at, row) in rows.iter().enumerate() {
            let close: Option<f64> = row[0].as_ref().map(|close| close.parse().unwrap());
            let outcome = expected[at % expected.len()];
            let order = &days[at % expected.len()].1;
            assert_eq!(close, outcome, "{order:?} on {name}");
            assert_eq!(row[1].as_deref(), Some(if outcome.is_none() { "1" } else { "0" }), "{order:?} on {name}");
        }
        succeed("consumer", &["verify", "--deep"], &bench.environment);
    }
}

#[test]
fn records_whose_lines_were_deleted_from_their_files_are_deleted_and_those_of_other_lines_stay() {
    const A: &str = "a.csv?ohlcv_bar&bar_interval:=1d&trading_date=day";
    const B: &str = "b.csv?ohlcv_bar&bar_interval:=1d&trading_date=day";
    let line = |symbol: &str, day: u32| format!("{symbol},2024-01-{day:02},1.5\n");
    let text = |lines: &[(&str, u32)]| {
        let lines: String = lines.iter().map(|(symbol, day)| line(symbol, *day)).collect();
        format!("symbol,day,close\n{lines}")
    };
    for (name, bench) in benches() {
        let folder = bench.folder.path().join("files");
        std::fs::create_dir_all(&folder).unwrap();
        let write = |file: &str, text: &str| std::fs::write(folder.join(file), text).unwrap();
        write("a.csv", &text(&[("AAPL", 2), ("AAPL", 3), ("AAPL", 4), ("MSFT", 2)]));
        write("b.csv", &text(&[("VIX", 2)]));
        let watchlist = bench.folder.path().join("watchlist.toml");
        std::fs::write(&watchlist, format!("[file]\ncsv = [\"{A}\", \"{B}\"]\n")).unwrap();
        let address = format!("file:{}", folder.display());
        let environment =
            bench.with(&[("TAPEDECK_WATCHLIST", watchlist.to_str().unwrap()), ("TAPEDECK_FILE_URL", &address)]);
        succeed("producer", &["run", "file", "--once"], &environment);
        consume(&bench);
        let delete = |more: &[&'static str]| {
            let arguments = ["delete", "ohlcv_bar", "--where", "source=file", "--not-in", "csv", A];
            [&arguments[..], more].concat()
        };
        let both = ["--not-in", "csv", B];
        // A line that is gone, one with another date, one that cannot be read any more.
        write("a.csv", &(text(&[("AAPL", 2), ("AAPL", 5)]) + "AAPL,2024-01-04,much\n"));
        let said = fail("producer", &delete(&both), &environment);
        assert!(said.contains("1 of its rows cannot be read") && said.contains("`close`: `much`"), "{said}");
        write("a.csv", &text(&[("AAPL", 2), ("AAPL", 5), ("AAPL", 4)]));
        let said = succeed("producer", &delete(&both), &environment);
        assert!(said.contains("2 records of `ohlcv_bar` would be deleted"), "{said}");
        let said = succeed("producer", &delete(&[]), &environment);
        assert!(said.contains("3 records") && said.contains("1  file|VIX|1d"), "the other file is not named: {said}");
        let said = succeed("producer", &delete(&[&both[..], &["--yes"]].concat()), &environment);
        assert!(said.starts_with("2 records of `ohlcv_bar` deleted"), "{said}");
        succeed("producer", &["run", "file", "--once"], &environment);
        consume(&bench);
        let stored =
            bench.query("select symbol, trading_date from ohlcv_bar where not deleted order by symbol, trading_date");
        let rows: Vec<String> =
            stored.iter().map(|row| row.iter().flatten().cloned().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(rows, ["AAPL 2024-01-02", "AAPL 2024-01-04", "AAPL 2024-01-05", "VIX 2024-01-02"], "on {name}");
        succeed("consumer", &["verify", "--deep"], &bench.environment);
    }
}

#[test]
fn a_deletion_that_cannot_be_understood_says_why_on_one_line() {
    let nothing = tests::process::Environment::new();
    let refused = |arguments: &[&str]| {
        let said = fail("producer", &[&["delete"], arguments].concat(), &nothing);
        assert_eq!(said.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{said}");
        said
    };
    let said = refused(&["bars", "--where", "symbol=A"]);
    assert!(said.contains("there is no dataset `bars`; there are: ohlcv_bar"), "{said}");
    let said = refused(&["ohlcv_bar", "--where", "ticker=A"]);
    assert!(said.contains("`ohlcv_bar` has no field `ticker`; it has: source, symbol, bar_interval"), "{said}");
    let said = refused(&["ohlcv_bar", "--where", "symbol"]);
    assert!(said.contains("invalid condition `symbol`: expected `field=value`"), "{said}");
    let said = refused(&["ohlcv_bar", "--where", "close=much"]);
    assert!(said.contains("`much` is not a value of `close`"), "{said}");
    let said = refused(&["series", "--where", "source=fred", "--from", "2024-01-01"]);
    assert!(said.contains("`--from` does not apply to `series`: its records have no time"), "{said}");
    assert!(fail("producer", &["delete", "ohlcv_bar"], &nothing).contains("--where"), "at least one condition");
}
