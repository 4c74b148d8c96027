//! Yahoo's chart endpoint: daily bars of made-up symbols.

use std::fmt::Write as _;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};

use crate::Config;
use crate::calendar::{END, day, days, is_trading_day};
use crate::random::Random;
use crate::reply::Reply;

/// Rows without any value in every chart: halts.
const HALTS: usize = 3;
/// What a dividend takes off the adjusted close of every earlier day.
const DIVIDEND_YIELD: f64 = 0.005;

/// A symbol and where it is traded.
struct Listing {
    symbol: String,
    zone: Tz,
    open: (u32, u32),
    currency: &'static str,
    instrument: &'static str,
}

impl Listing {
    fn is_crypto(&self) -> bool {
        self.instrument == "CRYPTOCURRENCY"
    }
}

/// The symbols: the second is quoted in pence in London, the third is a currency that trades every day.
pub(crate) fn symbols(config: &Config) -> Vec<String> {
    let name = |index| match index {
        1 => "SIM.L".to_owned(),
        2 => "SIM-USD".to_owned(),
        _ => format!("SIM{index:03}"),
    };
    (0..config.symbols).map(name).collect()
}

fn listing(config: &Config, symbol: &str) -> Option<Listing> {
    let symbol = symbols(config).into_iter().find(|known| known == symbol)?;
    let (zone, open, currency, instrument) = match symbol.as_str() {
        "SIM.L" => (Tz::Europe__London, (8, 0), "GBp", "EQUITY"),
        "SIM-USD" => (Tz::UTC, (0, 0), "USD", "CRYPTOCURRENCY"),
        _ => (Tz::America__New_York, (9, 30), "USD", "EQUITY"),
    };
    Some(Listing { symbol, zone, open, currency, instrument })
}

/// Answers for a symbol.
pub(crate) fn chart(config: &Config, symbol: &str, interval: &str) -> Reply {
    let Some(listing) = listing(config, symbol) else {
        return error(404, "Not Found", "No data found, symbol may be delisted");
    };
    if interval != "1d" {
        return error(400, "Bad Request", "the simulator has daily bars only");
    }
    let bars = bars(config, &listing);
    let result = json!([{ "meta": meta(&listing, &bars), "events": { "dividends": dividends(&bars) } }]);
    // The columns are long: they are written as text instead of going through JSON values.
    let head = result.to_string();
    let head = head.strip_suffix("}]").expect("an object in a list");
    Reply::json(200, format!("{{\"chart\":{{\"result\":{head},{}}}],\"error\":null}}}}", columns(&bars)))
}

fn error(status: u16, code: &str, description: &str) -> Reply {
    let body = json!({ "chart": { "result": null, "error": { "code": code, "description": description } } });
    Reply::json(status, body.to_string())
}

struct Bar {
    timestamp: i64,
    /// Open, high, low, close; none when trade was halted.
    prices: Option<[f64; 4]>,
    volume: u64,
    adjusted_close: f64,
    pays_dividend: bool,
}

fn bars(config: &Config, listing: &Listing) -> Vec<Bar> {
    let mut random = Random::new(config.seed, &listing.symbol);
    let start = day(END.year() - config.years as i32 + 1, 1, 1);
    let dates: Vec<NaiveDate> = days(start).filter(|date| listing.is_crypto() || is_trading_day(*date)).collect();
    let halts: Vec<usize> = (0..HALTS).map(|_| random.below(dates.len())).collect();
    let mut close = 20.0 + 180.0 * random.unit();
    let mut bars = Vec::with_capacity(dates.len());
    for (index, date) in dates.iter().enumerate() {
        let open = close * (1.0 + 0.005 * random.swing());
        close = f64::max(1.0, open * (1.0003 + 0.03 * random.swing()));
        let high = open.max(close) * (1.0 + 0.01 * random.unit());
        let low = open.min(close) * (1.0 - 0.01 * random.unit());
        let is_halted = halts.contains(&index);
        bars.push(Bar {
            timestamp: opening(listing, *date).timestamp(),
            prices: (!is_halted).then_some([open, high, low, close].map(single_precision)),
            volume: 100_000 + (9_900_000.0 * random.unit()) as u64,
            adjusted_close: single_precision(close),
            pays_dividend: !is_halted && !listing.is_crypto() && is_first_of_quarter(&dates, index),
        });
    }
    adjust(&mut bars);
    bars
}

/// Yahoo computes in 32 bits, and shows it: 226.86000061035156.
fn single_precision(price: f64) -> f64 {
    f64::from(price as f32)
}

fn is_first_of_quarter(dates: &[NaiveDate], index: usize) -> bool {
    let quarter = |date: NaiveDate| date.month0() / 3;
    index > 0 && quarter(dates[index]) != quarter(dates[index - 1])
}

/// Takes every later dividend off the closes.
fn adjust(bars: &mut [Bar]) {
    let mut factor = 1.0;
    for bar in bars.iter_mut().rev() {
        bar.adjusted_close = single_precision(bar.adjusted_close * factor);
        if bar.pays_dividend {
            factor *= 1.0 - DIVIDEND_YIELD;
        }
    }
}

/// When trade begins, on the clocks of the exchange.
fn opening(listing: &Listing, date: NaiveDate) -> DateTime<Utc> {
    let time = NaiveTime::from_hms_opt(listing.open.0, listing.open.1, 0).expect("a time of day");
    let local = listing.zone.from_local_datetime(&date.and_time(time)).earliest();
    local.expect("no exchange opens while its clocks change").to_utc()
}

fn dividends(bars: &[Bar]) -> Value {
    let paid = bars.iter().filter(|bar| bar.pays_dividend);
    let event = |bar: &Bar| {
        let amount = bar.prices.map_or(0.0, |[.., close]| (close * DIVIDEND_YIELD * 100.0).round() / 100.0);
        (bar.timestamp.to_string(), json!({ "amount": amount, "date": bar.timestamp }))
    };
    Value::Object(paid.map(event).collect())
}

fn meta(listing: &Listing, bars: &[Bar]) -> Value {
    let first = bars.first().map(|bar| bar.timestamp);
    let last = bars.iter().rev().find_map(|bar| bar.prices.map(|[.., close]| (bar.timestamp, close)));
    let zone = listing.zone.name();
    json!({
        "currency": listing.currency, "symbol": listing.symbol, "exchangeName": "SIM", "fullExchangeName": "Simulator",
        "instrumentType": listing.instrument, "firstTradeDate": first,
        "regularMarketTime": last.map(|(timestamp, _)| timestamp + 23_400), "hasPrePostMarketData": false,
        "gmtoffset": 0, "timezone": zone, "exchangeTimezoneName": zone,
        "regularMarketPrice": last.map(|(_, close)| close), "longName": format!("{} (simulated)", listing.symbol),
        "priceHint": 2, "dataGranularity": "1d", "range": "10y",
        "validRanges": ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"],
    })
}

fn columns(bars: &[Bar]) -> String {
    let price = |place: usize| column(bars, move |bar| bar.prices.map(|prices| prices[place]));
    format!(
        "\"timestamp\":[{}],\"indicators\":{{\"quote\":[{{\"open\":[{}],\"high\":[{}],\"low\":[{}],\"close\":[{}],\
         \"volume\":[{}]}}],\"adjclose\":[{{\"adjclose\":[{}]}}]}}",
        column(bars, |bar| Some(bar.timestamp)),
        price(0),
        price(1),
        price(2),
        price(3),
        column(bars, |bar| bar.prices.map(|_| bar.volume)),
        column(bars, |bar| bar.prices.map(|_| bar.adjusted_close)),
    )
}

fn column<T: std::fmt::Display>(bars: &[Bar], value: impl Fn(&Bar) -> Option<T>) -> String {
    let mut text = String::with_capacity(bars.len() * 12);
    for (index, bar) in bars.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let written = match value(bar) {
            Some(value) => write!(text, "{comma}{value}"),
            None => write!(text, "{comma}null"),
        };
        written.expect("writing to a string cannot fail");
    }
    text
}
