//! Messages put on topics by hand, as another system would.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use contract::records::OhlcvBar;
use contract::{Record, codec};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use service::kafka::Cluster;

use crate::broker::{Bench, block_on};

/// Schema id of `ohlcv_bar` where there is no registry.
pub const BAR_SCHEMA_ID: u32 = 1;

/// A daily bar that breaks no rule; its close says which one it is.
pub fn bar(symbol: &str, day: u32, close: f64, known_at: i64, observed_at: i64) -> OhlcvBar {
    let trading_date = NaiveDate::from_ymd_opt(2024, 1, 1).unwrap() + chrono::Days::new(day.into());
    OhlcvBar {
        source: "test".to_owned(),
        symbol: symbol.to_owned(),
        bar_interval: "1d".to_owned(),
        ts_start: trading_date.and_time(chrono::NaiveTime::MIN).and_utc(),
        trading_date,
        open: Some(close),
        high: Some(close + 1.0),
        low: Some(close - 1.0),
        close,
        volume: Some(1000.0),
        adjusted_close: None,
        currency: Some("USD".to_owned()),
        known_at: at(known_at),
        observed_at: at(observed_at),
        flags: Vec::new(),
    }
}

/// So many seconds after the beginning of 2024.
pub fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_704_067_200 + seconds, 0).unwrap()
}

/// A message as it is on the wire.
pub fn encode(schema_id: u32, record: &Record) -> Vec<u8> {
    let mut message = Vec::new();
    codec::put_header(schema_id, &mut message);
    record.encode(&mut message);
    message
}

/// A message to send: partition, None to go by the key; key; value.
pub type Message = (Option<i32>, Option<Vec<u8>>, Option<Vec<u8>>);

/// Sends messages in that order and waits until all are acknowledged.
pub fn send(bench: &Bench, dataset: &str, messages: &[Message]) {
    let topic = bench.topic(dataset);
    block_on(Cluster::new(&bench.brokers, &bench.namespace).ensure_topics(std::slice::from_ref(&topic))).unwrap();
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &bench.brokers)
        .set("enable.idempotence", "true")
        .set("partitioner", "murmur2_random")
        .create()
        .unwrap();
    for (partition, key, value) in messages {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&topic);
        record.partition = *partition;
        record.key = key.as_deref();
        record.payload = value.as_deref();
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.poll(Duration::ZERO);
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}

/// Sends records, keyed as a producer of ours keys them.
pub fn send_records(bench: &Bench, dataset: &str, records: &[Record]) {
    let message =
        |record: &Record| (None, Some(record.message_key().into_bytes()), Some(encode(BAR_SCHEMA_ID, record)));
    send(bench, dataset, &records.iter().map(message).collect::<Vec<_>>());
}
