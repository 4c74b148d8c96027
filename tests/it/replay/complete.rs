//! Exchanges from a topic that no longer has every record: no row vanishes.

use contract::Record;
use rdkafka::admin::{AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier};
use tests::broker::{benches, block_on, postgres};
use tests::message::{BAR_SCHEMA_ID, bar, encode, send};
use tests::process::{fail, succeed};

use super::exchange::{SIDE, differ, refused, swap};
use super::{consume, replay, table};

#[test]
fn a_topic_that_retention_trimmed_takes_no_row_out_of_the_table() {
    for (name, bench) in benches() {
        let day = |at: i32| (Some(at % 2), None, Some(encode(BAR_SCHEMA_ID, &day(at))));
        let days: Vec<_> = (0..20).map(day).collect();
        send(&bench, "ohlcv_bar", &days);
        consume(&bench);
        let before = table(&bench, "ohlcv_bar");
        // The replay was there before retention: the side table has everything.
        let side = ["replay", "ohlcv_bar", "--into", "whole"];
        succeed("consumer", &side, &bench.environment);
        bench.remove_before("ohlcv_bar", 1, 4);
        let said = succeed("consumer", &[&side[..], &["--swap"]].concat(), &bench.environment);
        assert!(said.contains("added 0, changed 0, vanished 0"), "on {name}: {said}");

        let said = refused(&bench);
        assert!(
            said.contains("does not have every record of the table: offsets 0 to 3 of partition 1 are gone"),
            "{said}"
        );
        assert!(said.contains("`replay ohlcv_bar` without `--into` keeps such rows"), "on {name}: {said}");
        // It is refused before hours of replay, and also after one without `--swap`.
        assert!(bench.query("select sink from replay_run where finished_at is null").is_empty(), "on {name}");
        replay(&bench, &SIDE);
        refused(&bench);
        bench.remove_before("ohlcv_bar", 0, 10);
        assert!(refused(&bench).contains("offsets 0 to 3 of partition 1 are gone"), "on {name}");
        assert_eq!(table(&bench, "ohlcv_bar"), before, "on {name}");
        replay(&bench, &[]);
        assert_eq!(table(&bench, "ohlcv_bar"), before, "on {name}");

        // A replay that is behind when retention trims says so.
        send(&bench, "ohlcv_bar", &[day(21), day(23), day(25)]);
        bench.remove_before("ohlcv_bar", 1, 12);
        let said = fail("consumer", &[&["replay", "ohlcv_bar"], &SIDE[..]].concat(), &bench.environment);
        assert!(said.contains("no longer has offsets 10 to 11 of partition 1"), "on {name}: {said}");
    }
}

fn day(at: i32) -> Record {
    bar("AAPL", at as u32, f64::from(at) + 10.0, 0, 0).into()
}

#[test]
fn partitions_that_were_added_later_belong_to_a_whole_replay_and_compaction_ends_it() {
    let Some(bench) = postgres() else { return };
    differ(&bench);
    let (admin, topic) = (bench.admin(), bench.topic("ohlcv_bar"));
    let grown = block_on(admin.create_partitions(&[NewPartitions::new(&topic, 6)], &AdminOptions::new())).unwrap();
    assert!(grown[0].is_ok(), "{grown:?}");
    let value = encode(BAR_SCHEMA_ID, &day(50));
    send(&bench, "ohlcv_bar", &[(Some(5), None, Some(value))]);
    consume(&bench);
    let said = swap(&bench, &["--dry-run"]);
    assert!(said.contains("would first catch up in partitions 5"), "{said}");
    swap(&bench, &[]);
    assert_eq!(bench.number("select count(*) as n from ohlcv_bar where close = 60"), 1);

    let compacted = [AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("cleanup.policy", "compact")];
    block_on(admin.alter_configs(&compacted, &AdminOptions::new())).unwrap();
    let arguments = ["replay", "ohlcv_bar", "--into", "again", "--swap"];
    let said = fail("consumer", &arguments, &bench.environment);
    assert!(said.lines().last().unwrap().contains("the topic is compacted (`cleanup.policy=compact`)"), "{said}");
}

#[test]
fn rows_of_another_topic_or_of_a_topic_that_was_recreated_do_not_vanish() {
    for (name, bench) in benches() {
        differ(&bench);
        let before = table(&bench, "ohlcv_bar");
        bench.execute("update sink_chunk set kafka_topic = 'old.ohlcv_bar.v1' where kafka_partition = 0");
        let said = refused(&bench);
        assert!(said.contains("it has rows of topic `old.ohlcv_bar.v1`"), "on {name}: {said}");
        let topic = bench.topic("ohlcv_bar");
        bench.execute(&format!("update sink_chunk set kafka_topic = '{topic}' where kafka_partition = 0"));
        bench.execute(
            "insert into sink_position (sink, kafka_topic, kafka_incarnation, kafka_partition, next_offset, updated_at) \
             select sink, kafka_topic, 1, kafka_partition, 1000, updated_at from sink_position \
             where sink not like '%.replay.%' and kafka_partition = 0",
        );
        let said = refused(&bench);
        assert!(said.contains("partition 0 was read before the topic was recreated"), "on {name}: {said}");
        assert!(said.contains("is at offset 1000: the topic was truncated or recreated"), "on {name}: {said}");
        assert_eq!(table(&bench, "ohlcv_bar"), before, "on {name}");
    }
}
