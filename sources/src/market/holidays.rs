//! On which weekdays exchanges are closed, and on which they close early.
//!
//! They are rules, not lists, so they also cover future years. They are valid from 2000 on; earlier years use the same
//! rules.

use chrono::Weekday::{Fri, Mon, Thu, Tue, Wed};
use chrono::{Datelike as _, NaiveDate};

use super::Day;

/// Year, month and day.
type Date = (i32, u32, u32);

const NEW_YORK_CLOSED: &[Date] = &[
    // The attacks of September 11.
    (2001, 9, 11),
    (2001, 9, 12),
    (2001, 9, 13),
    (2001, 9, 14),
    // Hurricane Sandy.
    (2012, 10, 29),
    (2012, 10, 30),
    // Mourning for the presidents Reagan, Ford, Bush and Carter.
    (2004, 6, 11),
    (2007, 1, 2),
    (2018, 12, 5),
    (2025, 1, 9),
];

const LONDON_CLOSED: &[Date] = &[
    // Jubilees, each with the spring bank holiday that was moved to it.
    (2002, 6, 3),
    (2002, 6, 4),
    (2012, 6, 4),
    (2012, 6, 5),
    (2022, 6, 2),
    (2022, 6, 3),
    // A royal wedding, a funeral, a coronation.
    (2011, 4, 29),
    (2022, 9, 19),
    (2023, 5, 8),
    // The early May bank holiday, on the day on which the war had ended.
    (2020, 5, 8),
];

/// NYSE and Nasdaq on a weekday.
pub(super) fn new_york(date: NaiveDate) -> Day {
    let (year, month, day) = (date.year(), date.month(), date.day());
    let is_closed = match (month, day, date.weekday()) {
        _ if NEW_YORK_CLOSED.contains(&(year, month, day)) => true,
        // Not on the Friday before, which closes the year in the books.
        (1, 1, _) | (1, 2, Mon) => true,
        // Martin Luther King; Washington; Memorial Day.
        (1 | 2, 15..=21, Mon) | (5, 25..=31, Mon) => true,
        // Juneteenth.
        (6, 19, _) | (6, 18, Fri) | (6, 20, Mon) => year >= 2022,
        (7, 4, _) | (7, 3, Fri) | (7, 5, Mon) => true,
        // Labor Day; Thanksgiving.
        (9, 1..=7, Mon) | (11, 22..=28, Thu) => true,
        (12, 25, _) | (12, 24, Fri) | (12, 26, Mon) => true,
        _ => days_after_easter(date) == Some(GOOD_FRIDAY),
    };
    let is_half = match (month, day, date.weekday()) {
        (7, 3, Mon | Tue | Thu) => true,
        // When July 4 is a Thursday, the Friday was a half day; since 2013 the Wednesday is.
        (7, 3, Wed) => year >= 2013,
        (7, 5, Fri) => year < 2013,
        (11, 23..=29, Fri) | (12, 24, _) => true,
        (12, 26, _) => year == 2003,
        _ => false,
    };
    of(is_closed, is_half)
}

/// The London Stock Exchange on a weekday.
pub(super) fn london(date: NaiveDate) -> Day {
    let (year, month, day) = (date.year(), date.month(), date.day());
    let is_closed = match (month, day, date.weekday()) {
        _ if LONDON_CLOSED.contains(&(year, month, day)) => true,
        (1, 1, _) | (1, 2 | 3, Mon) => true,
        // Bank holidays of May and August, except in the years in which they were moved.
        (5, 1..=7, Mon) => year != 2020,
        (5, 25..=31, Mon) => !matches!(year, 2002 | 2012 | 2022),
        (8, 25..=31, Mon) => true,
        // Christmas and Boxing Day at a weekend move to the next weekdays.
        (12, 25 | 26, _) | (12, 27 | 28, Mon | Tue) => true,
        _ => matches!(days_after_easter(date), Some(GOOD_FRIDAY | EASTER_MONDAY)),
    };
    // Christmas Eve and New Year's Eve, or the Friday before where they are at a weekend.
    let is_half = matches!((month, day, date.weekday()), (12, 24 | 31, _) | (12, 22 | 23 | 29 | 30, Fri));
    of(is_closed, is_half)
}

/// Xetra on a weekday.
pub(super) fn frankfurt(date: NaiveDate) -> Day {
    let (year, month, day) = (date.year(), date.month(), date.day());
    let is_closed = match (month, day) {
        (1 | 5, 1) | (12, 24 | 25 | 26 | 31) => true,
        // German Unity Day; 500 years of the Reformation.
        (10, 3) => (2014..=2021).contains(&year),
        (10, 31) => year == 2017,
        _ => match days_after_easter(date) {
            Some(GOOD_FRIDAY | EASTER_MONDAY) => true,
            Some(WHIT_MONDAY) => year == 2007 || (2015..=2021).contains(&year),
            _ => false,
        },
    };
    // The last weekday before New Year's Eve.
    let is_last = matches!((month, day, date.weekday()), (12, 30, _) | (12, 28 | 29, Fri));
    of(is_closed, is_last && year >= 2010)
}

fn of(is_closed: bool, is_half: bool) -> Day {
    match (is_closed, is_half) {
        (true, _) => Day::Closed,
        (false, true) => Day::Half,
        (false, false) => Day::Full,
    }
}

/// Days after Easter Sunday.
const GOOD_FRIDAY: i64 = -2;
const EASTER_MONDAY: i64 = 1;
const WHIT_MONDAY: i64 = 50;

fn days_after_easter(date: NaiveDate) -> Option<i64> {
    // From Good Friday of the earliest Easter to Whit Monday of the latest.
    let is_near = matches!(date.month(), 3..=6);
    is_near.then(|| easter(date.year()))?.map(|easter| date.signed_duration_since(easter).num_days())
}

/// Easter Sunday, by the anonymous Gregorian algorithm.
fn easter(year: i32) -> Option<NaiveDate> {
    let golden = year.rem_euclid(19);
    let (century, of_century) = (year.div_euclid(100), year.rem_euclid(100));
    // The days from 21 March to the full moon, and from there to a Sunday.
    let correction = (century + 8).div_euclid(25);
    let lag = (century - correction + 1).div_euclid(3);
    let moon = (19 * golden + century - century.div_euclid(4) - lag + 15).rem_euclid(30);
    let sunday = (32 + 2 * (century.rem_euclid(4) + of_century / 4) - moon - of_century % 4).rem_euclid(7);
    let late = (golden + 11 * moon + 22 * sunday) / 451;
    let days = moon + sunday - 7 * late + 114;
    NaiveDate::from_ymd_opt(year, u32::try_from(days / 31).ok()?, u32::try_from(days % 31 + 1).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn easter_is_when_the_church_says() {
        // The earliest and the latest possible dates, and some between.
        let dates = ["1818-03-22", "1943-04-25", "1981-04-19", "2000-04-23", "2024-03-31", "2038-04-25", "2285-03-22"];
        for date in dates {
            let date: NaiveDate = date.parse().unwrap();
            assert_eq!(easter(date.year()), Some(date));
        }
    }

    #[test]
    fn easter_is_a_sunday_of_spring_in_every_year() {
        for year in NaiveDate::MIN.year()..=NaiveDate::MAX.year() {
            let easter = easter(year).unwrap();
            assert_eq!(easter.weekday(), chrono::Weekday::Sun, "{easter}");
            assert!((3, 22) <= (easter.month(), easter.day()) && (easter.month(), easter.day()) <= (4, 25), "{easter}");
        }
    }
}
