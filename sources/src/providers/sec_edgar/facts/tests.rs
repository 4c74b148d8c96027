use super::*;
use crate::fixture::{RECEIVED, at, date as day, only, parse as parse_file, rejects, request};
use crate::providers::sec_edgar::SOURCE;

fn facts(parsed: &Parsed) -> Vec<&XbrlFact> {
    only!(parsed, XbrlFact)
}

#[test]
fn a_fact_has_its_place_its_period_and_its_filing() {
    let parsed = parse_file(&SOURCE, "company_facts", "320193.json").unwrap();
    let facts = facts(&parsed);
    assert_eq!((facts.len(), parsed.rejects.len(), parsed.next_offset), (6, 0, None));
    let shares = facts[0];
    assert_eq!((shares.source.as_str(), shares.cik.as_str()), ("sec_edgar", "0000320193"));
    assert_eq!((shares.taxonomy.as_str(), shares.unit.as_str()), ("dei", "shares"));
    assert_eq!(shares.concept, "EntityCommonStockSharesOutstanding");
    assert_eq!((shares.period_type.as_str(), shares.period_start), ("instant", day("2009-06-27")));
    assert_eq!((shares.period_end, shares.value), (day("2009-06-27"), decimal::parse("895816758").unwrap()));
    assert_eq!((shares.fiscal_year, shares.fiscal_period.as_deref()), (Some(2009), Some("Q3")));
    assert_eq!((shares.form.as_str(), shares.accession_number.as_str()), ("10-Q", "0001193125-09-153165"));
    assert_eq!((shares.filed_on, shares.known_at), (day("2009-07-22"), at("2009-07-23T04:00:00Z")));
    assert_eq!((shares.frame.as_deref(), shares.observed_at), (Some("CY2009Q2I"), at(RECEIVED)));
}

#[test]
fn the_same_period_in_a_later_filing_is_a_fact_of_its_own() {
    let parsed = parse_file(&SOURCE, "company_facts", "320193.json").unwrap();
    let all = facts(&parsed);
    let (first, restated) = (all[1], all[2]);
    assert_eq!((first.period_type.as_str(), first.period_start), ("duration", day("2008-09-28")));
    assert_eq!((first.period_start, first.period_end), (restated.period_start, restated.period_end));
    let values = (first.value.to_string(), restated.value.to_string());
    assert_eq!(values, ("36537000000".to_owned(), "42905000000".to_owned()));
    assert_ne!(first.accession_number, restated.accession_number);
    assert_eq!((all[3].unit.as_str(), all[3].value.to_string()), ("USD/shares", "-6.29".to_owned()));
    // Some filings lack a fiscal period.
    assert_eq!((all[4].fiscal_year, all[4].fiscal_period.as_deref(), all[4].frame.as_deref()), (None, None, None));
}

#[test]
fn each_odd_fact_is_refused_and_the_rest_goes_on() {
    let parsed = parse_file(&SOURCE, "company_facts", "1640147~odd_rows.json").unwrap();
    assert_eq!(facts(&parsed).len(), 2);
    let place = "us-gaap Assets USD";
    let said: Vec<_> = rejects(&parsed).iter().map(|(class, reason)| (*class, reason.to_string())).collect();
    let expected = [
        ("date", "`end` `2021-02-30` is not a date like `2024-12-31`"),
        ("number", "`val` `\"many\"` is not a number"),
        ("number", "`val` `1e30` is not a number"),
        ("absent", "has no `accn`"),
        ("absent", "has no `val`"),
        ("duplicate", "another fact has the same period and filing"),
        ("shape", "invalid type: string \"2021\", expected i64 at line 1 column 69"),
        ("shape", "invalid type: integer `7`, expected struct Row at line 1 column 1"),
    ];
    let expected = expected.map(|(class, reason)| (class, format!("{place}: {reason}")));
    assert_eq!(said, expected);
}

#[test]
fn a_body_of_more_facts_is_several_pages() {
    let fact = |day: u64| {
        let end = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap() + chrono::Days::new(day);
        format!(r#"{{"end":"{end}","val":{day},"accn":"a","form":"10-K","filed":"2020-01-01"}}"#)
    };
    let list = |days: std::ops::Range<u64>| days.map(fact).collect::<Vec<_>>().join(",");
    let (first, second) = (list(0..PAGE_FACTS - 2), list(PAGE_FACTS - 2..PAGE_FACTS + 3));
    let body = format!(
        r#"{{"cik":1,"facts":{{"a":{{"B":{{"units":{{"USD":[{first}]}}}},"C":{{"units":{{"USD":[{second}]}}}}}}}}}}"#
    );
    let page = |offset| parse(&Request { offset, ..request("1") }, body.as_bytes()).unwrap();
    assert_eq!((page(0).records.len() as u64, page(0).next_offset), (PAGE_FACTS, Some(PAGE_FACTS)));
    let last = page(PAGE_FACTS);
    assert_eq!((last.records.len(), last.next_offset), (3, None));
    assert_eq!(facts(&last)[0].value.to_string(), PAGE_FACTS.to_string());
}

#[test]
fn the_filers_number_may_be_a_text_and_must_be_the_one_asked_for() {
    let body = br#"{"cik":"0000000007","entityName":"X","facts":{}}"#;
    assert_eq!(parse(&request("7"), body).unwrap(), Parsed::default());
    let error = parse(&request("8"), body).unwrap_err();
    assert_eq!(error, PageError::Skip("requested CIK 0000000008, the response is for `0000000007`".to_owned()));
}

#[test]
fn names_may_have_escapes() {
    let body = br#"{"cik":7,"facts":{"us-gaap":{"Eps":{"label":null,"units":{"USD\/shares":[
            {"end":"2020-01-01","val":1,"accn":"a","form":"10-K\/A","filed":"2020-02-01"}]}}}}}"#;
    let parsed = parse(&request("7"), body).unwrap();
    assert_eq!((facts(&parsed)[0].unit.as_str(), facts(&parsed)[0].form.as_str()), ("USD/shares", "10-K/A"));
}

#[test]
fn what_is_not_the_facts_is_an_error() {
    let error = parse_file(&SOURCE, "company_facts", "99999999~error_no_such_key.xml").unwrap_err();
    assert!(matches!(&error, PageError::Skip(text) if text.contains("NoSuchKey")), "{error:?}");
    for body in [
        "",
        "[]",
        "{}",
        "{\"cik\":7}",
        "{\"facts\":{\"a\":[]}}",
        "{\"facts\":{}} x",
        "{\"facts\":{\"a\":{\"b\":{\"units\":{\"c\":{}}}}}}",
    ] {
        let outcome = parse(&request("7"), body.as_bytes());
        assert!(matches!(outcome, Err(PageError::Retry(_))), "{body}: {outcome:?}");
    }
    assert!(matches!(parse(&request("7"), b"{\"facts\":{}}\xff"), Err(PageError::Retry(_))));
}
