use std::time::Duration;

use contract::Record;
use rdkafka::mocking::MockCluster;
use sources::fixture;
use sources::source;

use super::*;
use crate::published::index::Change;

#[test]
fn records_before_the_last_one_on_kafka_are_there_too() {
    let bars = fixture::parse(source("cboe").unwrap(), "index_history", "SKEW.csv").unwrap().records;
    let with = |at: usize, close: f64| {
        let Record::OhlcvBar(mut bar) = bars[at].clone() else { panic!() };
        bar.close = close;
        Record::OhlcvBar(bar)
    };
    let message = |record: &Record| {
        let mut body = Vec::new();
        record.encode(&mut body);
        let key = Fingerprints::new(None).of(record).unwrap().key;
        (key, Message { dataset: "ohlcv_bar".to_owned(), body })
    };
    let recovered = Recovered::new([message(&with(0, 2.0)), message(&with(1, 9.0))]);
    let filtered = |records: Vec<Record>| Filtered {
        records: records.into_iter().map(|record| (record, Change::Insert)).collect(),
        ..Filtered::default()
    };
    // One bar three times, two of them on Kafka; one bar with another value on Kafka; one bar that Kafka lacks.
    let mut first = filtered(vec![with(0, 1.0), with(1, 1.0)]);
    let mut second = filtered(vec![with(0, 2.0), with(0, 3.0), with(2, 1.0)]);
    recovered.mark([&mut second, &mut first].into_iter());
    assert_eq!((first.published, second.published), ([0].into(), [0].into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kafka_without_the_topics_has_lost_them() {
    let mock = MockCluster::new(1).unwrap();
    let cluster = Cluster::new(&mock.bootstrap_servers(), "test");
    let mark = Mark { topic: "elsewhere.series.v1".to_owned(), partition: 0, end: 1, recorded: 1 };
    let found = tokio::time::timeout(
        Duration::from_secs(60),
        tokio::task::spawn_blocking(move || look_now("fred|", &cluster, &[], &[mark], false)),
    );
    assert!(matches!(found.await.unwrap().unwrap().unwrap(), Found::Lost(_)));
}
