//! Reads the cells of an `.xls` workbook (MS-XLS, BIFF8), without their formats: a date is a number of days.
//!
//! A workbook is a stream of records: first the global ones with the shared strings, then those of each sheet.

use std::borrow::Cow;
use std::vec::IntoIter;

use chrono::NaiveDate;

use super::ole2::{f64_at, u16_at, u32_at};
use super::table::{Cell, Row};
use crate::parse::body::MAX_ROWS;

/// Most sheets that are read: ICI's workbooks have one or two.
const MAX_SHEETS: usize = 16;
/// Most cells of a sheet.
const MAX_CELLS: usize = MAX_ROWS;
/// The version that all programs have written since 1997.
const BIFF8: u16 = 0x0600;
/// Day 0: day 1 is 1900-01-01, and Excel counts a 1900-02-29 that never existed.
const EPOCH_1900: NaiveDate = NaiveDate::from_ymd_opt(1899, 12, 30).expect("a date");
/// Day 0 in workbooks of old Macintosh programs.
const EPOCH_1904: NaiveDate = NaiveDate::from_ymd_opt(1904, 1, 1).expect("a date");
/// Text of a cell that is neither a text nor a number.
const NO_VALUE: &str = "#VALUE!";

/// Kinds of records.
mod kind {
    pub(super) const FORMULA: u16 = 0x0006;
    pub(super) const END: u16 = 0x000a;
    pub(super) const DATE_1904: u16 = 0x0022;
    pub(super) const PASSWORD: u16 = 0x002f;
    pub(super) const CONTINUE: u16 = 0x003c;
    pub(super) const SHEET: u16 = 0x0085;
    pub(super) const NUMBERS: u16 = 0x00bd;
    pub(super) const SHARED_TEXTS: u16 = 0x00fc;
    pub(super) const SHARED_TEXT: u16 = 0x00fd;
    pub(super) const NUMBER: u16 = 0x0203;
    pub(super) const TEXT: u16 = 0x0204;
    pub(super) const BOOLEAN_OR_ERROR: u16 = 0x0205;
    pub(super) const FORMULA_TEXT: u16 = 0x0207;
    pub(super) const SHORT_NUMBER: u16 = 0x027e;
    pub(super) const BEGIN: u16 = 0x0809;
}

/// A workbook.
pub(super) struct Workbook {
    stream: Vec<u8>,
    /// The shared strings.
    texts: Vec<String>,
    /// Offsets of the visible sheets.
    sheets: Vec<usize>,
    /// Day 0.
    epoch: NaiveDate,
}

impl Workbook {
    /// Reads the global records.
    pub(super) fn parse(stream: Vec<u8>) -> Result<Workbook, &'static str> {
        let mut epoch = EPOCH_1900;
        let (mut pieces, mut sheets) = (Vec::new(), Vec::new());
        let mut is_text = false;
        for record in records(&stream, 0) {
            let (kind, data) = record?;
            is_text = kind == kind::SHARED_TEXTS || kind == kind::CONTINUE && is_text;
            match kind {
                kind::BEGIN if u16_at(data, 0) != Some(BIFF8) => return Err("it is older than Excel 97"),
                kind::PASSWORD => return Err("it is protected by a password"),
                kind::DATE_1904 if u16_at(data, 0) == Some(1) => epoch = EPOCH_1904,
                kind::SHEET if sheets.len() < MAX_SHEETS => sheets.extend(visible_sheet(data)),
                // The counts at the beginning are not needed, and wrong in some files.
                kind::SHARED_TEXTS => pieces.push(data.get(8..).unwrap_or_default()),
                kind::CONTINUE if is_text => pieces.push(data),
                kind::END => break,
                _ => {}
            }
        }
        let texts = texts(pieces);
        Ok(Workbook { texts, sheets, epoch, stream })
    }

    /// Offsets of the visible sheets.
    pub(super) fn sheets(&self) -> &[usize] {
        &self.sheets
    }

    /// The non-empty rows of a sheet, in order.
    pub(super) fn rows(&self, sheet: usize) -> Result<Vec<Row<'_>>, &'static str> {
        let mut cells = Cells { workbook: self, cells: Vec::new(), formula: None };
        let mut depth = 0_usize;
        for record in records(&self.stream, sheet) {
            let (kind, data) = record?;
            match kind {
                // A chart on a sheet is a nested stream.
                kind::BEGIN => depth += 1,
                kind::END if depth <= 1 => break,
                kind::END => depth -= 1,
                _ if depth == 1 => {
                    cells.add(kind, data).ok_or("a cell is cut off, or shares a text that is not there")?
                }
                _ => {}
            }
            if cells.cells.len() > MAX_CELLS {
                return Err("a sheet has too many cells");
            }
        }
        Ok(cells.rows())
    }
}

/// Offset of a sheet, if it is a visible worksheet.
fn visible_sheet(data: &[u8]) -> Option<usize> {
    let is_visible = data.get(4)? & 3 == 0;
    let is_of_cells = *data.get(5)? == 0;
    usize::try_from(u32_at(data, 0)?).ok().filter(|_| is_visible && is_of_cells)
}

/// Kind and data of each record from an offset on.
fn records(stream: &[u8], start: usize) -> impl Iterator<Item = Result<(u16, &[u8]), &'static str>> {
    let mut rest = stream.get(start..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (kind, length) = u16_at(rest, 0).zip(u16_at(rest, 2))?;
        let (record, others) = rest.split_at_checked(4 + usize::from(length)).unwrap_or_default();
        rest = others;
        Some(record.get(4..).map(|data| (kind, data)).ok_or("a record is cut off"))
    })
}

/// The cells of a sheet while it is read, by row and column.
struct Cells<'a> {
    workbook: &'a Workbook,
    cells: Vec<(u16, u16, Cell<'a>)>,
    /// Row and column of the formula whose text comes next.
    formula: Option<(u16, u16)>,
}

impl<'a> Cells<'a> {
    /// Adds the cells of a record, if it has any; None if it cannot be read.
    fn add(&mut self, kind: u16, data: &'a [u8]) -> Option<()> {
        match kind {
            kind::NUMBER => self.put(data, Cell::Number(f64_at(data, 6)?)),
            kind::SHORT_NUMBER => self.put(data, Cell::Number(short_number(u32_at(data, 6)?))),
            kind::NUMBERS => self.numbers(data),
            kind::TEXT => self.put(data, Cell::Text(Pieces::new(vec![data.get(6..)?]).text()?.into())),
            kind::SHARED_TEXT => {
                let text = self.workbook.texts.get(usize::try_from(u32_at(data, 6)?).ok()?)?;
                self.put(data, Cell::Text(Cow::Borrowed(text)))
            }
            kind::BOOLEAN_OR_ERROR => self.put(data, Cell::Text(Cow::Borrowed(NO_VALUE))),
            kind::FORMULA => self.formula(data),
            kind::FORMULA_TEXT => {
                let (row, column) = self.formula.take()?;
                self.cells.push((row, column, Cell::Text(Pieces::new(vec![data]).text()?.into())));
                Some(())
            }
            _ => Some(()),
        }
    }

    /// A record of one cell begins with its row and column.
    fn put(&mut self, data: &[u8], cell: Cell<'a>) -> Option<()> {
        self.cells.push((u16_at(data, 0)?, u16_at(data, 2)?, cell));
        Some(())
    }

    /// Row, first column, format and number of each, last column.
    fn numbers(&mut self, data: &[u8]) -> Option<()> {
        let (row, first) = (u16_at(data, 0)?, u16_at(data, 2)?);
        let numbers = data.get(4..data.len().checked_sub(2)?)?.chunks_exact(6);
        for (column, number) in (first..=u16::MAX).zip(numbers) {
            self.cells.push((row, column, Cell::Number(short_number(u32_at(number, 2)?))));
        }
        Some(())
    }

    /// The result is a number, unless it ends with two bytes that no number ends with.
    fn formula(&mut self, data: &'a [u8]) -> Option<()> {
        let result = data.get(6..14)?;
        if result[6..] != [0xff, 0xff] {
            return self.put(data, Cell::Number(f64_at(result, 0)?));
        }
        match result[0] {
            0 => self.formula = Some((u16_at(data, 0)?, u16_at(data, 2)?)),
            // An empty text.
            3 => {}
            _ => self.put(data, Cell::Text(Cow::Borrowed(NO_VALUE)))?,
        }
        Some(())
    }

    fn rows(mut self) -> Vec<Row<'a>> {
        self.cells.retain(|(_, _, cell)| !matches!(cell, Cell::Text(text) if text.trim().is_empty()));
        self.cells.sort_by_key(|(row, column, _)| (*row, *column));
        let mut rows: Vec<Row<'a>> = Vec::new();
        let mut last = None;
        for (row, column, cell) in self.cells {
            if last != Some(row) {
                let number = usize::from(row) + 1;
                rows.push(Row { number, cells: Vec::new(), epoch: Some(self.workbook.epoch), line: None });
            }
            last = Some(row);
            if let Some(row) = rows.last_mut() {
                row.cells.push((usize::from(column), cell));
            }
        }
        rows
    }
}

/// A number in four bytes: an integer or the upper half of a double, either possibly in hundredths.
fn short_number(bits: u32) -> f64 {
    let number =
        if bits & 2 == 0 { f64::from_bits(u64::from(bits & !3) << 32) } else { f64::from(bits.cast_signed() >> 2) };
    if bits & 1 == 0 { number } else { number / 100.0 }
}

/// All texts of some records.
fn texts(pieces: Vec<&[u8]>) -> Vec<String> {
    let mut pieces = Pieces::new(pieces);
    std::iter::from_fn(|| pieces.text()).collect()
}

/// Strings that continue over several records.
struct Pieces<'a> {
    rest: &'a [u8],
    others: IntoIter<&'a [u8]>,
}

impl<'a> Pieces<'a> {
    fn new(pieces: Vec<&'a [u8]>) -> Pieces<'a> {
        Pieces { rest: &[], others: pieces.into_iter() }
    }

    /// The next bytes of one record, at least one and at most `most`.
    fn some(&mut self, most: usize) -> Option<&'a [u8]> {
        while self.rest.is_empty() {
            self.rest = self.others.next()?;
        }
        let (taken, rest) = self.rest.split_at(most.min(self.rest.len()));
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.some(1)?.first().copied()
    }

    fn number(&mut self, bytes: u32) -> Option<usize> {
        let mut number = 0;
        for place in 0..bytes {
            number |= u32::from(self.byte()?) << (8 * place);
        }
        usize::try_from(number).ok()
    }

    fn skip(&mut self, mut bytes: usize) -> Option<()> {
        while bytes > 0 {
            bytes -= self.some(bytes)?.len();
        }
        Some(())
    }

    /// The next string: its length, encoding and characters; formatting is skipped.
    fn text(&mut self) -> Option<String> {
        let mut length = self.number(2)?;
        let mut flags = self.byte()?;
        let runs = if flags & 8 == 0 { 0 } else { self.number(2)? };
        let phonetic = if flags & 4 == 0 { 0 } else { self.number(4)? };
        let mut units: Vec<u16> = Vec::new();
        while length > 0 {
            if self.rest.is_empty() {
                // A continuation in the next record begins with its own encoding.
                flags = self.byte()?;
            }
            let width = if flags & 1 == 0 { 1 } else { 2 };
            let bytes = self.some(length.checked_mul(width)?)?;
            if width == 1 {
                units.extend(bytes.iter().map(|byte| u16::from(*byte)));
            } else {
                units.extend(bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])));
            }
            length = length.checked_sub(bytes.len().div_ceil(width))?;
        }
        self.skip(runs.checked_mul(4)?.checked_add(phonetic)?)?;
        Some(String::from_utf16_lossy(&units))
    }
}

#[cfg(test)]
mod tests;
