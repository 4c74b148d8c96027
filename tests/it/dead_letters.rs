//! Dead letters: on their topic as in the table, listed, shown, and redriven once the cause is fixed.

mod steps;

use std::collections::{BTreeMap, BTreeSet};

use contract::records::DeadLetter;
use contract::{Record, topic};
use store::Database;
use tests::broker::{Bench, benches, block_on, free_address, postgres};
use tests::message::{Message, bar, send, send_records};
use tests::process::{Running, command, fail, run, succeed, until};
use tests::table::letters;

use steps::*;

/// Class and SQLSTATE, as listed, of what the broken table refuses.
fn refusal(bench: &Bench) -> (&'static str, &'static str) {
    if is_sqlite(bench) { ("raised", "") } else { ("check", " 23514") }
}

#[test]
fn once_the_cause_is_mended_a_redrive_applies_the_original_record_and_marks_it_resolved() {
    for (name, bench) in benches() {
        break_table(&bench);
        let records: Vec<Record> = ["BAD", "GOOD"]
            .into_iter()
            .flat_map(|symbol| (0..3).map(move |day| bar(symbol, day, 1.0, 10, 10).into()))
            .collect();
        send_records(&bench, "ohlcv_bar", &records);
        let (key, headers) = deletion("BAD", 1, 30);
        send_with(&bench, &key, None, &headers);
        consume(&bench);
        assert_listed(name, &bench);
        let all = letters(&bench.database);
        assert_shown(name, &bench, &all);
        assert_still_refused(name, &bench);

        mend_table(&bench);
        // A newer record of one of them has come meanwhile.
        send_records(&bench, "ohlcv_bar", &[Record::from(bar("BAD", 2, 7.0, 20, 20))]);
        consume(&bench);
        let before = tables(&bench);
        assert_dry_run(name, &bench);
        assert_redriven(name, &bench, &all);
        let after = tables(&bench);
        assert_eq!(after["dead_letter_resolution"].len(), 4, "on {name}");
        for table in ["dead_letter", "dead_letter_outbox", "sink_position", "sink_chunk"] {
            assert_eq!(after[table], before[table], "{table} on {name}");
        }
        assert_nothing_left_to_redrive(name, &bench);
        succeed("consumer", &["verify", "ohlcv_bar", "--deep"], &bench.environment);
    }
}

/// `list` names the cause, counts it, and obeys its filters.
fn assert_listed(name: &str, bench: &Bench) {
    let (class, sqlstate) = refusal(bench);
    let listed = dead_letters(bench, &["list", "--dataset", "ohlcv_bar"]);
    assert!(listed.starts_with("4 dead letters, open\n"), "on {name}: {listed}");
    assert!(listed.contains(&format!("       4  ohlcv_bar store {class}{sqlstate}  20")), "on {name}: {listed}");
    let json: serde_json::Value =
        serde_json::from_str(&dead_letters(bench, &["list", "--json", "--class", class, "--limit", "3"])).unwrap();
    assert_eq!(json["causes"][0]["count"], 4, "on {name}");
    assert_eq!(json["letters"].as_array().unwrap().len(), 3, "on {name}");
    for nothing in [["--class", "rule"], ["--stage", "decode"], ["--source", "x' or 1=1"], ["--to", "2024-01-01"]] {
        let listed = dead_letters(bench, &["list", nothing[0], nothing[1]]);
        assert_eq!(listed, "0 dead letters, open\n", "{nothing:?} on {name}");
    }
}

/// `show` prints a record and a deletion.
fn assert_shown(name: &str, bench: &Bench, all: &[DeadLetter]) {
    let shown = dead_letters(bench, &["show", &all[0].dead_letter_id]);
    for part in ["\"symbol\":\"BAD\"", "tried again         open", &all[0].reason, "key                 test|BAD|1d"] {
        assert!(shown.contains(part), "`{part}` on {name}: {shown}");
    }
    let of_deletion = all.iter().find(|letter| letter.record_value.is_none()).unwrap();
    let shown = dead_letters(bench, &["show", &of_deletion.dead_letter_id]);
    for part in
        ["\"deleted\":true", "header tapedeck-known-at 2024-01-01T00:00:30.000000Z", "value               (none)"]
    {
        assert!(shown.contains(part), "`{part}` on {name}: {shown}");
    }
}

/// As long as the cause is there, a redrive changes nothing.
fn assert_still_refused(name: &str, bench: &Bench) {
    let (class, sqlstate) = refusal(bench);
    let before = tables(bench);
    let said = dead_letters(bench, &["redrive", "--yes"]);
    let refused = format!("still refused: {class}{sqlstate}");
    assert_eq!(report(&said), counts(&[("dead letters tried again", 4), (&refused, 4)]), "on {name}");
    assert_eq!(tables(bench), before, "on {name}");
}

/// A dry run, and a redrive without `--yes`, write nothing.
fn assert_dry_run(name: &str, bench: &Bench) {
    let before = tables(bench);
    let would =
        counts(&[("dead letters would be tried again", 4), ("would be inserted", 2), ("would be superseded", 2)]);
    assert_eq!(report(&dead_letters(bench, &["redrive", "--dry-run"])), would, "on {name}");
    let said = fail("consumer", &["dead-letters", "redrive"], &bench.environment);
    assert!(said.contains("error: nothing was written: add `--yes` to write"), "on {name}: {said}");
    assert_eq!(tables(bench), before, "a dry run wrote on {name}");
}

/// One dead letter by its id, then the rest; the newer record stays.
fn assert_redriven(name: &str, bench: &Bench, all: &[DeadLetter]) {
    let first = all.iter().find(|letter| letter.record_value.is_some()).unwrap();
    let said = dead_letters(bench, &["redrive", &first.dead_letter_id, "--yes"]);
    assert_eq!(report(&said), counts(&[("dead letters tried again", 1), ("inserted", 1)]), "on {name}");
    let said = report(&dead_letters(bench, &["redrive", "--dataset", "ohlcv_bar", "--yes"]));
    assert_eq!(said["dead letters tried again"], 3, "on {name}");
    let rows = "select trading_date, close, deleted from ohlcv_bar where symbol = 'BAD' order by ts_start";
    let rows: Vec<String> = bench.query(rows).into_iter().map(text).collect();
    let deleted = if is_sqlite(bench) { ["0", "1"] } else { ["false", "true"] };
    let expected = [
        format!("2024-01-01 1 {}", deleted[0]),
        format!("null null {}", deleted[1]),
        format!("2024-01-03 7 {}", deleted[0]),
    ];
    assert_eq!(rows, expected, "on {name}");
}

/// A second redrive finds nothing, and `list` shows the resolved ones with `--all` only.
fn assert_nothing_left_to_redrive(name: &str, bench: &Bench) {
    let before = tables(bench);
    let said = dead_letters(bench, &["redrive", "--yes"]);
    assert_eq!(report(&said), counts(&[]), "on {name}");
    assert_eq!(tables(bench), before, "on {name}");
    assert_eq!(dead_letters(bench, &["list"]), "0 dead letters, open\n", "on {name}");
    let listed = dead_letters(bench, &["list", "--all"]);
    assert!(listed.starts_with("4 dead letters\n") && listed.contains("[inserted]"), "on {name}: {listed}");
}

#[test]
fn a_version_that_was_of_the_future_when_it_was_refused_is_refused_by_its_redrive_too() {
    for (name, bench) in benches() {
        break_table(&bench);
        send_records(&bench, "ohlcv_bar", &[Record::from(bar("BAD", 0, 1.0, 10, 10))]);
        consume(&bench);
        mend_table(&bench);
        let redrive = |how: &str| dead_letters(&bench, &["redrive", how]);
        assert!(redrive("--dry-run").contains("1  would be inserted"), "on {name}");
        // As if it had been refused before its version, and nobody had redriven it for years.
        bench.execute("update dead_letter set known_at = '2020-01-01T00:00:00.000000Z'");
        let said = redrive("--yes");
        assert!(said.contains("1  still refused: version_bounds"), "on {name}: {said}");
        assert_eq!(bench.number("select count(*) as n from ohlcv_bar where symbol = 'BAD'"), 0, "on {name}");
    }
}

#[test]
fn two_redrives_at_once_apply_each_record_once() {
    for (name, bench) in benches() {
        break_table(&bench);
        let records: Vec<Record> = (0..200).map(|day| bar("BAD", day, 1.0, 10, 10).into()).collect();
        send_records(&bench, "ohlcv_bar", &records);
        let patient = bench.with(&[("TAPEDECK_BREAKER_PERCENT", "100"), ("TAPEDECK_CHUNK_ROWS", "40")]);
        succeed("consumer", &["run", "--once"], &patient);
        assert_eq!(bench.number("select count(*) as n from dead_letter"), 200, "on {name}");
        mend_table(&bench);
        let said: Vec<_> = std::thread::scope(|scope| {
            let redrives = [(); 2].map(|()| scope.spawn(|| dead_letters(&bench, &["redrive", "--yes"])));
            redrives.map(|redrive| report(&redrive.join().unwrap())).into_iter().collect()
        });
        let inserted: i64 = said.iter().filter_map(|report| report.get("inserted")).sum();
        assert_eq!(inserted, 200, "on {name}: {said:?}");
        assert_eq!(bench.number("select count(*) as n from ohlcv_bar"), 200, "on {name}");
        assert_eq!(bench.number("select count(*) as n from dead_letter_resolution"), 200, "on {name}");
        succeed("consumer", &["verify", "ohlcv_bar", "--deep"], &bench.environment);
    }
}

#[test]
fn a_redrive_without_its_registry_and_without_a_kept_schema_fails_and_changes_nothing() {
    let (Some(bench), Some(registry)) = (postgres(), tests::service("TAPEDECK_TEST_REGISTRY")) else { return };
    break_table(&bench);
    let with_registry = bench.with(&[("TAPEDECK_SCHEMA_REGISTRY_URL", &registry)]);
    let dataset = contract::dataset("ohlcv_bar").unwrap();
    let subject = topic::subject(&bench.topic("ohlcv_bar"));
    let id = block_on(kafka::Registry::new(&registry).unwrap().register(&subject, &dataset.schema)).unwrap();
    let record = Record::from(bar("BAD", 0, 1.0, 10, 10));
    let key = record.message_key().into_bytes();
    send(&bench, "ohlcv_bar", &[(Some(0), Some(key), Some(tests::message::encode(id, &record)))]);
    succeed("consumer", &["run", "--once"], &with_registry);
    assert_eq!(bench.number("select count(*) as n from dead_letter"), 1);
    mend_table(&bench);
    bench.execute("delete from writer_schema");
    let before = tables(&bench);
    let away = bench.with(&[("TAPEDECK_SCHEMA_REGISTRY_URL", &format!("http://{}", tests::broker::free_address()))]);
    let said = fail("consumer", &["dead-letters", "redrive", "--yes"], &away);
    assert!(said.contains("error: ") && said.contains("registry"), "{said}");
    assert_eq!(tables(&bench), before);
    let said = succeed("consumer", &["dead-letters", "redrive", "--yes"], &with_registry);
    assert_eq!(report(&said)["inserted"], 1, "{said}");
    succeed("consumer", &["verify", "ohlcv_bar", "--deep"], &with_registry);
}

#[test]
fn a_dead_letter_that_is_refused_again_stays_open_is_counted_and_makes_no_new_one() {
    for (name, bench) in benches() {
        send(&bench, "ohlcv_bar", &hopeless());
        consume(&bench);
        let before = tables(&bench);
        let said = report(&dead_letters(&bench, &["redrive", "--yes"]));
        let classes = ["header", "rule", "tombstone", "truncated", "unknown_schema"];
        let mut expected: Vec<(String, i64)> =
            classes.iter().map(|class| (format!("still refused: {class}"), 1)).collect();
        expected.push(("dead letters tried again".to_owned(), 5));
        assert_eq!(said, expected.into_iter().collect(), "on {name}");
        assert_eq!(tables(&bench), before, "on {name}");
        let listed = dead_letters(&bench, &["list"]);
        assert!(listed.starts_with("5 dead letters, open\n"), "on {name}: {listed}");
        let of_text = letters(&bench.database).into_iter().find(|letter| letter.error_class == "header").unwrap();
        let shown = dead_letters(&bench, &["show", &of_text.dead_letter_id]);
        assert!(shown.contains("1b 5b 33 31 6d 6e 6f 20 41 76 72 6f") && !shown.contains('\x1b'), "on {name}: {shown}");
        let said = fail("consumer", &["dead-letters", "show", "nothing"], &bench.environment);
        assert!(said.contains("error: there is no dead letter `nothing`"), "on {name}: {said}");
    }
}

#[test]
fn the_topic_has_every_dead_letter_of_a_consumer_as_the_table_has_it_and_nothing_goes_in_circles() {
    for (name, bench) in benches() {
        send(&bench, "ohlcv_bar", &hopeless());
        // Also a record that is refused on the topic of dead letters itself.
        send(&bench, "dead_letter", &[(Some(0), None, Some(b"no dead letter".to_vec()))]);
        consume(&bench);
        assert_eq!(bench.number("select count(*) as n from dead_letter_outbox"), 0, "on {name}");
        let stored = letters(&bench.database);
        assert_eq!(stored.len(), 6, "on {name}");
        let received = on_topic(&bench);
        let published: Vec<&Received> = received.iter().filter(|one| one.value != b"no dead letter").collect();
        let of_topic = |letter: &&DeadLetter| letter.dataset != "dead_letter";
        let mut expected: Vec<(String, Vec<u8>)> =
            stored.iter().filter(of_topic).map(|letter| (letter.message_key(), encoded(letter))).collect();
        let mut actual: Vec<(String, Vec<u8>)> =
            published.iter().map(|one| (one.key.clone(), body(&one.value).1.to_vec())).collect();
        expected.sort();
        actual.sort();
        assert_eq!(actual, expected, "on {name}");
        for one in &published {
            let letter = stored.iter().find(|letter| letter.message_key() == one.key).unwrap();
            let coordinate = ["topic", "incarnation", "partition", "offset"]
                .map(|part| one.headers[&format!("tapedeck-{part}")].clone());
            assert_eq!(coordinate.join("/"), letter.dead_letter_id, "on {name}");
            assert_eq!(one.headers["tapedeck-class"], letter.error_class, "on {name}");
            assert_eq!(one.headers["tapedeck-sink"], letter.source, "on {name}");
            let sqlstate = one.headers.get("tapedeck-sqlstate").map(String::as_str);
            assert_eq!(sqlstate, letter.sqlstate.as_deref(), "on {name}");
        }
        // The same command reads them back, and later ones find nothing to do.
        let superseded =
            "select cast(sum(records_superseded) as bigint) as n from sink_chunk where sink like '%.dead_letter.%'";
        assert_eq!(bench.number(superseded), 5, "on {name}");
        let before = tables(&bench);
        for _ in 0..2 {
            consume(&bench);
            assert_eq!(tables(&bench), before, "on {name}");
            assert_eq!(on_topic(&bench).len(), received.len(), "on {name}");
        }
    }
}

#[test]
fn the_sqlstate_is_a_header_of_the_published_dead_letter() {
    let Some(bench) = postgres() else { return };
    break_table(&bench);
    send_records(&bench, "ohlcv_bar", &[Record::from(bar("BAD", 0, 1.0, 10, 10))]);
    consume(&bench);
    let received = on_topic(&bench);
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].headers["tapedeck-sqlstate"], "23514");
}

#[test]
fn a_dead_letter_too_large_for_a_message_is_published_without_its_value_and_never_replaces_the_whole_one() {
    for (name, bench) in benches() {
        block_on(async {
            let cluster = kafka::Cluster::new(&bench.brokers, &bench.namespace);
            cluster.ensure_topics(&[bench.topic("ohlcv_bar")]).await.unwrap();
        });
        // Its headers are those of a deletion. Without its value it must not be taken for one.
        let (key, headers) = deletion("HUGE", 0, 10);
        let value: Vec<u8> = (0..999_900u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8 | 1).collect();
        send_with(&bench, &key, Some(&value), &headers);
        send_with(&bench, &key, Some(b"small"), &[]);
        consume(&bench);
        consume(&bench);
        let all = letters(&bench.database);
        assert_eq!(all.len(), 2, "on {name}");
        let whole = all.iter().find(|letter| letter.record_value.as_ref() == Some(&value)).unwrap();
        let received = on_topic(&bench);
        assert_eq!(received.len(), 2, "on {name}");
        let cut = received.iter().find(|one| one.key == whole.message_key()).unwrap();
        let expected = DeadLetter {
            reason: format!("{} (its value of 999900 bytes and its headers are left out here)", whole.reason).into(),
            record_value: None,
            record_headers: None,
            observed_at: whole.observed_at - chrono::TimeDelta::microseconds(1),
            ..whole.clone()
        };
        assert_eq!(body(&cut.value).1, encoded(&expected), "on {name}");
        // Another database gets only what is on the topic.
        let other = format!("sqlite:{}", bench.folder.path().join("other.db").display());
        let environment = bench.with(&[("TAPEDECK_DATABASE_URL", &other), ("TAPEDECK_SINK", "other")]);
        succeed("consumer", &["run", "dead_letter", "--once"], &environment);
        assert_eq!(letters(&Database::new(&other).unwrap()).len(), 2, "on {name}");
        let said = succeed("consumer", &["dead-letters", "redrive", "--class", "header", "--yes"], &environment);
        let expected =
            counts(&[("dead letters tried again", 2), ("still refused: header", 1), ("still refused: tombstone", 1)]);
        assert_eq!(report(&said), expected, "on {name}");
    }
}

#[test]
fn the_relay_waits_while_kafka_is_unavailable_and_publishes_afterwards() {
    for (name, bench) in benches() {
        send(&bench, "ohlcv_bar", &hopeless());
        consume(&bench);
        let waiting = || bench.number("select count(*) as n from dead_letter_outbox");
        execute(
            &bench,
            "insert into dead_letter_outbox (source, dead_letter_id) select source, dead_letter_id from dead_letter",
        );
        let address = free_address();
        let log = bench.folder.path().join("log");
        let environment = bench.with(&[("TAPEDECK_KAFKA_BROKERS", &address)]);
        let mut consumer = command("consumer", &["run", "ohlcv_bar"], &environment);
        consumer.stderr(std::fs::File::create(&log).unwrap());
        let mut consumer = Running::start(consumer);
        let warnings = || {
            std::fs::read_to_string(&log).unwrap().lines().filter(|line| line.contains("cannot publish dead")).count()
        };
        until("the relay says that it cannot publish", || warnings() > 0);
        assert_eq!(waiting(), 5, "on {name}");
        forward(&address, &bench.brokers);
        until("all is published", || waiting() == 0);
        consumer.signal("TERM");
        assert!(consumer.wait(), "it did not stop cleanly on {name}");
        assert_eq!(warnings(), 1, "on {name}");
        assert_eq!(on_topic(&bench).len(), 10, "each once more on {name}");
    }
}

/// Each dead letter of the table is on the topic that often, whole: never less, and more only if a relay warned.
///
/// A relay cannot know whether Kafka has a message that it did not acknowledge in time, nor remove a name when its
/// transaction is lost. It publishes those dead letters again, and warns. Without a warning, once means once.
fn assert_each_on_topic(bench: &Bench, times: usize, log: &str) {
    let mut published = BTreeMap::<(String, Vec<u8>), usize>::new();
    for one in on_topic(bench) {
        let whole = body(&one.value).1.to_vec();
        *published.entry((one.key, whole)).or_default() += 1;
    }
    let stored: BTreeSet<_> =
        letters(&bench.database).iter().map(|letter| (letter.message_key(), encoded(letter))).collect();
    let published_once: BTreeSet<_> = published.keys().cloned().collect();
    let differing = published_once.symmetric_difference(&stored);
    let differing: Vec<&str> = differing.map(|(key, _)| key.as_str()).collect();
    assert!(differing.is_empty(), "not on the topic as in the table: {differing:?}: {log}");
    let warnings = ["cannot publish dead letters", "some dead letters are not published yet"];
    let is_in_doubt = warnings.iter().any(|warning| log.contains(warning));
    for ((key, _), count) in &published {
        assert!(*count == times || (is_in_doubt && *count > times), "{key} is there {count} times, not {times}: {log}");
    }
}

#[test]
fn consumers_that_share_a_postgres_publish_each_dead_letter_once() {
    let Some(bench) = postgres() else { return };
    let garbage: Vec<Message> =
        (0..700).map(|at| (Some(at % 4), None, Some(format!("no {at}").into_bytes()))).collect();
    send(&bench, "ohlcv_bar", &garbage);
    let environment = bench.with(&[("TAPEDECK_BREAKER_PERCENT", "100")]);
    let consumed = run("consumer", &["run", "--once"], &environment);
    let mut log = String::from_utf8_lossy(&consumed.stderr).into_owned();
    assert!(consumed.status.success(), "{log}");
    let letters = || bench.number("select count(*) as n from dead_letter");
    assert_eq!(letters(), 700);
    assert_each_on_topic(&bench, 1, &log);
    execute(
        &bench,
        "insert into dead_letter_outbox (source, dead_letter_id) select source, dead_letter_id from dead_letter",
    );
    let logs = (0..3).map(|number| bench.folder.path().join(format!("log{number}"))).collect::<Vec<_>>();
    let start = |log| {
        let mut consumer = command("consumer", &["run", "series"], &bench.environment);
        consumer.stderr(std::fs::File::create(log).unwrap());
        Running::start(consumer)
    };
    let mut consumers: Vec<Running> = logs.iter().map(start).collect();
    until("all is published", || bench.number("select count(*) as n from dead_letter_outbox") == 0);
    for consumer in &mut consumers {
        consumer.signal("TERM");
        assert!(consumer.wait());
    }
    log.extend(logs.iter().map(|log| std::fs::read_to_string(log).unwrap()));
    assert_each_on_topic(&bench, 2, &log);
    assert_eq!(letters(), 700);
}

#[test]
fn a_published_dead_letter_has_the_registrys_schema_id() {
    let (Some(bench), Some(registry)) = (postgres(), tests::service("TAPEDECK_TEST_REGISTRY")) else { return };
    send(&bench, "ohlcv_bar", &[(Some(0), None, Some(Vec::new()))]);
    let environment = bench.with(&[("TAPEDECK_SCHEMA_REGISTRY_URL", &registry)]);
    succeed("consumer", &["run", "--once"], &environment);
    let dataset = contract::dataset("dead_letter").unwrap();
    let subject = topic::subject(&bench.topic("dead_letter"));
    let registry = kafka::Registry::new(&registry).unwrap();
    let id = block_on(registry.register(&subject, &dataset.schema)).unwrap();
    assert_ne!(id, dataset.schema_id, "the test would prove nothing");
    let received = on_topic(&bench);
    assert_eq!(received.len(), 1);
    assert_eq!(body(&received[0].value).0, id);
}
