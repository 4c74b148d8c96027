use super::*;
use crate::fixture::{RECEIVED, at, only, parse as parse_file, rejects, request};

fn companies(parsed: &Parsed) -> Vec<&Company> {
    only!(parsed, Company)
}

#[test]
fn a_company_has_a_record_for_each_of_its_tickers() {
    let parsed = parse_file(&SOURCE, "company_tickers", "all.json").unwrap();
    let said: Vec<_> =
        companies(&parsed).iter().map(|c| (c.symbol.as_str(), c.name.as_str(), c.cik.as_deref())).collect();
    let expected = [
        ("AAPL", "Apple Inc.", Some("0000320193")),
        ("BRK-B", "BERKSHIRE HATHAWAY INC", Some("0001067983")),
        ("BRK-A", "BERKSHIRE HATHAWAY INC", Some("0001067983")),
    ];
    assert_eq!(said, expected);
    let first = companies(&parsed)[0];
    assert_eq!((first.source.as_str(), first.known_at, first.observed_at), ("sec_edgar", at(RECEIVED), at(RECEIVED)));
    assert!(parsed.rejects.is_empty());
}

#[test]
fn each_odd_row_is_refused_and_the_rest_goes_on() {
    let parsed = parse_file(&SOURCE, "company_tickers", "all~odd_rows.json").unwrap();
    assert_eq!(companies(&parsed).len(), 1);
    let expected = [
        ("absent", "has no `title`"),
        ("cik", "`cik_str` `0` is not a CIK"),
        ("duplicate", "another row has the same ticker"),
        ("shape", "expected an object, found `null`"),
    ];
    assert_eq!(rejects(&parsed), expected);
}

#[test]
fn a_page_instead_of_the_file_says_what_to_do_next() {
    let error = |file| parse_file(&SOURCE, "company_tickers", file).unwrap_err();
    let tool = error("all~error_undeclared_automated_tool.html");
    let expected = "identify yourself in `TAPEDECK_SEC_CONTACT`: the provider says `SEC.gov | Your Request Originates from an Undeclared Automated Tool`";
    assert_eq!(tool, PageError::Halt(expected.to_owned()));
    let rate = error("all~error_request_rate.html");
    assert!(matches!(&rate, PageError::Retry(text) if text.contains("Request Rate Threshold Exceeded")), "{rate:?}");
    let outage = error("all~error_file_unavailable.html");
    assert!(matches!(&outage, PageError::Retry(text) if text.contains("File Unavailable")), "{outage:?}");
    let denied = markup(&request("x"), b"<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code></Error>");
    assert!(matches!(&denied, PageError::Skip(text) if text.starts_with("no file of `x`")), "{denied:?}");
}

#[test]
fn what_is_not_an_object_is_asked_for_again() {
    for body in ["", "[]", "{", "null", "{\"0\":", "Not Found"] {
        let outcome = parse_tickers(&request("all"), body.as_bytes());
        assert!(matches!(outcome, Err(PageError::Retry(_))), "{body}: {outcome:?}");
    }
}

#[test]
fn a_filers_number_has_ten_digits() {
    assert_eq!(cik("320193").as_deref(), Some("0000320193"));
    assert_eq!(cik("0001067983").as_deref(), Some("0001067983"));
    for text in ["", "0", "0000000000", "12345678901", "00000320193", "-1", "1.0", "x"] {
        assert_eq!(cik(text), None, "{text}");
    }
    assert_eq!(tickers_path("all", 0).unwrap(), "/files/company_tickers.json");
    assert!(matches!(tickers_path("AAPL", 0), Err(PageError::Skip(_))));
}
