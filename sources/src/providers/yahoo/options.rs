//! The options on one symbol that expire on one date.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, Utc};
use contract::Text;
use contract::records::OptionQuote;
use serde::Deserialize;

use super::{NAME, first_result, symbol_of};
use crate::parse::body::{MAX_ROWS, excerpt};
use crate::parse::date::instant;
use crate::parse::duplicates::Seen;
use crate::parse::fault::Fault;
use crate::parse::json::Bounded;
use crate::parse::occ;
use crate::parse::percent::percent_encoded;
use crate::parse::raw::Raw;
use crate::parse::value::{Object, absent, scalar};
use crate::response::{PageError, Parsed, Request};
use crate::time::midnight;

/// What Yahoo writes where it has computed no volatility: 1.0000000000000003e-05.
const NO_VOLATILITY: f64 = 1e-5;
/// How far from it a double may lie that means the same.
const NO_VOLATILITY_WITHIN: f64 = 1e-9;

pub(super) fn path(item: &str, _offset: u64) -> Result<String, PageError> {
    let (symbol, expiration) = parts(item)?;
    let symbol = percent_encoded(symbol);
    Ok(match expiration {
        Some(date) => format!("/v7/finance/options/{symbol}?date={}", midnight(date).timestamp()),
        None => format!("/v7/finance/options/{symbol}"),
    })
}

/// An item's symbol, and its date of expiration if it names one.
fn parts(item: &str) -> Result<(&str, Option<NaiveDate>), PageError> {
    let Some((symbol, date)) = item.rsplit_once('@') else {
        return Ok((symbol_of(item, item)?, None));
    };
    let is_shape = date.len() == 10 && date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let expiration = is_shape.then(|| date.parse().ok()).flatten();
    let bad = || {
        let date = excerpt(date.as_bytes());
        PageError::Skip(format!("`{date}` is not a date of expiration, such as `2024-12-20`"))
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
        return Err(PageError::Skip(format!("asked for `{symbol}`, the provider answered for `{other}`")));
    }
    let underlying = Underlying::read(request, &chain.underlying_symbol, chain.quote)?;
    let mut page = Page { request, underlying, parsed: Parsed::default(), seen: Seen::default() };
    for options in chain.options.map(|Bounded(options)| options).unwrap_or_default() {
        if expiration.is_some_and(|date| midnight(date).timestamp() != options.expiration_date) {
            let (item, other) = (request.item, options.expiration_date);
            return Err(PageError::Skip(format!("asked for `{item}`, the provider answered for the date {other}")));
        }
        page.add_all("call", options.calls)?;
        page.add_all("put", options.puts)?;
    }
    Ok(page.parsed)
}

/// What all the contracts of a page share.
struct Underlying {
    /// As Yahoo writes it.
    symbol: Text,
    price: Option<f64>,
    quoted_at: DateTime<Utc>,
}

impl Underlying {
    fn read(request: &Request<'_>, symbol: &str, quote: Option<Raw<'_>>) -> Result<Underlying, PageError> {
        // The time is part of every key: without it nothing of the page can be kept.
        let odd = |fault: Fault| PageError::Retry(format!("the `quote` of `{symbol}`: {}", fault.1));
        let quote = quote.map(Object::row).transpose().map_err(odd)?.unwrap_or_default();
        let said = time(&quote, "regularMarketTime").map_err(odd)?;
        let price = quote.number("regularMarketPrice").map_err(odd)?;
        Ok(Underlying { symbol: symbol.into(), price, quoted_at: said.unwrap_or(request.received_at) })
    }
}

/// A page in the making.
struct Page<'a> {
    request: &'a Request<'a>,
    underlying: Underlying,
    parsed: Parsed,
    seen: Seen<Cow<'a, str>>,
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
        if !self.seen.insert(symbol) {
            return Err(Fault("duplicate", format!("`{}` is in the page already", quote.contract_symbol)));
        }
        Ok(quote)
    }
}

fn is_computed(volatility: f64) -> bool {
    (volatility - NO_VOLATILITY).abs() > NO_VOLATILITY_WITHIN
}

/// A time in seconds since 1970; None when it is absent, null or 0.
fn time(row: &Object<'_>, name: &str) -> Result<Option<DateTime<Utc>>, Fault> {
    let Some(seconds) = row.whole(name)?.filter(|seconds| *seconds != 0) else { return Ok(None) };
    let fault = || Fault("date", format!("`{name}` `{seconds}` is not a time in seconds since 1970"));
    instant(seconds).map(Some).ok_or_else(fault)
}

/// Refuses a row whose parts do not agree: one of them is wrong, and nobody knows which.
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
mod tests {
    use contract::Decimal;

    use super::*;
    use crate::fixture::{RECEIVED, at, date, only, parse as parse_file, rejects, request};
    use crate::providers::yahoo::SOURCE;

    fn chain_of(file: &str) -> Parsed {
        parse_file(&SOURCE, "options", file).unwrap()
    }

    fn quotes(parsed: &Parsed) -> Vec<&OptionQuote> {
        only!(parsed, OptionQuote)
    }

    #[test]
    fn a_contract_is_quoted_at_the_time_of_its_underlying() {
        let parsed = chain_of("AAPL@2025-09-05.json");
        assert_eq!((parsed.records.len(), parsed.rejects.len(), parsed.next_offset), (3, 0, None));
        let call = quotes(&parsed)[0];
        assert_eq!((call.source.as_str(), call.contract_symbol.as_str()), ("yahoo", "AAPL250905C00110000"));
        assert_eq!((call.underlying_symbol.as_str(), call.underlying_price), ("AAPL", Some(232.14)));
        assert_eq!((call.expiration_date, call.option_type.as_str()), (date("2025-09-05"), "call"));
        assert_eq!((call.strike, quotes(&parsed)[1].strike), (Decimal::from(110), Decimal::new(2225, 1)));
        assert_eq!((call.bid, call.ask, call.last_price), (Some(120.2), Some(123.75), Some(119.65)));
        assert_eq!((call.change, call.change_percent), (Some(0.0), Some(0.0)));
        assert_eq!((call.volume, call.open_interest), (None, Some(3.0)));
        assert_eq!(call.implied_volatility, Some(3.9433595166015625));
        assert_eq!((call.currency.as_deref(), call.contract_size.as_deref()), (Some("USD"), Some("REGULAR")));
        assert_eq!(call.last_traded_at, Some(at("2025-08-27T15:40:36Z")));
        assert_eq!((call.quoted_at, call.known_at), (at("2025-08-29T20:00:01Z"), at(RECEIVED)));
        let put = quotes(&parsed)[2];
        assert_eq!((put.option_type.as_str(), put.volume), ("put", Some(14.0)));
    }

    #[test]
    fn a_quote_without_a_time_is_of_the_time_of_receipt() {
        let parsed = chain_of("BFLY~no_time.json");
        assert_eq!(quotes(&parsed)[0].quoted_at, at(RECEIVED));
        assert_eq!(quotes(&parsed)[0].underlying_price, None);
    }

    #[test]
    fn a_volatility_that_was_not_computed_is_absent() {
        let parsed = chain_of("BFLY~no_time.json");
        let volatilities: Vec<Option<f64>> = quotes(&parsed).iter().map(|quote| quote.implied_volatility).collect();
        assert_eq!(volatilities, [None, None, Some(0.500005)]);
    }

    #[test]
    fn a_chain_without_contracts_is_an_empty_page() {
        for file in ["0P000071W8.TO~no_options.json", "AAPL@2022-03-01~expired.json"] {
            assert_eq!(chain_of(file), Parsed::default(), "{file}");
        }
        assert_eq!(chain_of("EPAC~no_calls.json").records.len(), 1);
    }

    #[test]
    fn each_odd_contract_is_refused_and_the_rest_goes_on() {
        let parsed = chain_of("AAPL~odd_rows.json");
        assert_eq!(parsed.records.len(), 1);
        let expected = [
            ("contract", "`strike` is 115, by `contractSymbol` it is 110"),
            ("contract", "`expiration` is 2025-09-12, by `contractSymbol` it is 2025-09-05"),
            ("contract", "`AAPL2509` is not the symbol of an option, such as `AAPL250905C00110000`"),
            ("contract", "`AAPL251305C00110000` is not the symbol of an option, such as `AAPL250905C00110000`"),
            ("absent", "has no `contractSymbol`"),
            ("number", "`bid` `\"high\"` is not a number"),
            ("shape", "expected an object, found `17`"),
            ("duplicate", "`AAPL250905C00105000` is in the page already"),
            ("contract", "`options` is a put, by `contractSymbol` it is a call"),
            ("date", "`lastTradeDate` `9007199254740993` is not a time in seconds since 1970"),
        ];
        assert_eq!(rejects(&parsed), expected);
        assert_eq!(parsed.rejects[4].fragment, br#"{"strike":120}"#);
    }

    #[test]
    fn the_underlying_is_named_as_yahoo_names_it() {
        let row = r#"{"contractSymbol":"VIXW251119C00020000"}"#;
        let options = format!(r#"{{"expirationDate":1763510400,"calls":[{row}],"puts":[]}}"#);
        let body = format!(
            r#"{{"optionChain":{{"result":[{{"underlyingSymbol":"^VIX","options":[{options}]}}],"error":null}}}}"#
        );
        let parsed = parse(&request("^vix"), body.as_bytes()).unwrap();
        assert_eq!(quotes(&parsed)[0].underlying_symbol, "^VIX");
        assert_eq!(quotes(&parsed)[0].expiration_date, date("2025-11-19"));
    }

    #[test]
    fn an_answer_to_another_question_is_skipped() {
        let error = |file| parse_file(&SOURCE, "options", file).unwrap_err();
        let symbol = "asked for `MSFT`, the provider answered for `AAPL`";
        assert_eq!(error("MSFT~error_other_symbol.json"), PageError::Skip(symbol.to_owned()));
        let date = "asked for `AAPL@2025-09-12`, the provider answered for the date 1757030400";
        assert_eq!(error("AAPL@2025-09-12~error_other_date.json"), PageError::Skip(date.to_owned()));
    }

    #[test]
    fn an_error_of_the_provider_says_what_to_do_next() {
        let error = |file| parse_file(&SOURCE, "options", file).unwrap_err();
        let unknown = "the provider has no options on `NOSUCH`";
        assert_eq!(error("NOSUCH~error_unknown.json"), PageError::Skip(unknown.to_owned()));
        for (file, words) in [
            ("AAPL~error_invalid_crumb.json", "Unauthorized: Invalid Crumb"),
            ("AAPL~error_too_many_requests.txt", "Edge: Too Many Requests"),
            ("AAPL~error_consent.html", "Yahoo Markenfamilie"),
        ] {
            let error = error(file);
            assert!(matches!(&error, PageError::Retry(text) if text.contains(words)), "{error:?}");
        }
        for text in ["", "{}", "[1]", r#"{"optionChain":{"result":[{}]}}"#] {
            let outcome = parse(&request("AAPL"), text.as_bytes());
            assert!(matches!(outcome, Err(PageError::Retry(_))), "{text}: {outcome:?}");
        }
    }

    #[test]
    fn an_item_is_a_symbol_and_perhaps_a_date() {
        assert_eq!(path("AAPL", 0).unwrap(), "/v7/finance/options/AAPL");
        assert_eq!(path("^SPX@2025-09-05", 0).unwrap(), "/v7/finance/options/%5ESPX?date=1757030400");
        for item in ["", "@2025-09-05", "AAPL@", "AAPL@2025-9-5", "AAPL@2025-02-30", "AAPL@1d", "A/B"] {
            assert!(matches!(path(item, 0), Err(PageError::Skip(_))), "{item}");
        }
    }
}
