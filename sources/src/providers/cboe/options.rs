//! Delayed quotes of all options of an underlying, as one JSON file.
//!
//! Everything has its own clock: `timestamp` is UTC, `last_trade_time` is New York's, and neither says so; the open
//! interest is that after the session before. While markets are closed the file is written again, with equal quotes.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::{America, Tz};
use contract::Text;
use contract::records::OptionQuote;
use serde::Deserialize;

use super::{NAME, markup};
use crate::parse::body::{excerpt, is_markup, without_bom};
use crate::parse::duplicates::Seen;
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

/// What Cboe answers.
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

/// What the quotes of a file have in common.
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
    let mut seen = Seen::with_capacity(rows.len());
    for row in rows {
        match underlying.quote(row, &mut seen) {
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

/// The symbol of the item in capital letters, if the provider answers for it: of an index with `^`, as the provider writes
/// it, and not with the `_` that its files have for it.
fn own_symbol(request: &Request<'_>, symbol: Option<&str>) -> Result<String, PageError> {
    let own = |text: &str| match text.strip_prefix(['_', '^']) {
        Some(index) => format!("^{}", index.to_ascii_uppercase()),
        None => text.to_ascii_uppercase(),
    };
    let asked = own(request.item);
    match symbol {
        // Shares of several classes have a dot or none.
        Some(symbol) if letters(symbol) != letters(&asked) => {
            let symbol = excerpt(symbol.as_bytes());
            Err(PageError::Skip(format!("asked for `{}`, the provider answered for `{symbol}`", request.item)))
        }
        Some(symbol) if symbol.starts_with(['_', '^']) == asked.starts_with('^') => Ok(own(symbol)),
        _ => Ok(asked),
    }
}

fn letters(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).collect()
}

/// Reads `timestamp`, which is UTC without saying so; without one the quotes are as of the receipt.
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
    fn quote<'a>(&self, row: Raw<'a>, seen: &mut Seen<Cow<'a, str>>) -> Result<OptionQuote, Fault> {
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
        if !seen.insert(symbol) {
            return Err(Fault("duplicate", format!("`{}` is in the file already", quote.contract_symbol)));
        }
        Ok(quote)
    }
}

/// 0.0 is how Cboe writes what there is not: no volatility was computed, nothing was traded in the session, or ever.
fn not_zero(number: Option<f64>) -> Option<f64> {
    number.filter(|number| *number != 0.0)
}

/// The instant of a time on New York's clocks; the first of two.
fn new_york(time: NaiveDateTime) -> Result<DateTime<Utc>, Fault> {
    let instant = ZONE.from_local_datetime(&time).earliest().map(|instant| instant.to_utc());
    instant.ok_or_else(|| Fault("date", format!("`last_trade_time` {time} is skipped by the clocks of New York")))
}

#[cfg(test)]
mod tests {
    use contract::Record;

    use super::*;
    use crate::fixture::{RECEIVED, at, date, parse as parse_file, rejects, request};
    use crate::providers::cboe::SOURCE;

    fn quotes(parsed: &Parsed) -> Vec<&OptionQuote> {
        parsed.records.iter().map(quote).collect()
    }

    fn quote(record: &Record) -> &OptionQuote {
        match record {
            Record::OptionQuote(quote) => quote,
            other => panic!("not a quote: {other:?}"),
        }
    }

    fn quotes_of(file: &str) -> Parsed {
        parse_file(&SOURCE, "options", file).unwrap()
    }

    fn parse_text(item: &str, text: &str) -> Result<Parsed, PageError> {
        parse(&request(item), text.as_bytes())
    }

    #[test]
    fn a_row_is_the_quote_of_the_contract_that_its_symbol_says() {
        let parsed = quotes_of("AAPL.json");
        assert_eq!((parsed.records.len(), parsed.rejects.len(), parsed.holes), (4, 0, 0));
        let put = quotes(&parsed)[1];
        assert_eq!((put.source.as_str(), put.contract_symbol.as_str()), ("cboe", "AAPL261218P00112500"));
        assert_eq!((put.underlying_symbol.as_str(), put.underlying_price), ("AAPL", Some(301.25)));
        assert_eq!((put.expiration_date, put.option_type.as_str()), (date("2026-12-18"), "put"));
        assert_eq!(put.strike.to_string(), "112.5");
        assert_eq!((put.bid, put.ask, put.bid_size, put.ask_size), (Some(0.0), Some(0.25), Some(0.0), Some(9.0)));
        assert_eq!((put.last_price, put.change, put.change_percent), (Some(0.11), Some(-0.025), Some(-20.0)));
        assert_eq!((put.open, put.high, put.low), (Some(0.12), Some(0.13), Some(0.11)));
        assert_eq!((put.previous_close, put.volume, put.open_interest), (Some(0.125), Some(7.0), Some(1303.0)));
        assert_eq!((put.delta, put.gamma, put.theta), (Some(-0.0004), Some(0.0001), Some(-0.0005)));
        assert_eq!((put.vega, put.rho, put.theoretical_price), (Some(0.0006), Some(-0.0002), Some(0.0018)));
        assert_eq!(
            (put.implied_volatility, put.currency.as_ref(), put.contract_size.as_ref()),
            (Some(0.9409), None, None)
        );
        assert!(put.flags.is_empty());
    }

    #[test]
    fn a_quote_is_as_of_the_timestamp_in_utc_and_its_last_trade_is_on_the_clocks_of_new_york() {
        let parsed = quotes_of("AAPL.json");
        let quotes = quotes(&parsed);
        assert_eq!((quotes[0].quoted_at, quotes[0].known_at), (at("2026-11-19T21:15:04Z"), at("2026-11-19T21:15:04Z")));
        assert_eq!(quotes[0].observed_at, at(RECEIVED));
        // In summer and in winter.
        assert_eq!(quotes[0].last_traded_at, Some(at("2026-07-23T13:30:32Z")));
        assert_eq!(quotes[1].last_traded_at, Some(at("2026-11-19T14:40:47Z")));
    }

    #[test]
    fn zero_is_no_volatility_and_no_trade_but_a_bid_all_the_same() {
        let parsed = quotes_of("AAPL.json");
        let call = quotes(&parsed)[0];
        assert_eq!((call.implied_volatility, call.delta), (None, Some(0.9998)));
        assert_eq!((call.open, call.high, call.low, call.volume), (None, None, None, Some(0.0)));
        assert_eq!(call.last_price, Some(189.0));
        let never_traded = quotes(&parsed)[2];
        assert_eq!((never_traded.last_traded_at, never_traded.last_price), (None, None));
        assert_eq!((never_traded.bid, never_traded.previous_close), (Some(19.7), Some(22.6500005722046)));
    }

    #[test]
    fn an_index_has_roots_of_its_own() {
        let parsed = quotes_of("_VIX~index.json");
        let contracts: Vec<_> = quotes(&parsed).iter().map(|quote| quote.contract_symbol.clone()).collect();
        assert_eq!(contracts, ["VIX261216C00010000", "VIXW261125P00019500"]);
        assert_eq!(quotes(&parsed)[0].underlying_symbol, "^VIX");
        assert_eq!(quotes(&parsed)[1].strike.to_string(), "19.5");
    }

    #[test]
    fn an_index_is_named_with_a_caret_whatever_the_file_says() {
        let named = |item: &str, symbol: &str| {
            let row = r#"{"option":"VIX261216C00010000"}"#;
            let parsed = parse_text(item, &format!(r#"{{"data":{{{symbol}"options":[{row}]}}}}"#)).unwrap();
            quotes(&parsed)[0].underlying_symbol.clone()
        };
        for symbol in ["", r#""symbol":"^VIX","#, r#""symbol":"_VIX","#, r#""symbol":"VIX","#] {
            assert_eq!(named("_VIX", symbol), "^VIX", "{symbol}");
        }
        for symbol in ["", r#""symbol":"AAPL","#] {
            assert_eq!(named("aapl", symbol), "AAPL", "{symbol}");
        }
        assert_eq!(named("BRK.B", r#""symbol":"BRKB","#), "BRKB");
    }

    #[test]
    fn each_odd_row_is_refused_and_the_rest_goes_on() {
        let parsed = quotes_of("CLX~odd_rows.json");
        let contracts: Vec<_> = quotes(&parsed).iter().map(|quote| quote.contract_symbol.clone()).collect();
        assert_eq!(contracts, ["CLX261218C00095000", "CLX261218P00095000"]);
        assert_eq!(
            rejects(&parsed),
            [
                ("duplicate", "`CLX261218C00095000` is in the file already"),
                ("contract", "`CLX` is not the symbol of an option, such as `AAPL250905C00110000`"),
                ("absent", "has no `option`"),
                ("number", "`bid` `\"x\"` is not a number"),
                ("date", "`last_trade_time` `\"yesterday\"` is not a time like `2024-12-31 12:00:00`"),
                ("date", "`last_trade_time` 2026-03-08 02:30:00 is skipped by the clocks of New York"),
                ("shape", "expected an object, found `[1]`"),
            ]
        );
        assert_eq!(parsed.rejects[2].fragment, br#"{"bid": 1.0}"#);
        // Values that are absent or null are not zero.
        let bare = quotes(&parsed)[1];
        assert_eq!((bare.bid, bare.volume, bare.delta, bare.last_traded_at), (None, None, None, None));
    }

    #[test]
    fn a_timestamp_is_never_after_the_receipt_and_without_one_the_receipt_counts() {
        let quoted_at = |timestamp: &str| {
            let row = r#"{"option":"AAPL261218C00112500"}"#;
            let text = format!(r#"{{{timestamp}"data":{{"symbol":"AAPL","options":[{row}]}}}}"#);
            parse_text("AAPL", &text).map(|parsed| (quotes(&parsed)[0].quoted_at, quotes(&parsed)[0].known_at))
        };
        assert_eq!(quoted_at(r#""timestamp":"2030-01-01 00:00:00","#).unwrap(), (at(RECEIVED), at(RECEIVED)));
        assert_eq!(quoted_at("").unwrap(), (at(RECEIVED), at(RECEIVED)));
        let odd = quoted_at(r#""timestamp":"now","#);
        assert!(matches!(&odd, Err(PageError::Retry(text)) if text.contains("`now` is not a time")), "{odd:?}");
    }

    #[test]
    fn an_underlying_without_options_gives_nothing() {
        let text = r#"{"timestamp":"2026-11-19 21:15:04","data":{"options":[],"symbol":"AAPL"},"symbol":"AAPL"}"#;
        assert_eq!(parse_text("AAPL", text), Ok(Parsed::default()));
    }

    #[test]
    fn an_unknown_symbol_is_skipped_with_the_words_of_the_provider() {
        let error = parse_file(&SOURCE, "options", "NOSUCH~error_access_denied.xml").unwrap_err();
        assert!(matches!(&error, PageError::Skip(text) if text.contains("unknown underlying `NOSUCH`")), "{error:?}");
        let error = parse_file(&SOURCE, "options", "MSFT~error_other_symbol.json").unwrap_err();
        assert_eq!(error, PageError::Skip("asked for `MSFT`, the provider answered for `AAPL`".to_owned()));
    }

    #[test]
    fn what_is_not_the_file_is_asked_for_again() {
        for file in ["AAPL~error_page.html", "AAPL~error_cut_off.json"] {
            let outcome = parse_file(&SOURCE, "options", file);
            assert!(matches!(outcome, Err(PageError::Retry(_))), "{file}: {outcome:?}");
        }
        for text in
            ["", "{}", "[]", r#"{"data":null}"#, r#"{"data":{"symbol":"AAPL"}}"#, "<Error><Code>SlowDown</Code>"]
        {
            let outcome = parse_text("AAPL", text);
            assert!(matches!(outcome, Err(PageError::Retry(_))), "{text}: {outcome:?}");
        }
    }

    #[test]
    fn what_cannot_be_an_underlying_is_not_asked_for() {
        assert_eq!(path("_SPX", 0).unwrap(), "/api/global/delayed_quotes/options/_SPX.json");
        assert_eq!(path("BRK.B", 0).unwrap(), "/api/global/delayed_quotes/options/BRK.B.json");
        for item in ["", "_", "..", "../AAPL", "AAPL?x=1", "^SPX", "A B"] {
            assert!(matches!(path(item, 0), Err(PageError::Skip(_))), "{item}");
        }
    }
}
