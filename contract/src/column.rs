//! One column of [`Rows`](crate::Rows).

use std::cmp::Ordering;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use crate::field::Kind;
use crate::json;
use crate::value::Value;

/// The values of one field, one per row; None is null.
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

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        each!(self, values => values.len())
    }

    /// Drops the rows from `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        each!(self, values => values.truncate(len));
    }

    /// Text of a row; None when it is null or the column is of another kind than [`Kind::Text`].
    pub fn text(&self, row: usize) -> Option<&str> {
        match self {
            Column::Text(values) => values[row].as_deref(),
            _ => None,
        }
    }

    /// Number of a row; None when it is null or the column holds no numbers.
    ///
    /// As a double: decimals and integers above 2^53 are rounded.
    pub fn number(&self, row: usize) -> Option<f64> {
        match self {
            Column::Double(values) => values[row],
            // Rules compare counts and scores, far below 2^53, where a double is exact.
            Column::Long(values) => values[row].map(|value| value as f64),
            Column::Decimal(values) => values[row].and_then(|value| value.to_f64()),
            _ => None,
        }
    }

    /// Appends null; to a column of lists, an empty list.
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

    /// Whether two rows have the same value.
    pub(crate) fn is_same(&self, left: usize, right: usize) -> bool {
        each!(self, values => values[left] == values[right])
    }

    pub(crate) fn compare(&self, left: usize, right: usize) -> Ordering {
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

    /// Appends a value under the hash of its field's name; equal values append equal bytes.
    ///
    /// The name, the kind and the lengths make it unambiguous where a value ends and to which field it belongs. Null
    /// and an empty list append nothing, so that a field that is added later changes no hash.
    pub(crate) fn append_named(&self, name: u64, row: usize, out: &mut Vec<u8>) {
        let head = |number: usize, out: &mut Vec<u8>| {
            // One copy instead of three: this runs for each value of each row.
            let mut head = [self.tag(); 17];
            head[..8].copy_from_slice(&name.to_le_bytes());
            head[9..].copy_from_slice(&(number as u64).to_le_bytes());
            out.extend_from_slice(&head);
        };
        match self {
            Column::TextList(values) if values[row].is_empty() => {}
            Column::TextList(values) => {
                head(values[row].len(), out);
                for text in &values[row] {
                    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
                    out.extend_from_slice(text.as_bytes());
                }
            }
            _ => self.canonical(row, |bytes| {
                head(bytes.len(), out);
                out.extend_from_slice(bytes);
            }),
        }
    }

    /// Appends a value without a name: its place tells its field. The items of a list follow each other, so that two
    /// lists side by side are ambiguous.
    pub(crate) fn append_by_place(&self, row: usize, out: &mut Vec<u8>) {
        let before = out.len();
        self.canonical(row, |bytes| {
            out.push(1);
            out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            out.extend_from_slice(bytes);
        });
        if out.len() == before && !matches!(self, Column::TextList(_)) {
            out.push(0);
        }
    }

    /// What stands for the column's kind in the content hash.
    fn tag(&self) -> u8 {
        match self {
            Column::Text(_) => b't',
            Column::Long(_) => b'l',
            Column::Double(_) => b'd',
            Column::Date(_) => b'y',
            Column::Timestamp(_) => b's',
            Column::Decimal(_) => b'n',
            Column::Json(_) => b'j',
            Column::Bytes(_) => b'b',
            Column::TextList(_) => b'a',
        }
    }

    /// Passes on the bytes of a value, of a list those of each text; equal values have equal bytes. Null has none.
    #[inline]
    fn canonical(&self, row: usize, mut each: impl FnMut(&[u8])) {
        match self {
            Column::Text(values) => values[row].iter().for_each(|text| each(text.as_bytes())),
            Column::Bytes(values) => values[row].iter().for_each(|bytes| each(bytes)),
            // What is not JSON has been refused.
            Column::Json(values) => values[row].iter().for_each(|text| match json::canonical(text) {
                Some(canonical) => each(canonical.as_bytes()),
                None => each(text.as_bytes()),
            }),
            Column::Decimal(values) => {
                values[row].iter().for_each(|value| each(value.normalize().to_string().as_bytes()));
            }
            Column::Long(values) | Column::Timestamp(values) => {
                values[row].iter().for_each(|value| each(&value.to_le_bytes()));
            }
            Column::Date(values) => values[row].iter().for_each(|value| each(&value.to_le_bytes())),
            // Adding zero turns -0.0, which databases hold equal to 0.0, into 0.0.
            Column::Double(values) => values[row].iter().for_each(|value| each(&(value + 0.0).to_le_bytes())),
            Column::TextList(values) => values[row].iter().for_each(|text| each(text.as_bytes())),
        }
    }
}
