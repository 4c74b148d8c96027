//! Clients in Python and JavaScript: each has a script in this folder that asserts everything it reads.

use std::path::Path;
use std::process::Command;

use tests::embedded::Embedded;
use tests::{root, service};

use super::{assert_calm, assert_each_once, assert_offsets, succeed};

/// Time of the scripts' record 0; each later record is a millisecond younger.
const FIRST_TIME: i64 = 1_700_000_000_000;

/// A script of this folder.
pub(super) fn script(program: &str, name: &str) -> Command {
    let mut command = Command::new(program);
    command.arg(root().join("tests/it/clients").join(name));
    command
}

/// Runs a script, and checks that it came to its end.
fn completes(command: &Command) {
    let said = succeed(command, "");
    assert!(said.lines().last().is_some_and(|line| line.starts_with("done")), "{said}");
}

fn confluent(scenario: &str) {
    let Some(python) = service("TAPEDECK_TEST_PYTHON") else { return };
    let broker = Embedded::start();
    let mut command = script(&python, "confluent.py");
    command.args([&broker.address, scenario]);
    completes(&command);
    assert_calm(&broker);
}

#[test]
fn confluents_client_reads_what_it_wrote_idempotently_from_the_start_from_a_time_and_after_a_seek() {
    confluent("records");
}

#[test]
fn confluents_client_gets_kafkas_error_for_a_transaction_at_once() {
    confluent("transactions");
}

#[test]
fn confluents_admin_client_manages_topics_settings_groups_and_offsets() {
    confluent("administration");
}

#[test]
fn two_cooperative_members_share_partitions_without_losing_those_they_keep() {
    confluent("cooperative");
}

/// Runs a script that leaves `count` records in topic `t`, and reads them with librdkafka.
fn writes(broker: &Embedded, command: &Command, count: u32) {
    completes(command);
    let records = broker.records("t");
    assert_offsets(&records);
    assert_each_once(&records, count);
    for record in &records {
        let number: i64 = record.value.as_ref().unwrap().parse().unwrap();
        assert_eq!(record.key, Some(format!("k{}", number % 10)));
        assert_eq!(record.time, FIRST_TIME + number);
        assert_eq!(record.headers, [("a", "1"), ("a", "2")].map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    assert_calm(broker);
}

fn python_writes(name: &str, more: impl Fn(&Path) -> Vec<String>) {
    let Some(python) = service("TAPEDECK_TEST_PYTHON") else { return };
    let broker = Embedded::start();
    let mut command = script(&python, name);
    let environment = Path::new(&python).parent().unwrap().parent().unwrap();
    command.arg(&broker.address).args(more(environment));
    writes(&broker, &command, 2_000);
}

#[test]
fn kafka_python_produces_with_every_codec_consumes_in_a_group_and_administrates() {
    python_writes("kafka_python.py", |_| Vec::new());
}

#[test]
fn kafka_python_of_2020_produces_with_every_codec_consumes_in_a_group_and_administrates() {
    python_writes("kafka_python.py", |environment| vec![environment.join("old").display().to_string()]);
}

#[test]
fn aiokafka_produces_with_every_codec_consumes_in_a_group_and_administrates() {
    python_writes("aiokafka_client.py", |_| Vec::new());
}

#[test]
fn kafkajs_produces_idempotently_consumes_in_a_group_and_administrates() {
    let Some(folder) = service("TAPEDECK_TEST_KAFKAJS") else { return };
    let broker = Embedded::start();
    let mut command = script("node", "kafkajs.js");
    command.args([&folder, &broker.address]);
    writes(&broker, &command, 800);
}
