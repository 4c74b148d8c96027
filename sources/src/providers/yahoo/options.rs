//! The options of one symbol with one expiration date.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, Utc};
use contract::Text;
use contract::records::OptionQuote;
use serde::Deserialize;

use super::{NAME, first_result, symbol_of};
use crate::parse::body::{MAX_ROWS, excerpt};
use crate::parse::date::instant;
use crate::parse::duplicates::Keys;
use crate::parse::fault::Fault;
use crate::parse::json::Bounded;
use crate::parse::occ;
use crate::parse::percent::percent_encoded;
use crate::parse::raw::Raw;
use crate::parse::value::{Object, absent, scalar};
use crate::response::{PageError, Parsed, Request};
use crate::time::midnight;

/// Yahoo's value for a missing volatility: 1.0000000000000003e-05.
const NO_VOLATILITY: f64 = 1e-5;
/// Largest difference from that value that means the same.
const NO_VOLATILITY_WITHIN: f64 = 1e-9;

pub(super) fn path(item: &str, _offset: u64) -> Result<String, PageError> {
    let (symbol, expiration) = parts(item)?;
    let symbol = percent_encoded(symbol);
    Ok(match expiration {
        Some(date) => format!("/v7/finance/options/{symbol}?date={}", midnight(date).timestamp()),
        None => format!("/v7/finance/options/{symbol}"),
    })
}

/// The symbol of an item, and its expiration date if it names one.
fn parts(item: &str) -> Result<(&str, Option<NaiveDate>), PageError> {
    let Some((symbol, date)) = item.rsplit_once('@') else {
        return Ok((symbol_of(item, item)?, None));
    };
    let is_shape = date.len() == 10 && date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let expiration = is_shape.then(|| date.parse().ok()).flatten();
    let bad = || {
        let date = excerpt(date.as_bytes());
        PageError::Skip(format!("`{date}` is not an expiration date, such as `2024-12-20`"))
    };
    Ok((symbol_of(symbol, item)?, Some(expiration.ok_or_else(bad)?)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chain<'a> {
    underlying_symbol: String,
    #[serde(borrow)]
    quote: Option<Raw<'a>>,
    #[serde(borrow)]
    options: Option<Bounded<Expiration<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expiration<'a> {
    expiration_date: i64,
    #[serde(borrow)]
    calls: Option<Bounded<Raw<'a>>>,
    #[serde(borrow)]
    puts: Option<Bounded<Raw<'a>>>,
}

pub(super) fn parse(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let (symbol, expiration) = parts(request.item)?;
    let chain: Option<Chain<'_>> = first_result(body)?;
    let chain = chain.ok_or_else(|| PageError::Skip(format!("the provider has no options on `{symbol}`")))?;
    if !chain.underlying_symbol.eq_ignore_ascii_case(symbol) {
        let other = excerpt(chain.underlying_symbol.as_bytes());
        return Err(PageError::Skip(format!("requested `{symbol}`, the response is for `{other}`")));
    }
    let underlying = Underlying::read(request, &chain.underlying_symbol, chain.quote)?;
    let mut page = Page { request, underlying, parsed: Parsed::default(), keys: Keys::default() };
    for options in chain.options.map(|Bounded(options)| options).unwrap_or_default() {
        if expiration.is_some_and(|date| midnight(date).timestamp() != options.expiration_date) {
            let (item, other) = (request.item, options.expiration_date);
            return Err(PageError::Skip(format!("requested `{item}`, the response is for the date {other}")));
        }
        page.add_all("call", options.calls)?;
        page.add_all("put", options.puts)?;
    }
    Ok(page.parsed)
}

/// The fields that all contracts of a page share.
struct Underlying {
    /// In Yahoo's spelling.
    symbol: Text,
    price: Option<f64>,
    quoted_at: DateTime<Utc>,
}

impl Underlying {
    fn read(request: &Request<'_>, symbol: &str, quote: Option<Raw<'_>>) -> Result<Underlying, PageError> {
        // The time is part of every key: without it the whole page is refused.
        let odd = |fault: Fault| PageError::Retry(format!("the `quote` of `{symbol}`: {}", fault.1));
        let quote = quote.map(Object::row).transpose().map_err(odd)?.unwrap_or_default();
        let market_time = time(&quote, "regularMarketTime").map_err(odd)?;
        let price = quote.number("regularMarketPrice").map_err(odd)?;
        Ok(Underlying { symbol: symbol.into(), price, quoted_at: market_time.unwrap_or(request.received_at) })
    }
}

/// A page while its rows are read.
struct Page<'a> {
    request: &'a Request<'a>,
    underlying: Underlying,
    parsed: Parsed,
    keys: Keys<Cow<'a, str>>,
}

impl<'a> Page<'a> {
    fn add_all(&mut self, option_type: &str, rows: Option<Bounded<Raw<'a>>>) -> Result<(), PageError> {
        for row in rows.map(|Bounded(rows)| rows).unwrap_or_default() {
            if self.parsed.records.len() + self.parsed.rejects.len() == MAX_ROWS {
                return Err(PageError::Retry(format!("the chain has more than {MAX_ROWS} contracts")));
            }
            match self.quote(option_type, row) {
                Ok(quote) => self.parsed.records.push(quote.into()),
                Err(fault) => self.parsed.rejects.push(fault.reject(row.get().as_bytes())),
            }
        }
        Ok(())
    }

    fn quote(&mut self, option_type: &str, row: Raw<'a>) -> Result<OptionQuote, Fault> {
        let row = Object::row(row)?;
        let symbol = row.raw("contractSymbol").and_then(scalar).ok_or_else(|| absent("contractSymbol"))?;
        let contract = occ::parse(&symbol)?;
        check(&contract, option_type, &row)?;
        let quote = OptionQuote {
            source: NAME,
            contract_symbol: Text::from(&*symbol),
            quoted_at: self.underlying.quoted_at,
            underlying_symbol: self.underlying.symbol.clone(),
            expiration_date: contract.expiration_date,
            strike: contract.strike,
            option_type: option_type.into(),
            bid: row.number("bid")?,
            ask: row.number("ask")?,
            bid_size: None,
            ask_size: None,
            last_price: row.number("lastPrice")?,
            last_traded_at: time(&row, "lastTradeDate")?,
            change: row.number("change")?,
            change_percent: row.number("percentChange")?,
            open: None,
            high: None,
            low: None,
            previous_close: None,
            volume: row.number("volume")?,
            open_interest: row.number("openInterest")?,
            implied_volatility: row.number("impliedVolatility")?.filter(|volatility| is_computed(*volatility)),
            delta: None,
            gamma: None,
            theta: None,
            vega: None,
            rho: None,
            theoretical_price: None,
            underlying_price: self.underlying.price,
            currency: row.text("currency")?,
            contract_size: row.text("contractSize")?,
            known_at: self.request.received_at,
            observed_at: self.request.received_at,
            flags: Vec::new(),
        };
        if !self.keys.insert(symbol) {
            return Err(Fault("duplicate", format!("`{}` is already in the page", quote.contract_symbol)));
        }
        Ok(quote)
    }
}

fn is_computed(volatility: f64) -> bool {
    (volatility - NO_VOLATILITY).abs() > NO_VOLATILITY_WITHIN
}

/// A Unix time in seconds; None if absent, null or 0.
fn time(row: &Object<'_>, name: &str) -> Result<Option<DateTime<Utc>>, Fault> {
    let Some(seconds) = row.whole(name)?.filter(|seconds| *seconds != 0) else { return Ok(None) };
    let fault = || Fault("date", format!("`{name}` `{seconds}` is not a time in seconds since 1970"));
    instant(seconds).map(Some).ok_or_else(fault)
}

/// Refuses a row whose parts contradict each other: it is unknown which one is wrong.
fn check(contract: &occ::Contract<'_>, option_type: &str, row: &Object<'_>) -> Result<(), Fault> {
    let differs = |name: &str, found: String, expected: String| {
        Err(Fault("contract", format!("`{name}` is {found}, by `contractSymbol` it is {expected}")))
    };
    if contract.option_type != option_type {
        return differs("options", format!("a {option_type}"), format!("a {}", contract.option_type));
    }
    if let Some(strike) = row.decimal("strike")?.filter(|strike| *strike != contract.strike) {
        return differs("strike", strike.to_string(), contract.strike.to_string());
    }
    let expiration = time(row, "expiration")?.map(|time| time.date_naive());
    match expiration.filter(|date| *date != contract.expiration_date) {
        Some(date) => differs("expiration", date.to_string(), contract.expiration_date.to_string()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
