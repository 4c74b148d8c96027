//! Reports of insiders: forms 3, 4 and 5, as XML or within the text of a whole submission.
//!
//! The key of a line is its filing, its table and its number there. Filers correct nothing in place: an amendment is a
//! filing of its own, which does not name the amended one.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use contract::records::InsiderTransaction;
use contract::{Decimal, Text, decimal};

use super::acceptance::new_york;
use super::report::{self, Line, Report, Texts};
use super::{NAME, WWW, cik, markup};
use crate::dissemination::public_at;
use crate::parse::body::{excerpt, is_markup};
use crate::parse::fault::Fault;
use crate::parse::value::{absent, year_month_day};
use crate::response::{PageError, Parsed, Request};

/// The tag that begins a report, anywhere in the body.
const REPORT: &[u8] = b"<ownershipDocument";
/// Label of the filing date in the header of a submission.
const FILED: &[u8] = b"FILED AS OF DATE:";
/// Label of the time of acceptance there, in New York time.
const ACCEPTED: &[u8] = b"<ACCEPTANCE-DATETIME>";
/// Last words of a complete document.
const OTHER_ENDS: [&[u8]; 2] = [b"</SEC-DOCUMENT>", b"</edgarSubmission>"];
/// Words of filers for an issuer without a ticker.
const NO_SYMBOL: [&str; 3] = ["NONE", "N/A", "NA"];

/// A file of a filing.
struct Item<'a> {
    cik: String,
    /// Eighteen digits.
    accession: &'a str,
    document: &'a str,
}

impl Item<'_> {
    fn path(&self) -> String {
        let number = self.cik.trim_start_matches('0');
        format!("/Archives/edgar/data/{number}/{}/{}", self.accession, self.document)
    }

    fn accession_number(&self) -> String {
        format!("{}-{}-{}", &self.accession[..10], &self.accession[10..12], &self.accession[12..])
    }
}

/// Reads `cik/accession/document`; with commas for slashes where the item is a file name.
///
/// The document of a filing may be in a folder `xsl..`, which shows it as HTML; the XML is one folder up.
fn item(text: &str) -> Result<Item<'_>, PageError> {
    let mut parts = text.splitn(3, ['/', ',']);
    let mut part = || parts.next().unwrap_or_default();
    let (number, accession, document) = (part(), part(), part());
    let document =
        document.split_once('/').filter(|(folder, _)| folder.starts_with("xsl")).map_or(document, |(_, name)| name);
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_document = document.bytes().all(is_allowed) && [".xml", ".txt"].iter().any(|end| document.ends_with(end));
    let is_accession = accession.len() == 18 && accession.bytes().all(|byte| byte.is_ascii_digit());
    match cik(number) {
        Some(cik) if is_accession && is_document => Ok(Item { cik, accession, document }),
        _ => Err(PageError::Skip(format!(
            "`{}` is not like `320193/000032019322000061/form4.xml`",
            excerpt(text.as_bytes())
        ))),
    }
}

pub(super) fn path(text: &str, _offset: u64) -> Result<String, PageError> {
    Ok(item(text)?.path())
}

pub(super) fn parse(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let item = item(request.item)?;
    let Some(start) = find(body, REPORT) else { return Err(no_report(request, body)) };
    let (header, xml) = body.split_at(start);
    let not_whole = |why| PageError::Retry(format!("not a whole report: {why}: `{}`", excerpt(xml)));
    let report = report::read(xml).map_err(not_whole)?;
    let filing = Filing::of(request, &item, &report, header);
    let mut parsed = Parsed::default();
    for line in &report.lines {
        match filing.transaction(line) {
            Ok(transaction) => parsed.records.push(transaction.into()),
            Err(fault) => {
                let place = format!("{} {}", line.table, line.number);
                parsed.rejects.push(fault.at(place).reject(line.raw));
            }
        }
    }
    Ok(parsed)
}

/// The error of a body without a report.
fn no_report(request: &Request<'_>, body: &[u8]) -> PageError {
    let text = body.trim_ascii_end();
    if OTHER_ENDS.iter().any(|end| text.ends_with(end)) {
        return PageError::Skip(format!("not a form 3, 4 or 5: `{}`", excerpt(body)));
    }
    if is_markup(body) {
        return markup(request, body);
    }
    PageError::Retry(format!("expected a form 3, 4 or 5, received `{}`", excerpt(body)))
}

fn find(body: &[u8], words: &[u8]) -> Option<usize> {
    memchr::memmem::find(body, words)
}

/// The filing date, from the header of a submission.
fn filed_on(header: &[u8]) -> Option<NaiveDate> {
    let text = behind(header, FILED, 8)?;
    year_month_day(&format!("{}-{}-{}", text.get(..4)?, text.get(4..6)?, text.get(6..)?))
}

/// The time of acceptance, from there.
fn accepted_at(header: &[u8]) -> Option<DateTime<Utc>> {
    let accepted = behind(header, ACCEPTED, 14).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let time = accepted.and_then(|text| NaiveDateTime::parse_from_str(text, "%Y%m%d%H%M%S").ok());
    time.map(new_york)
}

/// The text of that length after a label of the header.
fn behind<'a>(header: &'a [u8], words: &[u8], length: usize) -> Option<&'a str> {
    let text = header[find(header, words)? + words.len()..].trim_ascii_start();
    std::str::from_utf8(text.get(..length)?).ok()
}

/// The fields that all lines of a report share.
struct Filing<'a> {
    request: &'a Request<'a>,
    report: &'a Report<'a>,
    accession_number: Text,
    link: Text,
    issuer_cik: Option<Text>,
    symbol: Option<&'a str>,
    owner_name: Option<Text>,
    owner_cik: Option<Text>,
    owner_title: Option<Text>,
    reported_on: Option<NaiveDate>,
    known_at: DateTime<Utc>,
}

impl<'a> Filing<'a> {
    fn of(request: &'a Request<'a>, item: &Item<'_>, report: &'a Report<'a>, header: &[u8]) -> Filing<'a> {
        let filed_on = filed_on(header);
        let form = report.texts.get("documentType").unwrap_or_default();
        let known_at = filed_on.and_then(|date| public_at(accepted_at(header), Some(date), form));
        let names: Vec<&str> = report.owners.iter().filter_map(|owner| owner.get("rptOwnerName")).collect();
        let first = report.owners.first();
        let symbol = report.texts.get("issuerTradingSymbol");
        Filing {
            request,
            report,
            accession_number: item.accession_number().into(),
            link: format!("{}{}", WWW.url, item.path()).into(),
            issuer_cik: report.texts.get("issuerCik").and_then(cik).map(Text::from),
            symbol: symbol.filter(|symbol| !NO_SYMBOL.iter().any(|none| symbol.eq_ignore_ascii_case(none))),
            owner_name: (!names.is_empty()).then(|| names.join("; ").into()),
            owner_cik: first.and_then(|owner| owner.get("rptOwnerCik")).and_then(cik).map(Text::from),
            owner_title: first.and_then(title).map(Text::from),
            // The date of the signature may be before the filing date.
            reported_on: filed_on.or_else(|| report.texts.get("signatureDate").and_then(day)),
            known_at: known_at.map_or(request.received_at, |time| request.not_after_receipt(time)),
        }
    }

    fn transaction(&self, line: &Line<'_>) -> Result<InsiderTransaction, Fault> {
        let text = |name: &str| line.texts.get(name).map(Text::from);
        // A holding of derivatives only has the number of underlying shares.
        let shares = amount(&line.texts, "transactionShares")?;
        let underlying =
            if line.table == "derivative_holding" { amount(&line.texts, "underlyingSecurityShares")? } else { None };
        Ok(InsiderTransaction {
            source: NAME,
            transaction_id: format!("{}/{}/{}", self.accession_number, line.table, line.number).into(),
            symbol: self.symbol.map(Text::from),
            issuer_cik: self.issuer_cik.clone(),
            accession_number: Some(self.accession_number.clone()),
            form: self.report.texts.get("documentType").map(Text::from),
            table_name: Some(line.table.into()),
            owner_name: self.owner_name.clone().ok_or_else(|| absent("rptOwnerName"))?,
            owner_cik: self.owner_cik.clone(),
            owner_title: self.owner_title.clone(),
            security_title: text("securityTitle"),
            transaction_date: transaction_date(&line.texts)?,
            transaction_code: text("transactionCode"),
            shares: shares.or(underlying),
            price: amount(&line.texts, "transactionPricePerShare")?,
            acquired_disposed: text("transactionAcquiredDisposedCode"),
            shares_after: amount(&line.texts, "sharesOwnedFollowingTransaction")?,
            ownership: text("directOrIndirectOwnership"),
            reported_on: self.reported_on,
            link: Some(self.link.clone()),
            known_at: self.known_at,
            observed_at: self.request.received_at,
            flags: Vec::new(),
        })
    }
}

/// Office and relations of an owner.
fn title(owner: &Texts) -> Option<String> {
    let is = |name: &str| owner.get(name).is_some_and(|text| text == "1" || text.eq_ignore_ascii_case("true"));
    let office = owner.get("officerTitle").or(is("isOfficer").then_some("Officer"));
    let director = is("isDirector").then_some("Director");
    let tenth = is("isTenPercentOwner").then_some("10% Owner");
    let all: Vec<&str> = [office, director, tenth, owner.get("otherText")].into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// A number; None if it is only in a footnote.
fn amount(texts: &Texts, name: &str) -> Result<Option<Decimal>, Fault> {
    let Some(text) = texts.get(name) else { return Ok(None) };
    let bad = || Fault("number", format!("`{name}` `{}` is not a number", excerpt(text.as_bytes())));
    decimal::parse(text).map(Some).ok_or_else(bad)
}

fn transaction_date(texts: &Texts) -> Result<Option<NaiveDate>, Fault> {
    let Some(text) = texts.get("transactionDate") else { return Ok(None) };
    let bad = || Fault("date", format!("`transactionDate` `{}` is not a date", excerpt(text.as_bytes())));
    day(text).map(Some).ok_or_else(bad)
}

/// Reads `2022-05-04`, also with an offset: `2022-05-04-05:00`.
fn day(text: &str) -> Option<NaiveDate> {
    let (date, rest) = text.split_at_checked(10)?;
    let is_offset = rest.is_empty() || rest == "Z" || rest.len() == 6 && rest.starts_with(['+', '-']);
    is_offset.then(|| year_month_day(date)).flatten()
}

#[cfg(test)]
mod tests;
