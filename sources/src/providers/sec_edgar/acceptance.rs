//! When the SEC accepted a filing.
//!
//! The pages of a filer write it as `2024-11-01T06:01:36.000Z`, but the digits are those of UTC on some pages and those
//! of New York's clocks on others. Filings are accepted from 06:00 to some minutes after 22:00 in New York, so the hours
//! of a few tell it for all filings of a page. Where none does, a filing counts as known from the later of both times
//! on: before that somebody could be told of what was not public yet.

use std::ops::RangeInclusive;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone as _, Timelike as _, Utc};

use super::{ZONE, end_of_day};
use crate::time::Calendar;

/// Hours of New York in which filings are accepted.
const OPEN_HOURS: RangeInclusive<u32> = 6..=22;
/// How far UTC is before New York at most.
const LONGEST_OFFSET: TimeDelta = TimeDelta::hours(5);

/// Whose digits the times of a page are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    Utc,
    NewYork,
    /// Nothing tells, or the filings contradict each other.
    Unknown,
}

/// When a filing was accepted, as far as that is known, and from when on it was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Acceptance {
    pub(super) accepted_at: Option<DateTime<Utc>>,
    pub(super) known_at: DateTime<Utc>,
}

impl Clock {
    /// The clock of a page with these times.
    pub(super) fn of(
        times: impl Iterator<Item = NaiveDateTime>,
        received_at: DateTime<Utc>,
        new_york: &mut NewYork,
    ) -> Clock {
        let (mut is_utc, mut is_new_york) = (false, false);
        for time in times {
            match Clock::told_by(time, received_at, new_york) {
                Clock::Utc => is_utc = true,
                Clock::NewYork => is_new_york = true,
                Clock::Unknown => {}
            }
        }
        match (is_utc, is_new_york) {
            (true, false) => Clock::Utc,
            (false, true) => Clock::NewYork,
            _ => Clock::Unknown,
        }
    }

    /// What one time tells: by the other clock the filing would have come at night, or after it was received here.
    fn told_by(time: NaiveDateTime, received_at: DateTime<Utc>, new_york: &mut NewYork) -> Clock {
        if is_day_alone(time) {
            return Clock::Unknown;
        }
        let is_possible = |hour: u32, instant: DateTime<Utc>| OPEN_HOURS.contains(&hour) && instant <= received_at;
        let (utc, own) = (time.and_utc(), new_york.instant(time));
        match (is_possible(new_york.hour(utc), utc), is_possible(new_york.hour(own), own)) {
            (true, false) => Clock::Utc,
            (false, true) => Clock::NewYork,
            _ => Clock::Unknown,
        }
    }

    /// When a filing of that day was accepted that has this time on a page with this clock.
    pub(super) fn read(
        self,
        time: NaiveDateTime,
        filed_on: NaiveDate,
        received_at: DateTime<Utc>,
        new_york: &mut NewYork,
    ) -> Acceptance {
        if is_day_alone(time) {
            return Acceptance::of_day(filed_on, received_at);
        }
        let own = Clock::told_by(time, received_at, new_york);
        match if own == Clock::Unknown { self } else { own } {
            Clock::Utc => Acceptance::at(time.and_utc()),
            Clock::NewYork => Acceptance::at(new_york.instant(time)),
            // New York's clocks are behind: their reading is the later one.
            Clock::Unknown => Acceptance { accepted_at: None, known_at: new_york.instant(time) },
        }
    }
}

impl Acceptance {
    /// At a time that is known.
    pub(super) fn at(instant: DateTime<Utc>) -> Acceptance {
        Acceptance { accepted_at: Some(instant), known_at: instant }
    }

    /// At an unknown time of a day: at its end it was public.
    pub(super) fn of_day(filed_on: NaiveDate, received_at: DateTime<Utc>) -> Acceptance {
        Acceptance { accepted_at: None, known_at: end_of_day(filed_on).unwrap_or(received_at) }
    }
}

/// New York's clocks, asked for one time after the other.
pub(super) struct NewYork(Calendar);

impl NewYork {
    pub(super) fn clocks() -> NewYork {
        NewYork(Calendar::of(ZONE))
    }

    /// As [`new_york`].
    fn instant(&mut self, time: NaiveDateTime) -> DateTime<Utc> {
        self.0.steady(time.date()).map_or_else(|| new_york(time), |delay| (time + delay).and_utc())
    }

    /// The hour that they show.
    fn hour(&mut self, instant: DateTime<Utc>) -> u32 {
        let delay = self.0.steady(instant.date_naive());
        delay.map_or_else(|| instant.with_timezone(&ZONE).hour(), |delay| (instant - delay).hour())
    }
}

/// Old filings have a day without a time: midnight, in New York or as UTC has it.
fn is_day_alone(time: NaiveDateTime) -> bool {
    matches!(time.hour(), 0 | 4 | 5) && time.time() == NaiveTime::from_hms_opt(time.hour(), 0, 0).unwrap_or_default()
}

/// The instant of a time on New York's clocks: of two the later one; of none, when they skip it, as before the change.
pub(super) fn new_york(time: NaiveDateTime) -> DateTime<Utc> {
    let instant = ZONE.from_local_datetime(&time).latest().map(|instant| instant.to_utc());
    instant.unwrap_or_else(|| time.and_utc() + LONGEST_OFFSET)
}

#[cfg(test)]
mod tests;
