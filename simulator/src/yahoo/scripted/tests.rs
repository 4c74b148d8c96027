use std::time::Instant;

use serde_json::Value;

use super::*;
use crate::calendar::day;
use crate::tests::{at, body, date};
use crate::yahoo::{all_bars, chart_within};

fn config() -> Config {
    Config { symbols: 3, years: 2, seed: 7 }
}

fn window(from: &str, to: &str) -> Option<Window> {
    let seconds = |day: &str| date(day).and_time(NaiveTime::MIN).and_utc().timestamp();
    Some(Window { from: seconds(from), to: seconds(to) })
}

/// Day, close and adjusted close of each row; no values where it is empty.
type Row = (String, Option<f64>, Option<f64>);

fn rows(reply: Reply) -> Vec<Row> {
    let (status, text) = body(reply);
    assert_eq!(status, 200, "{text}");
    let chart: Value = serde_json::from_str(&text).unwrap();
    let result = &chart["chart"]["result"][0];
    let column = |column: &Value| column.as_array().cloned().unwrap_or_default();
    let quote = &result["indicators"]["quote"][0];
    let (closes, opens) = (column(&quote["close"]), column(&quote["open"]));
    let adjusted = column(&result["indicators"]["adjclose"][0]["adjclose"]);
    let day = |time: &Value| DateTime::from_timestamp(time.as_i64().unwrap(), 0).unwrap().date_naive().to_string();
    let row = |(place, time): (usize, &Value)| {
        assert_eq!(closes[place].is_null(), opens[place].is_null());
        (day(time), closes[place].as_f64(), adjusted[place].as_f64())
    };
    column(&result["timestamp"]).iter().enumerate().map(row).collect()
}

#[test]
fn a_bar_appears_a_quarter_of_an_hour_after_the_close_in_winter_and_in_summer() {
    let mut script = Script::default();
    let mut last = |symbol, now| rows(script.chart(&config(), symbol, None, at(now))).pop().unwrap().0;
    assert_eq!(last("SIM000", "2025-01-07T21:14:59Z"), "2025-01-06");
    assert_eq!(last("SIM000", "2025-01-07T21:15:00Z"), "2025-01-07");
    assert_eq!(last("SIM000", "2025-07-08T20:14:59Z"), "2025-07-07");
    assert_eq!(last("SIM000", "2025-07-08T20:15:00Z"), "2025-07-08");
    assert_eq!(last("SIM000", "2025-07-13T20:15:00Z"), "2025-07-11");
    assert_eq!(last("SIM-USD", "2025-07-13T20:15:00Z"), "2025-07-13");
    assert_eq!(last("SIM.L", "2024-12-25T23:00:00Z"), "2024-12-24");
    // The world goes on for as long as the clock does.
    assert_eq!(last("SIM000", "2026-11-20T23:00:00Z"), "2026-11-20");
}

#[test]
fn prices_are_those_of_the_world_without_a_clock() {
    let mut script = Script::default();
    for symbol in ["SIM000", "SIM.L", "SIM-USD"] {
        let all = all_bars(&config(), symbol).unwrap();
        let without = rows(chart_within(&config(), symbol, &all, window("2025-01-01", "2026-01-01").unwrap()));
        let with =
            rows(script.chart(&config(), symbol, window("2025-01-01", "2026-01-01"), at("2025-12-31T23:00:00Z")));
        assert_eq!(without.len(), with.len());
        let same = without.iter().zip(&with).filter(|(one, other)| one.1.is_none() || one.1 == other.1);
        assert_eq!(same.count(), with.len(), "{symbol}");
        assert!(with.iter().all(|row| row.1.is_some()));
    }
}

#[test]
fn a_close_is_restated_from_a_time_on_and_all_that_was_shown_is_kept() {
    let mut script = Script::default();
    let day = date("2025-03-03");
    script.restate("SIM000", day, at("2025-03-05T12:00:00Z"), 1.25);
    script.restate("SIM000", day, at("2025-03-06T12:00:00Z"), 2.0);
    let mut close = |now| {
        let all = rows(script.chart(&config(), "SIM000", window("2025-03-03", "2025-03-04"), at(now)));
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].1, all[0].2);
        all[0].1.unwrap()
    };
    let times = ["2025-03-04T00:00:00Z", "2025-03-05T11:59:59Z", "2025-03-05T12:00:00Z", "2025-03-07T00:00:00Z"];
    let closes = times.map(&mut close);
    assert_eq!(closes[0], closes[1]);
    assert!((closes[2] / closes[0] - 1.25).abs() < 1e-6 && (closes[3] / closes[0] - 2.5).abs() < 1e-6, "{closes:?}");
    let shown: Vec<(f64, DateTime<Utc>)> =
        script.shown().into_iter().map(|shown| (shown.close, shown.first_shown_at)).collect();
    assert_eq!(shown, [(closes[0], at(times[0])), (closes[2], at(times[2])), (closes[3], at(times[3]))]);
}

#[test]
fn a_hole_is_an_empty_row_and_a_dropped_day_is_none_until_they_are_filled() {
    let mut script = Script::default();
    let filled = Some(at("2025-03-10T00:00:00Z"));
    script.hole("SIM000", date("2025-03-03"), filled);
    script.hole("SIM000", date("2025-03-04"), None);
    script.drop_day("SIM000", date("2025-03-05"), filled);
    script.drop_day("SIM.L", date("2025-03-06"), None);
    let mut week = |now| rows(script.chart(&config(), "SIM000", window("2025-03-03", "2025-03-08"), at(now)));
    let is_there = |rows: Vec<Row>| -> Vec<(String, bool)> {
        rows.into_iter().map(|(day, close, adjusted)| (day, close.is_some() && adjusted.is_some())).collect()
    };
    let row = |day: &str, there| (day.to_owned(), there);
    let before = is_there(week("2025-03-09T23:59:59Z"));
    let empty = [row("2025-03-03", false), row("2025-03-04", false)];
    assert_eq!(before[..2], empty);
    assert_eq!(before[2..], [row("2025-03-06", true), row("2025-03-07", true)]);
    let after = is_there(week("2025-03-10T00:00:00Z"));
    assert_eq!(after[..3], [row("2025-03-03", true), row("2025-03-04", false), row("2025-03-05", true)]);
    assert_eq!(script.shown().len(), 4);
    // The last word counts.
    script.hole("SIM000", date("2025-03-04"), filled);
    let mut week = |now| rows(script.chart(&config(), "SIM000", window("2025-03-03", "2025-03-08"), at(now)));
    assert!(week("2025-03-10T00:00:00Z").iter().all(|row| row.1.is_some()));
}

#[test]
fn adjusted_closes_jitter_from_answer_to_answer_and_nothing_else_does() {
    let mut script = Script::default();
    let now = at("2025-06-30T22:00:00Z");
    let mut ask = |on| {
        script.jitter(on);
        rows(script.chart(&config(), "SIM000", None, now))
    };
    let (still, one, other) = (ask(false), ask(true), ask(true));
    assert_eq!(ask(false), still);
    let differs = |rows: &[Row], others: &[Row]| rows.iter().zip(others).filter(|(a, b)| a.2 != b.2).count();
    assert!(differs(&one, &still) > still.len() / 2 && differs(&one, &other) > still.len() / 2);
    for (row, own) in one.iter().zip(&still) {
        assert_eq!((&row.0, row.1), (&own.0, own.1));
        assert!((row.2.unwrap() / own.2.unwrap() - 1.0).abs() <= 1e-6, "{row:?} {own:?}");
    }
    assert_eq!(script.shown().len(), still.len());
}

#[test]
fn a_window_has_its_first_second_and_not_its_last() {
    let config = config();
    let all = all_bars(&config, "SIM-USD").unwrap();
    let days = |from, to| -> Vec<String> {
        let reply = chart_within(&config, "SIM-USD", &all, window(from, to).unwrap());
        rows(reply).into_iter().map(|row| row.0).collect()
    };
    assert_eq!(days("2025-03-01", "2025-03-03"), ["2025-03-01", "2025-03-02"]);
    assert_eq!(days("2025-03-03", "2025-03-03"), Vec::<String>::new());
    let whole = |from, to| window(from, to).unwrap().holds(&all);
    assert!(
        whole("2024-01-01", "2026-01-01") && !whole("2024-01-02", "2026-01-01") && !whole("2024-01-01", "2025-12-31")
    );
    let early = chart_within(&config, "SIM-USD", &all, window("1999-01-01", "2000-01-01").unwrap());
    let (status, text) = body(early);
    assert!(status == 400 && text.contains("Data doesn't exist for startDate = 915148800"), "{text}");
    let all_shares = all_bars(&config, "SIM000").unwrap();
    let saturday = chart_within(&config, "SIM000", &all_shares, window("2025-03-01", "2025-03-02").unwrap());
    assert!(body(saturday).1.contains(r#""indicators":{"quote":[{}],"adjclose":[{}]}"#));
}

#[test]
fn a_year_of_asking_every_day_is_quick() {
    let (mut script, start) = (Script::default(), Instant::now());
    let config = Config { symbols: 5, years: 2, seed: 1 };
    for day in day(2025, 1, 1).iter_days().take(365) {
        let now = day.and_time(APPEARS).and_utc() + chrono::TimeDelta::hours(6);
        for symbol in crate::yahoo::symbols(&config) {
            script.chart(&config, &symbol, None, now);
        }
    }
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    assert_eq!(script.shown().len(), 4 * 519 + 731);
}
