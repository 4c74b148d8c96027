//! Dividends and splits: the history of one symbol, or the last day of a whole exchange.

use chrono::NaiveDate;
use contract::records::CorporateAction;
use contract::{Decimal, Record, Text, decimal};

use super::NAME;
use super::row::Row;
use super::rows;
use crate::parse::body::excerpt;
use crate::parse::duplicates::Keys;
use crate::parse::fault::Fault;
use crate::parse::value::{absent, trimmed};
use crate::response::{PageError, Parsed, Request};

/// Kinds of actions.
const DIVIDEND: Text = Text::literal("dividend");
const SPLIT: Text = Text::literal("split");

/// Reads dividends. Amounts in the history of a symbol are adjusted for later splits; those of an exchange are not.
pub(super) fn parse_dividends(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let mut keys = Actions::default();
    rows::each(body, |row| {
        let Some(dividend) = dividend(request, row)? else { return Ok(None) };
        keys.check(&dividend)?;
        Ok(Some(Record::CorporateAction(dividend)))
    })
}

/// Reads splits.
pub(super) fn parse_splits(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let mut keys = Actions::default();
    rows::each(body, |row| {
        let split = split(request, row)?;
        keys.check(&split)?;
        Ok(Some(Record::CorporateAction(split)))
    })
}

/// Symbols and dates of a page. The key cannot tell a special dividend from another one on the same day.
#[derive(Default)]
struct Actions(Keys<(Text, NaiveDate)>);

impl Actions {
    fn check(&mut self, action: &CorporateAction) -> Result<(), Fault> {
        if self.0.insert((action.symbol.clone(), action.ex_date)) {
            return Ok(());
        }
        let symbol = excerpt(action.symbol.as_bytes());
        let reason = format!("a {} of `{symbol}` on {} is already in the page", action.action_type, action.ex_date);
        Err(Fault("duplicate", reason))
    }
}

/// The dividend of a row; None if the row has no amount.
fn dividend(request: &Request<'_>, row: &Row<'_>) -> Result<Option<Box<CorporateAction>>, Fault> {
    let amount = match row.decimal("value")? {
        Some(amount) => Some(amount),
        None => row.decimal("dividend")?,
    };
    let unadjusted_amount = row.decimal("unadjustedValue")?;
    if amount.is_none() && unadjusted_amount.is_none() {
        return Ok(None);
    }
    let mut action = action(request, row, DIVIDEND)?;
    (action.amount, action.unadjusted_amount) = (amount, unadjusted_amount);
    (action.currency, action.period) = (row.text("currency")?, row.text("period")?);
    action.declared_on = row.date("declarationDate")?;
    action.record_date = row.date("recordDate")?;
    action.paid_on = row.date("paymentDate")?;
    Ok(Some(action))
}

fn split(request: &Request<'_>, row: &Row<'_>) -> Result<Box<CorporateAction>, Fault> {
    let text = row.borrowed("split")?.ok_or_else(|| absent("split"))?;
    let (to, from) = ratio(&text).ok_or_else(|| {
        Fault(
            "split",
            format!("`split` `{}` is not new by old shares, such as `7.000000/1.000000`", excerpt(text.as_bytes())),
        )
    })?;
    let mut action = action(request, row, SPLIT)?;
    (action.split_to, action.split_from) = (Some(to), Some(from));
    Ok(action)
}

/// New and old number of shares. `LastSplitFactor` in the fundamentals has the opposite order; it is not read.
fn ratio(text: &str) -> Option<(Decimal, Decimal)> {
    let (to, from) = text.split_once('/')?;
    let positive =
        |text: &str| decimal::parse(trimmed(text)).filter(|number| number.is_sign_positive() && !number.is_zero());
    Some((positive(to)?, positive(from)?))
}

/// The fields that all actions share.
fn action(request: &Request<'_>, row: &Row<'_>, action_type: Text) -> Result<Box<CorporateAction>, Fault> {
    Ok(Box::new(CorporateAction {
        source: NAME,
        symbol: row.symbol(request.item)?,
        action_type,
        ex_date: row.needed_date("date")?,
        amount: None,
        unadjusted_amount: None,
        currency: None,
        split_to: None,
        split_from: None,
        period: None,
        declared_on: None,
        record_date: None,
        paid_on: None,
        known_at: request.received_at,
        observed_at: request.received_at,
        flags: Vec::new(),
    }))
}

#[cfg(test)]
mod tests;
