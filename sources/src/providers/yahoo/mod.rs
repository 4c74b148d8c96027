//! Yahoo Finance: the endpoints that its own web pages use. They are undocumented, so every response is checked.
//!
//! Prices are adjusted for splits as of the request, `adjclose` also for dividends. Yahoo rewrites them in place, and
//! the amounts of dividends too. The dates of bars and events are in the zone of the exchange.
//!
//! Requests for options need a cookie and its crumb, which Yahoo issues to every client. Requests for charts need
//! neither.
//!
//! An option quote has no time of its own; it gets that of its underlying. Yahoo writes 1e-5 for a missing volatility,
//! which is left out.

use std::time::Duration;

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde::Deserialize;

use contract::Text;
use contract::records::Instrument;

use crate::instrument::{self, FOR_ALL, FOR_SPLITS, Unit};
use crate::market::Market;
use crate::parse::body::{excerpt, is_markup, without_bom};
use crate::parse::json::{Bounded, Cell};
use crate::parse::percent::percent_encoded;
use crate::parse::raw::Raw;
use crate::response::{PageError, Parsed, Request};
use crate::schedule::{Kind, Schedule, hours, minutes};
use crate::source::{Auth, Base, Endpoint, History, LookBack, Range, Ranged, Source, Tolerance};
use crate::time::midnight;

mod bars;
mod events;
mod options;

use bars::Interval;

/// The source.
pub const SOURCE: Source = Source {
    name: "yahoo",
    doc: "Yahoo Finance: bars of shares, funds, indexes, currencies, futures and crypto; options (unofficial)",
    base_url: "https://query1.finance.yahoo.com",
    base_url_env: "TAPEDECK_YAHOO_URL",
    auth: Auth::Crumb {
        cookie: Base { url: "https://fc.yahoo.com", env: "TAPEDECK_YAHOO_COOKIE_URL" },
        crumb_path: "/v1/test/getcrumb",
        param: "crumb",
        paths: &["/v7/"],
    },
    // Yahoo responds 429 to clients that do not look like a browser.
    user_agent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    // The limit is not published; once hit, it lasts a quarter of an hour. Two requests a second stay below it.
    pause: Duration::from_millis(500),
    burst: 2,
    quota: None,
    endpoints: &[
        Endpoint {
            name: "chart",
            doc: "Bars of ten years, intraday of 60 days, minutes of 7 days; dividends, splits, capital gains, units",
            datasets: &["ohlcv_bar", "corporate_action", "instrument"],
            item: "symbol, e.g. `AAPL`, `^GSPC`; with an interval other than `1d`: `AAPL@1h`",
            known_at: "the time of receipt: Yahoo does not say when it changed a value",
            schedule: Schedule::while_trading(Kind::Prices, market, hours(1)),
            history: History {
                look_back: LookBack::Days(30),
                range: Some(Ranged { query: chart_dates, longest_days: 3700 }),
                // 8,368 of 10,395 values differed by up to 1.07e-6 between two responses.
                tolerance: Some(Tolerance { dataset: "ohlcv_bar", field: "adjusted_close", relative: 2e-6 }),
                sessions,
            },
            base: None,
            path,
            parse,
        },
        Endpoint {
            name: "options",
            doc: "Quotes of the options of a symbol: of the next expiration, or of one date",
            datasets: &["option_quote"],
            item: "symbol, e.g. `AAPL`; with an expiration date: `AAPL@2025-12-19`",
            known_at: "the time of receipt: Yahoo does not say when it changed a value",
            schedule: Schedule::while_trading(Kind::Options, market, minutes(30)),
            history: History::PASSING,
            base: None,
            path: options::path,
            parse: options::parse,
        },
    ],
};

/// The source's name, in records.
const NAME: Text = Text::literal(SOURCE.name);

/// Longest symbol that the field `symbol` can hold.
const MAX_SYMBOL_BYTES: usize = 40;
/// Default interval of an item.
const DEFAULT_INTERVAL: &str = "1d";

fn path(item: &str, _offset: u64) -> Result<String, PageError> {
    let (symbol, interval) = item.rsplit_once('@').unwrap_or((item, DEFAULT_INTERVAL));
    let interval = Interval::named(interval).map_err(PageError::Skip)?;
    let symbol = symbol_of(symbol, item)?;
    Ok(format!(
        "/v8/finance/chart/{}?interval={}&events=div%7Csplit%7CcapitalGains&includePrePost=false",
        percent_encoded(symbol),
        interval.name,
    ))
}

/// Requests a range of dates, or by default the longest range that we need.
fn chart_dates(item: &str, range: Option<Range>) -> String {
    let (_, name) = item.rsplit_once('@').unwrap_or((item, DEFAULT_INTERVAL));
    let interval = Interval::named(name).ok();
    // For minutes and hours Yahoo refuses a range that begins too early, instead of returning a part of it.
    let longest = interval.and_then(Interval::longest_days).unwrap_or(i64::MAX);
    match range {
        Some(Range { first, last }) if (last - first).num_days() < longest => {
            // A local day begins up to a day before or after the UTC day.
            let epoch = |date: NaiveDate, days: i64| midnight(date).timestamp() + days * 86_400;
            format!("&period1={}&period2={}", epoch(first, -1), epoch(last, 2))
        }
        _ => interval.map_or(String::new(), |interval| format!("&range={}", interval.range())),
    }
}

/// The market of a symbol, as far as its name tells; otherwise always open.
fn market(item: &str) -> Market {
    let symbol = item.split('@').next().unwrap_or(item);
    let indexes = ["^GSPC", "^NDX", "^IXIC", "^DJI", "^RUT", "^TNX", "^VIX"];
    match symbol.rsplit_once(['.', '-']) {
        _ if indexes.contains(&symbol) => Market::NewYork,
        _ if symbol.ends_with("=X") => Market::Currencies,
        Some((_, "L")) => Market::London,
        Some((_, "DE")) => Market::Frankfurt,
        // A share class.
        Some((_, "A" | "B")) => Market::NewYork,
        Some(_) => Market::Always,
        None if symbol.starts_with('^') || symbol.contains('=') => Market::Always,
        None => Market::NewYork,
    }
}

/// Daily bars of a share are expected for each session, those of a cryptocurrency for each day.
fn sessions(item: &str) -> Option<Market> {
    let is_daily = item.rsplit_once('@').is_none_or(|(_, interval)| interval == DEFAULT_INTERVAL);
    let market = market(item);
    (is_daily && (market != Market::Always || item.ends_with("-USD"))).then_some(market)
}

/// The symbol of an item, if valid.
fn symbol_of<'a>(symbol: &'a str, item: &str) -> Result<&'a str, PageError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".^=_-&".contains(&byte);
    let is_symbol = symbol.bytes().any(|byte| byte.is_ascii_alphanumeric()) && symbol.bytes().all(allowed);
    if !is_symbol || symbol.len() > MAX_SYMBOL_BYTES {
        return Err(PageError::Skip(format!("`{}` is not a symbol, such as `AAPL`", excerpt(item.as_bytes()))));
    }
    Ok(symbol)
}

/// A response: under the name of the endpoint, or under `finance` when the gateway refuses the request.
#[derive(Deserialize)]
struct Envelope<T> {
    #[serde(alias = "chart", alias = "optionChain", alias = "finance")]
    content: Option<Content<T>>,
}

#[derive(Deserialize)]
struct Content<T> {
    result: Option<Bounded<T>>,
    error: Option<ProviderError>,
}

#[derive(Deserialize)]
struct ProviderError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
struct Chart<'a> {
    meta: Meta,
    #[serde(borrow)]
    events: Option<Raw<'a>>,
    timestamp: Option<Bounded<Cell>>,
    indicators: Indicators,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    symbol: String,
    currency: Option<String>,
    exchange_timezone_name: String,
    data_granularity: String,
    regular_market_time: Option<i64>,
    instrument_type: Option<String>,
    exchange_name: Option<String>,
}

#[derive(Deserialize)]
struct Indicators {
    quote: Bounded<Quote>,
    adjclose: Option<Bounded<AdjustedClose>>,
}

#[derive(Deserialize)]
struct Quote {
    open: Option<Bounded<Cell>>,
    high: Option<Bounded<Cell>>,
    low: Option<Bounded<Cell>>,
    close: Option<Bounded<Cell>>,
    volume: Option<Bounded<Cell>>,
}

#[derive(Deserialize)]
struct AdjustedClose {
    adjclose: Option<Bounded<Cell>>,
}

fn parse(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let chart: Option<Chart<'_>> = first_result(body)?;
    let chart = chart.ok_or_else(|| PageError::Skip(format!("the provider has no chart of `{}`", request.item)))?;
    let (symbol, _) = request.item.rsplit_once('@').unwrap_or((request.item, DEFAULT_INTERVAL));
    if !chart.meta.symbol.eq_ignore_ascii_case(symbol) {
        let other = excerpt(chart.meta.symbol.as_bytes());
        return Err(PageError::Skip(format!("requested `{symbol}`, the response is for `{other}`")));
    }
    let zone = chart.meta.exchange_timezone_name.parse::<Tz>();
    let zone = zone.map_err(|_| {
        let name = excerpt(chart.meta.exchange_timezone_name.as_bytes());
        PageError::Skip(format!("the exchange's time zone `{name}` is unknown, so it has no trading dates"))
    })?;
    let interval = Interval::named(&chart.meta.data_granularity).map_err(PageError::Skip)?;
    let mut parsed = bars::parse(request, &chart, zone, interval)?;
    events::add(request, &chart, zone, &mut parsed)?;
    if !parsed.records.is_empty() {
        parsed.records.push(instrument(request, &chart.meta).into());
    }
    Ok(parsed)
}

/// What the prices of a chart are.
fn instrument(request: &Request<'_>, meta: &Meta) -> Instrument {
    let kind = meta.instrument_type.as_deref().and_then(instrument::kind);
    let is_index = kind.as_deref() == Some("index");
    let unit = if is_index { Unit::POINTS } else { Unit::of(meta.currency.as_deref()) };
    let mic = meta.exchange_name.as_deref().and_then(instrument::mic);
    Instrument {
        source: NAME,
        symbol: meta.symbol.as_str().into(),
        ticker: mic.as_deref().map(|mic| instrument::ticker(&meta.symbol, mic)),
        mic,
        isin: None,
        exchange: meta.exchange_name.as_deref().map(Text::from),
        kind,
        currency: unit.currency,
        unit: unit.unit,
        units_per_currency: unit.per_currency,
        price_adjustment: FOR_SPLITS,
        adjusted_close_adjustment: FOR_ALL,
        volume_adjustment: FOR_SPLITS,
        known_at: request.received_at,
        observed_at: request.received_at,
        flags: Vec::new(),
    }
}

/// The only result of a response that is not an error.
fn first_result<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<Option<T>, PageError> {
    if is_markup(body) {
        let words = excerpt(body);
        return Err(PageError::Retry(format!("expected JSON, received an HTML page (consent or error): `{words}`")));
    }
    let envelope = serde_json::from_slice::<Envelope<T>>(without_bom(body)).map_err(|error| not_json(body, &error))?;
    let Some(content) = envelope.content else {
        return Err(PageError::Retry(format!("the response has neither a result nor an error: `{}`", excerpt(body))));
    };
    if let Some(error) = content.error {
        return Err(provider_error(&error));
    }
    Ok(content.result.and_then(|Bounded(results)| results.into_iter().next()))
}

fn not_json(body: &[u8], error: &serde_json::Error) -> PageError {
    // The error may quote any length of the body.
    let error = excerpt(error.to_string().as_bytes());
    PageError::Retry(format!("not the JSON that Yahoo sends: {error}: `{}`", excerpt(body)))
}

fn provider_error(error: &ProviderError) -> PageError {
    let words = format!("{}: {}", excerpt(error.code.as_bytes()), excerpt(error.description.as_bytes()));
    let text = format!("the provider says `{words}`");
    match error.code.as_str() {
        // Delisted or unknown; no data in the range; a range too long for the interval.
        "Not Found" | "Bad Request" | "Unprocessable Entity" => PageError::Skip(text),
        // An expired crumb, a limit, an outage.
        _ => PageError::Retry(text),
    }
}

#[cfg(test)]
mod tests;
