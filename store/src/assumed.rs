//! When the first version of a key counts as known on request, as an expression of SQL. See [`contract::Assumed`].
//!
//! Its columns have no alias: it stands in a `select` from one version.

use contract::Dataset;
use contract::assumed::{Assumed, DAILY, Days, LAST_ZONE_MICROS, LENGTHS, Session};

use crate::sql::joined;
use crate::text;

const SECOND_MICROS: i64 = 1_000_000;
const HOUR_SECONDS: i64 = 3_600;
/// When a date has begun, and when it is over in every time zone: seconds after its 00:00 UTC.
const START_OF_DAY: i64 = LAST_ZONE_MICROS / SECOND_MICROS;
const END_OF_DAY: i64 = START_OF_DAY + 24 * HOUR_SECONDS;

/// The expression of PostgreSQL; None where the declaration has no rule.
pub(crate) fn in_postgres(dataset: &Dataset) -> Option<String> {
    let name = |at: &usize| &dataset.fields[*at].name;
    let after = |date: &String, seconds: i64| {
        format!("({date}::timestamp + interval '{} hours') at time zone 'UTC'", seconds / HOUR_SECONDS)
    };
    first(dataset.assumed.iter().map(|rule| match rule {
        Assumed::At(at) => name(at).clone(),
        Assumed::StartOfDay(at) => after(name(at), START_OF_DAY),
        Assumed::EndOfDay(at) => after(name(at), END_OF_DAY),
        Assumed::EndOfBar { start, interval, sessions } => {
            let (start, interval) = (name(start), name(interval));
            let close = |Session { when, zone, closes }: &Session| {
                let local = format!("({start} at time zone '{zone}')");
                format!(
                    "case when {interval} = '{DAILY}' and ({}) is not false and {local}::time = '00:00' \
                     then ({local}::date + time '{closes}') at time zone '{zone}' end",
                    when.text
                )
            };
            let lengths = LENGTHS.map(|(name, micros)| format!("when '{name}' then {}", micros / SECOND_MICROS));
            let end = format!("{start} + make_interval(secs => case {interval} {} end)", lengths.join(" "));
            first(sessions.iter().map(close).chain([end])).unwrap_or_default()
        }
    }))
}

/// The expression of SQLite; None where the declaration has no rule.
pub(crate) fn in_sqlite(dataset: &Dataset) -> Option<String> {
    let name = |at: &usize| &dataset.fields[*at].name;
    first(dataset.assumed.iter().map(|rule| match rule {
        Assumed::At(at) => name(at).clone(),
        Assumed::StartOfDay(at) => later(&format!("{} || 'T00:00:00.000000Z'", name(at)), &START_OF_DAY.to_string()),
        Assumed::EndOfDay(at) => later(&format!("{} || 'T00:00:00.000000Z'", name(at)), &END_OF_DAY.to_string()),
        Assumed::EndOfBar { start, interval, sessions } => {
            let (start, interval) = (name(start), name(interval));
            let close = |session: &Session| {
                let length = length(&session.days(), start);
                let close = later(start, &length);
                format!("iif({interval} = '{DAILY}' and ({}) is not false, {close}, null)", session.when.in_sqlite())
            };
            let lengths = LENGTHS.map(|(name, micros)| format!("when '{name}' then {}", micros / SECOND_MICROS));
            let end = later(start, &format!("case {interval} {} end", lengths.join(" ")));
            first(sessions.iter().map(close).chain([end])).unwrap_or_default()
        }
    }))
}

/// The first expression with a value.
fn first(expressions: impl Iterator<Item = String>) -> Option<String> {
    let expressions: Vec<String> = expressions.collect();
    match &expressions[..] {
        [] => None,
        [only] => Some(only.clone()),
        several => Some(format!("coalesce({})", joined(several.iter().cloned()))),
    }
}

/// A time of SQLite that is so many seconds after another. SQLite's own times have no microseconds.
fn later(time: &str, seconds: &str) -> String {
    format!("strftime('%Y-%m-%dT%H:%M:%S', substr({time}, 1, 19), ({seconds}) || ' seconds') || substr({time}, 20)")
}

/// Seconds from a time of SQLite until the close, by halving the days; null if no day begins at that time.
fn length(days: &[Days], time: &str) -> String {
    let (before, after) = days.split_at(days.len() / 2);
    match (before, after) {
        ([], [Days { midnight, length: Some(length), .. }]) => {
            let midnight = text::of_time(text::time(*midnight));
            let (_, midnight) = midnight.split_at("1970-01-01T".len());
            format!("iif(substr({time}, 12) = '{midnight}', {}, null)", length / SECOND_MICROS)
        }
        ([_, ..], [middle, ..]) => {
            let from = text::of_time(text::time(middle.from));
            format!("iif({time} < '{from}', {}, {})", length(before, time), length(after, time))
        }
        _ => "null".to_owned(),
    }
}
