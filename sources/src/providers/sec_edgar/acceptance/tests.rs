use super::*;
use crate::fixture::{RECEIVED, at};

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
    // A date without a time, and an hour that is night in both zones.
    assert_eq!(clock(&["1994-01-26T00:00:00", "1994-01-26T05:00:00", "1994-07-26T04:00:00"]), Clock::Unknown);
    assert_eq!(clock(&["2025-10-31T04:30:00"]), Clock::Unknown);
}

#[test]
fn a_time_that_is_yet_to_come_in_new_york_is_one_of_utc() {
    let received_at = at("2026-11-20T18:00:00Z");
    let clock = |time| Clock::of([digits(time)].into_iter(), received_at, &mut NewYork::clocks());
    assert_eq!(clock("2026-11-20T17:59:59"), Clock::Utc);
    assert_eq!(clock("2026-11-20T12:59:59"), Clock::Unknown);
    // In both zones it lies in the future: our clock is slow.
    assert_eq!(clock("2026-11-20T18:59:59"), Clock::Unknown);
}

#[test]
fn the_same_digits_are_another_instant_on_another_clock() {
    let read = |clock: Clock, time| clock.read(digits(time), at(RECEIVED), &mut NewYork::clocks());
    assert_eq!(read(Clock::Utc, "2025-07-07T20:13:14"), Acceptance::at(at("2025-07-07T20:13:14Z")));
    assert_eq!(read(Clock::NewYork, "2025-07-07T20:13:14"), Acceptance::at(at("2025-07-08T00:13:14Z")));
    assert_eq!(read(Clock::NewYork, "2025-01-07T20:13:14"), Acceptance::at(at("2025-01-08T01:13:14Z")));
    let later = Acceptance { accepted_at: None, latest: Some(at("2025-07-08T00:13:14Z")) };
    assert_eq!(read(Clock::Unknown, "2025-07-07T20:13:14"), later);
    // What a time tells by itself outweighs its page.
    assert_eq!(read(Clock::NewYork, "2025-07-08T00:12:54"), Acceptance::at(at("2025-07-08T00:12:54Z")));
}

#[test]
fn a_day_at_midnight_has_no_time() {
    let read = |time| Clock::Utc.read(digits(time), at(RECEIVED), &mut NewYork::clocks());
    assert_eq!(
        (read("1994-01-26T05:00:00"), read("1994-01-26T00:00:00")),
        (Acceptance::WITHOUT_TIME, Acceptance::WITHOUT_TIME)
    );
}

#[test]
fn a_time_that_the_clocks_skip_is_one_all_the_same() {
    assert_eq!(new_york(digits("2026-03-08T02:30:00")), at("2026-03-08T07:30:00Z"));
    assert_eq!(new_york(digits("2025-11-02T01:30:00")), at("2025-11-02T06:30:00Z"));
}
