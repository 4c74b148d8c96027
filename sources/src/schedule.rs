//! When an endpoint is asked: how often, in which hours, and how old an answer may become before somebody should know.

use std::time::Duration;

use chrono::{DateTime, Datelike as _, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::market::Market;
use crate::time::{end_of_day, start_of_day};

/// Days that are looked through for the next hours in which something may be asked: a month and the longest holidays.
const DAYS_AHEAD: u64 = 70;
/// Longest age that is told, in days; what is older is as old.
const OLDEST_DAYS: u64 = 400;

/// So many minutes.
pub const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// So many hours.
pub const fn hours(count: u64) -> Duration {
    minutes(60 * count)
}

/// So many days.
pub const fn days(count: u64) -> Duration {
    hours(24 * count)
}

/// What kind of data it is.
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
    /// What companies report, and what is computed from it.
    Fundamentals,
    /// What is filed with a supervisor.
    Filings,
    /// What there is: companies, series, symbols.
    Reference,
    /// Files that somebody has.
    Files,
}

impl Kind {
    /// All of them.
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

/// How often a provider has something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frequency {
    /// All the time.
    Intraday,
    /// Once a day.
    Daily,
    /// Once a week.
    Weekly,
    /// Once a month.
    Monthly,
    /// Whenever something happens.
    Irregular,
}

impl Frequency {
    /// All of them.
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

/// When an item is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// What it is about.
    pub kind: Kind,
    /// How often the provider has something new.
    pub frequency: Frequency,
    /// Time from one answer to the next question, in the hours of `when`.
    pub every: Duration,
    /// In which hours it is asked for.
    pub when: When,
    /// Oldest that the last answer may become, counted in those hours alone: what nobody could have asked for does not age.
    pub sla: Duration,
}

/// Hours in which something may be new.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// All.
    Always,
    /// Those of an item's market, and so long after its close: quotes come late.
    Trading {
        /// The item's market.
        market: fn(item: &str) -> Market,
        /// Time after the close.
        after: Duration,
    },
    /// Those after the close of an item's market.
    AfterClose {
        /// The item's market.
        market: fn(item: &str) -> Market,
        /// From so long after the close on.
        from: Duration,
        /// For so long.
        hours: Duration,
    },
    /// Some days of the month, each from 00:00 to 24:00 on the provider's clocks.
    DaysOfMonth {
        /// The provider's clocks.
        zone: Tz,
        /// First day.
        first: u32,
        /// Last day.
        last: u32,
    },
    /// Monday to Friday, each from 00:00 to 24:00 on the provider's clocks.
    Weekdays {
        /// The provider's clocks.
        zone: Tz,
    },
}

/// From then, inclusive, until then.
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
        // Clocks are at most a day from UTC, and hours after the close may lie on the next day.
        let first = from.date_naive().checked_sub_days(Days::new(2)).unwrap_or(NaiveDate::MIN);
        let last = to.date_naive().checked_add_days(Days::new(2)).unwrap_or(NaiveDate::MAX);
        let dates = first.iter_days().take_while(move |date| *date <= last);
        let hours = dates.filter_map(move |date| self.hours(item, date));
        hours.filter(move |(begin, end)| *end > from && *begin < to)
    }

    /// The first time from `at` on in which it may be asked; None if there is none for months.
    pub fn next(&self, item: &str, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if let When::Always = self {
            return Some(at);
        }
        let mut hours = self.between(item, at, at.checked_add_days(Days::new(DAYS_AHEAD))?);
        hours.next().map(|(begin, _)| begin.max(at))
    }

    /// How much of the time from one instant to another lies in its hours; of more than a year, that of the last one.
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
    /// Once a day at any hour, for what changes now and then.
    pub const fn once_a_day(kind: Kind) -> Schedule {
        Schedule { kind, frequency: Frequency::Irregular, every: days(1), when: When::Always, sla: days(3) }
    }

    /// So often from Monday to Friday on the provider's clocks, for what an authority publishes.
    pub const fn on_weekdays(kind: Kind, zone: Tz, every: Duration) -> Schedule {
        let when = When::Weekdays { zone };
        Schedule { kind, frequency: Frequency::Irregular, every, when, sla: days(1) }
    }

    /// The prices of a day: every six hours of the half day that begins two hours after the close.
    pub const fn end_of_day(market: fn(item: &str) -> Market) -> Schedule {
        let when = When::AfterClose { market, from: hours(2), hours: hours(12) };
        Schedule { kind: Kind::Prices, frequency: Frequency::Daily, every: hours(6), when, sla: hours(12) }
    }

    /// Every quarter of an hour while a market trades, and so long after its close.
    pub const fn while_trading(kind: Kind, market: fn(item: &str) -> Market, after: Duration) -> Schedule {
        let when = When::Trading { market, after };
        Schedule { kind, frequency: Frequency::Intraday, every: minutes(15), when, sla: hours(2) }
    }

    /// The same on some days of the month alone, at any hour, for what is known to come out then.
    pub fn on_days(self, first: u32, last: u32) -> Schedule {
        let zone = match self.when {
            When::DaysOfMonth { zone, .. } | When::Weekdays { zone } => zone,
            When::Always | When::Trading { .. } | When::AfterClose { .. } => Tz::UTC,
        };
        Schedule { when: When::DaysOfMonth { zone, first, last }, ..self }
    }

    /// When an item is asked for again that was answered then.
    pub fn after_answer(&self, item: &str, answered: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let every = TimeDelta::from_std(self.every).ok()?;
        self.when.next(item, answered.checked_add_signed(every)?)
    }

    /// How old the answer of then is, in the hours in which there could have been a newer one.
    pub fn age(&self, item: &str, answered: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
        self.when.within(item, answered, now)
    }

    /// How often an item is asked for from one instant to another, at most.
    pub fn polls(&self, item: &str, from: DateTime<Utc>, to: DateTime<Utc>) -> u32 {
        let mut count = 0;
        let mut at = self.when.next(item, from);
        while let Some(due) = at.filter(|due| *due < to) {
            count += 1;
            at = self.after_answer(item, due);
        }
        count
    }

    /// In words: how often, and when.
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

/// A time in the unit that fits, e.g. `15 min`, `3 h`, `2 d 4 h`.
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
