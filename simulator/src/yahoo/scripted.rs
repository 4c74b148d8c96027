//! Yahoo's daily bars as they stood at a time of the clock: sessions to come are not there yet, and what was scripted has
//! been restated, emptied or left out. What was shown is kept.
//!
//! Prices are those of the world without a clock, but for its halts, dividends and splits: what changes is what was asked for.

use std::collections::HashMap;
use std::iter::successors;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone as _, Utc};
use chrono_tz::Tz;
use serde_json::json;

use super::{
    Bar, HALTS, Listing, Window, first_close, first_day, is_trading_day, listing, meta, single_precision, traded,
    unknown, written,
};
use crate::Config;
use crate::random::Random;
use crate::reply::Reply;

/// When the bar of a session appears, in New York: a quarter of an hour after the close.
const APPEARS: NaiveTime = NaiveTime::from_hms_opt(16, 15, 0).expect("a time of day");
/// How far an adjusted close may stray, as a share of it; rounding to single precision keeps it below a millionth.
const JITTER: f64 = 9e-7;

/// A value that an answer held.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Of which symbol.
    pub symbol: String,
    /// Of which day, on the clocks of the exchange.
    pub date: NaiveDate,
    /// Its close, to the last bit.
    pub close: f64,
    /// Its volume.
    pub volume: u64,
    /// The clock when an answer held it for the first time.
    pub first_shown_at: DateTime<Utc>,
}

/// What is scripted of the bars, and the bars.
#[derive(Debug, Default)]
pub(crate) struct Script {
    has_jitter: bool,
    /// Answers given, so that no two jitter alike.
    answers: u64,
    edits: HashMap<String, HashMap<NaiveDate, Edits>>,
    series: HashMap<String, Series>,
}

/// What is scripted of a day.
#[derive(Debug, Default)]
struct Edits {
    /// From when on the close is multiplied, and by what.
    restatements: Vec<(DateTime<Utc>, f64)>,
    /// Until when there is no value.
    empty_until: Option<DateTime<Utc>>,
    /// Until when there is no row.
    absent_until: Option<DateTime<Utc>>,
}

impl Script {
    /// Multiplies a close from a time on.
    pub(crate) fn restate(&mut self, symbol: &str, date: NaiveDate, at: DateTime<Utc>, factor: f64) {
        self.edits(symbol, date).restatements.push((at, factor));
    }

    /// Empties a row, until it is filled.
    pub(crate) fn hole(&mut self, symbol: &str, date: NaiveDate, filled_at: Option<DateTime<Utc>>) {
        self.edits(symbol, date).empty_until = Some(filled_at.unwrap_or(DateTime::<Utc>::MAX_UTC));
    }

    /// Leaves out a row, until it is filled.
    pub(crate) fn drop_day(&mut self, symbol: &str, date: NaiveDate, filled_at: Option<DateTime<Utc>>) {
        self.edits(symbol, date).absent_until = Some(filled_at.unwrap_or(DateTime::<Utc>::MAX_UTC));
    }

    fn edits(&mut self, symbol: &str, date: NaiveDate) -> &mut Edits {
        self.edits.entry(symbol.to_owned()).or_default().entry(date).or_default()
    }

    pub(crate) fn jitter(&mut self, on: bool) {
        self.has_jitter = on;
    }

    /// Answers for a symbol as of a time.
    pub(crate) fn chart(&mut self, config: &Config, symbol: &str, window: Option<Window>, now: DateTime<Utc>) -> Reply {
        let Some(listing) = listing(config, symbol) else { return unknown() };
        let edits = self.edits.get(symbol);
        let series = self.series.entry(symbol.to_owned()).or_insert_with(|| Series::new(config, listing));
        let all = series.as_of(now, edits);
        let mut bars = window.map_or(&all[..], |window| window.of_bars(&all)).to_vec();
        self.answers += 1;
        if self.has_jitter {
            let mut random = Random::new(config.seed, &format!("{symbol} jitter {}", self.answers));
            for bar in &mut bars {
                bar.adjusted_close = single_precision(bar.adjusted_close * (1.0 + JITTER * random.swing()));
            }
        }
        let reply = written(&meta(&series.listing, &all), &json!({}), &bars, window);
        if reply.is_ok() {
            series.note(&bars, now);
        }
        reply
    }

    /// Every value that an answer held, by symbol and day.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        let mut all: Vec<Shown> = self.series.values().flat_map(Series::shown).collect();
        all.sort_by(|one, other| {
            (&one.symbol, one.date, one.first_shown_at).cmp(&(&other.symbol, other.date, other.first_shown_at))
        });
        all
    }
}

/// The bars of a symbol, made as far as they were asked for.
#[derive(Debug)]
struct Series {
    listing: Listing,
    random: Random,
    close: f64,
    /// The first day that was not looked at.
    next: NaiveDate,
    sessions: Vec<Session>,
}

/// A day with trade.
#[derive(Debug)]
struct Session {
    date: NaiveDate,
    appears_at: DateTime<Utc>,
    bar: Bar,
    /// Close, volume and since when, of each that was shown.
    shown: Vec<(f64, u64, DateTime<Utc>)>,
}

impl Series {
    fn new(config: &Config, listing: Listing) -> Series {
        let mut random = Random::new(config.seed, &listing.symbol);
        // What the world without a clock draws for its halts.
        for _ in 0..HALTS {
            random.unit();
        }
        let close = first_close(&mut random);
        let next = first_day(config);
        Series { listing, random, close, next, sessions: Vec::new() }
    }

    /// The rows that there are at a time.
    fn as_of(&mut self, now: DateTime<Utc>, edits: Option<&HashMap<NaiveDate, Edits>>) -> Vec<Bar> {
        self.extend_to(now.date_naive());
        let count = self.sessions.partition_point(|session| session.appears_at <= now);
        let row = |session: &Session| match edits.and_then(|edits| edits.get(&session.date)) {
            None => Some(session.bar.clone()),
            Some(edits) => edits.apply(&session.bar, now),
        };
        self.sessions[..count].iter().filter_map(row).collect()
    }

    fn extend_to(&mut self, last: NaiveDate) {
        let dates: Vec<NaiveDate> =
            successors(Some(self.next), NaiveDate::succ_opt).take_while(|date| *date <= last).collect();
        for date in dates {
            self.next = date.succ_opt().unwrap_or(date);
            if self.listing.is_crypto() || is_trading_day(date) {
                let bar = traded(&mut self.random, &mut self.close, &self.listing, date);
                self.sessions.push(Session { date, appears_at: appearance(date), bar, shown: Vec::new() });
            }
        }
    }

    /// Notes the values of these rows.
    fn note(&mut self, bars: &[Bar], now: DateTime<Utc>) {
        for bar in bars {
            let place = self.sessions.binary_search_by_key(&bar.timestamp, |session| session.bar.timestamp);
            let (Ok(place), Some([.., close])) = (place, bar.prices) else { continue };
            let shown = &mut self.sessions[place].shown;
            if !shown.iter().any(|seen| seen.0.to_bits() == close.to_bits() && seen.1 == bar.volume) {
                shown.push((close, bar.volume, now));
            }
        }
    }

    fn shown(&self) -> impl Iterator<Item = Shown> {
        let of = |session: &Session, (close, volume, first_shown_at): (f64, u64, DateTime<Utc>)| Shown {
            symbol: self.listing.symbol.clone(),
            date: session.date,
            close,
            volume,
            first_shown_at,
        };
        self.sessions.iter().flat_map(move |session| session.shown.iter().map(move |seen| of(session, *seen)))
    }
}

impl Edits {
    /// The row at a time; None when there is none.
    fn apply(&self, bar: &Bar, now: DateTime<Utc>) -> Option<Bar> {
        let is_open = |until: Option<DateTime<Utc>>| until.is_some_and(|until| now < until);
        if is_open(self.absent_until) {
            return None;
        }
        let factor: f64 = self.restatements.iter().filter(|(at, _)| *at <= now).map(|(_, factor)| factor).product();
        let restated = |[open, high, low, close]: [f64; 4]| {
            let close = single_precision(close * factor);
            // The close stays between low and high.
            [open, high.max(close), low.min(close), close]
        };
        Some(Bar {
            prices: bar.prices.filter(|_| !is_open(self.empty_until)).map(restated),
            adjusted_close: single_precision(bar.adjusted_close * factor),
            ..bar.clone()
        })
    }
}

/// When the bar of a day appears.
fn appearance(date: NaiveDate) -> DateTime<Utc> {
    let local = Tz::America__New_York.from_local_datetime(&date.and_time(APPEARS)).earliest();
    local.expect("clocks do not change in the afternoon").to_utc()
}

#[cfg(test)]
mod tests {
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
        assert!(
            (closes[2] / closes[0] - 1.25).abs() < 1e-6 && (closes[3] / closes[0] - 2.5).abs() < 1e-6,
            "{closes:?}"
        );
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
            whole("2024-01-01", "2026-01-01")
                && !whole("2024-01-02", "2026-01-01")
                && !whole("2024-01-01", "2025-12-31")
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
}
