//! A topic of many partitions, whose chunks share the memory of one sink.

use std::sync::Arc;
use std::time::Duration;

use contract::Record;
use contract::records::Series;
use kafka::Cluster;
use sqlx::{Connection as _, PgConnection};
use store::Database;
use tests::broker::{Bench, block_on, postgres};
use tests::message::{BAR_SCHEMA_ID, Message, at, bar, encode, send};
use tests::process::{Running, command, peak_kib, succeed, until};
use tests::proxy::{Action, Point, Protocol, Proxy, Trap};
use tokio::runtime::Runtime;

use crate::health::{address_in, metric};

/// Partitions of the topic.
const PARTITIONS: i32 = 64;
/// Records of each partition. With chunks of a 128th of what may be held, `COPY` is never tried.
const RECORDS: i32 = 2000;

/// Fewer than the queue of Kafka's client takes.
const SENT_AT_ONCE: usize = 50_000;

/// Records of a partition with long texts, and the bytes of each: together twice the memory that the test allows.
const LONG_RECORDS: i32 = 160;
const LONG_BYTES: usize = 20_000;
/// Most memory of the consumer, in KiB: four times what may be held, for texts and their messages, and what it needs
/// with chunks of any size.
const MAX_KIB: u64 = 4 * (32 << 10) + (64 << 10);

/// Puts records on each partition, one on each after the other.
fn fill(bench: &Bench, dataset: &str, records: i32, message: impl Fn(i32, i32) -> Vec<u8>) {
    let topics = [bench.topic(dataset)];
    block_on(Cluster::new(&bench.brokers, &bench.namespace).ensure_topics_of(&topics, PARTITIONS)).unwrap();
    let all = (0..records).flat_map(|number| (0..PARTITIONS).map(move |partition| (partition, number)));
    let key = |partition, number| Some(format!("{partition}/{number}").into_bytes());
    let messages: Vec<Message> = all
        .map(|(partition, number)| (Some(partition), key(partition, number), Some(message(partition, number))))
        .collect();
    messages.chunks(SENT_AT_ONCE).for_each(|part| send(bench, dataset, part));
}

/// The bench's database behind a proxy.
fn watched(bench: &Bench) -> (Proxy, Database) {
    let address = bench.database.address().expose();
    let (server, _) = address.split_once('@').unwrap().1.split_once('/').unwrap();
    let proxy = Proxy::start(None, server, Protocol::Postgres);
    let database = Database::new(&address.replacen(server, &proxy.address(), 1)).unwrap();
    (proxy, database)
}

#[test]
fn with_64_partitions_chunks_are_large_and_copied() {
    let Some(bench) = postgres() else { return };
    let (proxy, database) = watched(&bench);
    let of_bar = |partition, number| {
        encode(BAR_SCHEMA_ID, &Record::from(bar(&format!("S{partition}"), number as u32, 1.0, 0, 0)))
    };
    fill(&bench, "ohlcv_bar", RECORDS, of_bar);
    let copied = Arc::new(Trap::new(Point::Statement("copy ohlcv_bar"), Action::Hold(Duration::ZERO)));
    proxy.arm(&copied);
    // Old age must not be what ends a chunk on a slow machine.
    let settings = [("TAPEDECK_DATABASE_URL", database.address().expose()), ("TAPEDECK_CHUNK_AGE_MS", "60000")];
    succeed("consumer", &["run", "ohlcv_bar", "--once"], &bench.with(&settings));
    assert!(copied.await_strike(Duration::ZERO).is_some(), "no chunk was copied");
    assert_eq!(bench.number("select count(*) as n from ohlcv_bar"), i64::from(RECORDS * PARTITIONS));
    let chunks = bench.number("select count(*) as n from sink_chunk");
    let average = i64::from(RECORDS * PARTITIONS) / chunks;
    assert!(average >= 500, "{chunks} chunks of {average} records");
}

#[test]
fn with_64_partitions_a_database_that_stands_still_costs_bounded_memory_and_no_record() {
    let Some(bench) = postgres() else { return };
    block_on(bench.database.migrate()).unwrap();
    let dataset = contract::dataset("series").unwrap();
    let of_series = |partition, number| encode(dataset.schema_id, &Record::from(series(partition, number)));
    fill(&bench, "series", LONG_RECORDS, of_series);
    let runtime = Runtime::new().unwrap();
    let mut blocker = runtime.block_on(PgConnection::connect(bench.database.address().expose())).unwrap();
    let mut run = |sql: &'static str| runtime.block_on(sqlx::raw_sql(sql).execute(&mut blocker)).unwrap();
    run("begin; lock table series in access exclusive mode");
    let file = bench.folder.path().join("health");
    let consumer = Running::start(command(
        "consumer",
        &["run", "series"],
        &bench.with(&[("TAPEDECK_HEALTH_FILE", file.to_str().unwrap())]),
    ));
    let bounded = |when: &str| {
        let peak = peak_kib(consumer.0.id()).unwrap();
        assert!(peak < MAX_KIB, "{peak} KiB while {when}");
    };
    let pause = "tapedeck_sink_events_total{dataset=\"series\",event=\"pause\"}";
    let address = address_in(&file);
    until("all partitions are paused", || {
        bounded("nothing is written");
        metric(&address, pause).is_some_and(|pauses| pauses >= f64::from(PARTITIONS))
    });
    run("commit");
    let all = i64::from(LONG_RECORDS * PARTITIONS);
    until("all records are stored", || {
        bounded("everything is written");
        bench.number("select count(*) as n from series") == all
    });
}

/// A series with a long text.
fn series(partition: i32, number: i32) -> Series {
    let date = |text: &str| text.parse().unwrap();
    Series {
        source: "test".into(),
        series_id: format!("S{partition}.{number}").into(),
        title: "Title".into(),
        frequency: "Daily".into(),
        units: "USD".into(),
        seasonal_adjustment: "None".into(),
        first_observation_date: date("2020-01-01"),
        last_observation_date: date("2024-01-01"),
        popularity: None,
        notes: Some("long text ".repeat(LONG_BYTES / 10).into()),
        known_at: at(0),
        observed_at: at(0),
        flags: Vec::new(),
    }
}
