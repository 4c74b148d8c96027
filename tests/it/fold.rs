//! The fold of a chunk, compared with a model.

use std::collections::BTreeMap;

use contract::{Decoder, Record, Rows};
use proptest::prelude::*;
use tests::message::bar;

/// Few keys and versions, so that they collide.
fn records() -> impl Strategy<Value = Vec<(u32, i64, i64, u8)>> {
    proptest::collection::vec((0u32..5, 0i64..3, 0i64..3, 0u8..3), 1..60)
}

fn rows(records: &[(u32, i64, i64, u8)]) -> Rows {
    let dataset = contract::dataset("ohlcv_bar").unwrap();
    let decoder = Decoder::new(dataset, &dataset.schema).unwrap();
    let mut rows = Rows::new(dataset);
    for (day, known_at, observed_at, value) in records {
        let mut body = Vec::new();
        Record::from(bar("S", *day, f64::from(*value), *known_at, *observed_at)).encode(&mut body);
        decoder.decode(&body, &mut rows).unwrap();
    }
    rows
}

proptest! {
    #[test]
    fn the_fold_keeps_the_highest_version_of_each_key_in_the_order_of_the_keys(records in records()) {
        let dataset = contract::dataset("ohlcv_bar").unwrap();
        let rows = rows(&records);
        let mut model = BTreeMap::new();
        for (row, (day, known_at, observed_at, _)) in records.iter().enumerate() {
            let version = (*known_at, *observed_at, rows.content_hash(dataset, row));
            let best = model.entry(*day).or_insert(version);
            *best = version.max(*best);
        }
        let folded: Vec<_> = rows.fold(dataset, |_| false).iter().map(|folded| {
            let (day, known_at, observed_at, _) = records[folded.row];
            (day, (known_at, observed_at, folded.version.2))
        }).collect();
        prop_assert_eq!(folded, model.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn the_fold_does_not_depend_on_the_order_of_arrival(records in records(), seed in any::<u64>()) {
        let dataset = contract::dataset("ohlcv_bar").unwrap();
        let mut shuffled = records.clone();
        shuffled.sort_by_key(|record| (record.0, record.1, record.2, record.3).clone_hash(seed));
        let survivors = |records: &[(u32, i64, i64, u8)]| {
            let rows = rows(records);
            rows.fold(dataset, |_| false).iter().map(|folded| records[folded.row]).collect::<Vec<_>>()
        };
        prop_assert_eq!(survivors(&records), survivors(&shuffled));
    }
}

/// An order that depends on a seed.
trait CloneHash {
    fn clone_hash(&self, seed: u64) -> u64;
}

impl<T: std::hash::Hash> CloneHash for T {
    fn clone_hash(&self, seed: u64) -> u64 {
        use std::hash::{DefaultHasher, Hasher as _};
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(seed);
        self.hash(&mut hasher);
        hasher.finish()
    }
}

#[test]
fn the_content_hash_takes_zero_and_minus_zero_for_the_same_and_null_for_another() {
    let dataset = contract::dataset("ohlcv_bar").unwrap();
    let hash = |volume: Option<f64>, symbol: &str, known_at: i64| {
        let mut record = bar(symbol, 0, 1.0, known_at, 0);
        record.volume = volume;
        let mut body = Vec::new();
        record.encode(&mut body);
        let mut rows = Rows::new(dataset);
        Decoder::new(dataset, &dataset.schema).unwrap().decode(&body, &mut rows).unwrap();
        rows.content_hash(dataset, 0)
    };
    assert_eq!(hash(Some(0.0), "A", 0), hash(Some(-0.0), "A", 0));
    assert_eq!(hash(Some(0.0), "A", 0), hash(Some(0.0), "B", 5), "key and version are not content");
    assert_ne!(hash(Some(0.0), "A", 0), hash(None, "A", 0));
    assert_ne!(hash(Some(0.0), "A", 0), hash(Some(1.0), "A", 0));
}
