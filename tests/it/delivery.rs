//! What a consumer does if the database refuses rows, with deletions, and with topics that were truncated or recreated.

use contract::{Decoder, Original, Record};
use kafka::Cluster;
use rdkafka::admin::{AdminOptions, NewPartitions};
use store::StoreError;
use store::chunk::{Chunk, ChunkBuilder, SinkPartition, Target};
use tests::broker::{Bench, benches, block_on, embedded, postgres};
use tests::message::{BAR_SCHEMA_ID, Message, bar, encode, send, send_records};
use tests::process::{Heard, command, fail, run, succeed, until};

fn consume(bench: &Bench) {
    succeed("consumer", &["run", "ohlcv_bar", "--once"], &bench.environment);
}

fn good(symbol: &str, day: u32, close: f64, known_at: i64) -> Message {
    let record = Record::from(bar(symbol, day, close, known_at, known_at));
    (Some(0), Some(record.message_key().into_bytes()), Some(encode(BAR_SCHEMA_ID, &record)))
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

#[test]
fn a_row_that_only_the_database_refuses_becomes_a_dead_letter_and_costs_no_other() {
    for (name, bench) in benches() {
        succeed("consumer", &["migrate"], &bench.environment);
        refuse_thirteen(&bench);
        // Three thousand rows in one chunk: one is refused alone, one hides an older version that is valid.
        let mut messages: Vec<Message> =
            (0..3000).map(|at| good(&format!("S{}", at % 100), at / 100, 1.0, 0)).collect();
        messages.insert(1500, good("ALONE", 0, 13.0, 0));
        messages.insert(700, good("BOTH", 0, 1.0, 5));
        messages.insert(2000, good("BOTH", 0, 13.0, 9));
        send(&bench, "ohlcv_bar", &messages);
        consume(&bench);
        assert_eq!(bench.number("select count(*) as n from ohlcv_bar"), 3001, "on {name}");
        let both = bench.query("select cast(close as text) from ohlcv_bar where symbol = 'BOTH'");
        assert!(
            both[0][0].as_deref().unwrap().starts_with('1'),
            "the next version takes its place on {name}: {both:?}"
        );
        let letters = bench.query(
            "select stage, error_class, sqlstate, kafka_offset, length(record_value) as size, record_key from dead_letter \
             order by kafka_offset",
        );
        let state = if name.contains("SQLite") { None } else { text("P0001") };
        let size = |at: usize| text(&messages[at].2.as_ref().unwrap().len().to_string());
        for (letter, at) in letters.iter().zip([1501, 2000]) {
            assert_eq!(letter[..5], [text("store"), text("raised"), state.clone(), text(&at.to_string()), size(at)]);
        }
        assert_eq!(letters.len(), 2, "on {name}");
        let sum = "select cast(sum(records_read) as bigint) as n from sink_chunk";
        assert_eq!(bench.number(sum), 3003, "on {name}");
    }
}

/// Makes the database refuse bars that close at 13, like a user's own trigger.
fn refuse_thirteen(bench: &Bench) {
    if bench.database.shown().starts_with("sqlite") {
        bench.execute(
            "create trigger thirteen before insert on ohlcv_bar when new.close = 13 \
             begin select raise(abort, 'thirteen is bad luck'); end",
        );
        return;
    }
    bench.execute(
        "create function thirteen() returns trigger language plpgsql as \
         'begin if new.close = 13 then raise ''thirteen is bad luck''; end if; return new; end'",
    );
    bench.execute("create trigger thirteen before insert on ohlcv_bar for each row execute function thirteen()");
}

/// A bar of another publisher.
fn of(publisher: &str, symbol: &str, day: u32, close: f64) -> Record {
    let mut record = bar(symbol, day, close, 0, 0);
    record.source = publisher.into();
    record.into()
}

#[test]
fn a_publisher_of_whose_rows_the_database_refuses_most_is_quarantined_and_all_valid_rows_are_stored() {
    for (name, bench) in benches() {
        succeed("consumer", &["migrate"], &bench.environment);
        refuse_thirteen(&bench);
        let bad = (0..1_100).map(|day| of("bad", "BAD", day, 13.0));
        let valid = (0..20).map(|day| of("bad", "VALID", day, 1.0));
        let good = (0..1_000).map(|day| of("good", "GOOD", day, if day < 40 { 13.0 } else { 1.0 }));
        send_records(&bench, "ohlcv_bar", &bad.chain(valid).chain(good).collect::<Vec<_>>());
        let output = run("consumer", &["run", "ohlcv_bar", "--once"], &bench.environment);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "on {name}: {said}");
        let stored = bench.query("select symbol, count(*) as n from ohlcv_bar group by 1 order by 1");
        assert_eq!(stored, [[text("GOOD"), text("960")], [text("VALID"), text("20")]], "on {name}");
        let quarantines = bench.query("select publisher from quarantine");
        assert_eq!(quarantines, [[text("bad")]], "on {name}: 40 of 1,000 are not too many");
        let parked = bench.number("select cast(sum(records) as bigint) as n from parked_record");
        assert_eq!((bench.number("select count(*) as n from dead_letter"), parked), (1_040, 100), "on {name}");
        assert!(said.contains("quarantine") && said.contains("thirteen is bad luck"), "on {name}: {said}");
        succeed("consumer", &["verify", "ohlcv_bar", "--deep"], &bench.environment);
        // The user drops the constraint: what was refused is stored.
        let drop = if name.contains("SQLite") { "drop trigger thirteen" } else { "drop trigger thirteen on ohlcv_bar" };
        bench.execute(drop);
        succeed("consumer", &["dead-letters", "release", "bad", "--dataset", "ohlcv_bar", "--yes"], &bench.environment);
        succeed("consumer", &["dead-letters", "redrive", "--yes"], &bench.environment);
        assert_eq!(bench.number("select count(*) as n from ohlcv_bar"), 2_120, "on {name}");
    }
}

/// The recorded gaps: incarnation, from, to, reason.
fn gaps(bench: &Bench) -> Vec<Vec<Option<String>>> {
    bench.query("select kafka_incarnation, from_offset, to_offset, reason from sink_gap order by 1, 2")
}

#[test]
fn records_that_retention_took_unread_halt_the_sink_or_are_written_down() {
    let Some(bench) = postgres() else { return };
    send(&bench, "ohlcv_bar", &(0..10).map(|day| good("AAPL", day, 1.0, 0)).collect::<Vec<_>>());
    consume(&bench);
    send(&bench, "ohlcv_bar", &(10..30).map(|day| good("AAPL", day, 1.0, 0)).collect::<Vec<_>>());
    bench.remove_before("ohlcv_bar", 0, 25);
    let said = fail("consumer", &["run", "ohlcv_bar"], &bench.environment);
    let last = said.lines().last().unwrap();
    assert!(last.contains("begins at offset 25: 15 records are gone unread"), "{said}");
    assert!(gaps(&bench).is_empty());
    let environment = bench.with(&[("TAPEDECK_ON_GAP", "record")]);
    succeed("consumer", &["run", "ohlcv_bar", "--once"], &environment);
    assert_eq!(gaps(&bench), [[text("0"), text("10"), text("25"), text("retention")]]);
    assert_eq!(bench.number("select count(*) as n from ohlcv_bar"), 15);
    succeed("consumer", &["run", "ohlcv_bar", "--once"], &environment);
    assert_eq!(gaps(&bench).len(), 1, "it is written down once");
}

#[test]
fn a_topic_that_was_made_anew_is_noticed_whether_it_is_shorter_or_longer() {
    // By the topic's id, or, in a database that an earlier build filled, by the offsets and the last record.
    for (more, reason, has_id) in [(5, "truncated", false), (40, "recreated", false), (5, "recreated", true)] {
        let Some(bench) = postgres() else { return };
        let cluster = Cluster::new(&bench.brokers, &bench.namespace);
        send(&bench, "ohlcv_bar", &(0..10).map(|day| good("OLD", day, 1.0, 0)).collect::<Vec<_>>());
        consume(&bench);
        if !has_id {
            bench.execute("delete from sink_topic");
        }
        block_on(cluster.delete_topics(&[bench.topic("ohlcv_bar")])).unwrap();
        tests::process::until("the topic is gone", || {
            let offsets = kafka::offsets::end_offsets(&cluster, &bench.topic("ohlcv_bar"));
            offsets.is_err() || offsets.unwrap().is_empty()
        });
        send(&bench, "ohlcv_bar", &(0..more).map(|day| good("NEW", day, 1.0, 0)).collect::<Vec<_>>());
        let said = fail("consumer", &["run", "ohlcv_bar"], &bench.environment);
        assert!(said.lines().last().unwrap().contains("recreated"), "{reason}: {said}");
        assert_eq!(bench.number("select count(*) as n from ohlcv_bar where symbol = 'NEW'"), 0, "{reason}");
        let environment = bench.with(&[("TAPEDECK_ON_GAP", "record")]);
        succeed("consumer", &["run", "ohlcv_bar", "--once"], &environment);
        assert_eq!(gaps(&bench), [[text("0"), text("10"), text("10"), text(reason)]], "{reason}");
        assert_eq!(bench.number("select count(*) as n from ohlcv_bar"), i64::from(more) + 10, "{reason}");
        let positions = bench
            .query("select kafka_incarnation, next_offset from sink_position where kafka_partition = 0 order by 1");
        assert_eq!(positions, [[text("0"), text("10")], [text("1"), text(&more.to_string())]], "{reason}");
        // The consumer recognises the topic from now on.
        consume(&bench);
    }
}

#[test]
fn records_of_another_cluster_are_refused_until_it_takes_the_first_ones_place() {
    for (name, bench) in benches() {
        send(&bench, "ohlcv_bar", &[good("AAPL", 0, 1.0, 0)]);
        consume(&bench);
        let other = embedded();
        send(&other, "ohlcv_bar", &[good("OTHER", 0, 1.0, 0)]);
        // This database has no position in the other cluster's topics that could betray it.
        let there = [
            ("TAPEDECK_KAFKA_BROKERS", other.brokers.as_str()),
            ("TAPEDECK_NAMESPACE", other.namespace.as_str()),
            ("TAPEDECK_ON_GAP", "halt"),
        ];
        let others = || bench.number("select count(*) as n from ohlcv_bar where symbol = 'OTHER'");
        for command in [&["run", "ohlcv_bar", "--once"][..], &["replay", "ohlcv_bar"]] {
            let said = fail("consumer", command, &bench.with(&there));
            let refusal = said.lines().filter(|line| line.contains("the database was filled from Kafka cluster"));
            assert!(refusal.count() >= 1, "on {name}: {said}");
            assert_eq!(others(), 0, "on {name}");
        }
        let adopting = [there[0], there[1], ("TAPEDECK_ON_GAP", "record")];
        succeed("consumer", &["run", "ohlcv_bar", "--once"], &bench.with(&adopting));
        assert_eq!(others(), 1, "on {name}");
        succeed("consumer", &["run", "ohlcv_bar", "--once"], &bench.with(&there));
        fail("consumer", &["run", "ohlcv_bar", "--once"], &bench.environment);
    }
}

#[test]
fn partitions_that_are_added_under_a_running_consumer_are_read_from_their_beginning() {
    let Some(bench) = postgres() else { return };
    let consumer = Heard::start(command("consumer", &["run", "ohlcv_bar"], &bench.environment));
    send(&bench, "ohlcv_bar", &[good("AAPL", 0, 1.0, 0)]);
    let rows = || bench.number("select count(*) as n from ohlcv_bar");
    until("the first partition is read", || rows() == 1);
    let (admin, topic) = (bench.admin(), bench.topic("ohlcv_bar"));
    let more = [NewPartitions::new(&topic, 6)];
    let grown = block_on(admin.create_partitions(&more, &AdminOptions::new())).unwrap();
    assert!(grown[0].is_ok(), "{grown:?}");
    // They are filled before the consumer notices them.
    let in_partition = |(number, day)| (Some(number), good("AAPL", day, 1.0, 0).1, good("AAPL", day, 1.0, 0).2);
    send(&bench, "ohlcv_bar", &[(4, 1), (4, 2), (5, 3), (5, 4), (0, 5)].map(in_partition));
    until("all partitions are read", || rows() == 6);
    assert_eq!(consumer.said("error"), Vec::<String>::new());
    drop(consumer);
    succeed("consumer", &["verify", "ohlcv_bar", "--deep"], &bench.environment);
}

/// A chunk of one partition with the bars of these days.
fn chunk(bench: &Bench, from: i64, days: std::ops::Range<u32>) -> Chunk {
    let dataset = contract::dataset("ohlcv_bar").unwrap();
    let partition =
        SinkPartition { sink: "test.sink".into(), topic: bench.topic("ohlcv_bar").into(), incarnation: 0, number: 0 };
    let mut builder = ChunkBuilder::new(partition, Target::live(dataset, "test.sink".into()), from);
    let decoder = Decoder::new(dataset, &dataset.schema).unwrap();
    for (offset, day) in (from..).zip(days) {
        let value = encode(BAR_SCHEMA_ID, &bar("AAPL", day, 1.0, 0, 0).into());
        decoder.decode(&value[5..], builder.rows()).unwrap();
        let original = Original { offset, timestamp_ms: Some(0), key: None, value: Some(&value), headers: None };
        builder.took(&original, None, std::time::Instant::now());
    }
    builder.take()
}

#[test]
fn a_chunk_is_committed_once_and_only_where_the_position_is() {
    for (name, bench) in benches() {
        block_on(bench.database.migrate()).unwrap();
        block_on(async {
            let (mut one, mut other) = (bench.database.store("one"), bench.database.store("other"));
            let first = one.commit(&mut chunk(&bench, 0, 0..10)).await.unwrap();
            assert_eq!((first.outcome.inserted, first.already), (10, false), "on {name}");
            // The same again, as after a lost response: recognised, with the same outcome.
            let again = other.commit(&mut chunk(&bench, 0, 0..10)).await.unwrap();
            assert_eq!((again.outcome, again.already), (first.outcome, true), "on {name}");
            // A consumer at another position is fenced, and writes nothing.
            for (from, days) in [(0, 0..12), (5, 20..25), (11, 20..25), (0, 50..55)] {
                let outcome = other.commit(&mut chunk(&bench, from, days)).await;
                assert!(matches!(outcome, Err(StoreError::Fenced { .. })), "{from} on {name}: {outcome:?}");
            }
            one.commit(&mut chunk(&bench, 10, 10..13)).await.unwrap();
        });
        assert_eq!(bench.number("select count(*) as n from ohlcv_bar"), 13, "on {name}");
        assert_eq!(bench.number("select count(*) as n from sink_chunk"), 2, "on {name}");
    }
}
