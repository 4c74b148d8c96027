//! Dead letters: on their topic as in the table, listed, shown, and redriven once the cause is mended.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contract::records::DeadLetter;
use contract::{Record, Rows, codec, tombstone, topic};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use store::{Database, Filter, Letter, Name};
use tests::broker::{Bench, benches, block_on, free_address, postgres};
use tests::message::{BAR_SCHEMA_ID, Message, at, bar, encode, send, send_records};
use tests::process::{PATIENCE, Running, command, fail, succeed, until};

/// Runs statements by hand, as an operator would.
fn execute(bench: &Bench, sql: &str) {
    let (address, sql) = (bench.database.address().expose().to_owned(), AssertSqlSafe(sql.to_owned()));
    block_on(async {
        if address.starts_with("sqlite:") {
            sqlx::SqliteConnection::connect(&address).await.unwrap().execute(sql).await.unwrap();
        } else {
            sqlx::PgConnection::connect(&address).await.unwrap().execute(sql).await.unwrap();
        }
    });
}

fn is_sqlite(bench: &Bench) -> bool {
    bench.database.address().expose().starts_with("sqlite:")
}

/// Makes the database refuse the symbol `BAD`.
fn break_table(bench: &Bench) {
    succeed("consumer", &["migrate"], &bench.environment);
    execute(
        bench,
        if is_sqlite(bench) {
            "create trigger broken before insert on ohlcv_bar when new.symbol = 'BAD' begin select raise(abort, 'no BAD'); end"
        } else {
            "alter table ohlcv_bar add constraint broken check (symbol <> 'BAD')"
        },
    );
}

fn mend_table(bench: &Bench) {
    execute(
        bench,
        if is_sqlite(bench) { "drop trigger broken" } else { "alter table ohlcv_bar drop constraint broken" },
    );
}

fn consume(bench: &Bench) {
    let environment = bench.with(&[("TAPEDECK_BREAKER_PERCENT", "100")]);
    succeed("consumer", &["run", "--once"], &environment);
}

/// All tables that anything may write to, whole.
fn tables(bench: &Bench) -> BTreeMap<&'static str, Vec<Vec<Option<String>>>> {
    let names = [
        "ohlcv_bar",
        "observation",
        "series",
        "dead_letter",
        "dead_letter_outbox",
        "dead_letter_resolution",
        "sink_position",
        "sink_chunk",
    ];
    let whole = |name: &'static str| {
        let mut rows = bench.query(&format!("select * from {name}"));
        rows.sort();
        (name, rows)
    };
    names.map(whole).into()
}

/// The dead letters in the table, whole, in the order of their names.
fn stored(database: &Database) -> Vec<DeadLetter> {
    let filter = Filter { all: true, ..Filter::default() };
    let mut after = Name { source: String::new(), id: String::new() };
    let mut all: Vec<DeadLetter> = Vec::new();
    block_on(async {
        let mut store = database.dead_letters("test");
        loop {
            let letters = store.next(&filter, &after).await.unwrap();
            let Some(Letter { record, .. }) = letters.last() else { return };
            after = Name { source: record.source.to_string(), id: record.dead_letter_id.to_string() };
            all.extend(letters.into_iter().map(|letter| letter.record));
        }
    });
    all
}

/// A message as it was read back.
struct Received {
    key: String,
    value: Vec<u8>,
    headers: BTreeMap<String, String>,
}

/// Everything on the topic of dead letters, read by a plain consumer.
fn on_topic(bench: &Bench) -> Vec<Received> {
    let name = bench.topic("dead_letter");
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &bench.brokers)
        .set("group.id", "test")
        .set("enable.partition.eof", "false")
        .create()
        .unwrap();
    let (mut list, mut left) = (TopicPartitionList::new(), 0);
    let metadata = consumer.fetch_metadata(Some(&name), PATIENCE).unwrap();
    for partition in metadata.topics()[0].partitions() {
        let (low, high) = consumer.fetch_watermarks(&name, partition.id(), PATIENCE).unwrap();
        left += high - low;
        list.add_partition_offset(&name, partition.id(), Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut all = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while left > 0 {
        assert!(Instant::now() < deadline, "{left} records of {name} do not come");
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        all.push(Received {
            key: message.key().map(text).unwrap_or_default(),
            value: message.payload().unwrap_or_default().to_vec(),
            headers: headers.map(|header| (header.key.to_owned(), text(header.value.unwrap()))).collect(),
        });
        left -= 1;
    }
    all
}

/// The body and the schema id of a message of a dead letter, which the contract's decoder must be able to read.
fn body(value: &[u8]) -> (u32, &[u8]) {
    let dataset = contract::dataset("dead_letter").unwrap();
    let (id, body) = codec::split_header(value).unwrap();
    let mut rows = Rows::new(dataset);
    contract::Decoder::new(dataset, &dataset.schema).unwrap().decode(body, &mut rows).unwrap();
    (id, body)
}

fn encoded(letter: &DeadLetter) -> Vec<u8> {
    let mut body = Vec::new();
    letter.encode(&mut body);
    body
}

/// Sends one message with headers.
fn send_with(bench: &Bench, key: &str, value: Option<&[u8]>, headers: &[(&str, String)]) {
    let name = bench.topic("ohlcv_bar");
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &bench.brokers)
        .set("message.max.bytes", "1040000")
        .create()
        .unwrap();
    let add = |all: OwnedHeaders, (key, value): &(&str, String)| all.insert(Header { key, value: Some(value) });
    let mut record = BaseRecord::to(&name).key(key).headers(headers.iter().fold(OwnedHeaders::new(), add));
    record.payload = value;
    record.partition = Some(0);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
}

/// Key and headers of a deletion of a bar.
fn deletion(symbol: &str, day: u32, known_at: i64) -> (String, Vec<(&'static str, String)>) {
    let dataset = contract::dataset("ohlcv_bar").unwrap();
    let (mut rows, mut body) = (Rows::new(dataset), Vec::new());
    bar(symbol, day, 1.0, 0, 0).encode(&mut body);
    contract::Decoder::new(dataset, &dataset.schema).unwrap().decode(&body, &mut rows).unwrap();
    tombstone::encode(dataset, &rows, 0, at(known_at), at(known_at))
}

fn dead_letters(bench: &Bench, arguments: &[&str]) -> String {
    succeed("consumer", &[&["dead-letters"], arguments].concat(), &bench.environment)
}

/// The numbers in a report, by what they count.
fn report(text: &str) -> BTreeMap<String, i64> {
    let line = |line: &str| {
        let (count, what) = line.trim().split_once(' ')?;
        Some((what.trim().to_owned(), count.parse().ok()?))
    };
    text.lines().filter_map(line).filter(|(_, count)| *count != 0).collect()
}

fn counts(expected: &[(&str, i64)]) -> BTreeMap<String, i64> {
    expected.iter().map(|(what, count)| ((*what).to_owned(), *count)).collect()
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
        let class = if is_sqlite(&bench) { "raised" } else { "check" };
        let sqlstate = if is_sqlite(&bench) { "" } else { " 23514" };

        // What it says of them.
        let listed = dead_letters(&bench, &["list", "--dataset", "ohlcv_bar"]);
        assert!(listed.starts_with("4 dead letters, open\n"), "on {name}: {listed}");
        assert!(listed.contains(&format!("       4  ohlcv_bar store {class}{sqlstate}  20")), "on {name}: {listed}");
        let json: serde_json::Value =
            serde_json::from_str(&dead_letters(&bench, &["list", "--json", "--class", class, "--limit", "3"])).unwrap();
        assert_eq!(json["causes"][0]["count"], 4, "on {name}");
        assert_eq!(json["letters"].as_array().unwrap().len(), 3, "on {name}");
        for nothing in [["--class", "rule"], ["--stage", "decode"], ["--source", "x' or 1=1"], ["--to", "2024-01-01"]] {
            let listed = dead_letters(&bench, &["list", nothing[0], nothing[1]]);
            assert_eq!(listed, "0 dead letters, open\n", "{nothing:?} on {name}");
        }
        let all = stored(&bench.database);
        let shown = dead_letters(&bench, &["show", &all[0].dead_letter_id]);
        for part in
            ["\"symbol\":\"BAD\"", "tried again         open", &all[0].reason, "key                 test|BAD|1d"]
        {
            assert!(shown.contains(part), "`{part}` on {name}: {shown}");
        }
        let of_deletion = all.iter().find(|letter| letter.record_value.is_none()).unwrap();
        let shown = dead_letters(&bench, &["show", &of_deletion.dead_letter_id]);
        for part in
            ["\"deleted\":true", "header tapedeck-known-at 2024-01-01T00:00:30.000000Z", "value               (none)"]
        {
            assert!(shown.contains(part), "`{part}` on {name}: {shown}");
        }

        // The cause is still there.
        let before = tables(&bench);
        let said = dead_letters(&bench, &["redrive", "--yes"]);
        let refused = format!("still refused: {class}{sqlstate}");
        assert_eq!(report(&said), counts(&[("dead letters tried again", 4), (&refused, 4)]), "on {name}");
        assert_eq!(tables(&bench), before, "on {name}");

        mend_table(&bench);
        // A newer record of one of them has come meanwhile.
        send_records(&bench, "ohlcv_bar", &[Record::from(bar("BAD", 2, 7.0, 20, 20))]);
        consume(&bench);
        let before = tables(&bench);
        let would =
            counts(&[("dead letters would be tried again", 4), ("would be inserted", 2), ("would be superseded", 2)]);
        assert_eq!(report(&dead_letters(&bench, &["redrive", "--dry-run"])), would, "on {name}");
        let said = fail("consumer", &["dead-letters", "redrive"], &bench.environment);
        assert!(said.contains("error: nothing was written: add `--yes` to write"), "on {name}: {said}");
        assert_eq!(tables(&bench), before, "a dry run wrote on {name}");

        // One by its id, then the rest.
        let first = all.iter().find(|letter| letter.record_value.is_some()).unwrap();
        let said = dead_letters(&bench, &["redrive", &first.dead_letter_id, "--yes"]);
        assert_eq!(report(&said), counts(&[("dead letters tried again", 1), ("inserted", 1)]), "on {name}");
        let said = report(&dead_letters(&bench, &["redrive", "--dataset", "ohlcv_bar", "--yes"]));
        assert_eq!(said["dead letters tried again"], 3, "on {name}");
        let rows = "select trading_date, close, deleted from ohlcv_bar where symbol = 'BAD' order by ts_start";
        let rows: Vec<String> = bench.query(rows).into_iter().map(text).collect();
        let deleted = if is_sqlite(&bench) { ["0", "1"] } else { ["false", "true"] };
        let expected = [
            format!("2024-01-01 1 {}", deleted[0]),
            format!("null null {}", deleted[1]),
            format!("2024-01-03 7 {}", deleted[0]),
        ];
        assert_eq!(rows, expected, "on {name}");
        let after = tables(&bench);
        assert_eq!(after["dead_letter_resolution"].len(), 4, "on {name}");
        for table in ["dead_letter", "dead_letter_outbox", "sink_position", "sink_chunk"] {
            assert_eq!(after[table], before[table], "{table} on {name}");
        }

        // A second time there is nothing left to do.
        let said = dead_letters(&bench, &["redrive", "--yes"]);
        assert_eq!(report(&said), counts(&[]), "on {name}");
        assert_eq!(tables(&bench), after, "on {name}");
        assert_eq!(dead_letters(&bench, &["list"]), "0 dead letters, open\n", "on {name}");
        let listed = dead_letters(&bench, &["list", "--all"]);
        assert!(listed.starts_with("4 dead letters\n") && listed.contains("[inserted]"), "on {name}: {listed}");
        succeed("consumer", &["verify", "ohlcv_bar", "--deep"], &bench.environment);
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
fn a_redrive_without_its_registry_says_so_and_changes_nothing() {
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
    let before = tables(&bench);
    let away = bench.with(&[("TAPEDECK_SCHEMA_REGISTRY_URL", &format!("http://{}", tests::broker::free_address()))]);
    let said = fail("consumer", &["dead-letters", "redrive", "--yes"], &away);
    assert!(said.contains("error: ") && said.contains("registry"), "{said}");
    assert_eq!(tables(&bench), before);
    let said = succeed("consumer", &["dead-letters", "redrive", "--yes"], &with_registry);
    assert_eq!(report(&said)["inserted"], 1, "{said}");
    succeed("consumer", &["verify", "ohlcv_bar", "--deep"], &with_registry);
}

fn text(row: Vec<Option<String>>) -> String {
    row.into_iter().map(|value| value.unwrap_or_else(|| "null".to_owned())).collect::<Vec<_>>().join(" ")
}

/// Messages that no rule of today lets pass, by class.
fn hopeless() -> Vec<Message> {
    let whole = encode(BAR_SCHEMA_ID, &Record::from(bar("X", 0, 1.0, 0, 0)));
    let mut broken = bar("X", 0, 1.0, 0, 0);
    broken.volume = Some(-1.0);
    let key = Some(b"odd \xff key".to_vec());
    vec![
        (Some(0), key.clone(), None),
        (Some(0), key.clone(), Some(whole[..whole.len() - 1].to_vec())),
        (Some(1), None, Some(b"\x1b[31mno Avro".to_vec())),
        (Some(2), key.clone(), Some(encode(BAR_SCHEMA_ID, &Record::from(broken)))),
        (Some(2), key, Some(encode(99, &Record::from(bar("X", 0, 1.0, 0, 0))))),
    ]
}

#[test]
fn what_is_still_refused_stays_open_is_counted_and_makes_nothing_new() {
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
        let of_text = stored(&bench.database).into_iter().find(|letter| letter.error_class == "header").unwrap();
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
        // Also what is refused on the topic of dead letters itself.
        send(&bench, "dead_letter", &[(Some(0), None, Some(b"no dead letter".to_vec()))]);
        consume(&bench);
        assert_eq!(bench.number("select count(*) as n from dead_letter_outbox"), 0, "on {name}");
        let stored = stored(&bench.database);
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
        // The same command has read them back, and all later ones find nothing to do.
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
        // Its headers are those of a deletion, which it must not be taken for where its value is missing.
        let (key, headers) = deletion("HUGE", 0, 10);
        let value: Vec<u8> = (0..999_900u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8 | 1).collect();
        send_with(&bench, &key, Some(&value), &headers);
        send_with(&bench, &key, Some(b"small"), &[]);
        consume(&bench);
        consume(&bench);
        let all = stored(&bench.database);
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
        // Another database has only what is on the topic.
        let other = format!("sqlite:{}", bench.folder.path().join("other.db").display());
        let environment = bench.with(&[("TAPEDECK_DATABASE_URL", &other), ("TAPEDECK_SINK", "other")]);
        succeed("consumer", &["run", "dead_letter", "--once"], &environment);
        assert_eq!(stored(&Database::new(&other).unwrap()).len(), 2, "on {name}");
        let said = succeed("consumer", &["dead-letters", "redrive", "--class", "header", "--yes"], &environment);
        let expected =
            counts(&[("dead letters tried again", 2), ("still refused: header", 1), ("still refused: tombstone", 1)]);
        assert_eq!(report(&said), expected, "on {name}");
    }
}

/// Lets connections to one address through to another, from now on.
fn forward(from: &str, to: &str) {
    let (listener, to) = (std::net::TcpListener::bind(from).unwrap(), to.to_owned());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, broker) = (client.unwrap(), std::net::TcpStream::connect(&to).unwrap());
            let pairs = [(client.try_clone().unwrap(), broker.try_clone().unwrap()), (broker, client)];
            for (mut from, mut to) in pairs {
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
        }
    });
}

#[test]
fn the_relay_waits_for_a_kafka_that_is_away_and_publishes_when_it_is_there() {
    for (name, bench) in benches() {
        send(&bench, "ohlcv_bar", &hopeless());
        consume(&bench);
        let waiting = || bench.number("select count(*) as n from dead_letter_outbox");
        execute(&bench, "insert into dead_letter_outbox select source, dead_letter_id from dead_letter");
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
        assert!(consumer.wait(), "it did not stop in good order on {name}");
        assert_eq!(warnings(), 1, "on {name}");
        assert_eq!(on_topic(&bench).len(), 10, "each once more on {name}");
    }
}

#[test]
fn consumers_that_share_a_postgres_publish_each_dead_letter_once() {
    let Some(bench) = postgres() else { return };
    let garbage: Vec<Message> =
        (0..700).map(|at| (Some(at % 4), None, Some(format!("no {at}").into_bytes()))).collect();
    send(&bench, "ohlcv_bar", &garbage);
    consume(&bench);
    assert_eq!(on_topic(&bench).len(), 700);
    execute(&bench, "insert into dead_letter_outbox select source, dead_letter_id from dead_letter");
    let start = |_| Running::start(command("consumer", &["run", "series"], &bench.environment));
    let mut consumers: Vec<Running> = (0..3).map(start).collect();
    until("all is published", || bench.number("select count(*) as n from dead_letter_outbox") == 0);
    for consumer in &mut consumers {
        consumer.signal("TERM");
        assert!(consumer.wait());
    }
    assert_eq!(on_topic(&bench).len(), 1400);
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
