//! Quarantines: a publisher whose records a sink refuses too often costs only itself.
//!
//! Its valid records are stored as before. Of its refused records the first [`MAX_DEAD_LETTERS`] become dead letters; of
//! the others the sink keeps the coordinates, until an operator releases the quarantine. Both are written in the
//! transaction of their chunk.

use contract::Text;

use crate::partition::SinkPartition;

/// Most dead letters of a publisher after the beginning of its quarantine.
pub const MAX_DEAD_LETTERS: usize = 1000;
/// The publisher of records that name none: they cannot be decoded, or their `source` is not a name.
pub const UNREADABLE: &str = "(unreadable)";
/// The publisher of all records whose own publisher is one too many to be told apart.
pub const OTHERS: &str = "(others)";
/// Longest name of a publisher, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// The publisher of a record, by its field `source`.
pub fn publisher(source: Option<&str>) -> Text {
    let is_name = |name: &&str| {
        let is_allowed = |letter: u8| letter.is_ascii_alphanumeric() || b"_.-".contains(&letter);
        (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_allowed)
    };
    source.filter(is_name).unwrap_or(UNREADABLE).into()
}

/// Too many of a publisher's last records were refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trip {
    /// The publisher.
    pub publisher: Text,
    /// How many of its last records were refused.
    pub refused: usize,
    /// How many of its last records were counted.
    pub seen: usize,
    /// Why the last of them was refused.
    pub reason: String,
}

/// A publisher's quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    /// The sink that refuses its records.
    pub sink: String,
    /// The publisher.
    pub publisher: String,
    /// When it began, and why; None when it was released, but some records are still parked.
    pub trip: Option<(String, Trip)>,
    /// Dead letters since it began.
    pub dead_letters: i64,
    /// Refused records of which only the coordinate is kept.
    pub parked: i64,
}

/// Refused records of one chunk and publisher without dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// Where they were read.
    pub partition: SinkPartition,
    /// The publisher.
    pub publisher: String,
    /// First offset of their chunk.
    pub from_offset: i64,
    /// Their offsets, ascending.
    pub offsets: Vec<i64>,
}

/// Ascending offsets as text: `5-9,12`.
pub(crate) fn ranges(offsets: &[i64]) -> String {
    let range = |range: &[i64]| match range {
        [first, .., last] => format!("{first}-{last}"),
        [only] => only.to_string(),
        [] => String::new(),
    };
    offsets.chunk_by(|left, right| left + 1 == *right).map(range).collect::<Vec<_>>().join(",")
}

/// Reads [`ranges`]; None when the text has another form.
pub(crate) fn offsets(ranges: &str) -> Option<Vec<i64>> {
    let mut offsets = Vec::new();
    for range in ranges.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        offsets.extend(first.parse::<i64>().ok()?..=last.parse::<i64>().ok()?);
    }
    Some(offsets)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn offsets_survive_as_ranges(offsets in prop::collection::btree_set(0..200_i64, 1..150)) {
            let sorted: Vec<i64> = offsets.into_iter().collect();
            prop_assert_eq!(super::offsets(&ranges(&sorted)), Some(sorted));
        }
    }

    #[test]
    fn neighbouring_offsets_are_one_range() {
        assert_eq!(ranges(&[5, 6, 7, 9, 12, 13]), "5-7,9,12-13");
        assert_eq!(offsets("5-7,x"), None);
    }

    #[test]
    fn a_source_that_is_no_name_counts_as_unreadable() {
        for source in [None, Some(""), Some("a b"), Some("a\0"), Some("é"), Some(&*"x".repeat(256))] {
            assert_eq!(publisher(source), UNREADABLE, "{source:?}");
        }
        assert_eq!(publisher(Some("my-feed_2.v1")), "my-feed_2.v1");
    }
}
