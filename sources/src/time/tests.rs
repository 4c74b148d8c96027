use chrono::Datelike as _;
use chrono_tz::{America, Europe, Pacific};

use super::*;

#[test]
fn a_day_starts_at_its_first_instant() {
    let start = |date: &str, zone| start_of_day(date.parse().unwrap(), zone).map(|start| start.to_string());
    assert_eq!(start("2024-03-10", America::New_York).unwrap(), "2024-03-10 05:00:00 UTC");
    // Midnight twice: the clocks went back from 01:00 to 00:00.
    assert_eq!(start("2022-11-06", America::Havana).unwrap(), "2022-11-06 04:00:00 UTC");
    // No midnight: the clocks went forward at 00:00.
    assert_eq!(start("2018-11-04", America::Sao_Paulo).unwrap(), "2018-11-04 03:00:00 UTC");
    assert_eq!(start("2024-07-01", Europe::London).unwrap(), "2024-06-30 23:00:00 UTC");
    // A skipped date gives the start of the next one.
    assert_eq!(start("2011-12-30", Pacific::Apia).unwrap(), "2011-12-30 10:00:00 UTC");
}

#[test]
fn a_day_ends_when_the_next_one_starts() {
    let end = |date: &str, zone| end_of_day(date.parse().unwrap(), zone).map(|end| end.to_string());
    assert_eq!(end("2024-03-10", America::New_York).unwrap(), "2024-03-11 04:00:00 UTC");
    assert_eq!(end("2024-12-31", Tz::UTC).unwrap(), "2025-01-01 00:00:00 UTC");
    assert_eq!(end_of_day(NaiveDate::MAX, Tz::UTC), None);
}

#[test]
fn no_zone_is_on_a_date_once_it_has_ended_anywhere() {
    for date in ["2024-03-10", "2024-07-01", "2011-12-30"].map(|text| text.parse().unwrap()) {
        let end = end_of_day_anywhere(date).unwrap();
        assert!(chrono_tz::TZ_VARIANTS.iter().all(|zone| end_of_day(date, *zone).unwrap() <= end), "{date}");
    }
    assert_eq!(end_of_day_anywhere("2024-03-10".parse().unwrap()).unwrap().to_string(), "2024-03-11 12:00:00 UTC");
}

#[test]
fn days_begin_as_if_each_was_looked_up() {
    let first = NaiveDate::from_ymd_opt(1865, 1, 1).unwrap();
    for zone in chrono_tz::TZ_VARIANTS {
        let mut calendar = Calendar::of(zone);
        for date in first.iter_days().take_while(|date| date.year() < 2052) {
            assert_eq!(calendar.start(date), start_of_day(date, zone), "{date} in {zone}");
        }
    }
    let mut calendar = Calendar::of(America::New_York);
    for date in [NaiveDate::MIN, NaiveDate::MAX, FIRST_DAY, LAST_DAY, NaiveDate::default()] {
        assert_eq!(calendar.start(date), start_of_day(date, America::New_York));
    }
}

#[test]
fn on_a_steady_day_the_clocks_are_as_far_from_utc_at_any_hour() {
    let first = NaiveDate::from_ymd_opt(1865, 1, 1).unwrap();
    for zone in [America::New_York, Europe::London, Pacific::Apia, America::Sao_Paulo, Tz::UTC] {
        let mut calendar = Calendar::of(zone);
        let mut steady = 0;
        for date in first.iter_days().take_while(|date| date.year() < 2052) {
            let Some(delay) = calendar.steady(date) else { continue };
            steady += 1;
            for hour in 0..24 {
                let time = date.and_hms_opt(hour, 30, 0).unwrap();
                let instant = zone.from_local_datetime(&time).single().unwrap().to_utc();
                assert_eq!(instant, (time + delay).and_utc(), "{time} in {zone}");
                assert_eq!(time.and_utc().with_timezone(&zone).naive_local(), time - delay, "{time} in UTC, {zone}");
            }
        }
        assert!(steady > 50_000, "{zone}: {steady}");
    }
}
