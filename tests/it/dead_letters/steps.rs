//! Steps of these tests: break a bench's table and fix it, send odd messages, read dead letters back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contract::records::DeadLetter;
use contract::{Record, Rows, decode, tombstone};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tests::broker::{Bench, block_on};
use tests::message::{BAR_SCHEMA_ID, Message, at, bar, encode};
use tests::process::{PATIENCE, succeed};

/// Runs statements by hand, as an operator would.
pub(super) fn execute(bench: &Bench, sql: &str) {
    let (address, sql) = (bench.database.address().expose().to_owned(), AssertSqlSafe(sql.to_owned()));
    block_on(async {
        if address.starts_with("sqlite:") {
            sqlx::SqliteConnection::connect(&address).await.unwrap().execute(sql).await.unwrap();
        } else {
            sqlx::PgConnection::connect(&address).await.unwrap().execute(sql).await.unwrap();
        }
    });
}

pub(super) fn is_sqlite(bench: &Bench) -> bool {
    bench.database.address().expose().starts_with("sqlite:")
}

/// Makes the database refuse the symbol `BAD`.
pub(super) fn break_table(bench: &Bench) {
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

pub(super) fn mend_table(bench: &Bench) {
    execute(
        bench,
        if is_sqlite(bench) { "drop trigger broken" } else { "alter table ohlcv_bar drop constraint broken" },
    );
}

pub(super) fn consume(bench: &Bench) {
    let environment = bench.with(&[("TAPEDECK_BREAKER_PERCENT", "100")]);
    succeed("consumer", &["run", "--once"], &environment);
}

/// All tables that anything may write to, whole.
pub(super) fn tables(bench: &Bench) -> BTreeMap<&'static str, Vec<Vec<Option<String>>>> {
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

/// A message as it was read back.
pub(super) struct Received {
    pub(super) key: String,
    pub(super) value: Vec<u8>,
    pub(super) headers: BTreeMap<String, String>,
}

/// Everything on the topic of dead letters, read by a plain consumer.
pub(super) fn on_topic(bench: &Bench) -> Vec<Received> {
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
        assert!(Instant::now() < deadline, "{left} records of {name} are missing");
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
pub(super) fn body(value: &[u8]) -> (u32, &[u8]) {
    let dataset = contract::dataset("dead_letter").unwrap();
    let (id, body) = decode::split_header(value).unwrap();
    let mut rows = Rows::new(dataset);
    contract::Decoder::new(dataset, &dataset.schema).unwrap().decode(body, &mut rows).unwrap();
    (id, body)
}

pub(super) fn encoded(letter: &DeadLetter) -> Vec<u8> {
    let mut body = Vec::new();
    letter.encode(&mut body);
    body
}

/// Sends one message with headers.
pub(super) fn send_with(bench: &Bench, key: &str, value: Option<&[u8]>, headers: &[(&str, String)]) {
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
pub(super) fn deletion(symbol: &str, day: u32, known_at: i64) -> (String, Vec<(&'static str, String)>) {
    let dataset = contract::dataset("ohlcv_bar").unwrap();
    let (mut rows, mut body) = (Rows::new(dataset), Vec::new());
    bar(symbol, day, 1.0, 0, 0).encode(&mut body);
    contract::Decoder::new(dataset, &dataset.schema).unwrap().decode(&body, &mut rows).unwrap();
    tombstone::encode(dataset, &rows, 0, at(known_at), at(known_at))
}

pub(super) fn dead_letters(bench: &Bench, arguments: &[&str]) -> String {
    succeed("consumer", &[&["dead-letters"], arguments].concat(), &bench.environment)
}

/// The numbers in a report, by what they count.
pub(super) fn report(text: &str) -> BTreeMap<String, i64> {
    let line = |line: &str| {
        let (count, what) = line.trim().split_once(' ')?;
        Some((what.trim().to_owned(), count.parse().ok()?))
    };
    text.lines().filter_map(line).filter(|(_, count)| *count != 0).collect()
}

pub(super) fn counts(expected: &[(&str, i64)]) -> BTreeMap<String, i64> {
    expected.iter().map(|(what, count)| ((*what).to_owned(), *count)).collect()
}

pub(super) fn text(row: Vec<Option<String>>) -> String {
    row.into_iter().map(|value| value.unwrap_or_else(|| "null".to_owned())).collect::<Vec<_>>().join(" ")
}

/// Messages that no rule of today lets pass, by class.
pub(super) fn hopeless() -> Vec<Message> {
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

/// Lets connections to one address through to another, from now on.
pub(super) fn forward(from: &str, to: &str) {
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
