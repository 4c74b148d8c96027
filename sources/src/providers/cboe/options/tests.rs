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
    assert_eq!((put.implied_volatility, put.currency.as_ref(), put.contract_size.as_ref()), (Some(0.9409), None, None));
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
            ("duplicate", "`CLX261218C00095000` is already in the file"),
            ("contract", "`CLX` is not the symbol of an option, such as `AAPL250905C00110000`"),
            ("absent", "has no `option`"),
            ("number", "`bid` `\"x\"` is not a number"),
            ("date", "`last_trade_time` `\"yesterday\"` is not a time like `2024-12-31 12:00:00`"),
            ("date", "`last_trade_time` 2026-03-08 02:30:00 does not exist in New York, where clocks skip it"),
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
    assert_eq!(error, PageError::Skip("requested `MSFT`, the response is for `AAPL`".to_owned()));
}

#[test]
fn what_is_not_the_file_is_asked_for_again() {
    for file in ["AAPL~error_page.html", "AAPL~error_cut_off.json"] {
        let outcome = parse_file(&SOURCE, "options", file);
        assert!(matches!(outcome, Err(PageError::Retry(_))), "{file}: {outcome:?}");
    }
    for text in ["", "{}", "[]", r#"{"data":null}"#, r#"{"data":{"symbol":"AAPL"}}"#, "<Error><Code>SlowDown</Code>"] {
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
