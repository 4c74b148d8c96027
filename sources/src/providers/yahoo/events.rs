//! Makes corporate actions of the events of a chart.

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

/// Yahoo's name and our name of a kind of event.
const KINDS: &[(&str, &str)] = &[("dividends", DIVIDEND), ("splits", SPLIT), ("capitalGains", CAPITAL_GAIN)];
const DIVIDEND: &str = "dividend";
const SPLIT: &str = "split";
const CAPITAL_GAIN: &str = "capital_gain";

/// Adds the events of a chart to its bars.
pub(super) fn add(request: &Request<'_>, chart: &Chart<'_>, zone: Tz, parsed: &mut Parsed) -> Result<(), PageError> {
    let Some(events) = chart.events else { return Ok(()) };
    let Some(kinds) = object("events", events, parsed) else { return Ok(()) };
    let mut keys = HashSet::new();
    for (name, action_type) in KINDS {
        let Some(all) = kinds.raw(name).and_then(|raw| object(name, raw, parsed)) else { continue };
        for (key, raw) in all.iter() {
            if parsed.records.len() + parsed.rejects.len() >= MAX_ROWS {
                return Err(PageError::Retry(format!("the chart has more than {MAX_ROWS} rows and events")));
            }
            let event = Object::row(raw).and_then(|event| action(request, chart, zone, action_type, &event));
            match event {
                Ok(action) if !keys.insert((*action_type, action.ex_date)) => {
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

/// Reads an object; another value is one reject, so that odd events do not cost the bars of the chart.
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
    // Some dividends are paid in another currency than the instrument trades in, and name it.
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

/// The event's own date in the exchange's zone: its key in the map may be the date of its bar.
fn ex_date(event: &Object<'_>, zone: Tz) -> Result<NaiveDate, Fault> {
    let seconds = event.whole("date")?.ok_or_else(|| absent("date"))?;
    let fault = || Fault("date", format!("`date` `{seconds}` is not a time in seconds since 1970"));
    Ok(instant(seconds).ok_or_else(fault)?.with_timezone(&zone).date_naive())
}

#[cfg(test)]
mod tests;
