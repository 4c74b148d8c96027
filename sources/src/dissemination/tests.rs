use chrono::{Days, NaiveDateTime, TimeDelta};
use proptest::prelude::*;

use super::*;
use crate::fixture::{at, date};

/// The days on which federal offices were closed, as the Office of Personnel Management lists them.
const CLOSED: &[&str] = &[
    "2021-01-01",
    "2021-01-18",
    "2021-02-15",
    "2021-05-31",
    "2021-06-18",
    "2021-07-05",
    "2021-09-06",
    "2021-10-11",
    "2021-11-11",
    "2021-11-25",
    "2021-12-24",
    "2021-12-31",
    "2022-01-17",
    "2022-02-21",
    "2022-05-30",
    "2022-06-20",
    "2022-07-04",
    "2022-09-05",
    "2022-10-10",
    "2022-11-11",
    "2022-11-24",
    "2022-12-26",
    "2023-01-02",
    "2023-01-16",
    "2023-02-20",
    "2023-05-29",
    "2023-06-19",
    "2023-07-04",
    "2023-09-04",
    "2023-10-09",
    "2023-11-10",
    "2023-11-23",
    "2023-12-25",
    "2024-01-01",
    "2024-01-15",
    "2024-02-19",
    "2024-05-27",
    "2024-06-19",
    "2024-07-04",
    "2024-09-02",
    "2024-10-14",
    "2024-11-11",
    "2024-11-28",
    "2024-12-25",
    "2025-01-01",
    "2025-01-20",
    "2025-02-17",
    "2025-05-26",
    "2025-06-19",
    "2025-07-04",
    "2025-09-01",
    "2025-10-13",
    "2025-11-11",
    "2025-11-27",
    "2025-12-25",
    "2026-01-01",
    "2026-01-19",
    "2026-02-16",
    "2026-05-25",
    "2026-06-19",
    "2026-07-03",
    "2026-09-07",
    "2026-10-12",
    "2026-11-11",
    "2026-11-26",
    "2026-12-25",
];

fn local(text: &str) -> DateTime<Utc> {
    let time: NaiveDateTime = text.parse().unwrap();
    ZONE.from_local_datetime(&time).single().unwrap().to_utc()
}

/// When a filing without a filing date that was accepted then was public, in New York.
fn public(accepted: &str, form: &str) -> String {
    let public = public_at(Some(local(accepted)), None, form).unwrap();
    public.with_timezone(&ZONE).format("%FT%T").to_string()
}

#[test]
fn federal_offices_are_closed_on_the_published_days_and_on_no_others() {
    let first = date("2021-01-01");
    for day in first.iter_days().take_while(|day| day.year() <= 2026) {
        let is_weekend = matches!(day.weekday(), Sat | Sun);
        let is_listed = CLOSED.contains(&day.to_string().as_str());
        assert_eq!(is_business_day(day), !is_weekend && !is_listed, "{day}");
    }
}

#[test]
fn a_filing_accepted_after_half_past_five_is_public_at_six_on_the_next_business_day() {
    assert_eq!(public("2025-10-30T17:30:00", "10-Q"), "2025-10-30T17:30:00");
    assert_eq!(public("2025-10-30T17:30:01", "10-Q"), "2025-10-31T06:00:00");
    assert_eq!(public("2025-10-30T06:00:00", "8-K"), "2025-10-30T06:00:00");
    assert_eq!(public("2025-10-30T05:59:59", "8-K"), "2025-10-30T06:00:00");
    // Friday; the clocks go back on that Sunday.
    assert_eq!(public("2025-10-31T18:00:00", "10-K"), "2025-11-03T06:00:00");
    assert_eq!(public_at(Some(local("2025-10-31T18:00:00")), None, "10-K"), Some(at("2025-11-03T11:00:00Z")));
    // And forward on this one.
    assert_eq!(public_at(Some(local("2026-03-06T18:00:00")), None, "10-K"), Some(at("2026-03-09T10:00:00Z")));
    // Before Thanksgiving; before Christmas at a weekend, and on a Saturday.
    assert_eq!(public("2025-11-26T19:00:00", ""), "2025-11-28T06:00:00");
    assert_eq!(public("2021-12-23T19:00:00", ""), "2021-12-27T06:00:00");
    assert_eq!(public("2022-12-24T12:00:00", ""), "2022-12-27T06:00:00");
}

#[test]
fn reports_of_insiders_are_public_until_ten_in_the_evening() {
    for form in ["3", "4", "5", "144", "3/A", "4/A", "5/A", "144/A"] {
        assert_eq!(public("2025-10-30T22:00:00", form), "2025-10-30T22:00:00", "{form}");
        assert_eq!(public("2025-10-31T22:00:01", form), "2025-11-03T06:00:00", "{form}");
    }
    for form in ["40-F", "424B5", "13F-HR", "SC 13D/A", "10-K/A"] {
        assert_eq!(public("2025-10-30T22:00:00", form), "2025-10-31T06:00:00", "{form}");
    }
}

#[test]
fn a_closure_that_no_rule_foresees_shows_in_the_filing_date() {
    // Offices were closed for the mourning on 2025-01-09.
    let accepted_at = Some(local("2025-01-08T18:00:00"));
    assert_eq!(public_at(accepted_at, None, "8-K"), Some(local("2025-01-09T06:00:00")));
    assert_eq!(public_at(accepted_at, Some(date("2025-01-10")), "8-K"), Some(local("2025-01-10T06:00:00")));
    // An earlier filing date makes nothing public earlier.
    assert_eq!(public_at(accepted_at, Some(date("2025-01-08")), "8-K"), Some(local("2025-01-09T06:00:00")));
}

#[test]
fn without_a_time_a_filing_was_public_at_the_end_of_its_date() {
    assert_eq!(public_at(None, Some(date("1996-07-03")), "10-Q"), Some(at("1996-07-04T04:00:00Z")));
    assert_eq!(public_at(None, None, "10-Q"), None);
}

#[test]
fn letters_and_drafts_are_public_at_an_unknown_time() {
    for form in ["UPLOAD", "CORRESP", "LETTER", "DRS", "DRS/A", "DRSLTR"] {
        assert_eq!(public_at(Some(local("2025-10-30T12:00:00")), Some(date("2025-10-30")), form), None, "{form}");
        assert_eq!(public_at(None, Some(date("2025-10-30")), form), None, "{form}");
    }
}

/// The same rule, told minute by minute: whether EDGAR publishes at a time, and what it accepts then.
fn first_minute(accepted: DateTime<Utc>, closes: NaiveTime) -> DateTime<Utc> {
    let is_open = |instant: DateTime<Utc>| {
        let time = instant.with_timezone(&ZONE).naive_local();
        let is_weekend = matches!(time.date().weekday(), Sat | Sun);
        let is_closed = is_weekend || CLOSED.contains(&time.date().to_string().as_str());
        !is_closed && time.time() >= time_of(6, 0) && time.time() <= closes
    };
    (0..).map(|minutes| accepted + TimeDelta::minutes(minutes)).find(|instant| is_open(*instant)).unwrap()
}

fn time_of(hour: u32, minute: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(hour, minute, 0).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_filing_is_public_in_the_first_minute_in_which_edgar_publishes(
        day in 0..2185_u64, minute in 0..1440_i64, form in prop::sample::select(vec!["4", "10-K", "144/A", ""]),
    ) {
        let closes = if matches!(form, "4" | "144/A") { time_of(22, 0) } else { time_of(17, 30) };
        let midnight = date("2021-01-01").checked_add_days(Days::new(day)).unwrap().and_time(NaiveTime::MIN).and_utc();
        let accepted = midnight + TimeDelta::minutes(minute);
        let public = public_at(Some(accepted), None, form).unwrap();
        prop_assert_eq!(public, first_minute(accepted, closes));
        // An hour later, a filing is never public earlier.
        let later = public_at(Some(accepted + TimeDelta::hours(1)), None, form).unwrap();
        prop_assert!(accepted <= public && public <= later);
    }

    #[test]
    fn a_filing_date_never_makes_a_filing_public_earlier(
        day in 0..20_000_u64, minute in 0..1440_i64, filed in 0..20_000_u64,
    ) {
        let on = |days| date("1990-01-01").checked_add_days(Days::new(days)).unwrap();
        let accepted = on(day).and_time(NaiveTime::MIN).and_utc() + TimeDelta::minutes(minute);
        let alone = public_at(Some(accepted), None, "8-K").unwrap();
        let both = public_at(Some(accepted), Some(on(filed)), "8-K").unwrap();
        prop_assert!(both >= alone && both >= opening(on(filed)).unwrap());
    }
}
