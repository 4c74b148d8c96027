//! Our sessions equal those of PyPI's `exchange_calendars`, day by day: `tests/oracle/calendars.py`.

use std::collections::BTreeMap;
use std::process::Command;

use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use sources::market::{Market, Session};
use tests::{root, service};

/// Each market with its name in `exchange_calendars`.
const NAMES: &[(&str, Market)] = &[
    ("XNYS", Market::NewYork),
    ("XLON", Market::London),
    ("XETR", Market::Frankfurt),
    ("24/5", Market::Currencies),
    ("24/7", Market::Always),
];
const YEARS: std::ops::RangeInclusive<i32> = 2000..=2027;
/// Most differences shown.
const MAX_SHOWN: usize = 40;

/// The hours of each day, by market and date.
type Said = BTreeMap<(&'static str, NaiveDate), Option<Session>>;

fn days() -> impl Iterator<Item = NaiveDate> {
    let first = NaiveDate::from_ymd_opt(*YEARS.start(), 1, 1).unwrap();
    first.iter_days().take_while(|date| date.year() <= *YEARS.end())
}

/// The hours by `exchange_calendars`; None without Python.
fn said() -> Option<Said> {
    let python = service("TAPEDECK_TEST_PYTHON")?;
    let mut asked = Command::new(python);
    asked.arg("-B").arg(root().join("tests/oracle/calendars.py"));
    asked.args([days().next().unwrap(), days().last().unwrap()].map(|date| date.to_string()));
    let output = asked.args(NAMES.iter().map(|(name, _)| name)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().lines().map(day).collect())
}

/// One line of its output.
fn day(line: &str) -> ((&'static str, NaiveDate), Option<Session>) {
    let words: Vec<&str> = line.split(' ').collect();
    let (name, _) = NAMES.iter().find(|(name, _)| *name == words[0]).unwrap();
    let instant = |word: &str| word.parse::<DateTime<Utc>>().unwrap();
    let session = match words[2..] {
        [opens, closes] => Some(Session { opens: instant(opens), closes: instant(closes) }),
        [] => None,
        _ => panic!("{line}"),
    };
    ((name, words[1].parse().unwrap()), session)
}

/// A line for each day that differs.
fn differences(said: &Said) -> Vec<String> {
    let market = |asked: &str| NAMES.iter().find(|(name, _)| *name == asked).unwrap().1;
    let ours = said.iter().map(|(&(name, date), session)| (name, date, market(name).session(date), session));
    let others = ours.filter(|(_, _, ours, said)| ours != *said);
    others.map(|(name, date, ours, said)| format!("{name} {date}: {ours:?}, they say {said:?}")).collect()
}

#[test]
fn our_trading_hours_equal_those_of_an_independent_calendar_on_every_day() {
    let Some(said) = said() else { return };
    assert_eq!(said.len(), NAMES.len() * days().count(), "each day is told of each market");
    assert_eq!(NAMES.len(), Market::ALL.len());
    let found = differences(&said);
    let shown: Vec<&String> = found.iter().take(MAX_SHOWN).collect();
    assert!(found.is_empty(), "{} differences, the first are {shown:#?}", found.len());
}

#[test]
fn a_session_that_differs_is_found() {
    let count = |lines: &[&str]| differences(&lines.iter().copied().map(day).collect()).len();
    let half = "XNYS 2024-11-29 2024-11-29T14:30:00+00:00 2024-11-29T18:00:00+00:00";
    assert_eq!(count(&[half, "XNYS 2024-11-28", "24/5 2024-11-30"]), 0);
    let full = "XNYS 2024-11-29 2024-11-29T14:30:00+00:00 2024-11-29T21:00:00+00:00";
    let late = "XNYS 2024-11-29 2024-11-29T14:31:00+00:00 2024-11-29T18:00:00+00:00";
    let more = "XNYS 2024-11-28 2024-11-28T14:30:00+00:00 2024-11-28T21:00:00+00:00";
    for line in [full, late, more, "XNYS 2024-11-29", "24/7 2024-11-30"] {
        assert_eq!(count(&[line]), 1, "{line}");
    }
}
