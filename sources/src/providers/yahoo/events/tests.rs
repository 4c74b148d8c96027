use contract::{Record, decimal};

use super::*;
use crate::fixture::{RECEIVED, at, bars, date, parse as parse_file, rejects};
use crate::providers::yahoo::SOURCE;

fn actions(parsed: &Parsed) -> Vec<&CorporateAction> {
    parsed.records.iter().filter_map(action_of).collect()
}

fn action_of(record: &Record) -> Option<&CorporateAction> {
    match record {
        Record::CorporateAction(action) => Some(action),
        _ => None,
    }
}

fn chart_of(file: &str) -> Parsed {
    parse_file(&SOURCE, "chart", file).unwrap()
}

/// Type, date and amount of each.
fn amounts(parsed: &Parsed) -> Vec<(&str, NaiveDate, Option<String>)> {
    let amount = |action: &&CorporateAction| action.amount.map(|amount| amount.to_string());
    let actions = actions(parsed);
    actions.iter().map(|action| (action.action_type.as_str(), action.ex_date, amount(action))).collect()
}

#[test]
fn a_dividend_is_an_action_beside_the_bars() {
    let parsed = chart_of("AAPL.json");
    assert_eq!((bars(&parsed).len(), parsed.rejects.len()), (4, 0));
    let [dividend] = actions(&parsed)[..] else { panic!() };
    assert_eq!((dividend.source.as_str(), dividend.symbol.as_str()), ("yahoo", "AAPL"));
    assert_eq!((dividend.action_type.as_str(), dividend.ex_date), ("dividend", date("2024-11-01")));
    assert_eq!((dividend.amount, dividend.unadjusted_amount), (decimal::parse("0.25"), None));
    assert_eq!((dividend.split_to, dividend.currency.as_deref()), (None, Some("USD")));
    assert_eq!((dividend.known_at, dividend.observed_at), (at(RECEIVED), at(RECEIVED)));
}

#[test]
fn a_split_says_how_many_new_shares_replace_how_many_old_ones() {
    let parsed = chart_of("AAPL~split.json");
    let split = actions(&parsed)[1];
    assert_eq!((split.action_type.as_str(), split.ex_date), ("split", date("2020-08-31")));
    assert_eq!((split.split_to, split.split_from), (decimal::parse("4"), decimal::parse("1")));
    assert_eq!((split.amount, split.currency.as_deref()), (None, None));
    // As sent, not as the nearest double.
    assert_eq!(amounts(&parsed)[0], ("dividend", date("2020-11-06"), Some("0.205".to_owned())));
}

#[test]
fn of_a_longer_bar_the_date_inside_the_event_counts() {
    let parsed = chart_of("VFINX@3mo~events.json");
    let expected = [
        ("dividend", date("2024-09-27"), Some("1.6487".to_owned())),
        ("dividend", date("2024-12-20"), Some("1.7339000001".to_owned())),
        ("capital_gain", date("2024-12-20"), Some("0.012".to_owned())),
    ];
    assert_eq!(amounts(&parsed), expected);
}

#[test]
fn the_date_is_that_of_the_exchange() {
    let parsed = chart_of("7203.T~events.json");
    // 09:00 in Tokyo is midnight in UTC, and midnight there is the day before.
    assert_eq!(amounts(&parsed)[0].1, date("2024-03-28"));
    assert_eq!(amounts(&parsed)[1].1, date("2024-09-27"));
    assert_eq!(actions(&parsed)[1].currency.as_deref(), Some("USD"));
}

#[test]
fn each_odd_event_is_refused_and_the_rest_goes_on() {
    let parsed = chart_of("AAPL~odd_events.json");
    assert_eq!((bars(&parsed).len(), actions(&parsed).len()), (1, 1));
    let expected = [
        ("number", "`dividends` `2`: `amount` `\"a lot\"` is not a number"),
        ("absent", "`dividends` `3`: has no `amount`"),
        ("absent", "`dividends` `4`: has no `date`"),
        ("date", "`dividends` `5`: `date` `9007199254740993` is not a time in seconds since 1970"),
        ("duplicate", "`dividends` `6`: a second dividend of 2024-11-01"),
        ("shape", "`dividends` `7`: expected an object, found `0.25`"),
        ("absent", "`splits` `8`: has no `denominator`"),
        ("shape", "`capitalGains`: expected an object, found `[]`"),
    ];
    assert_eq!(rejects(&parsed), expected);
    assert_eq!(parsed.rejects[1].fragment, br#"{"date":1730467800}"#);
}
