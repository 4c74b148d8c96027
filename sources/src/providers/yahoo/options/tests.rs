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
        ("duplicate", "`AAPL250905C00105000` is already in the page"),
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
    let body =
        format!(r#"{{"optionChain":{{"result":[{{"underlyingSymbol":"^VIX","options":[{options}]}}],"error":null}}}}"#);
    let parsed = parse(&request("^vix"), body.as_bytes()).unwrap();
    assert_eq!(quotes(&parsed)[0].underlying_symbol, "^VIX");
    assert_eq!(quotes(&parsed)[0].expiration_date, date("2025-11-19"));
}

#[test]
fn an_answer_to_another_question_is_skipped() {
    let error = |file| parse_file(&SOURCE, "options", file).unwrap_err();
    let symbol = "requested `MSFT`, the response is for `AAPL`";
    assert_eq!(error("MSFT~error_other_symbol.json"), PageError::Skip(symbol.to_owned()));
    let date = "requested `AAPL@2025-09-12`, the response is for the date 1757030400";
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
