use super::*;

fn at(time: &str) -> DateTime<Utc> {
    time.parse().unwrap()
}

/// A chunk of inserted records.
fn chunk(from: i64, to: i64, committed_at: &str) -> Entry {
    let read = (to - from).cast_unsigned();
    let outcome = Outcome { read, inserted: read, ..Outcome::default() };
    Entry { from, to, outcome, committed_at: at(committed_at), is_in_gap: false }
}

/// The ranges after a merge as of 2026-06-15.
fn ranges(entries: &[Entry]) -> Vec<(i64, i64)> {
    merges(entries, at("2026-06-15T12:00:00Z")).iter().map(|merge| (merge.entry.from, merge.entry.to)).collect()
}

#[test]
fn a_day_becomes_one_entry_and_a_month_of_long_ago_becomes_one() {
    let entries = [
        chunk(0, 5, "2026-03-30T10:00:00Z"),
        chunk(5, 6, "2026-03-31T10:00:00Z"),
        chunk(6, 9, "2026-04-01T10:00:00Z"),
        chunk(9, 10, "2026-06-12T00:00:00Z"),
        chunk(10, 20, "2026-06-12T23:59:59Z"),
        chunk(20, 21, "2026-06-13T00:00:00Z"),
    ];
    assert_eq!(ranges(&entries), [(0, 6), (6, 9), (9, 20), (20, 21)]);
    let merged = merges(&entries, at("2026-06-15T12:00:00Z"));
    assert_eq!(merged[2], Merge { entry: chunk(9, 20, "2026-06-12T23:59:59Z"), last_from: 10, entries: 2 });
}

#[test]
fn entries_with_a_gap_an_overlap_or_a_wrong_sum_stay_as_they_are() {
    let day = "2026-06-12T10:00:00Z";
    assert_eq!(ranges(&[chunk(0, 5, day), chunk(6, 9, day)]), [(0, 5), (6, 9)]);
    assert_eq!(ranges(&[chunk(0, 5, day), chunk(4, 9, day)]), [(0, 5), (4, 9)]);
    let mut wrong = chunk(5, 9, day);
    wrong.outcome.inserted -= 1;
    assert_eq!(ranges(&[chunk(0, 5, day), wrong, chunk(9, 11, day)]), [(0, 5), (5, 9), (9, 11)]);
    let mut wrong = chunk(5, 9, day);
    wrong.outcome.read += 1;
    wrong.outcome.inserted += 1;
    assert_eq!(ranges(&[chunk(0, 5, day), wrong]), [(0, 5), (5, 9)]);
}

#[test]
fn a_merged_entry_has_no_more_offsets_than_its_counts_can_hold() {
    let day = "2026-06-12T10:00:00Z";
    let half = MAX_OFFSETS / 2 + 1;
    assert_eq!(ranges(&[chunk(0, half, day), chunk(half, 2 * half, day)]), [(0, half), (half, 2 * half)]);
}
