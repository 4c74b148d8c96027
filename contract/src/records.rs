// Generated from schemas/*.avsc: `UPDATE=1 cargo test --release` writes it anew. Do not edit.

//! The record type of each dataset.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use crate::codec::{put_bytes, put_double, put_long, put_optional, put_texts};
use crate::topic::put_key_part;

/// Day 0 of Avro's dates.
const EPOCH: NaiveDate = NaiveDate::from_ymd_opt(1970, 1, 1).expect("a date");

fn put_date(date: NaiveDate, out: &mut Vec<u8>) {
    put_long(date.signed_duration_since(EPOCH).num_days(), out);
}

fn put_timestamp(timestamp: DateTime<Utc>, out: &mut Vec<u8>) {
    put_long(timestamp.timestamp_micros(), out);
}

/// The declarations, as in `schemas/`.
pub(crate) const DECLARATIONS: &[&str] = &[
    include_str!("../../schemas/dead_letter.avsc"),
    include_str!("../../schemas/observation.avsc"),
    include_str!("../../schemas/ohlcv_bar.avsc"),
    include_str!("../../schemas/series.avsc"),
];

/// A record of any dataset.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Record {
    /// A record of `dead_letter`.
    DeadLetter(DeadLetter),
    /// A record of `observation`.
    Observation(Observation),
    /// A record of `ohlcv_bar`.
    OhlcvBar(OhlcvBar),
    /// A record of `series`.
    Series(Series),
}

impl Record {
    /// Name of its dataset.
    pub fn dataset(&self) -> &'static str {
        match self {
            Record::DeadLetter(_) => "dead_letter",
            Record::Observation(_) => "observation",
            Record::OhlcvBar(_) => "ohlcv_bar",
            Record::Series(_) => "series",
        }
    }

    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Record::DeadLetter(record) => record.encode(out),
            Record::Observation(record) => record.encode(out),
            Record::OhlcvBar(record) => record.encode(out),
            Record::Series(record) => record.encode(out),
        }
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        match self {
            Record::DeadLetter(record) => record.message_key(),
            Record::Observation(record) => record.message_key(),
            Record::OhlcvBar(record) => record.message_key(),
            Record::Series(record) => record.message_key(),
        }
    }
}

/// A refused record, with the reason and where it came from: a row that a producer could not read, or a message that a consumer could not store.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeadLetter {
    /// Who refused it: a provider's name (producer, stage `parse`) or a consumer group (all other stages).
    pub source: String,
    /// The coordinate `topic/incarnation/partition/offset` of a message, or `endpoint/item/hash of the fragment` of a provider's row; the same refusal again has the same id.
    pub dead_letter_id: String,
    /// Where it was refused: `parse` (provider's row), `decode` (wire format), `validate` (a rule), `store` (the database).
    pub stage: String,
    /// Kind of the failure, for counting by cause, e.g. `truncated`, `rule`, `unknown_schema`.
    pub error_class: String,
    /// The database's five-character code; null unless the database refused it.
    pub sqlstate: Option<String>,
    /// One line for a person: what is wrong with it.
    pub reason: String,
    /// Dataset it was meant for.
    pub dataset: String,
    /// Topic of the message; null for a provider's row.
    pub kafka_topic: Option<String>,
    /// How often the topic had been recreated or truncated before, counted by the consumer; null for a provider's row.
    pub kafka_incarnation: Option<i64>,
    /// Partition of the message; null for a provider's row.
    pub kafka_partition: Option<i64>,
    /// Offset of the message; null for a provider's row.
    pub kafka_offset: Option<i64>,
    /// Kafka's timestamp of the message in milliseconds since 1970; null for a provider's row.
    pub record_timestamp_ms: Option<i64>,
    /// Key bytes of the message as they were; null when it had none.
    pub record_key: Option<Vec<u8>>,
    /// Value bytes of the message as they were, or the raw fragment of the provider's row; null for a tombstone.
    pub record_value: Option<Vec<u8>>,
    /// Headers of the message, each as name length, name, value length, value (4-byte big-endian lengths, -1 for a null value); null when it had none.
    pub record_headers: Option<Vec<u8>>,
    /// When it was refused.
    pub known_at: DateTime<Utc>,
    /// When it was refused.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<DeadLetter> for Record {
    fn from(record: DeadLetter) -> Record {
        Record::DeadLetter(record)
    }
}

impl DeadLetter {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.dead_letter_id.as_bytes(), out);
        put_bytes(self.stage.as_bytes(), out);
        put_bytes(self.error_class.as_bytes(), out);
        put_optional(self.sqlstate.as_deref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_bytes(self.reason.as_bytes(), out);
        put_bytes(self.dataset.as_bytes(), out);
        put_optional(self.kafka_topic.as_deref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.kafka_incarnation, out, put_long);
        put_optional(self.kafka_partition, out, put_long);
        put_optional(self.kafka_offset, out, put_long);
        put_optional(self.record_timestamp_ms, out, put_long);
        put_optional(self.record_key.as_deref(), out, put_bytes);
        put_optional(self.record_value.as_deref(), out, put_bytes);
        put_optional(self.record_headers.as_deref(), out, put_bytes);
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.dead_letter_id, &mut key);
        key
    }
}

/// The current value of an economic series for one period.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Observation {
    /// Provider the record was received from, e.g. `fred`.
    pub source: String,
    /// The provider's identifier of the series, e.g. `GDP`.
    pub series_id: String,
    /// First day of the period the value is for; may lie in the future (projections).
    pub observation_date: NaiveDate,
    /// The value in the series' `units`; null where the provider says there is none (FRED's `.`), which can also take a value back.
    pub value: Option<f64>,
    /// When the provider last updated the series' data (`Last-Modified`), else the time of receipt; never FRED's default `realtime_start`, which is a cache artefact.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<Observation> for Record {
    fn from(record: Observation) -> Record {
        Record::Observation(record)
    }
}

impl Observation {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.series_id.as_bytes(), out);
        put_date(self.observation_date, out);
        put_optional(self.value, out, put_double);
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.series_id, &mut key);
        key
    }
}

/// Open, high, low, close and volume of one instrument over one interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OhlcvBar {
    /// Provider the record was received from, e.g. `yahoo`.
    pub source: String,
    /// The provider's symbol, e.g. `AAPL`, `^GSPC`, `VIX`.
    pub symbol: String,
    /// Length of the bar: `1m` to `90m`, `1h`, `1d`, `5d`, `1wk`, `1mo`, `3mo`.
    pub bar_interval: String,
    /// Inclusive start of the bar. A bar of a day or longer starts at 00:00 of its first trading date in the exchange's time zone.
    pub ts_start: DateTime<Utc>,
    /// Session date in the exchange's time zone; the first one of a bar longer than a day.
    pub trading_date: NaiveDate,
    /// First price, in `currency` or index points; null where the provider publishes closes only.
    pub open: Option<f64>,
    /// Highest price; null as `open`.
    pub high: Option<f64>,
    /// Lowest price; null as `open`.
    pub low: Option<f64>,
    /// Last price, adjusted for splits where the provider adjusts (Yahoo).
    pub close: f64,
    /// Units traded; null where there is no such thing (indexes).
    pub volume: Option<f64>,
    /// Close adjusted for splits and dividends as of the time of receipt; rewritten by every later dividend; null where not published.
    pub adjusted_close: Option<f64>,
    /// The provider's currency code, e.g. `USD`, `GBp` (pence); null for index points.
    pub currency: Option<String>,
    /// When the provider made the value public: `Last-Modified` of a file (cboe), else the time of receipt (yahoo).
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<OhlcvBar> for Record {
    fn from(record: OhlcvBar) -> Record {
        Record::OhlcvBar(record)
    }
}

impl OhlcvBar {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.symbol.as_bytes(), out);
        put_bytes(self.bar_interval.as_bytes(), out);
        put_timestamp(self.ts_start, out);
        put_date(self.trading_date, out);
        put_optional(self.open, out, put_double);
        put_optional(self.high, out, put_double);
        put_optional(self.low, out, put_double);
        put_double(self.close, out);
        put_optional(self.volume, out, put_double);
        put_optional(self.adjusted_close, out, put_double);
        put_optional(self.currency.as_deref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.symbol, &mut key);
        put_key_part(&self.bar_interval, &mut key);
        key
    }
}

/// An economic series: what its observations mean.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// Provider the record was received from, e.g. `fred`.
    pub source: String,
    /// The provider's identifier of the series, e.g. `GDP`.
    pub series_id: String,
    /// Title as published.
    pub title: String,
    /// How often a value is published, as the provider says it, e.g. `Quarterly`.
    pub frequency: String,
    /// Unit of the observations, as the provider says it, e.g. `Billions of Dollars`.
    pub units: String,
    /// Whether and how the values are seasonally adjusted, e.g. `Seasonally Adjusted Annual Rate`.
    pub seasonal_adjustment: String,
    /// First period the provider says it covers; earlier periods without a value may be served all the same.
    pub first_observation_date: NaiveDate,
    /// Last period covered.
    pub last_observation_date: NaiveDate,
    /// The provider's popularity score, 0 to 100; null where it has none.
    pub popularity: Option<i64>,
    /// Free text, may hold line breaks and quotes; null when absent.
    pub notes: Option<String>,
    /// The provider's `last_updated`: when data or description last changed.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<Series> for Record {
    fn from(record: Series) -> Record {
        Record::Series(record)
    }
}

impl Series {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.series_id.as_bytes(), out);
        put_bytes(self.title.as_bytes(), out);
        put_bytes(self.frequency.as_bytes(), out);
        put_bytes(self.units.as_bytes(), out);
        put_bytes(self.seasonal_adjustment.as_bytes(), out);
        put_date(self.first_observation_date, out);
        put_date(self.last_observation_date, out);
        put_optional(self.popularity, out, put_long);
        put_optional(self.notes.as_deref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.series_id, &mut key);
        key
    }
}
