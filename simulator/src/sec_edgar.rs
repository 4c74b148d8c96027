//! SEC EDGAR: filings, facts and insider reports of a few made-up filers.

use std::fmt::Write as _;

use chrono::{Days, NaiveDate};
use serde_json::{Value, json};

use crate::calendar::{END, months};
use crate::random::Random;
use crate::reply::Reply;

/// Number, name, and ticker.
type Filer = (u64, &'static str, Option<&'static str>);

/// The contact that the SEC requires of a client: a name and a mail address.
pub(crate) const CONTACT: &str = "Tapedeck Demo demo@tapedeck.example";
/// The filers: number, name, ticker. The last is a person.
const FILERS: &[Filer] = &[
    (1_000_001, "Acme Anvils Inc.", Some("ACME")),
    (1_000_002, "Bolt Works Corp.", Some("BOLT")),
    (1_000_003, "Core & Sons", Some("CORE")),
    (1_009_999, "Person Ann", None),
];
/// Filings on the first page.
const RECENT: usize = 150;
/// Filings on an older page.
const OLDER: usize = 100;
/// Older pages of the first filer; the others have none.
const PAGES: usize = 2;
/// Reports of insiders of each company.
const REPORTS: usize = 10;
/// Concepts of facts, with their units.
const CONCEPTS: [(&str, &str); 4] =
    [("Assets", "USD"), ("Revenues", "USD"), ("EarningsPerShareDiluted", "USD/shares"), ("StockholdersEquity", "USD")];

/// Numbers of the filers.
pub(crate) fn filers() -> Vec<String> {
    FILERS.iter().map(|(cik, ..)| cik.to_string()).collect()
}

/// Numbers of those that report facts.
pub(crate) fn companies() -> Vec<String> {
    FILERS.iter().filter(|(.., ticker)| ticker.is_some()).map(|(cik, ..)| cik.to_string()).collect()
}

/// Reports of insiders, each as number, filing and file.
pub(crate) fn reports() -> Vec<String> {
    let report = |cik: String, number| format!("{cik}/{}/form4.xml", accession(&cik, number).replace('-', ""));
    companies().into_iter().flat_map(|cik| (0..REPORTS).map(move |number| report(cik.clone(), number))).collect()
}

/// Answers for a path of `data.sec.gov` or of `www.sec.gov`: no path is of both.
pub(crate) fn answer(seed: u64, path: &str, user_agent: &str) -> Reply {
    // The SEC requires a contact; a name or a key is not enough.
    if !user_agent.split_whitespace().skip(1).any(|word| word.contains('@')) {
        return undeclared();
    }
    let found = match path.split('/').collect::<Vec<_>>()[..] {
        ["files", "company_tickers.json"] => Some(tickers()),
        ["submissions", file] => submissions(seed, file),
        ["api", "xbrl", "companyfacts", file] => facts(seed, file),
        ["Archives", "edgar", "data", cik, filing, "form4.xml"] => return report(seed, cik, filing),
        _ => None,
    };
    found.map_or_else(|| no_such_key(path), |body| Reply::json(200, body.to_string()))
}

fn undeclared() -> Reply {
    let title = "Your Request Originates from an Undeclared Automated Tool";
    let page = format!(
        "<!DOCTYPE html>\n<html>\n<head>\n<title>SEC.gov | {title}</title>\n</head>\n<body><h1>{title}</h1></body>\n</html>\n"
    );
    Reply::new(403, "text/html", page)
}

fn no_such_key(path: &str) -> Reply {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>The specified key does not \
         exist.</Message><Key>{}</Key><RequestId>0000000000000000</RequestId><HostId>simulator</HostId></Error>",
        path.replace(['<', '&'], "")
    );
    Reply::new(404, "application/xml", body)
}

fn tickers() -> Value {
    let row = |(cik, name, ticker): &(u64, &str, Option<&str>)| {
        ticker.map(|ticker| json!({ "cik_str": cik, "ticker": ticker, "title": name }))
    };
    let rows = FILERS.iter().filter_map(row).enumerate();
    Value::Object(rows.map(|(at, row)| (at.to_string(), row)).collect())
}

/// Number of a filing.
fn accession(cik: &str, number: usize) -> String {
    format!("{cik:0>10}-25-{number:06}")
}

/// The filer of a file named `CIK0001000001.json`, and the rest of the name.
fn filer(file: &str) -> Option<(&'static Filer, &str)> {
    let name = file.strip_prefix("CIK")?.strip_suffix(".json")?;
    let (digits, rest) = name.split_at_checked(10)?;
    let cik: u64 = digits.parse().ok()?;
    Some((FILERS.iter().find(|(own, ..)| *own == cik)?, rest))
}

fn submissions(seed: u64, file: &str) -> Option<Value> {
    let (filer @ (cik, name, ticker), rest) = filer(file)?;
    let pages = if *cik == FILERS[0].0 { PAGES } else { 0 };
    if let Some(page) = rest.strip_prefix("-submissions-") {
        let page: usize = page.parse().ok().filter(|page| (1..=pages).contains(page))?;
        return Some(columns(seed, filer, RECENT + (page - 1) * OLDER, OLDER));
    }
    let files = (1..=pages)
        .map(|page| json!({ "name": format!("CIK{cik:010}-submissions-{page:03}.json"), "filingCount": OLDER }));
    let is_whole = rest.is_empty();
    is_whole.then(|| {
        json!({
            "cik": format!("{cik:010}"), "entityType": if ticker.is_some() { "operating" } else { "other" },
            "sic": if ticker.is_some() { "3420" } else { "" }, "sicDescription": if ticker.is_some() { "Made up" } else { "" },
            "name": name, "tickers": ticker.iter().collect::<Vec<_>>(), "exchanges": ticker.iter().map(|_| "Nasdaq").collect::<Vec<_>>(),
            "ein": null, "description": "", "website": "", "category": "", "fiscalYearEnd": "1231", "formerNames": [],
            "filings": { "recent": columns(seed, filer, 0, RECENT), "files": files.collect::<Vec<_>>() },
        })
    })
}

/// Filings as columns, newest first, without the first `from`: a company files weekly.
fn columns(seed: u64, (cik, _, ticker): &Filer, from: usize, rows: usize) -> Value {
    let mut random = Random::new(seed, &format!("sec/{cik}/{from}"));
    let date = |at: usize| END - Days::new(7 * at as u64);
    let all = from..from + rows;
    let form = |at: usize| match (ticker, at % 13) {
        (Some(_), 0) => "10-Q",
        (Some(_), 1..=4) => "8-K",
        _ => "4",
    };
    // A company's times are New York's, a person's are UTC, and only the hours tell which.
    let minute = |at: usize| match form(at) {
        "10-Q" => "06:01",
        _ if ticker.is_some() => "18:30",
        _ => "23:30",
    };
    let column = |value: &dyn Fn(usize) -> Value| all.clone().map(value).collect::<Vec<Value>>();
    let sizes: Vec<usize> = all.clone().map(|_| 5000 + random.below(90_000)).collect();
    json!({
        // The reports of insiders have the low numbers.
        "accessionNumber": column(&|at| accession(&cik.to_string(), 100_000 + at).into()),
        "filingDate": column(&|at| json!(date(at))),
        "reportDate": column(&|at| if at % 3 == 0 { "".into() } else { json!(date(at) - Days::new(2)) }),
        "acceptanceDateTime": column(&|at| format!("{}T{}:{:02}.000Z", date(at), minute(at), at % 60).into()),
        "act": column(&|at| if form(at) == "4" { "".into() } else { "34".into() }),
        "form": column(&|at| form(at).into()),
        "fileNumber": column(&|_| "".into()), "filmNumber": column(&|_| "".into()),
        "items": column(&|at| if form(at) == "8-K" { "2.02,9.01".into() } else { "".into() }),
        "core_type": column(&|at| form(at).into()), "size": sizes,
        "isXBRL": column(&|at| i64::from(form(at) == "10-Q").into()),
        "isInlineXBRL": column(&|at| i64::from(form(at) == "10-Q").into()),
        "primaryDocument": column(&|at| if form(at) == "4" { "xslF345X05/form4.xml".into() } else { "report.htm".into() }),
        "primaryDocDescription": column(&|at| form(at).into()),
    })
}

/// Facts of ten years of quarters; the filing a year later repeats each period, sometimes restated.
fn facts(seed: u64, file: &str) -> Option<Value> {
    let ((cik, name, _), "") = filer(file).filter(|((.., ticker), _)| ticker.is_some())? else { return None };
    let mut random = Random::new(seed, &format!("sec/{cik}/facts"));
    let starts: Vec<NaiveDate> = months(NaiveDate::from_ymd_opt(2015, 1, 1)?, 3).collect();
    let concepts = CONCEPTS.iter().map(|(concept, unit)| {
        let mut list = Vec::new();
        for pair in starts.windows(2) {
            let (start, end) = (pair[0], pair[1] - Days::new(1));
            let value = 1_000_000 * random.below(9000);
            list.push(fact(*cik, start, end, value, 40, concept));
            let restated = if random.below(10) == 0 { value + 1_000_000 } else { value };
            list.push(fact(*cik, start, end, restated, 405, concept));
        }
        ((*concept).to_owned(), json!({ "label": concept, "description": null, "units": { *unit: list } }))
    });
    let concepts = Value::Object(concepts.collect());
    Some(json!({ "cik": cik, "entityName": name, "facts": { "us-gaap": concepts } }))
}

fn fact(cik: u64, start: NaiveDate, end: NaiveDate, value: usize, days_to_filing: u64, concept: &str) -> Value {
    let filed = end + Days::new(days_to_filing);
    let accession = format!("{cik:010}-{}-{}", filed.format("%y"), filed.format("%m%d00"));
    let mut fact = json!({
        "end": end, "val": value, "accn": accession, "fy": null, "fp": null, "form": "10-Q", "filed": filed,
    });
    let is_duration = matches!(concept, "Revenues" | "EarningsPerShareDiluted");
    if let (true, Some(fact)) = (is_duration, fact.as_object_mut()) {
        fact.insert("start".to_owned(), json!(start));
    }
    fact
}

/// A form 4 of the person: a purchase, a sale whose price is only in a footnote, a holding, an option.
fn report(seed: u64, cik: &str, filing: &str) -> Reply {
    let item = format!("{cik}/{filing}/form4.xml");
    let company = FILERS.iter().find(|(own, ..)| own.to_string() == cik);
    let (Some(at), Some((_, name, Some(ticker)))) = (reports().iter().position(|own| *own == item), company) else {
        let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
        return Reply::new(403, "application/xml", body.to_owned());
    };
    let mut random = Random::new(seed, &format!("sec/{item}"));
    let date = END - Days::new(3 * at as u64);
    let shares = 100 + random.below(90_000);
    let price = format!("{:.2}", 20.0 + 80.0 * random.unit());
    let mut lines = String::new();
    for (code, price, side) in
        [("P", format!("<value>{price}</value>"), "A"), ("S", "<footnoteId id=\"F1\"/>".to_owned(), "D")]
    {
        writeln!(
            lines,
            "<nonDerivativeTransaction><securityTitle><value>Common Stock</value></securityTitle>\
             <transactionDate><value>{date}</value></transactionDate>\
             <transactionCoding><transactionFormType>4</transactionFormType><transactionCode>{code}</transactionCode></transactionCoding>\
             <transactionAmounts><transactionShares><value>{shares}</value></transactionShares>\
             <transactionPricePerShare>{price}</transactionPricePerShare>\
             <transactionAcquiredDisposedCode><value>{side}</value></transactionAcquiredDisposedCode></transactionAmounts>\
             <ownershipNature><directOrIndirectOwnership><value>D</value></directOrIndirectOwnership></ownershipNature>\
             </nonDerivativeTransaction>"
        )
        .expect("writing to a string cannot fail");
    }
    let body = format!(
        "<?xml version=\"1.0\"?>\n<ownershipDocument>\n<schemaVersion>X0508</schemaVersion><documentType>4</documentType>\
         <periodOfReport>{date}</periodOfReport>\n<issuer><issuerCik>{cik:0>10}</issuerCik><issuerName>{}</issuerName>\
         <issuerTradingSymbol>{ticker}</issuerTradingSymbol></issuer>\n<reportingOwner><reportingOwnerId>\
         <rptOwnerCik>{:010}</rptOwnerCik><rptOwnerName>{}</rptOwnerName></reportingOwnerId>\
         <reportingOwnerRelationship><isDirector>true</isDirector></reportingOwnerRelationship></reportingOwner>\n\
         <nonDerivativeTable>\n{lines}<nonDerivativeHolding><securityTitle><value>Common Stock</value></securityTitle>\
         <postTransactionAmounts><sharesOwnedFollowingTransaction><value>{shares}</value></sharesOwnedFollowingTransaction>\
         </postTransactionAmounts></nonDerivativeHolding>\n</nonDerivativeTable>\n<footnotes><footnote id=\"F1\">Made up.\
         </footnote></footnotes>\n<ownerSignature><signatureDate>{}</signatureDate></ownerSignature>\n</ownershipDocument>\n",
        name.replace('&', "&amp;"),
        FILERS[FILERS.len() - 1].0,
        FILERS[FILERS.len() - 1].1,
        date + Days::new(1),
    );
    Reply::ok("text/xml", body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::body;

    const USER_AGENT: &str = "tapedeck/0.1 someone@example.com";

    fn json_of(path: &str) -> Value {
        let (status, text) = body(answer(1, path, USER_AGENT));
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn the_older_pages_go_on_where_the_first_ends() {
        let first = json_of("submissions/CIK0001000001.json");
        assert_eq!(first["filings"]["files"].as_array().unwrap().len(), PAGES);
        let mut numbers: Vec<Value> = first["filings"]["recent"]["accessionNumber"].as_array().unwrap().clone();
        for page in 1..=PAGES {
            let older = json_of(&format!("submissions/CIK0001000001-submissions-{page:03}.json"));
            numbers.extend(older["accessionNumber"].as_array().unwrap().clone());
        }
        let distinct: std::collections::HashSet<String> = numbers.iter().map(Value::to_string).collect();
        assert_eq!((numbers.len(), distinct.len()), (RECENT + PAGES * OLDER, RECENT + PAGES * OLDER));
    }

    #[test]
    fn a_report_has_a_price_that_is_in_a_footnote_alone() {
        let (status, text) = body(answer(1, &format!("Archives/edgar/data/{}", reports()[0]), USER_AGENT));
        assert!(status == 200 && text.contains("<transactionPricePerShare><footnoteId"), "{text}");
        assert_eq!(reports().len(), REPORTS * companies().len());
    }

    #[test]
    fn facts_come_again_a_year_later() {
        let facts = json_of("api/xbrl/companyfacts/CIK0001000002.json");
        let list = facts["facts"]["us-gaap"]["Revenues"]["units"]["USD"].as_array().unwrap();
        assert_eq!((&list[0]["end"], list[0]["end"] == list[1]["end"]), (&"2015-03-31".into(), true));
        assert_ne!(list[0]["accn"], list[1]["accn"]);
    }

    #[test]
    fn errors_are_the_secs_own() {
        let (status, text) = body(answer(1, "submissions/CIK0000000007.json", USER_AGENT));
        assert!(status == 404 && text.contains("<Code>NoSuchKey</Code>"), "{text}");
        let (status, text) = body(answer(1, "Archives/edgar/data/7/000000000725000001/form4.xml", USER_AGENT));
        assert!(status == 403 && text.contains("<Code>AccessDenied</Code>"), "{text}");
        for user_agent in ["", "tapedeck/0.1", "tapedeck/0.1 simulatedsimulated", "me@example.com"] {
            let (status, text) = body(answer(1, "files/company_tickers.json", user_agent));
            assert!(status == 403 && text.contains("Undeclared Automated Tool"), "{user_agent}: {text}");
        }
        let user_agent = format!("tapedeck/0.1 {CONTACT}");
        assert_eq!(body(answer(1, "files/company_tickers.json", &user_agent)).0, 200);
    }
}
