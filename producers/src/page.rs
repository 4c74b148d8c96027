//! What the parsers share: limits, and how to look at a body that is not what was asked for.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use memchr::{memchr, memchr_iter};

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

/// The end of a date in a time zone: what was published on it at an unknown hour was public by then.
pub fn end_of_day(date: NaiveDate, zone: Tz) -> Option<DateTime<Utc>> {
    start_of_day(date.succ_opt()?, zone)
}

/// Days of a zone, asked for one after the other: as most lie between two that begin alike, few have to be looked up.
#[derive(Debug)]
pub struct Calendar {
    zone: Tz,
    /// What is known of the days that were asked for last.
    span: Option<Span>,
}

/// Days between two that are looked up.
#[derive(Debug, Clone, Copy)]
struct Span {
    number: i32,
    /// How much later its first day, and the first one after it, begin than in UTC.
    ends: [Option<TimeDelta>; 2],
}

/// Days of a span; no zone has ever changed its clocks and back within so few: Tunis took eight in 1943.
const SPAN: i32 = 7;

impl Calendar {
    /// That of a zone.
    pub fn of(zone: Tz) -> Calendar {
        Calendar { zone, span: None }
    }

    /// Its zone.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The first instant of a day, as [`start_of_day`] tells it.
    pub fn start(&mut self, date: NaiveDate) -> Option<DateTime<Utc>> {
        let number = date.to_epoch_days().div_euclid(SPAN);
        let ends = match self.span {
            Some(span) if span.number == number => span.ends,
            last => {
                // Mostly it is the one before or behind the last one, so that one end is known.
                let begins = |number: i32| match last {
                    Some(last) if number == last.number => last.ends[0],
                    Some(last) if number == last.number + 1 => last.ends[1],
                    _ => self.delay(number * SPAN),
                };
                let ends = [begins(number), begins(number + 1)];
                self.span = Some(Span { number, ends });
                ends
            }
        };
        match ends {
            [Some(delay), Some(other)] if delay == other => midnight(date).checked_add_signed(delay),
            _ => start_of_day(date, self.zone),
        }
    }

    fn delay(&self, epoch_days: i32) -> Option<TimeDelta> {
        let date = NaiveDate::from_epoch_days(epoch_days)?;
        Some(start_of_day(date, self.zone)? - midnight(date))
    }
}

/// The first instant of a date in UTC.
pub fn midnight(date: NaiveDate) -> DateTime<Utc> {
    date.and_time(NaiveTime::MIN).and_utc()
}

/// The lines of a text, each with the line feed that ends it.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let (line, others) = rest.split_at(end);
        rest = others;
        (!line.is_empty()).then_some(line)
    })
}

/// Puts what stands between commas into columns, and counts: there may be more than fit.
pub fn split_at_commas<'a>(line: &'a str, columns: &mut [&'a str]) -> usize {
    let (mut count, mut start) = (0, 0);
    let mut put = |end: usize| {
        if let Some(column) = columns.get_mut(count) {
            *column = line.get(start..end).unwrap_or_default();
        }
        (count, start) = (count + 1, end + 1);
    };
    memchr_iter(b',', line.as_bytes()).for_each(&mut put);
    put(line.len());
    count
}

/// Reads `MM/DD/YYYY`.
pub fn month_day_year(text: &str) -> Option<NaiveDate> {
    if let &[m0, m1, b'/', d0, d1, b'/', y0, y1, y2, y3] = text.as_bytes() {
        let year = i32::try_from(digits(&[y0, y1, y2, y3])?).ok()?;
        return NaiveDate::from_ymd_opt(year, digits(&[m0, m1])?, digits(&[d0, d1])?);
    }
    let mut parts = text.split('/');
    let mut digits = || parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    let (month, day, year) = (digits()?, digits()?, digits()?);
    if year.len() != 4 || parts.next().is_some() {
        return None;
    }
    NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
}

/// Reads up to nine digits and nothing else.
pub fn digits(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
}

/// The instant of a number of seconds since 1970, if it lies where dates can be stored.
pub fn instant(seconds: i64) -> Option<DateTime<Utc>> {
    let days = i64::from(contract::validate::MIN_DAY) + 1..i64::from(contract::validate::MAX_DAY);
    DateTime::from_timestamp(seconds, 0).filter(|_| days.contains(&seconds.div_euclid(86_400)))
}

#[cfg(test)]
mod tests {
    use chrono::Datelike as _;
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
    fn a_day_ends_when_the_next_one_starts() {
        let end = |date: &str, zone| end_of_day(date.parse().unwrap(), zone).map(|end| end.to_string());
        assert_eq!(end("2024-03-10", America::New_York).unwrap(), "2024-03-11 04:00:00 UTC");
        assert_eq!(end("2024-12-31", Tz::UTC).unwrap(), "2025-01-01 00:00:00 UTC");
        assert_eq!(end_of_day(NaiveDate::MAX, Tz::UTC), None);
    }

    #[test]
    fn days_begin_as_if_each_was_looked_up() {
        let first = NaiveDate::from_ymd_opt(1890, 1, 1).unwrap();
        for zone in chrono_tz::TZ_VARIANTS {
            let mut calendar = Calendar::of(zone);
            for date in first.iter_days().take_while(|date| date.year() < 2050) {
                assert_eq!(calendar.start(date), start_of_day(date, zone), "{date} in {zone}");
            }
        }
        let mut calendar = Calendar::of(America::New_York);
        for date in [NaiveDate::MIN, NaiveDate::MAX] {
            assert_eq!(calendar.start(date), start_of_day(date, America::New_York));
        }
    }

    #[test]
    fn a_text_is_its_lines_and_a_line_its_columns() {
        assert_eq!(lines(b"a\n\nb\r\nc").collect::<Vec<_>>(), [&b"a\n"[..], b"\n", b"b\r\n", b"c"]);
        assert_eq!((lines(b"").count(), lines(b"\n").count()), (0, 1));
        for (line, count, expected) in [("", 1, ["", "-"]), ("é", 1, ["é", "-"]), ("a,é,", 3, ["a", "é"])] {
            let mut columns = ["", "-"];
            assert_eq!((split_at_commas(line, &mut columns), columns), (count, expected), "{line}");
        }
    }

    #[test]
    fn a_date_of_month_day_and_year_has_a_whole_year() {
        assert_eq!(month_day_year("1/4/2017"), Some("2017-01-04".parse().unwrap()));
        for text in ["01/04/17", "2017-01-04", "02/30/2017", "1/4/2017/", "+1/4/2017", "//2017", "1/4/ 2017"] {
            assert_eq!(month_day_year(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_that_cannot_be_stored_is_none() {
        assert!(instant(0).is_some());
        for seconds in [i64::MIN, i64::MAX, 9_999_999_999_999, -9_999_999_999_999, 253_402_300_800] {
            assert!(instant(seconds).is_none(), "{seconds}");
        }
    }
}
