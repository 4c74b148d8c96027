//! Made-up bars: a walk of prices with halts, dividends and adjusted closes.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeZone, Utc};

use super::{Listing, first_day};
use crate::Config;
use crate::calendar::{days, is_trading_day};
use crate::random::Random;

/// Rows without any value in every chart: halts.
pub(super) const HALTS: usize = 3;
/// Share by which a dividend lowers the adjusted close of every earlier day.
pub(super) const DIVIDEND_YIELD: f64 = 0.005;

/// A row of a chart.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    pub(super) timestamp: i64,
    /// Open, high, low, close; None when trading was halted.
    pub(super) prices: Option<[f64; 4]>,
    pub(super) volume: u64,
    pub(super) adjusted_close: f64,
    pub(super) pays_dividend: bool,
}

impl Bar {
    /// Whether it was traded.
    pub(crate) fn has_value(&self) -> bool {
        self.prices.is_some()
    }
}

/// Every bar of a listing, from the first day on.
pub(super) fn bars(config: &Config, listing: &Listing) -> Vec<Bar> {
    let mut random = Random::new(config.seed, &listing.symbol);
    let dates: Vec<NaiveDate> =
        days(first_day(config)).filter(|date| listing.is_crypto() || is_trading_day(*date)).collect();
    let halts: Vec<usize> = (0..HALTS).map(|_| random.below(dates.len())).collect();
    let mut close = first_close(&mut random);
    let mut bars = Vec::with_capacity(dates.len());
    for (index, date) in dates.iter().enumerate() {
        let is_halted = halts.contains(&index);
        let mut bar = traded(&mut random, &mut close, listing, *date);
        bar.prices = bar.prices.filter(|_| !is_halted);
        bar.pays_dividend = !is_halted && !listing.is_crypto() && is_first_of_quarter(&dates, index);
        bars.push(bar);
    }
    adjust(&mut bars);
    bars
}

pub(super) fn first_close(random: &mut Random) -> f64 {
    20.0 + 180.0 * random.unit()
}

/// The bar of a day, after the close of the day before.
pub(super) fn traded(random: &mut Random, close: &mut f64, listing: &Listing, date: NaiveDate) -> Bar {
    let open = *close * (1.0 + 0.005 * random.swing());
    *close = f64::max(1.0, open * (1.0003 + 0.03 * random.swing()));
    let high = open.max(*close) * (1.0 + 0.01 * random.unit());
    let low = open.min(*close) * (1.0 - 0.01 * random.unit());
    Bar {
        timestamp: opening(listing, date).timestamp(),
        prices: Some([open, high, low, *close].map(single_precision)),
        volume: 100_000 + (9_900_000.0 * random.unit()) as u64,
        adjusted_close: single_precision(*close),
        pays_dividend: false,
    }
}

/// Yahoo computes in 32 bits, and shows it: 226.86000061035156.
pub(super) fn single_precision(price: f64) -> f64 {
    f64::from(price as f32)
}

fn is_first_of_quarter(dates: &[NaiveDate], index: usize) -> bool {
    let quarter = |date: NaiveDate| date.month0() / 3;
    index > 0 && quarter(dates[index]) != quarter(dates[index - 1])
}

/// Subtracts every later dividend from the adjusted closes.
fn adjust(bars: &mut [Bar]) {
    let mut factor = 1.0;
    for bar in bars.iter_mut().rev() {
        bar.adjusted_close = single_precision(bar.adjusted_close * factor);
        if bar.pays_dividend {
            factor *= 1.0 - DIVIDEND_YIELD;
        }
    }
}

/// Opening time, in the exchange's time zone.
fn opening(listing: &Listing, date: NaiveDate) -> DateTime<Utc> {
    let time = NaiveTime::from_hms_opt(listing.open.0, listing.open.1, 0).expect("a time of day");
    let local = listing.zone.from_local_datetime(&date.and_time(time)).earliest();
    local.expect("no exchange opens while its clocks change").to_utc()
}
