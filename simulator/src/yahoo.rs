//! Yahoo's endpoints: daily bars of made-up symbols with dividends and splits, and options for clients with cookie and
//! crumb.

use std::collections::HashMap;
use std::fmt::Write as _;

use chrono::{Datelike, NaiveDate};
use chrono_tz::Tz;
use serde_json::{Value, json};

use crate::Config;
use crate::calendar::{END, day};
use crate::random::Random;
use crate::reply::Reply;

mod bars;
mod options;
mod scripted;

pub(crate) use bars::Bar;
use bars::{DIVIDEND_YIELD, bars};
pub(crate) use options::{check_pass, cookie, crumb, option_items, options};
pub(crate) use scripted::Script;
pub use scripted::Shown;

/// The only interval.
pub(crate) const DAILY: &str = "1d";

/// A symbol and where it is traded.
#[derive(Debug)]
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
    (0..config.symbols).map(symbol_at).collect()
}

fn symbol_at(place: usize) -> String {
    match place {
        1 => "SIM.L".to_owned(),
        2 => "SIM-USD".to_owned(),
        _ => format!("SIM{place:03}"),
    }
}

/// Whether the symbol exists; does not go through all of them.
pub(crate) fn is_listed(config: &Config, symbol: &str) -> bool {
    let place = match symbol {
        "SIM.L" => Some(1),
        "SIM-USD" => Some(2),
        _ => symbol.strip_prefix("SIM").and_then(|number| number.parse().ok()),
    };
    place.is_some_and(|place| place < config.symbols && symbol_at(place) == symbol)
}

/// The day of the first bar.
pub(crate) fn first_day(config: &Config) -> NaiveDate {
    day(END.year() - config.years as i32 + 1, 1, 1)
}

fn listing(config: &Config, symbol: &str) -> Option<Listing> {
    let symbol = is_listed(config, symbol).then(|| symbol.to_owned())?;
    let (zone, open, currency, instrument) = match symbol.as_str() {
        "SIM.L" => (Tz::Europe__London, (8, 0), "GBp", "EQUITY"),
        "SIM-USD" => (Tz::UTC, (0, 0), "USD", "CRYPTOCURRENCY"),
        _ => (Tz::America__New_York, (9, 30), "USD", "EQUITY"),
    };
    Some(Listing { symbol, zone, open, currency, instrument })
}

/// The requested part of a chart, in seconds since 1970: from `from` up to, but excluding, `to`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    from: i64,
    to: i64,
}

impl Window {
    /// The window between `period1` and `period2`; None when both are absent.
    pub(crate) fn of(parameters: &HashMap<String, String>) -> Option<Window> {
        let [from, to] = ["period1", "period2"].map(|name| parameters.get(name).and_then(|text| text.parse().ok()));
        let window = Window { from: from.unwrap_or(i64::MIN), to: to.unwrap_or(i64::MAX) };
        (from.is_some() || to.is_some()).then_some(window)
    }

    /// Whether all of these bars lie within it.
    pub(crate) fn holds(self, bars: &[Bar]) -> bool {
        !bars.is_empty() && self.of_bars(bars).len() == bars.len()
    }

    /// The bars within it.
    fn of_bars(self, bars: &[Bar]) -> &[Bar] {
        let [from, to] = [self.from, self.to].map(|time| bars.partition_point(|bar| bar.timestamp < time));
        bars.get(from..to).unwrap_or_default()
    }
}

/// Answers for a symbol.
pub(crate) fn chart(config: &Config, symbol: &str, interval: &str) -> Reply {
    match listing(config, symbol) {
        None => unknown(),
        Some(_) if interval != DAILY => no_interval(),
        Some(listing) => drawn(config, &listing, &bars(config, &listing), None),
    }
}

/// Every bar of a symbol; None when it does not exist.
pub(crate) fn all_bars(config: &Config, symbol: &str) -> Option<Vec<Bar>> {
    listing(config, symbol).map(|listing| bars(config, &listing))
}

/// Answers for a part of a symbol's bars.
pub(crate) fn chart_within(config: &Config, symbol: &str, bars: &[Bar], window: Window) -> Reply {
    listing(config, symbol).map_or_else(unknown, |listing| drawn(config, &listing, bars, Some(window)))
}

/// The chart of all bars, or of those in a window.
fn drawn(config: &Config, listing: &Listing, all: &[Bar], window: Option<Window>) -> Reply {
    let bars = window.map_or(all, |window| window.of_bars(all));
    let events = json!({ "dividends": dividends(bars), "splits": splits(config, listing, all, bars) });
    written(&meta(listing, all), &events, bars, window)
}

fn written(meta: &Value, events: &Value, bars: &[Bar], window: Option<Window>) -> Reply {
    // Yahoo refuses a window before the first bar.
    if let Some(Window { from, to }) = window
        && meta["firstTradeDate"].as_i64().is_none_or(|first| to <= first)
    {
        return error(400, "Bad Request", &format!("Data doesn't exist for startDate = {from}, endDate = {to}"));
    }
    // The columns are long, so they are written as text without JSON values.
    let head = json!([{ "meta": meta, "events": events }]).to_string();
    let head = head.strip_suffix("}]").expect("an object in a list");
    Reply::json(200, format!("{{\"chart\":{{\"result\":{head},{}}}],\"error\":null}}}}", columns(bars)))
}

fn unknown() -> Reply {
    error(404, "Not Found", "No data found, symbol may be delisted")
}

fn no_interval() -> Reply {
    error(400, "Bad Request", "the simulator has daily bars only")
}

fn error(status: u16, code: &str, description: &str) -> Reply {
    let body = json!({ "chart": { "result": null, "error": { "code": code, "description": description } } });
    Reply::json(status, body.to_string())
}

fn dividends(bars: &[Bar]) -> Value {
    let paid = bars.iter().filter(|bar| bar.pays_dividend);
    let event = |bar: &Bar| {
        let amount = bar.prices.map_or(0.0, |[.., close]| (close * DIVIDEND_YIELD * 100.0).round() / 100.0);
        (bar.timestamp.to_string(), json!({ "amount": amount, "date": bar.timestamp }))
    };
    Value::Object(paid.map(event).collect())
}

/// One split per share, if it is among these bars; the prices before it are already adjusted.
fn splits(config: &Config, listing: &Listing, all: &[Bar], bars: &[Bar]) -> Value {
    let mut random = Random::new(config.seed, &format!("{} split", listing.symbol));
    let timestamp = all[random.below(all.len())].timestamp;
    let (new, old) = [(2, 1), (4, 1), (3, 2), (1, 10)][random.below(4)];
    let split = json!({
        "date": timestamp, "numerator": new, "denominator": old, "splitRatio": format!("{new}:{old}"),
    });
    let is_shown = !listing.is_crypto() && bars.iter().any(|bar| bar.timestamp == timestamp);
    let splits = is_shown.then(|| (timestamp.to_string(), split));
    Value::Object(splits.into_iter().collect())
}

fn meta(listing: &Listing, bars: &[Bar]) -> Value {
    let first = bars.first().map(|bar| bar.timestamp);
    let last = bars.iter().rev().find_map(|bar| bar.prices.map(|[.., close]| (bar.timestamp, close)));
    let zone = listing.zone.name();
    let exchange = if listing.currency == "GBp" { "LSE" } else { "SIM" };
    json!({
        "currency": listing.currency, "symbol": listing.symbol, "exchangeName": exchange, "fullExchangeName": "Simulator",
        "instrumentType": listing.instrument, "firstTradeDate": first,
        "regularMarketTime": last.map(|(timestamp, _)| timestamp + 23_400), "hasPrePostMarketData": false,
        "gmtoffset": 0, "timezone": zone, "exchangeTimezoneName": zone,
        "regularMarketPrice": last.map(|(_, close)| close), "longName": format!("{} (simulated)", listing.symbol),
        "priceHint": 2, "dataGranularity": "1d", "range": "10y",
        "validRanges": ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"],
    })
}

fn columns(bars: &[Bar]) -> String {
    if bars.is_empty() {
        // Yahoo answers this when nothing was traded.
        return "\"indicators\":{\"quote\":[{}],\"adjclose\":[{}]}".to_owned();
    }
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
