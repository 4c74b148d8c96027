//! Yahoo's daily bars as they were at the time of the clock: without later sessions, with the scripted rows restated,
//! emptied or left out. Keeps every value that it showed.
//!
//! Prices are those of the world without a clock, without its halts, dividends and splits: only scripted values change.

use std::collections::HashMap;
use std::iter::successors;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone as _, Utc};
use chrono_tz::Tz;
use serde_json::json;

use super::bars::{HALTS, first_close, single_precision, traded};
use super::{Bar, Listing, Window, first_day, listing, meta, unknown, written};
use crate::Config;
use crate::calendar::is_trading_day;
use crate::random::Random;
use crate::reply::Reply;

/// When the bar of a session appears, in New York: a quarter of an hour after the close.
const APPEARS: NaiveTime = NaiveTime::from_hms_opt(16, 15, 0).expect("a time of day");
/// Largest relative jitter of an adjusted close; with rounding to single precision it stays below a millionth.
const JITTER: f64 = 9e-7;

/// A value that a response showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Its symbol.
    pub symbol: String,
    /// Its day, in the exchange's time zone.
    pub date: NaiveDate,
    /// Its close, to the last bit.
    pub close: f64,
    /// Its volume.
    pub volume: u64,
    /// Time of the clock when a response showed it first.
    pub first_shown_at: DateTime<Utc>,
}

/// The bars and their script.
#[derive(Debug, Default)]
pub(crate) struct Script {
    has_jitter: bool,
    /// Number of responses, so that no two have the same jitter.
    answers: u64,
    edits: HashMap<String, HashMap<NaiveDate, Edits>>,
    series: HashMap<String, Series>,
}

/// What is scripted about a day.
#[derive(Debug, Default)]
struct Edits {
    /// Time from which the close is multiplied, and the factor.
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

    /// Every value that a response showed, by symbol and day.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        let mut all: Vec<Shown> = self.series.values().flat_map(Series::shown).collect();
        all.sort_by(|one, other| {
            (&one.symbol, one.date, one.first_shown_at).cmp(&(&other.symbol, other.date, other.first_shown_at))
        });
        all
    }
}

/// The bars of a symbol, generated as far as they were requested.
#[derive(Debug)]
struct Series {
    listing: Listing,
    random: Random,
    close: f64,
    /// The first day that is not generated yet.
    next: NaiveDate,
    sessions: Vec<Session>,
}

/// A trading day.
#[derive(Debug)]
struct Session {
    date: NaiveDate,
    appears_at: DateTime<Utc>,
    bar: Bar,
    /// Close, volume and first time of each value shown.
    shown: Vec<(f64, u64, DateTime<Utc>)>,
}

impl Series {
    fn new(config: &Config, listing: Listing) -> Series {
        let mut random = Random::new(config.seed, &listing.symbol);
        // The draws for halts in the world without a clock, to get the same prices.
        for _ in 0..HALTS {
            random.unit();
        }
        let close = first_close(&mut random);
        let next = first_day(config);
        Series { listing, random, close, next, sessions: Vec::new() }
    }

    /// The rows that exist at a time.
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

    /// Records the values of these rows as shown.
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
mod tests;
