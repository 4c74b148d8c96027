use super::*;
use crate::fixture::{RECEIVED, at, date, only, parse as parse_file, rejects, request};
use crate::providers::sec_edgar::SOURCE;

fn report_of(file: &str) -> Parsed {
    parse_file(&SOURCE, "ownership", file).unwrap()
}

fn lines(parsed: &Parsed) -> Vec<&InsiderTransaction> {
    only!(parsed, InsiderTransaction)
}

fn number(text: &str) -> Option<Decimal> {
    decimal::parse(text)
}

#[test]
fn a_transaction_has_its_filing_its_owner_and_its_amounts() {
    let parsed = report_of("1640147,000164014722000101,form4.xml~sale.xml");
    let all = lines(&parsed);
    assert_eq!((all.len(), parsed.rejects.len()), (4, 0));
    let sale = all[1];
    assert_eq!(sale.source, "sec_edgar");
    assert_eq!(sale.transaction_id, "0001640147-22-000101/non_derivative/2");
    assert_eq!((sale.symbol.as_deref(), sale.issuer_cik.as_deref()), (Some("ACME"), Some("0001640147")));
    assert_eq!((sale.accession_number.as_deref(), sale.form.as_deref()), (Some("0001640147-22-000101"), Some("4")));
    assert_eq!((sale.owner_name.as_str(), sale.owner_cik.as_deref()), ("Person Ann", Some("0001402349")));
    assert_eq!(sale.owner_title.as_deref(), Some("Chief Financial Officer; Director"));
    assert_eq!(
        (sale.table_name.as_deref(), sale.security_title.as_deref()),
        (Some("non_derivative"), Some("Class A & B Common Stock"))
    );
    assert_eq!((sale.transaction_date, sale.transaction_code.as_deref()), (Some(date("2022-12-13")), Some("S")));
    assert_eq!((sale.shares, sale.price, sale.shares_after), (number("73170"), number("150.841"), number("227927")));
    assert_eq!((sale.acquired_disposed.as_deref(), sale.ownership.as_deref()), (Some("D"), Some("D")));
    let link = "https://www.sec.gov/Archives/edgar/data/1640147/000164014722000101/form4.xml";
    assert_eq!(sale.link.as_deref(), Some(link));
}

#[test]
fn a_price_of_nothing_is_a_price_and_one_in_a_footnote_is_none() {
    let parsed = report_of("1640147,000164014722000101,form4.xml~sale.xml");
    assert_eq!((lines(&parsed)[0].price, lines(&parsed)[3].price), (number("0"), None));
    assert_eq!(lines(&parsed)[3].transaction_id, "0001640147-22-000101/derivative/1");
}

#[test]
fn a_holding_is_a_line_without_a_transaction() {
    let parsed = report_of("1640147,000164014722000101,form4.xml~sale.xml");
    let holding = lines(&parsed)[2];
    assert_eq!(holding.transaction_id, "0001640147-22-000101/non_derivative_holding/3");
    assert_eq!((holding.transaction_date, holding.transaction_code.as_deref(), holding.shares), (None, None, None));
    assert_eq!((holding.shares_after, holding.ownership.as_deref()), (number("151188"), Some("I")));
    let parsed = report_of("1640147,000120919120051234,form3.xml~two_owners.xml");
    let option = lines(&parsed)[0];
    assert_eq!((option.table_name.as_deref(), option.shares), (Some("derivative_holding"), number("134018")));
}

#[test]
fn several_owners_are_joined() {
    let parsed = report_of("1640147,000120919120051234,form3.xml~two_owners.xml");
    let option = lines(&parsed)[0];
    assert_eq!(
        (option.owner_name.as_str(), option.owner_cik.as_deref()),
        ("BIG HOLDINGS INC; Person Bob", Some("0001067983"))
    );
    assert_eq!((option.owner_title.as_deref(), option.symbol.as_deref()), (Some("10% Owner"), None));
}

#[test]
fn without_the_day_of_filing_a_report_is_known_when_it_is_received() {
    let parsed = report_of("1640147,000164014722000101,form4.xml~sale.xml");
    let sale = lines(&parsed)[0];
    assert_eq!(
        (sale.reported_on, sale.known_at, sale.observed_at),
        (Some(date("2022-12-14")), at(RECEIVED), at(RECEIVED))
    );
}

#[test]
fn the_text_of_a_submission_says_the_day_of_filing() {
    let parsed = report_of("320193,000032019322000061,0000320193-22-000061.txt~whole_submission.txt");
    let sale = lines(&parsed)[0];
    assert_eq!((sale.reported_on, sale.known_at), (Some(date("2022-05-06")), at("2022-05-06T22:30:57Z")));
    assert_eq!((sale.form.as_deref(), sale.owner_title.as_deref()), (Some("4/A"), Some("Officer")));
    assert_eq!(sale.transaction_date, Some(date("2022-05-04")));
}

#[test]
fn a_report_accepted_after_ten_in_the_evening_is_known_on_the_next_business_day() {
    let known_at = |accepted: &str, form: &str| {
        let header = format!("<ACCEPTANCE-DATETIME>{accepted}\nFILED AS OF DATE: 20220509\n");
        let owner = "<reportingOwner><rptOwnerName>A</rptOwnerName></reportingOwner>";
        let line = "<nonDerivativeTable><nonDerivativeHolding></nonDerivativeHolding></nonDerivativeTable>";
        let xml = format!("<ownershipDocument><documentType>{form}</documentType>{owner}{line}</ownershipDocument>");
        let parsed = parse(&request("1/000149315225000007/a.txt"), (header + &xml).as_bytes()).unwrap();
        lines(&parsed)[0].known_at
    };
    assert_eq!(known_at("20220509215959", "4"), at("2022-05-10T01:59:59Z"));
    assert_eq!(known_at("20220506220500", "4"), at("2022-05-09T10:00:00Z"));
    assert_eq!(known_at("20220506220500", "5/A"), at("2022-05-09T10:00:00Z"));
}

#[test]
fn each_odd_line_is_refused_and_the_rest_goes_on() {
    let parsed = report_of("933972,000149315225000007,form4.xml~odd_rows.xml");
    assert_eq!(
        lines(&parsed).iter().map(|line| line.transaction_id.as_str()).collect::<Vec<_>>(),
        ["0001493152-25-000007/non_derivative/3"]
    );
    let expected = [
        ("number", "non_derivative 1: `transactionPricePerShare` `$12` is not a number"),
        ("date", "non_derivative 2: `transactionDate` `2025-04-31` is not a date"),
        ("number", "derivative 1: `transactionShares` `1,000` is not a number"),
    ];
    assert_eq!(rejects(&parsed), expected);
    assert!(parsed.rejects[0].fragment.starts_with(b"<nonDerivativeTransaction>"));
    assert!(parsed.rejects[0].fragment.ends_with(b"</nonDerivativeTransaction>"));
}

#[test]
fn a_report_without_lines_is_an_empty_page_and_one_without_an_owner_is_refused() {
    let request = request("1/000149315225000007/a.xml");
    let report =
        |inner: &str| parse(&request, format!("<ownershipDocument>{inner}</ownershipDocument>").as_bytes()).unwrap();
    assert_eq!(report("<derivativeTable/>"), Parsed::default());
    let parsed = report("<t><nonDerivativeHolding></nonDerivativeHolding></t>");
    assert_eq!(rejects(&parsed), [("absent", "non_derivative_holding 1: has no `rptOwnerName`")]);
}

#[test]
fn what_is_not_a_report_says_what_to_do_next() {
    let error = parse_file(&SOURCE, "ownership", "1,000000000022000061,form4.xml~error_access_denied.xml").unwrap_err();
    assert!(matches!(&error, PageError::Skip(text) if text.contains("AccessDenied")), "{error:?}");
    let request = request("1/000149315225000007/a.xml");
    let outcome = |body: &str| parse(&request, body.as_bytes()).unwrap_err();
    assert!(matches!(outcome("<edgarSubmission><x/></edgarSubmission>\n"), PageError::Skip(_)));
    assert!(matches!(outcome("<SEC-DOCUMENT>a.txt\n</SEC-DOCUMENT>"), PageError::Skip(_)));
    for body in
        ["", "{}", "<html></html>", "<?xml version=\"1.0\"?>", "<ownershipDocument>", "<ownershipDocument><a></b>"]
    {
        assert!(matches!(outcome(body), PageError::Retry(_)), "{body}");
    }
}

#[test]
fn the_folder_of_a_shown_document_is_left_out() {
    let expected = "/Archives/edgar/data/320193/000105923526000004/wk-form4_1772148856.xml";
    assert_eq!(path("320193/000105923526000004/xslF345X05/wk-form4_1772148856.xml", 0).unwrap(), expected);
    assert_eq!(path("0000320193,000105923526000004,wk-form4_1772148856.xml", 0).unwrap(), expected);
    for item in [
        "",
        "320193",
        "320193/0001059235-26-000004/a.xml",
        "320193/000105923526000004/a.htm",
        "320193/000105923526000004/../a.xml",
        "320193/000105923526000004/b/a.xml",
        "320193/000105923526000004/a.xml?x",
        "AAPL/000105923526000004/a.xml",
    ] {
        assert!(matches!(path(item, 0), Err(PageError::Skip(_))), "{item}");
    }
}

#[test]
fn a_day_may_have_the_offset_of_a_time_zone() {
    assert_eq!((day("2022-05-04"), day("2022-05-04-05:00")), (Some(date("2022-05-04")), Some(date("2022-05-04"))));
    for text in ["", "2022-05-0", "2022-05-04x", "2022-05-04T00:00", "2022-5-4", "é022-05-04é"] {
        assert_eq!(day(text), None, "{text}");
    }
}
