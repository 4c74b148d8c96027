//! Publishing against a cluster inside this process.

use chrono::{DateTime, Days, NaiveDate};
use contract::records::OhlcvBar;
use contract::{Decoder, Rows, dataset};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use super::*;

const TOPIC: &str = "test.ohlcv_bar.v1";
/// Number of records; enough for several batches.
const RECORDS: u64 = 1000;

async fn publisher(mock: &MockCluster<'_, DefaultProducerContext>) -> Publisher {
    mock.create_topic(TOPIC, 3, 1).unwrap();
    let cluster = Cluster::new(&mock.bootstrap_servers(), "test");
    Publisher::connect(&cluster, "test", &[dataset("ohlcv_bar").unwrap()]).await.unwrap()
}

fn records() -> Vec<Record> {
    (0..RECORDS).map(|day| Record::from(bar(day))).collect()
}

/// A daily bar of the VIX.
fn bar(day: u64) -> OhlcvBar {
    let trading_date = NaiveDate::default() + Days::new(day);
    OhlcvBar {
        source: "cboe".into(),
        symbol: "VIX".into(),
        bar_interval: "1d".into(),
        ts_start: trading_date.and_time(chrono::NaiveTime::MIN).and_utc(),
        trading_date,
        open: Some(17.96),
        high: Some(18.5),
        low: Some(17.24),
        close: 17.5,
        volume: None,
        adjusted_close: None,
        currency: None,
        known_at: DateTime::UNIX_EPOCH,
        observed_at: DateTime::UNIX_EPOCH,
        flags: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_says_so_in_a_header_and_nothing_else_has_one() {
    let mock = MockCluster::new(1).unwrap();
    let mut publisher = publisher(&mock).await;
    let records = records();
    publisher.publish(&records[0]).await.unwrap();
    publisher.publish(&records[1]).await.unwrap();
    publisher.publish_correction(&records[2]).await.unwrap();
    publisher.flush().await.unwrap();
    let mut config = Cluster::new(&mock.bootstrap_servers(), "test").client_config("reader");
    let consumer: BaseConsumer = config.set("group.id", "reader").create().unwrap();
    let mut assignment = TopicPartitionList::new();
    for partition in 0..3 {
        assignment.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&assignment).unwrap();
    let mut said = Vec::new();
    for _ in 0..3 {
        // All have the same key, and thus their order.
        let message = consumer.poll(Duration::from_secs(30)).unwrap().unwrap();
        let header = message.headers().map(|headers| headers.get_as::<str>(0).unwrap());
        said.push(header.map(|header| (header.key.to_owned(), header.value.unwrap().to_owned())));
    }
    assert_eq!(said, [None, None, Some(("tapedeck-change".to_owned(), "correction".to_owned()))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_flushed_can_be_read_back_under_its_key() {
    let mock = MockCluster::new(1).unwrap();
    let mut publisher = publisher(&mock).await;
    let records = records();
    for record in &records {
        publisher.publish(record).await.unwrap();
    }
    let delivered = publisher.flush().await.unwrap();
    assert_eq!(delivered.records, records.len() as u64);
    assert!(delivered.bytes > 50 * delivered.records, "{delivered:?}");
    assert_eq!(publisher.flush().await, Ok(Delivered::default()));

    let consumer: BaseConsumer = Cluster::new(&mock.bootstrap_servers(), "test")
        .client_config("reader")
        .set("group.id", "reader")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    for partition in 0..3 {
        assignment.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&assignment).unwrap();
    let dataset = dataset("ohlcv_bar").unwrap();
    let decoder = Decoder::new(dataset, &dataset.schema).unwrap();
    let mut rows = Rows::new(dataset);
    let mut partitions = std::collections::HashSet::new();
    let deadline = Instant::now() + Duration::from_secs(30);
    while rows.len() < records.len() {
        assert!(Instant::now() < deadline, "{} of {} records came back", rows.len(), records.len());
        let Some(message) = consumer.poll(Duration::from_secs(1)) else { continue };
        let message = message.unwrap();
        assert_eq!(message.key(), Some(b"cboe|VIX|1d".as_slice()));
        partitions.insert(message.partition());
        let (schema_id, body) = contract::decode::split_header(message.payload().unwrap()).unwrap();
        assert_eq!(schema_id, dataset.schema_id);
        decoder.decode(body, &mut rows).unwrap();
    }
    assert_eq!(partitions.len(), 1, "one key, one partition");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_without_the_right_to_write_fails_the_flush_with_what_to_do() {
    let mock = MockCluster::new(1).unwrap();
    let mut publisher = publisher(&mock).await;
    mock.topic_error(TOPIC, RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED).unwrap();
    let record = &records()[0];
    let outcome = match publisher.publish(record).await {
        Ok(()) => publisher.flush().await.map(drop),
        refused => refused,
    };
    assert!(
        matches!(&outcome, Err(PublishError::Halt(text)) if text.contains("give the user its ACLs")),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_fits_into_no_message_is_told_apart() {
    let mock = MockCluster::new(1).unwrap();
    let mut publisher = publisher(&mock).await;
    let Record::OhlcvBar(mut bar) = records().remove(0) else { panic!() };
    bar.currency = Some("x".repeat(1_100_000).into());
    let outcome = publisher.publish(&Record::OhlcvBar(bar)).await;
    assert!(
        matches!(&outcome, Err(PublishError::Record(text)) if text.contains("more than Kafka accepts")),
        "{outcome:?}"
    );
    assert_eq!(publisher.flush().await, Ok(Delivered::default()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kafka_that_cannot_be_reached_is_named() {
    let cluster = Cluster::new("127.0.0.1:1", "test");
    let error = Publisher::connect(&cluster, "test", &[dataset("ohlcv_bar").unwrap()]).await.unwrap_err();
    assert!(error.to_string().contains("`127.0.0.1:1`"), "{error:#}");
}
