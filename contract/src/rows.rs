//! Rows of one dataset, column by column: what a consumer decodes into and a database is written from.

use xxhash_rust::xxh3::Xxh3;

pub use crate::column::Column;
use crate::field::Kind;
pub use crate::value::Value;

/// Rows of one dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    columns: Vec<Column>,
    deleted: Vec<bool>,
}

/// Content hash of a deleted row: the highest, so that of a record and a deletion with the same `known_at` and
/// `observed_at` the deletion wins.
pub const DELETED_HASH: i64 = i64::MAX;

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

    /// Of each row, whether it says that its key was deleted.
    pub fn deleted(&self) -> &[bool] {
        &self.deleted
    }

    /// The column at that position of the dataset's fields.
    pub fn column(&self, position: usize) -> &Column {
        &self.columns[position]
    }

    /// The columns, to append one value to each; [`Rows::finish_row`] completes the row.
    pub(crate) fn columns_mut(&mut self) -> &mut [Column] {
        &mut self.columns
    }

    /// Completes a row of which every column got its value.
    pub(crate) fn finish_row(&mut self, deleted: bool) {
        self.deleted.push(deleted);
        debug_assert!(self.columns.iter().all(|column| column.len() == self.len()));
    }

    /// Appends a row with what `values` gives for each column: for rows that were read from a database.
    pub fn push_row(&mut self, values: impl IntoIterator<Item = Value>, deleted: bool) {
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.push(value);
        }
        self.finish_row(deleted);
    }

    /// Drops what a row left behind that did not get all its values, and rows from `len` on.
    pub fn truncate(&mut self, len: usize) {
        for column in &mut self.columns {
            column.truncate(len);
        }
        self.deleted.truncate(len);
    }

    /// Sets the flags of a row.
    pub(crate) fn set_flags(&mut self, flags: usize, row: usize, names: Vec<String>) {
        if let Column::TextList(values) = &mut self.columns[flags] {
            values[row] = names;
        }
    }

    /// Hash over a row's fields at those positions.
    pub fn hash(&self, positions: impl Iterator<Item = usize>, row: usize) -> i64 {
        let mut state = Xxh3::new();
        for position in positions {
            self.columns[position].hash(row, &mut state);
        }
        state.digest().cast_signed()
    }
}

/// A row that stands for its key after the fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folded {
    /// Its place in the rows.
    pub row: usize,
    /// `(known_at, observed_at, content hash)`.
    pub version: (i64, i64, i64),
}
