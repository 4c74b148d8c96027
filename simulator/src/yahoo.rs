//! Yahoo's endpoints: daily bars of made-up symbols with their dividends and splits, and options on the shares for those
//! who show cookie and crumb.

use std::collections::HashMap;
use std::fmt::Write as _;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};

use crate::Config;
use crate::calendar::{END, day, days, is_trading_day};
use crate::random::Random;
use crate::reply::Reply;

mod scripted;

pub(crate) use scripted::Script;
pub use scripted::Shown;

/// The one interval that there is.
pub(crate) const DAILY: &str = "1d";
/// Rows without any value in every chart: halts.
const HALTS: usize = 3;
/// What a dividend takes off the adjusted close of every earlier day.
const DIVIDEND_YIELD: f64 = 0.005;
/// When the options expire: third Fridays.
const EXPIRATIONS: [NaiveDate; 3] = [day(2026, 1, 16), day(2026, 2, 20), day(2026, 3, 20)];
/// How far their strikes lie from the price on each side, in steps.
const STRIKES: i64 = 15;
/// Where Yahoo has computed no volatility.
const NO_VOLATILITY: f64 = 0.00001;

/// What is handed to whoever asks.
const COOKIE: &str = "A3=d=simulated&S=0000";
const SET_COOKIE: &str = "A3=d=simulated&S=0000; Max-Age=31557600; Path=/; SameSite=None; HttpOnly";
/// What belongs to it; in an address its slash has to be encoded.
const CRUMB: &str = "sim/Crumb.00";

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

/// Whether there is such a symbol; told without a look at all of them.
pub(crate) fn is_listed(config: &Config, symbol: &str) -> bool {
    let place = match symbol {
        "SIM.L" => Some(1),
        "SIM-USD" => Some(2),
        _ => symbol.strip_prefix("SIM").and_then(|number| number.parse().ok()),
    };
    place.is_some_and(|place| place < config.symbols && symbol_at(place) == symbol)
}

/// The day with which the bars begin.
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

/// The part of a chart that is asked for, in seconds since 1970: from the first up to, but not, the second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    from: i64,
    to: i64,
}

impl Window {
    /// That of `period1` and `period2`; None when neither is given.
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

/// Every bar of a symbol, if there is such a symbol.
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
    // Before the first bar there is nothing that could be asked for.
    if let Some(Window { from, to }) = window
        && meta["firstTradeDate"].as_i64().is_none_or(|first| to <= first)
    {
        return error(400, "Bad Request", &format!("Data doesn't exist for startDate = {from}, endDate = {to}"));
    }
    // The columns are long: they are written as text instead of going through JSON values.
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

/// A row of a chart.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    timestamp: i64,
    /// Open, high, low, close; none when trade was halted.
    prices: Option<[f64; 4]>,
    volume: u64,
    adjusted_close: f64,
    pays_dividend: bool,
}

impl Bar {
    /// Whether it was traded.
    pub(crate) fn has_value(&self) -> bool {
        self.prices.is_some()
    }
}

fn bars(config: &Config, listing: &Listing) -> Vec<Bar> {
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

fn first_close(random: &mut Random) -> f64 {
    20.0 + 180.0 * random.unit()
}

/// The bar of a day, after the close of the day before.
fn traded(random: &mut Random, close: &mut f64, listing: &Listing, date: NaiveDate) -> Bar {
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

/// One split of each share, if it is among these bars: the prices before it are adjusted already.
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

/// Hands out the cookie; there is nothing else.
pub(crate) fn cookie() -> Reply {
    Reply::new(404, "text/html", String::new()).cookie(SET_COOKIE)
}

/// Answers with the crumb that belongs to a cookie.
pub(crate) fn crumb(cookies: &str) -> Reply {
    if has_cookie(cookies) { Reply::ok("text/plain", CRUMB.to_owned()) } else { unauthorized("Invalid Cookie") }
}

/// Refuses what only those may see who show both.
pub(crate) fn check_pass(cookies: &str, crumb: &str) -> Option<Reply> {
    (!has_cookie(cookies) || crumb != CRUMB).then(|| unauthorized("Invalid Crumb"))
}

fn has_cookie(cookies: &str) -> bool {
    cookies.split("; ").any(|cookie| cookie == COOKIE)
}

/// The gateway's refusal, under a name of its own.
fn unauthorized(description: &str) -> Reply {
    let error = json!({ "code": "Unauthorized", "description": description });
    Reply::json(401, json!({ "finance": { "result": null, "error": error } }).to_string())
}

/// Items of the options that there are: those that expire next, and those of one date.
pub(crate) fn option_items(config: &Config) -> Vec<String> {
    let shares = symbols(config).into_iter().filter(|symbol| !symbol.contains('-')).take(3);
    shares
        .enumerate()
        .map(|(at, symbol)| if at == 0 { symbol } else { format!("{symbol}@{}", EXPIRATIONS[at]) })
        .collect()
}

/// Answers for the options on a symbol that expire on a date, or next.
pub(crate) fn options(config: &Config, symbol: &str, date: Option<i64>) -> Reply {
    let result = listing(config, symbol).map(|listing| chain(config, &listing, date));
    let body = json!({ "optionChain": { "result": result.into_iter().collect::<Vec<Value>>(), "error": null } });
    Reply::json(200, body.to_string())
}

fn chain(config: &Config, listing: &Listing, date: Option<i64>) -> Value {
    let bars = bars(config, listing);
    let meta = meta(listing, &bars);
    let price = meta["regularMarketPrice"].as_f64().unwrap_or(100.0);
    let dates: &[NaiveDate] = if listing.is_crypto() { &[] } else { &EXPIRATIONS };
    let date = date.or(dates.first().map(|date| epoch(*date)));
    let strikes = if dates.is_empty() { Vec::new() } else { strikes(price) };
    let expiration = dates.iter().find(|own| Some(epoch(**own)) == date);
    let contracts = |letter| match expiration {
        Some(expiration) => contracts(config, listing, *expiration, letter, &strikes, price),
        None => Vec::new(),
    };
    let options = date.filter(|_| !dates.is_empty()).map(|date| {
        json!({ "expirationDate": date, "hasMiniOptions": false, "calls": contracts('C'), "puts": contracts('P') })
    });
    json!({
        "underlyingSymbol": listing.symbol, "expirationDates": dates.iter().map(|date| epoch(*date)).collect::<Vec<_>>(),
        "strikes": strikes.iter().map(|strike| *strike as f64 / 1000.0).collect::<Vec<_>>(), "hasMiniOptions": false,
        "quote": {
            "quoteType": listing.instrument, "currency": listing.currency, "exchange": "SIM", "symbol": listing.symbol,
            "regularMarketPrice": price, "regularMarketTime": meta["regularMarketTime"], "marketState": "CLOSED",
        },
        "options": options.into_iter().collect::<Vec<_>>(),
    })
}

/// Seconds from 1970 to a day.
fn epoch(date: NaiveDate) -> i64 {
    date.and_time(NaiveTime::MIN).and_utc().timestamp()
}

/// Strikes around a price in thousandths, five to a hundred apart.
fn strikes(price: f64) -> Vec<i64> {
    let step = if price < 100.0 { 2500 } else { 5000 };
    let middle = (price * 1000.0) as i64 / step * step;
    (-STRIKES..=STRIKES).map(|place| middle + place * step).filter(|strike| *strike > 0).collect()
}

fn contracts(
    config: &Config,
    listing: &Listing,
    expiration: NaiveDate,
    letter: char,
    strikes: &[i64],
    price: f64,
) -> Vec<Value> {
    let mut random = Random::new(config.seed, &format!("{} {expiration} {letter}", listing.symbol));
    let root: String = listing.symbol.chars().filter(char::is_ascii_alphanumeric).collect();
    let contract = |strike: &i64| {
        let (name, strike) =
            (format!("{root}{}{letter}{strike:08}", expiration.format("%y%m%d")), *strike as f64 / 1000.0);
        let worth = if letter == 'C' { price - strike } else { strike - price };
        let last = (worth.max(0.0) + 5.0 * random.unit()).max(0.01);
        let cents = |price: f64| (price * 100.0).round() / 100.0;
        let mut contract = json!({
            "contractSymbol": name, "strike": strike, "currency": listing.currency, "lastPrice": cents(last),
            "change": cents(random.swing()), "percentChange": 10.0 * random.swing(), "openInterest": random.below(5000),
            "bid": cents(last * 0.98), "ask": cents(last * 1.02), "contractSize": "REGULAR", "expiration": epoch(expiration),
            "lastTradeDate": epoch(END) + 50_400 + random.below(23_400) as i64,
            "impliedVolatility": if random.below(10) == 0 { NO_VOLATILITY } else { 0.2 + 0.4 * random.unit() },
            "inTheMoney": worth > 0.0,
        });
        // Yahoo says nothing where nothing was traded.
        if random.below(4) != 0 {
            contract["volume"] = random.below(2000).into();
        }
        contract
    };
    strikes.iter().map(contract).collect()
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
    if bars.is_empty() {
        // As Yahoo says that nothing was traded.
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
