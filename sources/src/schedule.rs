//! When an endpoint is polled: how often, in which hours, and how old a response may become before it counts as stale.

use std::time::Duration;

use chrono::{DateTime, Datelike as _, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::market::Market;
use crate::time::{end_of_day, start_of_day};

/// Days that are searched for the next polling hours: a month and the longest holidays.
const DAYS_AHEAD: u64 = 70;
/// Greatest age, in days; everything older has this age.
const OLDEST_DAYS: u64 = 400;

/// That many minutes.
pub const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// That many hours.
pub const fn hours(count: u64) -> Duration {
    minutes(60 * count)
}

/// That many days.
pub const fn days(count: u64) -> Duration {
    hours(24 * count)
}

/// Kind of data, to choose endpoints by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Prices of shares, funds, indexes, currencies.
    Prices,
    /// Quotes of options.
    Options,
    /// Economic series.
    Macro,
    /// Flows into funds.
    Flows,
    /// Articles.
    News,
    /// What companies report, and ratios computed from it.
    Fundamentals,
    /// What is filed with a regulator.
    Filings,
    /// Descriptions of companies, series, symbols.
    Reference,
    /// Files on this machine.
    Files,
}

impl Kind {
    /// All, in the order in which they are listed.
    pub const ALL: &[Kind] = &[
        Kind::Prices,
        Kind::Options,
        Kind::Macro,
        Kind::Flows,
        Kind::News,
        Kind::Fundamentals,
        Kind::Filings,
        Kind::Reference,
        Kind::Files,
    ];

    /// As an operator types it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Prices => "prices",
            Kind::Options => "options",
            Kind::Macro => "macro",
            Kind::Flows => "flows",
            Kind::News => "news",
            Kind::Fundamentals => "fundamentals",
            Kind::Filings => "filings",
            Kind::Reference => "reference",
            Kind::Files => "files",
        }
    }
}

/// How often a provider publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frequency {
    /// Many times a day.
    Intraday,
    /// Once a day.
    Daily,
    /// Once a week.
    Weekly,
    /// Once a month.
    Monthly,
    /// At no fixed times.
    Irregular,
}

impl Frequency {
    /// All, in the order in which they are listed.
    pub const ALL: &[Frequency] =
        &[Frequency::Intraday, Frequency::Daily, Frequency::Weekly, Frequency::Monthly, Frequency::Irregular];

    /// As an operator types it.
    pub fn name(self) -> &'static str {
        match self {
            Frequency::Intraday => "intraday",
            Frequency::Daily => "daily",
            Frequency::Weekly => "weekly",
            Frequency::Monthly => "monthly",
            Frequency::Irregular => "irregular",
        }
    }
}

/// When an item is polled: every so often, in certain hours.
///
/// The same hours answer three questions: when an item is due ([`Schedule::after_response`]), how many calls a day
/// takes ([`Schedule::polls`]), and how old a response is ([`Schedule::age`]). All three are pure; the caller passes
/// the time. Start from one of the constructors and override fields.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Kind of data.
    pub kind: Kind,
    /// How often the provider publishes.
    pub frequency: Frequency,
    /// Time from a response to the next poll, within the hours of `when`.
    pub every: Duration,
    /// Hours in which it is polled.
    pub when: When,
    /// Greatest age of the last response before it counts as stale. Only polling hours count: while nothing is polled,
    /// nothing ages.
    pub sla: Duration,
}

/// Hours in which an item is polled: those in which its data can change.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// All hours.
    Always,
    /// The session of an item's market and a time after its close, as quotes are delayed.
    Trading {
        /// The item's market.
        market: fn(item: &str) -> Market,
        /// That time after the close.
        after: Duration,
    },
    /// A time after the close of an item's market.
    AfterClose {
        /// The item's market.
        market: fn(item: &str) -> Market,
        /// Time from the close to the beginning of the hours.
        from: Duration,
        /// Their length.
        hours: Duration,
    },
    /// A range of days of each month, from 00:00 to 24:00 in the provider's zone.
    DaysOfMonth {
        /// The provider's zone.
        zone: Tz,
        /// First day.
        first: u32,
        /// Last day.
        last: u32,
    },
    /// Monday to Friday, from 00:00 to 24:00 in the provider's zone.
    Weekdays {
        /// The provider's zone.
        zone: Tz,
    },
}

/// Beginning, inclusive, and end, exclusive.
type Hours = (DateTime<Utc>, DateTime<Utc>);

impl When {
    /// The hours that belong to a date.
    fn hours(&self, item: &str, date: NaiveDate) -> Option<Hours> {
        let day = |zone| Some((start_of_day(date, zone)?, end_of_day(date, zone)?));
        let later = |at: DateTime<Utc>, wait: &Duration| at.checked_add_signed(TimeDelta::from_std(*wait).ok()?);
        match self {
            When::Always => day(Tz::UTC),
            When::Trading { market, after } => {
                let session = market(item).session(date)?;
                Some((session.opens, later(session.closes, after)?))
            }
            When::AfterClose { market, from, hours } => {
                let begin = later(market(item).session(date)?.closes, from)?;
                Some((begin, later(begin, hours)?))
            }
            When::DaysOfMonth { zone, first, last } => {
                (*first..=*last).contains(&date.day()).then(|| day(*zone)).flatten()
            }
            When::Weekdays { zone } => (date.weekday().number_from_monday() <= 5).then(|| day(*zone)).flatten(),
        }
    }

    /// The hours that end after `from` and begin before `to`, in order.
    fn between<'a>(
        &'a self,
        item: &'a str,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> impl Iterator<Item = Hours> + 'a {
        // Zones are at most a day from UTC, and hours after the close may lie on the next day.
        let first = from.date_naive().checked_sub_days(Days::new(2)).unwrap_or(NaiveDate::MIN);
        let last = to.date_naive().checked_add_days(Days::new(2)).unwrap_or(NaiveDate::MAX);
        let dates = first.iter_days().take_while(move |date| *date <= last);
        let hours = dates.filter_map(move |date| self.hours(item, date));
        hours.filter(move |(begin, end)| *end > from && *begin < to)
    }

    /// The first time at or after `at` that lies in the hours; None if the next 70 days have none.
    pub fn next(&self, item: &str, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if let When::Always = self {
            return Some(at);
        }
        let mut hours = self.between(item, at, at.checked_add_days(Days::new(DAYS_AHEAD))?);
        hours.next().map(|(begin, _)| begin.max(at))
    }

    /// How much of the time between two instants lies in the hours; only the last 400 days count.
    pub fn within(&self, item: &str, from: DateTime<Utc>, to: DateTime<Utc>) -> Duration {
        let from = from.max(to.checked_sub_days(Days::new(OLDEST_DAYS)).unwrap_or(from));
        let (mut total, mut reached) = (TimeDelta::zero(), from);
        for (begin, end) in self.between(item, from, to) {
            // Hours of two dates may overlap.
            let (begin, end) = (begin.max(reached), end.min(to));
            if begin < end {
                total += end - begin;
                reached = end;
            }
        }
        total.to_std().unwrap_or_default()
    }
}

impl Schedule {
    /// Once a day at any hour, for data that rarely changes.
    pub const fn once_a_day(kind: Kind) -> Schedule {
        Schedule { kind, frequency: Frequency::Irregular, every: days(1), when: When::Always, sla: days(3) }
    }

    /// Every so often from Monday to Friday in the provider's zone, for what an authority publishes.
    pub const fn on_weekdays(kind: Kind, zone: Tz, every: Duration) -> Schedule {
        let when = When::Weekdays { zone };
        Schedule { kind, frequency: Frequency::Irregular, every, when, sla: days(1) }
    }

    /// Daily prices: every six hours of the half day that begins two hours after the close.
    pub const fn end_of_day(market: fn(item: &str) -> Market) -> Schedule {
        let when = When::AfterClose { market, from: hours(2), hours: hours(12) };
        Schedule { kind: Kind::Prices, frequency: Frequency::Daily, every: hours(6), when, sla: hours(12) }
    }

    /// Every quarter of an hour while a market trades, and for a time after its close.
    pub const fn while_trading(kind: Kind, market: fn(item: &str) -> Market, after: Duration) -> Schedule {
        let when = When::Trading { market, after };
        Schedule { kind, frequency: Frequency::Intraday, every: minutes(15), when, sla: hours(2) }
    }

    /// The same, but only on certain days of the month, at any hour, for what is known to be published then.
    pub fn on_days(self, first: u32, last: u32) -> Schedule {
        let zone = match self.when {
            When::DaysOfMonth { zone, .. } | When::Weekdays { zone } => zone,
            When::Always | When::Trading { .. } | When::AfterClose { .. } => Tz::UTC,
        };
        Schedule { when: When::DaysOfMonth { zone, first, last }, ..self }
    }

    /// When an item is next due whose last response came at `answered`.
    pub fn after_response(&self, item: &str, answered: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let every = TimeDelta::from_std(self.every).ok()?;
        self.when.next(item, answered.checked_add_signed(every)?)
    }

    /// Age of the response that came at `answered`: the polling hours since then.
    pub fn age(&self, item: &str, answered: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
        self.when.within(item, answered, now)
    }

    /// Most polls of an item between two instants.
    pub fn polls(&self, item: &str, from: DateTime<Utc>, to: DateTime<Utc>) -> u32 {
        let mut count = 0;
        let mut at = self.when.next(item, from);
        while let Some(due) = at.filter(|due| *due < to) {
            count += 1;
            at = self.after_response(item, due);
        }
        count
    }

    /// The schedule in words: how often, and when.
    pub fn words(&self) -> String {
        let every = span(self.every);
        match self.when {
            When::Always => format!("every {every}"),
            When::Trading { after, .. } if after.is_zero() => format!("every {every} while its market trades"),
            When::Trading { after, .. } => {
                format!("every {every} while its market trades and {} longer", span(after))
            }
            When::AfterClose { from, hours, .. } => {
                format!("every {every} from {} to {} after its market's close", span(from), span(from + hours))
            }
            When::DaysOfMonth { zone, first, last } => {
                format!("every {every} from day {first} to {last} of a month in {zone}")
            }
            When::Weekdays { zone } => format!("every {every} from Monday to Friday in {zone}"),
        }
    }
}

/// A length of time in fitting units, e.g. `15 min`, `3 h`, `2 d 4 h`.
pub fn span(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    let (days, hours, rest) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    match (days, hours, rest) {
        (0, 0, 0) => format!("{} s", time.as_secs()),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, 0, _) => format!("{days} d"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests;
