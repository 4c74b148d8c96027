//! When the SEC accepted a filing.
//!
//! The pages of a filer write it as `2024-11-01T06:01:36.000Z`, but on some pages the digits are New York time, not
//! UTC. The SEC accepts filings from 06:00 to a few minutes after 22:00 in New York, so the hours of a few filings tell
//! the zone of a page. If they do not, the later of both times counts, as before that the filing may not have been
//! accepted.

use std::ops::RangeInclusive;

use chrono::{DateTime, NaiveDateTime, NaiveTime, TimeDelta, TimeZone as _, Timelike as _, Utc};

use super::ZONE;
use crate::time::Calendar;

/// Hours of New York in which filings are accepted.
const OPEN_HOURS: RangeInclusive<u32> = 6..=22;
/// Largest difference between UTC and New York.
const LONGEST_OFFSET: TimeDelta = TimeDelta::hours(5);

/// Zone of the times of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    Utc,
    NewYork,
    /// Unknown, or the filings contradict each other.
    Unknown,
}

/// When a filing was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Acceptance {
    /// The time, if it is known.
    pub(super) accepted_at: Option<DateTime<Utc>>,
    /// The latest possible time; None if only its date is known.
    pub(super) latest: Option<DateTime<Utc>>,
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

    /// The zone by one time: in the other zone the filing would have been accepted at night, or after its receipt here.
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

    /// The acceptance of a filing with that time, on a page in that zone.
    pub(super) fn read(self, time: NaiveDateTime, received_at: DateTime<Utc>, new_york: &mut NewYork) -> Acceptance {
        if is_day_alone(time) {
            return Acceptance::WITHOUT_TIME;
        }
        let own = Clock::told_by(time, received_at, new_york);
        match if own == Clock::Unknown { self } else { own } {
            Clock::Utc => Acceptance::at(time.and_utc()),
            Clock::NewYork => Acceptance::at(new_york.instant(time)),
            // New York is behind UTC: its reading is the later one.
            Clock::Unknown => Acceptance { accepted_at: None, latest: Some(new_york.instant(time)) },
        }
    }
}

impl Acceptance {
    /// At an unknown time of its date.
    pub(super) const WITHOUT_TIME: Acceptance = Acceptance { accepted_at: None, latest: None };

    /// At a known time.
    pub(super) fn at(instant: DateTime<Utc>) -> Acceptance {
        Acceptance { accepted_at: Some(instant), latest: Some(instant) }
    }
}

/// New York time, fast for one time after the other.
pub(super) struct NewYork(Calendar);

impl NewYork {
    pub(super) fn clocks() -> NewYork {
        NewYork(Calendar::of(ZONE))
    }

    /// As [`new_york`].
    fn instant(&mut self, time: NaiveDateTime) -> DateTime<Utc> {
        self.0.steady(time.date()).map_or_else(|| new_york(time), |delay| (time + delay).and_utc())
    }

    /// The hour in New York.
    fn hour(&mut self, instant: DateTime<Utc>) -> u32 {
        let delay = self.0.steady(instant.date_naive());
        delay.map_or_else(|| instant.with_timezone(&ZONE).hour(), |delay| (instant - delay).hour())
    }
}

/// Old filings have a date without a time: midnight, in New York or in UTC.
fn is_day_alone(time: NaiveDateTime) -> bool {
    matches!(time.hour(), 0 | 4 | 5) && time.time() == NaiveTime::from_hms_opt(time.hour(), 0, 0).unwrap_or_default()
}

/// The instant of a time in New York: the later one if it comes twice; if clocks skip it, by the offset before the
/// change.
pub(super) fn new_york(time: NaiveDateTime) -> DateTime<Utc> {
    let instant = ZONE.from_local_datetime(&time).latest().map(|instant| instant.to_utc());
    instant.unwrap_or_else(|| time.and_utc() + LONGEST_OFFSET)
}

#[cfg(test)]
mod tests;
