//! A topic, and what its records say: the oracle keeps all of them and answers by trying each version.

use std::array::from_fn;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use contract::rows::Value;
use contract::{Dataset, Decimal};
use tests::workload::Random;

/// Records of a topic.
const RECORDS: usize = 150;
/// The datasets in turn: bars, values of series, dividends.
pub(super) const DATASETS: [&str; 3] = ["ohlcv_bar", "observation", "corporate_action"];
pub(super) const PARTITIONS: usize = 3;
/// The keys' names. The first and the last are shares in New York.
pub(super) const NAMES: [&str; 6] = ["KA", "K1", "K2", "K3", "KE", "KF.B"];
/// The bars: interval, minute in which it starts, minute from which it is assumed to be known.
///
/// Clocks in New York change on the day of the first and the last, so it is 15 hours from midnight to the close. A bar that
/// does not start at midnight has no session.
const BARS: [(&str, i64, Option<i64>); 6] = [
    ("1d", -896, Some(4)),
    ("1d", -1433, Some(7)),
    ("1m", 1, Some(2)),
    ("5d", 0, None),
    ("1d", -1438, Some(2)),
    ("1d", -896, Some(4)),
];
/// 2024-03-10, the ex-date of the dividends, in days since 1970.
const EX_DATE: i32 = 19_792;
/// By value: the date of a dividend's declaration, and the minute from which it is assumed to be known.
const DIVIDENDS: [(Option<i32>, i64); 4] =
    [(None, 4), (Some(EX_DATE - 2), -1436), (Some(EX_DATE - 1), 4), (Some(EX_DATE), 1444)];

/// A record of the topic; times are minutes after [`start`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Record {
    pub(super) key: usize,
    pub(super) known: i64,
    pub(super) observed: i64,
    /// None: the key is deleted.
    pub(super) value: Option<i64>,
}

/// What a cut asks.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) known: i64,
    pub(super) observed: Option<i64>,
    pub(super) next: Option<[i64; PARTITIONS]>,
    pub(super) assume: bool,
}

/// Key, known, observed, hash.
pub(super) type Version = (usize, i64, i64, i64);

/// Partition and offset.
pub(super) type At = (usize, i64);

/// A row of an answer: key, value, known and observed, basis.
pub(super) type Row = (usize, i64, i64, i64, String);

/// A topic by partition, and the hashes of the values as a database computes them.
#[derive(Clone)]
pub(super) struct Oracle {
    pub(super) dataset: &'static Dataset,
    pub(super) partitions: [Vec<Record>; PARTITIONS],
    pub(super) hashes: BTreeMap<Option<i64>, i64>,
}

/// The time from which the minutes of a dataset count, in seconds since 1970.
pub(super) fn start(dataset: &Dataset) -> i64 {
    match dataset.name.as_str() {
        // 2024-03-10T19:56:00Z
        "ohlcv_bar" => 1_710_100_560,
        // 2024-03-10T11:56:00Z
        "corporate_action" => 1_710_071_760,
        _ => 1_704_067_200,
    }
}

pub(super) fn time(dataset: &Dataset, minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(start(dataset) + minutes * 60, 0).unwrap()
}

impl Oracle {
    /// A topic with random records.
    pub(super) fn new(dataset: &'static Dataset, random: &mut Random) -> Oracle {
        Oracle { dataset, partitions: topic(random), hashes: BTreeMap::new() }
    }

    /// The same records, in another order and in other partitions.
    pub(super) fn permuted(&self, random: &mut Random) -> Oracle {
        let mut records: Vec<Record> = self.partitions.iter().flatten().copied().collect();
        let mut partitions: [Vec<Record>; PARTITIONS] = Default::default();
        while !records.is_empty() {
            let record = records.swap_remove(random.below(records.len()));
            partitions[random.below(PARTITIONS)].push(record);
        }
        Oracle { partitions, ..self.clone() }
    }

    /// The distinct versions of a key with their lowest places; of one key in the order of their versions.
    pub(super) fn versions(&self) -> BTreeMap<Version, (Record, At)> {
        let mut versions = BTreeMap::new();
        for (partition, records) in self.partitions.iter().enumerate() {
            for (offset, record) in records.iter().enumerate() {
                let version = (record.key, record.known, record.observed, self.hashes[&record.value]);
                // Partitions and offsets ascend, so the first is the lowest.
                versions.entry(version).or_insert((*record, (partition, offset as i64)));
            }
        }
        versions
    }

    /// The minute from which a record is assumed to be known.
    fn assumed(&self, record: &Record) -> Option<i64> {
        match self.dataset.name.as_str() {
            "ohlcv_bar" => BARS[record.key].2,
            "corporate_action" => Some(DIVIDENDS[record.value.unwrap_or_default() as usize].1),
            _ => None,
        }
    }

    pub(super) fn answer(&self, asked: &Asked) -> Vec<Row> {
        let all = self.versions();
        let is_seen = |(record, (partition, offset)): &(Record, At)| {
            asked.observed.is_none_or(|observed| record.observed <= observed)
                && asked.next.is_none_or(|next| *offset < next[*partition])
        };
        let seen: Vec<Record> = all.values().filter(|version| is_seen(version)).map(|(record, _)| *record).collect();
        let mut rows = Vec::new();
        for key in 0..NAMES.len() {
            let of_key = || seen.iter().filter(|record| record.key == key);
            let first = |known: i64| of_key().find(|record| record.known == known).copied();
            let known_by = |record: &Record| match first(record.known) == Some(*record) {
                true => record.known,
                false => record.known.max(record.observed),
            };
            let assumed = of_key().next().filter(|record| asked.assume && record.known == record.observed);
            let assumed = assumed.filter(|record| self.assumed(record).is_some_and(|minute| minute <= asked.known));
            let known = of_key().rfind(|record| known_by(record) <= asked.known);
            let Some(found) = known.or(assumed) else { continue };
            let Some(value) = found.value else { continue };
            let is_stated = found.known != found.observed && first(found.known) == Some(*found);
            let basis = match known {
                None => "assumed",
                Some(_) if is_stated => "provider",
                Some(_) => "receipt",
            };
            rows.push((key, value, found.known, found.observed, basis.to_owned()));
        }
        rows
    }

    /// A random cut.
    pub(super) fn ask(&self, random: &mut Random) -> Asked {
        let next = |records: &Vec<Record>, random: &mut Random| random.below(records.len() + 1) as i64;
        Asked {
            known: random.below(24) as i64 - 3,
            observed: (random.below(2) == 0).then(|| random.below(24) as i64 - 3),
            next: (random.below(2) == 0).then(|| from_fn(|at| next(&self.partitions[at], random))),
            assume: random.below(2) == 0,
        }
    }
}

/// Records with few keys, times and values, so that they meet in every way: repeated, out of order, restated under the same
/// time, known before they were received and after. Some keys are received late only, so that a time is assumed for them.
fn topic(random: &mut Random) -> [Vec<Record>; PARTITIONS] {
    let mut partitions: [Vec<Record>; PARTITIONS] = Default::default();
    let earliest: [i64; NAMES.len()] = from_fn(|_| [0, 0, 8, 14][random.below(4)]);
    for _ in 0..RECORDS {
        let key = random.below(NAMES.len());
        let known = earliest[key] + random.below(12) as i64;
        let observed = match random.below(3) {
            0 => known,
            _ => known + random.below(10) as i64 - 2,
        };
        let value = (random.below(8) > 0).then(|| random.below(4) as i64);
        // Not all producers have the same partitioner.
        let partition = if random.below(5) == 0 { random.below(PARTITIONS) } else { key % PARTITIONS };
        partitions[partition].push(Record { key, known, observed, value });
    }
    partitions
}

/// The record as the consumer decodes it.
pub(super) fn values(dataset: &Dataset, record: &Record) -> Vec<Value> {
    let micros = |minutes: i64| Value::Long((start(dataset) + minutes * 60) * 1_000_000);
    let (interval, starts, _) = BARS[record.key];
    let text = |text: &str| Value::Text(text.into());
    let value = |field: &contract::dataset::Field| match (field.name.as_str(), record.value) {
        ("source", _) => text("test"),
        ("symbol" | "series_id", _) => text(NAMES[record.key]),
        ("bar_interval", _) => text(interval),
        ("action_type", _) => text("dividend"),
        ("ts_start", _) => micros(starts),
        ("observation_date" | "ex_date", _) => Value::Date(EX_DATE),
        ("known_at", _) => micros(record.known),
        ("observed_at", _) => micros(record.observed),
        ("flags", _) => Value::TextList(Vec::new()),
        ("trading_date", Some(_)) => Value::Date(EX_DATE),
        ("close" | "value", Some(value)) => Value::Double(value as f64),
        ("amount", Some(value)) => Value::Decimal(Decimal::from(value)),
        ("declared_on", Some(value)) => DIVIDENDS[value as usize].0.map_or(Value::Null, Value::Date),
        _ => Value::Null,
    };
    dataset.fields.iter().map(value).collect()
}
