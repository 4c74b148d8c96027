//! Records of `ohlcv_bar` as the worst provider would send them, from a seed.
//!
//! The encoder is the test's own; the consumer's decoder reads what it writes.

mod avro;
mod poison;
mod random;

use std::collections::VecDeque;

pub use poison::Poison;
pub use random::Random;

/// Days of each symbol.
const DAYS: usize = 20;
/// Earliest version of the workload: 2024-01-01, in microseconds.
const FIRST_VERSION: i64 = 1_704_067_200_000_000;
/// Symbols of messages that must be refused; none may reach the table.
pub const POISON_SYMBOL: &str = "POISON";

/// Source of the bars that are all refused.
pub const FLOOD_SOURCE: &str = "flood";
/// Such bars in a row, all in one partition: more than begin a quarantine. A consumer counts anew after a restart, so
/// single bars among good ones might never begin one.
const FLOOD: u32 = 100;
/// Messages of a batch that librdkafka cannot expand. One in five is good; the others have 9 MB each.
const BATCH: u32 = 17;
/// A header name that is not UTF-8.
const ODD_NAME: &[u8] = b"\xff\xfe";

/// A bar of the workload.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// The provider.
    pub source: String,
    /// The symbol.
    pub symbol: String,
    /// The interval.
    pub interval: String,
    /// Start in microseconds since 1970.
    pub ts_start: i64,
    /// Date in days since 1970.
    pub trading_date: i32,
    /// Open, high, low.
    pub prices: [Option<f64>; 3],
    /// Close.
    pub close: f64,
    /// Volume and adjusted close.
    pub amounts: [Option<f64>; 2],
    /// Currency.
    pub currency: Option<String>,
    /// `known_at` and `observed_at` in microseconds since 1970.
    pub version: [i64; 2],
}

/// Kind of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Meaning {
    /// Values of a key.
    Bar(Bar),
    /// A deletion; only key and version of the bar count.
    Delete(Bar),
    /// A message that must be refused.
    Poison(Poison),
    /// A bar that must be refused, of a publisher that sends no other.
    Flood,
}

/// A message to send.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// Its number, sent in a header of the test's own.
    pub id: u32,
    /// The partition.
    pub partition: i32,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// Headers. A name need not be UTF-8.
    pub headers: Vec<(&'static [u8], String)>,
    /// Number of the batch that it is sent in, which is too large for librdkafka when it is expanded.
    pub batch: Option<u32>,
    /// Its kind.
    pub meaning: Meaning,
}

/// Size of a workload.
#[derive(Debug, Clone)]
pub struct Size {
    /// Messages.
    pub records: u32,
    /// Natural keys.
    pub keys: usize,
    /// Partitions.
    pub partitions: usize,
    /// Most messages near 1 MB.
    pub large: u32,
    /// Batches that are too large for librdkafka when they are expanded.
    pub batches: u32,
}

impl Size {
    /// The first message of the second half. From it on there are messages that stopped consumers once: giant values, header
    /// names that are not UTF-8, batches that cannot be expanded, and a publisher whose messages are all wrong.
    pub fn half(&self) -> u32 {
        self.records / 2
    }

    /// Whether it is in the second half, and its batch: number and position.
    fn place(&self, id: u32) -> (bool, Option<(u32, u32)>) {
        let Some(late) = id.checked_sub(self.half()) else { return (false, None) };
        let every = (self.records - self.half()) / self.batches.max(1);
        let batch = (late / every, late % every);
        (true, Some(batch).filter(|(number, position)| *number < self.batches && *position < BATCH))
    }
}

/// The latest state of a key.
#[derive(Debug, Clone)]
struct Latest {
    message: Option<(Bar, bool)>,
}

/// An endless sequence of messages, the same for the same seed.
#[derive(Debug)]
pub struct Workload {
    random: Random,
    size: Size,
    cumulated: Vec<f64>,
    keys: Vec<Latest>,
    deleted: VecDeque<usize>,
    next: u32,
    clock: i64,
    poisons: usize,
    large: u32,
    /// Where the present flood goes, and its bars that are still to come.
    flood: (Vec<u8>, u32),
}

impl Workload {
    /// Messages of that size.
    pub fn new(seed: u64, size: Size) -> Workload {
        // Zipf's law with exponent 1.1: few keys take most of the messages.
        let mut sum = 0.0;
        let weight = |rank: usize| {
            sum += (rank as f64).powf(-1.1);
            sum
        };
        Workload {
            random: Random::new(seed),
            cumulated: (1..=size.keys).map(weight).collect(),
            keys: vec![Latest { message: None }; size.keys],
            size,
            deleted: VecDeque::new(),
            next: 0,
            clock: FIRST_VERSION,
            poisons: 0,
            large: 0,
            flood: (Vec::new(), 0),
        }
    }

    fn choose_key(&mut self) -> usize {
        let point = self.random.unit() * self.cumulated.last().unwrap();
        self.cumulated.partition_point(|sum| *sum < point).min(self.keys.len() - 1)
    }

    /// A version that no message had before.
    fn later(&mut self) -> [i64; 2] {
        self.clock += 1 + self.random.below(1_000_000) as i64;
        // Mostly a later `known_at`, sometimes only a later `observed_at`.
        [self.clock - self.clock.rem_euclid(3_000_000), self.clock]
    }

    fn fresh(&mut self, key: usize, version: [i64; 2]) -> Bar {
        let close = (self.random.below(1_000_000) as f64) / 64.0 + 1.0;
        let swing = self.random.unit();
        // Most messages have keys of different symbols, so they go to different partitions.
        let symbols = self.keys.len().div_ceil(DAYS);
        let day = 19_723 + (key / symbols) as i32;
        let mut bar = Bar {
            source: "torture".to_owned(),
            symbol: format!("S{:05}", key % symbols),
            interval: "1d".to_owned(),
            ts_start: i64::from(day) * 86_400_000_000,
            trading_date: day,
            prices: [Some(close), Some(close + swing), Some(close - swing)],
            close,
            amounts: [Some(self.random.below(1 << 30) as f64), None],
            currency: Some("USD".to_owned()),
            version,
        };
        match self.random.below(200) {
            0 => bar.prices = [None; 3],
            // Breaks expectations, no rule.
            1 => bar.prices[0] = Some(close + swing + 1.0),
            2 => bar.prices[0] = Some(close - swing - 1.0),
            3 => bar.amounts = [Some(-0.0), Some(close / 3.0)],
            4 => bar.close = bar.prices[2].unwrap() - 2.0,
            _ => {}
        }
        self.boundary(&mut bar);
        bar
    }

    /// Half a percent of the values lie at a bound of the allowed range.
    fn boundary(&mut self, bar: &mut Bar) {
        match self.random.below(1_400) {
            0 => bar.amounts[1] = Some(f64::MAX),
            1 => bar.amounts[1] = Some(f64::MIN_POSITIVE / 2.0),
            2 => bar.currency = Some(String::new()),
            3 => bar.currency = None,
            4 => bar.currency = Some("¤ \u{1f4c8} ' \" \\ | \t".to_owned()),
            5 => bar.trading_date = [-106_751, 106_750][self.random.below(2)],
            6 if self.large < self.size.large => {
                self.large += 1;
                bar.currency = Some("x".repeat(990_000));
            }
            _ => {}
        }
    }

    /// The next message of a key.
    fn meaning(&mut self, is_late: bool) -> Meaning {
        if self.flood.1 > 0 {
            return Meaning::Flood;
        }
        if is_late && self.random.below(2_000) == 0 {
            self.flood = (avro::key(&self.some_bar()), FLOOD);
            return Meaning::Flood;
        }
        let key = self.choose_key();
        let kind = self.random.below(1_000);
        if kind < 15 {
            self.poisons += 1;
            let kinds = poison::ALL.len() - if is_late { 0 } else { poison::LATE };
            return Meaning::Poison(poison::ALL[(self.poisons - 1) % kinds]);
        }
        let Some((latest, is_deleted)) = self.keys[key].message.clone() else {
            return self.new_version(key);
        };
        match kind {
            15..115 if is_deleted => Meaning::Delete(latest),
            15..115 => Meaning::Bar(latest),
            115..215 => self.stale(key, &latest),
            // The same version, other values.
            215..255 => Meaning::Bar(self.fresh(key, latest.version)),
            255..275 if !is_deleted => self.delete(key),
            275..295 if !self.deleted.is_empty() => {
                let key = self.deleted.pop_front().unwrap();
                self.new_version(key)
            }
            _ => self.new_version(key),
        }
    }

    fn new_version(&mut self, key: usize) -> Meaning {
        let version = self.later();
        let bar = self.fresh(key, version);
        self.keys[key].message = Some((bar.clone(), false));
        Meaning::Bar(bar)
    }

    fn delete(&mut self, key: usize) -> Meaning {
        let version = self.later();
        let bar = self.fresh(key, version);
        self.keys[key].message = Some((bar.clone(), true));
        self.deleted.push_back(key);
        Meaning::Delete(bar)
    }

    /// A version before the latest: a value, or a late deletion.
    fn stale(&mut self, key: usize, latest: &Bar) -> Meaning {
        let [known_at, observed_at] = latest.version;
        let back = 1 + self.random.below(40_000_000) as i64;
        let version =
            if self.random.below(2) == 0 { [known_at, observed_at - back] } else { [known_at - back, observed_at] };
        let bar = self.fresh(key, version);
        if self.random.below(10) == 0 { Meaning::Delete(bar) } else { Meaning::Bar(bar) }
    }
}

impl Iterator for Workload {
    type Item = Sent;

    fn next(&mut self) -> Option<Sent> {
        let id = self.next;
        self.next += 1;
        let (is_late, batch) = self.size.place(id);
        let meaning = match batch {
            Some((_, position)) if position % 5 != 0 => Meaning::Poison(Poison::GiantValue),
            Some(_) => {
                let key = self.choose_key();
                self.new_version(key)
            }
            None => self.meaning(is_late),
        };
        let Wire { home, key, value, headers } = self.wire(&meaning, is_late);
        // A series stays in its partition; one message in fifty goes elsewhere, as after partitions were added.
        let partition = match batch {
            Some((number, _)) => number as usize % self.size.partitions,
            None if self.random.below(50) == 0 => self.random.below(self.size.partitions),
            None => avro::spread(&home) as usize % self.size.partitions,
        };
        let batch = batch.map(|(number, _)| number);
        Some(Sent { id, partition: partition as i32, key, value, headers, batch, meaning })
    }
}

/// A message without its place on the topic.
struct Wire {
    /// The key by which its partition is chosen.
    home: Vec<u8>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(&'static [u8], String)>,
}

impl Workload {
    fn wire(&mut self, meaning: &Meaning, is_late: bool) -> Wire {
        let bar = |bar: &Bar| Wire {
            home: avro::key(bar),
            key: Some(avro::key(bar)),
            value: Some(avro::message(bar)),
            headers: Vec::new(),
        };
        match meaning {
            Meaning::Bar(good) => {
                let is_odd = is_late && self.random.below(100) == 0;
                Wire { headers: is_odd.then(odd_header).into_iter().collect(), ..bar(good) }
            }
            Meaning::Delete(good) => Wire { value: None, headers: avro::delete_headers(good), ..bar(good) },
            Meaning::Poison(poison) => {
                // Spread among good keys: much poison in one partition would trip the consumers' breaker.
                let good = self.some_bar();
                let (key, value) = poison.message(Bar { symbol: POISON_SYMBOL.to_owned(), ..good.clone() });
                let headers = (*poison == Poison::OddHeaderName).then(odd_header).into_iter().collect();
                Wire { home: avro::key(&good), key, value, headers }
            }
            Meaning::Flood => {
                let good = self.some_bar();
                let source = FLOOD_SOURCE.to_owned();
                self.flood.1 -= 1;
                let home = self.flood.0.clone();
                Wire { home, ..bar(&Bar { source, interval: "7d".to_owned(), ..good }) }
            }
        }
    }

    /// A bar of any key, which is not sent as it is.
    fn some_bar(&mut self) -> Bar {
        let key = self.choose_key();
        self.fresh(key, [self.clock; 2])
    }
}

fn odd_header() -> (&'static [u8], String) {
    (ODD_NAME, "1".to_owned())
}
