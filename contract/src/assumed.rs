//! When the first version of a record counts as known on request, although nobody states it.
//!
//! It is the attribute `assumed_known_at` of a declaration: rules in their order, of which the first with a value counts.
//! `schemas/README.md` describes them. All errs towards a later time: a value must not count as known before it was
//! public.

use chrono::{DateTime, NaiveTime, TimeZone as _};
use chrono_tz::Tz;
use serde_json::{Map, Value};

use crate::column::Column;
use crate::field::{Field, Kind};
use crate::rows::Rows;
use crate::rule::Rule;

mod days;

pub use days::Days;

/// Microseconds of an hour.
const HOUR: i64 = 3_600_000_000;
/// Microseconds of a day.
const DAY: i64 = 24 * HOUR;
/// How far the last time zone is behind UTC: a date of an unknown zone begins and ends there.
pub const LAST_ZONE_MICROS: i64 = 12 * HOUR;
/// The longest that a bar of an interval lasts, in microseconds. A bar of `5d` is absent: it has five sessions, which
/// holidays may spread over any number of days.
pub const LENGTHS: [(&str, i64); 12] = [
    ("1m", HOUR / 60),
    ("2m", HOUR / 30),
    ("5m", HOUR / 12),
    ("15m", HOUR / 4),
    ("30m", HOUR / 2),
    ("60m", HOUR),
    ("90m", HOUR + HOUR / 2),
    ("1h", HOUR),
    (DAILY, DAY),
    ("1wk", 7 * DAY),
    ("1mo", 31 * DAY),
    ("3mo", 92 * DAY),
];
/// The interval whose bars have a session.
pub const DAILY: &str = "1d";

/// One way to tell when a record counts as known. Fields are named by their position.
#[derive(Debug)]
pub enum Assumed {
    /// At the time in this field.
    At(usize),
    /// When the date in this field has begun in every time zone.
    StartOfDay(usize),
    /// When the date in this field is over in every time zone.
    EndOfDay(usize),
    /// At the end of a bar: the close of its session if that is declared, else its start plus its length.
    ///
    /// A daily bar starts at 00:00 in its exchange's zone, so that it ends with its trading date there.
    EndOfBar {
        /// The start of the bar.
        start: usize,
        /// The length of the bar, as in [`LENGTHS`].
        interval: usize,
        /// Sessions of daily bars; the first that fits counts.
        sessions: Vec<Session>,
    },
}

/// The session of daily bars that start at midnight in one zone.
#[derive(Debug)]
pub struct Session {
    /// Which records it is for.
    pub when: Rule,
    /// The zone of the trading dates.
    pub zone: Tz,
    /// When the session closes there.
    pub closes: NaiveTime,
}

impl Assumed {
    /// Reads one rule of a declaration with these fields; the error is a phrase without the attribute's name.
    pub(crate) fn parse(json: &Value, fields: &[Field]) -> Result<Assumed, String> {
        let Some(members) = json.as_object() else { return Err(format!("`{json}` is not an object")) };
        let field = |name: &str, kind: Kind| field(members, name, kind, fields);
        let (assumed, known): (_, &[&str]) = match members.keys().find(|name| NAMES.contains(&name.as_str())) {
            Some(name) if name == AT => (Assumed::At(field(AT, Kind::Timestamp)?), &[AT]),
            Some(name) if name == START_OF_DAY => {
                (Assumed::StartOfDay(field(START_OF_DAY, Kind::Date)?), &[START_OF_DAY])
            }
            Some(name) if name == END_OF_DAY => (Assumed::EndOfDay(field(END_OF_DAY, Kind::Date)?), &[END_OF_DAY]),
            Some(_) => {
                let (start, interval) = (field(END_OF_BAR, Kind::Timestamp)?, field(INTERVAL, Kind::Text)?);
                let sessions = sessions(members.get(SESSIONS), fields)?;
                (Assumed::EndOfBar { start, interval, sessions }, &[END_OF_BAR, INTERVAL, SESSIONS])
            }
            None => return Err(format!("`{json}` has none of `{}`", NAMES.join("`, `"))),
        };
        match members.keys().find(|name| !known.contains(&name.as_str())) {
            Some(other) => Err(format!("`{other}` does not belong to `{}`", known[0])),
            None => Ok(assumed),
        }
    }

    /// When the row counts as known, in microseconds since 1970; None where a field is null or an interval is unknown.
    pub fn micros(&self, rows: &Rows, row: usize) -> Option<i64> {
        match self {
            Assumed::At(at) => time(rows, *at, row),
            Assumed::StartOfDay(at) => date(rows, *at, row)?.checked_add(LAST_ZONE_MICROS),
            Assumed::EndOfDay(at) => date(rows, *at, row)?.checked_add(DAY + LAST_ZONE_MICROS),
            Assumed::EndOfBar { start, interval, sessions } => {
                let (start, interval) = (time(rows, *start, row)?, rows.column(*interval).text(row)?);
                let (_, length) = LENGTHS.iter().find(|(name, _)| *name == interval)?;
                let session = sessions.iter().filter(|_| interval == DAILY);
                let close =
                    session.filter(|session| !session.when.is_broken(rows, row)).find_map(|one| one.close(start));
                close.or_else(|| start.checked_add(*length))
            }
        }
    }
}

impl Session {
    /// When the session of a daily bar closes; None if the bar does not start at midnight in the zone.
    fn close(&self, start: i64) -> Option<i64> {
        let local = DateTime::from_timestamp_micros(start)?.with_timezone(&self.zone).naive_local();
        if local.time() != NaiveTime::MIN {
            return None;
        }
        // Of a time that comes twice, the later one.
        let close = self.zone.from_local_datetime(&local.date().and_time(self.closes)).latest()?;
        Some(close.timestamp_micros())
    }
}

const AT: &str = "at";
const START_OF_DAY: &str = "start_of_day";
const END_OF_DAY: &str = "end_of_day";
const END_OF_BAR: &str = "end_of_bar";
/// The members that say which rule it is.
const NAMES: [&str; 4] = [AT, START_OF_DAY, END_OF_DAY, END_OF_BAR];
const INTERVAL: &str = "interval";
const SESSIONS: &str = "sessions";

/// The position of the field that a member names.
fn field(members: &Map<String, Value>, member: &str, kind: Kind, fields: &[Field]) -> Result<usize, String> {
    let name = text(members, member)?;
    let at = fields.iter().position(|field| field.name == name).ok_or_else(|| format!("`{name}` is not a field"))?;
    if fields[at].kind != kind {
        return Err(format!("`{member}` needs a field of another kind than `{name}`"));
    }
    Ok(at)
}

fn text<'a>(members: &'a Map<String, Value>, member: &str) -> Result<&'a str, String> {
    members.get(member).and_then(Value::as_str).ok_or_else(|| format!("`{member}` is missing or not a text"))
}

fn sessions(json: Option<&Value>, fields: &[Field]) -> Result<Vec<Session>, String> {
    let Some(json) = json else { return Ok(Vec::new()) };
    let list = json.as_array().ok_or_else(|| format!("`{SESSIONS}` is not a list"))?;
    list.iter().map(|session| session_of(session, fields)).collect()
}

fn session_of(json: &Value, fields: &[Field]) -> Result<Session, String> {
    let Some(members) = json.as_object().filter(|members| members.len() == 3) else {
        return Err(format!("a session has `when`, `zone` and `closes`, not `{json}`"));
    };
    let (when, zone, closes) = (text(members, "when")?, text(members, "zone")?, text(members, "closes")?);
    Ok(Session {
        when: Rule::parse(when, fields).map_err(|error| format!("`{when}`: {error}"))?,
        zone: zone.parse().map_err(|_| format!("`{zone}` is not a time zone"))?,
        closes: NaiveTime::parse_from_str(closes, "%H:%M").map_err(|_| format!("`{closes}` is not like `16:00`"))?,
    })
}

fn time(rows: &Rows, at: usize, row: usize) -> Option<i64> {
    match rows.column(at) {
        Column::Timestamp(values) => values[row],
        _ => None,
    }
}

/// Midnight UTC of a date, in microseconds.
fn date(rows: &Rows, at: usize, row: usize) -> Option<i64> {
    match rows.column(at) {
        Column::Date(values) => i64::from(values[row]?).checked_mul(DAY),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
