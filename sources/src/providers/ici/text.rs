//! The same table as text, separated by tabs or commas.

use std::borrow::Cow;

use memchr::memchr;

use super::table::{Cell, Line, Row};
use crate::parse::body::{MAX_ROWS, without_bom};
use crate::parse::lines::{bare_cell, quoted_cell, text_lines};
use crate::parse::value::trimmed;
use crate::response::PageError;

/// Most columns, as many as an `.xls` has.
const MAX_COLUMNS: usize = 256;

/// Cells of a row as ICI writes it, every other one empty: an estimate, to reserve room.
const ROOM: usize = 20;

/// The non-empty rows of a file.
pub(super) fn rows(body: &[u8]) -> Result<Vec<Row<'_>>, PageError> {
    let body = without_bom(body);
    let delimiter = if memchr(b'\t', body).is_some() { b'\t' } else { b',' };
    let mut rows = Vec::new();
    for (index, (line, text)) in text_lines(body).enumerate() {
        if index == MAX_ROWS {
            return Err(PageError::Retry(format!("the file has more than {MAX_ROWS} rows")));
        }
        let is_whole = line.ends_with(b"\n");
        let cells = match text {
            Some(text) => cells(text, delimiter, Cow::Borrowed),
            // Invalid UTF-8 can only be in a text cell, never in a number.
            None => cells(&String::from_utf8_lossy(line), delimiter, |cell| Cow::Owned(cell.to_owned())),
        };
        if !cells.is_empty() {
            rows.push(Row { number: index + 1, cells, epoch: None, line: Some(Line { bytes: line, is_whole }) });
        }
    }
    Ok(rows)
}

/// The non-empty cells of a line, with their columns.
fn cells<'a, 'b>(line: &'b str, delimiter: u8, keep: impl Fn(&'b str) -> Cow<'a, str>) -> Vec<(usize, Cell<'a>)> {
    let line = line.strip_suffix('\n').unwrap_or(line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let mut cells = Vec::with_capacity(ROOM);
    let mut rest = Some(line);
    for column in 0..MAX_COLUMNS {
        let Some(line) = rest else { break };
        let quoted = quoted_cell(line, delimiter);
        let (cell, others) = quoted.map_or_else(|| bare_cell(line, delimiter), |cell| (cell.text, cell.rest));
        rest = others;
        if trimmed(cell).is_empty() {
            continue;
        }
        let is_escaped = quoted.is_some_and(|cell| cell.is_escaped);
        let cell = if is_escaped { Cow::Owned(cell.replace("\"\"", "\"")) } else { keep(cell) };
        cells.push((column, Cell::Text(cell)));
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(line: &str, delimiter: u8) -> Vec<(usize, String)> {
        let text = |cell| match cell {
            (column, Cell::Text(text)) => (column, Cow::into_owned(text)),
            (_, Cell::Number(number)) => panic!("{number}"),
        };
        cells(line, delimiter, Cow::Borrowed).into_iter().map(text).collect()
    }

    fn cell(column: usize, text: &str) -> (usize, String) {
        (column, text.to_owned())
    }

    #[test]
    fn empty_columns_are_left_out_and_keep_their_place() {
        let tabs = line("01/31/2014 \t\"14,114\"\t\t-3\t \t", b'\t');
        assert_eq!(tabs, [cell(0, "01/31/2014 "), cell(1, "14,114"), cell(3, "-3")]);
        let commas = line("01/31/2014,\"14,114\",,-3", b',');
        assert_eq!(commas, [cell(0, "01/31/2014"), cell(1, "14,114"), cell(3, "-3")]);
        assert!(line("", b',').is_empty());
    }

    #[test]
    fn a_quote_is_only_one_around_a_whole_cell() {
        assert_eq!(line(r#""a ""b"" c",d"#, b','), [cell(0, r#"a "b" c"#), cell(1, "d")]);
        assert_eq!(line(r#"a"b,"c"#, b','), [cell(0, r#"a"b"#), cell(1, r#""c"#)]);
        assert_eq!(line(r#""a"b,c"#, b','), [cell(0, r#""a"b"#), cell(1, "c")]);
        assert!(line(r#""","""#, b'\t').len() == 1 && line("\"\",\"\"", b',').is_empty());
    }

    #[test]
    fn a_line_has_only_so_many_columns() {
        assert_eq!(line(&"1,".repeat(1000), b',').len(), MAX_COLUMNS);
    }

    #[test]
    fn rows_are_counted_with_the_empty_ones_and_the_last_may_be_cut_off() {
        let rows = rows(b"\xef\xbb\xbfa\tb\r\n\r\n\t\nc").unwrap();
        let found: Vec<_> = rows.iter().map(|row| (row.number, row.cells.len(), row.is_cut_off())).collect();
        assert_eq!(found, [(1, 2, false), (4, 1, true)]);
    }

    #[test]
    fn a_file_without_end_is_refused() {
        assert!(matches!(rows(&b"a\n".repeat(MAX_ROWS + 1)), Err(PageError::Retry(_))));
    }
}
