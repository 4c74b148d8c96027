use contract::{Record, decimal};
use serde_json::Value;

use super::*;
use crate::fixture::{RECEIVED, at, date, parse as parse_file, rejects, request};
use crate::providers::fmp::SOURCE;

fn company_of(file: &str) -> Company {
    let parsed = parse_file(&SOURCE, "profile", file).unwrap();
    assert!(parsed.rejects.is_empty(), "{:?}", parsed.rejects);
    match parsed.records.into_iter().next() {
        Some(Record::Company(company)) => *company,
        other => panic!("not a company: {other:?}"),
    }
}

#[test]
fn a_company_is_described_in_the_words_of_the_provider() {
    let company = company_of("ACME.json");
    assert_eq!(
        (company.source.as_str(), company.symbol.as_str(), company.name.as_str()),
        ("fmp", "ACME", "Acme Anvils Inc.")
    );
    assert_eq!((company.cik.as_deref(), company.isin.as_deref()), (Some("0000001234"), Some("US0000000000")));
    assert_eq!((company.exchange.as_deref(), company.currency.as_deref()), (Some("NASDAQ"), Some("USD")));
    assert_eq!((company.employees, company.listed_on), (Some(1640), Some(date("1980-12-12"))));
    assert_eq!((company.market_cap, company.kind.as_deref()), (decimal::parse("3500823120000"), None));
    assert_eq!((company.known_at, company.observed_at), (at(RECEIVED), at(RECEIVED)));
    let other: Value = serde_json::from_str(company.other.as_deref().unwrap()).unwrap();
    assert_eq!((&other["ceo"], &other["beta"], &other["isEtf"]), (&"A. Person".into(), &1.24.into(), &false.into()));
    assert!(other.get("zip").is_none() && other.get("sector").is_none(), "{other}");
}

#[test]
fn v3_is_read_in_its_own_spelling() {
    let company = company_of("XFND~v3.json");
    assert_eq!((company.exchange.as_deref(), company.market_cap), (Some("AMEX"), decimal::parse("512000000000")));
    assert_eq!((company.kind.as_deref(), company.employees, company.cik), (Some("ETF"), None, None));
}

#[test]
fn prices_are_adjusted_for_splits_and_a_share_has_a_ticker_at_its_exchange() {
    let instrument = |file| {
        let parsed = parse_file(&SOURCE, "profile", file).unwrap();
        let Some(Record::Instrument(instrument)) = parsed.records.last() else { panic!("{parsed:?}") };
        (**instrument).clone()
    };
    let share = instrument("ACME.json");
    assert_eq!((share.mic.as_deref(), share.ticker.as_deref()), (Some("XNAS"), Some("ACME")));
    assert_eq!((share.kind.as_deref(), share.isin.as_deref()), (Some("share"), Some("US0000000000")));
    assert_eq!((share.currency.as_deref(), share.unit.as_deref()), (Some("USD"), Some("USD")));
    assert_eq!(share.price_adjustment.as_deref(), Some("splits"));
    assert_eq!((share.adjusted_close_adjustment, share.volume_adjustment.as_deref()), (None, Some("splits")));
    assert_eq!(instrument("XFND~v3.json").kind.as_deref(), Some("etf"));
}

#[test]
fn an_unknown_symbol_is_an_empty_page() {
    assert_eq!(parse(&request("NOSUCH"), b"[]").unwrap(), Parsed::default());
}

#[test]
fn each_odd_row_is_refused() {
    let parsed = parse_file(&SOURCE, "profile", "BOLT~odd_rows.json").unwrap();
    assert_eq!(parsed.records.len(), 2, "a company and its instrument");
    let reasons: Vec<&str> = rejects(&parsed).iter().map(|(_, reason)| *reason).collect();
    let expected = [
        "has no `companyName`",
        "is of `ACME`",
        "`fullTimeEmployees` `\"many\"` is not a whole number",
        "is a second company in the response for one",
    ];
    assert_eq!(reasons, expected);
}
