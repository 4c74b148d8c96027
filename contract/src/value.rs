//! One value of a record, of any kind.

use std::mem::take;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;

use crate::text::Text;

/// One value of a record, of any kind: how generic code passes values on their way to a [`Column`](crate::Column) or a
/// [`Record`](crate::Record).
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Null, or an empty list.
    Null,
    /// For [`Kind::Text`](crate::Kind::Text) and [`Kind::Json`](crate::Kind::Json).
    Text(Text),
    /// For [`Kind::Long`](crate::Kind::Long), and for [`Kind::Timestamp`](crate::Kind::Timestamp) in microseconds since
    /// 1970.
    Long(i64),
    /// For [`Kind::Double`](crate::Kind::Double).
    Double(f64),
    /// For [`Kind::Date`](crate::Kind::Date): days since 1970-01-01.
    Date(i32),
    /// For [`Kind::Decimal`](crate::Kind::Decimal).
    Decimal(Decimal),
    /// For [`Kind::Bytes`](crate::Kind::Bytes).
    Bytes(Vec<u8>),
    /// For [`Kind::TextList`](crate::Kind::TextList).
    TextList(Vec<String>),
}

/// The next value as the type of a record's field; None at the end of the values, or when the value is of another kind.
#[inline]
pub(crate) fn next<T: FromValue>(values: &mut std::slice::IterMut<'_, Value>) -> Option<T> {
    T::from_value(values.next()?)
}

/// The types of records' fields.
pub(crate) trait FromValue: Sized {
    /// Takes what the value holds; None when it is of another kind.
    fn from_value(value: &mut Value) -> Option<Self>;
}

/// Implements [`FromValue`] for a type: the variant that holds it, and how to take it out.
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
