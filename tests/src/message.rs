//! Messages put on topics by hand, as another system would.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use contract::records::OhlcvBar;
use contract::{Record, declarations, encode};
use kafka::Cluster;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::broker::{Bench, block_on};

/// Schema id of `ohlcv_bar` where there is no registry.
pub const BAR_SCHEMA_ID: u32 = declarations::FIRST_SCHEMA_ID + 1;

/// A daily bar that breaks no rule; its close identifies it.
pub fn bar(symbol: &str, day: u32, close: f64, known_at: i64, observed_at: i64) -> OhlcvBar {
    let trading_date = NaiveDate::from_ymd_opt(2024, 1, 1).unwrap() + chrono::Days::new(day.into());
    OhlcvBar {
        source: "test".into(),
        symbol: symbol.into(),
        bar_interval: "1d".into(),
        ts_start: trading_date.and_time(chrono::NaiveTime::MIN).and_utc(),
        trading_date,
        open: Some(close),
        high: Some(close + 1.0),
        low: Some(close - 1.0),
        close,
        volume: Some(1000.0),
        adjusted_close: None,
        currency: Some("USD".into()),
        known_at: at(known_at),
        observed_at: at(observed_at),
        flags: Vec::new(),
    }
}

/// A time, in seconds since the start of 2024.
pub fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_704_067_200 + seconds, 0).unwrap()
}

/// A message as it is on the wire.
pub fn encode(schema_id: u32, record: &Record) -> Vec<u8> {
    let mut message = Vec::new();
    encode::put_header(schema_id, &mut message);
    record.encode(&mut message);
    message
}

/// A message to send: partition (None: by key), key, value.
pub type Message = (Option<i32>, Option<Vec<u8>>, Option<Vec<u8>>);

/// Sends messages in order and waits for all acknowledgements.
pub fn send(bench: &Bench, dataset: &str, messages: &[Message]) {
    let topic = bench.topic(dataset);
    block_on(Cluster::new(&bench.brokers, &bench.namespace).ensure_topics(std::slice::from_ref(&topic))).unwrap();
    let producer = producer(bench);
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
    let schema_id = contract::dataset(dataset).unwrap().schema_id;
    let message = |record: &Record| (None, Some(record.message_key().into_bytes()), Some(encode(schema_id, record)));
    send(bench, dataset, &records.iter().map(message).collect::<Vec<_>>());
}

/// A message as tapedeck publishes it: key, value, headers of a deletion.
pub type Published = (String, Option<Vec<u8>>, Vec<(&'static str, String)>);

/// A bar as a producer publishes it.
pub fn insertion(bar: &OhlcvBar) -> Published {
    (bar.message_key(), Some(encode(BAR_SCHEMA_ID, &Record::from(bar.clone()))), Vec::new())
}

/// The deletion of a bar's key, as of the bar's version.
pub fn deletion(bar: &OhlcvBar) -> Published {
    let dataset = contract::dataset("ohlcv_bar").unwrap();
    let mut body = Vec::new();
    bar.encode(&mut body);
    let mut rows = contract::Rows::new(dataset);
    contract::Decoder::new(dataset, &dataset.schema).unwrap().decode(&body, &mut rows).unwrap();
    let (key, headers) = contract::tombstone::encode(dataset, &rows, 0, bar.known_at, bar.observed_at);
    (key, None, headers)
}

/// Publishes in order and waits for all acknowledgements.
pub fn publish(bench: &Bench, dataset: &str, messages: &[Published]) {
    Publisher::new(bench, dataset).publish(messages);
}

/// Publishes to a topic again and again.
#[expect(missing_debug_implementations, reason = "only the test harness holds it")]
pub struct Publisher {
    topic: String,
    producer: BaseProducer,
}

impl Publisher {
    /// Creates the topic if it is not there.
    pub fn new(bench: &Bench, dataset: &str) -> Publisher {
        let topic = bench.topic(dataset);
        block_on(Cluster::new(&bench.brokers, &bench.namespace).ensure_topics(std::slice::from_ref(&topic))).unwrap();
        Publisher { topic, producer: producer(bench) }
    }

    /// Publishes in order and waits for all acknowledgements.
    pub fn publish(&self, messages: &[Published]) {
        for (key, value, headers) in messages {
            let headers = headers.iter().fold(OwnedHeaders::new(), |headers, (name, value)| {
                headers.insert(Header { key: name, value: Some(value) })
            });
            let mut record: BaseRecord<'_, str, [u8]> = BaseRecord::to(&self.topic).key(key.as_str()).headers(headers);
            record.payload = value.as_deref();
            self.producer.send(record).map_err(|(error, _)| error).unwrap();
            self.producer.poll(Duration::ZERO);
        }
        self.producer.flush(Duration::from_secs(60)).unwrap();
    }
}

fn producer(bench: &Bench) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &bench.brokers).set("enable.idempotence", "true");
    config.set("partitioner", "murmur2_random").create().unwrap()
}
