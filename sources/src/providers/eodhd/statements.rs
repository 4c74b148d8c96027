//! The financial statements, and the ratios computed from them.

use std::collections::HashSet;
use std::fmt::Write as _;

use chrono::NaiveDate;
use contract::records::{FinancialRatio, FinancialStatement};
use contract::{Decimal, Text, decimal};

use super::entries::Page;
use super::sections::Sections;
use super::{NAME, zone};
use crate::parse::duplicates::{Hashing, Keys};
use crate::parse::fault::Fault;
use crate::parse::raw::{Raw, put_text};
use crate::parse::value::{Object, absent, scalar, trimmed};
use crate::response::{PageError, Request};
use crate::time::end_of_day;

/// Sections of `Financials` and their statements.
const STATEMENTS: &[(&str, &str)] =
    &[("Income_Statement", "income"), ("Balance_Sheet", "balance_sheet"), ("Cash_Flow", "cash_flow")];
/// Parts of a section and their periods; the provider does not number quarters.
const PERIODS: &[(&str, &str)] = &[("yearly", "FY"), ("quarterly", "Q")];
/// Members of a statement that are not amounts.
const NO_AMOUNTS: &[&str] = &["date", "filing_date", "currency_symbol"];

/// Reads every statement of every period.
pub(super) fn add_statements(page: &mut Page<'_>, sections: &Sections<'_>) -> Result<(), PageError> {
    for &(section, statement) in STATEMENTS {
        let part = sections.financials.object(section);
        for &(name, period) in PERIODS {
            let mut keys = Keys::default();
            let kind = Kind { statement, period, currency: part.text("currency_symbol").ok().flatten() };
            for (key, raw) in page.entries(part.raw(name), format_args!("{section}, {name}"))? {
                let outcome = kind.statement(page.request, sections, &key, raw, &mut keys);
                let outcome = outcome.map(|statement| statement.map(Into::into));
                page.keep(outcome, format_args!("{section}, {name} `{key}`"), raw.get());
            }
        }
    }
    Ok(())
}

/// The fields that all statements of one part share.
struct Kind {
    statement: &'static str,
    period: &'static str,
    currency: Option<Text>,
}

impl Kind {
    /// The statement of an entry; None if it has no amount.
    fn statement(
        &self,
        request: &Request<'_>,
        sections: &Sections<'_>,
        key: &str,
        raw: Raw<'_>,
        keys: &mut Keys<NaiveDate>,
    ) -> Result<Option<FinancialStatement>, Fault> {
        let row = Object::row(raw)?;
        let Some(metrics) = metrics([&row]) else { return Ok(None) };
        let period_end = match row.date("date")? {
            Some(date) => date,
            None => key.parse().map_err(|_| absent("date"))?,
        };
        // No period is filed before it is over: such a date is that of the period.
        let filed_on = row.date("filing_date")?.filter(|date| *date > period_end);
        // The hour is unknown: it was public at the latest at the end of that day at its exchange.
        let known_at = filed_on.and_then(|date| end_of_day(date, zone::of_symbol(request.item)));
        let statement = FinancialStatement {
            source: NAME,
            symbol: request.item.into(),
            statement: self.statement.into(),
            period: self.period.into(),
            period_end,
            fiscal_year: None,
            // Reports and quotes may be in different currencies.
            currency: row.text("currency_symbol")?.or_else(|| self.currency.clone()),
            cik: sections.cik.clone(),
            filed_on,
            accepted_at: None,
            link: None,
            revenue: row.decimal("totalRevenue")?,
            operating_income: row.decimal("operatingIncome")?,
            net_income: row.decimal("netIncome")?,
            eps_diluted: None,
            total_assets: row.decimal("totalAssets")?,
            total_liabilities: row.decimal("totalLiab")?,
            total_equity: row.decimal("totalStockholderEquity")?,
            operating_cash_flow: row.decimal("totalCashFromOperatingActivities")?,
            free_cash_flow: row.decimal("freeCashFlow")?,
            metrics,
            known_at: known_at.map_or(request.received_at, |time| request.not_after_receipt(time)),
            observed_at: request.received_at,
            flags: Vec::new(),
        };
        if !keys.insert(period_end) {
            return Err(Fault("duplicate", format!("{period_end} is already in the response")));
        }
        Ok(Some(statement))
    }
}

/// Reads the current ratios; None if their quarter is missing.
pub(super) fn ratio(request: &Request<'_>, sections: &Sections<'_>) -> Result<Option<FinancialRatio>, Fault> {
    let [highlights, valuation, ..] = &sections.ratios;
    let Some(period_end) = highlights.date("MostRecentQuarter")? else { return Ok(None) };
    let Some(metrics) = metrics(&sections.ratios) else { return Ok(None) };
    Ok(Some(FinancialRatio {
        source: NAME,
        symbol: request.item.into(),
        ratio_set: "fundamentals".into(),
        period: "TTM".into(),
        period_end,
        fiscal_year: None,
        currency: sections.currency.clone(),
        market_cap: highlights.decimal("MarketCapitalization")?,
        price_earnings: highlights.number("PERatio")?,
        price_book: valuation.number("PriceBookMRQ")?,
        return_on_equity: highlights.number("ReturnOnEquityTTM")?,
        debt_to_equity: None,
        current_ratio: None,
        net_margin: highlights.number("ProfitMargin")?,
        metrics,
        known_at: request.received_at,
        observed_at: request.received_at,
        flags: Vec::new(),
    }))
}

/// Appends a number; most are whole, which are appended several times as fast.
fn put_number(number: Decimal, out: &mut String) {
    let written = match i64::try_from(number.mantissa()) {
        Ok(whole) if number.scale() == 0 => write!(out, "{whole}"),
        _ => write!(out, "{number}"),
    };
    written.expect("writing to a string cannot fail");
}

/// The numbers of several objects as one object; None if there are none.
fn metrics<'a>(objects: impl IntoIterator<Item = &'a Object<'a>>) -> Option<String> {
    let mut out = String::from("{");
    let mut keys: HashSet<&str, Hashing> = HashSet::default();
    for (name, raw) in objects.into_iter().flat_map(|object| object.iter()) {
        let Some(number) = scalar(raw).and_then(|text| decimal::parse(trimmed(&text))) else { continue };
        if NO_AMOUNTS.contains(&name) || !keys.insert(name) {
            continue;
        }
        if out.len() > 1 {
            out.push(',');
        }
        put_text(name, &mut out);
        out.push(':');
        put_number(number, &mut out);
    }
    out.push('}');
    (!keys.is_empty()).then_some(out)
}
