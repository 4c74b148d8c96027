//! When a filing with the SEC becomes public, which is often later than its acceptance.
//!
//! EDGAR accepts filings from 06:00 to 22:00 in New York. It publishes those accepted until 17:30 at once, and the others
//! at 06:00 on the next business day. Reports of insiders are published until 22:00. Some letters and drafts are
//! published weeks after their acceptance, at a time that EDGAR states nowhere.
//!
//! Every rule errs towards a later time: a value must not count as known before it was public.

use chrono::Weekday::{Fri, Mon, Sat, Sun, Thu};
use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, TimeZone as _, Utc};
use chrono_tz::{America, Tz};

use crate::time::end_of_day;

/// Zone of EDGAR's hours and dates.
const ZONE: Tz = America::New_York;
/// From when on EDGAR publishes on a business day.
const OPENS: NaiveTime = time(6, 0);
/// Until when it publishes on the day of acceptance.
const CLOSES: NaiveTime = time(17, 30);
/// Until when it publishes reports of insiders.
const CLOSES_FOR_INSIDERS: NaiveTime = time(22, 0);
/// Reports of insiders; amendments end with [`AMENDMENT`].
const OF_INSIDERS: [&str; 4] = ["3", "4", "5", "144"];
/// Letters between the SEC's staff and a company, and drafts of registrations: public after the review.
const WITHHELD: [&str; 5] = ["UPLOAD", "CORRESP", "LETTER", "DRS", "DRSLTR"];
/// End of the name of an amendment.
const AMENDMENT: &str = "/A";

const fn time(hour: u32, minute: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(hour, minute, 0).expect("a time of day")
}

/// When a filing became public; None if nothing tells.
///
/// `form` is the form as EDGAR names it, or empty if it is unknown. Without a time of acceptance, the filing was public
/// at the end of the filing date in New York.
pub fn public_at(accepted_at: Option<DateTime<Utc>>, filed_on: Option<NaiveDate>, form: &str) -> Option<DateTime<Utc>> {
    let form = form.strip_suffix(AMENDMENT).unwrap_or(form);
    if WITHHELD.contains(&form) {
        return None;
    }
    let Some(accepted_at) = accepted_at else { return end_of_day(filed_on?, ZONE) };
    let public_at = after_acceptance(accepted_at, OF_INSIDERS.contains(&form))?;
    // EDGAR dates a filing by the day on which it is published. That covers closures that no rule foresees.
    let opens = filed_on.and_then(opening);
    Some(opens.map_or(public_at, |opens| public_at.max(opens)))
}

fn after_acceptance(accepted_at: DateTime<Utc>, is_of_insider: bool) -> Option<DateTime<Utc>> {
    let local = accepted_at.with_timezone(&ZONE).naive_local();
    let closes = if is_of_insider { CLOSES_FOR_INSIDERS } else { CLOSES };
    match is_business_day(local.date()) {
        true if local.time() < OPENS => opening(local.date()),
        true if local.time() <= closes => Some(accepted_at),
        _ => opening(local.date().iter_days().skip(1).find(|date| is_business_day(*date))?),
    }
}

/// Clocks change at 02:00, so this time exists once on every date.
fn opening(date: NaiveDate) -> Option<DateTime<Utc>> {
    ZONE.from_local_datetime(&date.and_time(OPENS)).single().map(|instant| instant.to_utc())
}

/// Whether the offices of the federal government are open: no weekend, no federal holiday.
pub fn is_business_day(date: NaiveDate) -> bool {
    !matches!(date.weekday(), Sat | Sun) && !is_holiday(date)
}

/// A holiday at a weekend is observed on the Friday before or the Monday after.
fn is_holiday(date: NaiveDate) -> bool {
    let observed = match date.weekday() {
        Fri => date.succ_opt(),
        Mon => date.pred_opt(),
        _ => None,
    };
    let is_monday_or_thursday = match (date.month(), date.day(), date.weekday()) {
        // Martin Luther King; Washington; Memorial Day.
        (1, 15..=21, Mon) => date.year() >= 1986,
        (2, 15..=21, Mon) | (5, 25..=31, Mon) => true,
        // Labor Day; Columbus Day; Thanksgiving.
        (9, 1..=7, Mon) | (10, 8..=14, Mon) | (11, 22..=28, Thu) => true,
        _ => false,
    };
    is_monday_or_thursday || has_fixed_holiday(date) || observed.is_some_and(has_fixed_holiday)
}

fn has_fixed_holiday(date: NaiveDate) -> bool {
    match (date.month(), date.day()) {
        // New Year; Independence Day; Veterans Day; Christmas.
        (1, 1) | (7, 4) | (11, 11) | (12, 25) => true,
        // Juneteenth.
        (6, 19) => date.year() >= 2021,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
