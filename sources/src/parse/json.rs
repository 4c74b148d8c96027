//! Reads JSON so that one odd value does not lose the others, in memory bounded by the size of the body.

use std::fmt::{self, Write as _};
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::parse::body::MAX_ROWS;

/// Any JSON value as compact text, to be parsed on its own or kept as the fragment of a reject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json(pub String);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        let mut text = String::new();
        Writer(&mut text).deserialize(deserializer)?;
        Ok(Json(text))
    }
}

/// Appends a value as text.
struct Writer<'a>(&'a mut String);

impl Writer<'_> {
    fn put<E>(self, value: Value) -> Result<(), E> {
        write!(self.0, "{value}").expect("writing to a string cannot fail");
        Ok(())
    }

    /// Ends a list or an object; each element has appended a comma.
    fn close(self, bracket: char) {
        if self.0.ends_with(',') {
            self.0.pop();
        }
        self.0.push(bracket);
    }
}

impl<'de> DeserializeSeed<'de> for Writer<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Writer<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.put(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.put(Value::from(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.put(Value::from(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.put(Value::from(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.put(Value::from(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.put(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.0.push('[');
        while items.next_element_seed(Writer(self.0))?.is_some() {
            self.0.push(',');
        }
        self.close(']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        self.0.push('{');
        while entries.next_key_seed(Writer(self.0))?.is_some() {
            self.0.push(':');
            entries.next_value_seed(Writer(self.0))?;
            self.0.push(',');
        }
        self.close('}');
        Ok(())
    }
}

/// A value in a column of numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// `null`.
    Null,
    /// A whole number.
    Whole(i64),
    /// Another number.
    Number(f64),
    /// Not a number.
    Odd(Box<Json>),
}

impl Cell {
    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        *self == Cell::Null
    }

    /// The number; None for `null`; for another value, that value as the error.
    pub fn number(&self) -> Result<Option<f64>, &str> {
        match self {
            Cell::Null => Ok(None),
            // Prices and volumes lie far below 2^53, up to which doubles are exact.
            Cell::Whole(number) => Ok(Some(*number as f64)),
            Cell::Number(number) => Ok(Some(*number)),
            Cell::Odd(json) => Err(&json.0),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Null => formatter.write_str("null"),
            Cell::Whole(number) => write!(formatter, "{number}"),
            Cell::Number(number) => write!(formatter, "{number}"),
            Cell::Odd(json) => formatter.write_str(&json.0),
        }
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Cell, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Cell;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Cell, E> {
        Ok(Cell::Null)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Cell, E> {
        Ok(Cell::Whole(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Cell, E> {
        Ok(i64::try_from(number).map_or(Cell::Number(number as f64), Cell::Whole))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Cell, E> {
        Ok(Cell::Number(number))
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Cell, E> {
        odd(|writer| writer.visit_bool(value))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Cell, E> {
        odd(|writer| writer.visit_str(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Cell, A::Error> {
        odd(|writer| writer.visit_seq(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Cell, A::Error> {
        odd(|writer| writer.visit_map(entries))
    }
}

fn odd<E>(write: impl FnOnce(Writer<'_>) -> Result<(), E>) -> Result<Cell, E> {
    let mut text = String::new();
    write(Writer(&mut text))?;
    Ok(Cell::Odd(Box::new(Json(text))))
}

/// A list of at most [`MAX_ROWS`] items; a longer one is an error as soon as the limit is passed.
#[derive(Debug)]
pub struct Bounded<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Bounded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bounded<T>, D::Error> {
        deserializer.deserialize_seq(BoundedVisitor(PhantomData)).map(Bounded)
    }
}

struct BoundedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for BoundedVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            if list.len() == MAX_ROWS {
                return Err(A::Error::custom(format_args!("a list of more than {MAX_ROWS} rows")));
            }
            list.push(item);
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_value_is_kept_as_compact_text() {
        let text = r#"{"a":[1,-2,3.5,null,true,"x\"y\n",[],{}],"a":{"b":"é"}}"#;
        let spaced = text.replace(',', " , ").replace(':', " : ");
        assert_eq!(serde_json::from_str::<Json>(&spaced).unwrap().0, text);
    }

    #[test]
    fn a_text_that_ends_with_a_comma_keeps_it() {
        assert_eq!(serde_json::from_str::<Json>(r#"["a,",{"b":","}]"#).unwrap().0, r#"["a,",{"b":","}]"#);
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let deep = "[".repeat(100_000);
        assert!(serde_json::from_str::<Json>(&deep).is_err());
        assert!(serde_json::from_str::<Cell>(&deep).is_err());
    }

    #[test]
    fn a_cell_that_is_no_number_does_not_spoil_the_others() {
        let cells: Vec<Cell> = serde_json::from_str(r#"[1, 2.5, null, "3", [4], {"a":5}, true]"#).unwrap();
        let numbers: Vec<_> = cells.iter().map(Cell::number).collect();
        let expected =
            [Ok(Some(1.0)), Ok(Some(2.5)), Ok(None), Err("\"3\""), Err("[4]"), Err("{\"a\":5}"), Err("true")];
        assert_eq!(numbers, expected);
    }

    #[test]
    fn a_list_over_the_limit_is_refused() {
        let list = |items: usize| serde_json::from_str::<Bounded<Cell>>(&format!("[{}1]", "1,".repeat(items - 1)));
        assert_eq!(list(MAX_ROWS).unwrap().0.len(), MAX_ROWS);
        assert!(list(MAX_ROWS + 1).unwrap_err().to_string().contains("more than 200000 rows"));
    }
}
