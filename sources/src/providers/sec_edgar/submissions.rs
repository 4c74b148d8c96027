//! Every filing of a filer: a first page with the newest filings and the filer itself, and older pages of columns only.
//!
//! Only the first page tells how many older pages there are, so the offset carries it: the number of the page, plus
//! [`PAGES`] times their count.

use chrono::{DateTime, NaiveDateTime};
use contract::records::{Company, Filing};
use contract::{Record, Text};

use super::acceptance::{Acceptance, Clock, NewYork};
use super::{NAME, check_filer, company, filer, object};
use crate::dissemination::public_at;
use crate::parse::body::{MAX_ROWS, excerpt};
use crate::parse::duplicates::Keys;
use crate::parse::fault::Fault;
use crate::parse::json::Bounded;
use crate::parse::raw::Raw;
use crate::parse::value::{Object, absent, plain_instant, scalar, trimmed};
use crate::response::{PageError, Parsed, Request};

/// Page numbers have three digits.
const PAGES: u64 = 1000;

pub(super) fn path(item: &str, offset: u64) -> Result<String, PageError> {
    let cik = filer(item)?;
    Ok(match offset % PAGES {
        0 => format!("/submissions/CIK{cik}.json"),
        page => format!("/submissions/CIK{cik}-submissions-{page:03}.json"),
    })
}

pub(super) fn parse(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let cik = filer(request.item)?;
    let page = object(request, body)?;
    let mut parsed = Parsed::default();
    if !request.offset.is_multiple_of(PAGES) {
        let (page_number, pages) = (request.offset % PAGES, request.offset / PAGES);
        parsed.next_offset = (page_number < pages).then_some(request.offset + 1);
        filings(request, &cik, &page, &mut parsed)?;
        return Ok(parsed);
    }
    let found = page.text("cik").ok().flatten().unwrap_or_default();
    check_filer(&cik, &found)?;
    let all = page.object("filings");
    let Some(recent) = all.raw("recent").and_then(Object::parse) else {
        return Err(PageError::Retry(format!("the response has no `filings.recent`: `{}`", excerpt(body))));
    };
    parsed.next_offset = first_older_page(&all)?;
    filings(request, &cik, &recent, &mut parsed)?;
    match filer_company(request, &page, cik) {
        Ok(company) => parsed.records.push(company.into()),
        Err(fault) => {
            let fragment = page.json(|name, _| name != "filings").unwrap_or_default();
            parsed.rejects.push(fault.reject(fragment.as_bytes()));
        }
    }
    Ok(parsed)
}

/// Offset of the first older page, if there is one.
fn first_older_page(filings: &Object<'_>) -> Result<Option<u64>, PageError> {
    let Some(files) = filings.raw("files") else { return Ok(None) };
    let bad = |_| PageError::Retry(format!("`filings.files` is not a list: `{}`", excerpt(files.get().as_bytes())));
    let Bounded(files) = serde_json::from_str::<Bounded<Raw<'_>>>(files.get()).map_err(bad)?;
    let pages = (files.len() as u64).min(PAGES - 1);
    Ok((pages > 0).then_some(pages * PAGES + 1))
}

/// The columns of a page: names and lists.
struct Columns<'a>(Vec<(&'static str, Raw<'a>)>);

impl<'a> Columns<'a> {
    fn of(page: &Object<'a>) -> Result<Columns<'a>, PageError> {
        let columns: Vec<_> = COLUMNS.iter().filter_map(|name| Some((*name, page.raw(name)?))).collect();
        if let Some((name, column)) = columns.iter().find(|(_, column)| column.elements().is_none()) {
            let found = excerpt(column.get().as_bytes());
            return Err(PageError::Retry(format!("`{name}` is not a list: `{found}`")));
        }
        match columns.first() {
            Some((name, _)) if *name == COLUMNS[0] => Ok(Columns(columns)),
            _ => Err(PageError::Retry(format!("the response has no `{}`", COLUMNS[0]))),
        }
    }

    /// The readable times of acceptance.
    fn times(&self) -> impl Iterator<Item = NaiveDateTime> {
        let column = self.0.iter().find(|(name, _)| *name == ACCEPTED);
        let values = column.into_iter().filter_map(|(_, column)| column.elements()).flatten();
        values.take(MAX_ROWS).filter_map(|value| written_as_utc(&scalar(value)?))
    }

    /// Calls `read` for each row as an object; an error if there are too many.
    ///
    /// Only columns of equal length are read: otherwise no value can be assigned to a filing.
    fn each(&self, mut read: impl FnMut(usize, &Object<'a>)) -> Result<(), PageError> {
        let mut columns: Vec<_> = self.0.iter().filter_map(|(_, column)| column.elements()).collect();
        let (mut object, mut row) = (self.0.iter().copied().collect::<Object<'a>>(), Vec::with_capacity(columns.len()));
        for at in 0..=MAX_ROWS {
            row.clear();
            row.extend(columns.iter_mut().filter_map(Iterator::next));
            if row.is_empty() {
                return Ok(());
            }
            if row.len() < columns.len() {
                return Err(self.unequal());
            }
            object.put_values(row.drain(..));
            read(at, &object);
        }
        Err(PageError::Retry(format!("the page has more than {MAX_ROWS} filings")))
    }

    /// Names a column that is longer or shorter than the first.
    fn unequal(&self) -> PageError {
        let length = |column: &Raw<'_>| column.elements().map_or(0, Iterator::count);
        let expected = self.0.first().map_or(0, |(_, column)| length(column));
        let mut lengths = self.0.iter().map(|(name, column)| (name, length(column)));
        let (name, found) = lengths.find(|(_, found)| *found != expected).unwrap_or((&COLUMNS[0], expected));
        PageError::Retry(format!("there are {found} values of `{name}` for {expected} filings"))
    }
}

/// The column of the times of acceptance.
const ACCEPTED: &str = "acceptanceDateTime";
/// The columns that are read; the first one is the accession number.
const COLUMNS: [&str; 15] = [
    "accessionNumber",
    "filingDate",
    "reportDate",
    ACCEPTED,
    "act",
    "form",
    "fileNumber",
    "filmNumber",
    "items",
    "core_type",
    "size",
    "isXBRL",
    "isInlineXBRL",
    "primaryDocument",
    "primaryDocDescription",
];

fn filings(request: &Request<'_>, cik: &str, page: &Object<'_>, parsed: &mut Parsed) -> Result<(), PageError> {
    let columns = Columns::of(page)?;
    let mut new_york = NewYork::clocks();
    let clock = Clock::of(columns.times(), request.received_at, &mut new_york);
    let mut keys = Keys::default();
    let cik = Text::from(cik);
    columns.each(|at, row| {
        let filing = filing(request, &cik, (clock, &mut new_york), row).and_then(|filing| {
            let is_new = keys.insert(filing.accession_number.clone());
            is_new.then_some(filing).ok_or_else(|| Fault("duplicate", "is already in the page".to_owned()))
        });
        match filing {
            Ok(filing) => parsed.records.push(Record::Filing(filing)),
            Err(fault) => {
                let text = row.json(|_, _| true).unwrap_or_default();
                parsed.rejects.push(fault.at(format_args!("row {at}")).reject(text.as_bytes()));
            }
        }
    })
}

/// The time before `Z`, in whichever zone.
fn written_as_utc(text: &str) -> Option<NaiveDateTime> {
    let text = trimmed(text);
    plain_instant(text)
        .or_else(|| {
            let time = DateTime::parse_from_rfc3339(text).ok()?;
            Some(time.to_utc()).filter(|_| text.ends_with(['Z', 'z']))
        })
        .map(|time| time.naive_utc())
}

fn acceptance(
    request: &Request<'_>,
    (clock, new_york): (Clock, &mut NewYork),
    row: &Object<'_>,
) -> Result<Acceptance, Fault> {
    let digits = row.raw(ACCEPTED).and_then(scalar).and_then(|text| written_as_utc(&text));
    if let Some(digits) = digits {
        return Ok(clock.read(digits, request.received_at, new_york));
    }
    let time = row.instant(ACCEPTED)?;
    Ok(time.map_or(Acceptance::WITHOUT_TIME, Acceptance::at))
}

fn filing(
    request: &Request<'_>,
    cik: &Text,
    clock: (Clock, &mut NewYork),
    row: &Object<'_>,
) -> Result<Box<Filing>, Fault> {
    let filed_on = row.needed_date("filingDate")?;
    let form = row.needed_text("form")?;
    let Acceptance { accepted_at, latest } = acceptance(request, clock, row)?;
    let known_at = public_at(latest, Some(filed_on), &form).unwrap_or(request.received_at);
    Ok(Box::new(Filing {
        source: NAME,
        cik: cik.clone(),
        accession_number: accession_number(row)?,
        form,
        filed_on,
        reported_on: row.date("reportDate")?,
        accepted_at,
        act: row.text("act")?,
        file_number: row.text("fileNumber")?,
        film_number: row.text("filmNumber")?,
        items: row.text("items")?,
        size_bytes: row.whole("size")?,
        primary_document: row.text("primaryDocument")?,
        primary_document_description: row.text("primaryDocDescription")?,
        core_type: row.text("core_type")?,
        is_xbrl: row.whole("isXBRL")?,
        is_inline_xbrl: row.whole("isInlineXBRL")?,
        known_at: request.not_after_receipt(known_at),
        observed_at: request.received_at,
        flags: Vec::new(),
    }))
}

/// An accession number: ten digits, two of the year, six.
fn accession_number(row: &Object<'_>) -> Result<Text, Fault> {
    let text = row.borrowed(COLUMNS[0])?.ok_or_else(|| absent(COLUMNS[0]))?;
    let is_number = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
    if let Some((filer, [b'-', year @ .., b'-', _, _, _, _, _, _])) = text.as_bytes().split_at_checked(10)
        && year.len() == 2
        && is_number(filer)
        && is_number(year)
        && is_number(&text.as_bytes()[14..])
    {
        return Ok(text.into());
    }
    let reason = format!("`{}` `{}` is not like `0000320193-24-000123`", COLUMNS[0], excerpt(text.as_bytes()));
    Err(Fault("accession_number", reason))
}

/// Members with a field of their own; tickers and exchanges stay in `other`, too.
const KNOWN: &[&str] = &[
    "cik",
    "name",
    "lei",
    "entityType",
    "sic",
    "sicDescription",
    "description",
    "website",
    "fiscalYearEnd",
    "formerNames",
    "filings",
];

/// The filer, a company or a person, under its number. Records under its tickers come from `company_tickers`.
fn filer_company(request: &Request<'_>, page: &Object<'_>, cik: String) -> Result<Company, Fault> {
    let is_other =
        |name: &str, value: Raw<'_>| !KNOWN.contains(&name) && !matches!(value.get(), "null" | "\"\"" | "[]" | "{}");
    Ok(Company {
        lei: page.text("lei")?,
        kind: page.text("entityType")?,
        // The exchange of the first ticker.
        exchange: texts(page, "exchanges")?.into_iter().next().flatten().map(Text::from),
        industry: page.text("sicDescription")?,
        sic: page.text("sic")?,
        description: page.text("description")?,
        website: page.text("website")?,
        fiscal_year_end: page.text("fiscalYearEnd")?,
        former_names: former_names(page)?,
        other: page.json(is_other),
        ..company(request, format!("CIK{cik}").into(), page.needed_text("name")?, cik.into())
    })
}

/// A list of texts, any of which may be null; empty if absent.
fn texts(page: &Object<'_>, name: &str) -> Result<Vec<Option<String>>, Fault> {
    let Some(list) = page.raw(name) else { return Ok(Vec::new()) };
    let bad = |_| Fault("shape", format!("`{name}` `{}` is not a list of texts", excerpt(list.get().as_bytes())));
    serde_json::from_str::<Bounded<Option<String>>>(list.get()).map(|Bounded(texts)| texts).map_err(bad)
}

fn former_names(page: &Object<'_>) -> Result<Vec<String>, Fault> {
    let Some(list) = page.raw("formerNames") else { return Ok(Vec::new()) };
    let bad = |_| Fault("shape", format!("`formerNames` `{}` is not a list", excerpt(list.get().as_bytes())));
    let Bounded(names) = serde_json::from_str::<Bounded<Raw<'_>>>(list.get()).map_err(bad)?;
    names.into_iter().map(|name| Ok(Object::row(name)?.needed_text("name")?.into())).collect()
}

#[cfg(test)]
mod tests;
