//! Consumers share a group, and one is silent for longer than its session: the same on every broker.

use std::thread::sleep;
use std::time::Duration;

use contract::Record;
use tests::broker::{Bench, benches, embedded};
use tests::message::{bar, send_records};
use tests::process::{Heard, command, until};

/// Longer than the consumers' session timeout of ten seconds.
const MISSED: Duration = Duration::from_secs(12);
/// Bars of each sending; enough symbols to reach all partitions.
const BARS: u32 = 40;

fn consumer(bench: &Bench) -> Heard {
    Heard::start(command("consumer", &["run", "ohlcv_bar"], &bench.environment))
}

/// Sends the bars of a day and waits until the bars of all days are stored.
fn are_stored(bench: &Bench, name: &str, day: u32) {
    let records: Vec<Record> = (0..BARS).map(|at| bar(&format!("S{at}"), day, 1.0, 0, 0).into()).collect();
    send_records(bench, "ohlcv_bar", &records);
    let all = i64::from(BARS * (day + 1));
    until(&format!("{name}: the bars of day {day} are stored"), || {
        bench.number("select count(*) as n from ohlcv_bar") == all
    });
}

fn assigned(consumer: &Heard, partitions: u32) -> usize {
    let said = consumer.said("assigned sink=");
    said.iter().filter(|line| line.ends_with(&format!("partitions={partitions}"))).count()
}

fn until_assigned(name: &str, consumer: &Heard, partitions: u32, times: usize) {
    until(&format!("{name}: {partitions} partitions are assigned for time {times}"), || {
        assigned(consumer, partitions) >= times
    });
}

#[test]
fn a_consumer_that_was_silent_for_longer_than_its_session_continues() {
    for (name, bench) in benches() {
        let consumer = consumer(&bench);
        are_stored(&bench, name, 0);
        consumer.signal("STOP");
        sleep(MISSED);
        consumer.signal("CONT");
        are_stored(&bench, name, 1);
    }
}

#[test]
fn another_consumer_takes_over_from_a_silent_one_and_later_returns_its_share() {
    for (name, bench) in benches() {
        let leader = consumer(&bench);
        until_assigned(name, &leader, 4, 1);
        let other = consumer(&bench);
        until_assigned(name, &leader, 2, 1);
        until_assigned(name, &other, 2, 1);
        are_stored(&bench, name, 0);
        leader.signal("STOP");
        until_assigned(name, &other, 4, 1);
        are_stored(&bench, name, 1);
        leader.signal("CONT");
        until_assigned(name, &leader, 2, 2);
        until_assigned(name, &other, 2, 2);
        are_stored(&bench, name, 2);
    }
}

#[test]
fn consumers_continue_after_an_embedded_broker_was_silent_for_longer_than_their_session() {
    let bench = embedded();
    let consumers = [consumer(&bench), consumer(&bench)];
    consumers.iter().for_each(|consumer| until_assigned("embedded", consumer, 2, 1));
    are_stored(&bench, "embedded", 0);
    bench.signal_broker("STOP");
    sleep(MISSED);
    bench.signal_broker("CONT");
    are_stored(&bench, "embedded", 1);
}
