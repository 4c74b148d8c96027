//! From what a file holds to the value of a field.

use std::borrow::Cow;

use chrono::format::{Item as FormatItem, Parsed, StrftimeItems, parse};
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use contract::dataset::KNOWN_AT;
use contract::validate::{MAX_DAY, MIN_DAY};
use contract::{Decimal, Field, Kind, Text, Value, decimal, json};

use self::clock::clock;
use super::decimal_sign::DecimalSign;
use crate::parse::body::excerpt;
use crate::parse::fault::Fault;
use crate::parse::value::{NOTHING, finite, short, year_month_day};
use crate::time::{end_of_day, start_of_day};

mod clock;
mod unread;

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
    /// Microseconds since 1970 in a zone that is not named.
    Local(i64),
    /// A value that no field can hold, described.
    Odd(Cow<'a, str>),
}

/// How a number, a date or a time is written.
#[derive(Debug, PartialEq)]
pub(super) enum Format {
    /// A number with a decimal point; a date or a time as in ISO 8601, with or without a zone.
    Plain,
    /// A number with that sign before decimals, and perhaps with separators of thousands.
    Number(DecimalSign),
    /// Units since 1970; that many are a second.
    Epoch(i64),
    /// A strftime format.
    Letters(Vec<FormatItem<'static>>),
}

impl Format {
    /// Reads `s`, `ms`, `us`, `ns`, or a strftime format.
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

/// Appends the value of a field; null for an empty cell.
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
        Cell::Text(text) => numeral(field, format, text)?,
        // pandas writes a missing number so.
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
        Kind::Timestamp if field.name == KNOWN_AT => (known_at(&cell, format, zone).map(Value::Long), "date", "a time"),
        Kind::Timestamp => (instant(&cell, format, zone).map(Value::Long), "date", "a time"),
        Kind::Json => (as_json(&cell).map(Value::Text), "json", "JSON"),
        Kind::TextList => (texts(&cell).map(Value::TextList), "list", "a list of texts"),
        Kind::Bytes => (None, "bytes", "what a file can hold"),
    };
    let Some(value) = value else {
        let cell = text(&cell);
        let mut reason = format!("`{}`: `{}` is not {what}", field.name, excerpt(cell.as_bytes()));
        let advice = unread::advice(class, &cell).filter(|_| *format == Format::Plain);
        let class = advice.as_ref().map_or(class, |(class, _)| class);
        reason += &advice.map(|(_, words)| format!("; {words}")).unwrap_or_default();
        return Err(Fault(class, reason));
    };
    values.push(value);
    Ok(())
}

/// A text, and of a number in a declared notation the plain number.
fn numeral<'c>(field: &Field, format: &Format, text: Cow<'c, str>) -> Result<Cell<'c>, Fault> {
    let Format::Number(sign) = format else { return Ok(Cell::Text(text)) };
    match sign.plain(&text) {
        Some(plain) => Ok(Cell::Text(plain.into_owned().into())),
        None => {
            let found = excerpt(text.trim_ascii().as_bytes());
            Err(Fault("number", format!("`{}`: `{found}` is not {}", field.name, sign.name())))
        }
    }
}

/// The fast path of most cells: a number of a few digits, a date, a text without surrounding space.
fn plain(kind: Kind, format: &Format, text: &str) -> Option<Value> {
    match (kind, format) {
        (Kind::Double, Format::Plain) => short(text).map(Value::Double),
        (Kind::Date, Format::Plain) => year_month_day(text).and_then(storable).map(Value::Date),
        (Kind::Text, _) => match text.as_bytes() {
            [b'!'..=b'~'] | [b'!'..=b'~', .., b'!'..=b'~'] => Some(Value::Text(text.into())),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a cell is null: an empty text; for numbers and dates also the usual words for a missing value.
fn is_nothing(text: &str, is_text: bool) -> bool {
    let text = text.trim_ascii();
    match text.as_bytes().first() {
        None => true,
        // Most cells are numbers; of the words for a missing value only `0000-00-00` begins like one.
        Some(b'1'..=b'9') => false,
        Some(_) => !is_text && NOTHING.contains(&text),
    }
}

/// The cell as a text.
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
        // Prices and volumes lie far below 2^53, up to which doubles are exact.
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
        // The shortest text of this double: the number that was written.
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
        // Programs that know no missing integer write whole numbers as doubles.
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

/// Days since 1970; None outside of the range that can be stored.
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

/// Reads `YYYY-MM-DD`, with or without a time, or `YYYYMMDD`.
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

/// Microseconds since 1970; None outside of the range that can be stored.
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

/// When a value was known: of a date without a time the end, as the value may have been published at any hour.
fn known_at(cell: &Cell<'_>, format: &Format, zone: Tz) -> Option<i64> {
    let micros = instant(cell, format, zone)?;
    let is_date = match (cell, format) {
        (_, Format::Epoch(_)) => false,
        (Cell::Date(_) | Cell::Whole(_), _) => true,
        (Cell::Text(text), Format::Plain) => !text.contains(':'),
        (Cell::Text(text), Format::Letters(items)) => {
            let parsed = letters(text.trim_ascii(), items)?;
            parsed.to_datetime().is_err() && parsed.to_naive_time().is_err()
        }
        _ => false,
    };
    if !is_date {
        return Some(micros);
    }
    end_of_day(day(date_of(micros, zone)?.into())?, zone).map(|end| end.timestamp_micros())
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

/// Where clocks were put back and a time comes twice, it is the first; where clocks skipped it, None.
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

#[cfg(test)]
mod tests;
