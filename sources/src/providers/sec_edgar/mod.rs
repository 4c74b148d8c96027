//! SEC EDGAR: filings of companies and their insiders with the U.S. Securities and Exchange Commission.
//!
//! - Clients must identify themselves in the user agent. Otherwise they get an HTML page, sometimes with status 200.
//! - The response is XML for a missing file and HTML in an outage, whatever the requested format.
//! - Times of acceptance end with `Z`, but on some pages they are New York time, four or five hours behind UTC. The
//!   hours of a page's filings tell which, as none is accepted at night. If they do not, `accepted_at` is null, and the
//!   later reading counts.
//! - A filing accepted after 17:30 in New York is public at 06:00 on the next business day; forms 3, 4, 5 and 144 are
//!   public until 22:00. So `known_at` is often later than `accepted_at`. A date without a time ends at midnight in New
//!   York. Letters of a review and drafts (`UPLOAD`, `CORRESP`, `LETTER`, `DRS`, `DRSLTR`) are published weeks later, so
//!   they are known from their receipt on.
//! - Later filings repeat a fact, sometimes with another value; its fiscal year and period are those of the filing.
//! - A filer has one page of the newest filings (about a thousand, or a year) and older pages of columns only.
//! - A company has a record for each of its tickers, from `company_tickers`, and a more detailed one under its number,
//!   from `submissions`. Under one symbol the two files would overwrite each other.
//! - The price of an insider's transaction may be only in a footnote. Amendments do not name the amended filing.

use std::time::Duration;

use chrono_tz::{America, Tz};
use contract::records::Company;
use contract::{Record, Text};

use crate::parse::body::{excerpt, is_markup, without_bom};
use crate::parse::duplicates::Keys;
use crate::parse::fault::Fault;
use crate::parse::value::Object;
use crate::response::{PageError, Parsed, Request};
use crate::schedule::{Frequency, Kind, Schedule, days, hours};
use crate::source::{Auth, Base, Endpoint, History, Source};

mod acceptance;
mod facts;
mod ownership;
mod report;
mod submissions;

/// The source.
pub const SOURCE: Source = Source {
    name: "sec_edgar",
    doc: "SEC EDGAR: filings of companies and insiders in the USA, and the facts in them",
    base_url: "https://data.sec.gov",
    base_url_env: "TAPEDECK_SEC_EDGAR_URL",
    auth: Auth::Contact {
        env: CONTACT_ENV,
        doc: "your name and mail address, which the SEC requires, e.g. `Jane Doe jane@example.com`",
    },
    user_agent: concat!("tapedeck/", env!("CARGO_PKG_VERSION")),
    // Ten requests a second are allowed over all hosts; a client that exceeds them is blocked for ten minutes.
    pause: Duration::from_millis(200),
    burst: 1,
    quota: None,
    endpoints: &[
        Endpoint {
            name: "company_tickers",
            doc: "Names and numbers of all companies with a ticker, one record for each ticker",
            datasets: &["company"],
            item: "`all`",
            known_at: "`Last-Modified` of the file, else the time of receipt",
            schedule: Schedule { frequency: Frequency::Daily, ..Schedule::once_a_day(Kind::Reference) },
            history: History::ALL,
            base: Some(WWW),
            path: tickers_path,
            parse: parse_tickers,
        },
        Endpoint {
            name: "submissions",
            doc: "Every filing of a company or person, the newest first, and the filer itself",
            datasets: &["filing", "company"],
            item: "CIK, the filer's number at the SEC, e.g. `320193`",
            known_at: "when the SEC published the filing, else the end of its day in New York; of the company `Last-Modified`, else the time of receipt",
            schedule: Schedule::on_weekdays(Kind::Filings, ZONE, hours(1)),
            history: History::ALL,
            base: None,
            path: submissions::path,
            parse: submissions::parse,
        },
        Endpoint {
            name: "company_facts",
            doc: "Every fact that a company reported in XBRL, in every filing",
            datasets: &["xbrl_fact"],
            item: "CIK, the filer's number at the SEC, e.g. `320193`",
            known_at: "the end of the day of the filing, in New York",
            schedule: Schedule::once_a_day(Kind::Fundamentals),
            history: History::ALL,
            base: None,
            path: facts::path,
            parse: facts::parse,
        },
        Endpoint {
            name: "ownership",
            doc: "The lines of one report of an insider: forms 3, 4 and 5",
            datasets: &["insider_transaction"],
            item: "CIK, accession number without dashes and file, e.g. `320193/000032019322000061/form4.xml`",
            known_at: "when the SEC published the filing, where the file says when it was accepted (`.txt`), else the time of receipt",
            // A filing never changes: an amendment has a number of its own.
            schedule: Schedule { sla: days(7), ..Schedule::once_a_day(Kind::Filings) },
            history: History::ALL,
            base: Some(WWW),
            path: ownership::path,
            parse: ownership::parse,
        },
    ],
};

/// The source's name, in records.
const NAME: Text = Text::literal(SOURCE.name);

const CONTACT_ENV: &str = "TAPEDECK_SEC_CONTACT";
/// The web site, which has the files that the API lacks.
const WWW: Base = Base { url: "https://www.sec.gov", env: "TAPEDECK_SEC_EDGAR_WWW_URL" };
/// Zone of the SEC's dates.
const ZONE: Tz = America::New_York;
/// Digits of a filer's number.
const CIK_DIGITS: usize = ZEROS.len();
/// Padding of shorter numbers.
const ZEROS: &str = "0000000000";
/// Bytes of a page that are searched for its title, which is in the first few hundred.
const MAX_PAGE_HEAD_BYTES: usize = 16 << 10;

/// A filer's number with leading zeros.
fn cik(text: &str) -> Option<String> {
    let digits = text.trim_start_matches('0');
    let is_number = !digits.is_empty() && digits.len() <= CIK_DIGITS && text.len() <= CIK_DIGITS;
    let is_number = is_number && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| [ZEROS.get(digits.len()..).unwrap_or_default(), digits].concat())
}

/// The filer of an item.
fn filer(item: &str) -> Result<String, PageError> {
    cik(item).ok_or_else(|| PageError::Skip(format!("`{}` is not a CIK, such as `320193`", excerpt(item.as_bytes()))))
}

/// The body as an object.
fn object<'a>(request: &Request<'_>, body: &'a [u8]) -> Result<Object<'a>, PageError> {
    if is_markup(body) {
        return Err(markup(request, body));
    }
    serde_json::from_slice(without_bom(body)).map_err(|error| not_json(body, &error))
}

fn not_json(body: &[u8], error: &serde_json::Error) -> PageError {
    // The error may quote any length of the body.
    let error = excerpt(error.to_string().as_bytes());
    PageError::Retry(format!("not the JSON that the SEC sends: {error}: `{}`", excerpt(body)))
}

/// The error of an HTML page or an XML error in place of the requested format.
fn markup(request: &Request<'_>, body: &[u8]) -> PageError {
    let head = String::from_utf8_lossy(&body[..body.len().min(MAX_PAGE_HEAD_BYTES)]);
    let text = format!("the provider says `{}`", excerpt(title(&head).as_bytes()));
    let says = |words: &str| head.contains(words);
    // The archives respond `AccessDenied` for a missing file, as S3 does.
    if says("<Code>NoSuchKey</Code>") || says("<Code>AccessDenied</Code>") {
        PageError::Skip(format!("no file of `{}`: {text}", excerpt(request.item.as_bytes())))
    } else if says("Undeclared Automated Tool") {
        PageError::Halt(format!("identify yourself in `{CONTACT_ENV}`: {text}"))
    } else {
        // Too many requests, an outage.
        PageError::Retry(text)
    }
}

/// The title of a page, else its beginning.
fn title(page: &str) -> &str {
    let title = page.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
    title.map_or(page, |(title, _)| title)
}

/// Refuses the response of another filer.
fn check_filer(asked: &str, found: &str) -> Result<(), PageError> {
    if cik(found).as_deref() == Some(asked) {
        return Ok(());
    }
    Err(PageError::Skip(format!("requested CIK {asked}, the response is for `{}`", excerpt(found.as_bytes()))))
}

fn tickers_path(item: &str, _offset: u64) -> Result<String, PageError> {
    match item {
        "all" => Ok("/files/company_tickers.json".to_owned()),
        _ => Err(PageError::Skip(format!("`{}` is not `all`, the only item", excerpt(item.as_bytes())))),
    }
}

/// Reads an object of rows under `"0"`, `"1"` and so on. A company has a row for each of its tickers.
fn parse_tickers(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let rows = object(request, body)?;
    let mut parsed = Parsed { records: Vec::with_capacity(rows.iter().count()), ..Parsed::default() };
    let mut keys = Keys::with_capacity(rows.iter().count());
    for (_, row) in rows.iter() {
        let company = Object::row(row).and_then(|row| listed(request, &row)).and_then(|company| {
            let is_new = keys.insert(company.symbol.clone());
            is_new.then_some(company).ok_or_else(|| Fault("duplicate", "another row has the same ticker".to_owned()))
        });
        match company {
            Ok(company) => parsed.records.push(Record::Company(company)),
            Err(fault) => parsed.rejects.push(fault.reject(row.get().as_bytes())),
        }
    }
    Ok(parsed)
}

fn listed(request: &Request<'_>, row: &Object<'_>) -> Result<Box<Company>, Fault> {
    let number = row.needed_text("cik_str")?;
    let bad_cik = || Fault("cik", format!("`cik_str` `{}` is not a CIK", excerpt(number.as_bytes())));
    let cik = cik(&number).ok_or_else(bad_cik)?;
    let (symbol, name) = (row.needed_text("ticker")?, row.needed_text("title")?);
    Ok(Box::new(company(request, symbol, name, cik.into())))
}

/// A company without further fields.
fn company(request: &Request<'_>, symbol: Text, name: Text, cik: Text) -> Company {
    Company {
        source: NAME,
        symbol,
        name,
        cik: Some(cik),
        isin: None,
        cusip: None,
        lei: None,
        kind: None,
        exchange: None,
        currency: None,
        country: None,
        sector: None,
        industry: None,
        sic: None,
        description: None,
        website: None,
        employees: None,
        listed_on: None,
        delisted_on: None,
        fiscal_year_end: None,
        shares_outstanding: None,
        market_cap: None,
        former_names: Vec::new(),
        other: None,
        known_at: request.last_modified_or_received(),
        observed_at: request.received_at,
        flags: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
