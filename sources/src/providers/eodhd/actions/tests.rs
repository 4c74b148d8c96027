use super::*;
use crate::fixture::{RECEIVED, at, date, only, parse as parse_file, rejects, request};
use crate::providers::eodhd::SOURCE;

fn actions(parsed: &Parsed) -> Vec<&CorporateAction> {
    only!(parsed, CorporateAction)
}

fn dividends(file: &str) -> Parsed {
    parse_file(&SOURCE, "dividends", file).unwrap()
}

fn splits(file: &str) -> Parsed {
    parse_file(&SOURCE, "splits", file).unwrap()
}

fn number(text: &str) -> Option<Decimal> {
    Some(decimal::parse(text).unwrap())
}

#[test]
fn a_dividend_has_its_dates_and_both_amounts() {
    let parsed = dividends("AAPL.US.json");
    assert_eq!((parsed.records.len(), parsed.rejects.len(), parsed.holes), (2, 0, 0));
    let first = actions(&parsed)[0];
    assert_eq!((first.source.as_str(), first.symbol.as_str()), ("eodhd", "AAPL.US"));
    assert_eq!((first.action_type.as_str(), first.ex_date), ("dividend", date("2012-08-09")));
    assert_eq!((first.amount, first.unadjusted_amount), (number("0.09464"), number("2.65")));
    assert_eq!((first.currency.as_deref(), first.period.as_deref()), (Some("USD"), Some("Quarterly")));
    assert_eq!(first.declared_on, Some(date("2012-07-24")));
    assert_eq!((first.record_date, first.paid_on), (Some(date("2012-08-13")), Some(date("2012-08-16"))));
    assert_eq!((first.split_to, first.split_from), (None, None));
    assert_eq!((first.known_at, first.observed_at), (at(RECEIVED), at(RECEIVED)));
    assert_eq!((actions(&parsed)[1].declared_on, actions(&parsed)[1].period.as_deref()), (None, None));
}

#[test]
fn csv_has_dates_and_amounts_alone() {
    let parsed = dividends("AAPL.US~2019.csv");
    assert_eq!((parsed.records.len(), parsed.rejects.len(), parsed.holes), (2, 0, 0));
    let last = actions(&parsed)[1];
    assert_eq!((last.ex_date, last.amount, last.unadjusted_amount), (date("2012-11-07"), number("0.37857"), None));
}

#[test]
fn an_exchange_has_the_dividends_of_its_day() {
    let parsed = dividends("F~2019.csv");
    assert_eq!((parsed.records.len(), parsed.rejects.len(), parsed.holes), (2, 0, 0));
    assert_eq!(actions(&parsed)[0].symbol, "4FX.F");
    assert_eq!((actions(&parsed)[0].amount, actions(&parsed)[0].ex_date), (number("0.3875"), date("2019-10-01")));
    let parsed = dividends("US~exchange.json");
    let first = actions(&parsed)[0];
    assert_eq!((first.symbol.as_str(), first.amount), ("SIM.US", number("0.25")));
    assert_eq!((first.paid_on, first.unadjusted_amount), (Some(date("2024-08-15")), number("0.25")));
}

#[test]
fn each_odd_dividend_is_refused_and_the_rest_goes_on() {
    let parsed = dividends("VOD.LSE~odd_rows.json");
    let expected = [
        ("duplicate", "row 1: a dividend of `VOD.LSE` on 2024-06-06 is already in the page"),
        ("number", "row 2: `value` `\"a penny\"` is not a number"),
        ("absent", "row 3: has no `date`"),
        ("date", "row 4: `paymentDate` `\"soon\"` is not a date like `2024-12-31`"),
    ];
    assert_eq!(rejects(&parsed), expected);
    assert_eq!((parsed.records.len(), parsed.holes), (1, 1));
}

#[test]
fn a_split_is_new_by_old() {
    let parsed = splits("AAPL.US.json");
    assert_eq!((parsed.records.len(), parsed.rejects.len()), (2, 0));
    let seven = actions(&parsed)[1];
    assert_eq!((seven.action_type.as_str(), seven.ex_date), ("split", date("2014-06-09")));
    assert_eq!((seven.split_to, seven.split_from), (number("7"), number("1")));
    assert_eq!((seven.amount, seven.currency.as_deref()), (None, None));
    assert_eq!(splits("AAPL.US~2019.csv").records, parsed.records);
}

#[test]
fn shares_may_be_merged() {
    let parsed = splits("F~2019.csv");
    let merged = actions(&parsed)[0];
    assert_eq!((merged.symbol.as_str(), merged.split_to, merged.split_from), ("FSQ.F", number("1"), number("10")));
}

#[test]
fn each_odd_split_is_refused_and_the_rest_goes_on() {
    let parsed = splits("VOD.LSE~odd_rows.json");
    let expected = [
        ("split", "row 1: `split` `0.000000/1.000000` is not new by old shares, such as `7.000000/1.000000`"),
        ("split", "row 2: `split` `2` is not new by old shares, such as `7.000000/1.000000`"),
        ("absent", "row 3: has no `split`"),
        ("duplicate", "row 4: a split of `VOD.LSE` on 2014-02-24 is already in the page"),
    ];
    assert_eq!(rejects(&parsed), expected);
    assert_eq!(parsed.records.len(), 1);
}

#[test]
fn of_an_exchange_a_row_says_its_symbol() {
    let parsed = parse_dividends(&request("US"), br#"[{"date":"2024-08-09","value":"0.25"}]"#).unwrap();
    assert_eq!(rejects(&parsed), [("absent", "row 0: has no `code`")]);
}

#[test]
fn an_error_of_the_provider_says_what_to_do_next() {
    for endpoint in ["dividends", "splits"] {
        let token = parse_file(&SOURCE, endpoint, "AAPL.US~error_unauthenticated.txt").unwrap_err();
        assert!(matches!(token, PageError::Halt(_)), "{token:?}");
    }
}
