use std::collections::HashSet;

use serde_json::Value;

use super::*;
use crate::fixture::{RECEIVED, at, date, parse as parse_file, rejects, request};
use crate::providers::sec_edgar::SOURCE;

fn page_of(file: &str) -> Parsed {
    parse_file(&SOURCE, "submissions", file).unwrap()
}

fn filings_of(parsed: &Parsed) -> Vec<&Filing> {
    fn filing(record: &Record) -> Option<&Filing> {
        match record {
            Record::Filing(filing) => Some(filing),
            _ => None,
        }
    }
    parsed.records.iter().filter_map(filing).collect()
}

fn company_of(parsed: &Parsed) -> &Company {
    match parsed.records.last() {
        Some(Record::Company(company)) => company,
        other => panic!("not a company: {other:?}"),
    }
}

#[test]
fn each_row_of_the_columns_is_a_filing() {
    let parsed = page_of("320193.json");
    let filings = filings_of(&parsed);
    assert_eq!((filings.len(), parsed.records.len(), parsed.rejects.len()), (3, 4, 0));
    let report = filings[1];
    assert_eq!((report.source.as_str(), report.cik.as_str()), ("sec_edgar", "0000320193"));
    assert_eq!((report.accession_number.as_str(), report.form.as_str()), ("0000320193-25-000079", "10-K"));
    assert_eq!((report.filed_on, report.reported_on), (date("2025-10-31"), Some(date("2025-09-27"))));
    // New York time: read as UTC, it would have been accepted at two in the morning there.
    let accepted_at = at("2025-10-31T10:01:26Z");
    assert_eq!((report.accepted_at, report.known_at), (Some(accepted_at), accepted_at));
    assert_eq!(
        (report.act.as_deref(), report.items.as_deref(), report.size_bytes),
        (Some("34"), None, Some(9_392_337))
    );
    assert_eq!((report.is_xbrl, report.is_inline_xbrl), (Some(1), Some(1)));
    assert_eq!(report.primary_document.as_deref(), Some("aapl-20250927.htm"));
    assert_eq!((report.core_type.as_deref(), report.observed_at), (Some("XBRL"), at(RECEIVED)));
    let insider = filings[0];
    assert_eq!((insider.form.as_str(), insider.reported_on, insider.act.as_deref()), ("4", None, None));
    assert_eq!(insider.primary_document.as_deref(), Some("xslF345X05/wk-form4.xml"));
    // Without a time of acceptance.
    assert_eq!((filings[2].accepted_at, filings[2].known_at), (None, at("2025-08-02T04:00:00Z")));
}

#[test]
fn a_filer_is_under_its_number_and_says_its_tickers() {
    let parsed = page_of("320193.json");
    let company = company_of(&parsed);
    assert_eq!((company.symbol.as_str(), company.name.as_str()), ("CIK0000320193", "Apple Inc."));
    assert_eq!((company.cik.as_deref(), company.exchange.as_deref()), (Some("0000320193"), Some("Nasdaq")));
    assert_eq!((company.sic.as_deref(), company.industry.as_deref()), (Some("3571"), Some("Electronic Computers")));
    assert_eq!((company.kind.as_deref(), company.fiscal_year_end.as_deref()), (Some("operating"), Some("0926")));
    assert_eq!(company.former_names, ["APPLE INC", "APPLE COMPUTER INC"]);
    let other: Value = serde_json::from_str(company.other.as_deref().unwrap()).unwrap();
    assert_eq!((&other["category"], &other["ein"]), (&"Large accelerated filer".into(), &"942404110".into()));
    assert_eq!(other["tickers"], serde_json::json!(["AAPL"]));
    assert!(other.get("filings").is_none() && other.get("website").is_none(), "{other}");
}

#[test]
fn what_one_file_says_of_a_company_is_not_taken_back_by_another() {
    let symbols = |parsed: &Parsed| {
        let symbol = |record: &Record| match record {
            Record::Company(company) => Some(company.symbol.clone()),
            _ => None,
        };
        parsed.records.iter().filter_map(symbol).collect::<HashSet<Text>>()
    };
    let tickers = symbols(&parse_file(&SOURCE, "company_tickers", "all.json").unwrap());
    let filer = symbols(&page_of("320193.json"));
    assert!(tickers.contains(&Text::from("AAPL")) && filer.len() == 1, "{tickers:?}, {filer:?}");
    assert!(tickers.is_disjoint(&filer), "{tickers:?}, {filer:?}");
}

#[test]
fn the_same_digits_are_read_by_the_clock_of_their_page() {
    let known_at = |times: [&str; 2]| {
        let body = format!(
            r#"{{"accessionNumber":["0000320193-22-000061","0000320193-22-000062"],"filingDate":["2022-05-06",
                "2022-05-06"],"form":["4","4"],"acceptanceDateTime":["{}","{}"]}}"#,
            times[0], times[1]
        );
        let page = parse(&Request { offset: 1, ..request("320193") }, body.as_bytes()).unwrap();
        let filing = filings_of(&page)[0];
        (filing.accepted_at, filing.known_at)
    };
    // Its header has `<ACCEPTANCE-DATETIME>20220506183057`, in New York time.
    let accepted_at = at("2022-05-06T22:30:57Z");
    let digits = "2022-05-06T18:30:57.000Z";
    assert_eq!(known_at([digits, "2022-05-06T06:01:26.000Z"]), (Some(accepted_at), accepted_at));
    let utc = "2022-05-06T22:30:57.000Z";
    assert_eq!(known_at([utc, "2022-05-07T01:01:26.000Z"]), (Some(accepted_at), accepted_at));
    assert_eq!(known_at([digits, ""]), (None, accepted_at));
    // A time with its own offset is unambiguous.
    assert_eq!(known_at(["2022-05-06T18:30:57-04:00", ""]), (Some(accepted_at), accepted_at));
}

#[test]
fn a_filing_is_known_when_the_sec_has_published_it() {
    let filing = |form: &str, filed_on: &str, accepted_at: &str| {
        let body = format!(
            r#"{{"accessionNumber":["0000320193-23-000106"],"filingDate":["{filed_on}"],"form":["{form}"],
                "acceptanceDateTime":["{accepted_at}"]}}"#
        );
        let page = parse(&Request { offset: 1, ..request("320193") }, body.as_bytes()).unwrap();
        let filing = filings_of(&page)[0];
        (filing.accepted_at, filing.known_at)
    };
    let accepted_at = at("2023-11-02T22:08:27Z");
    let evening = "2023-11-02T18:08:27-04:00";
    assert_eq!(filing("10-K", "2023-11-03", evening), (Some(accepted_at), at("2023-11-03T10:00:00Z")));
    assert_eq!(filing("4", "2023-11-02", evening), (Some(accepted_at), accepted_at));
    assert_eq!(filing("144/A", "2023-11-02", evening), (Some(accepted_at), accepted_at));
    // A Friday before a holiday.
    let friday = "2023-11-10T16:00:00-05:00";
    assert_eq!(filing("8-K", "2023-11-13", friday), (Some(at("2023-11-10T21:00:00Z")), at("2023-11-13T11:00:00Z")));
    // Letters of a review are published weeks later.
    assert_eq!(filing("UPLOAD", "2023-11-02", evening), (Some(accepted_at), at(RECEIVED)));
    assert_eq!(filing("DRS/A", "2023-11-02", ""), (None, at(RECEIVED)));
}

#[test]
fn who_has_no_ticker_is_under_their_number_too() {
    let parsed = page_of("1771340~person.json");
    let person = company_of(&parsed);
    assert_eq!((person.symbol.as_str(), person.kind.as_deref()), ("CIK0001771340", Some("other")));
    assert_eq!((person.exchange.as_deref(), person.sic.as_deref(), person.lei.as_deref()), (None, None, None));
    assert_eq!(filings_of(&parsed).len(), 1);
}

#[test]
fn an_offset_carries_how_many_older_pages_there_are() {
    assert_eq!(page_of("320193.json").next_offset, Some(2001));
    assert_eq!(page_of("1771340~person.json").next_offset, None);
    let older = br#"{"accessionNumber":["0000320193-94-000002"],"filingDate":["1994-01-26"],"form":["10-Q"]}"#;
    let next = |offset| {
        let page = parse(&Request { offset, ..request("320193") }, older).unwrap();
        assert_eq!((page.records.len(), page.rejects.len()), (1, 0));
        page.next_offset
    };
    assert_eq!((next(2001), next(2002), next(1)), (Some(2002), None, None));
    assert_eq!(path("320193", 0).unwrap(), "/submissions/CIK0000320193.json");
    assert_eq!(path("320193", 2001).unwrap(), "/submissions/CIK0000320193-submissions-001.json");
    assert_eq!(path("0000320193", 12).unwrap(), "/submissions/CIK0000320193-submissions-012.json");
    assert!(matches!(path("AAPL", 0), Err(PageError::Skip(_))));
}

#[test]
fn each_odd_row_is_refused_and_the_rest_goes_on() {
    let parsed = page_of("1800903~odd_rows.json");
    assert_eq!(filings_of(&parsed).len(), 1);
    assert_eq!(
        rejects(&parsed),
        [
            ("accession_number", "row 1: `accessionNumber` `0001800903-20-1` is not like `0000320193-24-000123`"),
            ("absent", "row 2: has no `filingDate`"),
            ("date", "row 3: `acceptanceDateTime` `\"yesterday\"` is not a time like `2024-12-31T12:00:00Z`"),
            ("duplicate", "row 4: is already in the page"),
            ("absent", "row 5: has no `form`"),
            ("shape", "`exchanges` `\"X\"` is not a list of texts"),
        ]
    );
    let fragment = r#"{"accessionNumber":"0001800903-20-1","filingDate":"2020-01-27","acceptanceDateTime":"","form":"D","size":6237}"#;
    assert_eq!(String::from_utf8_lossy(&parsed.rejects[0].fragment), fragment);
}

#[test]
fn nothing_is_known_before_it_is_received() {
    let body = br#"{"accessionNumber":["0000320193-30-000002"],"filingDate":["2030-01-26"],"form":["10-Q"]}"#;
    let page = parse(&Request { offset: 1, ..request("320193") }, body).unwrap();
    assert_eq!(filings_of(&page)[0].known_at, at(RECEIVED));
}

#[test]
fn what_is_not_a_page_of_the_filer_is_an_error() {
    let error = parse_file(&SOURCE, "submissions", "99999999~error_no_such_key.xml").unwrap_err();
    assert!(matches!(&error, PageError::Skip(text) if text.contains("NoSuchKey")), "{error:?}");
    let other = parse(&request("1"), br#"{"cik":"0000320193","filings":{"recent":{}}}"#).unwrap_err();
    assert_eq!(other, PageError::Skip("requested CIK 0000000001, the response is for `0000320193`".to_owned()));
    let columns = |text: &str| format!(r#"{{"cik":"1","name":"X","filings":{{"recent":{{{text}}}}}}}"#);
    for body in [
        r#"{"cik":"1"}"#.to_owned(),
        columns(""),
        columns(r#""form":[]"#),
        columns(r#""accessionNumber":["a"],"form":[]"#),
        columns(r#""accessionNumber":{}"#),
    ] {
        let outcome = parse(&request("1"), body.as_bytes());
        assert!(matches!(outcome, Err(PageError::Retry(_))), "{body}: {outcome:?}");
    }
}
