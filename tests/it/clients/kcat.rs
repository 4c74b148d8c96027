//! Debian's kcat, with a librdkafka of 2023.

use std::process::Command;

use serde_json::Value;
use tests::embedded::Embedded;
use tests::service;

use super::{assert_calm, assert_each_once, assert_offsets, succeed};

/// Records of one production.
const RECORDS: u32 = 500;

struct Kcat {
    program: String,
    address: String,
}

impl Kcat {
    fn of(broker: &Embedded) -> Option<Kcat> {
        Some(Kcat { program: service("TAPEDECK_TEST_KCAT")?, address: broker.address.clone() })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-b", &self.address]).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str], input: &str) -> String {
        succeed(&self.command(arguments), input)
    }
}

/// Lines `key:value` for kcat.
fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|number| format!("k{}:{number}\n", number % 10)).collect()
}

#[test]
fn debians_kcat_produces_with_every_codec_and_reads_back_keys_values_headers_and_times() {
    let broker = Embedded::start();
    let Some(kcat) = Kcat::of(&broker) else { return };
    broker.create_topic("t", 3);
    let codecs = ["gzip", "snappy", "lz4", "zstd"];
    for (codec, first) in codecs.iter().zip((0..).step_by(RECORDS as usize)) {
        let codec_header = format!("codec={codec}");
        let headers = ["-H", "a=1", "-H", "a=2", "-H", &codec_header];
        let arguments = ["-P", "-t", "t", "-K:", "-z", codec, "-X", "enable.idempotence=true"];
        kcat.run(&[&arguments[..], &headers].concat(), &lines(first..first + RECORDS));
    }
    let records = broker.records("t");
    assert_offsets(&records);
    assert_each_once(&records, 4 * RECORDS);
    for record in &records {
        let number: u32 = record.value.as_ref().unwrap().parse().unwrap();
        assert_eq!(record.key, Some(format!("k{}", number % 10)));
        let codec = codecs[(number / RECORDS) as usize];
        let headers =
            [("a", "1"), ("a", "2"), ("codec", codec)].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(record.headers, headers);
    }
    let said = kcat.run(&["-C", "-t", "t", "-e", "-q", "-f", "%p %o %T %k %s %h\n"], "");
    let mut read: Vec<&str> = said.lines().collect();
    read.sort_by_key(|line| line.split(' ').next()); // stable: the offsets stay in the order of arrival
    let expected: Vec<String> = records.iter().map(as_kcat_prints).collect();
    assert_eq!(read, expected);
    assert_calm(&broker);
}

fn as_kcat_prints(record: &tests::embedded::Received) -> String {
    let headers: Vec<String> = record.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let (key, value) = (record.key.as_ref().unwrap(), record.value.as_ref().unwrap());
    format!("{} {} {} {key} {value} {}", record.partition, record.offset, record.time, headers.join(","))
}

#[test]
fn debians_kcat_continues_in_its_group_where_it_stopped() {
    let broker = Embedded::start();
    let Some(kcat) = Kcat::of(&broker) else { return };
    broker.create_topic("t", 3);
    let read = || {
        let arguments = ["-G", "g", "-e", "-q", "-X", "auto.offset.reset=earliest", "-f", "%s\n", "t"];
        let mut numbers: Vec<u32> = kcat.run(&arguments, "").lines().map(|line| line.parse().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    };
    kcat.run(&["-P", "-t", "t", "-K:"], &lines(0..RECORDS));
    assert_eq!(read(), (0..RECORDS).collect::<Vec<u32>>());
    kcat.run(&["-P", "-t", "t", "-K:"], &lines(RECORDS..2 * RECORDS));
    assert_eq!(read(), (RECORDS..2 * RECORDS).collect::<Vec<u32>>(), "only what is new");
    assert_calm(&broker);
}

#[test]
fn debians_kcat_looks_up_times_and_metadata() {
    let broker = Embedded::start();
    let Some(kcat) = Kcat::of(&broker) else { return };
    broker.create_topic("t", 2);
    broker.publish("t", &[(0, 1_000), (0, 2_000), (0, 3_000), (1, 2_500)]);
    let offset = |partition: u32, time: i64| {
        let said = kcat.run(&["-Q", "-t", &format!("t:{partition}:{time}")], "");
        said.trim().rsplit(' ').next().unwrap().to_owned()
    };
    let times = [(0, 1), (0, 1_001), (0, 3_000), (1, 1_001), (1, 2_501), (0, -1), (0, -2)];
    assert_eq!(times.map(|(partition, time)| offset(partition, time)), ["0", "1", "2", "0", "-1", "3", "0"]);

    let metadata: Value = serde_json::from_str(&kcat.run(&["-L", "-J"], "")).unwrap();
    assert_eq!(metadata["brokers"][0]["name"], broker.address);
    assert_eq!(metadata["topics"].as_array().unwrap().len(), 1);
    assert_eq!(metadata["topics"][0]["topic"], "t");
    let partitions = metadata["topics"][0]["partitions"].as_array().unwrap();
    let leaders: Vec<&Value> = partitions.iter().map(|partition| &partition["leader"]).collect();
    assert_eq!(leaders, [1, 1]);
    assert_calm(&broker);
}
