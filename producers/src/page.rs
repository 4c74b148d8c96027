//! What the parsers share: limits, and how to look at a body that is not what was asked for.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use crate::source::Reject;

/// Most rows of one page: twice FRED's limit, and a century of trading days eight times over.
///
/// With the cap on a body's size it bounds the memory of a page, whatever a provider sends.
pub const MAX_ROWS: usize = 200_000;
/// Longest excerpt of a provider's words in a message.
const MAX_EXCERPT_CHARACTERS: usize = 160;

/// What is wrong with a row: a short token for counting by cause, and one line for a person.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault(pub &'static str, pub String);

impl Fault {
    /// Says where the row is, e.g. `line 7`.
    pub fn at(self, place: impl std::fmt::Display) -> Fault {
        Fault(self.0, format!("{place}: {}", self.1))
    }

    /// Refuses the row.
    pub fn reject(self, row: &[u8]) -> Reject {
        Reject::new(self.0, self.1, row)
    }
}

/// The body without the byte order mark that some servers put first.
pub fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// Whether a body is HTML or XML.
pub fn is_markup(body: &[u8]) -> bool {
    without_bom(body).trim_ascii_start().starts_with(b"<")
}

/// The beginning of a provider's words, on one line and without control characters.
pub fn excerpt(words: &[u8]) -> String {
    // A character has at most four bytes: what lies beyond cannot be in the excerpt.
    let head = &words[..words.len().min(4 * MAX_EXCERPT_CHARACTERS + 4)];
    let text: Cow<'_, str> = String::from_utf8_lossy(head);
    let line = text.split(|character: char| character.is_whitespace() || character.is_control());
    let line = line.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_EXCERPT_CHARACTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The first instant of a date in a time zone.
///
/// Where a change of the clocks takes midnight away it is the instant of the change; where midnight comes twice, the first.
pub fn start_of_day(date: NaiveDate, zone: Tz) -> Option<DateTime<Utc>> {
    let midnight = date.and_hms_opt(0, 0, 0)?;
    let at = |minutes: i64| {
        let local = midnight.checked_add_signed(TimeDelta::minutes(minutes))?;
        zone.from_local_datetime(&local).earliest().map(|instant| instant.to_utc())
    };
    // No zone has ever skipped more than one day.
    (0..=24 * 60).find_map(at)
}

/// The instant of a number of seconds since 1970, if it lies where dates can be stored.
pub fn instant(seconds: i64) -> Option<DateTime<Utc>> {
    let days = i64::from(contract::validate::MIN_DAY) + 1..i64::from(contract::validate::MAX_DAY);
    DateTime::from_timestamp(seconds, 0).filter(|_| days.contains(&seconds.div_euclid(86_400)))
}

#[cfg(test)]
mod tests {
    use chrono_tz::{America, Europe, Pacific};

    use super::*;

    #[test]
    fn an_excerpt_is_one_short_line_without_control_characters() {
        assert_eq!(excerpt(b" Too Many\r\n\tRequests\0! "), "Too Many Requests !");
        assert_eq!(excerpt("é".repeat(1000).as_bytes()), "é".repeat(160) + "…");
        assert_eq!(excerpt(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn a_day_starts_at_its_first_instant() {
        let start = |date: &str, zone| start_of_day(date.parse().unwrap(), zone).map(|start| start.to_string());
        assert_eq!(start("2024-03-10", America::New_York).unwrap(), "2024-03-10 05:00:00 UTC");
        // Midnight twice: the clocks went back from 01:00 to 00:00.
        assert_eq!(start("2022-11-06", America::Havana).unwrap(), "2022-11-06 04:00:00 UTC");
        // No midnight: the clocks went forward at 00:00.
        assert_eq!(start("2018-11-04", America::Sao_Paulo).unwrap(), "2018-11-04 03:00:00 UTC");
        assert_eq!(start("2024-07-01", Europe::London).unwrap(), "2024-06-30 23:00:00 UTC");
        // A day that never was gives the next one.
        assert_eq!(start("2011-12-30", Pacific::Apia).unwrap(), "2011-12-30 10:00:00 UTC");
    }

    #[test]
    fn a_time_that_cannot_be_stored_is_none() {
        assert!(instant(0).is_some());
        for seconds in [i64::MIN, i64::MAX, 9_999_999_999_999, -9_999_999_999_999, 253_402_300_800] {
            assert!(instant(seconds).is_none(), "{seconds}");
        }
    }
}
