//! Computes what the tables must hold, from the topic and the log of acknowledgements. It uses none of the consumer's
//! code: the consumer's decoder, fold, hash and SQL are under test.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Headers as _;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::workload::{Bar, Meaning, Poison, Sent};

/// Header that carries a message's number.
pub const ID_HEADER: &str = "test-id";
/// Hash of a deleted row: above all others, so that a deletion wins a tie.
pub const DELETED_HASH: i64 = i64::MAX;
/// Longest wait for one message of the topic.
const PATIENCE: Duration = Duration::from_secs(30);

/// A message that Kafka has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ack {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// The message's number.
    pub id: u32,
}

/// A message on the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Where, and its number.
    pub at: Ack,
    /// Hash of key and value.
    pub fingerprint: u64,
}

/// Rows of the table by key.
pub type Key = (String, String, String, i64);

/// A row without its key.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// `known_at`, `observed_at`, `content_hash`.
    pub version: (i64, i64, i64),
    /// True if deleted.
    pub is_deleted: bool,
    /// Days since 1970.
    pub trading_date: Option<i32>,
    /// Open, high, low, close, volume, adjusted close.
    pub numbers: [Option<f64>; 6],
    /// Currency.
    pub currency: Option<String>,
    /// Expectations that it breaks.
    pub flags: Vec<String>,
}

/// A dead letter by its coordinate: class, key and value.
pub type Dead = (String, Option<Vec<u8>>, Option<Vec<u8>>);

/// The expected state.
#[derive(Debug, Default)]
pub struct Oracle {
    /// The table.
    pub rows: BTreeMap<Key, Row>,
    /// The dead letters by partition and offset.
    pub dead_letters: BTreeMap<(i32, i64), Dead>,
    /// Refused messages of the publisher that sends no others: each is a dead letter, or its coordinate is kept.
    pub flood: BTreeMap<(i32, i64), Dead>,
    /// Messages by partition.
    pub counts: BTreeMap<i32, i64>,
    /// Kinds of poison that were sent.
    pub poisons: BTreeSet<Poison>,
    /// Messages that are on the topic more than once.
    pub copies: usize,
    /// Errors of the topic itself.
    pub violations: Vec<String>,
}

impl Oracle {
    /// Compares acknowledgements with the topic and computes what the tables must hold.
    pub fn new(acks: &[Ack], mut seen: Vec<Seen>, sent: impl Iterator<Item = Sent>) -> Oracle {
        let mut oracle = Oracle::default();
        let on_topic: BTreeSet<Ack> = seen.iter().map(|seen| seen.at).collect();
        let lost: Vec<&Ack> = acks.iter().filter(|ack| !on_topic.contains(ack)).collect();
        if let Some(first) = lost.first() {
            oracle
                .violations
                .push(format!("{} acknowledged messages are not on the topic, e.g. {first:?}", lost.len()));
        }
        for seen in &seen {
            *oracle.counts.entry(seen.at.partition).or_default() += 1;
        }
        seen.sort_unstable_by_key(|seen| seen.at.id);
        let mut rest = seen.as_slice();
        for sent in sent {
            let copies = rest.iter().take_while(|seen| seen.at.id == sent.id).count();
            let (these, others) = rest.split_at(copies);
            rest = others;
            oracle.copies += copies.saturating_sub(1);
            let fingerprint = fingerprint(sent.key.as_deref(), sent.value.as_deref());
            if let Some(other) = these.iter().find(|seen| seen.fingerprint != fingerprint) {
                oracle
                    .violations
                    .push(format!("message {} is not on the topic as it was sent: {:?}", sent.id, other.at));
            }
            for seen in these {
                oracle.take(&sent, seen.at);
            }
        }
        if let Some(first) = rest.first() {
            oracle.violations.push(format!("{} messages on the topic were never sent, e.g. {first:?}", rest.len()));
        }
        oracle
    }

    fn take(&mut self, sent: &Sent, at: Ack) {
        let (bar, row) = match &sent.meaning {
            Meaning::Bar(bar) => (bar, row(bar)),
            Meaning::Delete(bar) => (bar, deleted(bar)),
            Meaning::Poison(poison) => {
                self.poisons.insert(*poison);
                let value = sent.value.clone().filter(|_| poison.is_kept());
                let dead = (poison.class().to_owned(), sent.key.clone(), value);
                self.dead_letters.insert((at.partition, at.offset), dead);
                return;
            }
            Meaning::Flood => {
                let dead = ("rule".to_owned(), sent.key.clone(), sent.value.clone());
                self.flood.insert((at.partition, at.offset), dead);
                return;
            }
        };
        let key = (bar.source.clone(), bar.symbol.clone(), bar.interval.clone(), bar.ts_start);
        let best = self.rows.entry(key).or_insert_with(|| row.clone());
        if row.version > best.version {
            *best = row;
        }
    }
}

fn row(bar: &Bar) -> Row {
    let [open, high, low] = bar.prices;
    let [volume, adjusted_close] = bar.amounts;
    let numbers = [open, high, low, Some(bar.close), volume, adjusted_close];
    // A hash that equals a deletion's is stored as one less.
    let hash = content_hash(bar.trading_date, &numbers, bar.currency.as_deref()).min(DELETED_HASH - 1);
    Row {
        version: (bar.version[0], bar.version[1], hash),
        is_deleted: false,
        trading_date: Some(bar.trading_date),
        numbers,
        currency: bar.currency.clone(),
        flags: broken_expectations(bar),
    }
}

fn deleted(bar: &Bar) -> Row {
    Row {
        version: (bar.version[0], bar.version[1], DELETED_HASH),
        is_deleted: true,
        trading_date: None,
        numbers: [None; 6],
        currency: None,
        flags: Vec::new(),
    }
}

/// The documented rule: XXH3 over the values that are not null, in the order of the XXH3 of their fields' names. Each is
/// that hash of the name, a letter for its kind, its length in 8 bytes, and its bytes, all little-endian; `-0.0` counts
/// as `0.0`.
fn content_hash(trading_date: i32, numbers: &[Option<f64>; 6], currency: Option<&str>) -> i64 {
    let mut values = vec![("trading_date", b'y', trading_date.to_le_bytes().to_vec())];
    let names = ["open", "high", "low", "close", "volume", "adjusted_close"];
    for (name, number) in names.into_iter().zip(numbers) {
        let plain = number.map(|number| if number == 0.0 { 0.0f64 } else { number });
        values.extend(plain.map(|number| (name, b'd', number.to_le_bytes().to_vec())));
    }
    values.extend(currency.map(|currency| ("currency", b't', currency.as_bytes().to_vec())));
    values.sort_by_key(|(name, ..)| xxh3_64(name.as_bytes()));
    let mut bytes = Vec::new();
    for (name, kind, value) in values {
        bytes.extend(xxh3_64(name.as_bytes()).to_le_bytes());
        bytes.push(kind);
        bytes.extend((value.len() as u64).to_le_bytes());
        bytes.extend(value);
    }
    xxh3_64(&bytes).cast_signed()
}

fn broken_expectations(bar: &Bar) -> Vec<String> {
    let [open, high, low] = bar.prices;
    let close = Some(bar.close);
    let above = |left: Option<f64>, right: Option<f64>| left.zip(right).is_some_and(|(left, right)| left > right);
    let broken = [
        (above(low, open), "low <= open"),
        (above(low, close), "low <= close"),
        (above(open, high), "high >= open"),
        (above(close, high), "high >= close"),
    ];
    broken.iter().filter(|(is_broken, _)| *is_broken).map(|(_, name)| (*name).to_owned()).collect()
}

/// Hash of a message's key and value.
pub fn fingerprint(key: Option<&[u8]>, value: Option<&[u8]>) -> u64 {
    let mut state = Xxh3::new();
    for part in [key, value] {
        state.update(&part.map_or(-1, |part| part.len() as i64).to_le_bytes());
        state.update(part.unwrap_or_default());
    }
    state.digest()
}

/// End of each partition of a topic.
pub fn ends(brokers: &str, topic: &str, partitions: i32) -> BTreeMap<i32, i64> {
    let consumer = plain_consumer(brokers, "test-oracle");
    let end = |partition| (partition, consumer.fetch_watermarks(topic, partition, PATIENCE).unwrap().1);
    (0..partitions).map(end).collect()
}

/// All messages of a topic, read by a plain consumer.
pub fn read_topic(brokers: &str, topic: &str, ends: &BTreeMap<i32, i64>) -> Vec<Seen> {
    let consumer = plain_consumer(brokers, "test-oracle");
    let mut assignment = TopicPartitionList::new();
    for partition in ends.keys() {
        assignment.add_partition_offset(topic, *partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&assignment).unwrap();
    let total: i64 = ends.values().sum();
    let mut seen = Vec::with_capacity(total as usize);
    while (seen.len() as i64) < total {
        let message = consumer.poll(PATIENCE).expect("the topic has more").unwrap();
        let id = message.headers().and_then(|headers| headers.iter().find(|header| header.key == ID_HEADER)?.value);
        let id = std::str::from_utf8(id.expect("every message has its number")).unwrap().parse().unwrap();
        let at = Ack { partition: message.partition(), offset: message.offset(), id };
        seen.push(Seen { at, fingerprint: fingerprint(message.key(), message.payload()) });
    }
    seen
}

/// Kafka's offsets of a group, by partition.
pub fn group_offsets(brokers: &str, group: &str, topic: &str, partitions: i32) -> BTreeMap<i32, i64> {
    let consumer = plain_consumer(brokers, group);
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition(topic, partition);
    }
    let committed = consumer.committed_offsets(list, PATIENCE).unwrap();
    let offset = |partition: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match partition.offset() {
        Offset::Offset(offset) => Some((partition.partition(), offset)),
        _ => None,
    };
    committed.elements().iter().filter_map(offset).collect()
}

/// A consumer outside of any group's assignment.
pub fn plain_consumer(brokers: &str, group: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        // Batches that our consumers read aside.
        .set("receive.message.max.bytes", "1500000000")
        .create()
        .unwrap()
}
