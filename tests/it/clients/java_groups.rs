//! Kafka's Java consumers in groups, and its tool for groups.

use std::collections::BTreeSet;

use serde_json::Value;
use tests::embedded::{Embedded, Received};
use tests::process::until;

use super::java::Tools;
use super::{Events, assert_calm, events, refused};

const CONSUMER: &str = "org.apache.kafka.tools.VerifiableConsumer";
const GROUPS: &str = "consumer.group.ConsumerGroupCommand";

/// Produces to topic `t`; every record must be acknowledged.
pub(super) fn produce(tools: &Tools, arguments: &[&str], count: usize) {
    let said = tools.run("VerifiableProducer", &[&["--topic", "t"], arguments].concat());
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(events(&lines, "producer_send_error"), [Value::Null; 0]);
    assert_eq!(events(&lines, "producer_send_success").len(), count);
    let total = events(&lines, "tool_data").remove(0);
    assert_eq!((&total["sent"], &total["acked"]), (&count.into(), &count.into()));
}

/// A consumed record: partition, offset, key, value.
type Consumed = (i64, i64, Option<String>, String);

fn consumed(event: &Value) -> Consumed {
    let number = |name: &str| event[name].as_i64().unwrap();
    let text = |name: &str| event[name].as_str().map(str::to_owned);
    (number("partition"), number("offset"), text("key"), text("value").unwrap())
}

fn expected(records: &[Received]) -> Vec<Consumed> {
    let of = |record: &Received| {
        (i64::from(record.partition), record.offset, record.key.clone(), record.value.clone().unwrap())
    };
    records.iter().map(of).collect()
}

/// A group consumes all records of `t` in order; then the group tool shows, resets and deletes the group.
pub(super) fn consume_and_administrate(tools: &Tools, records: &[Received]) {
    let count = records.len().to_string();
    let arguments = ["--topic", "t", "--group-id", "g", "--max-messages", &count, "--verbose"];
    let said = tools.run("VerifiableConsumer", &arguments);
    let lines: Vec<&str> = said.lines().collect();
    let mut read: Vec<Consumed> = events(&lines, "record_data").iter().map(consumed).collect();
    read.sort_by_key(|(partition, ..)| *partition); // stable: the offsets stay in the order of arrival
    assert_eq!(read, expected(records));
    assert!(events(&lines, "offsets_committed").iter().all(|event| event["success"] == true), "{said}");

    assert_eq!(tools.run(GROUPS, &["--list"]).trim(), "g");
    assert_eq!(lags(&tools.run(GROUPS, &["--describe", "--group", "g"])), [0, 0, 0]);
    let state = tools.run(GROUPS, &["--describe", "--group", "g", "--state"]);
    assert!(state.trim().lines().last().unwrap().contains("Empty"), "{state}");
    let reset = ["--reset-offsets", "--group", "g", "--topic", "t:1", "--to-earliest", "--execute"];
    tools.run(GROUPS, &reset);
    let of_second = records.iter().filter(|record| record.partition == 1).count();
    assert_eq!(lags(&tools.run(GROUPS, &["--describe", "--group", "g"])), [0, of_second, 0]);
    let said = tools.run(GROUPS, &["--delete", "--group", "g"]);
    assert!(said.contains("Deletion of requested consumer groups ('g') was successful."), "{said}");
    let again = tools.tool(&format!("org.apache.kafka.tools.{GROUPS}"), &["--delete", "--group", "g"]);
    refused(&again, "GroupIdNotFoundException");
}

/// The lag of each partition, in order.
fn lags(described: &str) -> Vec<usize> {
    let rows = described.lines().filter(|line| line.starts_with("g "));
    let mut lags: Vec<(usize, usize)> = rows
        .map(|row| {
            let columns: Vec<&str> = row.split_whitespace().collect();
            (columns[2].parse().unwrap(), columns[5].parse().unwrap())
        })
        .collect();
    lags.sort_unstable();
    lags.into_iter().map(|(_, lag)| lag).collect()
}

/// A consumer of the group `g` with a short session.
struct Member(Events);

impl Member {
    fn start(tools: &Tools) -> Member {
        let arguments = ["--topic", "t", "--group-id", "g", "--verbose", "--session-timeout", "6000"];
        Member(Events::start(tools.tool(CONSUMER, &arguments)))
    }

    fn read(&self) -> Vec<Consumed> {
        self.0.of("record_data").iter().map(consumed).collect()
    }

    /// Partitions of the last assignment.
    fn partitions(&self) -> BTreeSet<i64> {
        let last = self.0.of("partitions_assigned").pop();
        let partitions = last.iter().flat_map(|event| event["partitions"].as_array().unwrap());
        partitions.map(|partition| partition["partition"].as_i64().unwrap()).collect()
    }

    /// Whether it has committed everything that it read.
    fn has_committed(&self) -> bool {
        let committed: BTreeSet<(i64, i64)> = self
            .0
            .of("offsets_committed")
            .iter()
            .flat_map(|event| event["offsets"].as_array().unwrap().clone())
            .map(|offset| (offset["partition"].as_i64().unwrap(), offset["offset"].as_i64().unwrap()))
            .collect();
        let mut ends: Vec<(i64, i64)> =
            self.read().iter().map(|(partition, offset, ..)| (*partition, offset + 1)).collect();
        ends.sort_unstable();
        let last = |at: &usize| ends.get(at + 1).is_none_or(|next| next.0 != ends[*at].0);
        (0..ends.len()).filter(last).all(|at| committed.contains(&ends[at]))
    }
}

#[test]
fn of_two_java_consumers_of_a_group_the_second_takes_over_when_the_first_is_killed() {
    let broker = Embedded::start();
    let Some(tools) = Tools::of(&broker) else { return };
    tools.run("TopicCommand", &["--create", "--topic", "t", "--partitions", "4"]);
    let (first, second) = (Member::start(&tools), Member::start(&tools));
    until("both members have two partitions", || first.partitions().len() == 2 && second.partitions().len() == 2);
    let both: BTreeSet<i64> = first.partitions().union(&second.partitions()).copied().collect();
    assert_eq!(both, BTreeSet::from([0, 1, 2, 3]));

    produce(&tools, &["--max-messages", "1000", "--repeating-keys", "100"], 1_000);
    until("both members have committed all they read", || {
        first.read().len() + second.read().len() == 1_000 && first.has_committed() && second.has_committed()
    });
    assert!(!first.read().is_empty() && !second.read().is_empty(), "both members read");

    first.0.running.signal("KILL");
    until("the other member has all partitions", || second.partitions().len() == 4);
    produce(&tools, &["--max-messages", "1000", "--repeating-keys", "100", "--value-prefix", "7"], 1_000);
    until("the other member reads the new records", || first.read().len() + second.read().len() >= 2_000);
    let mut read = [first.read(), second.read()].concat();
    read.sort();
    assert_eq!(read, expected(&broker.records("t")), "each record once");
    assert_calm(&broker);
}

#[test]
fn a_java_consumer_of_the_new_group_protocol_is_told_to_use_the_classic_one() {
    let broker = Embedded::start();
    let Some(tools) = Tools::of(&broker) else { return };
    tools.run("TopicCommand", &["--create", "--topic", "t"]);
    let arguments = ["--topic", "t", "--group-id", "g", "--max-messages", "1", "--group-protocol", "CONSUMER"];
    refused(&tools.tool(CONSUMER, &arguments), "Set group.protocol=classic on the consumer configs");
    assert_calm(&broker);
}
