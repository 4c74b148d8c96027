//! The hundred strangest messages, among good ones, over a broker: each is a row, a dead letter of its class with its
//! original bytes, or nothing; and what is beside them is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use contract::original::{decode_headers, fingerprint};
use contract::records::{DeadLetter, OhlcvBar};
use contract::{Record, topic};
use kafka::Cluster;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use tests::broker::{Bench, benches, block_on};
use tests::message::{BAR_SCHEMA_ID, bar, deletion, encode, send_records};
use tests::process::succeed;
use tests::table::letters;

/// How long Kafka may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Codecs of a batch.
const CODECS: [&str; 4] = ["gzip", "snappy", "lz4", "zstd"];

/// What must become of a message.
#[derive(Debug, Clone, PartialEq)]
enum Fate {
    /// A row of this symbol.
    Row(String),
    /// A dead letter of this class.
    Dead(&'static str),
    /// A row that is marked as deleted.
    Deleted,
}

/// Headers by name; None is a null value.
type Headers = Vec<(String, Option<Vec<u8>>)>;

#[derive(Debug, Clone)]
struct Strange {
    what: String,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Headers,
    timestamp_ms: Option<i64>,
    codec: &'static str,
    fate: Fate,
}

impl Strange {
    fn new(what: impl Into<String>, value: Option<Vec<u8>>, fate: Fate) -> Strange {
        let (headers, key) = (Headers::new(), Some(b"key".to_vec()));
        Strange { what: what.into(), key, value, headers, timestamp_ms: None, codec: "none", fate }
    }

    /// A bar that nothing is wrong with; its symbol is what is strange about its message.
    fn good(what: &str) -> Strange {
        let symbol = what.replace(' ', "_");
        Strange::new(what, Some(wire(&good(&symbol))), Fate::Row(symbol))
    }
}

fn good(symbol: &str) -> OhlcvBar {
    bar(symbol, 0, 1.0, 10, 10)
}

fn wire(bar: &OhlcvBar) -> Vec<u8> {
    encode(BAR_SCHEMA_ID, &Record::from(bar.clone()))
}

/// A bar that one change spoils.
fn spoilt(what: &str, class: &'static str, spoil: impl FnOnce(&mut OhlcvBar)) -> Strange {
    let mut bar = good("SPOILT");
    spoil(&mut bar);
    Strange::new(what, Some(wire(&bar)), Fate::Dead(class))
}

/// A message that is cut off before its list of flags, with other bytes in the place of the list.
fn with_flags(what: &str, class: &'static str, flags: &[u8]) -> Strange {
    let mut value = wire(&good("FLAGS"));
    assert_eq!(value.pop(), Some(0), "an empty list");
    value.extend_from_slice(flags);
    Strange::new(what, Some(value), Fate::Dead(class))
}

fn of_lengths() -> Vec<Strange> {
    let whole = wire(&good("CUT"));
    let cut = |length: usize| {
        let class = match length {
            0 => "empty",
            1..5 => "header",
            _ => "truncated",
        };
        Strange::new(format!("cut off after {length} bytes"), Some(whole[..length].to_vec()), Fate::Dead(class))
    };
    let mut all: Vec<Strange> = (0..whole.len()).map(cut).collect();
    for count in [1, 1000] {
        let longer = [whole.clone(), vec![0; count]].concat();
        all.push(Strange::new(format!("followed by {count} bytes"), Some(longer), Fate::Dead("trailing_bytes")));
    }
    all
}

fn of_headers() -> Vec<Strange> {
    let whole = wire(&good("HEADER"));
    let magic = [1, 2, 0x7f, 0x80, 0xff, b'{', b'O'].map(|magic| {
        let value = [&[magic], &whole[1..]].concat();
        Strange::new(format!("magic byte {magic}"), Some(value), Fate::Dead("header"))
    });
    // The last one is another dataset's.
    let ids = [0, 3_000, u32::MAX, i32::MAX.cast_unsigned(), 1 << 30, BAR_SCHEMA_ID + 1].map(|id: u32| {
        let value = [&[0], id.to_be_bytes().as_slice(), &whole[5..]].concat();
        Strange::new(format!("schema id {id}"), Some(value), Fate::Dead("unknown_schema"))
    });
    magic.into_iter().chain(ids).collect()
}

fn of_values() -> Vec<Strange> {
    let text = |byte: u8| {
        let mut value = wire(&good("TEXT"));
        // After the header: the length of the source, and its first byte.
        value[6] = byte;
        Strange::new(format!("text with byte {byte}"), Some(value), Fate::Dead("malformed"))
    };
    let length = |what: &str, class, bytes: &[u8]| {
        let value = [&[0], BAR_SCHEMA_ID.to_be_bytes().as_slice(), bytes].concat();
        Strange::new(what, Some(value), Fate::Dead(class))
    };
    vec![
        text(0xff),
        text(0xc0),
        text(0xed),
        length("length of 80 bits", "malformed", &[0xff; 11]),
        length("length that is negative", "malformed", &[0x09]),
        length("length of 1 TB", "malformed", &[0x80, 0x80, 0x80, 0x80, 0x80, 0x40]),
        length("length beyond the end", "truncated", &[0x7e, b'a']),
        with_flags("list of 2^62 items", "malformed", &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        with_flags(
            "list of i64::MIN items",
            "malformed",
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0],
        ),
        with_flags(
            "list of 10,001 items",
            "malformed",
            &[&[0xa2, 0x9c, 0x01], vec![0; 10_001].as_slice(), &[0]].concat(),
        ),
        with_flags("list without an end", "truncated", &[2, 0]),
        with_flags("list of a list", "trailing_bytes", &[2, 0, 0, 2, 0, 0]),
        with_flags("list of 5,000 blocks and no end", "truncated", &[2, 0].repeat(5_000)),
        spoilt("close is not a number", "not_finite", |bar| bar.close = f64::NAN),
        spoilt("close is infinite", "not_finite", |bar| bar.close = f64::INFINITY),
        spoilt("low is minus infinity", "not_finite", |bar| bar.low = Some(f64::NEG_INFINITY)),
        spoilt("zero byte in the key", "nul", |bar| bar.symbol = "a\0b".into()),
        spoilt("zero byte in a text", "nul", |bar| bar.currency = Some("\0".into())),
        spoilt("empty part of the key", "rule", |bar| bar.symbol = "".into()),
        spoilt("part of the key of 600 bytes", "too_long", |bar| bar.symbol = "x".repeat(600).into()),
        spoilt("low above high", "rule", |bar| bar.low = Some(100.0)),
        spoilt("unknown interval", "rule", |bar| bar.bar_interval = "7d".into()),
        spoilt("known in 2200", "version_bounds", |bar| bar.known_at += chrono::TimeDelta::days(64_000)),
    ]
}

fn of_messages() -> Vec<Strange> {
    let keyed = |what: &str, key: Option<Vec<u8>>| Strange { key, ..Strange::good(what) };
    let headed = |what: &str, headers: &[(&str, Option<&[u8]>)]| {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.map(<[u8]>::to_vec))).collect();
        Strange { headers, ..Strange::good(what) }
    };
    let timed = |what: &str, timestamp_ms: i64| Strange { timestamp_ms: Some(timestamp_ms), ..Strange::good(what) };
    let (key, _, headers) = deletion(&good("DELETED"));
    let deleted: Headers =
        headers.into_iter().map(|(name, value)| (name.to_owned(), Some(value.into_bytes()))).collect();
    let tombstone = |what: &str, key: Option<&[u8]>, headers: Headers, fate| Strange {
        key: key.map(<[u8]>::to_vec),
        headers,
        ..Strange::new(what, None, fate)
    };
    let many: Vec<(&str, Option<&[u8]>)> = vec![("same", Some(b"x")); 500];
    let mut all = vec![
        keyed("no key", None),
        keyed("empty key", Some(Vec::new())),
        keyed("binary key", Some(vec![0, 0xff, 0xfe, b'|', 0])),
        keyed("key of 500 KB", Some(vec![b'k'; 500_000])),
        headed("header without a name", &[("", Some(b"x"))]),
        headed("header without a value", &[("a", None), ("b", Some(b""))]),
        headed("header with bytes", &[("a", Some(&[0, 0xff, b'\n']))]),
        headed("header of 500 KB", &[("a", Some(&vec![0xff; 500_000]))]),
        headed("500 headers of one name", &many),
        headed("headers of a deletion", &[("known_at", Some(b"2024-01-01T00:00:00Z")), ("observed_at", None)]),
        timed("timestamp 0", 0),
        timed("timestamp 1", 1),
        timed("timestamp in 2000", 946_684_800_000),
        tombstone("nothing at all", None, Vec::new(), Fate::Dead("tombstone")),
        tombstone("deletion of an empty key", Some(b""), deleted.clone(), Fate::Dead("tombstone")),
        tombstone("deletion without versions", Some(key.as_bytes()), Vec::new(), Fate::Dead("tombstone")),
        tombstone("deletion of half a key", Some(b"test|X"), deleted.clone(), Fate::Dead("tombstone")),
        tombstone(
            "deletion with bytes in its key",
            Some(&[0xff, b'|', b'|', b'|']),
            deleted.clone(),
            Fate::Dead("tombstone"),
        ),
        tombstone("deletion", Some(key.as_bytes()), deleted, Fate::Deleted),
    ];
    for codec in CODECS {
        all.push(Strange { codec, ..Strange::good(&format!("good in {codec}")) });
        all.push(Strange {
            codec,
            ..Strange::new(format!("bad in {codec}"), Some(codec.into()), Fate::Dead("header"))
        });
        let mut giant = vec![0; 9_000_000];
        giant[1] = codec.len() as u8;
        giant[2] = codec.as_bytes()[0];
        if codec != "snappy" {
            // It would not compress below the limit of a topic.
            let fate = Fate::Dead("unknown_schema");
            all.push(Strange { codec, ..Strange::new(format!("9 MB in {codec}"), Some(giant), fate) });
        }
    }
    all
}

fn hundred() -> Vec<Strange> {
    [of_lengths(), of_headers(), of_values(), of_messages()].concat()
}

fn producer(bench: &Bench, codec: &str, transaction: Option<&str>) -> FutureProducer {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &bench.brokers)
        .set("compression.codec", codec)
        .set("message.max.bytes", "20000000");
    config.set("linger.ms", "0");
    if let Some(name) = transaction {
        config.set("transactional.id", name);
    }
    config.create().unwrap()
}

/// Sends a message to partition 0; its offset.
fn put(producer: &FutureProducer, topic: &str, strange: &Strange) -> i64 {
    let headers = strange.headers.iter().fold(OwnedHeaders::new(), |headers, (name, value)| {
        headers.insert(Header { key: name, value: value.as_deref() })
    });
    let mut record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(topic).partition(0);
    (record.key, record.payload, record.timestamp) =
        (strange.key.as_deref(), strange.value.as_deref(), strange.timestamp_ms);
    if !strange.headers.is_empty() {
        record.headers = Some(headers);
    }
    let sent = block_on(producer.send(record, PATIENCE));
    sent.unwrap_or_else(|(error, _)| panic!("{}: {error}", strange.what)).offset
}

/// Sends a good bar in a transaction that is committed, and one in a transaction that is not.
fn send_transactions(bench: &Bench, topic: &str) {
    let producer = producer(bench, "none", Some(topic));
    producer.init_transactions(PATIENCE).unwrap();
    for symbol in ["COMMITTED", "ABORTED"] {
        producer.begin_transaction().unwrap();
        put(&producer, topic, &Strange::good(symbol));
        if symbol == "COMMITTED" {
            producer.commit_transaction(PATIENCE).unwrap();
        } else {
            producer.abort_transaction(PATIENCE).unwrap();
        }
    }
}

/// A dead letter keeps key, value and headers; of a value that is too large its length and hash.
fn assert_kept(name: &str, Strange { what, key, value, headers, .. }: &Strange, letter: &DeadLetter) {
    assert_eq!(letter.record_key, *key, "{what} on {name}");
    let kept = value.clone().filter(|value| value.len() <= 8 << 20);
    assert!(letter.record_value == kept, "{what} on {name}: other bytes");
    if let (None, Some(value)) = (&kept, value) {
        let left_out = format!("value of {} bytes, XXH3 {}", value.len(), fingerprint(value));
        assert!(letter.reason.contains(&left_out), "{what} on {name}: {}", letter.reason);
    }
    let kept = letter.record_headers.as_deref().map(decode_headers).unwrap_or_default();
    let sent = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_deref()));
    assert_eq!(kept, sent.collect::<Vec<_>>(), "{what} on {name}");
}

fn assert_fates(name: &str, bench: &Bench, sent: &BTreeMap<i64, Strange>, others: &[&str]) {
    let mut expected: BTreeSet<String> = others.iter().map(|symbol| (*symbol).to_owned()).collect();
    let mut dead: BTreeMap<i64, _> =
        letters(&bench.database).into_iter().map(|letter| (letter.kafka_offset.unwrap(), letter)).collect();
    let mut wrong = Vec::new();
    for (offset, strange) in sent {
        let letter = dead.remove(offset);
        match (&strange.fate, letter) {
            (Fate::Row(symbol), None) => assert!(expected.insert(symbol.clone()), "two rows of {symbol}"),
            (Fate::Deleted, None) => {}
            (Fate::Dead(class), Some(letter)) if letter.error_class == *class => assert_kept(name, strange, &letter),
            (fate, letter) => {
                let found = letter.map(|letter| format!("{}: {}", letter.error_class, letter.reason));
                wrong.push(format!("{}: expected {fate:?}, found {found:?}", strange.what));
            }
        }
    }
    assert!(wrong.is_empty(), "on {name}:\n{}", wrong.join("\n"));
    assert!(dead.is_empty(), "dead letters of nothing strange on {name}: {:?}", dead.keys());
    let rows = bench.query("select symbol from ohlcv_bar where not deleted");
    let rows: BTreeSet<String> = rows.into_iter().map(|row| row[0].clone().unwrap()).collect();
    assert_eq!(rows, expected, "on {name}");
    assert_eq!(bench.number("select count(*) as n from ohlcv_bar where deleted"), 1, "on {name}");
}

#[test]
fn each_of_the_hundred_strangest_messages_costs_itself_at_most_and_is_kept() {
    for (name, bench) in benches() {
        let strange = hundred();
        assert!(strange.len() >= 100, "{} strange messages", strange.len());
        send_records(&bench, "ohlcv_bar", &[Record::from(good("BEFORE"))]);
        let topic = topic::topic(&bench.namespace, contract::dataset("ohlcv_bar").unwrap());
        block_on(Cluster::new(&bench.brokers, &bench.namespace).ensure_topics(std::slice::from_ref(&topic))).unwrap();
        let producers: BTreeMap<_, _> =
            CODECS.into_iter().chain(["none"]).map(|codec| (codec, producer(&bench, codec, None))).collect();
        let sent: BTreeMap<i64, Strange> =
            strange.into_iter().map(|one| (put(&producers[one.codec], &topic, &one), one)).collect();
        let mut others = vec!["BEFORE", "AFTER"];
        if !name.starts_with("embedded") {
            send_transactions(&bench, &topic);
            others.push("COMMITTED");
        }
        send_records(&bench, "ohlcv_bar", &[Record::from(good("AFTER"))]);
        let environment = bench.with(&[("TAPEDECK_BREAKER_PERCENT", "100")]);
        succeed("consumer", &["run", "--once"], &environment);
        assert_fates(name, &bench, &sent, &others);
        succeed("consumer", &["verify", "ohlcv_bar", "--deep"], &environment);
        succeed("consumer", &["replay", "ohlcv_bar"], &environment);
        succeed("consumer", &["dead-letters", "redrive", "--yes"], &environment);
        assert_fates(name, &bench, &sent, &others);
    }
}
