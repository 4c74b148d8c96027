//! From a provider's response, or a message of another system, to rows: on every available broker and database.

use std::collections::HashMap;

use contract::Record;
use tests::broker::{Bench, benches};
use tests::message::{BAR_SCHEMA_ID, Message, bar, encode, send, send_records};
use tests::pages::{Pages, index_history};
use tests::process::{Running, command, fail, succeed, until};
use tests::samples;

/// Sums of the ledger of all sinks: read, inserted, changed, unchanged, superseded, dead-lettered. Without `fetch_log`,
/// which gets a new record from every request.
fn ledger(bench: &Bench) -> Vec<i64> {
    let names = ["read", "inserted", "changed", "unchanged", "superseded", "dead_lettered"];
    let sums: Vec<String> = names.iter().map(|name| format!("cast(sum(records_{name}) as bigint) as {name}")).collect();
    let found = bench.query(&format!("select {} from sink_chunk where sink not like '%.fetch_log.%'", sums.join(", ")));
    found[0].iter().map(|sum| sum.as_deref().unwrap_or("0").parse().unwrap()).collect()
}

fn consume(bench: &Bench) {
    succeed("consumer", &["run", "--once"], &bench.environment);
}

fn number(text: Option<&String>) -> Option<f64> {
    text.map(|text| text.parse().unwrap())
}

/// A bar as a test compares it: date, open, high, low, close, volume.
type Bar = (String, [Option<f64>; 5]);

fn stored_bars(bench: &Bench, symbol: &str) -> Vec<Bar> {
    let query = format!(
        "select trading_date, open, high, low, close, volume from ohlcv_bar where symbol = '{symbol}' order by ts_start"
    );
    let found = bench.query(&query);
    let bar = |row: &Vec<Option<String>>| (row[0].clone().unwrap(), [1, 2, 3, 4, 5].map(|at| number(row[at].as_ref())));
    found.iter().map(bar).collect()
}

/// The bars of the CBOE's file, read by hand.
fn vix_bars(file: &str) -> Vec<Bar> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let (month, rest) = fields[0].split_once('/').unwrap();
        let (day, year) = rest.split_once('/').unwrap();
        let value = |at: usize| fields[at].parse().ok();
        (format!("{year}-{month}-{day}"), [value(1), value(2), value(3), value(4), None])
    };
    file.lines().skip(1).map(line).collect()
}

/// The bars of Yahoo's file, read by hand; all are stamped in the afternoon, UTC, of their trading date.
fn yahoo_bars(file: &str) -> Vec<Bar> {
    let json: serde_json::Value = serde_json::from_str(file).unwrap();
    let result = &json["chart"]["result"][0];
    let quote = &result["indicators"]["quote"][0];
    let names = ["open", "high", "low", "close", "volume"];
    let bar = |(at, epoch): (usize, &serde_json::Value)| {
        let date = chrono::DateTime::from_timestamp(epoch.as_i64().unwrap(), 0).unwrap().date_naive();
        (date.to_string(), names.map(|name| quote[name][at].as_f64()))
    };
    result["timestamp"].as_array().unwrap().iter().enumerate().map(bar).collect()
}

#[test]
fn the_stored_rows_of_recorded_files_equal_the_files_values_one_by_one() {
    let Some(samples) = samples() else {
        eprintln!("left out: there are no samples");
        return;
    };
    let vix = std::fs::read_to_string(samples.join("cboe/VIX_History_2023-08-25.csv")).unwrap();
    let msft = std::fs::read_to_string(samples.join("yahoo/chart_MSFT_6mo.json")).unwrap();
    let pages = Pages::serve(HashMap::from([
        (index_history("VIX"), (200, vix.clone().into_bytes())),
        ("/v8/finance/chart/MSFT".to_owned(), (200, msft.clone().into_bytes())),
    ]));
    for (name, bench) in benches() {
        let watchlist = bench.folder.path().join("watchlist.toml");
        std::fs::write(&watchlist, "[cboe]\nindex_history = [\"VIX\"]\n[yahoo]\nchart = [\"MSFT\"]\n").unwrap();
        let environment = bench.with(&[
            ("TAPEDECK_WATCHLIST", watchlist.to_str().unwrap()),
            ("TAPEDECK_CBOE_URL", &pages.url),
            ("TAPEDECK_YAHOO_URL", &pages.url),
        ]);
        succeed("producer", &["run", "cboe", "yahoo", "--once"], &environment);
        consume(&bench);
        assert_eq!(stored_bars(&bench, "VIX"), vix_bars(&vix), "VIX on {name}");
        assert_eq!(stored_bars(&bench, "MSFT"), yahoo_bars(&msft), "MSFT on {name}");
        let flagged = bench.number("select count(*) as n from ohlcv_bar where cast(flags as text) not in ('{}', '[]')");
        assert_eq!(flagged, 45, "the file has 45 rows whose low or high contradicts open or close, on {name}");

        // The same pages again: nothing is published twice.
        let [before, rows] = [ledger(&bench), vec![bench.number("select count(*) as n from ohlcv_bar")]];
        succeed("producer", &["run", "cboe", "yahoo", "--once"], &environment);
        consume(&bench);
        assert_eq!(ledger(&bench), before, "on {name}");
        // Everything again, by `--afresh`: no new row, no changed value.
        succeed("producer", &["run", "cboe", "yahoo", "--once", "--afresh"], &environment);
        consume(&bench);
        let after = ledger(&bench);
        assert_eq!(after[1..3], before[1..3], "inserted or changed on {name}");
        assert_eq!(after[3], before[0], "unchanged on {name}");
        assert_eq!(vec![bench.number("select count(*) as n from ohlcv_bar")], rows, "on {name}");
    }
}

#[test]
fn a_correction_wins_by_when_it_was_known_whatever_the_order_of_arrival() {
    // (known_at, observed_at, close): the highest version is known at 20, observed at 9.
    let versions = [(20, 3, 1.0), (10, 99, 2.0), (20, 9, 3.0), (15, 50, 4.0)];
    let record = |day, (known_at, observed_at, close)| Record::from(bar("AAPL", day, close, known_at, observed_at));
    for (name, bench) in benches() {
        // Every order of the four, each for its own day; in one chunk, then one by one.
        let mut orders = Vec::new();
        permutations(&mut versions.to_vec(), 0, &mut orders);
        let at_once: Vec<Record> = (0..)
            .zip(&orders)
            .flat_map(|(day, order)| order.iter().map(move |version| record(day, *version)))
            .collect();
        send_records(&bench, "ohlcv_bar", &at_once);
        consume(&bench);
        for place in 0..versions.len() {
            let one: Vec<Record> = (100..).zip(&orders).map(|(day, order)| record(day, order[place])).collect();
            send_records(&bench, "ohlcv_bar", &one);
            consume(&bench);
        }
        let found = bench.query("select distinct close from ohlcv_bar");
        assert_eq!(found.len(), 1, "the outcome depends on the order on {name}: {found:?}");
        assert_eq!(number(found[0][0].as_ref()), Some(3.0), "on {name}");
        assert_eq!(bench.number("select count(*) as n from ohlcv_bar"), 2 * orders.len() as i64, "on {name}");
        let ledger = ledger(&bench);
        assert_eq!(ledger[0], 2 * 4 * orders.len() as i64, "on {name}");
        assert_eq!(ledger[0], ledger[1..].iter().sum::<i64>(), "on {name}");
    }
}

fn permutations<T: Clone>(items: &mut Vec<T>, from: usize, out: &mut Vec<Vec<T>>) {
    if from == items.len() {
        out.push(items.clone());
    }
    for at in from..items.len() {
        items.swap(from, at);
        permutations(items, from + 1, out);
        items.swap(from, at);
    }
}

#[test]
fn the_same_values_under_a_later_version_only_advance_the_version() {
    for (name, bench) in benches() {
        let send = |close, known_at| {
            send_records(&bench, "ohlcv_bar", &[Record::from(bar("AAPL", 0, close, known_at, known_at))]);
            consume(&bench);
        };
        send(1.0, 10);
        send(1.0, 20);
        assert_eq!(ledger(&bench), [2, 1, 0, 1, 0, 0], "on {name}");
        // Known between the two: older than the row, with other values.
        send(2.0, 15);
        assert_eq!(ledger(&bench), [3, 1, 0, 1, 1, 0], "on {name}");
        assert_eq!(number(bench.query("select close from ohlcv_bar")[0][0].as_ref()), Some(1.0), "on {name}");
    }
}

/// Messages that cannot be stored, each with the class of its dead letter.
fn refused() -> Vec<(&'static str, Option<Vec<u8>>)> {
    let good = || bar("BAD", 0, 1.0, 0, 0);
    let bytes = |record: contract::records::OhlcvBar| encode(BAR_SCHEMA_ID, &Record::from(record));
    let with = |change: fn(&mut contract::records::OhlcvBar)| {
        let mut record = good();
        change(&mut record);
        Some(bytes(record))
    };
    let whole = bytes(good());
    let mut trailing = whole.clone();
    trailing.push(0);
    let mut not_utf8 = whole.clone();
    not_utf8[6] = 0xff;
    let future = || chrono::DateTime::from_timestamp(253_370_764_800, 0).unwrap();
    assert_eq!(future().date_naive().to_string(), "9999-01-01");
    vec![
        ("tombstone", None),
        ("empty", Some(Vec::new())),
        ("header", Some(b"{\"close\": 1}".to_vec())),
        ("unknown_schema", Some(encode(99, &Record::from(good())))),
        ("unknown_schema", Some(encode(2, &Record::from(good())))),
        ("truncated", Some(whole[..whole.len() - 1].to_vec())),
        ("trailing_bytes", Some(trailing)),
        ("malformed", Some(not_utf8)),
        ("rule", with(|record| (record.low, record.high) = (Some(3.0), Some(2.0)))),
        ("rule", with(|record| record.volume = Some(-1.0))),
        ("rule", with(|record| record.bar_interval = "1 day".into())),
        ("not_finite", with(|record| record.close = f64::NAN)),
        ("not_finite", with(|record| record.open = Some(f64::INFINITY))),
        ("nul", with(|record| record.currency = Some("U\0D".into()))),
        ("too_long", with(|record| record.symbol = "A".repeat(600).into())),
        ("date_range", with(|record| record.trading_date = chrono::NaiveDate::MAX)),
        ("version_bounds", with(|record| record.known_at = chrono::DateTime::UNIX_EPOCH - chrono::Days::new(40_000))),
        ("version_bounds", with(|record| record.observed_at = chrono::Utc::now() + chrono::Days::new(1))),
        ("date_range", with(|record| record.known_at = chrono::DateTime::from_timestamp(253_370_764_800, 0).unwrap())),
    ]
}

#[test]
fn a_message_that_cannot_be_stored_becomes_a_dead_letter_with_its_bytes_and_costs_no_other() {
    for (name, bench) in benches() {
        let mut messages: Vec<Message> = Vec::new();
        let refused = refused();
        for (day, (_, value)) in (0..).zip(&refused) {
            let good = encode(BAR_SCHEMA_ID, &Record::from(bar("GOOD", day, 1.0, 0, 0)));
            messages.push((Some(0), Some(b"key".to_vec()), Some(good)));
            messages.push((Some(0), Some(b"odd \xff key".to_vec()), value.clone()));
        }
        send(&bench, "ohlcv_bar", &messages);
        consume(&bench);
        let rows = bench.query("select distinct symbol from ohlcv_bar");
        assert_eq!(rows, [[Some("GOOD".to_owned())]], "on {name}");
        assert_eq!(bench.number("select count(*) as n from ohlcv_bar"), refused.len() as i64, "on {name}");
        let query = "select error_class, kafka_offset, length(record_value) as size, length(record_key) as key_size, \
            stage, reason, source, dataset from dead_letter order by kafka_offset";
        let found = bench.query(query);
        assert_eq!(found.len(), refused.len(), "on {name}");
        for ((at, (class, value)), row) in refused.iter().enumerate().zip(found) {
            let text = |column: usize| row[column].clone();
            assert_eq!(text(0).as_deref(), Some(*class), "{at} on {name}: {:?}", row[5]);
            assert_eq!(text(1), Some((2 * at + 1).to_string()), "{at} on {name}");
            assert_eq!(text(2), value.as_ref().map(|value| value.len().to_string()), "{at} on {name}");
            assert_eq!(text(3), Some("9".to_owned()), "{at} on {name}");
            assert!(["decode", "validate"].contains(&text(4).unwrap().as_str()), "{at} on {name}");
            assert_eq!(text(7).as_deref(), Some("ohlcv_bar"), "{at} on {name}");
        }
        assert_eq!(ledger(&bench)[5], refused.len() as i64, "on {name}");
    }
}

#[test]
fn a_consumer_goes_on_where_the_database_says_whatever_kafka_says() {
    for (name, bench) in benches() {
        let records: Vec<Record> = (0..50).map(|day| Record::from(bar("AAPL", day, 1.0, 0, 0))).collect();
        send_records(&bench, "ohlcv_bar", &records);
        consume(&bench);
        // A consumer that started over would form chunks with other ends than the committed ones.
        let more: Vec<Record> = (50..57).map(|day| Record::from(bar("AAPL", day, 1.0, 0, 0))).collect();
        send_records(&bench, "ohlcv_bar", &more);
        consume(&bench);
        assert_eq!(ledger(&bench)[..2], [57, 57], "nothing is read twice on {name}");
        // A database without positions, as after a restore; Kafka's group is at the end.
        let empty = bench.folder.path().join("empty.db");
        let environment = bench.with(&[
            ("TAPEDECK_DATABASE_URL", &format!("sqlite:{}", empty.display())),
            ("TAPEDECK_SINK", &bench.database.sink()),
        ]);
        succeed("consumer", &["run", "ohlcv_bar", "--once"], &environment);
        let database = store::Database::new(&format!("sqlite:{}", empty.display())).unwrap();
        let found = tests::broker::block_on(database.query("select count(*) as n from ohlcv_bar")).unwrap();
        assert_eq!(found.rows[0][0].as_deref(), Some("57"), "on {name}");
    }
}

#[test]
fn consumers_that_share_a_topic_store_each_record_once() {
    for (name, bench) in benches() {
        let records: Vec<Record> =
            (0..40).flat_map(|day| (0..50).map(move |at| bar(&format!("S{at}"), day, 1.0, 0, 0).into())).collect();
        let start = || Running::start(command("consumer", &["run", "ohlcv_bar"], &bench.environment));
        let mut consumers = vec![start()];
        for part in records.chunks(500) {
            send_records(&bench, "ohlcv_bar", part);
            // Each new member moves partitions while records are in flight.
            consumers.push(start());
        }
        until("all records are stored", || bench.number("select count(*) as n from ohlcv_bar") == records.len() as i64);
        for mut consumer in consumers {
            consumer.signal("TERM");
            assert!(consumer.wait(), "a consumer did not stop cleanly on {name}");
        }
        let [read, inserted, .., superseded, dead] = ledger(&bench)[..] else { panic!("no ledger") };
        assert_eq!((read, inserted, superseded, dead), (2000, 2000, 0, 0), "on {name}");
        let overlaps = "select count(*) as n from sink_chunk a join sink_chunk b on a.kafka_partition = b.kafka_partition \
            and a.from_offset < b.from_offset and a.to_offset > b.from_offset";
        assert_eq!(bench.number(overlaps), 0, "ranges of the ledger overlap on {name}");
    }
}

#[test]
fn a_command_says_in_one_line_what_is_missing_and_fails() {
    let nothing = tests::process::Environment::new();
    let refused = |name: &str, arguments: &[&str], environment| {
        let said = fail(name, arguments, environment);
        let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{name} {arguments:?} said: {said}");
        errors[0].to_owned()
    };
    let said = refused("consumer", &["run", "bars", "--once"], &nothing);
    assert!(said.contains("there is no dataset `bars`; there are: ohlcv_bar, observation"), "{said}");
    let said = refused("consumer", &["run", "--once"], &nothing);
    assert!(said.contains("TAPEDECK_DATABASE_URL"), "{said}");
    let away = tests::process::Environment::from([(
        "TAPEDECK_DATABASE_URL",
        format!("postgres://me:hunter2@{}/tapedeck", tests::broker::free_address()),
    )]);
    let said = refused("consumer", &["run", "--once"], &away);
    assert!(said.contains("cannot connect to database `postgres://127.0.0.1"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    let odd = tests::process::Environment::from([("TAPEDECK_DATABASE_URL", "mysql://me:hunter2@db/x".to_owned())]);
    let said = refused("consumer", &["run", "--once"], &odd);
    assert!(said.contains("begins with neither `postgres://` nor `sqlite:`") && !said.contains("hunter2"), "{said}");
}
