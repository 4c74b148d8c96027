//! The same table saved as text, with tabs or commas between the columns.

use std::borrow::Cow;

use super::table::{Cell, Line, Row};
use crate::page::{MAX_ROWS, without_bom};
use crate::source::PageError;

/// Most columns that are read, as many as an `.xls` has.
const MAX_COLUMNS: usize = 256;

/// The rows of a file that have cells.
pub(super) fn rows(body: &[u8]) -> Result<Vec<Row<'_>>, PageError> {
    let body = without_bom(body);
    let delimiter = if body.contains(&b'\t') { b'\t' } else { b',' };
    let mut rows = Vec::new();
    for (index, line) in body.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if index == MAX_ROWS {
            return Err(PageError::Retry(format!("the file has more than {MAX_ROWS} rows")));
        }
        let text = line.strip_suffix(b"\n");
        let is_whole = text.is_some();
        let text = text.unwrap_or(line);
        let cells = cells(text.strip_suffix(b"\r").unwrap_or(text), delimiter);
        if !cells.is_empty() {
            rows.push(Row { number: index + 1, cells, epoch: None, line: Some(Line { bytes: line, is_whole }) });
        }
    }
    Ok(rows)
}

/// The cells of a line that are not empty, with their columns.
fn cells(line: &[u8], delimiter: u8) -> Vec<(usize, Cell<'_>)> {
    let mut cells = Vec::new();
    let mut rest = Some(line);
    for column in 0..MAX_COLUMNS {
        let Some(line) = rest else { break };
        let (cell, others) = cell(line, delimiter);
        if !cell.trim().is_empty() {
            cells.push((column, Cell::Text(cell)));
        }
        rest = others;
    }
    cells
}

/// The first cell of a line, and what follows its delimiter.
fn cell(line: &[u8], delimiter: u8) -> (Cow<'_, str>, Option<&[u8]>) {
    if let Some(quoted) = quoted(line, delimiter) {
        return quoted;
    }
    let end = line.iter().position(|byte| *byte == delimiter);
    let (cell, rest) = line.split_at(end.unwrap_or(line.len()));
    (String::from_utf8_lossy(cell), end.and(rest.get(1..)))
}

/// A cell in quotes, in which two of them are one; None when there is none that ends in this line.
fn quoted(line: &[u8], delimiter: u8) -> Option<(Cow<'_, str>, Option<&[u8]>)> {
    let text = line.strip_prefix(b"\"")?;
    let mut end = 0;
    loop {
        end += text.get(end..)?.iter().position(|byte| *byte == b'"')?;
        match text.get(end + 1) {
            Some(b'"') => end += 2,
            _ => break,
        }
    }
    let cell = String::from_utf8_lossy(&text[..end]);
    let cell = if cell.contains("\"\"") { Cow::Owned(cell.replace("\"\"", "\"")) } else { cell };
    match text.get(end + 1) {
        None => Some((cell, None)),
        Some(byte) if *byte == delimiter => Some((cell, text.get(end + 2..))),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(line: &str, delimiter: u8) -> Vec<(usize, String)> {
        let text = |cell| match cell {
            (column, Cell::Text(text)) => (column, Cow::into_owned(text)),
            (_, Cell::Number(number)) => panic!("{number}"),
        };
        cells(line.as_bytes(), delimiter).into_iter().map(text).collect()
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
