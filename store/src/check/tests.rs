use std::time::Instant;

use contract::{Dataset, Kind, Original, Value};

use super::*;
use crate::Database;
use crate::chunk::{ChunkBuilder, Target};
use crate::partition::{LastRecord, SinkPartition};

fn dataset() -> &'static Dataset {
    contract::dataset("observation").unwrap()
}

/// A row with that key, with or without a version.
fn row(key: usize, is_versioned: bool) -> Vec<Value> {
    let dataset = dataset();
    let value = |(at, field): (usize, &contract::Field)| match field.kind {
        _ if dataset.version_fields.contains(&at) => {
            if is_versioned {
                Value::Long(1_700_000_000_000_000)
            } else {
                Value::Null
            }
        }
        Kind::Text => Value::Text(format!("K{key}").into()),
        Kind::Date => Value::Date(18_000),
        Kind::Double => Value::Double(1.5),
        Kind::TextList => Value::TextList(Vec::new()),
        _ => Value::Null,
    };
    dataset.fields.iter().enumerate().map(value).collect()
}

/// A chunk of three rows with these keys, from offset 10 on.
fn chunk(keys: [usize; 3], is_versioned: bool) -> Chunk {
    let partition = SinkPartition { sink: "test.sink".into(), topic: "test".into(), incarnation: 0, number: 7 };
    let mut builder = ChunkBuilder::new(partition, Target::live(dataset(), "test.sink".into()), 10);
    for (offset, key) in (10..).zip(keys) {
        builder.rows().push_row(row(key, is_versioned), false);
        let original = Original { offset, timestamp_ms: None, key: None, value: Some(b"bytes"), headers: None };
        builder.took(&original, None, Instant::now());
    }
    builder.take()
}

fn good() -> Outcome {
    Outcome { read: 3, inserted: 2, superseded: 1, ..Outcome::default() }
}

/// The id that a failed check names, with the partition.
fn violation(result: Result<(), StoreError>) -> &'static str {
    let Err(StoreError::Halt(reason)) = result else { panic!("{result:?}") };
    assert!(reason.contains("test[7] from offset 10 to "), "{reason}");
    let named = |invariant: &Invariant| reason.starts_with(&format!("invariant {invariant} does not hold"));
    Invariant::ALL.into_iter().find(named).unwrap_or_else(|| panic!("{reason}")).id()
}

#[test]
fn a_chunk_that_keeps_the_invariants_passes() {
    let chunk = chunk([1, 2, 2], true);
    versions(&chunk).unwrap();
    folded(&chunk, &chunk.versions().highest).unwrap();
    outcome(&chunk, &good(), 0).unwrap();
}

#[test]
fn a_row_without_a_version_is_a_violation() {
    assert_eq!(violation(versions(&chunk([1, 2, 3], false))), "I8");
}

#[test]
fn rows_out_of_order_and_two_rows_of_one_key_are_violations() {
    let chunk = chunk([1, 2, 2], true);
    let mut rows = chunk.versions().highest;
    rows.reverse();
    assert_eq!(violation(folded(&chunk, &rows)), "I5");
    let twice = [rows[0], rows[0]];
    assert_eq!(violation(folded(&chunk, &twice)), "I5");
}

#[test]
fn a_chunk_that_does_not_move_the_position_or_ends_elsewhere_is_a_violation() {
    let mut elsewhere = chunk([1, 2, 3], true);
    elsewhere.last = Some(LastRecord { offset: 13, hash: 0 });
    assert_eq!(violation(outcome(&elsewhere, &good(), 0)), "I1");
    let mut still = chunk([1, 2, 3], true);
    (still.to_offset, still.last) = (still.from_offset, None);
    assert_eq!(violation(outcome(&still, &Outcome::default(), 0)), "I1");
}

#[test]
fn counts_that_do_not_add_up_are_a_violation() {
    let chunk = chunk([1, 2, 3], true);
    assert_eq!(violation(outcome(&chunk, &Outcome { inserted: 3, ..good() }, 0)), "I3");
    let more = Outcome { read: 4, inserted: 4, ..Outcome::default() };
    assert_eq!(violation(outcome(&chunk, &more, 0)), "I3", "more records than offsets");
}

#[test]
fn a_refused_record_without_a_dead_letter_is_a_violation() {
    let refused = Outcome { read: 3, inserted: 2, dead_lettered: 1, ..Outcome::default() };
    assert_eq!(violation(outcome(&chunk([1, 2, 3], true), &refused, 0)), "I4");
}

#[tokio::test]
async fn after_a_violation_nothing_of_the_chunk_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::new(&format!("sqlite:{}", folder.path().join("check.db").display())).unwrap();
    database.migrate().await.unwrap();
    let mut store = database.store("test");
    let mut elsewhere = chunk([1, 2, 3], true);
    elsewhere.last = Some(LastRecord { offset: 13, hash: 0 });
    assert_eq!(violation(store.commit(&mut elsewhere).await.map(drop)), "I1");
    assert_eq!(store.positions("test.sink", "test").await.unwrap(), []);
    assert_eq!(database.query("select series_id from observation").await.unwrap().rows, Vec::<Vec<_>>::new());
    let stored = store.commit(&mut chunk([1, 2, 3], true)).await.unwrap();
    assert_eq!(stored.outcome.inserted, 3);
    assert_eq!(store.positions("test.sink", "test").await.unwrap().len(), 1);
}

#[test]
fn of_a_large_chunk_pairs_all_over_it_are_compared() {
    let partition = SinkPartition { sink: "test.sink".into(), topic: "test".into(), incarnation: 0, number: 7 };
    let mut builder = ChunkBuilder::new(partition, Target::live(dataset(), "test.sink".into()), 10);
    (0..5 * MOST_PAIRS).for_each(|key| builder.rows().push_row(row(100_000 + key, true), false));
    let mut chunk = builder.take();
    let mut rows = chunk.versions().highest;
    folded(&chunk, &rows).unwrap();
    let middle = rows.len() / 2;
    rows[middle] = rows[middle - 1];
    let found = (10..15).filter(|from| {
        chunk.from_offset = *from;
        folded(&chunk, &rows).is_err()
    });
    assert_eq!(found.count(), 1, "one of five chunks finds one wrong pair of five");
}
