//! Rows of JSON read value by value, each from the very text that was sent: a row with one odd value is one reject, and
//! a decimal never goes through a double.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use contract::{Decimal, decimal};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::page::{Fault, excerpt};

/// Most names in one object.
const MAX_NAMES: usize = 200_000;
/// What providers write where they have no value.
const NOTHING: &[&str] = &["", "NA", "N/A", "NaN", "None", "null", "-", "0000-00-00", "Infinity", "-Infinity"];

/// An object, in the order of its names; of a name that comes twice the last one counts.
#[derive(Debug, Clone, Default)]
pub struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    /// Reads one; None when it is something else.
    pub fn parse(text: &'a RawValue) -> Option<Object<'a>> {
        serde_json::from_str(text.get()).ok()
    }

    /// Reads a row: an object, or a fault that says what it is.
    pub fn row(text: &'a RawValue) -> Result<Object<'a>, Fault> {
        let found = || Fault("shape", format!("expected an object, found `{}`", excerpt(text.get().as_bytes())));
        Object::parse(text).ok_or_else(found)
    }

    /// The value of that name as it was sent; None when it is absent or null.
    pub fn raw(&self, name: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().rev().find(|(own, _)| own == name).map(|(_, value)| *value);
        found.filter(|value| value.get() != "null")
    }

    /// The object of that name; empty when it is absent, null or something else.
    pub fn object(&self, name: &str) -> Object<'a> {
        self.raw(name).and_then(Object::parse).unwrap_or_default()
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// Whether it has no names.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A text, trimmed; None when it is absent, null or empty. A number or a boolean is its own text.
    pub fn text(&self, name: &str) -> Result<Option<String>, Fault> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        let text = scalar(raw).ok_or_else(|| odd(name, raw, "text", "a text"))?;
        let text = text.trim();
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    /// A text that must be there.
    pub fn needed_text(&self, name: &str) -> Result<String, Fault> {
        self.text(name)?.ok_or_else(|| absent(name))
    }

    /// A number, also one in quotes; None when it is absent, null, or what providers write for nothing.
    pub fn number(&self, name: &str) -> Result<Option<f64>, Fault> {
        self.read(name, "number", "a number", |text| {
            text.parse::<f64>().ok().filter(|number| number.is_finite() && is_plain(text))
        })
    }

    /// A decimal, as [`Object::number`].
    pub fn decimal(&self, name: &str) -> Result<Option<Decimal>, Fault> {
        self.read(name, "number", "a number", decimal::parse)
    }

    /// A whole number, as [`Object::number`]; `12.0` is one.
    pub fn whole(&self, name: &str) -> Result<Option<i64>, Fault> {
        self.read(name, "number", "a whole number", |text| {
            let whole = |number: Decimal| number.is_integer().then(|| i64::try_from(number).ok()).flatten();
            text.parse().ok().or_else(|| decimal::parse(text).and_then(whole))
        })
    }

    /// A date, `YYYY-MM-DD`, also with a time behind it, which is left out; None as in [`Object::number`].
    pub fn date(&self, name: &str) -> Result<Option<NaiveDate>, Fault> {
        self.read(name, "date", "a date like `2024-12-31`", |text| {
            text.get(..10).filter(|_| text.len() == 10 || matches!(text.as_bytes()[10], b'T' | b' '))?.parse().ok()
        })
    }

    /// A date that must be there.
    pub fn needed_date(&self, name: &str) -> Result<NaiveDate, Fault> {
        self.date(name)?.ok_or_else(|| absent(name))
    }

    /// An instant: RFC 3339, with a space for the `T` or not; None as in [`Object::number`].
    pub fn instant(&self, name: &str) -> Result<Option<DateTime<Utc>>, Fault> {
        self.read(name, "date", "a time like `2024-12-31T12:00:00Z`", |text| {
            DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
        })
    }

    /// A time without a zone, `YYYY-MM-DD HH:MM:SS`; None as in [`Object::number`].
    pub fn local_time(&self, name: &str) -> Result<Option<NaiveDateTime>, Fault> {
        self.read(name, "date", "a time like `2024-12-31 12:00:00`", |text| {
            NaiveDateTime::parse_from_str(&text.replace('T', " "), "%Y-%m-%d %H:%M:%S%.f").ok()
        })
    }

    fn read<T>(
        &self,
        name: &str,
        class: &'static str,
        what: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        let text = scalar(raw).ok_or_else(|| odd(name, raw, class, what))?;
        let text = text.trim();
        if NOTHING.contains(&text) {
            return Ok(None);
        }
        read(text).map(Some).ok_or_else(|| odd(name, raw, class, what))
    }
}

/// The text of a string without its quotes, of a number or boolean as it stands; None for a list or an object.
pub fn scalar(raw: &RawValue) -> Option<Cow<'_, str>> {
    match raw.get().as_bytes().first()? {
        b'"' => serde_json::from_str::<Text<'_>>(raw.get()).ok().map(|text| text.0),
        b'[' | b'{' => None,
        _ => Some(Cow::Borrowed(raw.get())),
    }
}

/// Digits, sign, point and exponent: Rust reads `inf` and `infinity` as numbers too.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
}

fn odd(name: &str, raw: &RawValue, class: &'static str, what: &str) -> Fault {
    Fault(class, format!("`{}` `{}` is not {what}", excerpt(name.as_bytes()), excerpt(raw.get().as_bytes())))
}

/// A value that must be there is not.
pub fn absent(name: &str) -> Fault {
    Fault("absent", format!("has no `{name}`"))
}

/// A string, borrowed where it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<'a>, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Cow<'de, str>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
                Ok(Cow::Borrowed(text))
            }

            fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        deserializer.deserialize_str(TextVisitor).map(Text)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<'a>, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Object<'de>, A::Error> {
                let mut all = Vec::new();
                while let Some((Text(name), value)) = entries.next_entry::<Text<'de>, &'de RawValue>()? {
                    if all.len() == MAX_NAMES {
                        return Err(A::Error::custom(format_args!("an object of more than {MAX_NAMES} names")));
                    }
                    all.push((name, value));
                }
                Ok(Object(all))
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(text: &str, read: impl FnOnce(Object<'_>) -> T) -> T {
        read(serde_json::from_str(text).unwrap())
    }

    fn date(text: &str) -> Option<NaiveDate> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn numbers_are_read_with_and_without_quotes_and_never_through_a_double() {
        with(r#"{"a":"1.50","b":1234567890.123456789,"c":12.0,"d":-3e2,"e":"7"}"#, |object| {
            assert_eq!(object.decimal("a").unwrap().unwrap().to_string(), "1.5");
            assert_eq!(object.decimal("b").unwrap().unwrap().to_string(), "1234567890.123456789");
            assert_eq!((object.whole("c").unwrap(), object.number("d").unwrap()), (Some(12), Some(-300.0)));
            assert_eq!((object.whole("e").unwrap(), object.number("e").unwrap()), (Some(7), Some(7.0)));
        });
    }

    #[test]
    fn what_providers_write_for_nothing_is_none() {
        for value in ["null", "\"\"", "\" \"", "\"NA\"", "\"0000-00-00\"", "\"Infinity\""] {
            with(&format!("{{\"a\":{value}}}"), |object| {
                assert_eq!((object.number("a").unwrap(), object.decimal("a").unwrap()), (None, None), "{value}");
                assert_eq!((object.whole("a").unwrap(), object.date("a").unwrap()), (None, None), "{value}");
            });
        }
        with("{}", |object| assert_eq!(object.text("a").unwrap(), None));
    }

    #[test]
    fn a_value_of_another_kind_is_a_fault_that_says_what_is_there() {
        with(r#"{"a":[1],"b":"x","c":"inf","d":1.5,"e":"2024-13-01","f":{}}"#, |object| {
            assert_eq!(object.number("a").unwrap_err().1, "`a` `[1]` is not a number");
            assert_eq!(object.decimal("b").unwrap_err().1, "`b` `\"x\"` is not a number");
            assert!(object.number("c").is_err());
            assert_eq!(object.whole("d").unwrap_err().1, "`d` `1.5` is not a whole number");
            assert_eq!(object.date("e").unwrap_err().0, "date");
            assert_eq!(object.text("f").unwrap_err().1, "`f` `{}` is not a text");
            assert_eq!(object.needed_text("g").unwrap_err(), absent("g"));
        });
    }

    #[test]
    fn dates_and_times_are_read_in_the_forms_that_providers_use() {
        let text = r#"{"a":"2024-12-31","b":"2024-12-31 00:00:00","c":"2024-12-31T10:20:30+00:00","d":"2024-12-31x"}"#;
        with(text, |object| {
            assert_eq!(object.date("a").unwrap(), date("2024-12-31"));
            assert_eq!(object.date("b").unwrap(), date("2024-12-31"));
            assert_eq!(object.instant("c").unwrap().unwrap().to_rfc3339(), "2024-12-31T10:20:30+00:00");
            assert_eq!(object.local_time("b").unwrap().unwrap().to_string(), "2024-12-31 00:00:00");
            assert!(object.date("d").is_err());
        });
    }

    #[test]
    fn names_and_texts_may_have_escapes_and_the_last_of_a_name_counts() {
        with(r#"{"\u0061":1,"a":"x\"y"}"#, |object| {
            assert_eq!(object.text("a").unwrap().unwrap(), "x\"y");
            assert_eq!(object.iter().count(), 2);
        });
    }
}
