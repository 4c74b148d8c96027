//! Cboe Global Markets: daily histories of its indexes and delayed quotes of options, as files on a CDN.
//!
//! The trading date of an index is a date in Chicago, so its bar starts at 00:00 there. Cboe restates history in place
//! (93 rows of VIX on 2024-08-13). Its own files have rows with a low above the open; such rows become records, which
//! the consumer flags.

use std::time::Duration;

use chrono::NaiveDate;
use chrono_tz::{America, Tz};
use contract::records::OhlcvBar;
use contract::{Record, Text};

use crate::market::Market;
use crate::parse::body::{MAX_ROWS, excerpt, is_markup, without_bom};
use crate::parse::date::month_day_year;
use crate::parse::duplicates::Keys;
use crate::parse::fault::Fault;
use crate::parse::lines::{split_at_commas, text_lines};
use crate::parse::value::DAILY;
use crate::parse::value::{finite, trimmed};
use crate::response::{PageError, Parsed, Request};
use crate::schedule::{Frequency, Kind, Schedule, When, hours, minutes};
use crate::source::{Auth, Endpoint, History, Source};
use crate::time::Calendar;

mod options;

/// The source.
pub const SOURCE: Source = Source {
    name: "cboe",
    doc: "Cboe Global Markets: daily histories of its indexes, such as VIX, and delayed quotes of options",
    base_url: "https://cdn.cboe.com",
    base_url_env: "TAPEDECK_CBOE_URL",
    auth: Auth::None,
    user_agent: concat!("tapedeck/", env!("CARGO_PKG_VERSION")),
    // The limit is not published; a browser makes five requests a second.
    pause: Duration::from_millis(200),
    burst: 5,
    quota: None,
    endpoints: &[
        Endpoint {
            name: "index_history",
            doc: "Every daily bar of an index since its beginning; some indexes have closes only",
            datasets: &["ohlcv_bar"],
            item: "index, e.g. `VIX`",
            known_at: "`Last-Modified` of the file, else the time of receipt",
            // Written once a day; the CDN keeps it for 15 minutes.
            schedule: Schedule {
                kind: Kind::Prices,
                frequency: Frequency::Daily,
                every: hours(3),
                when: When::AfterClose { market: new_york, from: minutes(15), hours: hours(12) },
                sla: hours(12),
            },
            history: History { sessions: |item| (item == "VIX").then_some(Market::NewYork), ..History::ALL },
            base: None,
            path,
            parse,
        },
        Endpoint {
            name: "options",
            doc: "Every listed option of a share, fund or index with its quote and greeks, delayed by 15 minutes",
            datasets: &["option_quote"],
            item: "symbol, e.g. `AAPL`; of an index with `_` before it, e.g. `_SPX`",
            known_at: "`timestamp` of the file, else the time of receipt",
            // The delay of the quotes.
            schedule: Schedule { sla: hours(1), ..Schedule::while_trading(Kind::Options, new_york, minutes(30)) },
            history: History::PASSING,
            base: None,
            path: options::path,
            parse: options::parse,
        },
    ],
};

/// The source's name, in records.
const NAME: Text = Text::literal(SOURCE.name);

/// The time zone of a trading date.
const ZONE: Tz = America::Chicago;
/// Most columns of a line.
const MAX_COLUMNS: usize = 5;
/// Longest name of an index that the field `symbol` can hold.
const MAX_NAME_BYTES: usize = 40;

/// The market of the shares behind the indexes and options.
fn new_york(_item: &str) -> Market {
    Market::NewYork
}

fn path(item: &str, _offset: u64) -> Result<String, PageError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if item.is_empty() || item.len() > MAX_NAME_BYTES || !item.bytes().all(allowed) {
        return Err(PageError::Skip(format!(
            "`{}` is not the name of an index, such as `VIX`",
            excerpt(item.as_bytes())
        )));
    }
    Ok(format!("/api/global/us_indices/daily_prices/{item}_History.csv"))
}

/// Layout of a file.
#[derive(Clone, Copy)]
enum Layout {
    /// `DATE,OPEN,HIGH,LOW,CLOSE`.
    Bars,
    /// `DATE,<INDEX>`.
    Closes,
}

fn parse(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let (layout, rows) = header(request, without_bom(body))?;
    let mut page =
        Page { request, symbol: request.item.into(), layout, calendar: Calendar::of(ZONE), keys: Keys::default() };
    let mut parsed = Parsed::default();
    for (index, (line, text)) in text_lines(rows).enumerate() {
        if index == MAX_ROWS {
            return Err(PageError::Retry(format!("the file has more than {MAX_ROWS} rows")));
        }
        match page.row(line, text) {
            Ok(None) => {}
            Ok(Some(bar)) => parsed.records.push(Record::OhlcvBar(bar)),
            // The header is line 1.
            Err(fault) => parsed.rejects.push(fault.at(format_args!("line {}", index + 2)).reject(line)),
        }
    }
    Ok(parsed)
}

/// A page while its lines are read.
struct Page<'a> {
    request: &'a Request<'a>,
    symbol: Text,
    layout: Layout,
    calendar: Calendar,
    keys: Keys<NaiveDate>,
}

/// The layout by the first line, and the other lines.
fn header<'a>(request: &Request<'_>, body: &'a [u8]) -> Result<(Layout, &'a [u8]), PageError> {
    if is_markup(body) {
        return Err(markup("index", "CSV", request, body));
    }
    if body.trim_ascii().is_empty() {
        return Err(PageError::Retry("the body is empty".to_owned()));
    }
    let Some(end) = body.iter().position(|byte| *byte == b'\n') else {
        return Err(PageError::Retry(format!("not a whole CSV file: `{}`", excerpt(body))));
    };
    let (line, rows) = (body[..end].trim_ascii(), &body[end + 1..]);
    let is_index = |name: &[u8]| name.eq_ignore_ascii_case(request.item.as_bytes());
    match line.strip_prefix(b"DATE,") {
        Some(b"OPEN,HIGH,LOW,CLOSE") => Ok((Layout::Bars, rows)),
        Some(name) if is_index(name) => Ok((Layout::Closes, rows)),
        _ => Err(PageError::Retry(format!(
            "expected the header `DATE,OPEN,HIGH,LOW,CLOSE` or `DATE,{}`, found `{}`",
            request.item,
            excerpt(line)
        ))),
    }
}

/// The response to a missing file is that of S3: `AccessDenied`, in XML.
fn markup(what: &str, expected: &str, request: &Request<'_>, body: &[u8]) -> PageError {
    let words = excerpt(body);
    if words.contains("<Code>AccessDenied</Code>") {
        return PageError::Skip(format!("unknown {what} `{}`: the provider says `{words}`", request.item));
    }
    PageError::Retry(format!("expected {expected}, received markup: `{words}`"))
}

impl Page<'_> {
    /// The bar of a line; None for an empty line.
    fn row(&mut self, line: &[u8], text: Option<&str>) -> Result<Option<Box<OhlcvBar>>, Fault> {
        if !line.ends_with(b"\n") {
            return Err(Fault("cut_off", "ends without a line feed, so its last value may be short".to_owned()));
        }
        let text = text.ok_or_else(|| Fault("encoding", "is not UTF-8".to_owned()))?;
        let text = text.trim_end_matches(['\n', '\r']);
        if text.is_empty() {
            return Ok(None);
        }
        let bar = self.bar(text)?;
        if !self.keys.insert(bar.trading_date) {
            return Err(Fault("duplicate", format!("{} is already in the file", bar.trading_date)));
        }
        Ok(Some(bar))
    }

    fn bar(&mut self, line: &str) -> Result<Box<OhlcvBar>, Fault> {
        let mut columns = [""; MAX_COLUMNS];
        let (date, prices, close) = match (self.layout, split_at_commas(line, &mut columns), columns) {
            (Layout::Bars, 5, [date, open, high, low, close]) => {
                (date, [Some(number(open)?), Some(number(high)?), Some(number(low)?)], number(close)?)
            }
            (Layout::Closes, 2, [date, close, ..]) => (date, [None; 3], number(close)?),
            (layout, count, _) => return Err(column_count(layout, count)),
        };
        let trading_date = date_of(date)?;
        let [open, high, low] = prices;
        Ok(Box::new(OhlcvBar {
            source: NAME,
            symbol: self.symbol.clone(),
            bar_interval: DAILY,
            ts_start: self.calendar.start(trading_date).ok_or_else(|| bad_date(date))?,
            trading_date,
            open,
            high,
            low,
            close,
            volume: None,
            adjusted_close: None,
            currency: None,
            known_at: self.request.last_modified_or_received(),
            observed_at: self.request.received_at,
            flags: Vec::new(),
        }))
    }
}

fn column_count(layout: Layout, count: usize) -> Fault {
    let expected = match layout {
        Layout::Bars => 5,
        Layout::Closes => 2,
    };
    Fault("columns", format!("has {count} columns instead of {expected}"))
}

fn number(text: &str) -> Result<f64, Fault> {
    let number = trimmed(text);
    finite(number).ok_or_else(|| {
        let found = excerpt(text.as_bytes());
        match number.parse::<f64>() {
            Ok(_) => Fault("not_finite", format!("`{found}` is not a finite number")),
            Err(_) => Fault("number", format!("`{found}` is not a number")),
        }
    })
}

fn date_of(text: &str) -> Result<NaiveDate, Fault> {
    month_day_year(trimmed(text)).ok_or_else(|| bad_date(text))
}

fn bad_date(text: &str) -> Fault {
    Fault("date", format!("`{}` is not a date like `12/31/2024`", excerpt(text.as_bytes())))
}

#[cfg(test)]
mod tests;
