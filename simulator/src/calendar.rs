//! Days of the simulated world, which ends on 2025-12-31.

use chrono::{Datelike, NaiveDate, Weekday};

/// Last day: fixed, so that the same request returns the same bytes.
pub const END: NaiveDate = NaiveDate::from_ymd_opt(2025, 12, 31).expect("a date");

/// Last day of the world before its corrections: see `Control::uncorrect`.
pub(crate) const BEFORE: NaiveDate = NaiveDate::from_ymd_opt(2025, 12, 16).expect("a date");

/// A day, from constants of this crate.
pub(crate) const fn day(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).expect("a date that exists")
}

/// Whether exchanges are open: no weekend, no Christmas, no New Year.
pub(crate) fn is_trading_day(date: NaiveDate) -> bool {
    let is_weekend = matches!(date.weekday(), Weekday::Sat | Weekday::Sun);
    !is_weekend && !matches!((date.month(), date.day()), (12, 25) | (1, 1))
}

/// The days from `start` to the end.
pub(crate) fn days(start: NaiveDate) -> impl Iterator<Item = NaiveDate> {
    start.iter_days().take_while(|date| *date <= END)
}

/// The first days of the months from `start` to the end, every `step` months.
pub(crate) fn months(start: NaiveDate, step: u32) -> impl Iterator<Item = NaiveDate> {
    std::iter::successors(Some(start), move |date| date.checked_add_months(chrono::Months::new(step)))
        .take_while(|date| *date <= END)
}
