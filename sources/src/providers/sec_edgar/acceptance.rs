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
mod tests {
    use super::*;
    use crate::fixture::{RECEIVED, at, date};

    fn digits(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    fn clock(times: &[&str]) -> Clock {
        Clock::of(times.iter().map(|time| digits(time)), at(RECEIVED), &mut NewYork::clocks())
    }

    #[test]
    fn hours_of_the_night_tell_whose_digits_they_are() {
        // 06:01 in UTC would be one or two at night in New York.
        assert_eq!(clock(&["2026-02-26T18:34:19", "2025-10-31T06:01:26"]), Clock::NewYork);
        assert_eq!(clock(&["2025-07-07T20:13:14", "2025-07-10T00:12:54"]), Clock::Utc);
        assert_eq!(clock(&["2025-12-08T23:07:06"]), Clock::Utc);
        // Some come a few minutes late.
        assert_eq!(clock(&["2022-10-04T22:05:07"]), Clock::Unknown);
    }

    #[test]
    fn what_tells_nothing_or_both_is_unknown() {
        assert_eq!(clock(&[]), Clock::Unknown);
        assert_eq!(clock(&["2020-01-27T13:45:37", "2026-02-26T18:34:19"]), Clock::Unknown);
        assert_eq!(clock(&["2025-10-31T06:01:26", "2025-07-10T00:12:54"]), Clock::Unknown);
        // A day without a time, and an hour that is night on both clocks.
        assert_eq!(clock(&["1994-01-26T00:00:00", "1994-01-26T05:00:00", "1994-07-26T04:00:00"]), Clock::Unknown);
        assert_eq!(clock(&["2025-10-31T04:30:00"]), Clock::Unknown);
    }

    #[test]
    fn a_time_that_is_yet_to_come_in_new_york_is_one_of_utc() {
        let received_at = at("2026-11-20T18:00:00Z");
        let clock = |time| Clock::of([digits(time)].into_iter(), received_at, &mut NewYork::clocks());
        assert_eq!(clock("2026-11-20T17:59:59"), Clock::Utc);
        assert_eq!(clock("2026-11-20T12:59:59"), Clock::Unknown);
        // In both worlds it lies in the future: the clock here is slow.
        assert_eq!(clock("2026-11-20T18:59:59"), Clock::Unknown);
    }

    #[test]
    fn the_same_digits_are_another_instant_on_another_clock() {
        let read =
            |clock: Clock, time| clock.read(digits(time), date("2025-07-07"), at(RECEIVED), &mut NewYork::clocks());
        assert_eq!(read(Clock::Utc, "2025-07-07T20:13:14"), Acceptance::at(at("2025-07-07T20:13:14Z")));
        assert_eq!(read(Clock::NewYork, "2025-07-07T20:13:14"), Acceptance::at(at("2025-07-08T00:13:14Z")));
        assert_eq!(read(Clock::NewYork, "2025-01-07T20:13:14"), Acceptance::at(at("2025-01-08T01:13:14Z")));
        let later = Acceptance { accepted_at: None, known_at: at("2025-07-08T00:13:14Z") };
        assert_eq!(read(Clock::Unknown, "2025-07-07T20:13:14"), later);
        // What a time tells by itself counts more than its page.
        assert_eq!(read(Clock::NewYork, "2025-07-08T00:12:54"), Acceptance::at(at("2025-07-08T00:12:54Z")));
    }

    #[test]
    fn a_day_without_a_time_is_over_at_midnight_in_new_york() {
        let read = |time| Clock::Utc.read(digits(time), date("1994-01-26"), at(RECEIVED), &mut NewYork::clocks());
        let over = Acceptance { accepted_at: None, known_at: at("1994-01-27T05:00:00Z") };
        assert_eq!((read("1994-01-26T05:00:00"), read("1994-01-26T00:00:00")), (over, over));
    }

    #[test]
    fn a_time_that_the_clocks_skip_is_one_all_the_same() {
        assert_eq!(new_york(digits("2026-03-08T02:30:00")), at("2026-03-08T07:30:00Z"));
        assert_eq!(new_york(digits("2025-11-02T01:30:00")), at("2025-11-02T06:30:00Z"));
    }
}
