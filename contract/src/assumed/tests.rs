use chrono::{DateTime, Datelike as _, Days, NaiveDate, TimeZone as _, Timelike as _, Utc, Weekday};
use chrono_tz::America;

use crate::dataset::{Dataset, DeclarationError};
use crate::records::{CorporateAction, OhlcvBar};
use crate::rule::Rule;
use crate::{Decoder, Record, Rows, dataset, datasets};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// When a record counts as known.
fn assumed(record: &Record) -> Option<String> {
    let dataset = dataset(record.dataset()).unwrap();
    let mut rows = Rows::new(dataset);
    let mut body = Vec::new();
    record.encode(&mut body);
    Decoder::new(dataset, &dataset.schema).unwrap().decode(&body, &mut rows).unwrap();
    let micros = dataset.assumed_known_at(&rows, 0)?;
    Some(DateTime::from_timestamp_micros(micros).unwrap().format("%FT%TZ").to_string())
}

fn bar(symbol: &str, interval: &str, ts_start: &str) -> OhlcvBar {
    let ts_start = at(ts_start);
    OhlcvBar {
        source: "yahoo".into(),
        symbol: symbol.into(),
        bar_interval: interval.into(),
        ts_start,
        trading_date: ts_start.date_naive(),
        open: None,
        high: None,
        low: None,
        close: 1.0,
        adjusted_close: None,
        volume: None,
        currency: None,
        known_at: at("2026-11-20T12:00:00Z"),
        observed_at: at("2026-11-20T12:00:00Z"),
        flags: Vec::new(),
    }
}

fn of_bar(symbol: &str, interval: &str, ts_start: &str) -> Option<String> {
    assumed(&bar(symbol, interval, ts_start).into())
}

fn known(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_daily_bar_of_a_share_in_new_york_is_known_at_four_in_the_afternoon_there() {
    for symbol in ["AAPL", "F", "BRK-B", "AAPL.US", "BRK-B.US"] {
        assert_eq!(of_bar(symbol, "1d", "2024-01-02T05:00:00Z"), known("2024-01-02T21:00:00Z"), "{symbol}");
        assert_eq!(of_bar(symbol, "1d", "2024-07-02T04:00:00Z"), known("2024-07-02T20:00:00Z"), "{symbol}");
    }
    // Clocks changed on the Sunday between.
    assert_eq!(of_bar("AAPL", "1d", "2024-03-08T05:00:00Z"), known("2024-03-08T21:00:00Z"));
    assert_eq!(of_bar("AAPL", "1d", "2024-03-11T04:00:00Z"), known("2024-03-11T20:00:00Z"));
}

#[test]
fn the_close_of_new_york_is_right_on_every_weekday_of_thirty_years() {
    let first = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap();
    let weekdays = first.iter_days().take(30 * 365).filter(|day| !matches!(day.weekday(), Weekday::Sat | Weekday::Sun));
    for day in weekdays.step_by(3) {
        let instant = |hour| America::New_York.from_local_datetime(&day.and_hms_opt(hour, 0, 0).unwrap()).unwrap();
        let mut bar = bar("AAPL", "1d", "2024-01-02T05:00:00Z");
        (bar.ts_start, bar.observed_at) = (instant(0).to_utc(), at("2100-01-01T00:00:00Z"));
        let close = assumed(&bar.into()).unwrap();
        assert_eq!(close, instant(16).to_utc().format("%FT%TZ").to_string());
        assert_eq!(at(&close).with_timezone(&America::New_York).hour(), 16);
    }
}

#[test]
fn a_daily_bar_without_a_known_session_is_known_when_its_date_is_over_at_its_exchange() {
    // A fund and an index of New York; London; Chicago, where VIX is quoted until 15:15; a currency of every day.
    assert_eq!(of_bar("VFIAX", "1d", "2024-01-02T05:00:00Z"), known("2024-01-03T05:00:00Z"));
    assert_eq!(of_bar("^GSPC", "1d", "2024-01-02T05:00:00Z"), known("2024-01-03T05:00:00Z"));
    assert_eq!(of_bar("VOD.L", "1d", "2024-07-01T23:00:00Z"), known("2024-07-02T23:00:00Z"));
    assert_eq!(of_bar("VIX", "1d", "2024-01-02T06:00:00Z"), known("2024-01-03T06:00:00Z"));
    assert_eq!(of_bar("BTC-USD", "1d", "2024-01-02T00:00:00Z"), known("2024-01-03T00:00:00Z"));
}

#[test]
fn a_bar_of_another_length_is_known_when_it_is_over() {
    let of = |interval: &str| of_bar("AAPL", interval, "2024-01-02T14:30:00Z");
    assert_eq!((of("1m"), of("90m")), (known("2024-01-02T14:31:00Z"), known("2024-01-02T16:00:00Z")));
    assert_eq!((of("1wk"), of("1mo")), (known("2024-01-09T14:30:00Z"), known("2024-02-02T14:30:00Z")));
    // Holidays may spread five sessions over any number of days.
    assert_eq!(of("5d"), None);
    // The longest quarter.
    assert_eq!(of_bar("AAPL", "3mo", "2024-07-01T04:00:00Z"), known("2024-10-01T04:00:00Z"));
}

#[test]
fn every_interval_of_bars_but_five_days_has_a_length() {
    let rule = dataset("ohlcv_bar").unwrap().rules.iter().find(|rule| rule.text.starts_with("bar_interval ~")).unwrap();
    let names = rule.text.split_once("^(").unwrap().1.split_once(")$").unwrap().0;
    let lengths: Vec<&str> = super::LENGTHS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.split('|').filter(|name| *name != "5d").collect::<Vec<_>>(), lengths);
}

#[test]
fn what_was_received_before_its_assumed_time_was_known_by_the_receipt() {
    let mut bar = bar("AAPL", "1d", "2024-01-02T05:00:00Z");
    bar.observed_at = at("2024-01-02T18:00:00Z");
    assert_eq!(assumed(&bar.into()), known("2024-01-02T18:00:00Z"));
}

#[test]
fn a_dividend_is_known_by_its_declaration_else_by_its_ex_date() {
    let ex_date: NaiveDate = "2024-05-10".parse().unwrap();
    let mut dividend = CorporateAction {
        source: "eodhd".into(),
        symbol: "AAPL.US".into(),
        action_type: "dividend".into(),
        ex_date,
        amount: None,
        unadjusted_amount: None,
        currency: None,
        split_to: None,
        split_from: None,
        period: None,
        declared_on: ex_date.checked_sub_days(Days::new(8)),
        record_date: None,
        paid_on: None,
        known_at: at("2026-11-20T12:00:00Z"),
        observed_at: at("2026-11-20T12:00:00Z"),
        flags: Vec::new(),
    };
    // 2 May is over in the last time zone.
    assert_eq!(assumed(&dividend.clone().into()), known("2024-05-03T12:00:00Z"));
    dividend.declared_on = None;
    assert_eq!(assumed(&dividend.into()), known("2024-05-10T12:00:00Z"));
}

#[test]
fn the_datasets_with_an_assumed_time_are_these() {
    let declared = datasets().iter().filter(|dataset| !dataset.assumed.is_empty());
    let mut names: Vec<&str> = declared.map(|dataset| dataset.name.as_str()).collect();
    names.sort_unstable();
    let expected =
        ["corporate_action", "model_performance", "ohlcv_bar", "option_quote", "prediction", "technical_indicator"];
    assert_eq!(names, expected);
}

#[test]
fn a_rule_that_cannot_be_computed_is_refused_with_what_is_wrong() {
    let parsed = |rules: &str| {
        let schema = &dataset("ohlcv_bar").unwrap().schema;
        let start = schema.find("  \"assumed_known_at\"").unwrap();
        let end = start + schema[start..].find("  \"rules\"").unwrap();
        let text = format!("{}\"assumed_known_at\": {rules},{}", &schema[..start], &schema[end..]);
        match Dataset::parse(&text) {
            Err(DeclarationError::Assumed(reason)) => reason,
            Err(other) => other.to_string(),
            Ok(_) => "read".to_owned(),
        }
    };
    let session = |session: &str| {
        parsed(&format!(r#"[{{"end_of_bar":"ts_start","interval":"bar_interval","sessions":[{session}]}}]"#))
    };
    assert_eq!(parsed(r#"[{"at":"ts_start"},{"end_of_day":"trading_date"}]"#), "read");
    assert_eq!(session(r#"{"when":"symbol = 'X'","zone":"Asia/Tokyo","closes":"15:30"}"#), "read");
    let zone = session(r#"{"when":"symbol = 'X'","zone":"Tokyo","closes":"15:30"}"#);
    assert_eq!(zone, "`Tokyo` is not a time zone");
    let closes = session(r#"{"when":"symbol = 'X'","zone":"Asia/Tokyo","closes":"3 pm"}"#);
    assert_eq!(closes, "`3 pm` is not like `16:00`");
    let when = session(r#"{"when":"ticker = 'X'","zone":"Asia/Tokyo","closes":"15:30"}"#);
    assert_eq!(when, "`ticker = 'X'`: `ticker` is not a field");
    assert!(session("7").starts_with("a session has `when`, `zone` and `closes`"));
    assert_eq!(parsed(r#"[{"at":"close_at"}]"#), "`close_at` is not a field");
    assert_eq!(parsed(r#"[{"at":"trading_date"}]"#), "`at` needs a field of another kind than `trading_date`");
    assert_eq!(parsed(r#"[{"end_of_day":"ts_start"}]"#), "`end_of_day` needs a field of another kind than `ts_start`");
    assert_eq!(parsed(r#"[{"end_of_bar":"ts_start"}]"#), "`interval` is missing or not a text");
    assert_eq!(parsed(r#"[{"at":"ts_start","zone":"UTC"}]"#), "`zone` does not belong to `at`");
    assert_eq!(
        parsed(r#"[{"now":"ts_start"}]"#),
        "`{\"now\":\"ts_start\"}` has none of `at`, `start_of_day`, `end_of_day`, `end_of_bar`"
    );
    assert_eq!(parsed(r#""ts_start""#), "`assumed_known_at` is missing or malformed");
}

#[test]
fn the_days_of_a_zone_say_when_its_session_closes_on_each_day() {
    let rule = || Rule::parse("symbol ~ '^A$'", &dataset("ohlcv_bar").unwrap().fields).unwrap();
    for (zone, closes) in [
        (America::New_York, "16:00"),
        (chrono_tz::Europe::London, "16:30"),
        (chrono_tz::Asia::Tokyo, "15:00"),
        // Clocks change at midnight, and by half an hour.
        (America::Sao_Paulo, "17:00"),
        (America::Havana, "00:30"),
        (chrono_tz::Australia::Lord_Howe, "01:45"),
    ] {
        let session = super::Session { when: rule(), zone, closes: closes.parse().unwrap() };
        let days = session.days();
        assert!(days.is_sorted_by_key(|days| days.from), "{zone}");
        let first = NaiveDate::from_ymd_opt(1900, 1, 1).unwrap();
        for day in first.iter_days().take(199 * 365) {
            // Around midnight, also where there is none or where it comes twice.
            for minutes in [-60, -30, 0, 30, 60] {
                let local = day.and_time(chrono::NaiveTime::MIN);
                let Some(start) = zone.from_local_datetime(&local).earliest() else { continue };
                let start = start.timestamp_micros() + minutes * super::HOUR / 60;
                let of = days.iter().rfind(|days| days.from <= start).unwrap();
                let is_midnight = start.rem_euclid(super::DAY) == of.midnight;
                let close = of.length.filter(|_| is_midnight).map(|length| start + length);
                assert_eq!(close, session.close(start), "{zone} {day} {minutes}");
            }
        }
    }
}
