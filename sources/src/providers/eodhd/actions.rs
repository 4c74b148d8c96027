//! Dividends and splits: of one symbol through the years, of one exchange on its last day.

use chrono::NaiveDate;
use contract::records::CorporateAction;
use contract::{Decimal, Record, Text, decimal};

use super::NAME;
use super::row::Row;
use super::rows;
use crate::parse::body::excerpt;
use crate::parse::duplicates::Seen;
use crate::parse::fault::Fault;
use crate::parse::value::{absent, trimmed};
use crate::response::{PageError, Parsed, Request};

/// Kinds of actions.
const DIVIDEND: Text = Text::literal("dividend");
const SPLIT: Text = Text::literal("split");

/// Reads dividends. The amounts of one symbol are adjusted for later splits, those of an exchange are of the day.
pub(super) fn parse_dividends(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let mut seen = Actions::default();
    rows::each(body, |row| {
        let Some(dividend) = dividend(request, row)? else { return Ok(None) };
        seen.check(&dividend)?;
        Ok(Some(Record::CorporateAction(dividend)))
    })
}

/// Reads splits.
pub(super) fn parse_splits(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let mut seen = Actions::default();
    rows::each(body, |row| {
        let split = split(request, row)?;
        seen.check(&split)?;
        Ok(Some(Record::CorporateAction(split)))
    })
}

/// Symbols and dates of a page: a special dividend may be paid on the day of another, which the key cannot tell.
#[derive(Default)]
struct Actions(Seen<(Text, NaiveDate)>);

impl Actions {
    fn check(&mut self, action: &CorporateAction) -> Result<(), Fault> {
        if self.0.insert((action.symbol.clone(), action.ex_date)) {
            return Ok(());
        }
        let symbol = excerpt(action.symbol.as_bytes());
        let reason = format!("a {} of `{symbol}` on {} is in the page already", action.action_type, action.ex_date);
        Err(Fault("duplicate", reason))
    }
}

/// The dividend of a row; None when the row has no amount.
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
        Fault("split", format!("`split` `{}` is not new by old, as `7.000000/1.000000`", excerpt(text.as_bytes())))
    })?;
    let mut action = action(request, row, SPLIT)?;
    (action.split_to, action.split_from) = (Some(to), Some(from));
    Ok(action)
}

/// New and old number of shares. The fundamentals' `LastSplitFactor` is the other way round and is not read.
fn ratio(text: &str) -> Option<(Decimal, Decimal)> {
    let (to, from) = text.split_once('/')?;
    let positive =
        |text: &str| decimal::parse(trimmed(text)).filter(|number| number.is_sign_positive() && !number.is_zero());
    Some((positive(to)?, positive(from)?))
}

/// What all actions have.
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
mod tests {
    use super::*;
    use crate::fixture::{RECEIVED, at, date, only, parse as parse_file, rejects, request};
    use crate::providers::eodhd::SOURCE;

    fn actions(parsed: &Parsed) -> Vec<&CorporateAction> {
        only!(parsed, CorporateAction)
    }

    fn dividends(file: &str) -> Parsed {
        parse_file(&SOURCE, "dividends", file).unwrap()
    }

    fn splits(file: &str) -> Parsed {
        parse_file(&SOURCE, "splits", file).unwrap()
    }

    fn number(text: &str) -> Option<Decimal> {
        Some(decimal::parse(text).unwrap())
    }

    #[test]
    fn a_dividend_has_its_dates_and_both_amounts() {
        let parsed = dividends("AAPL.US.json");
        assert_eq!((parsed.records.len(), parsed.rejects.len(), parsed.holes), (2, 0, 0));
        let first = actions(&parsed)[0];
        assert_eq!((first.source.as_str(), first.symbol.as_str()), ("eodhd", "AAPL.US"));
        assert_eq!((first.action_type.as_str(), first.ex_date), ("dividend", date("2012-08-09")));
        assert_eq!((first.amount, first.unadjusted_amount), (number("0.09464"), number("2.65")));
        assert_eq!((first.currency.as_deref(), first.period.as_deref()), (Some("USD"), Some("Quarterly")));
        assert_eq!(first.declared_on, Some(date("2012-07-24")));
        assert_eq!((first.record_date, first.paid_on), (Some(date("2012-08-13")), Some(date("2012-08-16"))));
        assert_eq!((first.split_to, first.split_from), (None, None));
        assert_eq!((first.known_at, first.observed_at), (at(RECEIVED), at(RECEIVED)));
        assert_eq!((actions(&parsed)[1].declared_on, actions(&parsed)[1].period.as_deref()), (None, None));
    }

    #[test]
    fn csv_has_dates_and_amounts_alone() {
        let parsed = dividends("AAPL.US~2019.csv");
        assert_eq!((parsed.records.len(), parsed.rejects.len(), parsed.holes), (2, 0, 0));
        let last = actions(&parsed)[1];
        assert_eq!((last.ex_date, last.amount, last.unadjusted_amount), (date("2012-11-07"), number("0.37857"), None));
    }

    #[test]
    fn an_exchange_has_the_dividends_of_its_day() {
        let parsed = dividends("F~2019.csv");
        assert_eq!((parsed.records.len(), parsed.rejects.len(), parsed.holes), (2, 0, 0));
        assert_eq!(actions(&parsed)[0].symbol, "4FX.F");
        assert_eq!((actions(&parsed)[0].amount, actions(&parsed)[0].ex_date), (number("0.3875"), date("2019-10-01")));
        let parsed = dividends("US~exchange.json");
        let first = actions(&parsed)[0];
        assert_eq!((first.symbol.as_str(), first.amount), ("SIM.US", number("0.25")));
        assert_eq!((first.paid_on, first.unadjusted_amount), (Some(date("2024-08-15")), number("0.25")));
    }

    #[test]
    fn each_odd_dividend_is_refused_and_the_rest_goes_on() {
        let parsed = dividends("VOD.LSE~odd_rows.json");
        let expected = [
            ("duplicate", "row 1: a dividend of `VOD.LSE` on 2024-06-06 is in the page already"),
            ("number", "row 2: `value` `\"a penny\"` is not a number"),
            ("absent", "row 3: has no `date`"),
            ("date", "row 4: `paymentDate` `\"soon\"` is not a date like `2024-12-31`"),
        ];
        assert_eq!(rejects(&parsed), expected);
        assert_eq!((parsed.records.len(), parsed.holes), (1, 1));
    }

    #[test]
    fn a_split_is_new_by_old() {
        let parsed = splits("AAPL.US.json");
        assert_eq!((parsed.records.len(), parsed.rejects.len()), (2, 0));
        let seven = actions(&parsed)[1];
        assert_eq!((seven.action_type.as_str(), seven.ex_date), ("split", date("2014-06-09")));
        assert_eq!((seven.split_to, seven.split_from), (number("7"), number("1")));
        assert_eq!((seven.amount, seven.currency.as_deref()), (None, None));
        assert_eq!(splits("AAPL.US~2019.csv").records, parsed.records);
    }

    #[test]
    fn shares_may_be_merged() {
        let parsed = splits("F~2019.csv");
        let merged = actions(&parsed)[0];
        assert_eq!((merged.symbol.as_str(), merged.split_to, merged.split_from), ("FSQ.F", number("1"), number("10")));
    }

    #[test]
    fn each_odd_split_is_refused_and_the_rest_goes_on() {
        let parsed = splits("VOD.LSE~odd_rows.json");
        let expected = [
            ("split", "row 1: `split` `0.000000/1.000000` is not new by old, as `7.000000/1.000000`"),
            ("split", "row 2: `split` `2` is not new by old, as `7.000000/1.000000`"),
            ("absent", "row 3: has no `split`"),
            ("duplicate", "row 4: a split of `VOD.LSE` on 2014-02-24 is in the page already"),
        ];
        assert_eq!(rejects(&parsed), expected);
        assert_eq!(parsed.records.len(), 1);
    }

    #[test]
    fn of_an_exchange_a_row_says_its_symbol() {
        let parsed = parse_dividends(&request("US"), br#"[{"date":"2024-08-09","value":"0.25"}]"#).unwrap();
        assert_eq!(rejects(&parsed), [("absent", "row 0: has no `code`")]);
    }

    #[test]
    fn an_error_of_the_provider_says_what_to_do_next() {
        for endpoint in ["dividends", "splits"] {
            let token = parse_file(&SOURCE, endpoint, "AAPL.US~error_unauthenticated.txt").unwrap_err();
            assert!(matches!(token, PageError::Halt(_)), "{token:?}");
        }
    }
}
