//! The cells of an `.xls` workbook (MS-XLS, BIFF8), without their formats: a date is a number of days.
//!
//! A workbook is a stream of records: first those of the whole with the texts that cells share, then each sheet's.

use std::borrow::Cow;
use std::vec::IntoIter;

use chrono::NaiveDate;

use super::ole2::{f64_at, u16_at, u32_at};
use super::table::{Cell, Row};
use crate::parse::body::MAX_ROWS;

/// Most sheets that are looked at: ICI's workbooks have one or two.
const MAX_SHEETS: usize = 16;
/// Most cells of a sheet.
const MAX_CELLS: usize = MAX_ROWS;
/// The version that every program writes since 1997.
const BIFF8: u16 = 0x0600;
/// The day before 1900-01-01, which is 1, and one more for the 1900-02-29 that Excel has and that never was.
const EPOCH_1900: NaiveDate = NaiveDate::from_ymd_opt(1899, 12, 30).expect("a date");
/// The day that is 0 in workbooks of old Macintosh programs.
const EPOCH_1904: NaiveDate = NaiveDate::from_ymd_opt(1904, 1, 1).expect("a date");
/// What stands for a value that is no text and no number.
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
    /// The texts that cells share.
    texts: Vec<String>,
    /// Where the visible sheets begin.
    sheets: Vec<usize>,
    /// The day that is 0.
    epoch: NaiveDate,
}

impl Workbook {
    /// Reads what the sheets share.
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
                // The counts that stand first are not needed, and not right in every file.
                kind::SHARED_TEXTS => pieces.push(data.get(8..).unwrap_or_default()),
                kind::CONTINUE if is_text => pieces.push(data),
                kind::END => break,
                _ => {}
            }
        }
        let texts = texts(pieces);
        Ok(Workbook { texts, sheets, epoch, stream })
    }

    /// Where its visible sheets begin.
    pub(super) fn sheets(&self) -> &[usize] {
        &self.sheets
    }

    /// The rows of a sheet that have cells, in order.
    pub(super) fn rows(&self, sheet: usize) -> Result<Vec<Row<'_>>, &'static str> {
        let mut cells = Cells { workbook: self, cells: Vec::new(), formula: None };
        let mut depth = 0_usize;
        for record in records(&self.stream, sheet) {
            let (kind, data) = record?;
            match kind {
                // A chart on a sheet is a stream within the stream.
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

/// Where a sheet begins, if it is one of cells that a reader sees.
fn visible_sheet(data: &[u8]) -> Option<usize> {
    let is_visible = data.get(4)? & 3 == 0;
    let is_of_cells = *data.get(5)? == 0;
    usize::try_from(u32_at(data, 0)?).ok().filter(|_| is_visible && is_of_cells)
}

/// Kinds and data of the records from that place on.
fn records(stream: &[u8], start: usize) -> impl Iterator<Item = Result<(u16, &[u8]), &'static str>> {
    let mut rest = stream.get(start..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (kind, length) = u16_at(rest, 0).zip(u16_at(rest, 2))?;
        let (record, others) = rest.split_at_checked(4 + usize::from(length)).unwrap_or_default();
        rest = others;
        Some(record.get(4..).map(|data| (kind, data)).ok_or("a record is cut off"))
    })
}

/// The cells of a sheet in the making, by row and column.
struct Cells<'a> {
    workbook: &'a Workbook,
    cells: Vec<(u16, u16, Cell<'a>)>,
    /// Where the formula is whose text comes next.
    formula: Option<(u16, u16)>,
}

impl<'a> Cells<'a> {
    /// Adds the cells of a record, if it has any; None when it cannot be read.
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

    /// Its result is a number, or two bytes that no number ends with say that it is something else.
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

/// A number in four bytes: a whole one or the upper half of a double, and that perhaps in hundredths.
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

/// Texts that run over several records.
struct Pieces<'a> {
    rest: &'a [u8],
    others: IntoIter<&'a [u8]>,
}

impl<'a> Pieces<'a> {
    fn new(pieces: Vec<&'a [u8]>) -> Pieces<'a> {
        Pieces { rest: &[], others: pieces.into_iter() }
    }

    /// The next bytes, at least one and at most that many, all of one record.
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

    /// The next text: its length, how it is written, its characters, and how they look, which is left out.
    fn text(&mut self) -> Option<String> {
        let mut length = self.number(2)?;
        let mut flags = self.byte()?;
        let runs = if flags & 8 == 0 { 0 } else { self.number(2)? };
        let phonetic = if flags & 4 == 0 { 0 } else { self.number(4)? };
        let mut units: Vec<u16> = Vec::new();
        while length > 0 {
            if self.rest.is_empty() {
                // What goes on in the next record says anew how it is written.
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
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<String> {
        texts(pieces.to_vec())
    }

    #[test]
    fn a_text_is_read_however_it_is_written() {
        assert_eq!(read(&[b"\x04\x00\x00Bond\x02\x00\x01\xe9\x00\x13\x20"]), ["Bond", "é–"]);
        // With runs of formats and phonetic marks, which are left out.
        assert_eq!(read(&[b"\x01\x00\x0c\x02\x00\x03\x00\x00\x00A12345678abc\x01\x00\x00B"]), ["A", "B"]);
        assert_eq!(read(&[b"\x00\x00\x00\x01\x00\x00B"]), ["", "B"]);
    }

    #[test]
    fn a_text_goes_on_in_the_next_record_perhaps_in_wider_characters() {
        assert_eq!(read(&[b"\x04\x00\x00Bo", b"\x01n\x00d\x00\x01\x00\x00X"]), ["Bond", "X"]);
        assert_eq!(read(&[b"\x04\x00\x01B\x00o\x00", b"\x00nd"]), ["Bond"]);
        // Between two texts there is no such mark.
        assert_eq!(read(&[b"\x01\x00\x00A", b"\x01\x00\x00B"]), ["A", "B"]);
    }

    #[test]
    fn a_text_that_is_cut_off_is_none() {
        for piece in [&b"\x04\x00\x00Bon"[..], b"\x04\x00", b"\x01\x00\x08\xff\xffA", b"\x01\x00\x04\xff\xff\xff\xffA"]
        {
            assert_eq!(read(&[piece]), Vec::<String>::new());
        }
    }

    #[test]
    fn a_short_number_is_whole_or_half_a_double_and_perhaps_in_hundredths() {
        assert_eq!(short_number(1234 << 2 | 2), 1234.0);
        assert_eq!(short_number((-1234_i32 << 2).cast_unsigned() | 2), -1234.0);
        assert_eq!(short_number(1234 << 2 | 3), 12.34);
        assert_eq!(short_number(0x3ff0_0000), 1.0);
        assert_eq!(short_number(0x4059_0001), 1.0);
    }

    /// A record.
    fn record(kind: u16, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).unwrap();
        [&kind.to_le_bytes()[..], &length.to_le_bytes(), data].concat()
    }

    /// A workbook of one sheet of such records.
    fn workbook(globals: &[u8], cells: &[u8]) -> Result<Workbook, &'static str> {
        let begin = record(kind::BEGIN, &[0, 6, 5, 0]);
        let end = record(kind::END, &[]);
        let start = u8::try_from(begin.len() + globals.len() + 12 + end.len()).unwrap();
        let sheet = record(kind::SHEET, &[start, 0, 0, 0, 0, 0, 0, 0]);
        Workbook::parse([&begin[..], globals, &sheet, &end, &begin, cells, &end].concat())
    }

    fn cells(records: &[u8]) -> Vec<(usize, usize, String)> {
        let workbook = workbook(&[], records).unwrap();
        let mut cells = Vec::new();
        for row in workbook.rows(workbook.sheets()[0]).unwrap() {
            for (column, cell) in row.cells {
                let text = match cell {
                    Cell::Number(number) => number.to_string(),
                    Cell::Text(text) => text.into_owned(),
                };
                cells.push((row.number, column, text));
            }
        }
        cells
    }

    fn cell(row: usize, column: usize, text: &str) -> (usize, usize, String) {
        (row, column, text.to_owned())
    }

    #[test]
    fn cells_are_read_in_the_order_of_rows_and_columns() {
        let numbers = [2, 0, 1, 0, 0, 0, 14, 0, 0, 0, 0, 0, 22, 0, 0, 0, 2, 0];
        let all = [
            record(kind::NUMBERS, &numbers),
            record(kind::TEXT, b"\0\0\x01\0\0\0\x01\0\0B"),
            record(kind::TEXT, b"\0\0\0\0\0\0\x01\0\0A"),
            record(kind::TEXT, b"\x05\0\0\0\0\0\x01\0\0 "),
            record(kind::BOOLEAN_OR_ERROR, &[1, 0, 0, 0, 0, 0, 7, 1]),
        ];
        let expected = [cell(1, 0, "A"), cell(1, 1, "B"), cell(2, 0, NO_VALUE), cell(3, 1, "3"), cell(3, 2, "5")];
        assert_eq!(cells(&all.concat()), expected);
    }

    #[test]
    fn a_formula_is_its_result() {
        let number = [&[0, 0, 0, 0, 0, 0][..], &2.5_f64.to_le_bytes(), &[0; 8]].concat();
        let text = [&[0, 0, 1, 0, 0, 0][..], &[0, 0, 0, 0, 0, 0, 0xff, 0xff], &[0; 8]].concat();
        let error = [&[0, 0, 2, 0, 0, 0][..], &[2, 0, 7, 0, 0, 0, 0xff, 0xff], &[0; 8]].concat();
        let all = [
            record(kind::FORMULA, &number),
            record(kind::FORMULA, &text),
            record(kind::FORMULA_TEXT, b"\x01\0\0T"),
            record(kind::FORMULA, &error),
        ];
        assert_eq!(cells(&all.concat()), [cell(1, 0, "2.5"), cell(1, 1, "T"), cell(1, 2, NO_VALUE)]);
    }

    #[test]
    fn what_lies_within_a_chart_is_not_a_cell() {
        let number = [&[0, 0, 0, 0, 0, 0][..], &1.0_f64.to_le_bytes()].concat();
        let chart =
            [record(kind::BEGIN, &[0, 6, 32, 0]), record(kind::NUMBER, &number), record(kind::END, &[])].concat();
        let text = record(kind::TEXT, b"\0\0\x01\0\0\0\x01\0\0B");
        assert_eq!(cells(&[chart, text].concat()), [cell(1, 1, "B")]);
    }

    #[test]
    fn what_is_cut_off_protected_or_older_is_not_read() {
        let reason = |globals: &[u8]| workbook(globals, &[]).err();
        assert_eq!(reason(&record(kind::PASSWORD, &[1, 0])), Some("it is protected by a password"));
        assert_eq!(reason(&record(kind::BEGIN, &[0, 5, 5, 0])), Some("it is older than Excel 97"));
        assert_eq!(reason(&[0x0c, 0, 0xff, 0xff]), Some("a record is cut off"));
        for odd in [
            record(kind::NUMBER, &[0; 13]),
            record(kind::SHARED_TEXT, &[0; 10]),
            record(kind::TEXT, b"\0\0\0\0\0\0\x09\0\0B"),
            record(kind::FORMULA_TEXT, b"\x01\0\0T"),
            record(kind::NUMBERS, &[0]),
        ] {
            let workbook = workbook(&[], &odd).unwrap();
            assert!(workbook.rows(workbook.sheets()[0]).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn days_may_count_from_1904() {
        let epoch = |globals: &[u8]| workbook(globals, &[]).unwrap().epoch.to_string();
        assert_eq!(epoch(&[]), "1899-12-30");
        assert_eq!(epoch(&record(kind::DATE_1904, &[1, 0])), "1904-01-01");
        assert_eq!(epoch(&record(kind::DATE_1904, &[0, 0])), "1899-12-30");
    }
}
