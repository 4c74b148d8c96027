//! From the events of a chart to corporate actions.

use std::collections::HashSet;

use chrono::NaiveDate;
use chrono_tz::Tz;
use contract::Text;
use contract::records::CorporateAction;

use super::{Chart, NAME};
use crate::parse::body::{MAX_ROWS, excerpt};
use crate::parse::date::instant;
use crate::parse::fault::Fault;
use crate::parse::raw::Raw;
use crate::parse::value::{Object, absent};
use crate::response::{PageError, Parsed, Request};

/// Yahoo's name of a kind of event, and ours.
const KINDS: &[(&str, &str)] = &[("dividends", DIVIDEND), ("splits", SPLIT), ("capitalGains", CAPITAL_GAIN)];
const DIVIDEND: &str = "dividend";
const SPLIT: &str = "split";
const CAPITAL_GAIN: &str = "capital_gain";

/// Adds the events of a chart to its bars.
pub(super) fn add(request: &Request<'_>, chart: &Chart<'_>, zone: Tz, parsed: &mut Parsed) -> Result<(), PageError> {
    let Some(events) = chart.events else { return Ok(()) };
    let Some(kinds) = object("events", events, parsed) else { return Ok(()) };
    let mut seen = HashSet::new();
    for (name, action_type) in KINDS {
        let Some(all) = kinds.raw(name).and_then(|raw| object(name, raw, parsed)) else { continue };
        for (key, raw) in all.iter() {
            if parsed.records.len() + parsed.rejects.len() >= MAX_ROWS {
                return Err(PageError::Retry(format!("the chart has more than {MAX_ROWS} rows and events")));
            }
            let event = Object::row(raw).and_then(|event| action(request, chart, zone, action_type, &event));
            match event {
                Ok(action) if !seen.insert((*action_type, action.ex_date)) => {
                    let fault = Fault("duplicate", format!("a second {action_type} of {}", action.ex_date));
                    refuse(fault, name, key, raw, parsed);
                }
                Ok(action) => parsed.records.push(action.into()),
                Err(fault) => refuse(fault, name, key, raw, parsed),
            }
        }
    }
    Ok(())
}

/// What should be an object: a chart whose bars are in order is not lost for its events.
fn object<'a>(name: &str, raw: Raw<'a>, parsed: &mut Parsed) -> Option<Object<'a>> {
    let read = Object::row(raw);
    read.map_err(|fault| parsed.rejects.push(fault.at(format_args!("`{name}`")).reject(raw.get().as_bytes()))).ok()
}

fn refuse(fault: Fault, name: &str, key: &str, raw: Raw<'_>, parsed: &mut Parsed) {
    let key = excerpt(key.as_bytes());
    parsed.rejects.push(fault.at(format_args!("`{name}` `{key}`")).reject(raw.get().as_bytes()));
}

fn action(
    request: &Request<'_>,
    chart: &Chart<'_>,
    zone: Tz,
    action_type: &str,
    event: &Object<'_>,
) -> Result<CorporateAction, Fault> {
    let needed = |name: &str| event.decimal(name)?.ok_or_else(|| absent(name));
    let (amount, split) = match action_type {
        SPLIT => (None, Some((needed("numerator")?, needed("denominator")?))),
        _ => (Some(needed("amount")?), None),
    };
    // Some dividends are paid in another currency than the instrument is traded in, and say so.
    let currency = event.text("currency")?.or_else(|| chart.meta.currency.as_deref().map(Text::from));
    Ok(CorporateAction {
        source: NAME,
        symbol: chart.meta.symbol.as_str().into(),
        action_type: action_type.into(),
        ex_date: ex_date(event, zone)?,
        amount,
        unadjusted_amount: None,
        currency: currency.filter(|_| amount.is_some()),
        split_to: split.map(|(numerator, _)| numerator),
        split_from: split.map(|(_, denominator)| denominator),
        period: None,
        declared_on: None,
        record_date: None,
        paid_on: None,
        known_at: request.received_at,
        observed_at: request.received_at,
        flags: Vec::new(),
    })
}

/// The event's own date on the clocks of the exchange: its key in the map may be that of its bar.
fn ex_date(event: &Object<'_>, zone: Tz) -> Result<NaiveDate, Fault> {
    let seconds = event.whole("date")?.ok_or_else(|| absent("date"))?;
    let fault = || Fault("date", format!("`date` `{seconds}` is not a time in seconds since 1970"));
    Ok(instant(seconds).ok_or_else(fault)?.with_timezone(&zone).date_naive())
}

#[cfg(test)]
mod tests {
    use contract::{Record, decimal};

    use super::*;
    use crate::fixture::{RECEIVED, at, bars, date, parse as parse_file, rejects};
    use crate::providers::yahoo::SOURCE;

    fn actions(parsed: &Parsed) -> Vec<&CorporateAction> {
        parsed.records.iter().filter_map(action_of).collect()
    }

    fn action_of(record: &Record) -> Option<&CorporateAction> {
        match record {
            Record::CorporateAction(action) => Some(action),
            _ => None,
        }
    }

    fn chart_of(file: &str) -> Parsed {
        parse_file(&SOURCE, "chart", file).unwrap()
    }

    /// Type, date and amount of each.
    fn amounts(parsed: &Parsed) -> Vec<(&str, NaiveDate, Option<String>)> {
        let amount = |action: &&CorporateAction| action.amount.map(|amount| amount.to_string());
        let actions = actions(parsed);
        actions.iter().map(|action| (action.action_type.as_str(), action.ex_date, amount(action))).collect()
    }

    #[test]
    fn a_dividend_is_an_action_beside_the_bars() {
        let parsed = chart_of("AAPL.json");
        assert_eq!((bars(&parsed).len(), parsed.rejects.len()), (4, 0));
        let [dividend] = actions(&parsed)[..] else { panic!() };
        assert_eq!((dividend.source.as_str(), dividend.symbol.as_str()), ("yahoo", "AAPL"));
        assert_eq!((dividend.action_type.as_str(), dividend.ex_date), ("dividend", date("2024-11-01")));
        assert_eq!((dividend.amount, dividend.unadjusted_amount), (decimal::parse("0.25"), None));
        assert_eq!((dividend.split_to, dividend.currency.as_deref()), (None, Some("USD")));
        assert_eq!((dividend.known_at, dividend.observed_at), (at(RECEIVED), at(RECEIVED)));
    }

    #[test]
    fn a_split_says_how_many_new_shares_replace_how_many_old_ones() {
        let parsed = chart_of("AAPL~split.json");
        let split = actions(&parsed)[1];
        assert_eq!((split.action_type.as_str(), split.ex_date), ("split", date("2020-08-31")));
        assert_eq!((split.split_to, split.split_from), (decimal::parse("4"), decimal::parse("1")));
        assert_eq!((split.amount, split.currency.as_deref()), (None, None));
        // As it stands, and not as the nearest double.
        assert_eq!(amounts(&parsed)[0], ("dividend", date("2020-11-06"), Some("0.205".to_owned())));
    }

    #[test]
    fn of_a_longer_bar_the_date_inside_the_event_counts() {
        let parsed = chart_of("VFINX@3mo~events.json");
        let expected = [
            ("dividend", date("2024-09-27"), Some("1.6487".to_owned())),
            ("dividend", date("2024-12-20"), Some("1.7339000001".to_owned())),
            ("capital_gain", date("2024-12-20"), Some("0.012".to_owned())),
        ];
        assert_eq!(amounts(&parsed), expected);
    }

    #[test]
    fn the_date_is_that_of_the_exchange() {
        let parsed = chart_of("7203.T~events.json");
        // 09:00 in Tokyo is midnight in UTC, and midnight there is the day before.
        assert_eq!(amounts(&parsed)[0].1, date("2024-03-28"));
        assert_eq!(amounts(&parsed)[1].1, date("2024-09-27"));
        assert_eq!(actions(&parsed)[1].currency.as_deref(), Some("USD"));
    }

    #[test]
    fn each_odd_event_is_refused_and_the_rest_goes_on() {
        let parsed = chart_of("AAPL~odd_events.json");
        assert_eq!((bars(&parsed).len(), actions(&parsed).len()), (1, 1));
        let expected = [
            ("number", "`dividends` `2`: `amount` `\"a lot\"` is not a number"),
            ("absent", "`dividends` `3`: has no `amount`"),
            ("absent", "`dividends` `4`: has no `date`"),
            ("date", "`dividends` `5`: `date` `9007199254740993` is not a time in seconds since 1970"),
            ("duplicate", "`dividends` `6`: a second dividend of 2024-11-01"),
            ("shape", "`dividends` `7`: expected an object, found `0.25`"),
            ("absent", "`splits` `8`: has no `denominator`"),
            ("shape", "`capitalGains`: expected an object, found `[]`"),
        ];
        assert_eq!(rejects(&parsed), expected);
        assert_eq!(parsed.rejects[1].fragment, br#"{"date":1730467800}"#);
    }
}
