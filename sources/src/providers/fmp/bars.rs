//! Daily bars, in each of FMP's formats.
//!
//! `full` has `close`, `light` only `price`, v3 `close` and `adjClose`. The format without adjustment for splits names
//! its prices `adjOpen` to `adjClose`; so without a `close`, `adjClose` is the unadjusted close.

use chrono::{DateTime, NaiveDate, Utc};
use contract::Text;
use contract::records::OhlcvBar;
use serde::Deserialize;

use super::{NAME, Page, ZONE, own_symbol, rows};
use crate::parse::body::without_bom;
use crate::parse::fault::Fault;
use crate::parse::json::Bounded;
use crate::parse::raw::Raw;
use crate::parse::value::DAILY;
use crate::parse::value::Object;
use crate::response::{PageError, Parsed, Request};
use crate::time::Calendar;

/// The body of v3: the bars of one symbol.
#[derive(Deserialize)]
struct History<'a> {
    #[serde(borrow)]
    symbol: Option<Raw<'a>>,
    #[serde(borrow)]
    historical: Bounded<Raw<'a>>,
}

pub(super) fn parse(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let rows = match history(request, body)? {
        Some(rows) => rows,
        None => rows(body)?,
    };
    let mut page: Page<'_, NaiveDate, ()> = Page::with_capacity(rows.len());
    let mut calendar = Calendar::of(ZONE);
    for row in rows {
        let text = row.get().as_bytes();
        let bar = Object::row(row).and_then(|row| bar(request, &row, own_symbol(request, &row)?, &mut calendar));
        match bar {
            Ok(Some(bar)) => page.keep(bar.trading_date, (), bar, text),
            Ok(None) => page.parsed.holes += 1,
            Err(fault) => page.parsed.rejects.push(fault.reject(text)),
        }
    }
    Ok(page.parsed)
}

/// The rows of a v3 body; None for another format.
fn history<'a>(request: &Request<'_>, body: &'a [u8]) -> Result<Option<Vec<Raw<'a>>>, PageError> {
    let body = without_bom(body).trim_ascii_start();
    if body.first() != Some(&b'{') {
        return Ok(None);
    }
    let Ok(History { symbol, historical: Bounded(rows) }) = serde_json::from_slice(body) else {
        return Ok(None);
    };
    let object: Object<'_> = symbol.map(|symbol| ("symbol", symbol)).into_iter().collect();
    own_symbol(request, &object).map_err(|fault| PageError::Skip(format!("the response {}", fault.1)))?;
    Ok(Some(rows))
}

/// Names of open, high, low and close, and of the adjusted close.
type Names = ([&'static str; 4], Option<&'static str>);

const ADJUSTED: Names = (["open", "high", "low", "close"], Some("adjClose"));
const LIGHT: Names = (["open", "high", "low", "price"], None);
const UNADJUSTED: Names = (["adjOpen", "adjHigh", "adjLow", "adjClose"], None);

/// The bar of a row; None if it has no price.
fn bar(
    request: &Request<'_>,
    row: &Object<'_>,
    symbol: Text,
    calendar: &mut Calendar,
) -> Result<Option<OhlcvBar>, Fault> {
    let trading_date = row.needed_date("date")?;
    let has = |name| row.raw(name).is_some();
    let (names, adjusted) = if !has("close") && has("price") {
        LIGHT
    } else if !has("close") && has("adjOpen") {
        UNADJUSTED
    } else {
        ADJUSTED
    };
    let mut prices = [None; 4];
    for (price, name) in prices.iter_mut().zip(names) {
        *price = row.number(name)?;
    }
    let adjusted_close = adjusted.map(|name| row.number(name)).transpose()?.flatten();
    let values = Values { symbol, trading_date, prices, adjusted_close, volume: row.number("volume")? };
    values.bar(request, calendar)
}

/// The values of a row, whatever its format.
pub(super) struct Values {
    pub(super) symbol: Text,
    pub(super) trading_date: NaiveDate,
    /// Open, high, low, close.
    pub(super) prices: [Option<f64>; 4],
    pub(super) adjusted_close: Option<f64>,
    pub(super) volume: Option<f64>,
}

impl Values {
    fn bar(self, request: &Request<'_>, calendar: &mut Calendar) -> Result<Option<OhlcvBar>, Fault> {
        let bad_date = || Fault("date", format!("{} cannot be stored", self.trading_date));
        let ts_start = calendar.start(self.trading_date).ok_or_else(bad_date)?;
        self.bar_from(request, ts_start)
    }

    /// The bar with that start; None if it has no price.
    pub(super) fn bar_from(self, request: &Request<'_>, ts_start: DateTime<Utc>) -> Result<Option<OhlcvBar>, Fault> {
        let [open, high, low, close] = self.prices;
        let Some(close) = close else {
            if self.prices.iter().all(Option::is_none) {
                return Ok(None);
            }
            return Err(Fault("no_close", "has prices but no close".to_owned()));
        };
        Ok(Some(OhlcvBar {
            source: NAME,
            symbol: self.symbol,
            bar_interval: DAILY,
            ts_start,
            trading_date: self.trading_date,
            open,
            high,
            low,
            close,
            volume: self.volume,
            adjusted_close: self.adjusted_close,
            currency: None,
            known_at: request.received_at,
            observed_at: request.received_at,
            flags: Vec::new(),
        }))
    }
}

#[cfg(test)]
mod tests;
