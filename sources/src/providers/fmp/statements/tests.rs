use contract::decimal;
use serde_json::Value;

use contract::Decimal;

use super::*;
use crate::fixture::{RECEIVED, at, date, only, parse as parse_file, rejects, request};
use crate::providers::fmp::SOURCE;

fn statements(parsed: &Parsed) -> Vec<&FinancialStatement> {
    only!(parsed, FinancialStatement)
}

fn amount(text: &str) -> Option<Decimal> {
    decimal::parse(text)
}

#[test]
fn an_income_statement_has_its_columns_and_every_number_under_its_own_name() {
    let parsed = parse_file(&SOURCE, "income_statement", "AAPL.json").unwrap();
    let all = statements(&parsed);
    assert_eq!((all.len(), parsed.rejects.len(), parsed.holes), (2, 0, 0));
    let newest = all[0];
    assert_eq!((newest.source.as_str(), newest.symbol.as_str()), ("fmp", "AAPL"));
    assert_eq!((newest.statement.as_str(), newest.period.as_str()), ("income", "FY"));
    assert_eq!((newest.period_end, newest.fiscal_year), (date("2025-09-27"), Some(2025)));
    assert_eq!((newest.currency.as_deref(), newest.cik.as_deref()), (Some("USD"), Some("0000320193")));
    assert_eq!((newest.revenue, newest.net_income), (amount("416161000000"), amount("112010000000")));
    assert_eq!((newest.operating_income, newest.eps_diluted), (amount("133050000000"), amount("7.46")));
    assert_eq!((newest.total_assets, newest.operating_cash_flow), (None, None));
    let metrics: Value = serde_json::from_str(&newest.metrics).unwrap();
    assert_eq!((&metrics["revenue"], &metrics["eps"]), (&416_161_000_000_i64.into(), &7.49.into()));
    assert_eq!(metrics.as_object().unwrap().len(), 9);
    assert!(newest.metrics.contains("\"eps\":7.490,"), "{}", newest.metrics);
    assert!(newest.flags.is_empty());
}

#[test]
fn the_time_of_acceptance_is_new_yorks() {
    let parsed = parse_file(&SOURCE, "income_statement", "AAPL.json").unwrap();
    let newest = statements(&parsed)[0];
    assert_eq!((newest.filed_on, newest.accepted_at), (Some(date("2025-10-31")), Some(at("2025-10-31T10:01:26Z"))));
    assert_eq!((newest.known_at, newest.observed_at), (at("2025-10-31T10:01:26Z"), at(RECEIVED)));
}

#[test]
fn v3_is_read_in_its_own_spelling() {
    let parsed = parse_file(&SOURCE, "income_statement", "AAPL~v3.json").unwrap();
    let all = statements(&parsed);
    // Accepted after 17:30: filed on the next day, and public at 06:00 in New York.
    assert_eq!((all[0].filed_on, all[0].accepted_at), (Some(date("2023-11-03")), Some(at("2023-11-02T22:08:27Z"))));
    assert_eq!(all[0].known_at, at("2023-11-03T10:00:00Z"));
    assert_eq!((all[0].fiscal_year, all[0].eps_diluted), (Some(2023), amount("6.13")));
    assert_eq!(
        all[0].link.as_deref(),
        Some("https://www.sec.gov/Archives/edgar/data/320193/000032019323000106/0000320193-23-000106-index.htm")
    );
}

#[test]
fn a_filing_on_the_last_day_of_its_period_is_false_and_says_nothing() {
    let parsed = parse_file(&SOURCE, "income_statement", "AAPL~v3.json").unwrap();
    let old = statements(&parsed)[1];
    assert_eq!(old.period_end, date("2005-09-24"));
    assert_eq!((old.filed_on, old.accepted_at, old.known_at), (None, None, at(RECEIVED)));
    assert_eq!((old.link.as_deref(), old.cik.as_deref()), (None, None));
    assert!(!old.metrics.contains("Infinity") && old.metrics.contains("\"eps\":0,"), "{}", old.metrics);
}

#[test]
fn a_restatement_under_the_same_time_is_a_later_version_of_the_same_statement() {
    let read = |net_income: u64, received_at: &str| {
        let row = format!(
            r#"[{{"date":"2024-12-31","period":"Q4","filingDate":"2025-02-03","acceptedDate":"2025-01-31 18:00:00","netIncome":{net_income}}}]"#
        );
        let request = Request { received_at: at(received_at), ..request("X@quarter") };
        let parsed = parse(&request, row.as_bytes(), "income").unwrap();
        let only = statements(&parsed)[0];
        (only.known_at, only.observed_at, only.net_income)
    };
    let public_at = at("2025-02-03T11:00:00Z");
    assert_eq!(read(1, "2025-02-03T12:00:00Z"), (public_at, at("2025-02-03T12:00:00Z"), amount("1")));
    assert_eq!(read(2, "2025-06-01T12:00:00Z"), (public_at, at("2025-06-01T12:00:00Z"), amount("2")));
    // Who has it before the SEC publishes it knows it.
    assert_eq!(read(1, "2025-02-02T12:00:00Z").0, at("2025-02-02T12:00:00Z"));
}

#[test]
fn without_a_time_of_acceptance_a_statement_is_known_when_the_day_of_filing_is_over() {
    let body = br#"[{"date":"2024-12-31","period":"Q4","filingDate":"2025-02-01","acceptedDate":null}]"#;
    let parsed = parse(&request("X@quarter"), body, "income").unwrap();
    let only = statements(&parsed)[0];
    assert_eq!((only.known_at, only.symbol.as_str(), only.metrics.as_str()), (at("2025-02-02T05:00:00Z"), "X", "{}"));
    let body = br#"[{"date":"2024-12-31","period":"Q4","filingDate":"2025-02-01","acceptedDate":"2025-02-01"}]"#;
    let parsed = parse(&request("X@quarter"), body, "income").unwrap();
    assert_eq!(statements(&parsed)[0].accepted_at, None);
    let body = br#"[{"date":"2024-12-31","period":"Q4","filingDate":"2030-02-01","acceptedDate":""}]"#;
    let parsed = parse(&request("X@quarter"), body, "income").unwrap();
    assert_eq!(statements(&parsed)[0].known_at, at(RECEIVED));
}

#[test]
fn balance_sheets_and_cash_flows_have_columns_of_their_own() {
    let parsed = parse_file(&SOURCE, "balance_sheet", "AAPL.json").unwrap();
    let sheet = statements(&parsed)[0];
    assert_eq!((sheet.statement.as_str(), sheet.total_assets), ("balance_sheet", amount("359241000000")));
    assert_eq!((sheet.total_liabilities, sheet.total_equity), (amount("285508000000"), amount("73733000000")));
    assert_eq!(sheet.revenue, None);
    let parsed = parse_file(&SOURCE, "cash_flow", "AAPL@quarter.json").unwrap();
    let flow = statements(&parsed)[0];
    assert_eq!((flow.statement.as_str(), flow.period.as_str(), flow.symbol.as_str()), ("cash_flow", "Q1", "AAPL"));
    assert_eq!((flow.operating_cash_flow, flow.free_cash_flow), (amount("29935000000"), amount("26995000000")));
}

#[test]
fn a_row_that_comes_twice_is_one_record_and_of_two_that_differ_the_last_filed_is_kept() {
    let parsed = parse_file(&SOURCE, "balance_sheet", "PM~twice.json").unwrap();
    let kept: Vec<_> = statements(&parsed).iter().map(|sheet| (sheet.period_end, sheet.total_assets)).collect();
    assert_eq!(kept, [(date("2021-12-31"), amount("41290000000")), (date("2020-12-31"), amount("44815000000"))]);
    assert_eq!(rejects(&parsed), [("duplicate", "another row has the same key"); 2]);
    assert!(String::from_utf8_lossy(&parsed.rejects[0].fragment).contains("41291000000"));
}

#[test]
fn each_odd_row_is_refused_and_the_rest_goes_on() {
    let parsed = parse_file(&SOURCE, "income_statement", "MSFT~odd_rows.json").unwrap();
    assert_eq!(statements(&parsed).len(), 1);
    assert_eq!(
        rejects(&parsed),
        [
            ("absent", "has no `date`"),
            ("date", "`date` `\"2023-06-31\"` is not a date like `2024-12-31`"),
            ("period", "`period` `H1` is neither `FY` nor `Q1` to `Q4`"),
            ("symbol", "is of `AAPL`"),
            ("number", "`revenue` `\"a lot\"` is not a number"),
            ("number", "`eps` `1e999` is out of bounds"),
            ("cik", "`cik` `789O19` is not an SEC number"),
            ("date", "`acceptedDate` `2019-03-10 02:30:00` does not exist in New York, where clocks skip it"),
            ("shape", "expected an object, found `7`"),
        ]
    );
}

#[test]
fn an_empty_list_is_an_empty_page() {
    assert_eq!(parse(&request("NOSUCH"), b"[]", "income").unwrap(), Parsed::default());
}
