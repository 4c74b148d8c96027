//! Rows of one dataset, column by column: what a consumer decodes into and a database is written from.

use std::cmp::Ordering;
use std::mem::take;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use xxhash_rust::xxh3::Xxh3;

use crate::text::Text;

use crate::dataset::{Dataset, Kind};
use crate::json;

/// One column; a row's place is the same in all columns.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// [`Kind::Text`].
    Text(Vec<Option<String>>),
    /// [`Kind::Long`].
    Long(Vec<Option<i64>>),
    /// [`Kind::Double`].
    Double(Vec<Option<f64>>),
    /// [`Kind::Date`].
    Date(Vec<Option<i32>>),
    /// [`Kind::Timestamp`].
    Timestamp(Vec<Option<i64>>),
    /// [`Kind::Decimal`].
    Decimal(Vec<Option<Decimal>>),
    /// [`Kind::Json`].
    Json(Vec<Option<String>>),
    /// [`Kind::Bytes`].
    Bytes(Vec<Option<Vec<u8>>>),
    /// [`Kind::TextList`].
    TextList(Vec<Vec<String>>),
}

/// One value, to be appended to a column of its kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Null, or an empty list.
    Null,
    /// [`Kind::Text`] or [`Kind::Json`].
    Text(Text),
    /// [`Kind::Long`], or [`Kind::Timestamp`] in microseconds.
    Long(i64),
    /// [`Kind::Double`].
    Double(f64),
    /// [`Kind::Date`].
    Date(i32),
    /// [`Kind::Decimal`].
    Decimal(Decimal),
    /// [`Kind::Bytes`].
    Bytes(Vec<u8>),
    /// [`Kind::TextList`].
    TextList(Vec<String>),
}

/// The next value as the type of a record's field; None when there is none, or it is of another kind.
#[inline]
pub(crate) fn next<T: FromValue>(values: &mut std::slice::IterMut<'_, Value>) -> Option<T> {
    T::from_value(values.next()?)
}

/// What the fields of records are.
pub(crate) trait FromValue: Sized {
    /// Takes what the value holds; None when it is of another kind.
    fn from_value(value: &mut Value) -> Option<Self>;
}

/// Says how a type comes out of the value of its kind.
macro_rules! from_value {
    ($($type:ty: $pattern:pat => $result:expr;)*) => {
        $(impl FromValue for $type {
            #[inline]
            fn from_value(value: &mut Value) -> Option<$type> {
                match value {
                    $pattern => $result,
                    _ => None,
                }
            }
        })*
    };
}

from_value! {
    Text: Value::Text(text) => Some(take(text));
    String: Value::Text(text) => Some(text.as_str().to_owned());
    i64: Value::Long(number) => Some(*number);
    f64: Value::Double(number) => Some(*number);
    NaiveDate: Value::Date(days) => NaiveDate::from_epoch_days(*days);
    DateTime<Utc>: Value::Long(micros) => DateTime::from_timestamp_micros(*micros);
    Decimal: Value::Decimal(number) => Some(*number);
    Vec<u8>: Value::Bytes(bytes) => Some(take(bytes));
}

impl FromValue for Vec<String> {
    fn from_value(value: &mut Value) -> Option<Vec<String>> {
        match value {
            Value::TextList(texts) => Some(take(texts)),
            Value::Null => Some(Vec::new()),
            _ => None,
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    #[inline]
    fn from_value(value: &mut Value) -> Option<Option<T>> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

/// Rows of one dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    columns: Vec<Column>,
    deleted: Vec<bool>,
}

/// Content hash of a deleted row: the highest, so that of a record and a deletion with the same `known_at` and
/// `observed_at` the deletion wins.
pub const DELETED_HASH: i64 = i64::MAX;

/// Applies an expression to whatever vector a column holds.
macro_rules! each {
    ($column:expr, $vector:ident => $body:expr) => {
        match $column {
            Column::Text($vector) => $body,
            Column::Long($vector) => $body,
            Column::Double($vector) => $body,
            Column::Date($vector) => $body,
            Column::Timestamp($vector) => $body,
            Column::Decimal($vector) => $body,
            Column::Json($vector) => $body,
            Column::Bytes($vector) => $body,
            Column::TextList($vector) => $body,
        }
    };
}

impl Column {
    /// An empty column of that kind.
    pub fn new(kind: Kind) -> Column {
        match kind {
            Kind::Text => Column::Text(Vec::new()),
            Kind::Long => Column::Long(Vec::new()),
            Kind::Double => Column::Double(Vec::new()),
            Kind::Date => Column::Date(Vec::new()),
            Kind::Timestamp => Column::Timestamp(Vec::new()),
            Kind::Decimal => Column::Decimal(Vec::new()),
            Kind::Json => Column::Json(Vec::new()),
            Kind::Bytes => Column::Bytes(Vec::new()),
            Kind::TextList => Column::TextList(Vec::new()),
        }
    }

    /// Text of a row; None when it is null or the column holds something else.
    pub fn text(&self, row: usize) -> Option<&str> {
        match self {
            Column::Text(values) => values[row].as_deref(),
            _ => None,
        }
    }

    /// Number of a row; None when it is null or the column holds something else.
    pub fn number(&self, row: usize) -> Option<f64> {
        match self {
            Column::Double(values) => values[row],
            // Rules compare counts and scores, far below 2^53, where a double is exact.
            Column::Long(values) => values[row].map(|value| value as f64),
            Column::Decimal(values) => values[row].and_then(|value| value.to_f64()),
            _ => None,
        }
    }

    /// Appends null, or an empty list where null is not possible.
    pub fn push_null(&mut self) {
        match self {
            Column::Text(values) | Column::Json(values) => values.push(None),
            Column::Decimal(values) => values.push(None),
            Column::Long(values) | Column::Timestamp(values) => values.push(None),
            Column::Double(values) => values.push(None),
            Column::Date(values) => values.push(None),
            Column::Bytes(values) => values.push(None),
            Column::TextList(values) => values.push(Vec::new()),
        }
    }

    /// Appends a value; one of another kind counts as null.
    pub(crate) fn push(&mut self, value: Value) {
        match (self, value) {
            (Column::Text(values) | Column::Json(values), Value::Text(value)) => values.push(Some(value.into())),
            (Column::Decimal(values), Value::Decimal(value)) => values.push(Some(value)),
            (Column::Long(values) | Column::Timestamp(values), Value::Long(value)) => values.push(Some(value)),
            (Column::Double(values), Value::Double(value)) => values.push(Some(value)),
            (Column::Date(values), Value::Date(value)) => values.push(Some(value)),
            (Column::Bytes(values), Value::Bytes(value)) => values.push(Some(value)),
            (Column::TextList(values), Value::TextList(value)) => values.push(value),
            (column, _) => column.push_null(),
        }
    }

    fn compare(&self, left: usize, right: usize) -> Ordering {
        match self {
            Column::Text(values) | Column::Json(values) => values[left].cmp(&values[right]),
            Column::Decimal(values) => values[left].cmp(&values[right]),
            Column::Long(values) | Column::Timestamp(values) => values[left].cmp(&values[right]),
            Column::Date(values) => values[left].cmp(&values[right]),
            Column::Bytes(values) => values[left].cmp(&values[right]),
            Column::TextList(values) => values[left].cmp(&values[right]),
            Column::Double(values) => {
                values[left].partial_cmp(&values[right]).expect("validation refuses what is not finite")
            }
        }
    }

    fn hash(&self, row: usize, state: &mut Xxh3) {
        let mut tagged = |bytes: Option<&[u8]>| match bytes {
            None => state.update(&[0]),
            Some(bytes) => {
                state.update(&[1]);
                state.update(&(bytes.len() as u64).to_le_bytes());
                state.update(bytes);
            }
        };
        match self {
            Column::Text(values) => tagged(values[row].as_deref().map(str::as_bytes)),
            Column::Bytes(values) => tagged(values[row].as_deref()),
            Column::Json(values) => {
                // What is not JSON has been refused.
                let canonical = values[row].as_deref().map(|text| json::canonical(text).unwrap_or(text.to_owned()));
                tagged(canonical.as_deref().map(str::as_bytes));
            }
            Column::Decimal(values) => {
                tagged(values[row].map(|value| value.normalize().to_string()).as_deref().map(str::as_bytes));
            }
            Column::Long(values) | Column::Timestamp(values) => {
                tagged(values[row].map(i64::to_le_bytes).as_ref().map(<[u8; 8]>::as_slice));
            }
            Column::Date(values) => tagged(values[row].map(i32::to_le_bytes).as_ref().map(<[u8; 4]>::as_slice)),
            // Adding zero turns -0.0, which databases hold equal to 0.0, into 0.0.
            Column::Double(values) => {
                tagged(values[row].map(|value| (value + 0.0).to_le_bytes()).as_ref().map(<[u8; 8]>::as_slice));
            }
            Column::TextList(values) => values[row].iter().for_each(|text| tagged(Some(text.as_bytes()))),
        }
    }
}

impl Rows {
    /// No rows of that dataset.
    pub fn new(dataset: &Dataset) -> Rows {
        Rows { columns: dataset.fields.iter().map(|field| Column::new(field.kind)).collect(), deleted: Vec::new() }
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
        debug_assert!(self.columns.iter().all(|column| each!(column, values => values.len()) == self.len()));
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
            each!(column, values => values.truncate(len));
        }
        self.deleted.truncate(len);
    }

    /// Sets the flags of a row.
    pub(crate) fn set_flags(&mut self, flags: usize, row: usize, names: Vec<String>) {
        if let Column::TextList(values) = &mut self.columns[flags] {
            values[row] = names;
        }
    }

    /// Hash over what a row says: its values without key, version and flags; `0.0` and `-0.0` are the same.
    pub fn content_hash(&self, dataset: &Dataset, row: usize) -> i64 {
        if self.deleted[row] {
            return DELETED_HASH;
        }
        self.hash(dataset.values(), row).min(DELETED_HASH - 1)
    }

    /// Hash over a row's fields at those positions.
    pub fn hash(&self, positions: impl Iterator<Item = usize>, row: usize) -> i64 {
        let mut state = Xxh3::new();
        for position in positions {
            self.columns[position].hash(row, &mut state);
        }
        state.digest().cast_signed()
    }

    /// Order of two rows by natural key.
    pub fn compare_keys(&self, dataset: &Dataset, left: usize, right: usize) -> Ordering {
        dataset
            .key
            .iter()
            .map(|position| self.columns[*position].compare(left, right))
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    /// Version of a row: `(known_at, observed_at, content hash)`.
    pub fn version(&self, dataset: &Dataset, row: usize) -> (i64, i64, i64) {
        let micros = |position: usize| match &self.columns[position] {
            Column::Timestamp(values) => values[row].expect("validation refuses a record without a version"),
            _ => unreachable!("the version's fields are timestamps"),
        };
        let [known_at, observed_at] = dataset.version_fields;
        (micros(known_at), micros(observed_at), self.content_hash(dataset, row))
    }

    /// The fold of a chunk: one row per key, the highest version, in the order of the keys.
    ///
    /// The order is the same for every writer, so that concurrent writers cannot deadlock. Rows for which `without`
    /// is true do not count.
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

/// A row that stands for its key after the fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folded {
    /// Its place in the rows.
    pub row: usize,
    /// `(known_at, observed_at, content hash)`.
    pub version: (i64, i64, i64),
}
