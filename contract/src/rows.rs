//! Rows of one dataset, column by column: a consumer decodes messages into them and writes the database from them.

use xxhash_rust::xxh3::xxh3_64;

pub use crate::column::Column;
use crate::field::Kind;
pub use crate::value::Value;

/// Rows of one dataset, stored as columns.
///
/// Column `n` holds the values of the dataset's field `n`; row `r` is at place `r` of every column. A row is a record,
/// or a deletion: then only its key and version are set.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    columns: Vec<Column>,
    deleted: Vec<bool>,
}

/// Content hash of a deletion: the highest, so that a deletion wins against a record with the same `known_at` and
/// `observed_at`.
pub const DELETED_HASH: i64 = i64::MAX;

/// Room for the values of a row that are hashed.
pub(crate) const USUAL_ROW_BYTES: usize = 256;

impl Rows {
    /// No rows, with columns of these kinds.
    pub(crate) fn of_kinds(kinds: impl Iterator<Item = Kind>) -> Rows {
        Rows { columns: kinds.map(Column::new).collect(), deleted: Vec::new() }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.deleted.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.deleted.is_empty()
    }

    /// For each row, whether it is a deletion of its key.
    pub fn deleted(&self) -> &[bool] {
        &self.deleted
    }

    /// The column of the dataset's field at that position.
    ///
    /// # Panics
    ///
    /// When the dataset has no such field.
    pub fn column(&self, position: usize) -> &Column {
        &self.columns[position]
    }

    /// The columns, to append one value to each; [`Rows::finish_row`] completes the row.
    pub(crate) fn columns_mut(&mut self) -> &mut [Column] {
        &mut self.columns
    }

    /// Completes a row once every column has its value.
    pub(crate) fn finish_row(&mut self, deleted: bool) {
        self.deleted.push(deleted);
        debug_assert!(self.columns.iter().all(|column| column.len() == self.len()));
    }

    /// Appends a row with one value for each column, in order: for rows read back from a database.
    ///
    /// A value of another kind than its column counts as null.
    pub fn push_row(&mut self, values: impl IntoIterator<Item = Value>, deleted: bool) {
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.push(value);
        }
        self.finish_row(deleted);
    }

    /// Drops all rows from `len` on, and the values of a row that was not completed.
    pub fn truncate(&mut self, len: usize) {
        for column in &mut self.columns {
            column.truncate(len);
        }
        self.deleted.truncate(len);
    }

    /// Whether two rows have the same values.
    pub(crate) fn is_same(&self, left: usize, right: usize) -> bool {
        self.columns.iter().all(|column| column.is_same(left, right))
    }

    /// Turns every -0.0 of a row into 0.0.
    pub(crate) fn drop_zero_signs(&mut self, row: usize) {
        for column in &mut self.columns {
            if let Column::Double(values) = column
                && let Some(value) = &mut values[row]
            {
                *value += 0.0;
            }
        }
    }

    /// Sets the flags of a row.
    pub(crate) fn set_flags(&mut self, flags: usize, row: usize, names: Vec<String>) {
        if let Column::TextList(values) = &mut self.columns[flags] {
            values[row] = names;
        }
    }

    /// Hash over the fields of a row at those positions, in their order and without their names: for keys, whose fields
    /// never change.
    pub fn hash(&self, positions: impl Iterator<Item = usize>, row: usize) -> i64 {
        let mut bytes = Vec::with_capacity(USUAL_ROW_BYTES);
        for position in positions {
            self.columns[position].append_by_place(row, &mut bytes);
        }
        xxh3_64(&bytes).cast_signed()
    }
}

/// The distinct versions of a chunk, as [`Rows::versions`] finds them. Of equal versions only the first row is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versions {
    /// Of each key the highest, in the order of the keys.
    pub highest: Vec<Folded>,
    /// The others: in the order of the keys, of one key the higher ones first.
    pub others: Vec<Folded>,
}

/// A row and its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folded {
    /// Index of the row.
    pub row: usize,
    /// `(known_at, observed_at, content hash)`; both times in microseconds since 1970.
    pub version: (i64, i64, i64),
}
