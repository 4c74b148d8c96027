//! Kafka's own Java tools.

use std::process::Command;

use tests::embedded::Embedded;
use tests::service;

use super::{assert_calm, assert_each_once, assert_offsets, refused, succeed};

/// Records of one run of a tool.
const RECORDS: u32 = 9_999;

/// Kafka's tools against one broker.
#[derive(Debug)]
pub(super) struct Tools {
    jars: String,
    address: String,
}

impl Tools {
    /// None if `./test` has not fetched them.
    pub(super) fn of(broker: &Embedded) -> Option<Tools> {
        Some(Tools { jars: service("TAPEDECK_TEST_KAFKA_JARS")?, address: broker.address.clone() })
    }

    /// A tool. The quick compiler and the serial collector halve its start time.
    pub(super) fn tool(&self, class: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("java");
        command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xmx256m"]);
        command.arg("-cp").arg(format!("{}/*", self.jars)).arg(class);
        if !class.ends_with("DumpLogSegments") {
            command.args(["--bootstrap-server", &self.address]);
        }
        command.args(arguments);
        command
    }

    /// Runs a tool that must succeed.
    pub(super) fn run(&self, class: &str, arguments: &[&str]) -> String {
        succeed(&self.tool(&format!("org.apache.kafka.tools.{class}"), arguments), "")
    }

    fn create(&self, topic: &str, partitions: &str, more: &[&str]) {
        let arguments = ["--create", "--topic", topic, "--partitions", partitions];
        let said = self.run("TopicCommand", &[&arguments, more].concat());
        assert_eq!(said.trim(), format!("Created topic {topic}."));
    }

    fn configure(&self, arguments: &[&str]) -> String {
        let arguments = [&["--entity-type", "topics", "--entity-name", "t"], arguments].concat();
        succeed(&self.tool("kafka.admin.ConfigCommand", &arguments), "")
    }
}

#[test]
fn kafkas_tools_create_describe_configure_grow_and_delete_a_topic() {
    let broker = Embedded::start();
    let Some(tools) = Tools::of(&broker) else { return };
    tools.create("t", "3", &["--config", "retention.ms=3600000", "--config", "message.timestamp.type=LogAppendTime"]);
    let before = tools.run("TopicCommand", &["--describe", "--topic", "t"]);
    assert!(before.contains("PartitionCount: 3\tReplicationFactor: 1\tConfigs: "), "{before}");
    assert!(
        before.contains("retention.ms=3600000") && before.contains("message.timestamp.type=LogAppendTime"),
        "{before}"
    );

    let said = tools.configure(&["--alter", "--add-config", "retention.ms=7200000,segment.bytes=1048576"]);
    assert_eq!(said.trim(), "Completed updating config for topic t.");
    tools.configure(&["--alter", "--delete-config", "message.timestamp.type"]);
    let configs = tools.configure(&["--describe"]);
    assert!(configs.contains("retention.ms=7200000") && configs.contains("segment.bytes=1048576"), "{configs}");
    assert!(!configs.contains("timestamp.type"), "a deleted setting has its default again: {configs}");

    tools.run("TopicCommand", &["--alter", "--topic", "t", "--partitions", "5"]);
    let after = tools.run("TopicCommand", &["--describe", "--topic", "t"]);
    assert!(after.contains("PartitionCount: 5"), "{after}");
    assert_eq!(after.lines().filter(|line| line.contains("\tLeader: 1\tReplicas: 1\tIsr: 1")).count(), 5, "{after}");
    let shrink = ["--alter", "--topic", "t", "--partitions", "4"];
    refused(&tools.tool("org.apache.kafka.tools.TopicCommand", &shrink), "InvalidPartitionsException");
    let again = ["--create", "--topic", "t", "--partitions", "1"];
    refused(&tools.tool("org.apache.kafka.tools.TopicCommand", &again), "TopicExistsException");

    assert_eq!(tools.run("TopicCommand", &["--list"]).trim(), "t");
    tools.run("TopicCommand", &["--delete", "--topic", "t"]);
    assert_eq!(tools.run("TopicCommand", &["--list"]).trim(), "");
    assert_calm(&broker);
}

#[test]
fn what_kafkas_producer_writes_with_any_codec_idempotent_or_not_is_stored_as_it_came_and_read_back() {
    let broker = Embedded::start();
    let Some(tools) = Tools::of(&broker) else { return };
    tools.create("t", "1", &[]);
    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    let count = RECORDS.to_string();
    for codec in codecs {
        let (codec, idempotent) =
            (format!("compression.type={codec}"), format!("enable.idempotence={}", codec != "none"));
        let arguments = ["--topic", "t", "--num-records", &count, "--throughput", "-1", "--payload-monotonic"];
        let properties = ["--command-property", &codec, &idempotent];
        let said = tools.run("ProducerPerformance", &[&arguments[..], &properties].concat());
        assert!(said.trim().lines().last().unwrap().starts_with(&format!("{count} records sent")), "{said}");
    }
    let records = broker.records("t");
    assert_offsets(&records);
    let values: Vec<&str> = records.iter().map(|record| record.value.as_deref().unwrap()).collect();
    let expected: Vec<String> = codecs.iter().flat_map(|_| (0..RECORDS).map(|number| number.to_string())).collect();
    assert_eq!(values, expected);

    let all = expected.len().to_string();
    let said = tools.run("ConsumerPerformance", &["--topic", "t", "--num-records", &all, "--hide-header"]);
    assert_eq!(said.split(", ").nth(4), Some(all.as_str()), "{said}");

    let segment = broker.segments().remove(0);
    let dump = tools.run("DumpLogSegments", &["--files", segment.to_str().unwrap()]);
    for codec in codecs {
        let batches: Vec<&str> =
            dump.lines().filter(|line| line.contains(&format!("compresscodec: {codec} "))).collect();
        assert!(!batches.is_empty() && batches.iter().all(|batch| batch.contains("isvalid: true")), "{codec}: {dump}");
        let are_idempotent = !batches.iter().any(|batch| batch.contains("producerId: -1 "));
        assert_eq!(are_idempotent, codec != "none", "{codec}: {batches:?}");
    }
    assert_calm(&broker);
}

#[test]
fn kafkas_tools_find_offsets_by_time_and_delete_records() {
    let broker = Embedded::start();
    let Some(tools) = Tools::of(&broker) else { return };
    broker.create_topic("t", 2);
    // The record with the highest time is not the last one.
    let times = [1_000, 2_000, 9_000, 4_000, 5_000];
    broker.publish("t", &times.map(|time| (0, time)));
    let offset = |time: &str| tools.run("GetOffsetShell", &["--topic", "t", "--time", time]).trim().to_owned();
    assert_eq!(offset("-1"), "t:0:5\nt:1:0");
    assert_eq!(offset("-2"), "t:0:0\nt:1:0");
    assert_eq!(offset("-3"), "t:0:2", "an empty partition has no highest time");
    assert_eq!(offset("1001"), "t:0:1");

    let file = tempfile::NamedTempFile::new().unwrap();
    let delete = |offset: i64| {
        let text = format!(r#"{{"partitions":[{{"topic":"t","partition":0,"offset":{offset}}}],"version":1}}"#);
        std::fs::write(file.path(), text).unwrap();
        tools.run("DeleteRecordsCommand", &["--offset-json-file", file.path().to_str().unwrap()])
    };
    let said = delete(3);
    assert!(said.contains("partition: t-0\tlow_watermark: 3"), "{said}");
    let said = delete(6);
    assert!(said.contains("OffsetOutOfRangeException"), "{said}");
    let left: Vec<(i64, i64)> = broker.records("t").iter().map(|record| (record.offset, record.time)).collect();
    assert_eq!(left, [(3, 4_000), (4, 5_000)]);
    assert_eq!(offset("-2"), "t:0:3\nt:1:0");
    assert_calm(&broker);
}

#[test]
fn kafkas_producer_gets_kafkas_error_for_a_transaction_at_once() {
    let broker = Embedded::start();
    let Some(tools) = Tools::of(&broker) else { return };
    tools.create("t", "1", &[]);
    let arguments = ["--topic", "t", "--num-records", "10", "--throughput", "-1", "--payload-monotonic"];
    let arguments = [&arguments[..], &["--transactional-id", "x"]].concat();
    let producer = tools.tool("org.apache.kafka.tools.ProducerPerformance", &arguments);
    refused(&producer, "TransactionalIdAuthorizationException: Transactional Id authorization failed.");
    assert_eq!(broker.records("t"), []);
    assert_calm(&broker);
}

#[test]
fn kafkas_verifiable_clients_agree_on_every_record() {
    let broker = Embedded::start();
    let Some(tools) = Tools::of(&broker) else { return };
    tools.create("t", "3", &[]);
    let count = RECORDS.to_string();
    super::java_groups::produce(&tools, &["--max-messages", &count, "--repeating-keys", "7"], RECORDS as usize);
    let records = broker.records("t");
    assert_offsets(&records);
    assert_each_once(&records, RECORDS);
    for key in 0..7 {
        let of_key = records.iter().filter(|record| record.key.as_deref() == Some(&key.to_string()));
        let numbers: Vec<u32> = of_key.map(|record| record.value.as_ref().unwrap().parse().unwrap()).collect();
        assert_eq!(numbers, (key..RECORDS).step_by(7).collect::<Vec<u32>>(), "key {key} in order");
    }
    super::java_groups::consume_and_administrate(&tools, &records);
    assert_calm(&broker);
}
