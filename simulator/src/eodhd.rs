//! EODHD: prices, corporate actions, news and insiders of a few made-up symbols; their fundamentals are beside it.

use std::collections::HashMap;

use chrono::{Datelike as _, Days, NaiveDate, NaiveTime};
use serde_json::{Value, json};

use crate::calendar::{END, day, days, is_trading_day};
use crate::random::Random;
use crate::range::Range;
use crate::reply::Reply;

mod fundamentals;

/// The symbols: the first two file with the SEC, the last trades every day.
pub(crate) const SYMBOLS: &[&str] = &["SIMA.US", "SIMB.US", "SIM.LSE", "SIM-USD.CC"];
/// The exchanges.
pub(crate) const EXCHANGES: &[&str] = &["US", "LSE"];
/// Symbols of an exchange on its last day.
const LISTED: usize = 120;
/// Articles about the first symbol, more than one page, and about each other one.
const ARTICLES: [usize; 2] = [1100, 60];
/// Most articles at once.
const MAX_ARTICLES: usize = 1000;
/// Lines of insiders of a symbol that has some, and forms.
const LINES: usize = 40;
const FORMS: usize = 130;
/// Most forms at once.
const MAX_FORMS: usize = 100;

/// Parameters of the query string.
pub(crate) type Query = HashMap<String, String>;

/// Refuses a request without a well-formed token, in plain text whatever the requested format.
fn check_token(query: &Query) -> Result<(), Reply> {
    let token = query.get("api_token").map(String::as_str).unwrap_or_default();
    let is_token = token.len() >= 16 && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    if is_token { Ok(()) } else { Err(Reply::new(401, "text/html; charset=UTF-8", "Unauthenticated".to_owned())) }
}

fn check_symbol(symbol: &str) -> Result<(), Reply> {
    if SYMBOLS.contains(&symbol) { Ok(()) } else { Err(not_found()) }
}

fn not_found() -> Reply {
    Reply::new(404, "text/html; charset=UTF-8", "Ticker Not Found.".to_owned())
}

/// Requires `fmt=json`.
fn reply(query: &Query, rows: Value) -> Reply {
    match query.get("fmt").map(String::as_str) {
        Some("json") => Reply::json(200, rows.to_string()),
        // The default is CSV, which tapedeck does not use.
        _ => Reply::ok("text/csv", "No Results".to_owned()),
    }
}

/// Answers for a symbol under `folder`, which is `eod`, `div`, `splits` or `fundamentals`.
pub(crate) fn symbol(seed: u64, folder: &str, symbol: &str, query: &Query) -> Reply {
    if let Err(refused) = check_token(query).and_then(|()| check_symbol(symbol)) {
        return refused;
    }
    let rows = match folder {
        "eod" => within(query, bars(seed, symbol)),
        "div" => dividends(symbol),
        "splits" => splits(symbol),
        "fundamentals" => fundamentals::fundamentals(seed, symbol),
        _ => return not_found(),
    };
    reply(query, rows)
}

/// Answers for the last day of an exchange.
pub(crate) fn bulk(seed: u64, exchange: &str, query: &Query) -> Reply {
    if let Err(refused) = check_token(query) {
        return refused;
    }
    if !EXCHANGES.contains(&exchange) {
        return Reply::new(404, "text/html; charset=UTF-8", "Exchange Not Found.".to_owned());
    }
    let rows = match query.get("type").map(String::as_str) {
        None => bulk_bars(seed, exchange),
        Some("dividends") => bulk_dividends(exchange),
        Some("splits") => {
            json!([{ "code": "SIM001", "exchange": exchange, "date": END, "split": "1.000000/10.000000" }])
        }
        Some(_) => json!([]),
    };
    reply(query, rows)
}

/// Parameters that bound a history.
const BOUNDS: [&str; 2] = ["from", "to"];

/// The rows whose `date` lies within the requested range.
fn within(query: &Query, mut rows: Vec<Value>) -> Value {
    let range = Range::of(query, BOUNDS);
    if range.is_bounded() {
        rows.retain(|row| row["date"].as_str().is_some_and(|date| range.holds(date)));
    }
    Value::Array(rows)
}

/// Two decimals, as prices are.
fn price(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn bar(random: &mut Random, open: f64) -> (f64, Value) {
    let close = f64::max(1.0, open * (1.0003 + 0.03 * random.swing()));
    let high = open.max(close) * (1.0 + 0.01 * random.unit());
    let low = open.min(close) * (1.0 - 0.01 * random.unit());
    let volume = 10_000 + random.below(9_000_000);
    let bar = json!({
        "open": price(open), "high": price(high), "low": price(low), "close": price(close),
        "adjusted_close": price(close * 0.98), "volume": volume,
    });
    (close, bar)
}

/// A bar with the fields that identify it.
fn with_bar(mut head: Value, bar: Value) -> Value {
    if let (Value::Object(head), Value::Object(bar)) = (&mut head, bar) {
        head.extend(bar);
    }
    head
}

fn bars(seed: u64, symbol: &str) -> Vec<Value> {
    let mut random = Random::new(seed, symbol);
    let mut close = 20.0 + 180.0 * random.unit();
    let dates = days(day(END.year(), 1, 1)).filter(|date| symbol.ends_with(".CC") || is_trading_day(*date));
    let bars = dates.map(|date| {
        let (last, bar) = bar(&mut random, close);
        close = last;
        with_bar(json!({ "date": date }), bar)
    });
    bars.collect()
}

fn bulk_bars(seed: u64, exchange: &str) -> Value {
    let mut random = Random::new(seed, exchange);
    let rows = (0..LISTED).map(|index| {
        // One is not traded any more.
        let date = if index == 0 { day(END.year(), 8, 15) } else { END };
        let open = 5.0 + 100.0 * random.unit();
        let (_, bar) = bar(&mut random, open);
        with_bar(json!({ "code": format!("SIM{index:03}"), "exchange_short_name": exchange, "date": date }), bar)
    });
    Value::Array(rows.collect())
}

fn bulk_dividends(exchange: &str) -> Value {
    let row = |index: usize| {
        json!({
            "code": format!("SIM{index:03}"), "exchange": exchange, "date": END, "dividend": "0.25000", "currency": "USD",
            "declarationDate": null, "recordDate": null, "paymentDate": null, "period": null, "unadjustedValue": "0.25000",
        })
    };
    (0..5).map(row).collect()
}

/// Quarterly for five years; shares of London pay in pence, currencies nothing.
fn dividends(symbol: &str) -> Value {
    if symbol.ends_with(".CC") {
        return json!([]);
    }
    let currency = if symbol.ends_with(".LSE") { "GBX" } else { "USD" };
    let quarters = (END.year() - 4..=END.year()).flat_map(|year| [2, 5, 8, 11].map(|month| day(year, month, 9)));
    let dividend = |date: NaiveDate| {
        json!({
            "date": date, "declarationDate": later(date, -16), "recordDate": later(date, 3), "paymentDate": later(date, 7),
            "period": "Quarterly", "value": 0.24, "unadjustedValue": 0.48, "currency": currency,
        })
    };
    Value::Array(quarters.map(dividend).collect())
}

fn splits(symbol: &str) -> Value {
    if symbol == SYMBOLS[0] {
        return json!([
            { "date": "2014-06-09", "split": "7.000000/1.000000" },
            { "date": "2020-08-31", "split": "4.000000/1.000000" },
        ]);
    }
    json!([])
}

fn later(date: NaiveDate, days: i64) -> NaiveDate {
    date.checked_add_signed(chrono::TimeDelta::days(days)).unwrap_or(date)
}

/// Answers for `news`, the newest first.
pub(crate) fn news(seed: u64, query: &Query) -> Reply {
    if let Err(refused) = check_token(query) {
        return refused;
    }
    let symbol = query.get("s").map(String::as_str).unwrap_or_default();
    let Some(place) = SYMBOLS.iter().position(|known| *known == symbol) else {
        return reply(query, json!([]));
    };
    let (limit, offset) = (number(query, "limit", 50).min(MAX_ARTICLES), number(query, "offset", 0));
    let total = ARTICLES[place.min(1)];
    let mut random = Random::new(seed, symbol);
    let range = Range::of(query, BOUNDS);
    let articles = (0..total).map(|index| article(&mut random, symbol, index));
    let articles = articles.filter(|article| article["date"].as_str().is_some_and(|date| range.holds(date)));
    reply(query, Value::Array(articles.skip(offset).take(limit).collect()))
}

fn number(query: &Query, name: &str, otherwise: usize) -> usize {
    query.get(name).and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn article(random: &mut Random, symbol: &str, index: usize) -> Value {
    let date = END.checked_sub_days(Days::new(index as u64 / 4)).unwrap_or(END);
    let hour = 23 - (index as u32 % 4) * 5;
    let time = date.and_time(NaiveTime::from_hms_opt(hour, 8, 0).unwrap_or_default()).and_utc();
    let (negative, positive) = (price(0.3 * random.unit()), price(0.3 * random.unit()));
    let sentiment = json!({
        "polarity": price(random.swing()), "neg": negative, "neu": price(1.0 - negative - positive), "pos": positive,
    });
    let folder = symbol.to_ascii_lowercase().replace('.', "-");
    json!({
        "date": time.to_rfc3339(),
        "title": format!("What moved {symbol} on {date}, part {}", index % 4 + 1),
        "content": format!("Shares of {symbol} moved.\n\nContinue reading"),
        "link": format!("https://news.example/{folder}/{index}.html?utm_source=feed&amp;utm_medium=referral"),
        "symbols": [symbol],
        "tags": if index.is_multiple_of(5) { json!([]) } else { json!(["MARKETS"]) },
        // Some articles have no score.
        "sentiment": if index.is_multiple_of(25) { Value::Null } else { sentiment },
    })
}

/// Answers for `insider-transactions`.
pub(crate) fn insiders(seed: u64, query: &Query) -> Reply {
    if let Err(refused) = check_token(query) {
        return refused;
    }
    let symbol = query.get("code").map(String::as_str).unwrap_or_default();
    if !files_with_the_sec(symbol) {
        return reply(query, json!([]));
    }
    let mut random = Random::new(seed, symbol);
    let limit = number(query, "limit", 100);
    let line = |index: usize| {
        let date = later(END, -3 * index as i64);
        json!({
            "code": symbol, "date": date, "reportDate": later(date, 2), "ownerName": format!("Insider {}", index % 4),
            "ownerCik": format!("{:010}", 1_000_000 + index % 4), "ownerTitle": "Director", "transactionDate": date,
            "transactionCode": "S", "transactionAmount": 100 + random.below(9000), "transactionPrice": price(150.0 + random.unit()),
            "transactionAcquiredDisposed": "D", "postTransactionAmount": null, "secLink": null,
        })
    };
    reply(query, Value::Array((0..LINES.min(limit)).map(line).collect()))
}

fn files_with_the_sec(symbol: &str) -> bool {
    SYMBOLS.contains(&symbol) && symbol.ends_with(".US")
}

/// Answers for `sec-filings/{symbol}/form4`, a page of forms.
pub(crate) fn forms(seed: u64, symbol: &str, query: &Query) -> Reply {
    if let Err(refused) = check_token(query).and_then(|()| check_symbol(symbol)) {
        return refused;
    }
    let total = if files_with_the_sec(symbol) { FORMS } else { 0 };
    let limit = number(query, "page[limit]", 20).clamp(1, MAX_FORMS);
    let offset = number(query, "page[offset]", 0);
    let mut random = Random::new(seed, symbol);
    let forms: Vec<Value> = (0..total).map(|index| form(&mut random, symbol, index)).skip(offset).take(limit).collect();
    let end = offset.saturating_add(forms.len());
    let next = (end < total).then(|| {
        format!("https://eodhd.com/api/sec-filings/{symbol}/form4?page%5Boffset%5D={end}&page%5Blimit%5D={limit}")
    });
    let body = json!({
        "data": forms,
        "meta": { "total": total, "page": { "offset": offset, "limit": limit } },
        "links": { "next": next },
    });
    Reply::json(200, body.to_string())
}

fn form(random: &mut Random, symbol: &str, index: usize) -> Value {
    let traded = later(END, -2 - 3 * index as i64);
    let place = SYMBOLS.iter().position(|known| *known == symbol).unwrap_or_default();
    let line = json!({
        "reporting_owner_cik": format!("{:010}", 1_000_000 + index % 4), "reporting_owner_name": format!("INSIDER {}", index % 4),
        "is_director": true, "is_officer": false, "is_ten_percent_owner": false, "is_other": false,
        "officer_title": null, "other_text": null, "security_title": "Common Stock",
        "transaction_date": format!("{traded}T00:00:00+00:00"), "transaction_code": "S", "acquired_or_disposed": "D",
        "shares_amount": 100 + random.below(9000), "price_per_share": price(150.0 + random.unit()),
        "shares_owned_after": 100_000 - index, "total_value": null,
    });
    json!({
        "accession_number": format!("{:010}-25-{index:06}", 9_000_000 + place), "filed_at": later(traded, 2),
        "period_of_report": traded, "non_derivative": [line], "derivative": [], "footnotes": [],
    })
}
