use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn print(key: i64, content: i64, time: i64) -> Fingerprint {
    Fingerprint { key, content, time, by_place: content, loose: f64::NAN }
}

/// Compares the same content on each of some days.
fn compare_days(index: &mut Index, days: impl Iterator<Item = i64>, content: i64) {
    for day in days {
        index.compare(&print(day, content, day), 0.0);
    }
}

fn price(loose: f64) -> Fingerprint {
    Fingerprint { loose, ..print(1, 1, 1) }
}

#[test]
fn the_same_record_is_unchanged_and_another_one_a_correction() {
    let mut index = Index::default();
    assert_eq!(index.compare(&print(1, 10, 100), 0.0), Change::Insert);
    assert_eq!(index.compare(&print(1, 10, 100), 0.0), Change::Unchanged);
    assert_eq!(index.compare(&print(1, 11, 100), 0.0), Change::Correction);
    assert_eq!(index.compare(&print(1, 10, 100), 0.0), Change::Correction);
    assert_eq!(index.compare(&print(2, 10, 100), 0.0), Change::Insert);
}

#[test]
fn jitter_is_no_change_and_does_not_add_up() {
    let mut index = Index::default();
    index.compare(&price(100.0), 1e-6);
    let mut changes = Vec::new();
    for step in 1..=3 {
        changes.push(index.compare(&price(100.0 + 0.00006 * f64::from(step)), 1e-6));
    }
    assert_eq!(changes, [Change::Unchanged, Change::Correction, Change::Unchanged]);
    assert_eq!(index.compare(&price(f64::NAN), 1e-6), Change::Correction);
    assert_eq!(index.compare(&price(f64::NAN), 1e-6), Change::Unchanged);
}

#[test]
fn entries_before_the_look_back_expire_and_come_back_as_corrections() {
    let mut index = Index::default();
    for day in 0..100 {
        index.compare(&print(day, 1, day), 0.0);
    }
    assert_eq!(index.finish(Keep::Since(10)), Reading { latest: Some(99), ..Reading::default() });
    assert_eq!((index.entries.len(), index.horizon()), (11, Some(89)));
    let mut index = Index::read(&index.write(), index.horizon());
    index.begin();
    assert_eq!(index.compare(&print(89, 1, 89), 0.0), Change::Unchanged);
    assert_eq!(index.compare(&print(50, 1, 50), 0.0), Change::Correction);
    assert_eq!(index.compare(&print(100, 1, 100), 0.0), Change::Insert);
    // The index has all records of its first day.
    assert_eq!(index.compare(&print(-1, 1, 89), 0.0), Change::Insert);
    // A response that ends earlier brings no entry back.
    index.begin();
    compare_days(&mut index, 89..95, 1);
    index.finish(Keep::Since(10));
    assert_eq!(index.horizon(), Some(89));
}

#[test]
fn every_change_of_the_index_is_reported() {
    let mut index = Index::default();
    compare_days(&mut index, [1, 99].into_iter(), 1);
    index.finish(Keep::All);
    assert!(index.take_changed() && !index.take_changed());
    index.begin();
    compare_days(&mut index, [1, 99].into_iter(), 1);
    index.finish(Keep::All);
    assert!(!index.take_changed());
    // The horizon alone.
    index.finish(Keep::Since(200));
    assert!(index.take_changed());
    // Expired entries alone.
    index.finish(Keep::CurrentOrSince(200));
    index.take_changed();
    index.begin();
    compare_days(&mut index, 99..100, 1);
    index.finish(Keep::CurrentOrSince(10));
    assert!(index.take_changed());
}

#[test]
fn records_beyond_the_limit_are_published_each_time() {
    let mut index = Index::default();
    let count = i64::try_from(MAX_ENTRIES).unwrap();
    compare_days(&mut index, 0..count, 1);
    let beyond = [1, 2].map(|_| index.compare(&print(count, 1, count), 0.0));
    assert_eq!((beyond, index.entries.len()), ([Change::Insert; 2], MAX_ENTRIES));
    assert_eq!(index.compare(&print(7, 2, 7), 0.0), Change::Correction);
    assert_eq!(index.compare(&print(7, 2, 7), 0.0), Change::Unchanged);
}

#[test]
fn a_correction_of_the_first_record_of_the_window_reaches_back() {
    let indexed = || {
        let mut index = Index::default();
        compare_days(&mut index, 0..100, 1);
        index.finish(Keep::Since(10));
        index.begin();
        index
    };
    let read = |corrected: std::ops::Range<i64>| {
        let mut index = indexed();
        for day in 90..101 {
            index.compare(&print(day, 1 + i64::from(corrected.contains(&day)), day), 0.0);
        }
        index.finish(Keep::Since(10)).reaches_back
    };
    assert!(read(90..101) && read(90..91));
    assert!(!read(91..101) && !read(0..0));
    // One correction does not count for the next response.
    let mut index = indexed();
    compare_days(&mut index, 90..100, 2);
    assert!(index.finish(Keep::Since(10)).reaches_back);
    index.begin();
    compare_days(&mut index, 90..100, 2);
    assert!(!index.finish(Keep::Since(10)).reaches_back);
    // Everything was read: nothing lies before it.
    let mut index = indexed();
    compare_days(&mut index, 0..100, 2);
    assert!(!index.finish(Keep::Since(10)).reaches_back);
}

#[test]
fn a_history_that_becomes_shorter_is_reported_and_stays_in_the_index() {
    let mut index = Index::default();
    compare_days(&mut index, 0..100, 1);
    assert_eq!(index.finish(Keep::All).shrunk, None);
    index.begin();
    compare_days(&mut index, (0..100).filter(|day| *day == 0 || *day > 30), 1);
    assert_eq!(index.finish(Keep::All).shrunk, Some([30, 100]));
    index.begin();
    assert_eq!(index.compare(&print(5, 1, 5), 0.0), Change::Unchanged);
    // The response begins later: earlier records are not gone.
    index.begin();
    compare_days(&mut index, 90..100, 1);
    assert_eq!(index.finish(Keep::All).shrunk, None);
}

#[test]
fn a_history_is_shorter_when_ten_records_and_more_than_a_fifth_of_it_are_gone() {
    let shrunk = |known: i64, gone: i64| {
        let mut index = Index::default();
        // Untimed records belong to no history.
        for key in 1..=30 {
            index.compare(&print(-key, 1, NO_TIME), 0.0);
        }
        compare_days(&mut index, 0..known, 1);
        index.begin();
        compare_days(&mut index, (0..known).filter(|day| *day == 0 || *day > gone), 1);
        index.finish(Keep::All).shrunk
    };
    assert_eq!((shrunk(49, 10), shrunk(50, 10)), (Some([10, 49]), None));
    assert_eq!((shrunk(20, 9), shrunk(100, 0)), (None, None));
}

#[test]
fn an_old_record_stays_while_responses_contain_it() {
    let mut index = Index::default();
    compare_days(&mut index, [1, 99].into_iter(), 1);
    index.finish(Keep::CurrentOrSince(10));
    index.begin();
    assert_eq!(index.compare(&print(1, 1, 1), 0.0), Change::Unchanged);
    assert_eq!(index.compare(&print(1, 2, 1), 0.0), Change::Correction);
    index.begin();
    compare_days(&mut index, 100..101, 1);
    index.finish(Keep::CurrentOrSince(10));
    assert_eq!((index.entries.len(), index.horizon()), (2, None));
    index.begin();
    assert_eq!(index.compare(&print(1, 2, 1), 0.0), Change::Insert);
}

#[test]
fn an_untimed_record_stays_while_responses_contain_it() {
    let mut index = Index::default();
    index.compare(&print(1, 1, NO_TIME), 0.0);
    index.compare(&print(2, 1, NO_TIME), 0.0);
    index.finish(Keep::All);
    index.begin();
    index.compare(&print(1, 1, NO_TIME), 0.0);
    index.finish(Keep::All);
    index.begin();
    assert_eq!(index.compare(&print(1, 1, NO_TIME), 0.0), Change::Unchanged);
    assert_eq!(index.compare(&print(2, 1, NO_TIME), 0.0), Change::Insert);
}

#[test]
fn a_saved_index_of_another_format_is_empty() {
    for bytes in [&b""[..], b"\x03", b"\x01abc", b"\x02abc", &[0; 33]] {
        assert_eq!(Index::read(bytes, Some(5)), Index::default());
    }
}

proptest! {
    /// The model: a map from key to the record that was published last.
    #[test]
    fn each_value_is_published_once_however_often_the_index_is_saved(
        rounds in vec(vec((0..6_i64, 0..3_i64), 0..12), 0..12)
    ) {
        let mut index = Index::default();
        let mut model: HashMap<i64, i64> = HashMap::new();
        let mut kept = Vec::new();
        for round in rounds {
            index.begin();
            for (key, content) in round {
                let expected = match model.insert(key, content) {
                    None => Change::Insert,
                    Some(old) if old == content => Change::Unchanged,
                    Some(_) => Change::Correction,
                };
                prop_assert_eq!(index.compare(&print(key, content, key), 0.0), expected);
            }
            index.finish(Keep::All);
            // Saved only if it says that it has changed.
            if index.take_changed() {
                kept = index.write();
            }
            index = Index::read(&kept, index.horizon());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..200)) {
        let index = Index::read(&bytes, None);
        prop_assert_eq!(Index::read(&index.write(), None), index);
    }
}

/// An index as it was saved before content hashes had names: a format byte, then four numbers for each record.
fn saved_by_place(records: &[[i64; 3]]) -> Vec<u8> {
    let numbers =
        records.iter().flat_map(|[key, by_place, time]| [*key, *by_place, *time, f64::NAN.to_bits().cast_signed()]);
    std::iter::once(1).chain(numbers.flat_map(i64::to_le_bytes)).collect()
}

#[test]
fn an_index_of_an_earlier_build_publishes_nothing_again_and_swallows_no_correction() {
    let now = |key, by_place| Fingerprint { by_place, ..print(key, by_place + 100, key) };
    let mut index = Index::read(&saved_by_place(&[[1, 10, 1], [2, 20, 2], [3, 30, 3]]), None);
    index.begin();
    assert_eq!(index.compare(&now(1, 10), 0.0), Change::Unchanged);
    assert_eq!(index.compare(&now(2, 21), 0.0), Change::Correction);
    assert_eq!(index.compare(&now(4, 40), 0.0), Change::Insert);
    assert!(index.take_changed());
    // The record that was not compared keeps its old content; the others are compared by the new one.
    let mut index = Index::read(&index.write(), None);
    index.begin();
    let compared = [now(1, 10), now(2, 21), now(3, 30), now(4, 40)].map(|print| index.compare(&print, 0.0));
    assert_eq!(compared, [Change::Unchanged; 4]);
    assert!(index.take_changed());
    let other = [now(1, 10), now(2, 21), now(3, 30)].map(|print| Fingerprint { content: 7, ..print });
    assert_eq!(other.map(|print| index.compare(&print, 0.0)), [Change::Correction; 3]);
}
