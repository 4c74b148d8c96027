//! Other tools read our topics, and a configured schema registry is used.

use std::process::Command;

use contract::Record;
use tests::broker::postgres;
use tests::message::{bar, encode, send, send_records};
use tests::process::{Running, command, succeed};
use tests::{pages::Pages, service};

/// Reads a topic with confluent-kafka's own Avro deserializer and prints the records as JSON.
const READER: &str = r#"
import json, sys
from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient, Schema
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import SerializationContext, MessageField
brokers, topic, registry, schema_file, count = sys.argv[1:6]
client = SchemaRegistryClient({'url': registry})
deserialize = AvroDeserializer(client, open(schema_file).read() if schema_file else None)
consumer = Consumer({'bootstrap.servers': brokers, 'group.id': topic + '.python', 'auto.offset.reset': 'earliest'})
consumer.subscribe([topic])
left = int(count)
while left:
    message = consumer.poll(30)
    assert message is not None, 'no message came'
    assert not message.error(), message.error()
    record = deserialize(message.value(), SerializationContext(topic, MessageField.VALUE))
    print(json.dumps({'key': message.key().decode(), 'record': record}, default=str))
    left -= 1
consumer.close()
"#;

fn read_with_python(arguments: &[&str]) -> Option<Vec<serde_json::Value>> {
    let python = service("TAPEDECK_TEST_PYTHON")?;
    let output = Command::new(python).arg("-c").arg(READER).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    Some(lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// A response with two bars, and the rows they become.
const PAGE: &str = "DATE,OPEN,HIGH,LOW,CLOSE\n01/02/2024,13.210000,14.230000,13.100000,13.200000\n\
    01/03/2024,13.380000,14.220000,13.330000,14.040000\n";

#[test]
fn confluents_avro_deserializer_reads_what_a_producer_registered_and_published() {
    let (Some(bench), Some(registry)) = (postgres(), service("TAPEDECK_TEST_REGISTRY")) else { return };
    let pages = Pages::of_index("VIX", PAGE.as_bytes());
    let watchlist = bench.folder.path().join("watchlist.toml");
    std::fs::write(&watchlist, "[cboe]\nindex_history = [\"VIX\"]\n").unwrap();
    let environment = bench.with(&[
        ("TAPEDECK_WATCHLIST", watchlist.to_str().unwrap()),
        ("TAPEDECK_CBOE_URL", &pages.url),
        ("TAPEDECK_SCHEMA_REGISTRY_URL", &registry),
    ]);
    succeed("producer", &["run", "cboe", "--once"], &environment);
    let topic = bench.topic("ohlcv_bar");
    let Some(read) = read_with_python(&[&bench.brokers, &topic, &registry, "", "2"]) else { return };
    assert_eq!(read[0]["key"], "cboe|VIX|1d");
    assert_eq!(read[0]["record"]["close"], 13.2);
    assert_eq!(read[1]["record"]["trading_date"], "2024-01-03");
    assert_eq!(read[1]["record"]["high"], 14.22);
    assert_eq!(read[1]["record"]["volume"], serde_json::Value::Null);

    // The consumer finds the schema by the registry's id, which differs from the declared one.
    succeed("consumer", &["run", "--once"], &environment);
    assert_eq!(bench.number("select count(*) as n from ohlcv_bar"), 2);
    assert_eq!(bench.number("select count(*) as n from dead_letter"), 0);
}

#[test]
fn an_id_that_the_registry_does_not_know_holds_its_partition_until_the_sink_halts_and_is_no_dead_letter() {
    let (Some(bench), Some(registry)) = (postgres(), service("TAPEDECK_TEST_REGISTRY")) else { return };
    let dataset = contract::dataset("ohlcv_bar").unwrap();
    let id = tests::broker::block_on(async {
        let registry = kafka::Registry::new(&registry).unwrap();
        registry.register(&format!("{}-value", bench.topic("ohlcv_bar")), &dataset.schema).await.unwrap()
    });
    let message =
        |partition, id, day| (Some(partition), None, Some(encode(id, &Record::from(bar("AAPL", day, 1.0, 0, 0)))));
    let messages = [(0, id, 0), (0, u32::MAX >> 1, 1), (0, id, 2), (1, id, 3)];
    send(&bench, "ohlcv_bar", &messages.map(|(partition, id, day)| message(partition, id, day)));
    let environment = bench.with(&[("TAPEDECK_SCHEMA_REGISTRY_URL", &registry), ("TAPEDECK_SCHEMA_PATIENCE_S", "3")]);
    let said = tests::process::fail("consumer", &["run", "ohlcv_bar"], &environment);
    let last = said.lines().last().unwrap();
    assert!(last.starts_with("error: ") && last.contains("knows no schema of id 2147483647"), "{said}");
    assert!(last.contains("[0] at offset 1"), "{said}");
    let days = bench.query("select trading_date from ohlcv_bar order by 1");
    assert_eq!(
        days,
        [[Some("2024-01-01".to_owned())], [Some("2024-01-04".to_owned())]],
        "what was before and beside it"
    );
    assert_eq!(bench.number("select count(*) as n from dead_letter"), 0);
}

#[test]
fn a_registry_can_be_switched_on_and_off_and_no_record_becomes_unreadable_or_is_read_wrong() {
    let (Some(bench), Some(registry)) = (postgres(), service("TAPEDECK_TEST_REGISTRY")) else { return };
    let dataset = contract::dataset("ohlcv_bar").unwrap();
    let (on, off) = (bench.with(&[("TAPEDECK_SCHEMA_REGISTRY_URL", &registry)]), &bench.environment);
    let id = bench.register(&registry, "ohlcv_bar");
    let value = |id: u32, symbol: &str| {
        let record = Record::from(bar(symbol, 0, 1.0, 10, 10));
        (Some(0), Some(record.message_key().into_bytes()), Some(encode(id, &record)))
    };
    let stored = || bench.number("select count(*) as n from ohlcv_bar where close = 1");
    // 1 is the id of before declared ids had a range of their own. The registry has a schema of this id.
    send(&bench, "ohlcv_bar", &[value(dataset.schema_id, "A"), value(1, "B")]);
    succeed("consumer", &["run", "ohlcv_bar", "--once"], off);
    assert_eq!(stored(), 2);
    send(&bench, "ohlcv_bar", &[value(dataset.schema_id, "C"), value(1, "D"), value(id, "E")]);
    succeed("consumer", &["run", "ohlcv_bar", "--once"], &on);
    assert_eq!(stored(), 5);
    send(&bench, "ohlcv_bar", &[value(dataset.schema_id, "F"), value(id, "G")]);
    succeed("consumer", &["run", "ohlcv_bar", "--once"], off);
    assert_eq!(stored(), 7);
    assert_eq!(bench.number("select count(*) as n from dead_letter"), 0);
    for environment in [off, &on] {
        succeed("consumer", &["verify", "ohlcv_bar", "--deep"], environment);
    }
}

#[test]
fn while_the_registry_is_unavailable_no_record_is_lost_or_becomes_a_dead_letter() {
    let (Some(bench), Some(registry)) = (postgres(), service("TAPEDECK_TEST_REGISTRY")) else { return };
    let dataset = contract::dataset("ohlcv_bar").unwrap();
    let away = format!("http://{}", tests::broker::free_address());
    let id = tests::broker::block_on(async {
        let registry = kafka::Registry::new(&registry).unwrap();
        registry.register(&format!("{}-value", bench.topic("ohlcv_bar")), &dataset.schema).await.unwrap()
    });
    let message = encode(id, &Record::from(bar("AAPL", 0, 1.0, 0, 0)));
    send(&bench, "ohlcv_bar", &[(None, None, Some(message))]);
    let log = bench.folder.path().join("log");
    let environment = bench.with(&[("TAPEDECK_SCHEMA_REGISTRY_URL", &away)]);
    let mut waiting = command("consumer", &["run", "ohlcv_bar"], &environment);
    waiting.stderr(std::fs::File::create(&log).unwrap());
    let mut waiting = Running::start(waiting);
    tests::process::until("the consumer says that the registry is away", || {
        std::fs::read_to_string(&log).unwrap().contains("is not available")
    });
    waiting.signal("TERM");
    assert!(waiting.wait());
    assert_eq!(bench.number("select count(*) as n from sink_chunk"), 0);
    succeed("consumer", &["run", "ohlcv_bar", "--once"], &bench.with(&[("TAPEDECK_SCHEMA_REGISTRY_URL", &registry)]));
    assert_eq!(bench.number("select count(*) as n from ohlcv_bar"), 1);
    assert_eq!(bench.number("select count(*) as n from dead_letter"), 0);
}

#[test]
fn records_of_one_series_are_in_one_partition_by_the_key_that_kafkas_own_clients_compute() {
    let Some(bench) = postgres() else { return };
    let records: Vec<Record> = (0..20).map(|day| bar("AAPL", day, 1.0, 0, 0).into()).collect();
    send_records(&bench, "ohlcv_bar", &records);
    succeed("consumer", &["run", "ohlcv_bar", "--once"], &bench.environment);
    assert_eq!(bench.number("select count(distinct kafka_partition) as n from sink_chunk"), 1);
}
