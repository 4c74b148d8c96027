//! Messages that no publisher of ours sends, and anybody can: each costs at most itself. Its neighbours are stored, also in
//! a replay, and what is refused is kept.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use contract::Record;
use contract::original::{decode_headers, fingerprint};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tests::broker::{Bench, benches, block_on, embedded};
use tests::message::{BAR_SCHEMA_ID, bar, encode, send, send_records};
use tests::process::{Running, command, run, succeed, until};
use tests::service;
use tests::table::letters;

use crate::health;

/// A header's name that is not UTF-8.
const ODD_NAME: &[u8] = b"\xff\xfe";
/// Bytes of a value that no dead letter holds, and that compress below the limit of a topic.
const GIANT: usize = 9_000_000;

fn good(symbol: &str, day: u32) -> Record {
    Record::from(bar(symbol, day, 1.0, 10, 10))
}

fn consume(bench: &Bench) {
    succeed("consumer", &["run", "--once"], &bench.environment);
}

/// Sends a file as one message, with a header whose name is not UTF-8. Our own client has no way to do that.
fn send_with_odd_header(kcat: &str, bench: &Bench, key: &str, value: &Path) {
    let header = [ODD_NAME, b"=1"].concat();
    let mut command = Command::new(kcat);
    command.args(["-b", &bench.brokers, "-P", "-t", &bench.topic("ohlcv_bar"), "-p", "0", "-k", key, "-H"]);
    let output = command.arg(OsStr::from_bytes(&header)).arg(value).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Every command that reads the topic gets past it.
fn assert_readable(name: &str, bench: &Bench, records: u64) {
    succeed("consumer", &["verify", "ohlcv_bar", "--deep"], &bench.environment);
    let said = succeed("consumer", &["replay", "ohlcv_bar", "--dry-run"], &bench.environment);
    assert!(said.contains(&format!("read {records}")), "on {name}: {said}");
    succeed("consumer", &["dead-letters", "redrive", "--yes"], &bench.environment);
}

#[test]
fn a_header_whose_name_is_not_utf8_costs_nothing_and_is_kept_with_a_refused_message() {
    let Some(kcat) = service("TAPEDECK_TEST_KCAT") else { return };
    for (name, bench) in benches() {
        send_records(&bench, "ohlcv_bar", &[good("BEFORE", 0)]);
        let file = bench.folder.path().join("message");
        for (key, value) in [("WITH", encode(BAR_SCHEMA_ID, &good("WITH", 0))), ("BAD", b"no record".to_vec())] {
            std::fs::write(&file, value).unwrap();
            send_with_odd_header(&kcat, &bench, key, &file);
        }
        send_records(&bench, "ohlcv_bar", &[good("AFTER", 0)]);
        consume(&bench);
        let symbols = bench.query("select symbol from ohlcv_bar order by symbol");
        let symbols: Vec<&str> = symbols.iter().map(|row| row[0].as_deref().unwrap()).collect();
        assert_eq!(symbols, ["AFTER", "BEFORE", "WITH"], "on {name}");
        let refused = letters(&bench.database);
        let [letter] = refused.as_slice() else { panic!("{} dead letters on {name}", refused.len()) };
        assert_eq!(letter.record_value.as_deref(), Some(b"no record".as_slice()), "on {name}");
        let headers = decode_headers(letter.record_headers.as_deref().unwrap());
        assert_eq!(headers, [(ODD_NAME, Some(b"1".as_slice()))], "on {name}");
        assert_readable(name, &bench, 4);
    }
}

#[test]
fn a_value_larger_than_a_dead_letter_holds_is_refused_alone_and_known_by_its_hash() {
    for (name, bench) in benches() {
        send_records(&bench, "ohlcv_bar", &[good("BEFORE", 0)]);
        let giant = vec![b'a'; GIANT];
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &bench.brokers).set("compression.codec", "zstd");
        let producer: BaseProducer = config.set("message.max.bytes", "20000000").create().unwrap();
        let topic = bench.topic("ohlcv_bar");
        producer.send(BaseRecord::to(&topic).key("giant").payload(&giant)).map_err(|(error, _)| error).unwrap();
        producer.flush(Duration::from_secs(60)).unwrap();
        send_records(&bench, "ohlcv_bar", &[good("AFTER", 0)]);
        consume(&bench);
        assert_eq!(bench.number("select count(*) as n from ohlcv_bar"), 2, "on {name}");
        let refused = letters(&bench.database);
        let [letter] = refused.as_slice() else { panic!("{} dead letters on {name}", refused.len()) };
        assert_eq!((&letter.record_value, letter.record_key.as_deref()), (&None, Some(b"giant".as_slice())));
        let left_out = format!("(its value of {GIANT} bytes, XXH3 {}, is left out)", fingerprint(&giant));
        assert!(letter.reason.ends_with(&left_out), "on {name}: {}", letter.reason);
        assert_readable(name, &bench, 3);
        // Without its value it must not be taken for a deletion.
        assert_eq!(bench.number("select count(*) as n from ohlcv_bar where not deleted"), 2, "on {name}");
    }
}

#[test]
fn a_dead_letter_that_kafka_accepts_in_no_form_is_marked_with_the_reason_and_holds_up_no_other() {
    for (name, bench) in benches() {
        // No dead letter fits into a message of this topic.
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &bench.brokers).create().unwrap();
        let letters_topic = bench.topic("dead_letter");
        let topic = NewTopic::new(&letters_topic, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "100");
        block_on(admin.create_topics(&[topic], &AdminOptions::new())).unwrap()[0].as_ref().unwrap();
        send(&bench, "ohlcv_bar", &[(Some(0), Some(b"key".to_vec()), Some(b"no record".to_vec()))]);
        send_records(&bench, "ohlcv_bar", &[good("AFTER", 0)]);
        let [log, health] = ["log", "health"].map(|file| bench.folder.path().join(file));
        let daemon = bench.with(&[("TAPEDECK_HEALTH_FILE", health.to_str().unwrap())]);
        let mut consumer = command("consumer", &["run", "ohlcv_bar"], &daemon);
        consumer.stderr(std::fs::File::create(&log).unwrap());
        let consumer = Running::start(consumer);
        let said = || std::fs::read_to_string(&log).unwrap().contains("not published, also not without its value");
        until("the relay gives the dead letter up", said);
        let waiting = "select count(*) as n from dead_letter_outbox where refused is null";
        until("nothing waits in the outbox", || bench.number(waiting) == 0);
        let counter = "tapedeck_dead_letters_unpublished_total{dataset=\"ohlcv_bar\"}";
        let counted = health::metric(&health::address_in(&health), counter);
        assert_eq!(counted, Some(1.0), "on {name}");
        drop(consumer);
        let reasons = bench.query("select refused from dead_letter_outbox");
        let [reason] = reasons.as_slice() else { panic!("{reasons:?} on {name}") };
        assert!(reason[0].as_deref().unwrap().contains("bytes, more than Kafka accepts"), "on {name}: {reason:?}");
        let listed = succeed("consumer", &["dead-letters", "list"], &bench.environment);
        assert!(listed.contains("\n1 never published on the topic: "), "on {name}: {listed}");
        assert_unpublished_is_shown(name, &bench);
        let refused = letters(&bench.database);
        assert_eq!(refused.len(), 1, "on {name}");
        assert_eq!(refused[0].record_value.as_deref(), Some(b"no record".as_slice()), "on {name}");
        assert_eq!(bench.number("select count(*) as n from ohlcv_bar"), 1, "on {name}");
        // Another one gets past it, once the topic takes larger messages.
        if name.starts_with("embedded") {
            continue;
        }
        let larger = AlterConfig::new(ResourceSpecifier::Topic(&letters_topic)).set("max.message.bytes", "1000000");
        block_on(admin.alter_configs(&[larger], &AdminOptions::new())).unwrap()[0].as_ref().unwrap();
        send(&bench, "ohlcv_bar", &[(Some(0), Some(b"key".to_vec()), Some(b"another".to_vec()))]);
        succeed("consumer", &["run", "ohlcv_bar", "--once"], &bench.environment);
        assert_eq!(bench.number("select count(*) as n from dead_letter_outbox"), 1, "on {name}");
    }
}

/// Nothing is lost, so that `verify` succeeds.
fn assert_unpublished_is_shown(name: &str, bench: &Bench) {
    for arguments in [&["verify", "ohlcv_bar"][..], &["verify", "ohlcv_bar", "--deep"]] {
        let verified = succeed("consumer", arguments, &bench.environment);
        assert!(verified.contains("note: 1 dead letters of `"), "on {name}: {verified}");
    }
    let status = run("tapedeck", &["status", "--data-dir", bench.folder.path().to_str().unwrap()], &bench.environment);
    let shown = String::from_utf8_lossy(&status.stderr);
    assert!(shown.contains("1 dead letters are not on their topic: see `tapedeck dead-letters list`"), "{shown}");
}

/// Bytes of a value that a dead letter holds.
const LARGE: usize = 8_000_000;

/// Sends messages to partition 0 in one compressed batch.
fn send_batch(bench: &Bench, messages: &[(String, Vec<u8>)]) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &bench.brokers).set("compression.codec", "zstd").set("linger.ms", "60000");
    config.set("message.max.bytes", "1000000000").set("batch.size", "2000000000");
    let producer: BaseProducer = config.set("queue.buffering.max.kbytes", "2000000").create().unwrap();
    let topic = bench.topic("ohlcv_bar");
    for (key, value) in messages {
        let record = BaseRecord::to(&topic).partition(0).key(key).payload(value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}

#[test]
fn a_batch_that_expands_beyond_the_clients_limit_costs_none_of_its_good_records_and_no_other() {
    for (name, bench) in benches() {
        let message = |symbol: &str| (symbol.to_owned(), encode(BAR_SCHEMA_ID, &good(symbol, 0)));
        let bars = |from: u32| (from..from + 40).map(|day| good("AROUND", day)).collect::<Vec<_>>();
        send_records(&bench, "ohlcv_bar", &bars(0));
        let large = (0..14).map(|number| (format!("large-{number}"), vec![b'a' + number; LARGE]));
        let mut batch: Vec<_> = std::iter::once(message("FIRST")).chain(large).collect();
        batch.insert(7, message("AMONG"));
        batch.push(message("LAST"));
        send_batch(&bench, &batch);
        consume(&bench);
        send_records(&bench, "ohlcv_bar", &bars(40));
        // The position is behind the batch, whose last record is read again to compare it.
        let said = run("consumer", &["run", "ohlcv_bar", "--once"], &bench.environment);
        assert!(
            said.status.success() && String::from_utf8_lossy(&said.stderr).contains("cannot read a batch"),
            "{said:?}"
        );
        assert_eq!(bench.number("select count(*) as n from ohlcv_bar where symbol = 'AROUND'"), 80, "on {name}");
        assert_eq!(bench.number("select count(*) as n from ohlcv_bar"), 83, "on {name}");
        let refused = letters(&bench.database);
        let kept: Vec<_> = refused.iter().map(|letter| letter.record_value.as_deref().map_or(0, <[u8]>::len)).collect();
        assert_eq!(kept, [LARGE; 14], "on {name}");
        assert!(refused.iter().all(|letter| letter.record_key.as_ref().unwrap().starts_with(b"large-")), "on {name}");
        assert_readable(name, &bench, 80 + 17);
    }
}

#[test]
fn a_batch_that_was_damaged_on_the_brokers_disk_is_one_dead_letter_and_its_neighbours_are_stored() {
    let bench = embedded();
    let bars = |symbol: &str| (0..5).map(|day| encode(BAR_SCHEMA_ID, &good(symbol, day))).collect::<Vec<_>>();
    let send_bars = |symbol: &str| {
        let message = |value| (Some(0), Some(b"key".to_vec()), Some(value));
        send(&bench, "ohlcv_bar", &bars(symbol).into_iter().map(message).collect::<Vec<_>>());
    };
    for symbol in ["BEFORE", "DAMAGED", "AFTER"] {
        send_bars(symbol);
    }
    let damaged = damage(&bench.folder.path().join("broker"), b"DAMAGED");
    assert_eq!(damaged, 1, "files that had the batch");
    for _ in 0..2 {
        consume(&bench);
        assert_eq!(bench.number("select count(*) as n from ohlcv_bar"), 10);
        let refused = letters(&bench.database);
        let [letter] = refused.as_slice() else { panic!("{} dead letters", refused.len()) };
        assert_eq!((letter.error_class.as_str(), letter.kafka_offset), ("unreadable", Some(9)));
        assert!(letter.reason.starts_with("the batch of offsets 5 to 9 cannot be read: "), "{}", letter.reason);
    }
    assert_readable("the embedded broker", &bench, 11);
}

/// Changes a byte of this text wherever files in a folder hold it; the number of changed files.
fn damage(folder: &Path, text: &[u8]) -> usize {
    let mut changed = 0;
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            changed += damage(&entry, text);
            continue;
        }
        let mut bytes = std::fs::read(&entry).unwrap();
        if let Some(at) = bytes.windows(text.len()).position(|window| window == text) {
            bytes[at] ^= 1;
            // In place: the broker has the file open.
            let file = std::fs::OpenOptions::new().write(true).open(&entry).unwrap();
            file.write_all_at(&bytes[at..=at], at as u64).unwrap();
            changed += 1;
        }
    }
    changed
}
