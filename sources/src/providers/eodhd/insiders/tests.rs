use contract::decimal;

use super::*;
use crate::fixture::{RECEIVED, at, date, only, parse as parse_file, rejects, request};
use crate::providers::eodhd::SOURCE;

fn lines(parsed: &Parsed) -> Vec<&InsiderTransaction> {
    only!(parsed, InsiderTransaction)
}

fn insiders(file: &str) -> Parsed {
    parse_file(&SOURCE, "insider_transactions", file).unwrap()
}

fn number(text: &str) -> Option<contract::Decimal> {
    Some(decimal::parse(text).unwrap())
}

#[test]
fn a_line_of_the_flat_feed_is_named_by_a_hash_of_what_it_says() {
    let parsed = insiders("MSFT.US.json");
    assert_eq!((parsed.records.len(), parsed.rejects.len(), parsed.next_offset), (2, 0, None));
    let first = lines(&parsed)[0];
    assert_eq!((first.source.as_str(), first.symbol.as_deref()), ("eodhd", Some("MSFT.US")));
    assert!(first.transaction_id.starts_with("xxh3:") && first.transaction_id.len() == 37);
    assert_eq!((first.owner_name.as_str(), first.owner_cik.as_deref()), ("Doe Jane", Some("0001234567")));
    assert_eq!(first.owner_title.as_deref(), Some("Chief Executive Officer"));
    assert_eq!(first.transaction_date, Some(date("2025-01-15")));
    assert_eq!((first.transaction_code.as_deref(), first.acquired_disposed.as_deref()), (Some("P"), Some("A")));
    assert_eq!((first.shares, first.price, first.shares_after), (number("5000"), number("185.5"), number("150000")));
    assert_eq!(first.reported_on, Some(date("2025-01-17")));
    assert_eq!(first.link.as_deref(), Some("https://www.sec.gov/cgi-bin/browse-edgar?action=getcompany&CIK=1"));
    assert_eq!((first.known_at, first.observed_at), (at(RECEIVED), at(RECEIVED)));
    assert_eq!((&first.accession_number, &first.form, &first.table_name), (&None, &None, &None));
    // Another number of shares is another line.
    assert_ne!(lines(&parsed)[1].transaction_id, first.transaction_id);
    assert_eq!((lines(&parsed)[1].owner_cik.as_deref(), lines(&parsed)[1].price), (None, None));
}

#[test]
fn the_same_line_has_the_same_id_however_it_is_written() {
    let id = |text: &str| {
        let parsed = parse(&request("A.US"), text.as_bytes()).unwrap();
        lines(&parsed)[0].transaction_id.clone()
    };
    let flat = id(r#"[{"ownerName":"Doe Jane","transactionAmount":10,"ownerCik":"1","transactionDate":"2025-01-15"}]"#);
    let other = id(
        r#"[ {"code":"A.US","transactionDate":"2025-01-15","ownerCik":"0000000001","transactionAmount":"10.00","ownerName":"Doe Jane "} ]"#,
    );
    assert_eq!(flat, other);
}

#[test]
fn each_odd_line_is_refused_and_the_rest_goes_on() {
    let parsed = insiders("MSFT.US~odd_rows.json");
    let expected = [
        ("duplicate", "row 1: is equal to an earlier line"),
        ("absent", "row 2: has no `ownerName`"),
        ("number", "row 3: `transactionAmount` `\"many\"` is not a number"),
        ("date", "row 4: `transactionDate` `\"2025-02-30\"` is not a date like `2024-12-31`"),
    ];
    assert_eq!(rejects(&parsed), expected);
    assert_eq!(lines(&parsed).len(), 1);
}

#[test]
fn a_line_of_a_form_is_named_by_its_place() {
    let parsed = insiders("AAPL.US@form4.json");
    assert_eq!((parsed.records.len(), parsed.rejects.len(), parsed.next_offset), (3, 0, Some(2)));
    let first = lines(&parsed)[0];
    assert_eq!(first.transaction_id, "0001140361-26-000001/non_derivative/0");
    assert_eq!(first.symbol.as_deref(), Some("AAPL.US"));
    assert_eq!(first.accession_number.as_deref(), Some("0001140361-26-000001"));
    assert_eq!((first.form.as_deref(), first.table_name.as_deref()), (Some("4"), Some("non_derivative")));
    assert_eq!((first.owner_name.as_str(), first.owner_cik.as_deref()), ("DOE JANE", Some("0001214128")));
    assert_eq!(
        (first.owner_title.as_deref(), first.security_title.as_deref()),
        (Some("Director"), Some("Common Stock"))
    );
    assert_eq!((first.transaction_date, first.reported_on), (Some(date("2026-05-27")), Some(date("2026-05-29"))));
    assert_eq!((first.shares, first.price, first.shares_after), (number("50000"), number("311.02"), number("3764576")));
    assert_eq!((first.transaction_code.as_deref(), first.acquired_disposed.as_deref()), (Some("S"), Some("D")));
    assert_eq!((first.known_at, first.observed_at), (at("2026-05-30T04:00:00Z"), at(RECEIVED)));
}

#[test]
fn a_line_without_a_transaction_is_a_holding() {
    let parsed = insiders("AAPL.US@form4.json");
    let [_, holding, option] = lines(&parsed)[..] else { panic!() };
    assert_eq!(holding.table_name.as_deref(), Some("non_derivative_holding"));
    assert_eq!((holding.transaction_date, holding.shares_after), (None, number("120")));
    assert_eq!(option.transaction_id, "0001140361-26-000002/derivative/0");
    assert_eq!((option.table_name.as_deref(), option.owner_title.as_deref()), (Some("derivative"), Some("CFO")));
    assert_eq!(option.price, None);
}

#[test]
fn a_page_of_forms_that_is_not_the_last_names_the_next() {
    let next = |body: &str, offset| {
        let request = Request { offset, ..request("AAPL.US@form4") };
        parse(&request, body.as_bytes()).unwrap().next_offset
    };
    let form = r#"{"accession_number":"1","non_derivative":[],"derivative":[]}"#;
    let page = |total: &str, link: &str| {
        format!(r#"{{"data":[{form}],"meta":{{"total":{total}}},"links":{{"next":{link}}}}}"#)
    };
    assert_eq!(next(&page("595", "\"https://x.example\""), 100), Some(101));
    assert_eq!(next(&page("595", "null"), 100), None);
    assert_eq!(next(&page("101", "\"https://x.example\""), 100), None);
    assert_eq!(next(&page("null", "\"https://x.example\""), 0), Some(1));
    assert_eq!(next(r#"{"data":[],"meta":{"total":5},"links":{"next":"x"}}"#, 0), None);
}

#[test]
fn each_odd_form_is_refused_and_the_rest_goes_on() {
    let parsed = insiders("AAPL.US@form4~odd_rows.json");
    let expected = [
        ("number", "`0001140361-26-000001`, `non_derivative`, line 0: `shares_amount` `\"many\"` is not a number"),
        ("absent", "`0001140361-26-000001`, `non_derivative`, line 2: has no `reporting_owner_name`"),
        ("absent", "form 1: has no `accession_number`"),
        ("duplicate", "form 2: `0001140361-26-000001` is already in the page"),
        ("shape", "form 3: expected an object, found `7`"),
        ("shape", "form 4: `derivative` `7` is not a list"),
    ];
    assert_eq!(rejects(&parsed), expected);
    assert_eq!(lines(&parsed)[0].transaction_id, "0001140361-26-000001/non_derivative/1");
    let outcome = parse(&request("AAPL.US@form4"), br#"{"data":7}"#);
    assert!(matches!(outcome, Err(PageError::Retry(_))), "{outcome:?}");
}

#[test]
fn numbers_at_the_sec_have_ten_digits() {
    assert_eq!(ten_digits("320193".into()), "0000320193");
    assert_eq!(ten_digits("0000320193".into()), "0000320193");
    assert_eq!(ten_digits("none".into()), "none");
}

#[test]
fn an_error_of_the_provider_says_what_to_do_next() {
    let token = parse_file(&SOURCE, "insider_transactions", "MSFT.US~error_unauthenticated.txt").unwrap_err();
    assert!(matches!(token, PageError::Halt(_)), "{token:?}");
    assert_eq!(insiders("MSFT.US~empty.json"), Parsed::default());
}
