//! Splits text into lines, and lines at commas.

use memchr::memchr;

/// The lines of a text, each with its line feed.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let (line, others) = rest.split_at(end);
        rest = others;
        (!line.is_empty()).then_some(line)
    })
}

/// The lines of a text as [`lines`] returns them, each also as `str`; None for a line that is not UTF-8.
pub fn text_lines(text: &[u8]) -> impl Iterator<Item = (&[u8], Option<&str>)> {
    // Validated as a whole, which is faster; line by line if that fails.
    let whole = std::str::from_utf8(text).ok();
    let mut start = 0;
    lines(text).map(move |line| {
        let end = start + line.len();
        let text = match whole {
            Some(whole) => whole.get(start..end),
            None => std::str::from_utf8(line).ok(),
        };
        start = end;
        (line, text)
    })
}

/// Splits a line at commas into `columns`; returns the number of columns, which may exceed those that fit.
///
/// Knows no quotes: for the providers whose CSV never has any.
pub fn split_at_commas<'a>(line: &'a str, columns: &mut [&'a str]) -> usize {
    let (mut count, mut start) = (0, 0);
    let mut put = |end: usize| {
        if let Some(column) = columns.get_mut(count) {
            *column = line.get(start..end).unwrap_or_default();
        }
        (count, start) = (count + 1, end + 1);
    };
    // Byte by byte: columns are too short for `memchr` to pay off.
    for (at, byte) in line.bytes().enumerate() {
        if byte == b',' {
            put(at);
        }
    }
    put(line.len());
    count
}

/// The first cell of a line, and what follows its delimiter.
pub fn bare_cell(line: &str, delimiter: u8) -> (&str, Option<&str>) {
    match line.bytes().position(|byte| byte == delimiter) {
        Some(end) => (&line[..end], line.get(end + 1..)),
        None => (line, None),
    }
}

/// A quoted cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotedCell<'a> {
    /// The text between the quotes; quotes within it are doubled.
    pub text: &'a str,
    /// Whether there are quotes within it.
    pub is_escaped: bool,
    /// What follows its delimiter; None at the end of the line.
    pub rest: Option<&'a str>,
}

/// The first cell of a line, if it is quoted and the quote is closed before a delimiter or the end of the line.
pub fn quoted_cell(line: &str, delimiter: u8) -> Option<QuotedCell<'_>> {
    let inner = line.strip_prefix('"')?;
    let bytes = inner.as_bytes();
    let (mut end, mut is_escaped) = (0, false);
    loop {
        end += bytes.get(end..)?.iter().position(|byte| *byte == b'"')?;
        if bytes.get(end + 1) != Some(&b'"') {
            break;
        }
        end += 2;
        is_escaped = true;
    }
    let rest = match bytes.get(end + 1) {
        None => None,
        Some(byte) if *byte == delimiter => inner.get(end + 2..),
        Some(_) => return None,
    };
    Some(QuotedCell { text: &inner[..end], is_escaped, rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_its_lines_and_a_line_its_columns() {
        assert_eq!(lines(b"a\n\nb\r\nc").collect::<Vec<_>>(), [&b"a\n"[..], b"\n", b"b\r\n", b"c"]);
        assert_eq!((lines(b"").count(), lines(b"\n").count()), (0, 1));
        let found: Vec<_> = text_lines(b"a\n\xc3\xa9\n\xff\nb").collect();
        let expected =
            [(&b"a\n"[..], Some("a\n")), (b"\xc3\xa9\n", Some("\u{e9}\n")), (b"\xff\n", None), (b"b", Some("b"))];
        assert_eq!(found, expected);
        assert_eq!(text_lines("a\n\u{e9}".as_bytes()).last(), Some((&b"\xc3\xa9"[..], Some("\u{e9}"))));
        for (line, count, expected) in [("", 1, ["", "-"]), ("é", 1, ["é", "-"]), ("a,é,", 3, ["a", "é"])] {
            let mut columns = ["", "-"];
            assert_eq!((split_at_commas(line, &mut columns), columns), (count, expected), "{line}");
        }
    }

    #[test]
    fn a_quoted_cell_ends_with_its_quote() {
        let cell = |text, is_escaped, rest| Some(QuotedCell { text, is_escaped, rest });
        for (line, expected) in [
            ("\"a,b\",c", cell("a,b", false, Some("c"))),
            ("\"a \"\"b\"\"\"", cell("a \"\"b\"\"", true, None)),
            ("\"\",", cell("", false, Some(""))),
            ("\"a\"b,c", None),
            ("\"a,b", None),
            ("a,\"b\"", None),
        ] {
            assert_eq!(quoted_cell(line, b','), expected, "{line}");
        }
        assert_eq!((bare_cell("a,b", b','), bare_cell("a", b',')), (("a", Some("b")), ("a", None)));
    }
}
