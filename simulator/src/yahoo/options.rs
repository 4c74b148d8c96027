//! Options on the shares, for clients with cookie and crumb.

use chrono::{NaiveDate, NaiveTime};
use serde_json::{Value, json};

use super::bars::bars;
use super::{Listing, listing, meta, symbols};
use crate::Config;
use crate::calendar::{END, day};
use crate::random::Random;
use crate::reply::Reply;

/// When the options expire: third Fridays.
const EXPIRATIONS: [NaiveDate; 3] = [day(2026, 1, 16), day(2026, 2, 20), day(2026, 3, 20)];
/// How far their strikes lie from the price on each side, in steps.
const STRIKES: i64 = 15;
/// Yahoo's value for a volatility that it has not computed.
const NO_VOLATILITY: f64 = 0.00001;

/// The cookie for every client.
const COOKIE: &str = "A3=d=simulated&S=0000";
const SET_COOKIE: &str = "A3=d=simulated&S=0000; Max-Age=31557600; Path=/; SameSite=None; HttpOnly";
/// The crumb that belongs to the cookie; its slash must be encoded in an address.
const CRUMB: &str = "sim/Crumb.00";

/// Hands out the cookie with a 404, as Yahoo does.
pub(crate) fn cookie() -> Reply {
    Reply::new(404, "text/html", String::new()).cookie(SET_COOKIE)
}

/// Answers with the crumb that belongs to a cookie.
pub(crate) fn crumb(cookies: &str) -> Reply {
    if has_cookie(cookies) { Reply::ok("text/plain", CRUMB.to_owned()) } else { unauthorized("Invalid Cookie") }
}

/// Refuses a request without the cookie and its crumb.
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

/// Items of options: the next expiration, and one date.
pub(crate) fn option_items(config: &Config) -> Vec<String> {
    let shares = symbols(config).into_iter().filter(|symbol| !symbol.contains('-')).take(3);
    shares
        .enumerate()
        .map(|(at, symbol)| if at == 0 { symbol } else { format!("{symbol}@{}", EXPIRATIONS[at]) })
        .collect()
}

/// Answers with the options on a symbol that expire on a date, or next.
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
        // Yahoo leaves the volume out when nothing was traded.
        if random.below(4) != 0 {
            contract["volume"] = random.below(2000).into();
        }
        contract
    };
    strikes.iter().map(contract).collect()
}
