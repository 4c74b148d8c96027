//! When a date begins and ends, in UTC and in the zones of markets and authorities.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone as _, Timelike as _, Utc};
use chrono_tz::Tz;

/// The first instant of a date in UTC.
pub fn midnight(date: NaiveDate) -> DateTime<Utc> {
    date.and_time(NaiveTime::MIN).and_utc()
}

/// The first instant of a date in a time zone.
///
/// Where a clock change skips midnight, it is the instant of the change; where midnight comes twice, the first of them.
pub fn start_of_day(date: NaiveDate, zone: Tz) -> Option<DateTime<Utc>> {
    let midnight = date.and_hms_opt(0, 0, 0)?;
    let at = |minutes: i64| {
        let local = midnight.checked_add_signed(TimeDelta::minutes(minutes))?;
        zone.from_local_datetime(&local).earliest().map(|instant| instant.to_utc())
    };
    // No zone has ever skipped more than one day.
    (0..=24 * 60).find_map(at)
}

/// The end of a date in a time zone: whatever was published on that date was public by then.
pub fn end_of_day(date: NaiveDate, zone: Tz) -> Option<DateTime<Utc>> {
    start_of_day(date.succ_opt()?, zone)
}

/// The end of a date of an unknown zone: no zone is further behind UTC than 12 hours.
pub fn end_of_day_anywhere(date: NaiveDate) -> Option<DateTime<Utc>> {
    end_of_day(date, Tz::Etc__GMTPlus12)
}

/// When the days of a zone begin, looked up once in a process. Fast for pages that ask for one day after the other.
#[derive(Debug)]
pub struct Calendar {
    zone: Tz,
    stretches: Arc<[Stretch]>,
    /// Index of the stretch that held the last day.
    at: usize,
}

/// Consecutive days that begin at the same time of day in UTC, up to the next stretch.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    first: NaiveDate,
    begins: Option<Begin>,
}

/// Time in UTC at which a day begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Begin {
    /// Whether that time is on the day before.
    is_day_before: bool,
    time: NaiveTime,
}

/// Days that are looked up in advance. Few records are of other days; each of those is looked up on its own.
const FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(1870, 1, 1).expect("a date");
const LAST_DAY: NaiveDate = NaiveDate::from_ymd_opt(2049, 12, 31).expect("a date");
/// Days between two lookups; where both days begin alike, so do the days between. No zone has ever changed its clocks
/// and back within fewer days: Tunis took eight in 1943.
const STEP: Days = Days::new(7);

impl Begin {
    fn of(date: NaiveDate, zone: Tz) -> Option<Begin> {
        let start = start_of_day(date, zone)?.naive_utc();
        let is_day_before = start.date() != date;
        // For a date that the zone skipped, the start is that of the next date.
        let is_told = !is_day_before || Some(start.date()) == date.pred_opt();
        is_told.then_some(Begin { is_day_before, time: start.time() })
    }
}

impl Calendar {
    /// The calendar of a zone.
    pub fn of(zone: Tz) -> Calendar {
        static KNOWN: LazyLock<Mutex<HashMap<Tz, Arc<[Stretch]>>>> = LazyLock::new(Mutex::default);
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let stretches = Arc::clone(known.entry(zone).or_insert_with(|| stretches(zone).into()));
        Calendar { zone, stretches, at: 0 }
    }

    /// Its zone.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The first instant of a day: the same as [`start_of_day`], faster.
    pub fn start(&mut self, date: NaiveDate) -> Option<DateTime<Utc>> {
        match self.begin(date) {
            Some(begin) => {
                let day = if begin.is_day_before { date.pred_opt()? } else { date };
                Some(day.and_time(begin.time).and_utc())
            }
            None => start_of_day(date, self.zone),
        }
    }

    /// How much later than in UTC the day and its neighbours begin; None where that differs, as the clocks may change.
    ///
    /// A UTC day overlaps this date and at most one neighbour, so one offset holds for all its instants.
    pub fn steady(&mut self, date: NaiveDate) -> Option<TimeDelta> {
        let begin = self.begin(date)?;
        let next = self.stretches.get(self.at + 1);
        let is_within =
            self.stretches[self.at].first < date && next.is_some_and(|next| date + Days::new(2) < next.first);
        let seconds = i64::from(begin.time.num_seconds_from_midnight());
        is_within.then(|| TimeDelta::seconds(if begin.is_day_before { seconds - 86_400 } else { seconds }))
    }

    fn begin(&mut self, date: NaiveDate) -> Option<Begin> {
        let holds = |at: usize| {
            let next = self.stretches.get(at + 1);
            self.stretches[at].first <= date && next.is_none_or(|next| date < next.first)
        };
        if !holds(self.at) {
            let place = self.stretches.partition_point(|stretch| stretch.first <= date);
            self.at = place.checked_sub(1)?;
        }
        self.stretches[self.at].begins
    }
}

/// The stretches of a zone from [`FIRST_DAY`] on. The last one covers the days after [`LAST_DAY`], and has no time.
fn stretches(zone: Tz) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    let mut put = |first: NaiveDate, begins: Option<Begin>| {
        if stretches.last().is_none_or(|last| last.begins != begins) {
            stretches.push(Stretch { first, begins });
        }
    };
    let (mut date, mut begins) = (FIRST_DAY, Begin::of(FIRST_DAY, zone));
    while date <= LAST_DAY {
        let next = date + STEP;
        let next_begins = Begin::of(next, zone);
        put(date, begins);
        if begins.is_none() || next_begins != begins {
            date.iter_days().skip(1).take_while(|day| *day < next).for_each(|day| put(day, Begin::of(day, zone)));
        }
        (date, begins) = (next, next_begins);
    }
    put(date, None);
    stretches
}

#[cfg(test)]
mod tests;
