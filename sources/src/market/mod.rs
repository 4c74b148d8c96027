//! When a market trades: its sessions, day by day.
//!
//! Sessions are those of PyPI's `exchange_calendars` for every day from 2000 to 2027 (the test `calendars`), and follow
//! the same rules after that. Unforeseen closures, such as a day of mourning or a storm, are added to the tables of
//! `market/holidays.rs` afterwards.

mod holidays;

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, TimeZone as _, Utc, Weekday};
use chrono_tz::{America, Europe, Tz};

use crate::time::midnight;

/// A market: hours in which an item trades. Outside of them its prices cannot change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Market {
    /// NYSE and Nasdaq, regular hours.
    NewYork,
    /// The London Stock Exchange, from the opening auction to the closing auction.
    London,
    /// Xetra.
    Frankfurt,
    /// Monday to Friday in UTC, around the clock.
    Currencies,
    /// Every day in UTC, around the clock.
    Always,
}

/// When a market opens and closes on one date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// First instant of the session.
    pub opens: DateTime<Utc>,
    /// First instant after the session.
    pub closes: DateTime<Utc>,
}

/// Whether an exchange trades on a day, and how long.
enum Day {
    Closed,
    Half,
    Full,
}

/// When an exchange opens and closes, in its local time. Today's hours stand for all years, as in `exchange_calendars`,
/// though Frankfurt once traded until 20:00.
struct Hours {
    opens: NaiveTime,
    closes: NaiveTime,
    closes_early: NaiveTime,
}

const NEW_YORK: Hours = Hours { opens: time(9, 30), closes: time(16, 0), closes_early: time(13, 0) };
const LONDON: Hours = Hours { opens: time(8, 0), closes: time(16, 30), closes_early: time(12, 30) };
const FRANKFURT: Hours = Hours { opens: time(9, 0), closes: time(17, 30), closes_early: time(14, 0) };

const fn time(hour: u32, minute: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(hour, minute, 0).expect("a time of day")
}

impl Market {
    /// All markets.
    pub const ALL: [Market; 5] =
        [Market::NewYork, Market::London, Market::Frankfurt, Market::Currencies, Market::Always];

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Market::NewYork => "new_york",
            Market::London => "london",
            Market::Frankfurt => "frankfurt",
            Market::Currencies => "currencies",
            Market::Always => "always",
        }
    }

    /// The zone of its trading dates.
    pub fn zone(self) -> Tz {
        match self {
            Market::NewYork => America::New_York,
            Market::London => Europe::London,
            Market::Frankfurt => Europe::Berlin,
            Market::Currencies | Market::Always => Tz::UTC,
        }
    }

    /// The session of a trading date; None when there is none.
    pub fn session(self, date: NaiveDate) -> Option<Session> {
        let is_weekend = matches!(date.weekday(), Weekday::Sat | Weekday::Sun);
        if is_weekend && self != Market::Always {
            return None;
        }
        let (hours, day) = match self {
            Market::NewYork => (NEW_YORK, holidays::new_york(date)),
            Market::London => (LONDON, holidays::london(date)),
            Market::Frankfurt => (FRANKFURT, holidays::frankfurt(date)),
            Market::Currencies | Market::Always => {
                return Some(Session { opens: midnight(date), closes: midnight(date.succ_opt()?) });
            }
        };
        let closes = match day {
            Day::Closed => return None,
            Day::Half => hours.closes_early,
            Day::Full => hours.closes,
        };
        Some(Session { opens: self.instant(date, hours.opens)?, closes: self.instant(date, closes)? })
    }

    /// Clocks change at night, so every local time of a session exists exactly once.
    fn instant(self, date: NaiveDate, time: NaiveTime) -> Option<DateTime<Utc>> {
        self.zone().from_local_datetime(&date.and_time(time)).single().map(|instant| instant.to_utc())
    }
}

#[cfg(test)]
mod tests;
