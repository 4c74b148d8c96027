//! Daily bars: the history of one symbol, or the last day of a whole exchange.

use contract::records::OhlcvBar;
use contract::{Record, Text};

use super::row::Row;
use super::rows;
use super::{NAME, zone};
use crate::parse::body::excerpt;
use crate::parse::duplicates::Keys;
use crate::parse::fault::Fault;
use crate::parse::value::DAILY;
use crate::response::{PageError, Parsed, Request};
use crate::time::Calendar;

/// Reads the bars of one symbol.
///
/// With a free token the last row has a `warning` that paid plans have more, and possibly nothing else.
pub(super) fn parse_eod(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let (symbol, mut calendar) = (Text::from(request.item), Calendar::of(zone::of_symbol(request.item)));
    let mut keys = Keys::default();
    rows::each(body, |row| {
        let Some(bar) = bar(request, row, symbol.clone(), &mut calendar)? else { return Ok(None) };
        if !keys.insert(bar.trading_date) {
            return Err(Fault("duplicate", format!("{} is already in the page", bar.trading_date)));
        }
        Ok(Some(Record::OhlcvBar(bar)))
    })
}

/// Reads the bars of an exchange. A symbol without recent trades has the date of its last trade.
pub(super) fn parse_bulk(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    // Most bodies have one exchange.
    let (mut exchange, mut calendar) = (Text::default(), Calendar::of(zone::of_exchange("")));
    let mut keys = Keys::default();
    rows::each(body, |row| {
        let symbol = row.symbol(request.item)?;
        let own_exchange = symbol.rsplit_once('.').map_or("", |(_, exchange)| exchange);
        if exchange != *own_exchange {
            (exchange, calendar) = (own_exchange.into(), Calendar::of(zone::of_exchange(own_exchange)));
        }
        let Some(bar) = bar(request, row, symbol, &mut calendar)? else { return Ok(None) };
        if !keys.insert((bar.symbol.clone(), bar.trading_date)) {
            let reason = format!("{} of `{}` is already in the page", bar.trading_date, excerpt(bar.symbol.as_bytes()));
            return Err(Fault("duplicate", reason));
        }
        Ok(Some(Record::OhlcvBar(bar)))
    })
}

/// The bar of a row; None if the row has no value.
fn bar(
    request: &Request<'_>,
    row: &Row<'_>,
    symbol: Text,
    calendar: &mut Calendar,
) -> Result<Option<Box<OhlcvBar>>, Fault> {
    let prices = [row.number("open")?, row.number("high")?, row.number("low")?, row.number("close")?];
    let (adjusted_close, volume) = (row.number("adjusted_close")?, row.number("volume")?);
    // Without trades the volume may be 0 instead of null.
    if prices.iter().chain([&adjusted_close]).all(Option::is_none) && volume.is_none_or(|volume| volume == 0.0) {
        return Ok(None);
    }
    let [open, high, low, close] = prices;
    let close = close.ok_or_else(|| Fault("no_close", "has values but no close".to_owned()))?;
    let trading_date = row.needed_date("date")?;
    Ok(Some(Box::new(OhlcvBar {
        source: NAME,
        symbol,
        bar_interval: DAILY,
        ts_start: zone::start(trading_date, calendar)?,
        trading_date,
        open,
        high,
        low,
        close,
        volume,
        adjusted_close,
        currency: None,
        known_at: request.received_at,
        observed_at: request.received_at,
        flags: Vec::new(),
    })))
}

#[cfg(test)]
mod tests;
