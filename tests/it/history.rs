//! Every version is kept, and every past moment answers alike in every database.
//!
//! The oracle keeps all records of a topic and answers by trying each version. It shares no code with the project: of the
//! content hash, which orders versions with the same times, it only knows what the database says.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::Excluded;
use std::time::Instant;

use chrono::{DateTime, Utc};
use contract::rows::Value;
use contract::{Dataset, Original};
use store::chunk::{ChunkBuilder, SinkPartition, Target};
use store::snapshot::{Snapshot, TopicSnapshot};
use store::{Cut, Database, Store};
use tempfile::TempDir;
use tests::broker::{Bench, postgres, timescale};
use tests::workload::Random;
use tokio::runtime::Runtime;

/// Cuts that are compared in each database.
const CUTS: usize = 10_000;
/// Topics with other records.
const TOPICS: usize = 20;
/// Records of a topic.
const RECORDS: usize = 150;
const KEYS: usize = 6;
const PARTITIONS: usize = 3;
/// 2024-01-01. The times of the records are minutes after it.
const START: i64 = 1_704_067_200;

/// A record of the topic; times are minutes after [`START`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Record {
    key: usize,
    known: i64,
    observed: i64,
    /// None: the key is deleted.
    value: Option<i64>,
}

/// What a cut asks.
#[derive(Debug, Clone)]
struct Asked {
    known: i64,
    observed: Option<i64>,
    next: Option<[i64; PARTITIONS]>,
}

/// Key, known, observed, hash.
type Version = (usize, i64, i64, i64);

/// Partition and offset.
type At = (usize, i64);

/// A row of an answer: key, value, known and observed, basis.
type Row = (usize, i64, i64, i64, String);

/// A topic by partition, and the hashes of the values as a database computes them.
struct Oracle {
    partitions: [Vec<Record>; PARTITIONS],
    hashes: BTreeMap<Option<i64>, i64>,
}

impl Oracle {
    /// The distinct versions of a key with their lowest places; of one key in the order of their versions.
    fn versions(&self) -> BTreeMap<Version, (Record, At)> {
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

    fn answer(&self, asked: &Asked) -> Vec<Row> {
        let all = self.versions();
        let is_seen = |(record, (partition, offset)): &(Record, At)| {
            asked.observed.is_none_or(|observed| record.observed <= observed)
                && asked.next.is_none_or(|next| *offset < next[*partition])
        };
        let seen: Vec<Record> = all.values().filter(|version| is_seen(version)).map(|(record, _)| *record).collect();
        let mut rows = Vec::new();
        for key in 0..KEYS {
            let of_key = || seen.iter().filter(|record| record.key == key);
            let first = |known: i64| of_key().find(|record| record.known == known).copied();
            let known_by = |record: &Record| match first(record.known) == Some(*record) {
                true => record.known,
                false => record.known.max(record.observed),
            };
            let Some(found) = of_key().rfind(|record| known_by(record) <= asked.known) else { continue };
            let Some(value) = found.value else { continue };
            let is_stated = found.known != found.observed && first(found.known) == Some(*found);
            let basis = if is_stated { "provider" } else { "receipt" };
            rows.push((key, value, found.known, found.observed, basis.to_owned()));
        }
        rows
    }
}

/// Records with few keys, times and values, so that they meet in every way: repeated, out of order, restated under the same
/// time, known before they were received and after.
fn topic(random: &mut Random) -> [Vec<Record>; PARTITIONS] {
    let mut partitions: [Vec<Record>; PARTITIONS] = Default::default();
    for _ in 0..RECORDS {
        let (key, known) = (random.below(KEYS), random.below(12) as i64);
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

fn time(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(START + minutes * 60, 0).unwrap()
}

fn values(dataset: &Dataset, record: &Record) -> Vec<Value> {
    let micros = |minutes: i64| Value::Long((START + minutes * 60) * 1_000_000);
    let value = |field: &contract::dataset::Field| match (field.name.as_str(), record.value) {
        ("source", _) => Value::Text("test".into()),
        ("symbol" | "series_id", _) => Value::Text(format!("K{}", record.key).into()),
        ("bar_interval", _) => Value::Text("1d".into()),
        ("ts_start", _) => micros(0),
        ("observation_date", _) => Value::Date(19_723),
        ("known_at", _) => micros(record.known),
        ("observed_at", _) => micros(record.observed),
        ("flags", _) => Value::TextList(Vec::new()),
        ("trading_date", Some(_)) => Value::Date(19_723),
        ("close" | "value", Some(value)) => Value::Double(value as f64),
        _ => Value::Null,
    };
    dataset.fields.iter().map(value).collect()
}

/// A connection needs the runtime that it was opened on.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    thread_local!(static RUNTIME: Runtime = Runtime::new().unwrap());
    RUNTIME.with(|runtime| runtime.block_on(work))
}

/// A database.
struct Place {
    name: &'static str,
    database: Database,
    /// Keeps the database until the test ends.
    _bench: Result<Bench, TempDir>,
}

fn places() -> Vec<Place> {
    let folder = TempDir::new().unwrap();
    let database = Database::new(&format!("sqlite:{}", folder.path().join("x.db").display())).unwrap();
    let mut places = vec![Place { name: "SQLite", database, _bench: Err(folder) }];
    for (name, bench) in [("PostgreSQL", postgres()), ("TimescaleDB", timescale())] {
        let place = |bench: Bench| Place { name, database: bench.database.clone(), _bench: Ok(bench) };
        places.extend(bench.map(place));
    }
    for place in &places {
        block_on(place.database.migrate()).unwrap();
    }
    places
}

impl Place {
    /// Commits a partition in chunks of random sizes, as that sink.
    async fn commit(&self, dataset: &'static Dataset, sink: &str, (number, records): (usize, &[Record]), seed: u64) {
        let (mut store, mut random) = (self.database.store("test"), Random::new(seed));
        let sink: std::sync::Arc<str> = format!("test.{}.{sink}", dataset.name).into();
        let topic = format!("test.{}.v1", dataset.name);
        let partition =
            SinkPartition { sink: sink.clone(), topic: topic.as_str().into(), incarnation: 0, number: number as i32 };
        let mut builder = ChunkBuilder::new(partition, Target::live(dataset, sink), 0);
        let mut left = 1 + random.below(40);
        for (offset, record) in (0..).zip(records) {
            builder.rows().push_row(values(dataset, record), record.value.is_none());
            let original = Original { offset, timestamp_ms: Some(0), key: None, value: Some(b"bytes"), headers: None };
            builder.took(&original, None, Instant::now());
            left -= 1;
            if left == 0 || offset as usize + 1 == records.len() {
                let mut chunk = builder.take();
                while let Err(error) = store.commit(&mut chunk).await {
                    assert!(matches!(error, store::StoreError::Retry { .. }), "on {}: {error}", self.name);
                }
                left = 1 + random.below(40);
            }
        }
    }

    /// Reads the topic by several consumers at once, and then a second time as a replay does.
    fn load(&self, dataset: &'static Dataset, partitions: &[Vec<Record>; PARTITIONS], random: &mut Random) {
        for table in [&*dataset.name, &store::sql::revision(&dataset.name), "sink_chunk", "sink_position"] {
            block_on(self.database.store("test").rows(format!("delete from {table}"), &[])).unwrap();
        }
        let sinks = ["live", "replay"].map(|sink| (sink, random.number()));
        for (sink, seed) in sinks {
            block_on(async {
                let partition = |number: usize| self.commit(dataset, sink, (number, &partitions[number]), seed);
                match random.below(2) {
                    0 => drop(tokio::join!(partition(0), partition(1), partition(2))),
                    _ => {
                        for number in (0..PARTITIONS).rev() {
                            partition(number).await;
                        }
                    }
                }
            });
        }
    }

    fn minutes(&self, column: &str) -> String {
        let seconds = match self.name {
            "SQLite" => format!("cast(strftime('%s', {column}) as integer)"),
            _ => format!("cast(extract(epoch from {column}) as bigint)"),
        };
        format!("cast(({seconds} - {START}) / 60 as text)")
    }

    fn columns(&self, dataset: &Dataset) -> String {
        let [name, value] = names(dataset);
        let (known, observed) = (self.minutes("known_at"), self.minutes("observed_at"));
        format!("{name}, cast(cast({value} as bigint) as text), {known}, {observed}")
    }

    /// Rows of both tables: the row, its hash, its place.
    fn stored(&self, store: &mut dyn Store, dataset: &Dataset, table: &str) -> Vec<Vec<Option<String>>> {
        let query = format!(
            "select {}, cast(content_hash as text), cast(topic_partition as text), cast(topic_offset as text) from {table}",
            self.columns(dataset)
        );
        block_on(store.rows(query, &[])).unwrap()
    }

    fn answer(&self, store: &mut dyn Store, dataset: &Dataset, asked: &Asked) -> Vec<Row> {
        let cut = Cut {
            known: time(asked.known),
            observed: asked.observed.map(time),
            snapshot: asked.next.map(|next| snapshot(dataset, &next)),
        };
        let select = block_on(self.database.as_of(dataset, &cut)).unwrap();
        let query = format!("select {}, known_basis from ({select}) as answer order by 1", self.columns(dataset));
        let rows = block_on(store.rows(query, &[])).unwrap();
        let row = |row: Vec<Option<String>>| {
            let row: Vec<String> = row.into_iter().flatten().collect();
            let number = |at: usize| row[at].trim_start_matches('K').parse().unwrap();
            (number(0) as usize, number(1), number(2), number(3), row[4].clone())
        };
        rows.into_iter().map(row).collect()
    }
}

/// Columns of the key and the value.
fn names(dataset: &Dataset) -> [&'static str; 2] {
    if dataset.name == "ohlcv_bar" { ["symbol", "close"] } else { ["series_id", "value"] }
}

/// A snapshot, by way of the text that a user keeps.
fn snapshot(dataset: &Dataset, next: &[i64]) -> Snapshot {
    let (dataset, topic_id) = (dataset.name.clone(), "-".to_owned());
    let topic = TopicSnapshot { dataset, topic_id, incarnation: 0, next: next.to_vec() };
    Snapshot::new(vec![topic]).to_string().parse().unwrap()
}

#[test]
fn every_version_is_kept_and_every_cut_answers_as_the_oracle_in_every_database() {
    let places = places();
    let seed = std::env::var("TAPEDECK_FAULTS_SEED").map_or(11, |seed| seed.parse().unwrap());
    let mut random = Random::new(seed);
    for number in 0..TOPICS {
        let dataset = contract::dataset(["ohlcv_bar", "observation"][number % 2]).unwrap();
        let partitions = topic(&mut random);
        let mut oracle = Oracle { partitions, hashes: BTreeMap::new() };
        let asked: Vec<Asked> = (0..CUTS / TOPICS).map(|_| ask(&oracle, &mut random)).collect();
        for place in &places {
            let Place { name, .. } = place;
            place.load(dataset, &oracle.partitions, &mut random);
            let mut store = place.database.store("test");
            let [current, revisions] = [dataset.name.clone(), store::sql::revision(&dataset.name)]
                .map(|table| place.stored(&mut *store, dataset, &table));
            for row in current.iter().chain(&revisions) {
                let value = row[1].as_ref().map(|value| value.parse().unwrap());
                oracle.hashes.insert(value, row[4].as_ref().unwrap().parse().unwrap());
            }
            let all = oracle.versions();
            let expected: BTreeSet<_> = all.iter().map(|(version, (_, place))| (*version, *place)).collect();
            let stored = |rows: &[Vec<Option<String>>]| -> BTreeSet<_> {
                let row = |row: &Vec<Option<String>>| {
                    let number = |at: usize| row[at].as_ref().unwrap().trim_start_matches('K').parse::<i64>().unwrap();
                    ((number(0) as usize, number(2), number(3), number(4)), (number(5) as usize, number(6)))
                };
                rows.iter().map(row).collect()
            };
            let (current, revisions) = (stored(&current), stored(&revisions));
            assert!(current.is_disjoint(&revisions), "topic {number} on {name}: a version is in both tables");
            let union: BTreeSet<_> = current.union(&revisions).copied().collect();
            let missing: Vec<_> = expected.symmetric_difference(&union).collect();
            assert!(missing.is_empty(), "topic {number} on {name}: {missing:?}");
            let highest: BTreeSet<usize> = current.iter().map(|((key, ..), _)| *key).collect();
            assert_eq!(highest.len(), current.len(), "topic {number} on {name}: a key has two rows");
            for ((key, known, observed, hash), _) in &current {
                let above = (Excluded((*key, *known, *observed, *hash)), Excluded((key + 1, i64::MIN, 0, 0)));
                assert!(all.range(above).next().is_none(), "topic {number} on {name}: K{key} has a higher version");
            }
            for (at, asked) in asked.iter().enumerate() {
                let (answer, expected) = (place.answer(&mut *store, dataset, asked), oracle.answer(asked));
                assert_eq!(answer, expected, "topic {number}, cut {at} on {name}: {asked:?} of {:?}", dataset.name);
            }
        }
    }
}

fn ask(oracle: &Oracle, random: &mut Random) -> Asked {
    let next = |records: &Vec<Record>, random: &mut Random| random.below(records.len() + 1) as i64;
    Asked {
        known: random.below(24) as i64 - 3,
        observed: (random.below(2) == 0).then(|| random.below(24) as i64 - 3),
        next: (random.below(2) == 0).then(|| std::array::from_fn(|at| next(&oracle.partitions[at], random))),
    }
}

#[test]
fn a_snapshot_that_is_malformed_or_of_another_topic_is_refused_in_one_line_by_every_database() {
    let observation = contract::dataset("observation").unwrap();
    let token = |topic_id: &str| {
        let topic_id = topic_id.to_owned();
        let topic = TopicSnapshot { dataset: "observation".to_owned(), topic_id, incarnation: 0, next: vec![1] };
        Snapshot::new(vec![topic]).to_string()
    };
    for place in &places() {
        let Place { name, database, .. } = place;
        // Kafka's ids are base64.
        let topic = "insert into sink_topic (sink, kafka_topic, kafka_incarnation, kafka_partition, topic_id) \
            values ('test', 'test.observation.v1', 0, 0, 'a/b+c==')";
        block_on(database.store("test").rows(topic.to_owned(), &[])).unwrap();
        let refused = |token: &str, table: &str| {
            let said = match *name {
                "SQLite" => {
                    let snapshot = match token.parse() {
                        Ok(snapshot) => Some(snapshot),
                        Err(said) => return said,
                    };
                    let cut = Cut { known: time(0), observed: None, snapshot };
                    block_on(database.as_of(contract::dataset(table).unwrap(), &cut)).map(drop)
                }
                _ => {
                    let query = format!("select 1 from {table}_as_of('2024-01-02', snapshot => '{token}')");
                    block_on(database.query(&query)).map(drop)
                }
            };
            said.err().map(|error| error.to_string()).unwrap_or_default()
        };
        let good = token("a/b+c==");
        // A function reads the snapshot once there is a row.
        if *name != "SQLite" {
            let records = [Record { key: 0, known: 1, observed: 1, value: Some(1) }];
            for dataset in [observation, contract::dataset("ohlcv_bar").unwrap()] {
                block_on(place.commit(dataset, "live", (0, &records), 1));
            }
        }
        assert_eq!(refused(&good, "observation"), "", "on {name}");
        for (token, table, expected) in [
            (token("other"), "observation", "the snapshot is of another topic of `observation`"),
            (good[..good.len() - 1].to_owned(), "observation", "it is not a snapshot, or not a whole one"),
            (good.replace("=1#", "=2#"), "observation", "it is not a snapshot, or not a whole one"),
            (good.clone(), "ohlcv_bar", "the snapshot does not cover `ohlcv_bar`"),
        ] {
            let said = refused(&token, table);
            assert!(said.contains(expected) && !said.contains('\n'), "{token} on {name}: {said}");
        }
    }
}
