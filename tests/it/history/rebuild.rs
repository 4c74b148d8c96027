//! A snapshot outlives the database that it was taken from.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use contract::Dataset;
use sha2::{Digest as _, Sha256};
use store::Cut;
use tests::broker::{Bench, postgres};
use tests::message::{Published, Publisher, at, bar, deletion, insertion};
use tests::process::{Running, command, succeed};
use tests::workload::Random;

use super::{Place, block_on, places};

/// Snapshots that are taken while records arrive, each of another moment.
const SNAPSHOTS: usize = 1_000;
/// Longest time in which they are taken: half a minute is usual.
const PATIENCE: Duration = Duration::from_secs(120);
/// Records that are published at once.
const BATCH: usize = 20;
const SYMBOLS: usize = 20;

/// A snapshot, the moment that it is asked for, and the SHA-256 of the answer at once.
struct Taken {
    snapshot: String,
    known: DateTime<Utc>,
    answer: String,
}

/// Bars of few keys: corrected, deleted and repeated again and again.
fn batch(random: &mut Random, sent: &mut Vec<Published>) -> Vec<Published> {
    let mut record = |random: &mut Random| {
        if random.below(4) == 0 && !sent.is_empty() {
            return sent[random.below(sent.len())].clone();
        }
        let known = random.below(60) as i64;
        let observed = known + random.below(30) as i64;
        let symbol = format!("S{}", random.below(SYMBOLS));
        let (day, close) = (random.below(2) as u32, random.below(9) as f64);
        let bar = bar(&symbol, day, close, known * 60, observed * 60);
        let record = if random.below(8) == 0 { deletion(&bar) } else { insertion(&bar) };
        sent.push(record.clone());
        record
    };
    (0..BATCH).map(|_| record(random)).collect()
}

/// The SHA-256 of all that a snapshot answers, but for the time of the write.
fn answer(place: &Place, dataset: &'static Dataset, snapshot: &str, known: DateTime<Utc>) -> String {
    let snapshot = Some(snapshot.parse().unwrap());
    let cut = Cut { known, observed: None, snapshot, assume: false };
    let select = block_on(place.database.as_of(dataset, &cut)).unwrap();
    let query = format!(
        "select {}, cast(trading_date as text), cast(content_hash as text), cast(topic_partition as text), \
         cast(topic_offset as text), known_basis from ({select}) as answer",
        place.columns(dataset)
    );
    let mut rows = block_on(place.reader.lock().unwrap().rows(query, &[])).unwrap();
    rows.sort();
    Sha256::digest(format!("{rows:?}")).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes the snapshots while a consumer reads what is published meanwhile.
fn take(bench: &Bench, place: &Place, dataset: &'static Dataset) -> Vec<Taken> {
    let names = [dataset.name.clone()];
    let snapshot = || async { bench.database.audit().await.unwrap().topics(&bench.namespace, &names).await };
    let (mut random, mut taken) = (Random::new(3), Vec::new());
    let start = Instant::now();
    while taken.len() < SNAPSHOTS {
        assert!(start.elapsed() < PATIENCE, "only {} snapshots were taken in {PATIENCE:?}", taken.len());
        // Nothing has been read yet.
        let Ok(snapshot) = block_on(snapshot()) else { continue };
        let snapshot = snapshot.to_string();
        if taken.last().is_some_and(|last: &Taken| last.snapshot == snapshot) {
            continue;
        }
        let known = at(random.below(90) as i64 * 60);
        let answer = answer(place, dataset, &snapshot, known);
        taken.push(Taken { snapshot, known, answer });
    }
    taken
}

#[test]
fn a_thousand_snapshots_return_the_same_after_a_rebuild_from_the_topics_into_an_empty_database() {
    let Some(bench) = postgres() else { return };
    let dataset = contract::dataset("ohlcv_bar").unwrap();
    block_on(bench.database.migrate()).unwrap();
    let place = Place::new("PostgreSQL", bench.database.clone(), None);
    let publisher = Publisher::new(&bench, "ohlcv_bar");
    let environment = bench.with(&[("TAPEDECK_CHUNK_AGE_MS", "1"), ("TAPEDECK_CHUNK_ROWS", "1")]);
    let mut consumer = Running::start(command("consumer", &["run", "ohlcv_bar"], &environment));
    let is_enough = AtomicBool::new(false);
    let taken = thread::scope(|scope| {
        scope.spawn(|| {
            let (mut random, mut sent) = (Random::new(2), Vec::new());
            while !is_enough.load(Ordering::Relaxed) {
                publisher.publish(&batch(&mut random, &mut sent));
            }
        });
        let taken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| take(&bench, &place, dataset)));
        is_enough.store(true, Ordering::Relaxed);
        taken.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    consumer.signal("TERM");
    assert!(consumer.wait(), "the consumer failed");
    let all = places();
    for place in &all {
        let address = place.database.address().expose();
        let again = [("TAPEDECK_DATABASE_URL", address), ("TAPEDECK_SINK", place.name)];
        succeed("consumer", &["run", "ohlcv_bar", "--once"], &bench.with(&again));
    }
    succeed("consumer", &["run", "ohlcv_bar", "--once"], &bench.environment);
    for place in std::iter::once(&place).chain(&all) {
        for (number, Taken { snapshot, known, answer: expected }) in taken.iter().enumerate() {
            let found = answer(place, dataset, snapshot, *known);
            assert_eq!(&found, expected, "snapshot {number} on {}: {snapshot} as of {known}", place.name);
        }
    }
}
