//! From what a file holds to the value of a field.

use std::borrow::Cow;

use chrono::format::{Item as FormatItem, Parsed, StrftimeItems, parse};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use contract::validate::{MAX_DAY, MIN_DAY};
use contract::{Decimal, Field, Kind, Text, Value, decimal, json};

use crate::parse::body::excerpt;
use crate::parse::fault::Fault;
use crate::parse::value::{NOTHING, finite, short, year_month_day};
use crate::time::start_of_day;

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;
/// Separates the texts of a list where it is no JSON.
const LIST_SEPARATOR: char = '|';

/// What a file holds at one place.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell<'a> {
    /// Nothing.
    Null,
    /// A text, or a number as it is written.
    Text(Cow<'a, str>),
    /// A list or an object.
    Json(&'a str),
    /// A whole number.
    Whole(i64),
    /// A double.
    Number(f64),
    /// A decimal.
    Decimal(Decimal),
    /// Days since 1970.
    Date(i64),
    /// Microseconds since 1970.
    Instant(i64),
    /// Microseconds since 1970 on a clock whose zone is not said.
    Local(i64),
    /// What no field can hold, in words.
    Odd(Cow<'a, str>),
}

/// How a date or a time is written.
#[derive(Debug, PartialEq)]
pub(super) enum Format {
    /// As in ISO 8601, with or without a zone.
    Plain,
    /// A number since 1970: so many of them in a second.
    Epoch(i64),
    /// By strftime's letters.
    Letters(Vec<FormatItem<'static>>),
}

impl Format {
    /// Reads `s`, `ms`, `us`, `ns`, or strftime's letters.
    pub(super) fn parse(text: &str) -> Result<Format, String> {
        Ok(match text {
            "s" => Format::Epoch(1),
            "ms" => Format::Epoch(1_000),
            "us" => Format::Epoch(SECOND),
            "ns" => Format::Epoch(1_000 * SECOND),
            _ => {
                let items = StrftimeItems::new(text).parse_to_owned().ok().filter(|_| text.contains('%'));
                Format::Letters(items.ok_or_else(|| {
                    format!("`{text}` is not a format: `s`, `ms`, `us`, `ns`, or letters such as `%m/%d/%Y`")
                })?)
            }
        })
    }
}

/// Puts the value of a field behind the others; null for what says nothing.
pub(super) fn read(
    field: &Field,
    format: &Format,
    zone: Tz,
    cell: Cell<'_>,
    values: &mut Vec<Value>,
) -> Result<(), Fault> {
    if let Cell::Text(text) = &cell
        && let Some(value) = plain(field.kind, format, text)
    {
        values.push(value);
        return Ok(());
    }
    let is_text = matches!(field.kind, Kind::Text | Kind::Json | Kind::TextList);
    let cell = match cell {
        Cell::Text(text) if is_nothing(&text, is_text) => Cell::Null,
        // How pandas writes that there is no number.
        Cell::Number(number) if number.is_nan() => Cell::Null,
        cell => cell,
    };
    match cell {
        Cell::Null => {
            values.push(Value::Null);
            return Ok(());
        }
        Cell::Odd(words) => return Err(Fault("kind", format!("`{}`: {words} cannot be read", field.name))),
        _ => {}
    }
    let (value, class, what) = match field.kind {
        Kind::Text => (Some(Value::Text(text(&cell).into())), "text", "a text"),
        Kind::Double => (double(&cell).map(Value::Double), "number", "a number"),
        Kind::Decimal => (exact(&cell).map(Value::Decimal), "number", "a number"),
        Kind::Long => (whole(&cell).map(Value::Long), "number", "a whole number"),
        Kind::Date => (date(&cell, format, zone).map(Value::Date), "date", "a date"),
        Kind::Timestamp => (instant(&cell, format, zone).map(Value::Long), "date", "a time"),
        Kind::Json => (as_json(&cell).map(Value::Text), "json", "JSON"),
        Kind::TextList => (texts(&cell).map(Value::TextList), "list", "a list of texts"),
        Kind::Bytes => (None, "bytes", "what a file can hold"),
    };
    let Some(value) = value else {
        let found = excerpt(text(&cell).as_bytes());
        return Err(Fault(class, format!("`{}`: `{found}` is not {what}", field.name)));
    };
    values.push(value);
    Ok(())
}

/// What most cells hold: a number of a few digits, a date, a text without space around it.
fn plain(kind: Kind, format: &Format, text: &str) -> Option<Value> {
    match (kind, format) {
        (Kind::Double, _) => short(text).map(Value::Double),
        (Kind::Date, Format::Plain) => year_month_day(text).and_then(storable).map(Value::Date),
        (Kind::Text, _) => match text.as_bytes() {
            [b'!'..=b'~'] | [b'!'..=b'~', .., b'!'..=b'~'] => Some(Value::Text(text.into())),
            _ => None,
        },
        _ => None,
    }
}

/// An empty text; of numbers and dates also what is written for nothing.
fn is_nothing(text: &str, is_text: bool) -> bool {
    let text = text.trim_ascii();
    match text.as_bytes().first() {
        None => true,
        // Most are numbers; of what is written for nothing only a date begins like one.
        Some(b'1'..=b'9') => false,
        Some(_) => !is_text && NOTHING.contains(&text),
    }
}

/// What is there, as a text.
pub(super) fn text<'c>(cell: &'c Cell<'_>) -> Cow<'c, str> {
    let made = match cell {
        Cell::Null => String::new(),
        Cell::Odd(words) => return Cow::Borrowed(words),
        Cell::Text(text) => return Cow::Borrowed(text.trim_ascii()),
        Cell::Json(json) => return Cow::Borrowed(json),
        Cell::Whole(number) => number.to_string(),
        Cell::Number(number) => number.to_string(),
        Cell::Decimal(number) => number.to_string(),
        Cell::Date(days) => day(*days).map(|date| date.to_string()).unwrap_or_default(),
        Cell::Instant(micros) => {
            DateTime::from_timestamp_micros(*micros).map(|time| time.to_rfc3339()).unwrap_or_default()
        }
        Cell::Local(micros) => {
            DateTime::from_timestamp_micros(*micros).map(|time| time.naive_utc().to_string()).unwrap_or_default()
        }
    };
    Cow::Owned(made)
}

fn double(cell: &Cell<'_>) -> Option<f64> {
    let number = match cell {
        Cell::Text(text) => number(text.trim_ascii()),
        // Prices and volumes lie far below 2^53, where a double is exact.
        Cell::Whole(number) => Some(*number as f64),
        Cell::Number(number) => Some(*number),
        Cell::Decimal(decimal) => number(&decimal.to_string()),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

fn number(text: &str) -> Option<f64> {
    finite(text)
}

fn exact(cell: &Cell<'_>) -> Option<Decimal> {
    match cell {
        Cell::Text(text) => decimal::parse(text.trim_ascii()),
        Cell::Whole(number) => Some(Decimal::from(*number)),
        // The shortest text that is this double: what was meant.
        Cell::Number(number) => decimal::parse(&number.to_string()),
        Cell::Decimal(number) => decimal::parse(&number.to_string()),
        _ => None,
    }
}

fn whole(cell: &Cell<'_>) -> Option<i64> {
    match cell {
        Cell::Text(text) if text.trim_ascii().bytes().all(|byte| byte.is_ascii_digit()) => {
            text.trim_ascii().parse().ok()
        }
        Cell::Whole(number) => Some(*number),
        // Tables with gaps have whole numbers as doubles.
        cell => exact(cell).filter(Decimal::is_integer).and_then(|number| i64::try_from(number).ok()),
    }
}

fn as_json(cell: &Cell<'_>) -> Option<Text> {
    let text = match cell {
        Cell::Text(_) | Cell::Json(_) | Cell::Whole(_) | Cell::Number(_) | Cell::Decimal(_) => text(cell),
        _ => return None,
    };
    json::canonical(&text).is_some().then(|| text.into())
}

fn texts(cell: &Cell<'_>) -> Option<Vec<String>> {
    match cell {
        Cell::Json(json) => serde_json::from_str(json).ok(),
        Cell::Text(text) if text.trim_ascii().starts_with('[') => serde_json::from_str(text.trim_ascii()).ok(),
        Cell::Text(text) => {
            let parts = text.split(LIST_SEPARATOR).map(str::trim_ascii).filter(|part| !part.is_empty());
            Some(parts.map(str::to_owned).collect())
        }
        _ => None,
    }
}

/// Days since 1970, if they can be stored.
fn date(cell: &Cell<'_>, format: &Format, zone: Tz) -> Option<i32> {
    let date = match (cell, format) {
        (Cell::Date(days), _) => day(*days)?,
        (Cell::Instant(_), _) | (Cell::Whole(_) | Cell::Number(_) | Cell::Text(_), Format::Epoch(_)) => {
            let micros = instant(cell, format, zone)?;
            DateTime::from_timestamp_micros(micros)?.with_timezone(&zone).date_naive()
        }
        (Cell::Local(micros), _) => DateTime::from_timestamp_micros(*micros)?.date_naive(),
        (Cell::Text(text), Format::Letters(items)) => letters(text.trim_ascii(), items)?.to_naive_date().ok()?,
        (Cell::Text(text), Format::Plain) => plain_date(text.trim_ascii())?,
        // 20241231
        (Cell::Whole(number), _) => plain_date(&number.to_string())?,
        _ => return None,
    };
    storable(date)
}

fn storable(date: NaiveDate) -> Option<i32> {
    Some(date.to_epoch_days()).filter(|days| (MIN_DAY..=MAX_DAY).contains(days))
}

fn day(days: i64) -> Option<NaiveDate> {
    i32::try_from(days).ok().and_then(NaiveDate::from_epoch_days)
}

/// Reads `YYYY-MM-DD`, which a time may follow, or `YYYYMMDD`.
fn plain_date(text: &str) -> Option<NaiveDate> {
    match text.as_bytes() {
        [_, _, _, _, b'-', ..] => {
            let (date, rest) = text.split_at_checked(10)?;
            year_month_day(date).filter(|_| rest.is_empty() || clock(rest).is_some())
        }
        digits if digits.len() == 8 => {
            year_month_day(&format!("{}-{}-{}", text.get(..4)?, text.get(4..6)?, text.get(6..)?))
        }
        _ => None,
    }
}

/// Microseconds since 1970, if they can be stored.
fn instant(cell: &Cell<'_>, format: &Format, zone: Tz) -> Option<i64> {
    let micros = match (cell, format) {
        (Cell::Instant(micros), _) => *micros,
        (Cell::Local(micros), _) => in_zone(DateTime::from_timestamp_micros(*micros)?.naive_utc(), zone)?,
        (Cell::Date(days), _) => beginning(day(*days)?, zone)?,
        (_, Format::Epoch(units)) => since_epoch(cell, *units)?,
        (Cell::Text(text), Format::Letters(items)) => by_letters(text.trim_ascii(), items, zone)?,
        (Cell::Text(text), Format::Plain) => plain_instant(text.trim_ascii(), zone)?,
        (Cell::Whole(number), _) => beginning(plain_date(&number.to_string())?, zone)?,
        _ => return None,
    };
    storable(DateTime::from_timestamp_micros(micros)?.date_naive()).map(|_| micros)
}

/// The first instant of a date in the zone.
fn beginning(date: NaiveDate, zone: Tz) -> Option<i64> {
    if zone == Tz::UTC {
        return Some(i64::from(date.to_epoch_days()) * 86_400 * SECOND);
    }
    start_of_day(date, zone).map(|start| start.timestamp_micros())
}

/// The date of an instant in the zone.
pub(super) fn date_of(micros: i64, zone: Tz) -> Option<i32> {
    let instant = DateTime::from_timestamp_micros(micros)?;
    storable(if zone == Tz::UTC { instant.date_naive() } else { instant.with_timezone(&zone).date_naive() })
}

/// Where clocks were put back and show a time twice it is the first; where they never showed it, none.
fn in_zone(local: NaiveDateTime, zone: Tz) -> Option<i64> {
    if zone == Tz::UTC {
        return Some(local.and_utc().timestamp_micros());
    }
    zone.from_local_datetime(&local).earliest().map(|time| time.timestamp_micros())
}

fn since_epoch(cell: &Cell<'_>, units: i64) -> Option<i64> {
    let number = exact(cell)?;
    let micros = number.checked_mul(Decimal::from(SECOND))?.checked_div(Decimal::from(units))?;
    i64::try_from(micros.round()).ok()
}

fn letters(text: &str, items: &[FormatItem<'static>]) -> Option<Parsed> {
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, items.iter()).ok()?;
    Some(parsed)
}

fn by_letters(text: &str, items: &[FormatItem<'static>], zone: Tz) -> Option<i64> {
    let parsed = letters(text, items)?;
    if let Ok(time) = parsed.to_datetime() {
        return Some(time.timestamp_micros());
    }
    let date = parsed.to_naive_date().ok()?;
    match parsed.to_naive_time() {
        Ok(time) => in_zone(date.and_time(time), zone),
        Err(_) => beginning(date, zone),
    }
}

fn plain_instant(text: &str, zone: Tz) -> Option<i64> {
    let Some((date, rest)) = text.split_at_checked(10).filter(|(date, _)| date.contains('-')) else {
        return beginning(plain_date(text)?, zone);
    };
    let date = year_month_day(date)?;
    if rest.is_empty() {
        return beginning(date, zone);
    }
    let (time, offset) = clock(rest)?;
    let local = date.and_time(time);
    match offset {
        None => in_zone(local, zone),
        Some(seconds) => {
            let utc = local.checked_sub_signed(TimeDelta::seconds(seconds))?;
            Some(DateTime::<Utc>::from_naive_utc_and_offset(utc, Utc).timestamp_micros())
        }
    }
}

/// Reads a time behind its date, `T` or a space before it: `09:30`, `09:30:00.5`; and its offset, if there is one, in
/// seconds: `Z`, `UTC`, `+00:00`, `-0500`, `-05`.
fn clock(text: &str) -> Option<(NaiveTime, Option<i64>)> {
    let text = text.strip_prefix(['T', ' '])?;
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == ':' || c == '.')).unwrap_or(text.len());
    let (time, offset) = text.split_at(end);
    let time = match time.as_bytes() {
        [h0, h1, b':', m0, m1] => NaiveTime::from_hms_opt(pair(*h0, *h1)?, pair(*m0, *m1)?, 0),
        [h0, h1, b':', m0, m1, b':', s0, s1, rest @ ..] => {
            let nanos = match rest {
                [] => 0,
                [b'.', digits @ ..] => nanos(digits)?,
                _ => return None,
            };
            NaiveTime::from_hms_nano_opt(pair(*h0, *h1)?, pair(*m0, *m1)?, pair(*s0, *s1)?, nanos)
        }
        _ => None,
    }?;
    Some((time, offset_of(offset.trim_start())?))
}

/// The outer None: it is no offset; the inner one: there is none.
fn offset_of(text: &str) -> Option<Option<i64>> {
    let (sign, digits) = match text.as_bytes() {
        [] => return Some(None),
        [b'Z' | b'z'] | [b'U', b'T', b'C'] => return Some(Some(0)),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits {
        [h0, h1] => (pair(*h0, *h1)?, 0),
        [h0, h1, m0, m1] | [h0, h1, b':', m0, m1] => (pair(*h0, *h1)?, pair(*m0, *m1)?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then(|| Some(sign * i64::from(hours * 3600 + minutes * 60)))
}

fn pair(tens: u8, ones: u8) -> Option<u32> {
    let digits = tens.is_ascii_digit() && ones.is_ascii_digit();
    digits.then(|| u32::from(tens - b'0') * 10 + u32::from(ones - b'0'))
}

/// Digits behind the point of a second, of which nine count.
fn nanos(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some((0..9).fold(0, |nanos, at| nanos * 10 + digits.get(at).map_or(0, |digit| u32::from(digit - b'0'))))
}

#[cfg(test)]
mod tests {
    use chrono_tz::America::New_York;

    use super::*;

    fn field(kind: Kind) -> Field {
        Field { name: "f".to_owned(), kind, nullable: true, doc: String::new() }
    }

    fn value(kind: Kind, format: &str, zone: Tz, cell: Cell<'_>) -> Result<Value, Fault> {
        let format = if format.is_empty() { Format::Plain } else { Format::parse(format).unwrap() };
        let mut values = Vec::new();
        read(&field(kind), &format, zone, cell, &mut values)?;
        Ok(values.remove(0))
    }

    fn of_text(kind: Kind, text: &str) -> Result<Value, Fault> {
        value(kind, "", Tz::UTC, Cell::Text(text.into()))
    }

    fn time(format: &str, zone: Tz, cell: Cell<'_>) -> String {
        match value(Kind::Timestamp, format, zone, cell).unwrap() {
            Value::Long(micros) => DateTime::from_timestamp_micros(micros).unwrap().to_rfc3339(),
            other => panic!("{other:?}"),
        }
    }

    fn day(format: &str, zone: Tz, cell: Cell<'_>) -> String {
        match value(Kind::Date, format, zone, cell).unwrap() {
            Value::Date(days) => NaiveDate::from_epoch_days(days).unwrap().to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers_are_plain_and_finite() {
        assert_eq!(of_text(Kind::Double, " 1.5e3 "), Ok(Value::Double(1500.0)));
        assert_eq!(
            of_text(Kind::Decimal, "123456789.123456789012"),
            Ok(Value::Decimal(decimal::parse("123456789.123456789012").unwrap()))
        );
        assert_eq!(
            (of_text(Kind::Long, "12"), of_text(Kind::Long, "-12.0")),
            (Ok(Value::Long(12)), Ok(Value::Long(-12)))
        );
        for text in ["1,000", "1.000,50", "inf", "1e999", "12%", "$5", "0x10", "1_000", "NaN0"] {
            let Fault(class, reason) = of_text(Kind::Double, text).unwrap_err();
            assert_eq!((class, reason), ("number", format!("`f`: `{text}` is not a number")));
        }
        assert!(of_text(Kind::Long, "1.5").is_err() && of_text(Kind::Long, "99999999999999999999").is_err());
    }

    #[test]
    fn what_is_written_for_nothing_is_null_but_where_it_may_be_a_text() {
        for text in ["", "  ", "NA", "NaN", "null", "None", "-", "N/A"] {
            assert_eq!(of_text(Kind::Double, text), Ok(Value::Null), "{text}");
            assert_eq!(of_text(Kind::Date, text), Ok(Value::Null), "{text}");
        }
        assert_eq!(of_text(Kind::Text, "NA"), Ok(Value::Text("NA".into())));
        assert_eq!(of_text(Kind::Text, " "), Ok(Value::Null));
        assert_eq!(value(Kind::Double, "", Tz::UTC, Cell::Number(f64::NAN)), Ok(Value::Null));
        assert!(value(Kind::Double, "", Tz::UTC, Cell::Number(f64::INFINITY)).is_err());
    }

    #[test]
    fn times_without_a_zone_are_in_the_one_that_is_given() {
        for (text, utc, new_york) in [
            ("2024-07-01", "2024-07-01T00:00:00+00:00", "2024-07-01T04:00:00+00:00"),
            ("20240701", "2024-07-01T00:00:00+00:00", "2024-07-01T04:00:00+00:00"),
            ("2024-07-01 09:30", "2024-07-01T09:30:00+00:00", "2024-07-01T13:30:00+00:00"),
            ("2024-07-01T09:30:00.25", "2024-07-01T09:30:00.250+00:00", "2024-07-01T13:30:00.250+00:00"),
            ("2024-07-01T09:30:00Z", "2024-07-01T09:30:00+00:00", "2024-07-01T09:30:00+00:00"),
            ("2024-07-01 09:30:00-05:00", "2024-07-01T14:30:00+00:00", "2024-07-01T14:30:00+00:00"),
            ("2024-07-01 09:30:00 +0530", "2024-07-01T04:00:00+00:00", "2024-07-01T04:00:00+00:00"),
            ("2024-07-01 09:30:00 UTC", "2024-07-01T09:30:00+00:00", "2024-07-01T09:30:00+00:00"),
        ] {
            assert_eq!(time("", Tz::UTC, Cell::Text(text.into())), utc, "{text}");
            assert_eq!(time("", New_York, Cell::Text(text.into())), new_york, "{text}");
        }
        // Shown twice: the first; never shown: none.
        assert_eq!(time("", New_York, Cell::Text("2024-11-03 01:30".into())), "2024-11-03T05:30:00+00:00");
        assert!(value(Kind::Timestamp, "", New_York, Cell::Text("2024-03-10 02:30".into())).is_err());
    }

    #[test]
    fn formats_say_how_dates_and_times_are_written() {
        assert_eq!(day("%m/%d/%Y", Tz::UTC, Cell::Text("7/1/2024".into())), "2024-07-01");
        assert_eq!(day("%d.%m.%y", Tz::UTC, Cell::Text("01.07.24".into())), "2024-07-01");
        assert_eq!(day("s", New_York, Cell::Text("1719792000".into())), "2024-06-30");
        assert_eq!(
            time("%d-%b-%Y %H:%M", New_York, Cell::Text("01-Jul-2024 09:30".into())),
            "2024-07-01T13:30:00+00:00"
        );
        assert_eq!(time("%m/%d/%Y", New_York, Cell::Text("07/01/2024".into())), "2024-07-01T04:00:00+00:00");
        assert_eq!(
            time("%Y-%m-%d %H:%M:%S %z", New_York, Cell::Text("2024-07-01 00:00:00 +0200".into())),
            "2024-06-30T22:00:00+00:00"
        );
        for (format, cell) in [
            ("s", Cell::Text("1719792000".into())),
            ("ms", Cell::Whole(1_719_792_000_000)),
            ("us", Cell::Number(1_719_792_000e6)),
            ("ns", Cell::Text("1719792000000000000".into())),
        ] {
            assert_eq!(time(format, New_York, cell), "2024-07-01T00:00:00+00:00", "{format}");
        }
        for format in ["", "Date", "%Q", "%"] {
            assert!(Format::parse(format).is_err(), "{format}");
        }
    }

    #[test]
    fn typed_values_are_taken_as_they_are() {
        assert_eq!(day("", New_York, Cell::Date(19_905)), "2024-07-01");
        assert_eq!(day("", New_York, Cell::Instant(1_719_792_000_000_000)), "2024-06-30");
        assert_eq!(day("", New_York, Cell::Local(1_719_792_000_000_000)), "2024-07-01");
        assert_eq!(day("", New_York, Cell::Whole(20_240_701)), "2024-07-01");
        assert_eq!(time("", New_York, Cell::Local(1_719_792_000_000_000)), "2024-07-01T04:00:00+00:00");
        assert_eq!(value(Kind::Text, "", Tz::UTC, Cell::Whole(600_519)), Ok(Value::Text("600519".into())));
        assert_eq!(
            value(Kind::Decimal, "", Tz::UTC, Cell::Number(0.1)),
            Ok(Value::Decimal(decimal::parse("0.1").unwrap()))
        );
        assert_eq!(value(Kind::Long, "", Tz::UTC, Cell::Number(3.0)), Ok(Value::Long(3)));
    }

    #[test]
    fn what_is_no_date_or_lies_where_none_can_be_stored_is_refused() {
        for text in [
            "2024-02-30",
            "01/07/2024",
            "2024-7-1",
            "2024-07-01x",
            "2024-07-01T",
            "0000-01-01",
            "9999-12-31",
            "1719792000",
            "2024-07-01 25:00",
        ] {
            assert!(of_text(Kind::Date, text).is_err(), "{text}");
            assert!(of_text(Kind::Timestamp, text).is_err(), "{text}");
        }
        for cell in [Cell::Instant(i64::MAX), Cell::Local(i64::MIN), Cell::Date(i64::MAX), Cell::Whole(i64::MIN)] {
            assert!(value(Kind::Timestamp, "", New_York, cell.clone()).is_err(), "{cell:?}");

            assert!(value(Kind::Date, "", New_York, cell).is_err());
        }
    }

    #[test]
    fn lists_and_json_are_read_from_their_texts() {
        let list = |texts: &[&str]| Ok(Value::TextList(texts.iter().map(|text| (*text).to_owned()).collect()));
        assert_eq!(of_text(Kind::TextList, "AAPL| MSFT|"), list(&["AAPL", "MSFT"]));
        assert_eq!(of_text(Kind::TextList, r#"["a|b"]"#), list(&["a|b"]));
        assert_eq!(value(Kind::TextList, "", Tz::UTC, Cell::Json(r#"["a","b"]"#)), list(&["a", "b"]));
        assert!(value(Kind::TextList, "", Tz::UTC, Cell::Json("[1]")).is_err());
        assert_eq!(of_text(Kind::Json, r#"{"a":1}"#), Ok(Value::Text(r#"{"a":1}"#.into())));
        assert!(of_text(Kind::Json, "{a:1}").is_err());
    }
}
