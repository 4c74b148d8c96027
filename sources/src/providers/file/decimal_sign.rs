//! How a file writes numbers: which sign begins the decimals.

use std::borrow::Cow;

/// Class of the fault of a number with a decimal comma in a file that did not declare it.
pub(super) const UNDECLARED_COMMA: &str = "decimal_comma";

/// Signs that separate thousands beside the point or the comma, whichever does not begin the decimals.
const SEPARATORS: &[char] = &[' ', '\u{a0}', '\u{202f}', '\'', '’'];

/// The sign before decimals, as an item declares it with `decimal:=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DecimalSign {
    /// `1,611.25`
    Point,
    /// `1.611,25`
    Comma,
}

impl DecimalSign {
    /// Reads `.` or `,`.
    pub(super) fn parse(text: &str) -> Option<DecimalSign> {
        match text {
            "." => Some(DecimalSign::Point),
            "," => Some(DecimalSign::Comma),
            _ => None,
        }
    }

    /// How an error names a number of this notation.
    pub(super) fn name(self) -> &'static str {
        match self {
            DecimalSign::Point => "a number with a decimal point",
            DecimalSign::Comma => "a number with a decimal comma",
        }
    }

    /// The number with a decimal point and without separators of thousands; None if it is not written in this notation.
    /// So `1.1` is no number with a decimal comma: a point must stand before three digits there.
    pub(super) fn plain(self, text: &str) -> Option<Cow<'_, str>> {
        let (sign, thousands) = match self {
            DecimalSign::Point => ('.', ','),
            DecimalSign::Comma => (',', '.'),
        };
        let text = text.trim();
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let end = unsigned.find(['e', 'E']).unwrap_or(unsigned.len());
        let (mantissa, exponent) = unsigned.split_at(end);
        let (whole, decimals) = mantissa.split_once(sign).unwrap_or((mantissa, ""));
        let separator = whole.chars().find(|c| !c.is_ascii_digit());
        if decimals.contains(|c: char| !c.is_ascii_digit())
            || separator.is_some_and(|c| (c != thousands && !SEPARATORS.contains(&c)) || !is_grouped(whole, c))
        {
            return None;
        }
        if self == DecimalSign::Point && separator.is_none() {
            return Some(Cow::Borrowed(text));
        }
        let minus = if text.starts_with('-') { "-" } else { "" };
        let digits: String = whole.chars().filter(char::is_ascii_digit).collect();
        let point = if decimals.is_empty() { "" } else { "." };
        Some(Cow::Owned(format!("{minus}{digits}{point}{decimals}{exponent}")))
    }
}

/// Whether the separator stands before groups of three digits, as in `1,611,250`.
fn is_grouped(whole: &str, separator: char) -> bool {
    let mut groups = whole.split(separator);
    let is_digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    let first = groups.next().unwrap_or_default();
    (1..=3).contains(&first.len()) && is_digits(first) && groups.all(|group| group.len() == 3 && is_digits(group))
}

/// What to do about a text that is no number in a file without `decimal:=`: the class of its fault, and advice. None if
/// neither notation helps.
pub(super) fn advice(text: &str) -> Option<(&'static str, &'static str)> {
    let is_read = |sign: DecimalSign| {
        let plain = sign.plain(text).filter(|plain| plain != text.trim());
        plain.is_some_and(|plain| plain.parse::<f64>().is_ok_and(f64::is_finite))
    };
    let is_whole = |text: &str| is_grouped(text, ',');
    match (is_read(DecimalSign::Comma), is_read(DecimalSign::Point)) {
        (true, true) if text.contains(',') && is_whole(text.trim().trim_start_matches(['-', '+'])) => {
            let both =
                "if the comma begins decimals, add `decimal:=,` to the item; if it separates thousands, `decimal:=.`";
            Some(("number", both))
        }
        (true, false) => Some((UNDECLARED_COMMA, "if the file has decimal commas, add `decimal:=,` to the item")),
        (_, true) => Some(("number", "if the file separates thousands, add `decimal:=.` to the item")),
        (false, false) => None,
    }
}

/// Counts the numbers of a row's text that have a decimal point beyond doubt, such as `1.5`, and those that could also
/// be thousands, such as `1.100`.
pub(super) fn points(row: &[u8]) -> (usize, usize) {
    let (mut sure, mut doubtful) = (0, 0);
    for token in row.split(|byte| !byte.is_ascii_digit() && !matches!(byte, b'.' | b',')) {
        let mut parts = token.split(|byte| *byte == b'.');
        match (parts.next(), parts.next(), parts.next()) {
            (Some([b'1'..=b'9', rest @ ..]), Some(decimals), None) if rest.len() < 3 && decimals.len() == 3 => {
                doubtful += usize::from(!token.contains(&b','));
            }
            (Some([_, ..]), Some([_, ..]), None) => sure += usize::from(!token.contains(&b',')),
            _ => {}
        }
    }
    (sure, doubtful)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_notation_reads_its_own_numbers_and_no_others() {
        for (sign, text, plain) in [
            (DecimalSign::Comma, "284,19", Some("284.19")),
            (DecimalSign::Comma, "1.175,88", Some("1175.88")),
            (DecimalSign::Comma, "-1.250", Some("-1250")),
            (DecimalSign::Comma, "137", Some("137")),
            (DecimalSign::Comma, "1 234 567,5", Some("1234567.5")),
            (DecimalSign::Comma, "1\u{202f}234,5", Some("1234.5")),
            (DecimalSign::Comma, "1,5E+06", Some("1.5E+06")),
            (DecimalSign::Comma, "1.1", None),
            (DecimalSign::Comma, "1.2345", None),
            (DecimalSign::Comma, "1234.567", None),
            (DecimalSign::Comma, "1,2,3", None),
            (DecimalSign::Comma, "1.234 567", None),
            (DecimalSign::Point, "1,611.25", Some("1611.25")),
            (DecimalSign::Point, "+1'611", Some("1611")),
            (DecimalSign::Point, "0.5e-3", Some("0.5e-3")),
            (DecimalSign::Point, "284,19", None),
            (DecimalSign::Point, "1.175,88", None),
            (DecimalSign::Point, "1,61,1", None),
            (DecimalSign::Point, ",611", None),
        ] {
            assert_eq!(sign.plain(text).as_deref(), plain, "{sign:?} {text}");
        }
    }

    #[test]
    fn advice_names_the_notation_that_would_read_the_number() {
        let class = |text: &str| advice(text).map(|(class, advice)| (class, advice.matches("decimal:=").count()));
        assert_eq!((class("284,19"), class("1.000,50")), (Some((UNDECLARED_COMMA, 1)), Some((UNDECLARED_COMMA, 1))));
        assert_eq!((class("1,611.25"), class("1,611,250")), (Some(("number", 1)), Some(("number", 1))));
        assert_eq!(class("1,000"), Some(("number", 2)));
        for text in ["12%", "n/a?", "1.2.3", "", "1e999", "1.5", "99999999999999999999", "inf"] {
            assert_eq!(class(text), None, "{text}");
        }
    }

    #[test]
    fn a_point_before_three_digits_is_in_doubt() {
        assert_eq!(points(b"26.10.2021;137;1.100"), (0, 1));
        assert_eq!(points(b"AAPL,2024-07-01,212.09,0.123,1234.567,12"), (0, 0), "commas join these to one token");
        assert_eq!(points(b"AAPL;2024-07-01;212.09;0.123;1234.567;12"), (3, 0));
    }
}
