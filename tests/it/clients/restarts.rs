//! The broker restarts or stands still in the middle of an idempotent producer and a consumer of a group.

use std::collections::BTreeMap;

use tests::embedded::Embedded;
use tests::process::until;
use tests::service;

use super::scripts::script;
use super::{Events, assert_each_once, assert_offsets};

/// What happens to the broker, one after the other.
const EVENTS: [&str; 5] = ["TERM", "STOP", "KILL", "STOP", "KILL"];
/// New records that the group reads between two events: it goes on each time.
const RECORDS: usize = 1_500;
/// Hundreds of records that the broker acknowledges between two events: the producer is connected again.
const HUNDREDS: usize = 10;
/// Most records that the group reads again: far fewer than if it began anew after a restart.
const MAX_READ_AGAIN: usize = 1_500;

#[test]
fn a_producer_and_a_group_outlive_stops_crashes_and_silence_of_the_broker_without_loss_or_duplicate() {
    let Some(python) = service("TAPEDECK_TEST_PYTHON") else { return };
    let mut broker = Embedded::start();
    broker.create_topic("t", 3);
    let start = |role: &str| {
        let mut command = script(&python, "restarts.py");
        command.args([&broker.address, role]);
        Events::start(command)
    };
    let (mut producer, mut consumer) = (start("produce"), start("consume"));
    for event in EVENTS {
        let (enough, hundreds) =
            (read(&consumer).len() + RECORDS, count(&producer, "a hundred acknowledged") + HUNDREDS);
        until(&format!("the group reads more before {event}"), || read(&consumer).len() >= enough);
        until(&format!("the broker acknowledges more before {event}"), || {
            count(&producer, "a hundred acknowledged") >= hundreds
        });
        if event == "STOP" { stand_still(&broker, &producer) } else { broker.restart(event) }
    }
    producer.end();
    let mut acknowledged = None;
    until("the producer counts its records", || {
        acknowledged = producer.lines().iter().find_map(|line| line.strip_prefix("acknowledged ")?.parse::<u32>().ok());
        acknowledged.is_some()
    });
    let acknowledged = acknowledged.unwrap();
    until("the group has read everything", || read(&consumer).len() >= acknowledged as usize);
    consumer.end();

    let records = broker.records("t");
    assert_offsets(&records);
    assert_each_once(&records, acknowledged);
    for key in 0..10 {
        let of_key = records.iter().filter(|record| record.key.as_deref() == Some(&format!("k{key}")));
        let numbers: Vec<u32> = of_key.map(|record| record.value.as_ref().unwrap().parse().unwrap()).collect();
        assert!(numbers.is_sorted(), "key {key} in order");
    }
    let stored = records.iter().map(|record| ((record.partition, record.offset), record.value.clone().unwrap()));
    assert_eq!(read(&consumer), stored.collect());
    let again = consumer.lines().iter().filter(|line| place(line).is_some()).count() - records.len();
    assert!(again <= MAX_READ_AGAIN, "the group read {again} records again");
    for partition in 0..3 {
        assert_eq!(broker.committed("g", "t", partition), broker.bounds("t", partition).1, "partition {partition}");
    }
}

/// The broker stands still until the producer has given up a request and sends it again. Then the broker receives both.
fn stand_still(broker: &Embedded, producer: &Events) {
    let before = count(producer, "Timed out ProduceRequest");
    broker.signal("STOP");
    until("the producer gives up a request", || count(producer, "Timed out ProduceRequest") > before);
    broker.signal("CONT");
}

/// Lines that hold a text.
fn count(events: &Events, text: &str) -> usize {
    events.lines().iter().filter(|line| line.contains(text)).count()
}

/// What the consumer read, by partition and offset. It may read a record again, but never another one in its place.
fn read(consumer: &Events) -> BTreeMap<(i32, i64), String> {
    let mut read = BTreeMap::new();
    for line in consumer.lines() {
        let Some((at, value)) = place(&line) else { continue };
        let before = read.insert(at, value.to_owned());
        assert!(before.is_none_or(|before| before == value), "another record at {at:?}");
    }
    read
}

/// Partition, offset and value in a line about a record.
fn place(line: &str) -> Option<((i32, i64), &str)> {
    let [partition, offset, value] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
    Some(((partition.parse().ok()?, offset.parse().ok()?), value))
}
