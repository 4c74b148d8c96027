use contract::records::{Company, Exchange, FinancialRatio, FinancialStatement, InsiderTransaction, Instrument};
use contract::{Record, decimal};

use super::*;
use crate::fixture::{RECEIVED, at, date, parse as parse_file, rejects, request};
use crate::providers::eodhd::SOURCE;

fn fundamentals(file: &str) -> Parsed {
    parse_file(&SOURCE, "fundamentals", file).unwrap()
}

/// The records of one kind.
macro_rules! of {
    ($parsed:expr, $kind:ident) => {{
        let records = $parsed.records.iter();
        let only = records.filter_map(|record| if let Record::$kind(record) = record { Some(&**record) } else { None });
        only.collect::<Vec<&$kind>>()
    }};
}

fn number(text: &str) -> Option<contract::Decimal> {
    Some(decimal::parse(text).unwrap())
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_company_is_what_it_says_of_itself() {
    let parsed = fundamentals("SIM.US.json");
    assert_eq!((parsed.rejects.len(), parsed.holes), (0, 1));
    let [company] = of!(parsed, Company)[..] else { panic!() };
    assert_eq!((company.source.as_str(), company.symbol.as_str()), ("eodhd", "SIM.US"));
    assert_eq!((company.name.as_str(), company.kind.as_deref()), ("Simile Inc", Some("Common Stock")));
    assert_eq!((company.cik.as_deref(), company.isin.as_deref()), (Some("0000320193"), Some("US0000000001")));
    assert_eq!((company.cusip.as_deref(), company.lei.as_deref()), (Some("000000001"), None));
    assert_eq!((company.exchange.as_deref(), company.currency.as_deref()), (Some("NASDAQ"), Some("USD")));
    assert_eq!((company.country.as_deref(), company.sector.as_deref()), (Some("USA"), Some("Technology")));
    assert_eq!(company.industry.as_deref(), Some("Consumer Electronics"));
    assert_eq!(company.description.as_deref(), Some("Makes things that are like other things."));
    assert_eq!((company.website.as_deref(), company.employees), (Some("www.simile.example"), Some(100_000)));
    assert_eq!((company.listed_on, company.delisted_on), (Some(date("1980-12-12")), None));
    assert_eq!(company.fiscal_year_end.as_deref(), Some("September"));
    assert_eq!(company.shares_outstanding, number("4519179776"));
    assert_eq!(company.market_cap, number("989519609856"));
    assert_eq!((company.known_at, company.observed_at), (at(RECEIVED), at(RECEIVED)));
}

#[test]
fn what_gives_no_record_is_kept_with_the_company() {
    let parsed = fundamentals("SIM.US.json");
    let other = json(of!(parsed, Company)[0].other.as_deref().unwrap());
    let names: Vec<&String> = other.as_object().unwrap().keys().collect();
    assert_eq!(names, ["General", "SplitsDividends", "outstandingShares", "Earnings"]);
    assert_eq!(other["General"]["Address"], "One Street\n95014, A City\n");
    assert_eq!(other["General"].get("Name"), None);
    assert_eq!(other["SplitsDividends"]["LastSplitFactor"], "1/7");
}

#[test]
fn an_exchange_is_where_it_is_listed() {
    let parsed = fundamentals("SIM.US.json");
    let [exchange] = of!(parsed, Exchange)[..] else { panic!() };
    assert_eq!((exchange.exchange_code.as_str(), exchange.name.as_deref()), ("NASDAQ", None));
    assert_eq!((exchange.country.as_deref(), exchange.country_code.as_deref()), (Some("USA"), Some("US")));
    // Another share there may be quoted in another currency: neither response may overwrite the other.
    assert_eq!((exchange.currency.as_deref(), exchange.time_zone.as_deref()), (None, None));
    let parsed = fundamentals("VTX.US~etf.json");
    let [exchange] = of!(parsed, Exchange)[..] else { panic!() };
    assert_eq!((exchange.exchange_code.as_str(), exchange.name.as_deref()), ("NYSE ARCA", None));
}

#[test]
fn a_statement_has_all_amounts_under_their_own_names() {
    let parsed = fundamentals("SIM.US.json");
    let statements = of!(parsed, FinancialStatement);
    let kinds: Vec<(&str, &str, String)> =
        statements.iter().map(|s| (s.statement.as_str(), s.period.as_str(), s.period_end.to_string())).collect();
    let expected = [
        ("income", "FY", "2018-09-29"),
        ("income", "Q", "2019-06-29"),
        ("income", "Q", "2019-03-30"),
        ("balance_sheet", "Q", "2019-06-29"),
        ("cash_flow", "FY", "2018-09-29"),
    ];
    assert_eq!(kinds, expected.map(|(statement, period, date)| (statement, period, date.to_owned())));
    let income = statements[1];
    assert_eq!((income.source.as_str(), income.symbol.as_str()), ("eodhd", "SIM.US"));
    assert_eq!((income.currency.as_deref(), income.cik.as_deref()), (Some("USD"), Some("0000320193")));
    assert_eq!((income.revenue, income.net_income), (number("53809000000"), number("10044000000")));
    assert_eq!((income.operating_income, income.total_assets), (number("11544000000"), None));
    assert_eq!(
        income.metrics,
        r#"{"researchDevelopment":4257000000,"netIncome":10044000000,"operatingIncome":11544000000,"interestExpense":-866000000.5,"totalRevenue":53809000000}"#
    );
    assert_eq!((income.filed_on, income.known_at), (Some(date("2019-07-31")), at("2019-08-01T04:00:00Z")));
    // Without data about the filing.
    assert_eq!((statements[2].filed_on, statements[2].known_at), (None, at(RECEIVED)));
    let balance = statements[3];
    assert_eq!((balance.total_assets, balance.total_liabilities), (number("322239000000"), number("225783000000")));
    assert_eq!(balance.total_equity, number("96456000000"));
    let cash_flow = statements[4];
    assert_eq!((cash_flow.operating_cash_flow, cash_flow.free_cash_flow), (number("77434000000"), None));
}

#[test]
fn a_filing_date_within_its_period_says_nothing() {
    let filed = |filing_date: &str| {
        let entry = format!(r#"{{"date":"2019-06-29","filing_date":"{filing_date}","totalRevenue":"1.00"}}"#);
        let part = format!(r#"{{"Income_Statement":{{"quarterly":{{"2019-06-29":{entry}}}}}}}"#);
        let general = r#"{"Code":"SIM","Type":"Common Stock","Name":"Simile Inc"}"#;
        let body = format!(r#"{{"General":{general},"Financials":{part}}}"#);
        let parsed = parse(&request("SIM.US"), body.as_bytes()).unwrap();
        let statement = parsed.records.iter().find_map(|record| match record {
            Record::FinancialStatement(statement) => Some((statement.filed_on, statement.known_at)),
            _ => None,
        });
        statement.unwrap()
    };
    assert_eq!(filed("2019-06-28"), (None, at(RECEIVED)));
    assert_eq!(filed("2019-06-29"), (None, at(RECEIVED)));
    assert_eq!(filed("2019-06-30"), (Some(date("2019-06-30")), at("2019-07-01T04:00:00Z")));
}

#[test]
fn a_statement_without_an_amount_is_a_hole() {
    assert_eq!(fundamentals("SIM.US.json").holes, 1);
}

#[test]
fn the_currency_of_reports_is_not_that_of_quotes() {
    let parsed = fundamentals("ABC.SW~currencies.json");
    assert_eq!(of!(parsed, Company)[0].currency.as_deref(), Some("CHF"));
    assert_eq!(of!(parsed, FinancialStatement)[0].currency.as_deref(), Some("USD"));
    assert_eq!(of!(parsed, FinancialStatement)[0].cik, None);
}

#[test]
fn ratios_are_those_of_the_most_recent_quarter() {
    let parsed = fundamentals("SIM.US.json");
    let [ratio] = of!(parsed, FinancialRatio)[..] else { panic!() };
    assert_eq!((ratio.ratio_set.as_str(), ratio.period.as_str()), ("fundamentals", "TTM"));
    assert_eq!((ratio.period_end, ratio.currency.as_deref()), (date("2019-06-29"), Some("USD")));
    assert_eq!((ratio.market_cap, ratio.price_earnings), (number("989519609856"), Some(18.5922)));
    assert_eq!((ratio.price_book, ratio.return_on_equity), (Some(10.2866), Some(0.5269)));
    assert_eq!((ratio.net_margin, ratio.debt_to_equity, ratio.current_ratio), (Some(0.215), None, None));
    let metrics = json(&ratio.metrics);
    assert_eq!((&metrics["PERatio"], &metrics["52WeekHigh"]), (&json("18.5922"), &json("233.47")));
    assert_eq!((&metrics["SharesShort"], metrics.get("PEGRatio")), (&json("42651634"), None));
    assert_eq!(metrics.get("MostRecentQuarter"), None);
    assert_eq!((ratio.known_at, ratio.observed_at), (at(RECEIVED), at(RECEIVED)));
}

#[test]
fn what_analysts_say_is_of_the_day_of_receipt() {
    for file in ["SIM.US.json", "SIM.US~filter_ratings.json"] {
        let parsed = fundamentals(file);
        let [rating] = of!(parsed, AnalystRating)[..] else { panic!("{file}") };
        assert_eq!((rating.symbol.as_str(), rating.rated_on), ("SIM.US", date("2026-11-20")));
        assert_eq!((rating.rating, rating.target_price), (Some(4.1064), number("247.925")));
        assert_eq!((rating.strong_buy, rating.buy, rating.hold), (Some(24), Some(8), Some(12)));
        assert_eq!((rating.sell, rating.strong_sell), (Some(2), Some(1)));
    }
}

#[test]
fn what_insiders_do_is_there_too() {
    for file in ["SIM.US.json", "SIM.US~filter_insiders.json"] {
        let parsed = fundamentals(file);
        let [line] = of!(parsed, InsiderTransaction)[..] else { panic!("{file}") };
        assert_eq!((line.symbol.as_deref(), line.owner_name.as_str()), (Some("SIM.US"), "Jane Doe"));
        assert_eq!((line.shares, line.price), (number("0"), number("243.85")));
        assert_eq!((line.shares_after, line.link.as_deref()), (None, None));
        assert_eq!(line.known_at, at(RECEIVED));
    }
}

#[test]
fn a_fund_is_a_company_with_other_sections() {
    let parsed = fundamentals("VTX.US~etf.json");
    assert_eq!((parsed.records.len(), parsed.rejects.len(), parsed.holes), (3, 0, 0));
    let etf = of!(parsed, Company)[0];
    assert_eq!((etf.kind.as_deref(), etf.shares_outstanding), (Some("ETF"), None));
    let other = json(etf.other.as_deref().unwrap());
    assert_eq!(other["ETF_Data"]["Inception_Date"], "0000-00-00");
    // No quarter, no ratio: the numbers are kept as sent.
    assert_eq!(other["Technicals"]["Beta"], "1.0200");
    assert_eq!(other["General"]["Category"], "Large Blend");
    let parsed = fundamentals("PSX.US~fund.json");
    let fund = of!(parsed, Company)[0];
    assert_eq!(fund.description.as_deref(), Some("Seeks a return."));
    assert_eq!((fund.isin.as_deref(), fund.known_at), (None, at(RECEIVED)));
}

#[test]
fn closes_are_as_traded_and_the_adjusted_close_is_adjusted_for_all() {
    let parsed = fundamentals("VTX.US~etf.json");
    let etf = of!(parsed, Instrument)[0];
    assert_eq!((etf.symbol.as_str(), etf.ticker.as_deref(), etf.mic.as_deref()), ("VTX.US", Some("VTX"), Some("ARCX")));
    assert_eq!(
        (etf.kind.as_deref(), etf.currency.as_deref(), etf.units_per_currency),
        (Some("etf"), Some("USD"), Some(1.0))
    );
    assert_eq!(etf.price_adjustment.as_deref(), Some("none"));
    assert_eq!(etf.adjusted_close_adjustment.as_deref(), Some("all"));
    assert_eq!(etf.volume_adjustment.as_deref(), Some("splits"));
    let parsed = fundamentals("WGX.INDX~index.json");
    let index = of!(parsed, Instrument)[0];
    assert_eq!(
        (index.kind.as_deref(), index.unit.as_deref(), index.mic.as_deref()),
        (Some("index"), Some("points"), None)
    );
}

#[test]
fn an_index_has_next_to_nothing() {
    let parsed = fundamentals("WGX.INDX~index.json");
    assert_eq!((parsed.records.len(), parsed.rejects.len(), parsed.holes), (3, 0, 0));
    let index = of!(parsed, Company)[0];
    assert_eq!((index.currency.as_deref(), index.country.as_deref(), index.other.as_deref()), (None, None, None));
    let exchange = of!(parsed, Exchange)[0];
    assert_eq!((exchange.exchange_code.as_str(), exchange.country_code.as_deref()), ("INDX", None));
}

#[test]
fn a_section_without_room_is_left_out_and_named() {
    let holdings = "x".repeat(600 << 10);
    let body = format!(
        r#"{{"General":{{"Code":"VTX","Name":"A fund"}},"ETF_Data":{{"Holdings":"{holdings}"}},"Bad":"\u0000","Good":{{"a":1}}}}"#
    );
    let parsed = parse(&request("VTX.US"), body.as_bytes()).unwrap();
    let other = of!(parsed, Company)[0].other.clone().unwrap();
    assert_eq!(other, r#"{"Good":{"a":1},"left_out":["ETF_Data","Bad"]}"#);
}

#[test]
fn each_odd_entry_is_refused_and_the_rest_goes_on() {
    let parsed = fundamentals("SIM.US~odd_rows.json");
    let expected = [
        ("number", "General: `FullTimeEmployees` `\"many\"` is not a whole number"),
        ("shape", "Income_Statement, yearly: `7` is neither an object nor a list"),
        ("number", "Income_Statement, quarterly `2019-06-29`: `totalRevenue` `\"a lot\"` is not a number"),
        ("absent", "Income_Statement, quarterly `last`: has no `date`"),
        ("duplicate", "Income_Statement, quarterly `again`: 2019-03-30 is already in the response"),
        ("shape", "Income_Statement, quarterly `text`: expected an object, found `\"x\"`"),
        ("date", "Highlights: `MostRecentQuarter` `\"soon\"` is not a date like `2024-12-31`"),
        ("number", "AnalystRatings: `Buy` `\"some\"` is not a whole number"),
        ("absent", "InsiderTransactions `0`: has no `ownerName`"),
    ];
    assert_eq!(rejects(&parsed), expected);
    assert_eq!(of!(parsed, FinancialStatement).len(), 1);
    assert_eq!(of!(parsed, Exchange).len(), 1);
}

#[test]
fn the_answer_for_another_symbol_is_skipped() {
    let error = parse(&request("AAPL.US"), br#"{"General":{"Code":"MSFT","Name":"x"}}"#).unwrap_err();
    assert_eq!(error, PageError::Skip("requested `AAPL.US`, the response is for `MSFT`".to_owned()));
}

#[test]
fn one_section_alone_is_read() {
    let parsed = parse(&request("A.US"), br#"{"Code":"A","Type":"ETF","Name":"A fund"}"#).unwrap();
    assert_eq!(of!(parsed, Company)[0].name, "A fund");
    let body = br#"{"Cash_Flow":{"yearly":{"2018-09-29":{"totalCashFromOperatingActivities":"5"}}}}"#;
    let parsed = parse(&request("A.US"), body).unwrap();
    assert_eq!(of!(parsed, FinancialStatement)[0].period_end, date("2018-09-29"));
}

#[test]
fn what_is_not_known_is_asked_for_again() {
    for text in [r#"{"a":1}"#, r#"{"a":{}}"#, "[1]", "Date,Open\n"] {
        let outcome = parse(&request("A.US"), text.as_bytes());
        assert!(matches!(&outcome, Err(PageError::Retry(text)) if text.contains("no known section")), "{outcome:?}");
    }
    assert_eq!(fundamentals("SIM.US~empty.json"), Parsed::default());
}

#[test]
fn an_error_of_the_provider_says_what_to_do_next() {
    let error = |file| parse_file(&SOURCE, "fundamentals", file).unwrap_err();
    let token = error("SIM.US~error_unauthenticated.txt");
    assert!(matches!(token, PageError::Halt(_)), "{token:?}");
    let unknown = error("NOSUCH.US~error_not_found.html");
    assert!(matches!(&unknown, PageError::Skip(text) if text.contains("404")), "{unknown:?}");
    let limit = error("SIM.US~error_rate_limit.json");
    assert!(matches!(limit, PageError::Retry(_)), "{limit:?}");
}
