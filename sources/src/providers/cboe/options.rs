//! Delayed quotes of all options of an underlying, as one JSON file.
//!
//! Each time has its own zone, and none names it: `timestamp` is UTC, `last_trade_time` is New York time. The open
//! interest is that of the previous session. While markets are closed, Cboe rewrites the file with equal quotes.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::{America, Tz};
use contract::Text;
use contract::records::OptionQuote;
use serde::Deserialize;

use super::{NAME, markup};
use crate::parse::body::{excerpt, is_markup, without_bom};
use crate::parse::duplicates::Keys;
use crate::parse::fault::Fault;
use crate::parse::json::Bounded;
use crate::parse::occ;
use crate::parse::raw::Raw;
use crate::parse::value::{Object, absent, scalar};
use crate::response::{PageError, Parsed, Request};

/// The time zone of `last_trade_time`.
const ZONE: Tz = America::New_York;
/// Longest symbol of an underlying.
const MAX_SYMBOL_BYTES: usize = 40;

pub(super) fn path(item: &str, _offset: u64) -> Result<String, PageError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let is_symbol = item.bytes().any(|byte| byte.is_ascii_alphanumeric()) && item.bytes().all(allowed);
    if !is_symbol || item.len() > MAX_SYMBOL_BYTES {
        let item = excerpt(item.as_bytes());
        return Err(PageError::Skip(format!("`{item}` is not the symbol of an underlying, such as `AAPL` or `_SPX`")));
    }
    Ok(format!("/api/global/delayed_quotes/options/{item}.json"))
}

/// The response.
#[derive(Deserialize)]
struct Envelope<'a> {
    timestamp: Option<String>,
    symbol: Option<String>,
    #[serde(borrow)]
    data: Option<Data<'a>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    symbol: Option<String>,
    current_price: Option<f64>,
    #[serde(borrow)]
    options: Option<Bounded<Raw<'a>>>,
}

/// What all quotes of a file share.
struct Underlying<'a> {
    request: &'a Request<'a>,
    symbol: Text,
    price: Option<f64>,
    quoted_at: DateTime<Utc>,
}

pub(super) fn parse(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    if is_markup(body) {
        return Err(markup("underlying", "JSON", request, body));
    }
    let envelope: Envelope<'_> = serde_json::from_slice(without_bom(body)).map_err(|error| not_json(body, &error))?;
    let no_options = || PageError::Retry(format!("the response has no `options`: `{}`", excerpt(body)));
    let data = envelope.data.ok_or_else(no_options)?;
    let Bounded(rows) = data.options.ok_or_else(no_options)?;
    let symbol = data.symbol.or(envelope.symbol);
    let quoted_at = quoted_at(request, envelope.timestamp.as_deref())?;
    let underlying = Underlying {
        request,
        symbol: own_symbol(request, symbol.as_deref())?.into(),
        price: data.current_price,
        quoted_at,
    };
    let mut parsed = Parsed { records: Vec::with_capacity(rows.len()), ..Parsed::default() };
    let mut keys = Keys::with_capacity(rows.len());
    for row in rows {
        match underlying.quote(row, &mut keys) {
            Ok(quote) => parsed.records.push(quote.into()),
            Err(fault) => parsed.rejects.push(fault.reject(row.get().as_bytes())),
        }
    }
    Ok(parsed)
}

fn not_json(body: &[u8], error: &serde_json::Error) -> PageError {
    // The error may quote the body at any length.
    let error = excerpt(error.to_string().as_bytes());
    PageError::Retry(format!("not the JSON that Cboe sends: {error}: `{}`", excerpt(body)))
}

/// The item in capital letters, if the response is about it. Of an index with `^`, as in the response; its file name
/// has `_` instead.
fn own_symbol(request: &Request<'_>, symbol: Option<&str>) -> Result<String, PageError> {
    let own = |text: &str| match text.strip_prefix(['_', '^']) {
        Some(index) => format!("^{}", index.to_ascii_uppercase()),
        None => text.to_ascii_uppercase(),
    };
    let asked = own(request.item);
    match symbol {
        // Shares of several classes are written with or without a dot.
        Some(symbol) if letters(symbol) != letters(&asked) => {
            let symbol = excerpt(symbol.as_bytes());
            Err(PageError::Skip(format!("requested `{}`, the response is for `{symbol}`", request.item)))
        }
        Some(symbol) if symbol.starts_with(['_', '^']) == asked.starts_with('^') => Ok(own(symbol)),
        _ => Ok(asked),
    }
}

fn letters(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).collect()
}

/// Reads `timestamp`, which is UTC; without one, the quotes are as of the receipt.
fn quoted_at(request: &Request<'_>, timestamp: Option<&str>) -> Result<DateTime<Utc>, PageError> {
    let Some(text) = timestamp else { return Ok(request.received_at) };
    let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f");
    let time = time.map_err(|_| {
        let text = excerpt(text.as_bytes());
        PageError::Retry(format!("the file's `timestamp` `{text}` is not a time like `2024-12-31 12:00:00`"))
    })?;
    Ok(request.not_after_receipt(time.and_utc()))
}

impl Underlying<'_> {
    fn quote<'a>(&self, row: Raw<'a>, keys: &mut Keys<Cow<'a, str>>) -> Result<OptionQuote, Fault> {
        let row = Object::row(row)?;
        let symbol = row.raw("option").and_then(scalar).ok_or_else(|| absent("option"))?;
        let contract = occ::parse(&symbol)?;
        let last_traded_at = row.local_time("last_trade_time")?.map(new_york).transpose()?;
        let quote = OptionQuote {
            source: NAME,
            contract_symbol: Text::from(&*symbol),
            quoted_at: self.quoted_at,
            underlying_symbol: self.symbol.clone(),
            expiration_date: contract.expiration_date,
            strike: contract.strike,
            option_type: contract.option_type.into(),
            bid: row.number("bid")?,
            ask: row.number("ask")?,
            bid_size: row.number("bid_size")?,
            ask_size: row.number("ask_size")?,
            last_price: not_zero(row.number("last_trade_price")?),
            last_traded_at,
            change: row.number("change")?,
            change_percent: row.number("percent_change")?,
            open: not_zero(row.number("open")?),
            high: not_zero(row.number("high")?),
            low: not_zero(row.number("low")?),
            previous_close: row.number("prev_day_close")?,
            volume: row.number("volume")?,
            open_interest: row.number("open_interest")?,
            implied_volatility: not_zero(row.number("iv")?),
            delta: row.number("delta")?,
            gamma: row.number("gamma")?,
            theta: row.number("theta")?,
            vega: row.number("vega")?,
            rho: row.number("rho")?,
            theoretical_price: row.number("theo")?,
            underlying_price: self.price,
            currency: None,
            contract_size: None,
            known_at: self.quoted_at,
            observed_at: self.request.received_at,
            flags: Vec::new(),
        };
        if !keys.insert(symbol) {
            return Err(Fault("duplicate", format!("`{}` is already in the file", quote.contract_symbol)));
        }
        Ok(quote)
    }
}

/// Cboe writes 0.0 for a missing value: no volatility computed, or nothing traded in the session or ever.
fn not_zero(number: Option<f64>) -> Option<f64> {
    number.filter(|number| *number != 0.0)
}

/// The instant of a time in New York; the first of two where clocks were put back.
fn new_york(time: NaiveDateTime) -> Result<DateTime<Utc>, Fault> {
    let instant = ZONE.from_local_datetime(&time).earliest().map(|instant| instant.to_utc());
    instant.ok_or_else(|| {
        Fault("date", format!("`last_trade_time` {time} does not exist in New York, where clocks skip it"))
    })
}

#[cfg(test)]
mod tests;
