//! What `consumer verify` proves, and the errors that it finds; on every available broker and database.

use contract::Record;
use contract::records::{DeadLetter, Observation, OhlcvBar, Series};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqliteConnection};
use tests::broker::{Bench, benches, block_on};
use tests::message::{
    BAR_SCHEMA_ID, Message, Published, at, bar, deletion, encode, insertion, publish, send, send_records,
};
use tests::process::{Running, command, run, succeed, until};

/// Changes the database by hand.
pub(crate) fn by_hand(bench: &Bench, sql: &str) {
    let address = bench.database.address().expose().to_owned();
    let changed = block_on(async {
        if address.starts_with("sqlite:") {
            let mut connection = SqliteConnection::connect(&address).await.unwrap();
            connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap().rows_affected()
        } else {
            let mut connection = PgConnection::connect(&address).await.unwrap();
            connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap().rows_affected()
        }
    });
    assert_eq!(changed, 1, "{sql}");
}

pub(crate) fn consume(bench: &Bench) {
    succeed("consumer", &["run", "--once"], &bench.environment);
}

/// The output of `verify`, and whether it succeeded.
pub(crate) fn verify(bench: &Bench, arguments: &[&str]) -> (bool, String) {
    let output = run("consumer", &[&["verify"], arguments].concat(), &bench.environment);
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let text = format!("{text}{errors}");
    let is_whole = ["\nverified\n", "\"verified\":true", "does not hold what the topics say"];
    assert!(is_whole.iter().any(|end| text.contains(end)), "it could not be verified: {text}");
    (output.status.success(), text)
}

/// Several versions of many keys, repetitions, deletions, and invalid messages.
fn load(bench: &Bench, symbols: std::ops::Range<u32>) {
    let mut messages: Vec<Published> = Vec::new();
    for symbol in symbols {
        let name = format!("S{symbol}|\\é");
        for day in 0..20 {
            let versions = [(20, 3.0), (10, 2.0), (20, 3.0), (30, -0.0)];
            let odd = |close: f64, known_at| {
                let mut bar = bar("S", day, close, known_at, known_at);
                bar.symbol = format!("S{symbol}|x").into();
                // Flagged: the low is above the close.
                bar.low = Some(close + 0.1 + f64::from(day) / 3.0);
                bar.high = bar.low.map(|low| low + 1e-9);
                bar.currency = (day % 2 == 0).then(|| name.as_str().into());
                bar.volume = Some(1e300 / f64::from(day + 1));
                bar
            };
            messages.extend(versions.map(|(known_at, close)| insertion(&odd(close, known_at))));
            if day % 5 == 0 {
                messages.push(deletion(&odd(1.0, 25 + i64::from(day))));
            }
        }
    }
    publish(bench, "ohlcv_bar", &messages);
    let refused = (0..6).map(|partition| (Some(partition % 2), Some(vec![0xff, 1]), Some(b"{}".to_vec())));
    send(bench, "ohlcv_bar", &refused.collect::<Vec<Message>>());
}

/// A record of each other dataset, with values that a database could misread.
fn load_others(bench: &Bench) {
    let date = |text: &str| text.parse().unwrap();
    let observation = |day: &str, value| Observation {
        source: "test".into(),
        series_id: "GDP".into(),
        observation_date: date(day),
        value,
        known_at: "1900-01-01T00:00:00.000001Z".parse().unwrap(),
        observed_at: at(0),
        flags: Vec::new(),
    };
    let observations = [("1776-07-04", Some(5e-324)), ("1969-12-31", None), ("2262-04-10", Some(0.1 + 0.2))];
    let records: Vec<Record> = observations.map(|(day, value)| observation(day, value).into()).to_vec();
    send_records(bench, "observation", &records);
    let series = Series {
        source: "test".into(),
        series_id: "GDP".into(),
        title: "a \u{1f600} \"title\"\n, {with} 'all'".into(),
        frequency: "".into(),
        units: "u".into(),
        seasonal_adjustment: "none".into(),
        first_observation_date: date("1776-07-04"),
        last_observation_date: date("2024-01-01"),
        popularity: Some(i64::MIN),
        notes: None,
        known_at: at(0),
        observed_at: at(0),
        flags: Vec::new(),
    };
    send_records(bench, "series", &[series.into()]);
    // A producer's dead letter, which arrives by its topic.
    let letter = DeadLetter {
        source: "test".into(),
        dead_letter_id: "no/coordinate".into(),
        stage: "parse".into(),
        error_class: "columns".into(),
        sqlstate: None,
        reason: "two of three".into(),
        dataset: "ohlcv_bar".into(),
        kafka_topic: None,
        kafka_incarnation: None,
        kafka_partition: None,
        kafka_offset: None,
        record_timestamp_ms: None,
        record_key: None,
        record_value: Some((0..=255).collect()),
        record_headers: Some(Vec::new()),
        known_at: at(0),
        observed_at: at(0),
        flags: Vec::new(),
    };
    send_records(bench, "dead_letter", &[letter.into()]);
}

#[test]
fn a_mixed_load_on_several_consumers_is_verified_to_the_last_value_also_while_it_goes_on() {
    for (name, bench) in benches() {
        load_others(&bench);
        load(&bench, 0..3);
        let environment = bench.with(&[("TAPEDECK_CHUNK_ROWS", "37"), ("TAPEDECK_BREAKER_PERCENT", "100")]);
        succeed("consumer", &["migrate"], &environment);
        let start = || Running::start(command("consumer", &["run"], &environment));
        let consumers = [start(), start()];
        let cluster = kafka::Cluster::new(&bench.brokers, &bench.namespace);
        let has_topic = |dataset: &contract::Dataset| {
            kafka::offsets::end_offsets(&cluster, &bench.topic(&dataset.name)).is_ok_and(|ends| !ends.is_empty())
        };
        until("they have created all topics", || contract::datasets().iter().all(has_topic));
        for symbols in [3..6, 6..9, 9..12] {
            load(&bench, symbols);
            let (good, said) = verify(&bench, &["--deep"]);
            assert!(good, "beside running consumers on {name}: {said}");
        }
        let records = 12 * (20 * 4 + 4) + 4 * 6;
        let taken = "select coalesce(sum(records_read), 0) as n from sink_chunk where kafka_topic like '%ohlcv_bar%'";
        until("all is stored", || bench.number(taken) == records);
        drop(consumers);
        consume(&bench);
        let (good, said) = verify(&bench, &["--deep"]);
        assert!(good, "on {name}: {said}");
        let compared = format!("ohlcv_bar: {records} records of 240 keys compared with 240 rows");
        assert!(said.contains(&compared), "on {name}: {said}");
        let json = succeed("consumer", &["verify", "ohlcv_bar", "--deep", "--json"], &bench.environment);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["verified"], true, "on {name}");
        let sum = |column: &str| -> i64 {
            json["partitions"].as_array().unwrap().iter().map(|line| line[column].as_i64().unwrap()).sum()
        };
        let [published, applied, superseded, dead] = ["published", "applied", "superseded", "dead_lettered"].map(sum);
        assert_eq!((published, dead), (records, 24), "on {name}");
        assert_eq!(published, applied + superseded + dead, "on {name}");
        // Later records are no error.
        send_records(&bench, "ohlcv_bar", &[bar("LATE", 0, 1.0, 0, 0).into()]);
        let (good, said) = verify(&bench, &["ohlcv_bar", "--deep", "--json"]);
        assert!(good && said.contains("\"not_consumed\":1"), "on {name}: {said}");
    }
}

/// Changes something by hand, checks that it is found and named, and changes it back.
fn is_found(bench: &Bench, name: &str, (wrong, right): (&str, &str), arguments: &[&str], words: &[&str]) {
    by_hand(bench, wrong);
    let (good, said) = verify(bench, arguments);
    assert!(!good, "`{wrong}` was not found on {name}: {said}");
    for word in words {
        assert!(said.contains(word), "`{wrong}` on {name}: `{word}` is not in {said}");
    }
    by_hand(bench, right);
    let (good, said) = verify(bench, arguments);
    assert!(good, "put back with `{right}` on {name}: {said}");
}

/// One partition's records: three bars, a dead letter, two more; each pair in its own chunk.
fn load_one_partition(bench: &Bench) {
    let bars: Vec<OhlcvBar> = (0..5).map(|day| bar("A", day, 1.5, 10, 10)).collect();
    let message = |bar: &OhlcvBar| (Some(0), Some(b"k".to_vec()), Some(encode(BAR_SCHEMA_ID, &bar.clone().into())));
    let mut messages: Vec<Message> = bars.iter().map(message).collect();
    messages.insert(3, (Some(0), None, Some(b"nonsense".to_vec())));
    for pair in messages.chunks(2) {
        send(bench, "ohlcv_bar", pair);
        consume(bench);
    }
}

#[test]
fn a_row_that_was_changed_removed_or_added_by_hand_is_found_and_named() {
    for (name, bench) in benches() {
        load_one_partition(&bench);
        load_others(&bench);
        consume(&bench);
        assert!(verify(&bench, &["--deep"]).0, "on {name}");
        let is_sqlite = bench.database.address().expose().starts_with("sqlite:");
        let day = |day: u32| {
            if is_sqlite { format!("2024-01-0{day}T00:00:00.000000Z") } else { format!("2024-01-0{day}T00:00:00Z") }
        };
        let set = |what: &str, day: &str| format!("update ohlcv_bar set {what} where ts_start = '{day}'");
        let found = |wrong: &str, right: &str, words: &[&str]| {
            is_found(&bench, name, (wrong, right), &["--deep"], words);
        };
        let key = "`test|A|1d|2024-01-02T00:00:00.000000Z`";
        let place = "[0] at offset 1";
        found(&set("close = 1.25", &day(2)), &set("close = 1.5", &day(2)), &[key, place, "other values"]);
        found(&set("currency = null", &day(2)), &set("currency = 'USD'", &day(2)), &[key, place]);
        let (flagged, plain) = if is_sqlite { ("'[\"x\"]'", "'[]'") } else { ("'{x}'", "'{}'") };
        found(&set(&format!("flags = {flagged}"), &day(2)), &set(&format!("flags = {plain}"), &day(2)), &[key, place]);
        let times = if is_sqlite {
            ("observed_at = '2024-01-01T00:00:09.999999Z'", "observed_at = '2024-01-01T00:00:10.000000Z'")
        } else {
            (
                "observed_at = observed_at - interval '1 microsecond'",
                "observed_at = observed_at + interval '1 microsecond'",
            )
        };
        found(&set(times.0, &day(2)), &set(times.1, &day(2)), &[key, place, "an older version"]);
        found(
            &set("content_hash = content_hash - 1", &day(2)),
            &set("content_hash = content_hash + 1", &day(2)),
            &[key, "another content hash"],
        );
        let popularity = |number: i64| format!("update series set popularity = {number}");
        found(
            &popularity(i64::MIN + 1),
            &format!("update series set popularity = ({} - 1)", i64::MIN + 1),
            &["`test|GDP`"],
        );

        // Moved to another key: one row too few, and one too many.
        let moved = |from: &str, to: &str| {
            format!("update ohlcv_bar set symbol = '{to}' where symbol = '{from}' and ts_start = '{}'", day(3))
        };
        found(
            &moved("A", "B"),
            &moved("B", "A"),
            &[
                "missing: ohlcv_bar: `test|A|1d|2024-01-03T00:00:00.000000Z`",
                "[0] at offset 2",
                "extra: ohlcv_bar: `test|B|1d|2024-01-03",
            ],
        );

        assert_a_removed_row_is_missing(name, &bench, &day(1));
    }
}

/// A row that was removed by hand is missing, and nothing else is.
fn assert_a_removed_row_is_missing(name: &str, bench: &Bench, day: &str) {
    by_hand(bench, &format!("delete from ohlcv_bar where ts_start = '{day}'"));
    let (good, said) = verify(bench, &["--deep"]);
    assert!(!good && said.contains("missing: ohlcv_bar: `test|A|1d|2024-01-01"), "on {name}: {said}");
    assert!(said.contains("[0] at offset 0") && !said.contains("\nextra: "), "on {name}: {said}");
    assert!(verify(bench, &["observation", "series", "--deep"]).0, "the other datasets on {name}");
}

#[test]
fn a_ledger_that_was_changed_by_hand_is_found_without_reading_the_topic() {
    for (name, bench) in benches() {
        load_one_partition(&bench);
        assert!(verify(&bench, &[]).0, "on {name}");
        let group = format!("{}.ohlcv_bar.{}", bench.namespace, bench.database.sink());
        let topic = bench.topic("ohlcv_bar");
        let found = |wrong: &str, right: &str, words: &[&str]| {
            let place = format!("{topic}[0]");
            is_found(&bench, name, (wrong, right), &[], &[words, &[&group, &place]].concat());
        };
        let chunk = |from: i64, to: i64| {
            format!(
                "insert into sink_chunk select sink, kafka_topic, kafka_incarnation, kafka_partition, {from}, {to}, records_read, records_inserted, records_changed, records_unchanged, records_superseded, records_dead_lettered, committed_at, records_kept from sink_chunk where from_offset = 0 and sink = '{group}'"
            )
        };
        // If the first pair were not its own chunk, the test would prove nothing.
        assert_eq!(
            bench.number(&format!(
                "select count(*) as n from sink_chunk where from_offset in (0, 2, 4) and sink = '{group}'"
            )),
            3,
            "on {name}"
        );
        let to = |to: i64| format!("update sink_chunk set to_offset = {to} where from_offset = 0 and sink = '{group}'");
        found(&to(3), &to(2), &["offsets 2 to 2 in two chunks"]);
        found(&chunk(1, 2), "delete from sink_chunk where from_offset = 1", &["offsets 1 to 1 in two chunks"]);
        let position = |offset: i64| format!("update sink_position set next_offset = {offset} where sink = '{group}'");
        found(&position(5), &position(6), &["is at offset 5, but its ledger ends at 6"]);
        found(&position(9), &position(6), &["the topic ends at 6", "is at offset 9"]);
        let hash = |by: &str| {
            format!("update sink_position set last_fingerprint = last_fingerprint {by} 1 where sink = '{group}'")
        };
        found(&hash("-"), &hash("+"), &["at offset 5 holds another record"]);
        let letter =
            |source: &str, to: &str| format!("update dead_letter set source = '{to}' where source = '{source}'");
        found(&letter(&group, "nobody"), &letter("nobody", &group), &["has 0 dead letters, but its ledger counts 1"]);
        let gap = &format!(
            "insert into sink_gap select sink, kafka_topic, kafka_incarnation, kafka_partition, 2, 4, 'retention', committed_at from sink_chunk where from_offset = 0 and sink = '{group}'"
        );
        found(gap, "delete from sink_gap", &["offsets 2 to 3 in two chunks"]);

        by_hand(&bench, "delete from sink_chunk where from_offset = 2");
        let (good, said) = verify(&bench, &[]);
        assert!(!good && said.contains("has offsets 2 to 3 in no chunk and no gap"), "on {name}: {said}");
        // A gap of exactly the missing offsets explains them.
        by_hand(&bench, gap);
        let (_, said) = verify(&bench, &[]);
        assert!(!said.contains("in no chunk"), "on {name}: {said}");
        assert!(said.contains("has 1 dead letters, but its ledger counts 0"), "on {name}: {said}");
    }
}

#[test]
fn a_dead_letter_that_was_changed_or_removed_by_hand_is_found_by_its_coordinate() {
    for (name, bench) in benches() {
        load_one_partition(&bench);
        assert!(verify(&bench, &["--deep"]).0, "on {name}");
        let topic = bench.topic("ohlcv_bar");
        let bytes = if bench.database.address().expose().starts_with("sqlite:") {
            ["x'00'".to_owned(), "x'6e6f6e73656e7365'".to_owned()]
        } else {
            ["'\\x00'::bytea".to_owned(), "'\\x6e6f6e73656e7365'::bytea".to_owned()]
        };
        let [other, own] = bytes.map(|bytes| format!("update dead_letter set record_value = {bytes}"));
        let words = [format!("{topic}[0] at offset 3 has other bytes than its dead letter")];
        is_found(&bench, name, (&other, &own), &["ohlcv_bar", "--deep"], &[&words[0]]);
        let renamed = |from: i64, to: i64| {
            format!(
                "update dead_letter set dead_letter_id = '{topic}/0/0/{to}' where dead_letter_id = '{topic}/0/0/{from}'"
            )
        };
        let words = ["offset 3 is neither stored nor a dead letter", "missing: ohlcv_bar: `test|A|1d|2024-01-03"];
        is_found(&bench, name, (&renamed(3, 2), &renamed(2, 3)), &["--deep"], &words[..1]);
        let words = [format!("dead letter `{topic}/0/0/99`"), format!("`{topic}/0/0/99` is in the table")];
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        is_found(&bench, name, (&renamed(3, 99), &renamed(99, 3)), &["--deep"], &words[..1]);
        by_hand(&bench, "delete from dead_letter");
        let (good, said) = verify(&bench, &["--deep"]);
        assert!(!good && said.contains("has 0 dead letters, but its ledger counts 1"), "on {name}: {said}");
        assert!(said.contains(&format!("{topic}[0] at offset 3 is neither stored nor a dead letter")), "{said}");
    }
}

#[test]
fn the_headers_of_a_message_are_part_of_what_a_dead_letter_keeps() {
    for (name, bench) in benches() {
        let mut odd = deletion(&bar("A", 0, 1.0, 0, 0));
        odd.2.truncate(1);
        publish(&bench, "ohlcv_bar", &[odd, insertion(&bar("A", 0, 1.0, 0, 0))]);
        consume(&bench);
        let (good, said) = verify(&bench, &["--deep"]);
        assert!(good, "on {name}: {said}");
        assert_eq!(bench.number("select count(*) as n from dead_letter"), 1, "on {name}");
    }
}
