//! Versions of rows, and the fold of a chunk: one row per key.

use std::cmp::Ordering;

use xxhash_rust::xxh3::xxh3_64;

use crate::column::Column;
use crate::dataset::Dataset;
use crate::rows::{DELETED_HASH, Folded, Rows, USUAL_ROW_BYTES, Versions};

impl Rows {
    /// Empty rows of that dataset.
    pub fn new(dataset: &Dataset) -> Rows {
        Rows::of_kinds(dataset.fields.iter().map(|field| field.kind))
    }

    /// Hash over the values of a row, without key, version and flags.
    ///
    /// Equal values have equal hashes: `0.0` and `-0.0`, decimals with or without trailing zeros, JSON that differs
    /// only in spaces or order. A new optional field changes no hash. A deletion has [`DELETED_HASH`].
    pub fn content_hash(&self, dataset: &Dataset, row: usize) -> i64 {
        self.content_hash_in(dataset, row, &mut Vec::with_capacity(USUAL_ROW_BYTES))
    }

    /// The same, with room for the bytes that are hashed.
    fn content_hash_in(&self, dataset: &Dataset, row: usize, room: &mut Vec<u8>) -> i64 {
        if self.deleted()[row] {
            return DELETED_HASH;
        }
        self.hash_values_in(dataset, None, row, room).min(DELETED_HASH - 1)
    }

    /// Hash over the values of a row, each with its field's name, but for the field at `except`.
    ///
    /// Neither the order of the fields nor a field that is null counts, nor a list that is empty.
    pub fn hash_of_values(&self, dataset: &Dataset, except: Option<usize>, row: usize) -> i64 {
        self.hash_values_in(dataset, except, row, &mut Vec::with_capacity(USUAL_ROW_BYTES))
    }

    fn hash_values_in(&self, dataset: &Dataset, except: Option<usize>, row: usize, room: &mut Vec<u8>) -> i64 {
        room.clear();
        for (name, position) in &dataset.hashed {
            if Some(*position) != except {
                self.column(*position).append_named(*name, row, room);
            }
        }
        xxh3_64(room).cast_signed()
    }

    /// Order of two rows by natural key, as the primary keys have it.
    pub fn compare_keys(&self, dataset: &Dataset, left: usize, right: usize) -> Ordering {
        self.compare_at(&dataset.primary_key, left, right)
    }

    /// Version of a row: `(known_at, observed_at, content hash)`; both times in microseconds since 1970.
    ///
    /// Of two rows with the same key the higher version wins, whatever the order in which they arrive.
    ///
    /// # Panics
    ///
    /// When a part is null, which [`validate_last`](crate::validate::validate_last) refuses.
    pub fn version(&self, dataset: &Dataset, row: usize) -> (i64, i64, i64) {
        self.version_in(dataset, row, &mut Vec::with_capacity(USUAL_ROW_BYTES))
    }

    fn version_in(&self, dataset: &Dataset, row: usize, room: &mut Vec<u8>) -> (i64, i64, i64) {
        let micros = |position: usize| match self.column(position) {
            Column::Timestamp(values) => values[row].expect("validation refuses a record without a version"),
            _ => unreachable!("the version's fields are timestamps"),
        };
        let [known_at, observed_at] = dataset.version_fields;
        (micros(known_at), micros(observed_at), self.content_hash_in(dataset, row, room))
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
        self.versions(dataset, without).highest
    }

    /// All distinct versions of a chunk, in the order of the keys: the highest of each key, and the others.
    ///
    /// # Panics
    ///
    /// When a row was not validated: see [`Rows::version`].
    pub fn versions(&self, dataset: &Dataset, without: impl Fn(usize) -> bool) -> Versions {
        let rows = (0..self.len()).filter(|row| !without(*row));
        let mut room = Vec::with_capacity(USUAL_ROW_BYTES);
        let folded = |row| Folded { row, version: self.version_in(dataset, row, &mut room) };
        let mut rows: Vec<Folded> = rows.map(folded).collect();
        // Chunks hold runs of rows in the order of the keys, which the stable sort merges.
        let varying = self.varying(dataset, &rows);
        let by_key = |left: &Folded, right: &Folded| self.compare_at(&varying, left.row, right.row);
        rows.sort_by(|left, right| by_key(left, right).then_with(|| right.version.cmp(&left.version)));
        let mut others = Vec::new();
        // Where a key has several versions, the one before is the last of them so far.
        let mut before: Option<Folded> = None;
        rows.retain(|row| {
            let same_key = before.filter(|before| by_key(before, row).is_eq());
            before = Some(*row);
            others.extend(same_key.filter(|before| before.version != row.version).map(|_| *row));
            same_key.is_none()
        });
        Versions { highest: rows, others }
    }

    /// The fields of the key in which these rows differ: a chunk often has one source and one interval.
    fn varying(&self, dataset: &Dataset, rows: &[Folded]) -> Vec<usize> {
        let Some(first) = rows.first().map(|first| first.row) else { return Vec::new() };
        let differ = |column: &Column| rows.iter().any(|other| column.compare(first, other.row).is_ne());
        dataset.primary_key.iter().copied().filter(|position| differ(self.column(*position))).collect()
    }

    fn compare_at(&self, positions: &[usize], left: usize, right: usize) -> Ordering {
        let mut orders = positions.iter().map(|position| self.column(*position).compare(left, right));
        orders.find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
    }
}
