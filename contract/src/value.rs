//! One value of a record, whatever its field.

use std::mem::take;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;

use crate::text::Text;

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
