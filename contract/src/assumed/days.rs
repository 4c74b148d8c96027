//! How long the days of a zone last until a session closes: for databases that know no time zones.

use std::iter::once;

use chrono::{DateTime, Offset as _, TimeDelta, TimeZone as _, Timelike as _};

use super::{DAY, Session};

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;
/// 1850-01-01 and 2100-01-01, in days since 1970. No zone changes before, and chrono-tz knows no change after.
const DAYS: [i64; 2] = [-43_829, 47_482];

/// Days that begin at the same time of UTC, and have as long until a session closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    /// The first instant of the first of these days, in microseconds since 1970. They last until the next ones.
    pub from: i64,
    /// When they begin: microseconds after 00:00 UTC.
    pub midnight: i64,
    /// Microseconds from their beginning to the close; None on a day that has no such time.
    pub length: Option<i64>,
}

impl Session {
    /// All days of the zone, in their order.
    pub fn days(&self) -> Vec<Days> {
        let usual = i64::from(self.closes.num_seconds_from_midnight()) * SECOND;
        let [first, last] = DAYS;
        let usual = |from| Days { from, midnight: (-self.offset(from)).rem_euclid(DAY), length: Some(usual) };
        let changes = (first..last).filter_map(|day| self.change(day * DAY)).flat_map(|(change, offset)| {
            // On the day of a change another time passes until the close.
            let from = (change + offset).div_euclid(DAY) * DAY - offset;
            let midnight = (-offset).rem_euclid(DAY);
            let of_change = Days { from, midnight, length: self.close(from).map(|close| close - from) };
            [of_change, usual(change)]
        });
        let mut days: Vec<Days> = once(usual(first * DAY)).chain(changes).collect();
        days.dedup_by_key(|days| (days.midnight, days.length));
        days
    }

    /// How far the zone is ahead of UTC, in microseconds.
    fn offset(&self, at: i64) -> i64 {
        let at = DateTime::UNIX_EPOCH.naive_utc() + TimeDelta::microseconds(at);
        i64::from(self.zone.offset_from_utc_datetime(&at).fix().local_minus_utc()) * SECOND
    }

    /// The instant within this day of UTC at which the offset changes, and the offset before it.
    fn change(&self, day: i64) -> Option<(i64, i64)> {
        let (mut low, mut high) = (day, day + DAY);
        let offset = self.offset(low);
        if self.offset(high) == offset {
            return None;
        }
        while high - low > SECOND {
            let middle = low.midpoint(high).div_euclid(SECOND) * SECOND;
            if self.offset(middle) == offset { low = middle } else { high = middle }
        }
        Some((high, offset))
    }
}
