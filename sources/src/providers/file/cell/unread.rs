//! What to do about a text that is no date or time as in ISO 8601.

use chrono::{NaiveDate, NaiveDateTime};

use super::super::decimal_sign;

/// How dates are written besides ISO 8601, most usual first.
const DATES: [&str; 11] = [
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%m-%d-%Y",
    "%d-%m-%Y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d %b %Y",
    "%d-%b-%Y",
    "%b %d, %Y",
];
/// How the time of day follows such a date.
const CLOCKS: [&str; 3] = [" %H:%M", " %H:%M:%S", " %I:%M %p"];
/// The least year of four digits: two digits are no year of antiquity.
const LEAST_YEAR: i32 = 1000;

/// What to do about a text that cannot be read as a value of this fault's class: the class to report, and advice. None if
/// nothing that an item can declare would help.
pub(super) fn advice(class: &'static str, text: &str) -> Option<(&'static str, String)> {
    match class {
        "number" => decimal_sign::advice(text).map(|(class, words)| (class, words.to_owned())),
        "date" => formats(text).map(|words| (class, words)),
        _ => None,
    }
}

/// The formats that read the text, as words.
fn formats(text: &str) -> Option<String> {
    let mut formats: Vec<String> = match (text.len(), text.bytes().all(|byte| byte.is_ascii_digit())) {
        (10, true) => vec!["s".to_owned()],
        (13, true) => vec!["ms".to_owned()],
        (16, true) => vec!["us".to_owned()],
        (19, true) => vec!["ns".to_owned()],
        _ => written(text),
    };
    let last = formats.pop()?;
    let others: String = formats.iter().map(|format| format!("`|{format}` or ")).collect();
    let which = if others.is_empty() { "" } else { ", whichever the file means" };
    Some(format!("if that is how the file writes it, add {others}`|{last}` to its column in the item{which}"))
}

fn written(text: &str) -> Vec<String> {
    use chrono::Datelike as _;
    let reads_date = |format: &str| NaiveDate::parse_from_str(text, format).is_ok_and(|date| date.year() >= LEAST_YEAR);
    let reads_time =
        |format: &str| NaiveDateTime::parse_from_str(text, format).is_ok_and(|time| time.year() >= LEAST_YEAR);
    let dates = DATES.iter().filter(|format| reads_date(format)).map(|format| (*format).to_owned());
    let with_clock = DATES.iter().flat_map(|date| CLOCKS.iter().map(move |clock| format!("{date}{clock}")));
    dates.chain(with_clock.filter(|format| reads_time(format))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_that_is_written_otherwise_is_met_with_the_formats_that_read_it() {
        for (text, formats) in [
            ("11/03/2026", "`|%m/%d/%Y` or `|%d/%m/%Y` to its column in the item, whichever the file means"),
            ("25/12/2026", "`|%d/%m/%Y` to its column in the item"),
            ("12/25/26", "`|%m/%d/%y` to its column in the item"),
            ("2026/1/5", "`|%Y/%m/%d` to its column in the item"),
            ("28.10.2021", "`|%d.%m.%Y` to its column in the item"),
            ("5 Jan 2026", "`|%d %b %Y` to its column in the item"),
            ("Jan 5, 2026", "`|%b %d, %Y` to its column in the item"),
            ("12/25/2026 4:30 PM", "`|%m/%d/%Y %I:%M %p` to its column in the item"),
            ("1717000000", "`|s` to its column in the item"),
            ("1717000000000", "`|ms` to its column in the item"),
        ] {
            let expected = format!("if that is how the file writes it, add {formats}");
            assert_eq!(advice("date", text), Some(("date", expected)), "{text}");
        }
        for text in ["", "2026-13-01", "13/13/2026", "soon", "12345", "31/02/2026", "ü5/01/2026"] {
            assert_eq!(advice("date", text), None, "{text}");
        }
        assert_eq!(advice("text", "11/03/2026"), None);
    }
}
