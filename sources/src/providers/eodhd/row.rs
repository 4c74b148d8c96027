//! A row, from JSON or from CSV.

use std::borrow::Cow;
use std::fmt;

use chrono::NaiveDate;
use contract::{Decimal, Record, Text, decimal};

use crate::parse::body::{MAX_ROWS, excerpt};
use crate::parse::fault::Fault;
use crate::parse::lines::{split_at_commas, text_lines};
use crate::parse::value::{Object, absent, finite, tag, trimmed, year_month_day};
use crate::response::{PageError, Parsed};

/// A row.
#[derive(Debug)]
pub(super) enum Row<'a> {
    /// An object of a list.
    Json(&'a Object<'a>),
    /// A line of CSV.
    Csv(&'a Line<'a>),
}

/// A line of CSV with the names of its columns.
#[derive(Debug)]
pub(super) struct Line<'a> {
    names: &'a [Name],
    cells: [&'a str; MAX_COLUMNS],
}

/// Name of a column, preceded by a cheap hash of it.
type Name = (u64, &'static str);

/// A CSV body.
#[derive(Debug)]
pub(super) struct Table<'a> {
    names: Vec<Name>,
    /// Length of the header.
    start: usize,
    rows: &'a [u8],
}

/// Most columns of a table; bulk prices have nine.
const MAX_COLUMNS: usize = 16;
/// Bytes of a short line: an estimate, to reserve room for the records.
const LINE_BYTES: usize = 16;
/// Names of columns, in lowercase, and the names of the same values in JSON.
const COLUMNS: &[(&str, &str)] = &[
    ("date", "date"),
    ("open", "open"),
    ("high", "high"),
    ("low", "low"),
    ("close", "close"),
    ("adjusted_close", "adjusted_close"),
    ("volume", "volume"),
    ("code", "code"),
    ("ex", "exchange"),
    ("exchange", "exchange"),
    ("dividend", "value"),
    ("dividends", "value"),
    ("split", "split"),
    ("stock splits", "split"),
];
/// Cells without a value.
const NOTHING: &[&str] = &["", "NA", "N/A", "null", "0000-00-00"];

/// Adds the outcome of a row to a page.
pub(super) fn keep(
    parsed: &mut Parsed,
    outcome: Result<Option<Record>, Fault>,
    place: fmt::Arguments<'_>,
    fragment: &[u8],
) {
    match outcome {
        Ok(Some(record)) => parsed.records.push(record),
        Ok(None) => parsed.holes += 1,
        Err(fault) => parsed.rejects.push(fault.at(place).reject(fragment)),
    }
}

impl<'a> Table<'a> {
    /// Whether a body begins like the provider's CSV.
    pub(super) fn is_header(body: &[u8]) -> bool {
        [&b"Date,"[..], b"Code,"].iter().any(|start| body.starts_with(start))
    }

    /// Reads the header.
    pub(super) fn parse(body: &'a [u8]) -> Result<Table<'a>, PageError> {
        let Some(end) = body.iter().position(|byte| *byte == b'\n') else {
            return Err(PageError::Retry(format!("not a whole CSV file: `{}`", excerpt(body))));
        };
        let header = String::from_utf8_lossy(&body[..end]).to_ascii_lowercase();
        let name = |cell: &str| {
            let cell = cell.trim().trim_matches('"');
            let name = COLUMNS.iter().find(|(name, _)| *name == cell).map_or("", |(_, name)| *name);
            (tag(name), name)
        };
        let names: Vec<Name> = header.split(',').take(MAX_COLUMNS + 1).map(name).collect();
        if names.len() > MAX_COLUMNS {
            return Err(PageError::Retry(format!("the CSV file has more than {MAX_COLUMNS} columns")));
        }
        Ok(Table { names, start: end + 1, rows: &body[end + 1..] })
    }

    /// Reads every row into a page; a row without a record is a hole.
    pub(super) fn each(
        &self,
        parsed: &mut Parsed,
        mut read: impl FnMut(&Row<'_>) -> Result<Option<Record>, Fault>,
    ) -> Result<(), PageError> {
        let mut offset = self.start;
        parsed.records.reserve((self.rows.len() / LINE_BYTES).min(MAX_ROWS));
        for (index, (bytes, text)) in text_lines(self.rows).enumerate() {
            if index == MAX_ROWS {
                return Err(PageError::Retry(format!("the file has more than {MAX_ROWS} rows")));
            }
            let is_row = !bytes.trim_ascii().is_empty() && !is_byte_count(bytes, offset);
            offset += bytes.len();
            if is_row {
                let outcome = self.line(bytes, text).and_then(|line| read(&Row::Csv(&line)));
                // The header is line 1.
                keep(parsed, outcome, format_args!("line {}", index + 2), bytes);
            }
        }
        Ok(())
    }

    fn line<'b>(&'b self, bytes: &'b [u8], text: Option<&'b str>) -> Result<Line<'b>, Fault> {
        if !bytes.ends_with(b"\n") {
            return Err(Fault("cut_off", "ends without a line feed, so its last value may be short".to_owned()));
        }
        let line = text.ok_or_else(|| Fault("encoding", "is not UTF-8".to_owned()))?.trim_end_matches('\n');
        let mut cells = [""; MAX_COLUMNS];
        let count = split_at_commas(line, &mut cells);
        if count != self.names.len() {
            return Err(Fault("columns", format!("has {count} columns instead of {}", self.names.len())));
        }
        Ok(Line { names: &self.names, cells })
    }
}

/// Until at least 2019, files ended with their length in bytes, without a line feed.
fn is_byte_count(line: &[u8], offset: usize) -> bool {
    // Only digits: most rows fail this test within five bytes.
    let is_number = line.trim_ascii_end().iter().all(u8::is_ascii_digit);
    is_number && std::str::from_utf8(line).is_ok_and(|line| line.trim_end().parse() == Ok(offset))
}

impl Line<'_> {
    /// The cell of that name, if it has a value.
    #[inline]
    fn cell(&self, name: &str) -> Option<&str> {
        let tag = tag(name);
        let place = self.names.iter().position(|(own_tag, own)| *own_tag == tag && *own == name)?;
        self.cells.get(place).map(|cell| trimmed(cell)).filter(|cell| match cell.as_bytes().first() {
            // Most cells are numbers and dates.
            Some(b'1'..=b'9') => true,
            Some(_) => !NOTHING.contains(cell),
            None => false,
        })
    }

    #[inline]
    fn read<T>(
        &self,
        name: &str,
        class: &'static str,
        what: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        let Some(cell) = self.cell(name) else { return Ok(None) };
        let odd = || Fault(class, format!("`{name}` `{}` is not {what}", excerpt(cell.as_bytes())));
        read(cell).map(Some).ok_or_else(odd)
    }
}

impl Row<'_> {
    /// A text; None for a missing value.
    #[inline]
    pub(super) fn text(&self, name: &str) -> Result<Option<Text>, Fault> {
        Ok(self.borrowed(name)?.map(Text::from))
    }

    /// As [`Row::text`], borrowed where possible.
    #[inline]
    pub(super) fn borrowed(&self, name: &str) -> Result<Option<Cow<'_, str>>, Fault> {
        match self {
            Row::Json(object) => object.borrowed(name),
            Row::Csv(line) => Ok(line.cell(name).map(Cow::Borrowed)),
        }
    }

    /// A finite number; None for a missing value.
    #[inline]
    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, Fault> {
        match self {
            Row::Json(object) => object.number(name),
            Row::Csv(line) => line.read(name, "number", "a number", finite),
        }
    }

    /// A decimal; None for a missing value.
    #[inline]
    pub(super) fn decimal(&self, name: &str) -> Result<Option<Decimal>, Fault> {
        match self {
            Row::Json(object) => object.decimal(name),
            Row::Csv(line) => line.read(name, "number", "a number", decimal::parse),
        }
    }

    /// A date; None for a missing value.
    #[inline]
    pub(super) fn date(&self, name: &str) -> Result<Option<NaiveDate>, Fault> {
        match self {
            Row::Json(object) => object.date(name),
            Row::Csv(line) => line.read(name, "date", "a date like `2024-12-31`", |cell| {
                year_month_day(cell).or_else(|| cell.parse().ok())
            }),
        }
    }

    /// A required date.
    pub(super) fn needed_date(&self, name: &str) -> Result<NaiveDate, Fault> {
        self.date(name)?.ok_or_else(|| absent(name))
    }

    /// The symbol of a row: its code and exchange; else the requested symbol.
    pub(super) fn symbol(&self, item: &str) -> Result<Text, Fault> {
        let Some(code) = self.borrowed("code")? else {
            // The request was for an exchange: without a code the row has no symbol.
            return if item.contains('.') { Ok(item.into()) } else { Err(absent("code")) };
        };
        let exchange = match self.borrowed("exchange_short_name")? {
            Some(exchange) => Some(exchange),
            None => self.borrowed("exchange")?,
        };
        let exchange = exchange.as_deref().unwrap_or(item);
        let is_symbol = |part: &str| part.bytes().all(|byte| byte.is_ascii_graphic());
        let length = code.len() + 1 + exchange.len();
        if length > super::MAX_SYMBOL_BYTES || !is_symbol(&code) || !is_symbol(exchange) {
            let symbol = format!("{code}.{exchange}");
            return Err(Fault("symbol", format!("`{}` is not a valid symbol", excerpt(symbol.as_bytes()))));
        }
        Ok(Text::concat(&[&code, ".", exchange]))
    }
}
