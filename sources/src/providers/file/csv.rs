//! CSV: a header line, then rows, as in RFC 4180; see the documentation of the source for its variants.

use memchr::{memchr, memchr_iter, memchr2};

use super::cell::Cell;
use super::item::Item;
use super::page::{Page, ROW_BYTES, Row};
use super::part::{self, MAX_HEADER_BYTES, Part, WINDOW_BYTES};
use super::window::{Rows, Step, Window, check_text};
use crate::parse::body::{excerpt, is_markup, without_bom};
use crate::parse::fault::Fault;
use crate::response::{PageError, Parsed, Request};

/// Possible separators.
const DELIMITERS: &[u8] = b",;\t|";

pub(super) fn path(item: &str, offset: u64) -> Result<String, PageError> {
    part::path(&Item::parse(item)?.file, Part::Window { offset, header: true })
}

pub(super) fn parse(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    parse_window(request, body, WINDOW_BYTES)
}

/// Reads a window; `full` is the length of a full one.
fn parse_window(request: &Request<'_>, body: &[u8], most: usize) -> Result<Parsed, PageError> {
    let item = Item::parse(request.item)?;
    let header = header(body)?;
    let places = item.places(&header.columns)?;
    let mut table = Table { delimiter: header.delimiter, columns: header.columns.len(), places, spans: Vec::new() };
    let mut page = Page::new(&item, request, body.len() / ROW_BYTES);
    let window = Window { body, header: header.bytes, header_lines: 1, most };
    let next = window.read(request, &mut table, &mut page);
    page.done(next)
}

/// The header line.
struct Header {
    delimiter: u8,
    columns: Vec<String>,
    /// Its length, with byte order mark and line feed.
    bytes: usize,
}

fn header(body: &[u8]) -> Result<Header, PageError> {
    check_text(body, "CSV")?;
    if is_markup(body) {
        return Err(PageError::Skip(format!("expected CSV, found markup: `{}`", excerpt(body))));
    }
    let Some(end) = memchr(b'\n', &body[..body.len().min(MAX_HEADER_BYTES)]) else {
        let reason = "is not a whole header line of at most";
        return Err(PageError::Retry(format!("`{}` {reason} {MAX_HEADER_BYTES} bytes", excerpt(body))));
    };
    let line = without_bom(&body[..=end]);
    let text = std::str::from_utf8(line);
    let text = text.map_err(|_| PageError::Skip("the header line is not UTF-8: save the file as UTF-8".to_owned()))?;
    let delimiter = delimiter(line);
    let mut spans = Vec::new();
    match split(line, delimiter, true, &mut spans) {
        Step::Row(..) => {
            let columns = spans.iter().map(|span| span.of(text).trim().to_owned()).collect();
            Ok(Header { delimiter, columns, bytes: end + 1 })
        }
        _ => Err(PageError::Skip(format!("the header line cannot be read: `{}`", excerpt(line)))),
    }
}

/// The delimiter most frequent in a line, outside of quotes.
fn delimiter(line: &[u8]) -> u8 {
    let mut counts = [0_usize; DELIMITERS.len()];
    let mut is_quoted = false;
    for byte in line {
        match DELIMITERS.iter().position(|delimiter| delimiter == byte) {
            Some(at) if !is_quoted => counts[at] += 1,
            _ => is_quoted ^= *byte == b'"',
        }
    }
    // Of equally frequent ones the first.
    let best = (0..counts.len()).rev().max_by_key(|at| counts[*at]).unwrap_or_default();
    DELIMITERS[best]
}

/// A value within its row.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
    /// Whether it holds quotes, each doubled.
    is_escaped: bool,
}

impl Span {
    fn of<'t>(&self, row: &'t str) -> std::borrow::Cow<'t, str> {
        let text = row.get(self.start..self.end).unwrap_or_default();
        if self.is_escaped { text.replace("\"\"", "\"").into() } else { text.into() }
    }
}

/// The rows below a header.
struct Table {
    delimiter: u8,
    columns: usize,
    /// The column of each slot of the item.
    places: Vec<Option<usize>>,
    /// The values of the row found last.
    spans: Vec<Span>,
}

impl<'a> Rows<'a> for Table {
    fn next(&mut self, rest: &'a [u8], is_one_line: bool) -> Step {
        split(rest, self.delimiter, is_one_line, &mut self.spans)
    }

    fn add(&mut self, page: &mut Page<'a>, row: Row<'a>) {
        if row.text.trim_ascii().is_empty() && self.spans.len() == 1 {
            return;
        }
        let Ok(text) = std::str::from_utf8(row.text) else {
            return page.refuse(row, Fault("encoding", "is not UTF-8".to_owned()), row.text);
        };
        if self.spans.len() != self.columns {
            let reason = format!("has {} columns instead of {}", self.spans.len(), self.columns);
            return page.refuse(row, Fault("columns", reason), row.text);
        }
        if self.spans.iter().all(|span| span.start == span.end) {
            return page.add_hole();
        }
        page.add(row, |slot| match self.places[slot] {
            Some(column) => Cell::Text(self.spans[column].of(text)),
            None => Cell::Null,
        });
    }
}

/// Splits the row at the beginning of `rest`.
fn split(rest: &[u8], delimiter: u8, is_one_line: bool, spans: &mut Vec<Span>) -> Step {
    spans.clear();
    match memchr2(b'\n', b'"', rest) {
        None => Step::Unfinished,
        Some(end) if rest[end] == b'\n' => {
            let line = &rest[..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let mut start = 0;
            // Byte by byte: values are too short for `memchr` to pay off.
            for (end, byte) in line.iter().enumerate() {
                if *byte == delimiter {
                    spans.push(Span { start, end, is_escaped: false });
                    start = end + 1;
                }
            }
            spans.push(Span { start, end: line.len(), is_escaped: false });
            Step::Row(end + 1, 1)
        }
        Some(_) if is_one_line => match memchr(b'\n', rest) {
            None => Step::Unfinished,
            Some(end) => match split_quoted(&rest[..=end], delimiter, spans) {
                Step::Unfinished => Step::Odd(Fault("quote", "has a quote that is not closed".to_owned()), end + 1),
                step => step,
            },
        },
        Some(_) => split_quoted(rest, delimiter, spans),
    }
}

/// The same for a row with quoted values.
fn split_quoted(rest: &[u8], delimiter: u8, spans: &mut Vec<Span>) -> Step {
    let (mut at, mut lines) = (0, 1);
    loop {
        let end = if rest.get(at) == Some(&b'"') {
            let Some((span, newlines)) = quoted(rest, at + 1) else { return Step::Unfinished };
            spans.push(span);
            lines += newlines;
            span.end + 1
        } else {
            let Some(length) = memchr2(delimiter, b'\n', &rest[at..]) else { return Step::Unfinished };
            let end = at + length;
            let is_cr = rest[end] == b'\n' && rest[at..end].ends_with(b"\r");
            spans.push(Span { start: at, end: end - usize::from(is_cr), is_escaped: false });
            end
        };
        match rest[end..] {
            [] | [b'\r'] => return Step::Unfinished,
            [b'\n', ..] => return Step::Row(end + 1, lines),
            [b'\r', b'\n', ..] => return Step::Row(end + 2, lines),
            [byte, ..] if byte == delimiter => at = end + 1,
            _ => {
                let reason = "has something between the end of a quoted value and the next one";
                return Step::Odd(Fault("quote", reason.to_owned()), end);
            }
        }
    }
}

/// The quoted value that begins there, and its number of line feeds; None if the quote is not closed.
fn quoted(rest: &[u8], start: usize) -> Option<(Span, u64)> {
    let (mut at, mut is_escaped) = (start, false);
    loop {
        let end = at + memchr(b'"', &rest[at..])?;
        if rest.get(end + 1) == Some(&b'"') {
            (at, is_escaped) = (end + 2, true);
            continue;
        }
        let newlines = memchr_iter(b'\n', &rest[start..end]).count() as u64;
        return Some((Span { start, end, is_escaped }, newlines));
    }
}

#[cfg(test)]
mod tests;
