//! The parameters of SQLite's statements for rows.

use std::sync::Arc;

use contract::{Column, Rows};
use sqlx::Arguments as _;
use sqlx::sqlite::SqliteArguments;

use crate::text;

/// Turns the fields of rows into parameters. Neighbours in a chunk share most of their texts, such as source, symbol and
/// time of publication, and then share the text in memory: allocating took a third of the time of a write.
pub(super) struct Parameters<'a> {
    rows: &'a Rows,
    /// Of each field, the row that it was last taken from and its text.
    last: Vec<Option<(usize, Arc<str>)>>,
}

/// Why a value is no parameter.
pub(super) type Unencodable = sqlx::error::BoxDynError;

impl<'a> Parameters<'a> {
    pub(super) fn new(rows: &'a Rows, fields: usize) -> Parameters<'a> {
        Parameters { rows, last: vec![None; fields] }
    }

    /// Whether a row is a deletion.
    pub(super) fn is_deleted(&self, row: usize) -> bool {
        self.rows.deleted()[row]
    }

    /// Adds a field of a row.
    pub(super) fn add(&mut self, to: &mut SqliteArguments, field: usize, row: usize) -> Result<(), Unencodable> {
        let column = self.rows.column(field);
        match column {
            Column::Long(values) => to.add(values[row]),
            Column::Double(values) => to.add(values[row]),
            Column::Bytes(values) => to.add(values[row].as_deref()),
            Column::Decimal(values) => match values[row].map(|value| (value, text::double_of(value))) {
                Some((value, None)) => to.add(value.normalize().to_string()),
                number => to.add(number.and_then(|(_, double)| double)),
            },
            Column::Text(_) | Column::Json(_) | Column::Date(_) | Column::Timestamp(_) | Column::TextList(_) => {
                let last = &mut self.last[field];
                let shared = last.as_ref().filter(|(other, _)| *other == row || is_same(column, *other, row));
                if let Some((_, text)) = shared {
                    return to.add(Arc::clone(text));
                }
                let Some(text) = shown(column, row) else { return to.add(None::<&str>) };
                *last = Some((row, Arc::clone(&text)));
                to.add(text)
            }
        }
    }
}

/// Whether a column has the same text in two rows.
fn is_same(column: &Column, left: usize, right: usize) -> bool {
    match column {
        Column::Text(values) | Column::Json(values) => values[left] == values[right],
        Column::Date(values) => values[left] == values[right],
        Column::Timestamp(values) => values[left] == values[right],
        Column::TextList(values) => values[left] == values[right],
        Column::Long(_) | Column::Double(_) | Column::Bytes(_) | Column::Decimal(_) => false,
    }
}

/// A text, or what SQLite stores as one; None is null.
fn shown(column: &Column, row: usize) -> Option<Arc<str>> {
    match column {
        Column::Text(values) | Column::Json(values) => values[row].as_deref().map(Arc::from),
        Column::Date(values) => values[row].map(|days| text::date(days).to_string().into()),
        Column::Timestamp(values) => values[row].map(|micros| text::of_time(text::time(micros)).into()),
        Column::TextList(values) => Some(text::of_list(&values[row]).into()),
        Column::Long(_) | Column::Double(_) | Column::Bytes(_) | Column::Decimal(_) => None,
    }
}
