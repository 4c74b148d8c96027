use proptest::prelude::*;

use super::*;

/// When a market opens and closes, in its own time.
fn hours(market: Market, date: &str) -> Option<String> {
    let local = |instant: DateTime<Utc>| instant.with_timezone(&market.zone()).format("%H:%M").to_string();
    let session = market.session(date.parse().unwrap())?;
    Some(format!("{}-{}", local(session.opens), local(session.closes)))
}

fn assert_hours(market: Market, expected: Option<&str>, dates: &[&str]) {
    for date in dates {
        assert_eq!(hours(market, date).as_deref(), expected, "{} on {date}", market.name());
    }
}

#[test]
fn new_york_is_closed_on_holidays_and_when_nobody_could_foresee_it() {
    let unforeseen = ["2001-09-11", "2001-09-14", "2004-06-11", "2007-01-02", "2012-10-29", "2018-12-05", "2025-01-09"];
    assert_hours(Market::NewYork, None, &unforeseen);
    assert_hours(Market::NewYork, None, &["2024-03-29", "2022-06-20", "2021-12-24", "2024-11-28", "2024-11-30"]);
    // A new year that begins on a Saturday is no reason to close on the last day of the old one.
    assert_hours(Market::NewYork, Some("09:30-16:00"), &["2021-12-31", "2001-09-10", "2001-09-17", "2021-06-18"]);
}

#[test]
fn new_york_closes_early_around_holidays() {
    let half = ["2024-11-29", "2024-12-24", "2023-07-03", "2024-07-03", "2002-07-05", "2003-12-26"];
    assert_hours(Market::NewYork, Some("09:30-13:00"), &half);
    assert_hours(Market::NewYork, Some("09:30-16:00"), &["2002-07-03", "2019-07-05", "2008-12-26"]);
}

#[test]
fn london_is_closed_when_the_bank_holiday_is_and_not_when_it_was_before_it_was_moved() {
    assert_hours(Market::London, None, &["2022-06-02", "2022-06-03", "2022-09-19", "2020-05-08", "2023-05-08"]);
    assert_hours(Market::London, None, &["2024-04-01", "2022-01-03", "2021-12-27", "2021-12-28", "2022-12-27"]);
    assert_hours(Market::London, Some("08:00-16:30"), &["2022-05-30", "2020-05-04", "2023-12-27"]);
    assert_hours(Market::London, Some("08:00-12:30"), &["2024-12-24", "2022-12-23", "2022-12-30"]);
}

#[test]
fn frankfurt_is_closed_on_the_holidays_that_it_kept_in_that_year() {
    assert_hours(Market::Frankfurt, None, &["2024-05-01", "2024-12-24", "2024-12-31", "2017-10-31", "2007-05-28"]);
    assert_hours(Market::Frankfurt, None, &["2021-05-24", "2018-10-03"]);
    assert_hours(Market::Frankfurt, Some("09:00-17:30"), &["2022-06-06", "2022-10-03", "2013-10-03", "2009-12-30"]);
    assert_hours(Market::Frankfurt, Some("09:00-14:00"), &["2024-12-30", "2018-12-28", "2023-12-29"]);
}

#[test]
fn hours_follow_the_clocks_of_the_exchange() {
    let instants = |market: Market, date: &str| {
        let session = market.session(date.parse().unwrap()).unwrap();
        [session.opens, session.closes].map(|instant| instant.format("%H:%M").to_string())
    };
    for (market, date, expected) in [
        (Market::NewYork, "2024-03-08", ["14:30", "21:00"]),
        (Market::NewYork, "2024-03-11", ["13:30", "20:00"]),
        (Market::NewYork, "2024-11-04", ["14:30", "21:00"]),
        (Market::London, "2024-03-28", ["08:00", "16:30"]),
        (Market::London, "2024-04-02", ["07:00", "15:30"]),
        (Market::Frankfurt, "2024-03-28", ["08:00", "16:30"]),
        (Market::Frankfurt, "2024-04-02", ["07:00", "15:30"]),
    ] {
        assert_eq!(instants(market, date), expected, "{} on {date}", market.name());
    }
}

#[test]
fn what_is_not_traded_on_an_exchange_trades_whole_days() {
    let session = |market: Market, date: &str| {
        market.session(date.parse().unwrap()).map(|session| (session.opens.to_string(), session.closes.to_string()))
    };
    let day = |opens: &str, closes: &str| Some((format!("{opens} 00:00:00 UTC"), format!("{closes} 00:00:00 UTC")));
    assert_eq!(session(Market::Currencies, "2024-12-25"), day("2024-12-25", "2024-12-26"));
    assert_eq!(session(Market::Currencies, "2024-12-28"), None);
    assert_eq!(session(Market::Currencies, "2024-12-29"), None);
    assert_eq!(session(Market::Always, "2024-12-28"), day("2024-12-28", "2024-12-29"));
}

fn date() -> impl Strategy<Value = NaiveDate> {
    let any = NaiveDate::MIN.num_days_from_ce()..=NaiveDate::MAX.num_days_from_ce();
    let near = 693_596..767_010; // 1900 to 2100
    prop_oneof![any, near].prop_map(|days| NaiveDate::from_num_days_from_ce_opt(days).unwrap())
}

fn check(market: Market, date: NaiveDate) {
    let Some(session) = market.session(date) else { return };
    assert!(session.opens < session.closes, "{} on {date}", market.name());
    let next = date.succ_opt().and_then(|next| market.session(next));
    assert!(next.is_none_or(|next| session.closes <= next.opens), "{} after {date}", market.name());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20_000) })]

    #[test]
    fn a_session_has_a_beginning_before_its_end_and_none_begins_in_another(date in date()) {
        Market::ALL.into_iter().for_each(|market| check(market, date));
    }
}

#[test]
fn the_first_and_the_last_dates_have_a_session_or_none() {
    let first = NaiveDate::MIN.iter_days().take(800);
    let last = NaiveDate::MAX.iter_days().rev().take(800);
    first.chain(last).for_each(|date| Market::ALL.into_iter().for_each(|market| check(market, date)));
    assert_eq!(Market::Always.session(NaiveDate::MAX), None);
}
