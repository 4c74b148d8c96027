//! JSON lines: an object on each line.

use std::fmt;

use contract::decimal;
use memchr::memchr;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::cell::Cell;
use super::item::{Item, Slot};
use super::page::{Page, ROW_BYTES, Row};
use super::part::{self, Part, WINDOW_BYTES};
use super::window::{Rows, Step, Window, check_text};
use crate::parse::body::{excerpt, without_bom};
use crate::parse::fault::Fault;
use crate::parse::raw::Raw;
use crate::parse::value::{Quoted, scalar};
use crate::response::{PageError, Parsed, Request};

pub(super) fn path(item: &str, offset: u64) -> Result<String, PageError> {
    part::path(&Item::parse(item)?.file, Part::Window { offset, header: false })
}

pub(super) fn parse(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    parse_window(request, body, WINDOW_BYTES)
}

/// Reads a window; `full` is the length of a full one.
fn parse_window(request: &Request<'_>, body: &[u8], most: usize) -> Result<Parsed, PageError> {
    let item = Item::parse(request.item)?;
    let header = if request.offset == 0 { beginning(body, most)? } else { 0 };
    let mut page = Page::new(&item, request, body.len() / ROW_BYTES);
    let window = Window { body, header, header_lines: 0, most };
    let mut objects = Objects { slots: &item.slots, reads_texts: item.decimal.is_some() };
    let next = window.read(request, &mut objects, &mut page);
    page.done(next)
}

/// Length of a byte order mark; an error for a body that cannot be JSON lines.
fn beginning(body: &[u8], most: usize) -> Result<usize, PageError> {
    check_text(body, "JSON lines")?;
    let text = without_bom(body);
    if memchr(b'\n', text).is_none() && body.len() < most {
        return Err(PageError::Retry(format!("`{}` is not a whole line", excerpt(text))));
    }
    let head = text.trim_ascii_start();
    if head.first() != Some(&b'{') {
        let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        return Err(PageError::Skip(format!("expected an object on each line, found `{}`", excerpt(line))));
    }
    Ok(body.len() - text.len())
}

/// The lines.
struct Objects<'i> {
    slots: &'i [Slot],
    /// Whether texts hold numbers of another notation than JSON's.
    reads_texts: bool,
}

impl<'a> Rows<'a> for Objects<'_> {
    fn next(&mut self, rest: &'a [u8], _is_one_line: bool) -> Step {
        memchr(b'\n', rest).map_or(Step::Unfinished, |end| Step::Row(end + 1, 1))
    }

    fn add(&mut self, page: &mut Page<'a>, row: Row<'a>) {
        let line = row.text.trim_ascii();
        if line.is_empty() {
            return;
        }
        let reads_texts = self.reads_texts;
        match object(line, self.slots) {
            Ok(values) => page.add(row, |slot| values[slot].raw.map_or(Cell::Null, |raw| cell(raw, reads_texts))),
            Err(fault) => page.refuse(row, fault, row.text),
        }
    }
}

fn cell(raw: Raw<'_>, reads_texts: bool) -> Cell<'_> {
    match scalar(raw) {
        _ if raw.get() == "null" => Cell::Null,
        Some(text) if reads_texts && !raw.get().starts_with('"') => number(&text).unwrap_or(Cell::Text(text)),
        Some(text) => Cell::Text(text),
        None => Cell::Json(raw.get()),
    }
}

/// A number of JSON, which has a decimal point whatever its neighbours have.
fn number(text: &str) -> Option<Cell<'static>> {
    let exact = decimal::parse(text).map(Cell::Decimal);
    exact.or_else(|| text.parse().ok().map(Cell::Number))
}

fn object<'a>(line: &'a [u8], slots: &[Slot]) -> Result<Vec<Found<'a>>, Fault> {
    let mut values = vec![Found::default(); slots.len()];
    let mut input = serde_json::Deserializer::from_slice(line);
    let read = Wanted { slots, values: &mut values }.deserialize(&mut input).and_then(|()| input.end());
    // The column is left out: the reject holds the whole line.
    read.map_err(|_| Fault("shape", "is not a JSON object".to_owned()))?;
    Ok(values)
}

/// The value of an object for a slot.
#[derive(Clone, Copy, Default)]
struct Found<'a> {
    raw: Option<Raw<'a>>,
    /// Whether the name matches in case.
    is_exact: bool,
}

/// Reads only the wanted values of an object. Of a duplicate name the last value counts.
struct Wanted<'s, 'a> {
    slots: &'s [Slot],
    values: &'s mut [Found<'a>],
}

impl<'de> DeserializeSeed<'de> for Wanted<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Wanted<'_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(Quoted(name)) = entries.next_key::<Quoted<'de>>()? {
            let is_wanted = |slot: &Slot| slot.name == *name || slot.is_like(&name);
            let Some(first) = self.slots.iter().position(is_wanted) else {
                entries.next_value::<IgnoredAny>()?;
                continue;
            };
            let raw = Some(entries.next_value::<Raw<'de>>()?);
            for (slot, value) in self.slots.iter().zip(self.values.iter_mut()).skip(first) {
                let is_exact = slot.name == *name;
                if is_exact || (slot.is_like(&name) && !value.is_exact) {
                    *value = Found { raw, is_exact };
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
