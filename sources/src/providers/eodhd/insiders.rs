//! Trades of insiders: from the flat feed, the section of the fundamentals, or forms 4 line by line.

use std::collections::HashSet;

use chrono_tz::America;
use contract::Text;
use contract::records::InsiderTransaction;
use xxhash_rust::xxh3::xxh3_128;

use super::body::{Body, recognise};
use super::row::{Row, keep};
use super::rows;
use super::{NAME, symbol};
use crate::parse::body::{MAX_ROWS, excerpt};
use crate::parse::fault::Fault;
use crate::parse::json::Bounded;
use crate::parse::raw::Raw;
use crate::parse::value::{Object, absent};
use crate::response::{PageError, Parsed, Request};
use crate::time::end_of_day;

/// Suffix of an item that requests forms 4.
const FORM_4: &str = "form4";
/// Most lines of a response of the flat feed, which has no pages.
const FLAT_ROWS: u64 = 1000;
/// Most forms of a response.
const PAGE_FORMS: u64 = 100;
/// Digits of a number at the SEC.
const CIK_DIGITS: usize = 10;
/// Longest accession number; those of the SEC have 20 characters.
const MAX_ACCESSION_BYTES: usize = 25;
/// Tables of a form 4, with our names.
const TABLES: &[&str] = &["non_derivative", "derivative"];

/// The path of the flat feed, or of forms 4 for an item with that suffix.
pub(super) fn path(item: &str, offset: u64) -> Result<String, PageError> {
    match item.split_once('@') {
        None => Ok(format!("/insider-transactions?code={}&limit={FLAT_ROWS}&fmt=json", symbol(item)?)),
        Some((item, FORM_4)) => {
            let symbol = symbol(item)?;
            Ok(format!("/sec-filings/{symbol}/form4?page%5Boffset%5D={offset}&page%5Blimit%5D={PAGE_FORMS}&fmt=json"))
        }
        Some((_, other)) => {
            Err(PageError::Skip(format!("`{}` is not `{FORM_4}`, the only suffix", excerpt(other.as_bytes()))))
        }
    }
}

/// Reads either feed.
pub(super) fn parse(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let recognised = recognise(body)?;
    if let Body::Object(object) = &recognised
        && let Some(forms) = object.raw("data")
    {
        return parse_forms(request, object, forms);
    }
    let mut keys = HashSet::new();
    rows::each_of(recognised, body, |row| {
        let Row::Json(row) = row else {
            return Err(Fault("shape", "expected an object, found a line of CSV".to_owned()));
        };
        flat(request, row, &mut keys).map(|transaction| Some(transaction.into()))
    })
}

/// A line of the flat feed or of the fundamentals.
///
/// Neither `date` nor `reportDate` is known to be the filing date, so neither tells when the line was public.
pub(super) fn flat(
    request: &Request<'_>,
    row: &Object<'_>,
    keys: &mut HashSet<Text>,
) -> Result<InsiderTransaction, Fault> {
    let link = match row.text("secLink")? {
        Some(link) => Some(link),
        None => row.text("link")?,
    };
    let transaction = InsiderTransaction {
        symbol: Some(row.text("code")?.unwrap_or_else(|| asked_symbol(request).into())),
        owner_name: row.needed_text("ownerName")?,
        owner_cik: row.text("ownerCik")?.map(ten_digits),
        owner_title: row.text("ownerTitle")?,
        transaction_date: row.date("transactionDate")?,
        transaction_code: row.text("transactionCode")?,
        shares: row.decimal("transactionAmount")?,
        price: row.decimal("transactionPrice")?,
        acquired_disposed: row.text("transactionAcquiredDisposed")?,
        shares_after: row.decimal("postTransactionAmount")?,
        reported_on: row.date("reportDate")?,
        link,
        ..empty(request)
    };
    let transaction_id = hash(&transaction, row.date("date")?.map(|date| date.to_string()).unwrap_or_default());
    if !keys.insert(transaction_id.clone()) {
        // Two equal sales cannot be told from one line sent twice.
        return Err(Fault("duplicate", "is equal to an earlier line".to_owned()));
    }
    Ok(InsiderTransaction { transaction_id, ..transaction })
}

/// Id of a line without one: a hash of its values.
fn hash(line: &InsiderTransaction, date: String) -> Text {
    let text = |text: &Option<Text>| text.as_deref().unwrap_or_default().to_owned();
    let number = |number: Option<contract::Decimal>| number.map(|number| number.to_string()).unwrap_or_default();
    let day = |day: Option<chrono::NaiveDate>| day.map(|day| day.to_string()).unwrap_or_default();
    let values = [
        text(&line.symbol),
        date,
        line.owner_name.as_str().to_owned(),
        text(&line.owner_cik),
        text(&line.owner_title),
        day(line.transaction_date),
        text(&line.transaction_code),
        number(line.shares),
        number(line.price),
        text(&line.acquired_disposed),
        number(line.shares_after),
        day(line.reported_on),
        text(&line.link),
    ];
    // A separator that occurs in no text, so different lines never hash the same text.
    format!("xxh3:{:032x}", xxh3_128(values.join("\u{1f}").as_bytes())).into()
}

/// Reads forms 4: each has an accession number and two tables of lines.
fn parse_forms(request: &Request<'_>, root: &Object<'_>, forms: Raw<'_>) -> Result<Parsed, PageError> {
    let Ok(Bounded(forms)) = serde_json::from_str::<Bounded<Raw<'_>>>(forms.get()) else {
        let found = excerpt(forms.get().as_bytes());
        return Err(PageError::Retry(format!("expected a list of forms, received `{found}`")));
    };
    let mut page = Forms { request, parsed: Parsed::default(), rows: 0, keys: HashSet::new() };
    for (index, raw) in forms.iter().enumerate() {
        if let Err(fault) = page.add(*raw) {
            page.parsed.rejects.push(fault.at(format_args!("form {index}")).reject(raw.get().as_bytes()));
        }
    }
    let end = request.offset.saturating_add(forms.len() as u64);
    let total = root.object("meta").whole("total").ok().flatten().and_then(|total| u64::try_from(total).ok());
    let is_linked = root.object("links").raw("next").is_some();
    let is_more = !forms.is_empty() && is_linked && total.is_none_or(|total| end < total);
    Ok(Parsed { next_offset: is_more.then_some(end), ..page.parsed })
}

/// A page while its forms are read.
struct Forms<'a> {
    request: &'a Request<'a>,
    parsed: Parsed,
    /// Number of lines so far, of all forms.
    rows: usize,
    /// Accession numbers so far.
    keys: HashSet<Text>,
}

impl Forms<'_> {
    /// Adds the lines of a form; a fault concerns the whole form.
    fn add(&mut self, raw: Raw<'_>) -> Result<(), Fault> {
        let form = Form::read(self.request, Object::row(raw)?)?;
        if !self.keys.insert(form.accession_number.clone()) {
            return Err(Fault("duplicate", format!("`{}` is already in the page", form.accession_number)));
        }
        for table in TABLES {
            let lines = form.object.raw(table).map_or("[]", Raw::get);
            let Ok(Bounded(lines)) = serde_json::from_str::<Bounded<Raw<'_>>>(lines) else {
                return Err(Fault("shape", format!("`{table}` `{}` is not a list", excerpt(lines.as_bytes()))));
            };
            self.rows += lines.len();
            if self.rows > MAX_ROWS {
                return Err(Fault("shape", format!("its lines make it more than {MAX_ROWS} of one page")));
            }
            for (index, raw) in lines.into_iter().enumerate() {
                let outcome = Object::row(raw).and_then(|line| form.line(&line, table, index));
                let place = format_args!("`{}`, `{table}`, line {index}", form.accession_number);
                keep(&mut self.parsed, outcome.map(|line| Some(line.into())), place, raw.get().as_bytes());
            }
        }
        Ok(())
    }
}

/// The fields that all lines of a form share.
struct Form<'a> {
    object: Object<'a>,
    accession_number: Text,
    common: InsiderTransaction,
}

impl<'a> Form<'a> {
    fn read(request: &Request<'_>, object: Object<'a>) -> Result<Form<'a>, Fault> {
        let accession_number = object.needed_text("accession_number")?;
        if accession_number.len() > MAX_ACCESSION_BYTES || !accession_number.bytes().all(|byte| byte.is_ascii_graphic())
        {
            let found = excerpt(accession_number.as_bytes());
            return Err(Fault("accession_number", format!("`{found}` is not an accession number")));
        }
        let filed_on = object.date("filed_at")?;
        // The hour is unknown: the SEC accepts forms until late in the evening.
        let known_at = filed_on.and_then(|date| end_of_day(date, America::New_York));
        let common = InsiderTransaction {
            symbol: Some(asked_symbol(request).into()),
            accession_number: Some(accession_number.clone()),
            form: Some(object.text("form_type")?.unwrap_or_else(|| "4".into())),
            reported_on: filed_on,
            known_at: known_at.map_or(request.received_at, |time| request.not_after_receipt(time)),
            ..empty(request)
        };
        Ok(Form { object, accession_number, common })
    }

    /// Reads a line; without a code it is a holding.
    fn line(&self, row: &Object<'_>, table: &str, index: usize) -> Result<InsiderTransaction, Fault> {
        let transaction_code = row.text("transaction_code")?;
        let transaction_date = row.date("transaction_date")?;
        let is_holding = transaction_code.is_none() && transaction_date.is_none();
        Ok(InsiderTransaction {
            transaction_id: format!("{}/{table}/{index}", self.accession_number).into(),
            table_name: Some(if is_holding { format!("{table}_holding").into() } else { table.into() }),
            owner_name: row.text("reporting_owner_name")?.ok_or_else(|| absent("reporting_owner_name"))?,
            owner_cik: row.text("reporting_owner_cik")?.map(ten_digits),
            owner_title: relation(row)?,
            security_title: row.text("security_title")?,
            transaction_date,
            transaction_code,
            shares: row.decimal("shares_amount")?,
            price: row.decimal("price_per_share")?,
            acquired_disposed: row.text("acquired_or_disposed")?,
            shares_after: row.decimal("shares_owned_after")?,
            ownership: row.text("direct_or_indirect")?,
            ..self.common.clone()
        })
    }
}

/// The office of an owner, else the relation that makes the owner an insider.
fn relation(row: &Object<'_>) -> Result<Option<Text>, Fault> {
    if let Some(title) = row.text("officer_title")? {
        return Ok(Some(title));
    }
    for (name, relation) in
        [("is_director", "Director"), ("is_officer", "Officer"), ("is_ten_percent_owner", "10% owner")]
    {
        if row.raw(name).is_some_and(|value| matches!(value.get(), "true" | "1")) {
            return Ok(Some(relation.into()));
        }
    }
    row.text("other_text")
}

/// The symbol of an item, without the suffix.
fn asked_symbol<'a>(request: &Request<'a>) -> &'a str {
    request.item.split('@').next().unwrap_or_default()
}

/// An SEC number with leading zeros.
pub(super) fn ten_digits(cik: Text) -> Text {
    if cik.len() < CIK_DIGITS && cik.bytes().all(|byte| byte.is_ascii_digit()) {
        return format!("{cik:0>CIK_DIGITS$}").into();
    }
    cik
}

fn empty(request: &Request<'_>) -> InsiderTransaction {
    InsiderTransaction {
        source: NAME,
        transaction_id: Text::default(),
        symbol: None,
        issuer_cik: None,
        accession_number: None,
        form: None,
        table_name: None,
        owner_name: Text::default(),
        owner_cik: None,
        owner_title: None,
        security_title: None,
        transaction_date: None,
        transaction_code: None,
        shares: None,
        price: None,
        acquired_disposed: None,
        shares_after: None,
        ownership: None,
        reported_on: None,
        link: None,
        known_at: request.received_at,
        observed_at: request.received_at,
        flags: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
