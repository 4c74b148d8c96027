//! Every version is kept, and every past moment answers alike in every database.
//!
//! The oracle shares no code with the project: of the content hash, which orders versions with the same times, it only knows
//! what the database says.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::ops::Bound::Excluded;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;
use std::time::Instant;

use contract::{Dataset, Original};
use store::chunk::{Chunk, ChunkBuilder, SinkPartition, Target};
use store::snapshot::{Snapshot, TopicSnapshot};
use store::{Commit, Cut, Database, Store, StoreError};
use tempfile::TempDir;
use tests::broker::{Bench, postgres, timescale};
use tests::workload::Random;
use tokio::runtime::Runtime;

mod oracle;
mod rebuild;
mod releases;

use oracle::{Asked, At, DATASETS, NAMES, Oracle, PARTITIONS, Record, Row, Version, start, time, values};

/// Cuts that are compared in each database.
const CUTS: usize = 10_000;
/// Topics with other records.
const TOPICS: usize = 21;
/// Cuts that are compared after the records have arrived in another order.
const CUTS_PERMUTED: usize = 40;
/// A commit that is aborted has fewer steps before.
const MOST_STEPS: usize = 10;
/// Fewest commits of a database that are aborted.
const ABORTED: usize = 50;
/// Fewest answers in which a time is assumed.
const ASSUMED: usize = CUTS / 100;

/// A connection needs the runtime that it was opened on.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    thread_local!(static RUNTIME: Runtime = Runtime::new().unwrap());
    RUNTIME.with(|runtime| runtime.block_on(work))
}

/// A database.
struct Place {
    name: &'static str,
    database: Database,
    reader: Mutex<Box<dyn Store>>,
    /// Keeps the database until the test ends.
    _bench: Option<Result<Bench, TempDir>>,
}

fn places() -> Vec<Place> {
    let folder = TempDir::new().unwrap();
    let database = Database::new(&format!("sqlite:{}", folder.path().join("x.db").display())).unwrap();
    let mut places = vec![Place::new("SQLite", database, Some(Err(folder)))];
    for (name, bench) in [("PostgreSQL", postgres()), ("TimescaleDB", timescale())] {
        let place = |bench: Bench| Place::new(name, bench.database.clone(), Some(Ok(bench)));
        places.extend(bench.map(place));
    }
    for place in &places {
        block_on(place.database.migrate()).unwrap();
    }
    places
}

/// Commits a chunk; None if the consumer is killed after so many steps, of which each waits for the database.
async fn attempt(store: &mut dyn Store, chunk: &mut Chunk, steps: Option<usize>) -> Option<Result<Commit, StoreError>> {
    let (mut commit, mut left) = (store.commit(chunk), steps.unwrap_or(usize::MAX));
    poll_fn(|context| match left {
        0 => Poll::Ready(None),
        _ => {
            left -= 1;
            commit.as_mut().poll(context).map(Some)
        }
    })
    .await
}

/// A sink's partition: its number and records.
type Part<'a> = (&'a str, usize, &'a [Record]);

impl Place {
    fn new(name: &'static str, database: Database, bench: Option<Result<Bench, TempDir>>) -> Place {
        Place { name, reader: Mutex::new(database.store("test")), database, _bench: bench }
    }

    /// The same database as another process sees it.
    fn again(&self) -> Database {
        Database::new(self.database.address().expose()).unwrap()
    }

    /// Where a consumer starts.
    async fn position(&self, store: &mut dyn Store, (sink, topic): (&str, &str), number: usize) -> usize {
        let positions = store.positions(sink, topic).await.unwrap();
        let position = positions.iter().find(|position| position.partition == number as i32);
        position.map_or(0, |position| position.next_offset as usize)
    }

    /// Commits a partition in chunks of random sizes. The consumer is killed now and then: between two chunks, or in the
    /// middle of a transaction. Its successor goes on where the database says. Returns how many commits were aborted.
    async fn commit(&self, dataset: &'static Dataset, (sink, number, records): Part<'_>, seed: u64) -> usize {
        let (mut store, mut random, mut aborted) = (self.database.store("test"), Random::new(seed + number as u64), 0);
        let sink: Arc<str> = format!("test.{}.{sink}", dataset.name).into();
        let topic: Arc<str> = format!("test.{}.v1", dataset.name).into();
        let mut next = 0;
        while next < records.len() {
            let (sink, topic) = (sink.clone(), topic.clone());
            let partition =
                SinkPartition { sink: sink.clone(), topic: topic.clone(), incarnation: 0, number: number as i32 };
            let mut builder = ChunkBuilder::new(partition, Target::live(dataset, sink.clone()), next as i64);
            let end = records.len().min(next + 1 + random.below(40));
            for (offset, record) in (next..end).zip(&records[next..end]) {
                builder.rows().push_row(values(dataset, record), record.value.is_none());
                let offset = offset as i64;
                let original =
                    Original { offset, timestamp_ms: Some(0), key: None, value: Some(b"bytes"), headers: None };
                builder.took(&original, None, Instant::now());
            }
            let mut chunk = builder.take();
            let steps = (random.below(2) == 0).then(|| random.below(MOST_STEPS));
            let committed = attempt(&mut *store, &mut chunk, steps).await;
            aborted += usize::from(committed.is_none());
            next = match committed {
                Some(Ok(_)) => end,
                // What an aborted commit did can show after its successor has started.
                None | Some(Err(StoreError::Retry { .. } | StoreError::Fenced { .. })) => {
                    store = self.again().store("test");
                    self.position(&mut *store, (&sink, &topic), number).await
                }
                Some(Err(error)) => panic!("on {}: {error}", self.name),
            };
        }
        aborted
    }

    /// Reads the topic by several consumers at once, and perhaps a second time as a replay does. Returns how many commits
    /// were aborted.
    fn load(&self, Oracle { dataset, partitions, .. }: &Oracle, random: &mut Random) -> usize {
        for table in [&*dataset.name, &store::sql::revision(&dataset.name), "sink_chunk", "sink_position"] {
            block_on(self.database.store("test").rows(format!("delete from {table}"), &[])).unwrap();
        }
        let aborted = AtomicUsize::new(0);
        let sinks = ["live", "replay"];
        for sink in &sinks[..1 + random.below(sinks.len())] {
            let seed = random.number();
            let partition = async |number: usize| {
                let part = (*sink, number, &*partitions[number]);
                aborted.fetch_add(self.commit(dataset, part, seed).await, Ordering::Relaxed);
            };
            block_on(async {
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
        aborted.into_inner()
    }

    fn minutes(&self, dataset: &Dataset, column: &str) -> String {
        let seconds = match self.name {
            "SQLite" => format!("cast(strftime('%s', {column}) as integer)"),
            _ => format!("cast(extract(epoch from {column}) as bigint)"),
        };
        format!("cast(({seconds} - {}) / 60 as text)", start(dataset))
    }

    fn columns(&self, dataset: &Dataset) -> String {
        let [name, value] = names(dataset);
        let (known, observed) = (self.minutes(dataset, "known_at"), self.minutes(dataset, "observed_at"));
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
            known: time(dataset, asked.known),
            observed: asked.observed.map(|minutes| time(dataset, minutes)),
            snapshot: asked.next.map(|next| snapshot(dataset, &next)),
            assume: asked.assume,
        };
        let select = block_on(self.database.as_of(dataset, &cut)).unwrap();
        let query = format!("select {}, known_basis from ({select}) as answer", self.columns(dataset));
        let rows = block_on(store.rows(query, &[])).unwrap();
        let row = |row: Vec<Option<String>>| {
            let row: Vec<String> = row.into_iter().flatten().collect();
            let number = |at: usize| row[at].parse().unwrap();
            (key(&row[0]), number(1), number(2), number(3), row[4].clone())
        };
        let mut rows: Vec<Row> = rows.into_iter().map(row).collect();
        rows.sort();
        rows
    }
}

/// The key of that name.
fn key(name: &str) -> usize {
    NAMES.iter().position(|known| *known == name).unwrap()
}

/// Columns of the key and the value.
fn names(dataset: &Dataset) -> [&'static str; 2] {
    match dataset.name.as_str() {
        "ohlcv_bar" => ["symbol", "close"],
        "corporate_action" => ["symbol", "amount"],
        _ => ["series_id", "value"],
    }
}

/// A snapshot, by way of the text that a user keeps.
fn snapshot(dataset: &Dataset, next: &[i64]) -> Snapshot {
    let (dataset, topic_id) = (dataset.name.clone(), "-".to_owned());
    let topic = TopicSnapshot { dataset, topic_id, incarnation: 0, next: next.to_vec() };
    Snapshot::new(vec![topic]).to_string().parse().unwrap()
}

/// Loads a topic, and compares every stored version with the oracle, which learns the hashes. Returns how many commits were
/// aborted.
fn keeps_every_version(place: &Place, oracle: &mut Oracle, random: &mut Random, topic: &str) -> usize {
    let aborted = place.load(oracle, random);
    let (dataset, mut store) = (oracle.dataset, place.database.store("test"));
    let [current, revisions] = [dataset.name.clone(), store::sql::revision(&dataset.name)]
        .map(|table| place.stored(&mut *store, dataset, &table));
    for row in current.iter().chain(&revisions) {
        let value = row[1].as_ref().map(|value| value.parse().unwrap());
        oracle.hashes.insert(value, row[4].as_ref().unwrap().parse().unwrap());
    }
    let all = oracle.versions();
    let expected: BTreeSet<_> = all.iter().map(|(version, (_, place))| (*version, *place)).collect();
    let stored = |rows: &[Vec<Option<String>>]| -> BTreeSet<(Version, At)> {
        let row = |row: &Vec<Option<String>>| {
            let text = |at: usize| row[at].as_ref().unwrap();
            let number = |at: usize| text(at).parse::<i64>().unwrap();
            ((key(text(0)), number(2), number(3), number(4)), (number(5) as usize, number(6)))
        };
        rows.iter().map(row).collect()
    };
    let (current, revisions) = (stored(&current), stored(&revisions));
    assert!(current.is_disjoint(&revisions), "{topic}: a version is in both tables");
    let union: BTreeSet<_> = current.union(&revisions).copied().collect();
    let missing: Vec<_> = expected.symmetric_difference(&union).collect();
    assert!(missing.is_empty(), "{topic}: {missing:?}");
    let highest: BTreeSet<usize> = current.iter().map(|((key, ..), _)| *key).collect();
    assert_eq!(highest.len(), current.len(), "{topic}: a key has two rows");
    for ((key, known, observed, hash), _) in &current {
        let above = (Excluded((*key, *known, *observed, *hash)), Excluded((key + 1, i64::MIN, 0, 0)));
        assert!(all.range(above).next().is_none(), "{topic}: {} has a higher version", NAMES[*key]);
    }
    aborted
}

/// Compares a database with the oracle. Returns how many commits were aborted, and in how many answers a time was assumed.
fn compare(at: usize, places: &[Place], seed: u64) -> [usize; 2] {
    let (place, mut topics, mut random) = (&places[at], Random::new(seed), Random::new(seed + 1 + at as u64));
    let (mut aborted, mut assumed) = (0, 0);
    for number in 0..TOPICS {
        let dataset = contract::dataset(DATASETS[number % DATASETS.len()]).unwrap();
        let mut oracle = Oracle::new(dataset, &mut topics);
        let asked: Vec<Asked> = (0..CUTS.div_ceil(TOPICS)).map(|_| oracle.ask(&mut topics)).collect();
        let topic = format!("topic {number}, {}, on {}", dataset.name, place.name);
        aborted += keeps_every_version(place, &mut oracle, &mut random, &topic);
        let mut store = place.database.store("test");
        for asked in &asked {
            let (answer, expected) = (place.answer(&mut *store, dataset, asked), oracle.answer(asked));
            assert_eq!(answer, expected, "{topic}: {asked:?}");
            assumed += usize::from(expected.iter().any(|(.., basis)| basis == "assumed"));
        }
        if number / DATASETS.len() % places.len() != at {
            continue;
        }
        let (mut permuted, topic) = (oracle.permuted(&mut random), format!("{topic}, permuted"));
        aborted += keeps_every_version(place, &mut permuted, &mut random, &topic);
        for asked in &asked[..CUTS_PERMUTED] {
            let answer = place.answer(&mut *store, dataset, asked);
            assert_eq!(answer, permuted.answer(asked), "{topic}: {asked:?}");
            // The places depend on the order of arrival, and nothing else does.
            assert!(
                asked.next.is_some() || answer == oracle.answer(asked),
                "{topic}: it depends on the order: {asked:?}"
            );
        }
    }
    [aborted, assumed]
}

#[test]
fn every_version_is_kept_and_every_cut_answers_as_the_oracle_in_every_database() {
    let places = places();
    let seed = std::env::var("TAPEDECK_FAULTS_SEED").map_or(11, |seed| seed.parse().unwrap());
    let counts: Vec<[usize; 2]> = thread::scope(|scope| {
        let compare = |at: usize| {
            scope.spawn({
                let places = &places;
                move || compare(at, places, seed)
            })
        };
        let running: Vec<_> = (0..places.len()).map(compare).collect();
        running.into_iter().map(|running| running.join().unwrap()).collect()
    });
    for (Place { name, .. }, [aborted, assumed]) in places.iter().zip(counts) {
        assert!(aborted >= ABORTED, "on {name} only {aborted} commits were aborted");
        assert!(assumed >= ASSUMED, "on {name} a time was assumed in {assumed} answers only");
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
                    let cut = Cut { known: time(observation, 0), observed: None, snapshot, assume: false };
                    block_on(database.as_of(contract::dataset(table).unwrap(), &cut)).map(drop)
                }
                _ => {
                    let query = format!("select 1 from {table}_as_of('2024-06-02', snapshot => '{token}')");
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
                block_on(place.commit(dataset, ("live", 0, &records), 1));
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
