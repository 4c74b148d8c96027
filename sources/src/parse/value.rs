//! Reads rows of JSON value by value, each from the text as sent: an odd value refuses its row only, and a decimal
//! never passes through a double.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use contract::{Decimal, Text, decimal};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use crate::parse::body::excerpt;
use crate::parse::date::digits;
use crate::parse::fault::Fault;
use crate::parse::raw::{Raw, put_text};

/// The interval of daily bars.
pub const DAILY: Text = Text::literal("1d");
/// Most names in one object.
const MAX_NAMES: usize = 200_000;
/// Fewest bytes of a member, to estimate how many an object has and reserve room for them.
const MEMBER_BYTES: usize = 14;
/// Most members that room is reserved for in advance.
const MAX_ROOM: usize = 32;
/// Most characters of a number, with its point, whose digits are exact as a double.
const MAX_SHORT_DIGITS: usize = 15;
/// What providers write in place of a missing value.
pub(crate) const NOTHING: &[&str] =
    &["", "NA", "N/A", "NaN", "None", "null", "-", "0000-00-00", "Infinity", "-Infinity"];

/// An object in the order as sent; of a duplicate name the last value counts.
#[derive(Debug, Clone, Default)]
pub struct Object<'a>(Vec<Member<'a>>);

#[derive(Debug, Clone)]
struct Member<'a> {
    /// A cheap hash of the name: most other names differ in it.
    tag: u64,
    name: Cow<'a, str>,
    value: Raw<'a>,
}

impl<'a> Object<'a> {
    /// Reads an object; None for another value.
    pub fn parse(raw: Raw<'a>) -> Option<Object<'a>> {
        let mut members = Vec::with_capacity((raw.get().len() / MEMBER_BYTES).min(MAX_ROOM));
        for (name, value) in raw.entries()? {
            if members.len() == MAX_NAMES {
                return None;
            }
            members.push(Member::new(scalar(name)?, value));
        }
        Some(Object(members))
    }

    /// Reads a row, which must be an object.
    pub fn row(raw: Raw<'a>) -> Result<Object<'a>, Fault> {
        let found = || Fault("shape", format!("expected an object, found `{}`", excerpt(raw.get().as_bytes())));
        Object::parse(raw).ok_or_else(found)
    }

    /// The value of that name as sent; None if absent or null.
    #[inline]
    pub fn raw(&self, name: &str) -> Option<Raw<'a>> {
        let tag = tag(name);
        let found = self.0.iter().rev().find(|member| member.tag == tag && member.name == name)?;
        (found.value.get() != "null").then_some(found.value)
    }

    /// The object of that name; empty if absent, null or another value.
    pub fn object(&self, name: &str) -> Object<'a> {
        self.raw(name).and_then(Object::parse).unwrap_or_default()
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Raw<'a>)> {
        self.0.iter().map(|member| (member.name.as_ref(), member.value))
    }

    /// Replaces the values of the names, in order; names beyond the last value keep theirs.
    pub(crate) fn put_values(&mut self, values: impl Iterator<Item = Raw<'a>>) {
        self.0.iter_mut().zip(values).for_each(|(member, value)| member.value = value);
    }

    /// Whether it has no members.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The chosen members as JSON, with the text of each value as sent; None if there are none.
    pub fn json(&self, keep: impl Fn(&str, Raw<'_>) -> bool) -> Option<String> {
        let mut text = String::new();
        for (name, value) in self.iter().filter(|(name, value)| keep(name, *value)) {
            text.push(if text.is_empty() { '{' } else { ',' });
            put_text(name, &mut text);
            text.push(':');
            text.push_str(value.get());
        }
        (!text.is_empty()).then(|| text + "}")
    }

    /// A text, trimmed; None if absent, null or empty. A number or boolean counts as its text.
    pub fn text(&self, name: &str) -> Result<Option<Text>, Fault> {
        Ok(self.borrowed(name)?.map(Text::from))
    }

    /// As [`Object::text`], borrowed where the text has no escapes.
    pub(crate) fn borrowed(&self, name: &str) -> Result<Option<Cow<'a, str>>, Fault> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        let text = match scalar(raw).ok_or_else(|| odd(name, raw, "text", "a text"))? {
            Cow::Borrowed(text) => Cow::Borrowed(trimmed(text)),
            Cow::Owned(text) => Cow::Owned(trimmed(&text).to_owned()),
        };
        Ok((!text.is_empty()).then_some(text))
    }

    /// A required text.
    pub fn needed_text(&self, name: &str) -> Result<Text, Fault> {
        self.text(name)?.ok_or_else(|| absent(name))
    }

    /// A number, in quotes or not; None if absent, null, or a word for a missing value such as `NA`.
    pub fn number(&self, name: &str) -> Result<Option<f64>, Fault> {
        self.read(name, "number", "a number", finite)
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

    /// A date, `YYYY-MM-DD`, whose time of day, if any, is ignored; None as in [`Object::number`].
    pub fn date(&self, name: &str) -> Result<Option<NaiveDate>, Fault> {
        self.read(name, "date", "a date like `2024-12-31`", |text| {
            text.get(..10)
                .filter(|_| text.len() == 10 || matches!(text.as_bytes()[10], b'T' | b' '))
                .and_then(year_month_day)
        })
    }

    /// A required date.
    pub fn needed_date(&self, name: &str) -> Result<NaiveDate, Fault> {
        self.date(name)?.ok_or_else(|| absent(name))
    }

    /// An instant in RFC 3339, with `T` or a space; None as in [`Object::number`].
    pub fn instant(&self, name: &str) -> Result<Option<DateTime<Utc>>, Fault> {
        self.read(name, "date", "a time like `2024-12-31T12:00:00Z`", |text| {
            plain_instant(text).or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc()))
        })
    }

    /// A time without a zone, `YYYY-MM-DD HH:MM:SS`; None as in [`Object::number`].
    pub fn local_time(&self, name: &str) -> Result<Option<NaiveDateTime>, Fault> {
        self.read(name, "date", "a time like `2024-12-31 12:00:00`", |text| {
            let other = || NaiveDateTime::parse_from_str(&text.replace('T', " "), "%Y-%m-%d %H:%M:%S%.f").ok();
            plain_time(text).filter(|(_, rest)| rest.is_empty()).map(|(time, _)| time).or_else(other)
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
        let text = trimmed(&text);
        match read(text) {
            // Compared last, as null is rare.
            None if NOTHING.contains(&text) => Ok(None),
            None => Err(odd(name, raw, class, what)),
            found => Ok(found),
        }
    }
}

impl<'a> FromIterator<(&'a str, Raw<'a>)> for Object<'a> {
    fn from_iter<T: IntoIterator<Item = (&'a str, Raw<'a>)>>(entries: T) -> Object<'a> {
        Object(entries.into_iter().map(|(name, value)| Member::new(Cow::Borrowed(name), value)).collect())
    }
}

impl<'a> Member<'a> {
    fn new(name: Cow<'a, str>, value: Raw<'a>) -> Member<'a> {
        Member { tag: tag(&name), name, value }
    }
}

/// A cheap hash of a name: its length, first and last letters.
#[inline]
pub(crate) fn tag(name: &str) -> u64 {
    let ends = match name.as_bytes() {
        [first, second, .., third, last] => [*first, *second, *third, *last],
        [first, .., last] => [*first, 0, 0, *last],
        [letter] => [*letter; 4],
        [] => [0; 4],
    };
    (name.len() as u64) << 32 | u64::from(u32::from_le_bytes(ends))
}

/// The text of a string without quotes, or of a number or boolean as sent; None for a list or an object.
pub fn scalar(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    match raw.get().as_bytes() {
        // Most strings have no escapes.
        [b'"', text @ .., b'"'] if !text.contains(&b'\\') => raw.get().get(1..=text.len()).map(Cow::Borrowed),
        [b'"', ..] => serde_json::from_str::<Quoted<'_>>(raw.get()).ok().map(|text| text.0),
        [b'[' | b'{', ..] | [] => None,
        _ => Some(Cow::Borrowed(raw.get())),
    }
}

/// Without surrounding space; fast for the common case of none.
pub(crate) fn trimmed(text: &str) -> &str {
    match text.as_bytes() {
        [b'!'..=b'~'] | [b'!'..=b'~', .., b'!'..=b'~'] => text,
        _ => text.trim(),
    }
}

/// A finite number: Rust also accepts `inf` and `nan`.
pub fn finite(text: &str) -> Option<f64> {
    short(text).or_else(|| text.parse().ok().filter(|number: &f64| number.is_finite()))
}

/// A number of few digits, with or without a point. Its digits and the power of ten are exact as doubles, so their
/// quotient is rounded once: the same double as Rust's parser returns, faster.
pub(crate) fn short(text: &str) -> Option<f64> {
    const POWERS: [f64; MAX_SHORT_DIGITS + 1] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let (is_negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.len() > MAX_SHORT_DIGITS {
        return None;
    }
    let (mut number, mut point) = (0_u64, None);
    for (at, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => number = number * 10 + u64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(at),
            _ => return None,
        }
    }
    // A digit before the point and one after it.
    let scale = point.map_or(0, |at| digits.len() - at - 1);
    if digits.is_empty() || point == Some(0) || point.is_some() && scale == 0 {
        return None;
    }
    let number = number as f64 / POWERS[scale];
    Some(if is_negative { -number } else { number })
}

/// Reads `YYYY-MM-DD`, several times as fast as with a format string.
pub fn year_month_day(text: &str) -> Option<NaiveDate> {
    let &[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = text.as_bytes() else { return None };
    let year = digits(&[y0, y1, y2, y3])?;
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, digits(&[m0, m1])?, digits(&[d0, d1])?)
}

/// Reads `YYYY-MM-DD HH:MM:SS`, with `T` or a space and an optional fraction; also returns what follows.
fn plain_time(text: &str) -> Option<(NaiveDateTime, &str)> {
    let (date, rest) = text.split_at_checked(10)?;
    let (clock, rest) = rest.split_at_checked(9)?;
    let &[b'T' | b' ', h0, h1, b':', m0, m1, b':', s0, s1] = clock.as_bytes() else { return None };
    let (nanosecond, rest) = match rest.strip_prefix('.') {
        None => (0, rest),
        Some(rest) => {
            let count = rest.bytes().take_while(u8::is_ascii_digit).count();
            let missing = 9_usize.checked_sub(count).filter(|_| count > 0)?;
            (digits(rest.get(..count)?.as_bytes())? * 10_u32.pow(missing as u32), rest.get(count..)?)
        }
    };
    let (hour, minute, second) = (digits(&[h0, h1])?, digits(&[m0, m1])?, digits(&[s0, s1])?);
    Some((year_month_day(date)?.and_hms_nano_opt(hour, minute, second, nanosecond)?, rest))
}

/// Reads a time in UTC.
pub(crate) fn plain_instant(text: &str) -> Option<DateTime<Utc>> {
    plain_time(text).filter(|(_, rest)| matches!(*rest, "Z" | "+00:00")).map(|(time, _)| time.and_utc())
}

fn odd(name: &str, raw: Raw<'_>, class: &'static str, what: &str) -> Fault {
    Fault(class, format!("`{}` `{}` is not {what}", excerpt(name.as_bytes()), excerpt(raw.get().as_bytes())))
}

/// The fault of a missing required value.
pub fn absent(name: &str) -> Fault {
    Fault("absent", format!("has no `{name}`"))
}

/// A string, borrowed where it has no escapes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Quoted<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Quoted<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Quoted<'a>, D::Error> {
        struct QuotedVisitor;
        impl<'de> Visitor<'de> for QuotedVisitor {
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
        deserializer.deserialize_str(QuotedVisitor).map(Quoted)
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
                while let Some((Quoted(name), value)) = entries.next_entry::<Quoted<'de>, Raw<'de>>()? {
                    if all.len() == MAX_NAMES {
                        return Err(A::Error::custom(format_args!("an object of more than {MAX_NAMES} names")));
                    }
                    all.push(Member::new(name, value));
                }
                Ok(Object(all))
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

#[cfg(test)]
mod tests;
