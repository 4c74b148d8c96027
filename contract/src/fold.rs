//! Versions of rows, and the fold of a chunk: one row per key.

use std::cmp::Ordering;

use crate::column::Column;
use crate::dataset::Dataset;
use crate::rows::{DELETED_HASH, Folded, Rows};

impl Rows {
    /// Empty rows of that dataset.
    pub fn new(dataset: &Dataset) -> Rows {
        Rows::of_kinds(dataset.fields.iter().map(|field| field.kind))
    }

    /// Hash over the values of a row, without key, version and flags.
    ///
    /// Equal values have equal hashes: `0.0` and `-0.0`, decimals with or without trailing zeros, JSON that differs
    /// only in spaces or order. A deletion has [`DELETED_HASH`].
    pub fn content_hash(&self, dataset: &Dataset, row: usize) -> i64 {
        if self.deleted()[row] {
            return DELETED_HASH;
        }
        self.hash(dataset.values(), row).min(DELETED_HASH - 1)
    }

    /// Order of two rows by natural key.
    pub fn compare_keys(&self, dataset: &Dataset, left: usize, right: usize) -> Ordering {
        dataset
            .key
            .iter()
            .map(|position| self.column(*position).compare(left, right))
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    /// Version of a row: `(known_at, observed_at, content hash)`; both times in microseconds since 1970.
    ///
    /// Of two rows with the same key the higher version wins, whatever the order in which they arrive.
    ///
    /// # Panics
    ///
    /// When a part is null, which [`validate_last`](crate::validate::validate_last) refuses.
    pub fn version(&self, dataset: &Dataset, row: usize) -> (i64, i64, i64) {
        let micros = |position: usize| match self.column(position) {
            Column::Timestamp(values) => values[row].expect("validation refuses a record without a version"),
            _ => unreachable!("the version's fields are timestamps"),
        };
        let [known_at, observed_at] = dataset.version_fields;
        (micros(known_at), micros(observed_at), self.content_hash(dataset, row))
    }

    /// The fold of a chunk: for each key the row with the highest version, in the order of the keys.
    ///
    /// The order is the same for every writer, so that concurrent writers cannot deadlock. The fold skips rows for
    /// which `without` returns true. Among equal versions it keeps the first row.
    ///
    /// # Panics
    ///
    /// When a row was not validated: see [`Rows::version`].
    pub fn fold(&self, dataset: &Dataset, without: impl Fn(usize) -> bool) -> Vec<Folded> {
        let rows = (0..self.len()).filter(|row| !without(*row));
        let mut rows: Vec<Folded> = rows.map(|row| Folded { row, version: self.version(dataset, row) }).collect();
        rows.sort_unstable_by(|left, right| {
            self.compare_keys(dataset, left.row, right.row)
                .then_with(|| right.version.cmp(&left.version))
                .then_with(|| left.row.cmp(&right.row))
        });
        rows.dedup_by(|later, first| self.compare_keys(dataset, later.row, first.row).is_eq());
        rows
    }
}
