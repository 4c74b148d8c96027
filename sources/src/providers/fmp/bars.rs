//! Daily bars, in each of the forms that FMP gives them.
//!
//! `full` has `close`, `light` has `price` alone, v3 has `close` and `adjClose`. The one that is not adjusted for
//! splits names its prices `adjOpen` to `adjClose`: so without a `close` beside it `adjClose` is the close as it was.

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

/// What v3 sends: the bars of one symbol.
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

/// The rows of v3's form; None when the body has another.
fn history<'a>(request: &Request<'_>, body: &'a [u8]) -> Result<Option<Vec<Raw<'a>>>, PageError> {
    let body = without_bom(body).trim_ascii_start();
    if body.first() != Some(&b'{') {
        return Ok(None);
    }
    let Ok(History { symbol, historical: Bounded(rows) }) = serde_json::from_slice(body) else {
        return Ok(None);
    };
    let said: Object<'_> = symbol.map(|symbol| ("symbol", symbol)).into_iter().collect();
    own_symbol(request, &said).map_err(|fault| PageError::Skip(format!("the answer {}", fault.1)))?;
    Ok(Some(rows))
}

/// Names of open, high, low and close, and of the adjusted close.
type Names = ([&'static str; 4], Option<&'static str>);

const ADJUSTED: Names = (["open", "high", "low", "close"], Some("adjClose"));
const LIGHT: Names = (["open", "high", "low", "price"], None);
const UNADJUSTED: Names = (["adjOpen", "adjHigh", "adjLow", "adjClose"], None);

/// The bar of a row; None when it has no price at all.
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
    let said = Said { symbol, trading_date, prices, adjusted_close, volume: row.number("volume")? };
    said.bar(request, calendar)
}

/// What a row says, whatever its form.
pub(super) struct Said {
    pub(super) symbol: Text,
    pub(super) trading_date: NaiveDate,
    /// Open, high, low, close.
    pub(super) prices: [Option<f64>; 4],
    pub(super) adjusted_close: Option<f64>,
    pub(super) volume: Option<f64>,
}

impl Said {
    fn bar(self, request: &Request<'_>, calendar: &mut Calendar) -> Result<Option<OhlcvBar>, Fault> {
        let bad_date = || Fault("date", format!("{} cannot be stored", self.trading_date));
        let ts_start = calendar.start(self.trading_date).ok_or_else(bad_date)?;
        self.bar_from(request, ts_start)
    }

    /// The bar that starts then; None when there is no price at all.
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
mod tests {
    use super::*;
    use crate::fixture::{RECEIVED, at, bars, date, parse as parse_file, rejects, request};
    use crate::providers::fmp::SOURCE;

    fn bars_of(file: &str) -> Parsed {
        parse_file(&SOURCE, "eod_prices", file).unwrap()
    }

    #[test]
    fn a_bar_starts_at_midnight_of_its_trading_date_in_new_york() {
        let parsed = bars_of("AAPL.json");
        let bars = bars(&parsed);
        let dates: Vec<NaiveDate> = bars.iter().map(|bar| bar.trading_date).collect();
        // The market was closed on 2025-01-09 for a day of mourning.
        assert_eq!(dates, [date("2025-01-10"), date("2025-01-08"), date("2024-07-01")]);
        assert_eq!((bars[0].ts_start, bars[2].ts_start), (at("2025-01-10T05:00:00Z"), at("2024-07-01T04:00:00Z")));
        let newest = bars[0];
        assert_eq!(
            (newest.source.as_str(), newest.symbol.as_str(), newest.bar_interval.as_str()),
            ("fmp", "AAPL", "1d")
        );
        assert_eq!(
            (newest.open, newest.high, newest.low, newest.close),
            (Some(240.01), Some(240.16), Some(233.0), 236.85)
        );
        assert_eq!(
            (newest.volume, newest.adjusted_close, newest.currency.as_deref()),
            (Some(61_710_900.0), None, None)
        );
        assert_eq!((newest.known_at, newest.observed_at), (at(RECEIVED), at(RECEIVED)));
    }

    #[test]
    fn each_form_has_its_own_names() {
        let parsed = bars_of("AAPL~v3.json");
        assert_eq!((bars(&parsed)[0].close, bars(&parsed)[0].adjusted_close), (130.73, Some(129.51)));
        assert_eq!(bars(&parsed)[0].symbol, "AAPL");
        let parsed = bars_of("AAPL~light.json");
        assert_eq!((bars(&parsed)[0].close, bars(&parsed)[0].open), (184.4, None));
        let parsed = bars_of("AAPL~not_adjusted.json");
        let bar = bars(&parsed)[0];
        assert_eq!((bar.open, bar.close, bar.adjusted_close), (Some(187.04), 184.4, None));
    }

    #[test]
    fn each_odd_row_is_refused_and_the_rest_goes_on() {
        let parsed = bars_of("MSFT~odd_rows.json");
        assert_eq!(bars(&parsed).iter().map(|bar| bar.close).collect::<Vec<_>>(), [425.0, 424.5]);
        assert_eq!(parsed.holes, 1);
        assert_eq!(
            rejects(&parsed),
            [
                ("date", "`date` `\"2024-12-32\"` is not a date like `2024-12-31`"),
                ("number", "`close` `\"high\"` is not a number"),
                ("no_close", "has prices but no close"),
                ("symbol", "is of `AAPL`"),
                ("duplicate", "another row has the same key"),
                ("shape", "expected an object, found `[1]`"),
            ]
        );
    }

    #[test]
    fn the_answer_for_another_symbol_is_skipped() {
        let body = br#"{"symbol":"MSFT","historical":[{"date":"2023-01-10","close":1}]}"#;
        let error = parse(&request("AAPL"), body).unwrap_err();
        assert_eq!(error, PageError::Skip("the answer is of `MSFT`".to_owned()));
        assert_eq!(bars(&parse(&request("msft"), body).unwrap())[0].symbol, "msft");
    }

    #[test]
    fn what_is_no_history_is_an_error() {
        for body in ["{\"historical\":7}", "{\"historical\":[", "{}", "[{]"] {
            assert!(matches!(parse(&request("X"), body.as_bytes()), Err(PageError::Retry(_))), "{body}");
        }
    }
}
