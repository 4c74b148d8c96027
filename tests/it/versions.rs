//! Versions of the future, which would win over every later correction.

use chrono::{TimeDelta, Utc};
use kafka::Cluster;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use tests::broker::{benches, block_on};
use tests::message::{BAR_SCHEMA_ID, bar, encode, send};
use tests::process::{succeed, until};

#[test]
fn a_version_of_the_future_is_a_dead_letter_live_and_in_a_replay_whoever_sets_the_timestamp() {
    for (name, bench) in benches() {
        let cluster = Cluster::new(&bench.brokers, &bench.namespace);
        for timestamp_type in ["LogAppendTime", "CreateTime"] {
            let topic = bench.topic("ohlcv_bar");
            let admin = cluster.client_config("admin").create::<AdminClient<_>>().unwrap();
            let new =
                NewTopic::new(&topic, 1, TopicReplication::Fixed(1)).set("message.timestamp.type", timestamp_type);
            until("the topic is created", || {
                block_on(admin.create_topics([&new], &AdminOptions::new())).unwrap()[0].is_ok()
            });
            until("it is known", || kafka::offsets::end_offsets(&cluster, &topic).is_ok_and(|ends| ends.len() == 1));
            let ahead = |symbol: &str, ahead: TimeDelta| {
                let mut record = bar(symbol, 0, 1.0, 0, 0);
                record.known_at = Utc::now() + ahead;
                (Some(0), None, Some(encode(BAR_SCHEMA_ID, &record.into())))
            };
            let (skewed, future) = (TimeDelta::minutes(4), TimeDelta::hours(47));
            send(
                &bench,
                "ohlcv_bar",
                &[ahead("NOW", TimeDelta::zero()), ahead("SKEWED", skewed), ahead("FUTURE", future)],
            );
            succeed("consumer", &["run", "ohlcv_bar", "--once"], &bench.environment);
            let stored = || bench.query("select symbol from ohlcv_bar order by symbol");
            let text = |text: &str| vec![Some(text.to_owned())];
            assert_eq!(stored(), [text("NOW"), text("SKEWED")], "{timestamp_type} on {name}");
            let letters = bench.query("select error_class from dead_letter");
            assert_eq!(letters, [text("version_bounds")], "{timestamp_type} on {name}");
            let output = succeed("consumer", &["replay", "ohlcv_bar"], &bench.environment);
            assert_eq!(stored(), [text("NOW"), text("SKEWED")], "{timestamp_type} on {name}: {output}");
            succeed("consumer", &["verify", "ohlcv_bar", "--deep"], &bench.environment);
            // For the next round.
            succeed("consumer", &["migrate", "down", "--to", "0", "--yes"], &bench.environment);
            block_on(cluster.delete_topics(&[topic])).unwrap();
        }
    }
}
