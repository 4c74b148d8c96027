//! A database behind a network that passes nothing: every request has an end.

use contract::Record;
use kafka::Cluster;
use tests::broker::{Bench, block_on, postgres};
use tests::forward::{Network, through};
use tests::message::{BAR_SCHEMA_ID, Message, bar, encode, send};
use tests::process::{Heard, command, fail, succeed, until};

fn bars(days: std::ops::Range<u32>) -> Vec<Message> {
    let value = |day| encode(BAR_SCHEMA_ID, &Record::from(bar("A", day, 1.0, 0, 0)));
    days.map(|day| (Some(day as i32 % 4), None, Some(value(day)))).collect()
}

/// Before the first migration there is no table.
fn rows(bench: &Bench) -> i64 {
    block_on(bench.database.query("select count(*) as n from ohlcv_bar"))
        .map_or(0, |found| found.rows[0][0].as_deref().unwrap_or("0").parse().unwrap())
}

#[test]
fn a_database_behind_a_black_hole_stops_neither_the_sink_nor_the_relay_for_ever() {
    let Some(bench) = postgres() else { return };
    let (forward, mut environment) = through(&bench);
    environment.insert("TAPEDECK_BREAKER_PERCENT", "100".to_owned());
    let consumer = Heard::start(command("consumer", &["run", "ohlcv_bar"], &environment));
    let cluster = Cluster::new(&bench.brokers, &bench.namespace);
    let nonsense = || vec![(Some(0), None, Some(b"nonsense".to_vec()))];
    let letters = || {
        let ends = kafka::offsets::end_offsets(&cluster, &bench.topic("dead_letter")).unwrap_or_default();
        ends.iter().map(|(_, low, end)| end - low).sum::<i64>()
    };
    send(&bench, "ohlcv_bar", &bars(0..20));
    send(&bench, "ohlcv_bar", &nonsense());
    until("all is stored and relayed", || rows(&bench) == 20 && letters() == 1);
    forward.set(Network::Hole);
    send(&bench, "ohlcv_bar", &bars(20..40));
    send(&bench, "ohlcv_bar", &nonsense());
    for line in ["cannot store a chunk, retrying", "cannot publish dead letters, retrying"] {
        until("the silence has a limit", || consumer.said(line).iter().any(|said| said.contains("silent for 35 s")));
    }
    forward.set(Network::Good);
    until("all is stored and relayed", || rows(&bench) == 40 && letters() == 2);
    assert_eq!(consumer.said("sink restarts"), Vec::<String>::new());
}

#[test]
fn a_database_that_falls_silent_ends_a_verification() {
    let Some(bench) = postgres() else { return };
    send(&bench, "ohlcv_bar", &bars(0..20));
    succeed("consumer", &["run", "ohlcv_bar", "--once"], &bench.environment);
    succeed("consumer", &["verify", "ohlcv_bar"], &bench.environment);
    // Longer than a command may take in these tests.
    bench.execute("alter table sink_halt rename to really_sink_halt");
    bench.execute(
        "create view sink_halt as select * from really_sink_halt union all \
         select '', '', now() where pg_sleep(3600) is null",
    );
    let said = fail("consumer", &["verify", "ohlcv_bar"], &bench.environment);
    let last = said.lines().last().unwrap();
    assert!(last.ends_with("cannot read the database: the database has been silent for 60 s"), "{said}");
}
