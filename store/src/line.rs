//! A row that was read, in the same form from both databases.

use contract::{Kind, Value};

use crate::partition::SinkPartition;
use crate::text;

/// The value in a column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    /// An integer or a boolean.
    Number(i64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
}

/// A row that was read from a database.
///
/// The statement decides the kinds of the columns. A method for another kind than the column's returns its empty value.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    cells: Vec<Cell>,
}

impl Line {
    pub(crate) fn new(cells: Vec<Cell>) -> Line {
        Line { cells }
    }

    /// The number in a column; 0 when it is null.
    pub fn int(&self, at: usize) -> i64 {
        self.optional_int(at).unwrap_or_default()
    }

    /// The number in a column; None when it is null.
    pub fn optional_int(&self, at: usize) -> Option<i64> {
        match self.cells.get(at)? {
            Cell::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The text in a column; empty when it is null.
    pub fn text(&self, at: usize) -> String {
        self.optional_text(at).unwrap_or_default()
    }

    /// The text in a column; None when it is null.
    pub fn optional_text(&self, at: usize) -> Option<String> {
        match self.cells.get(at)? {
            Cell::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// The bytes in a column; None when they are null.
    pub fn bytes(&self, at: usize) -> Option<&[u8]> {
        match self.cells.get(at)? {
            Cell::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The value of a field of that kind, selected with [`crate::syntax::Syntax::read`]; None when the text is not in
    /// the form in which tapedeck stores it.
    pub fn value(&self, at: usize, kind: Kind) -> Option<Value> {
        Some(match (kind, self.cells.get(at)?) {
            (Kind::TextList, Cell::Null) => return None,
            (_, Cell::Null) => Value::Null,
            (Kind::Text | Kind::Json, Cell::Text(text)) => Value::Text(text.as_str().into()),
            (Kind::Long, Cell::Number(number)) => Value::Long(*number),
            (Kind::Double, Cell::Double(number)) => Value::Double(*number),
            (Kind::Bytes, Cell::Bytes(bytes)) => Value::Bytes(bytes.clone()),
            (Kind::Date, Cell::Text(text)) => Value::Date(text::read_date(text)?),
            (Kind::Timestamp, Cell::Text(text)) => Value::Long(text::read_time(text)?.timestamp_micros()),
            (Kind::Decimal, Cell::Double(number)) => Value::Decimal(text::decimal_of(*number)?),
            (Kind::Decimal, Cell::Text(text)) => Value::Decimal(text::read_decimal(text)?),
            (Kind::TextList, Cell::Text(text)) => Value::TextList(text::read_list(text)?),
            _ => return None,
        })
    }

    /// The columns as texts; None is null.
    pub(crate) fn into_texts(self) -> Vec<Option<String>> {
        self.cells.into_iter().map(Cell::into_text).collect()
    }

    /// The partition in the first four columns: sink, topic, incarnation, number.
    pub(crate) fn partition(&self) -> SinkPartition {
        SinkPartition {
            sink: self.text(0).into(),
            topic: self.text(1).into(),
            incarnation: self.int(2) as i32,
            number: self.int(3) as i32,
        }
    }
}

impl Cell {
    /// The value as text for a person; None is null.
    fn into_text(self) -> Option<String> {
        match self {
            Cell::Null => None,
            Cell::Number(number) => Some(number.to_string()),
            Cell::Double(number) => Some(number.to_string()),
            Cell::Text(text) => Some(text),
            Cell::Bytes(bytes) => Some(format!("({} bytes)", bytes.len())),
        }
    }
}
