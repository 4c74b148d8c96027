//! Income statements, balance sheets and cash flow statements.

use chrono::{DateTime, NaiveDate, TimeZone as _, Utc};
use contract::Text;
use contract::records::FinancialStatement;

use super::{NAME, Page, ZONE, metrics, period, rows, spelled};
use crate::dissemination::public_at;
use crate::parse::body::excerpt;
use crate::parse::fault::Fault;
use crate::parse::value::Object;
use crate::response::{PageError, Parsed, Request};

/// Digits of a filer's number at the SEC.
const CIK_DIGITS: usize = 10;

/// When a statement was filed: of two for the same period the one filed last counts.
type Filed = (Option<DateTime<Utc>>, Option<NaiveDate>);

pub(super) fn parse(request: &Request<'_>, body: &[u8], statement: &str) -> Result<Parsed, PageError> {
    let rows = rows(body)?;
    let mut page: Page<'_, (Text, NaiveDate), Filed> = Page::with_capacity(rows.len());
    for row in rows {
        let text = row.get().as_bytes();
        match Object::row(row).and_then(|row| read(request, &row, statement)) {
            Ok(statement) => {
                let filed = (statement.accepted_at, statement.filed_on);
                page.keep((statement.period.clone(), statement.period_end), filed, statement, text);
            }
            Err(fault) => page.parsed.rejects.push(fault.reject(text)),
        }
    }
    Ok(page.parsed)
}

fn read(request: &Request<'_>, row: &Object<'_>, statement: &str) -> Result<FinancialStatement, Fault> {
    let period_end = row.needed_date("date")?;
    let fiscal = period(request, row)?;
    // Before about 2008, FMP gives the last day of the period as the filing date. No period is filed before it is over.
    let filed_on = row.date(spelled(row, &["filingDate", "fillingDate"]))?.filter(|date| *date > period_end);
    let accepted_at = accepted_at(row, period_end)?;
    // FMP does not name the form.
    let known_at = public_at(accepted_at, filed_on, "").unwrap_or(request.received_at);
    let amount = |names: &[&str]| row.decimal(spelled(row, names));
    Ok(FinancialStatement {
        source: NAME,
        symbol: fiscal.symbol,
        statement: statement.into(),
        period: fiscal.period,
        period_end,
        fiscal_year: fiscal.fiscal_year,
        currency: fiscal.currency,
        cik: cik(row)?,
        filed_on,
        accepted_at,
        link: row.text(spelled(row, &["link", "finalLink"]))?,
        revenue: amount(&["revenue"])?,
        operating_income: amount(&["operatingIncome"])?,
        net_income: amount(&["netIncome"])?,
        eps_diluted: amount(&["epsDiluted", "epsdiluted"])?,
        total_assets: amount(&["totalAssets"])?,
        total_liabilities: amount(&["totalLiabilities"])?,
        total_equity: amount(&["totalStockholdersEquity", "totalEquity"])?,
        operating_cash_flow: amount(&["operatingCashFlow", "netCashProvidedByOperatingActivities"])?,
        free_cash_flow: amount(&["freeCashFlow"])?,
        metrics: metrics(row)?,
        known_at: request.not_after_receipt(known_at),
        observed_at: request.received_at,
        flags: Vec::new(),
    })
}

/// When the SEC accepted the filing, in New York time; None for the false date of old rows, or a date without a time.
fn accepted_at(row: &Object<'_>, period_end: NaiveDate) -> Result<Option<DateTime<Utc>>, Fault> {
    let day = row.date("acceptedDate")?.filter(|day| *day > period_end);
    let has_time = row.text("acceptedDate")?.is_some_and(|text| text.len() > "2024-12-31".len());
    if day.is_none() || !has_time {
        return Ok(None);
    }
    let Some(local) = row.local_time("acceptedDate")? else { return Ok(None) };
    let skipped =
        || Fault("date", format!("`acceptedDate` `{local}` does not exist in New York, where clocks skip it"));
    let time = ZONE.from_local_datetime(&local).earliest().ok_or_else(skipped)?;
    Ok(Some(time.to_utc()))
}

/// The filer's number with leading zeros.
pub(super) fn cik(row: &Object<'_>) -> Result<Option<Text>, Fault> {
    let Some(text) = row.text("cik")? else { return Ok(None) };
    if text.len() > CIK_DIGITS || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault("cik", format!("`cik` `{}` is not an SEC number", excerpt(text.as_bytes()))));
    }
    Ok(Some(format!("{text:0>CIK_DIGITS$}").into()))
}

#[cfg(test)]
mod tests;
