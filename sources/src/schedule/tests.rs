use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn new_york(_: &str) -> Market {
    Market::NewYork
}

fn schedule(every: Duration, when: When) -> Schedule {
    Schedule { kind: Kind::Prices, frequency: Frequency::Intraday, every, when, sla: HOUR }
}

const TRADING: When = When::Trading { market: new_york, after: Duration::ZERO };

#[test]
fn nothing_is_asked_while_nothing_trades() {
    let quotes = schedule(HOUR / 4, TRADING);
    let next = |answered: &str| quotes.after_response("AAPL", at(answered)).unwrap().to_rfc3339();
    assert_eq!(next("2026-11-18T15:00:00Z"), "2026-11-18T15:15:00+00:00");
    // At the close of a Friday, until Monday morning.
    assert_eq!(next("2026-11-20T20:55:00Z"), "2026-11-23T14:30:00+00:00");
    // Thanksgiving, and a half day after it, on winter time.
    assert_eq!(next("2026-11-25T20:50:00Z"), "2026-11-27T14:30:00+00:00");
    assert_eq!(next("2026-11-27T17:50:00Z"), "2026-11-30T14:30:00+00:00");
    // The clocks go forward over the weekend.
    assert_eq!(next("2026-03-06T21:00:00Z"), "2026-03-09T13:30:00+00:00");
}

#[test]
fn an_answer_ages_only_while_there_could_be_a_newer_one() {
    let age = |when, from: &str, to: &str| schedule(HOUR, when).age("AAPL", at(from), at(to));
    assert_eq!(age(TRADING, "2026-11-20T20:30:00Z", "2026-11-23T14:00:00Z"), HOUR / 2);
    assert_eq!(age(TRADING, "2026-11-20T21:00:00Z", "2026-11-23T14:30:00Z"), Duration::ZERO);
    assert_eq!(age(TRADING, "2026-11-19T00:00:00Z", "2026-11-21T00:00:00Z"), 13 * HOUR);
    // Half of a day.
    assert_eq!(age(TRADING, "2026-11-26T00:00:00Z", "2026-11-28T00:00:00Z"), 7 * HOUR / 2);
    assert_eq!(age(When::Always, "2026-11-26T00:00:00Z", "2026-11-28T01:00:00Z"), 49 * HOUR);
    assert_eq!(age(When::Always, "2026-11-28T00:00:00Z", "2026-11-26T00:00:00Z"), Duration::ZERO);
    // The age stops at 400 days.
    assert_eq!(age(When::Always, "2026-01-01T00:00:00Z", "2026-12-31T00:00:00Z"), 364 * 24 * HOUR);
    assert_eq!(age(When::Always, "2020-01-01T00:00:00Z", "2026-12-31T00:00:00Z"), 400 * 24 * HOUR);
    // Overlapping hours are counted once.
    let long = When::AfterClose { market: new_york, from: HOUR, hours: 30 * HOUR };
    assert_eq!(age(long, "2026-11-16T23:00:00Z", "2026-11-18T23:00:00Z"), 48 * HOUR);
}

#[test]
fn monthly_data_is_asked_for_in_its_first_week() {
    let when = When::DaysOfMonth { zone: Tz::America__New_York, first: 1, last: 7 };
    let monthly = schedule(24 * HOUR, when);
    let next = |answered: &str| monthly.after_response("x", at(answered)).unwrap().to_rfc3339();
    assert_eq!(next("2026-11-03T12:00:00Z"), "2026-11-04T12:00:00+00:00");
    assert_eq!(next("2026-11-07T12:00:00Z"), "2026-12-01T05:00:00+00:00");
    assert_eq!(monthly.polls("x", at("2026-12-01T00:00:00Z"), at("2027-01-01T00:00:00Z")), 7);
    assert_eq!(monthly.words(), "every 1 d from day 1 to 7 of a month in America/New_York");
}

#[test]
fn the_polls_of_a_day_are_counted_as_they_will_be_made() {
    let day = |schedule: Schedule, date: &str| {
        let from = at(&format!("{date}T00:00:00Z"));
        schedule.polls("AAPL", from, from + TimeDelta::days(1))
    };
    assert_eq!(day(schedule(HOUR / 4, TRADING), "2026-11-18"), 26);
    assert_eq!(day(schedule(HOUR / 4, TRADING), "2026-11-27"), 14);
    assert_eq!(day(schedule(HOUR / 4, TRADING), "2026-11-22"), 0);
    assert_eq!(day(schedule(3 * HOUR, When::Always), "2026-11-22"), 8);
    let weekdays = When::Weekdays { zone: Tz::UTC };
    assert_eq!((day(schedule(HOUR, weekdays), "2026-11-20"), day(schedule(HOUR, weekdays), "2026-11-21")), (24, 0));
}

#[test]
fn a_time_is_told_in_the_unit_that_fits() {
    let told = [5, 60, 900, 3600, 5400, 86_400, 100_000].map(|seconds| span(Duration::from_secs(seconds)));
    assert_eq!(told, ["5 s", "1 min", "15 min", "1 h", "1 h 30 min", "1 d", "1 d 3 h"]);
}
