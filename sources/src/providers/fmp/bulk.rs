//! The bars of all symbols on one day, as CSV.
//!
//! The header names the columns: FMP writes the low before the high. The symbols are of many exchanges, but their days
//! count as days of New York.

use chrono::{DateTime, NaiveDate, Utc};

use super::bars::Values;
use super::{Page, ZONE, no_list, rows};
use crate::parse::body::{MAX_ROWS, excerpt, without_bom};
use crate::parse::fault::Fault;
use crate::parse::lines::{bare_cell, quoted_cell, text_lines};
use crate::parse::value::{finite, year_month_day};
use crate::response::{PageError, Parsed, Request};
use crate::time::Calendar;

/// Most columns of a line: twice the current number.
const MAX_COLUMNS: usize = 16;
/// Bytes of a short line: an estimate, to reserve room for the records.
const LINE_BYTES: usize = 48;

pub(super) fn path(item: &str, _offset: u64) -> Result<String, PageError> {
    let date = year_month_day(item);
    let bad = || PageError::Skip(format!("`{}` is not a date like `2024-12-31`", excerpt(item.as_bytes())));
    date.ok_or_else(bad)?;
    Ok(format!("/stable/eod-bulk?date={item}"))
}

pub(super) fn parse(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let body = without_bom(body);
    let (layout, below) = match header(body)? {
        Some(header) => header,
        None => return Ok(Parsed::default()),
    };
    let mut page: Page<'_, (&str, NaiveDate), ()> = Page::with_capacity((body.len() / LINE_BYTES).min(MAX_ROWS));
    let mut day =
        Day { text: "", date: NaiveDate::default(), start: DateTime::default(), calendar: Calendar::of(ZONE) };
    for (index, (line, text)) in text_lines(below).enumerate() {
        if index == MAX_ROWS {
            return Err(PageError::Retry(format!("the file has more than {MAX_ROWS} rows")));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let read = values_of(&layout, line, text, &mut day)
            .and_then(|(symbol, values)| Ok((symbol, values.bar_from(request, day.start)?)));
        match read {
            Ok((symbol, Some(bar))) => page.keep((symbol, bar.trading_date), (), bar, line),
            Ok((_, None)) => page.parsed.holes += 1,
            // The header is line 1.
            Err(fault) => page.parsed.rejects.push(fault.at(format_args!("line {}", index + 2)).reject(line)),
        }
    }
    Ok(page.parsed)
}

/// Indexes of the columns.
struct Layout {
    count: usize,
    symbol: usize,
    date: usize,
    /// Open, high, low, close.
    prices: [Option<usize>; 4],
    volume: Option<usize>,
}

/// The layout by the first line, and the other lines; None for `[]`, which FMP sends when there is nothing.
fn header(body: &[u8]) -> Result<Option<(Layout, &[u8])>, PageError> {
    if body.trim_ascii_start().first().is_none_or(|byte| b"<{".contains(byte)) {
        return Err(no_list(body.trim_ascii()));
    }
    if body.trim_ascii_start().starts_with(b"[") && rows(body)?.is_empty() {
        return Ok(None);
    }
    let end = body.iter().position(|byte| *byte == b'\n').unwrap_or(body.len());
    let line = std::str::from_utf8(&body[..end]).unwrap_or_default();
    let mut names = [""; MAX_COLUMNS];
    let count = split(line.trim_end(), &mut names).unwrap_or(0);
    let at = |name: &str| names[..count].iter().position(|own| own.eq_ignore_ascii_case(name));
    let (Some(symbol), Some(date), Some(close), true) = (at("symbol"), at("date"), at("close"), end < body.len())
    else {
        return Err(no_header(body));
    };
    let prices = [at("open"), at("high"), at("low"), Some(close)];
    let layout = Layout { count, symbol, date, prices, volume: at("volume") };
    Ok(Some((layout, &body[end + 1..])))
}

/// The error of a body that is not such a file.
fn no_header(body: &[u8]) -> PageError {
    match no_list(body.trim_ascii()) {
        PageError::Retry(_) => {
            PageError::Retry(format!("expected a header with `symbol`, `date` and `close`, found `{}`", excerpt(body)))
        }
        refusal => refusal,
    }
}

fn values_of<'a>(
    layout: &Layout,
    line: &[u8],
    text: Option<&'a str>,
    day: &mut Day<'a>,
) -> Result<(&'a str, Values), Fault> {
    if !line.ends_with(b"\n") {
        return Err(Fault("cut_off", "ends without a line feed, so its last value may be short".to_owned()));
    }
    let text = text.ok_or_else(|| Fault("encoding", "is not UTF-8".to_owned()))?;
    let mut columns = [""; MAX_COLUMNS];
    let unreadable = || Fault("columns", format!("has more than {MAX_COLUMNS} columns or a misplaced quote"));
    let count = split(text.trim_end_matches(['\r', '\n']), &mut columns).ok_or_else(unreadable)?;
    if count != layout.count {
        return Err(Fault("columns", format!("has {count} columns instead of {}", layout.count)));
    }
    let symbol = columns[layout.symbol];
    if symbol.is_empty() {
        return Err(Fault("absent", "has no `symbol`".to_owned()));
    }
    if day.text != columns[layout.date] || day.text.is_empty() {
        day.turn_to(columns[layout.date])?;
    }
    let number_at = |at: Option<usize>| at.map_or(Ok(None), |at| number(columns[at]));
    let mut prices = [None; 4];
    for (price, at) in prices.iter_mut().zip(layout.prices) {
        *price = number_at(at)?;
    }
    let volume = number_at(layout.volume)?;
    // `eod_prices` has no adjusted close for the same bar.
    Ok((symbol, Values { symbol: symbol.into(), trading_date: day.date, prices, adjusted_close: None, volume }))
}

/// Splits a line at its commas and removes quotes; None if there are too many columns or a quote is left open.
///
/// No value of the file holds a quote.
fn split<'a>(mut line: &'a str, columns: &mut [&'a str; MAX_COLUMNS]) -> Option<usize> {
    for (at, column) in columns.iter_mut().enumerate() {
        let rest;
        (*column, rest) = if line.starts_with('"') {
            let cell = quoted_cell(line, b',').filter(|cell| !cell.is_escaped)?;
            (cell.text, cell.rest)
        } else {
            bare_cell(line, b',')
        };
        match rest {
            Some(rest) => line = rest,
            None => return Some(at + 1),
        }
    }
    None
}

fn number(text: &str) -> Result<Option<f64>, Fault> {
    match finite(text) {
        None if matches!(text, "" | "null" | "NA" | "NaN" | "Infinity" | "-Infinity") => Ok(None),
        None => Err(Fault("number", format!("`{}` is not a number", excerpt(text.as_bytes())))),
        number => Ok(number),
    }
}

/// The last date and its start: almost all lines have the same.
struct Day<'a> {
    text: &'a str,
    date: NaiveDate,
    start: DateTime<Utc>,
    calendar: Calendar,
}

impl<'a> Day<'a> {
    fn turn_to(&mut self, text: &'a str) -> Result<(), Fault> {
        let bad = || Fault("date", format!("`{}` is not a date like `2024-12-31`", excerpt(text.as_bytes())));
        let date = year_month_day(text).ok_or_else(bad)?;
        (self.text, self.date, self.start) = (text, date, self.calendar.start(date).ok_or_else(bad)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
