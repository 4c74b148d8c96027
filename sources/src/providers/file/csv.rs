//! CSV: a line of names, then rows; see RFC 4180 and what the head of the source says.

use memchr::{memchr, memchr_iter, memchr2};

use super::cell::Cell;
use super::item::Item;
use super::page::{Page, ROW_BYTES, Row};
use super::part::{self, MAX_HEADER_BYTES, Part, WINDOW_BYTES};
use super::window::{Rows, Step, Window, check_text};
use crate::parse::body::{excerpt, is_markup, without_bom};
use crate::parse::fault::Fault;
use crate::response::{PageError, Parsed, Request};

/// What may stand between values.
const DELIMITERS: &[u8] = b",;\t|";

pub(super) fn path(item: &str, offset: u64) -> Result<String, PageError> {
    part::path(&Item::parse(item)?.file, Part::Window { offset, header: true })
}

pub(super) fn parse(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    parse_window(request, body, WINDOW_BYTES)
}

/// Reads a window that is full with so many bytes.
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

/// The first line.
struct Header {
    delimiter: u8,
    columns: Vec<String>,
    /// Its length, with all that belongs to it.
    bytes: usize,
}

fn header(body: &[u8]) -> Result<Header, PageError> {
    check_text(body, "CSV")?;
    if is_markup(body) {
        return Err(PageError::Skip(format!("expected CSV, found markup: `{}`", excerpt(body))));
    }
    let Some(end) = memchr(b'\n', &body[..body.len().min(MAX_HEADER_BYTES)]) else {
        let reason = "is no whole line of names of at most";
        return Err(PageError::Retry(format!("`{}` {reason} {MAX_HEADER_BYTES} bytes", excerpt(body))));
    };
    let line = without_bom(&body[..=end]);
    let text = std::str::from_utf8(line);
    let text =
        text.map_err(|_| PageError::Skip("the line of names is not UTF-8: save the file as UTF-8".to_owned()))?;
    let delimiter = delimiter(line);
    let mut spans = Vec::new();
    match split(line, delimiter, true, &mut spans) {
        Step::Row(..) => {
            let columns = spans.iter().map(|span| span.of(text).trim().to_owned()).collect();
            Ok(Header { delimiter, columns, bytes: end + 1 })
        }
        _ => Err(PageError::Skip(format!("the line of names cannot be read: `{}`", excerpt(line)))),
    }
}

/// The delimiter that a line has most of, outside of quotes.
fn delimiter(line: &[u8]) -> u8 {
    let mut counts = [0_usize; DELIMITERS.len()];
    let mut is_quoted = false;
    for byte in line {
        match DELIMITERS.iter().position(|delimiter| delimiter == byte) {
            Some(at) if !is_quoted => counts[at] += 1,
            _ => is_quoted ^= *byte == b'"',
        }
    }
    // The first of several that are as frequent.
    let best = (0..counts.len()).rev().max_by_key(|at| counts[*at]).unwrap_or_default();
    DELIMITERS[best]
}

/// A value within its row.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
    /// Whether it has quotes in it, each written twice.
    is_escaped: bool,
}

impl Span {
    fn of<'t>(&self, row: &'t str) -> std::borrow::Cow<'t, str> {
        let text = row.get(self.start..self.end).unwrap_or_default();
        if self.is_escaped { text.replace("\"\"", "\"").into() } else { text.into() }
    }
}

/// A table whose header is known.
struct Table {
    delimiter: u8,
    columns: usize,
    /// For each slot of the item the column.
    places: Vec<Option<usize>>,
    /// The values of the row that was found last.
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

/// Looks for the values of the row that `rest` begins with.
fn split(rest: &[u8], delimiter: u8, is_one_line: bool, spans: &mut Vec<Span>) -> Step {
    spans.clear();
    match memchr2(b'\n', b'"', rest) {
        None => Step::Unfinished,
        Some(end) if rest[end] == b'\n' => {
            let line = &rest[..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let mut start = 0;
            // Values are short: faster than to search as if they were long.
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

/// The same for a row in which values may be in quotes.
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

/// The value in quotes that begins there, and its number of line feeds; None when the quote is not closed.
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
mod tests {
    use contract::Record;
    use contract::records::OhlcvBar;
    use proptest::prelude::*;

    use super::*;
    use crate::fixture::{RECEIVED, at, bars, date, parse as parse_file, rejects, request};
    use crate::providers::file::SOURCE;
    use crate::providers::file::page::PAGE_ROWS;

    const BARS: &str = "a.csv?ohlcv_bar&symbol:=X&bar_interval:=1d&trading_date=Date";

    fn parse_text(item: &str, text: &str) -> Result<Parsed, PageError> {
        parse(&request(item), text.as_bytes())
    }

    fn closes(text: &str) -> Vec<f64> {
        let parsed = parse_text(BARS, text).unwrap();
        assert!(parsed.rejects.is_empty(), "{:?}", parsed.rejects);
        bars(&parsed).iter().map(|bar| bar.close).collect()
    }

    #[test]
    fn a_row_is_a_record_with_every_column_where_the_item_says() {
        let file = "prices.csv?ohlcv_bar&symbol=Ticker&trading_date=Date&bar_interval:=1d&currency:=USD&adjusted_close=Adj Close&zone:=America%2FNew_York.csv";
        let parsed = parse_file(&SOURCE, "csv", file).unwrap();
        let bars = bars(&parsed);
        let first = bars[0];
        assert_eq!((first.source.as_str(), first.symbol.as_str(), first.bar_interval.as_str()), ("file", "AAPL", "1d"));
        assert_eq!((first.trading_date, first.ts_start), (date("2024-07-01"), at("2024-07-01T04:00:00Z")));
        assert_eq!(
            (first.open, first.high, first.low, first.close),
            (Some(212.09), Some(217.51), Some(211.92), 216.75)
        );
        assert_eq!(
            (first.volume, first.adjusted_close, first.currency.as_deref()),
            (Some(60_402_900.0), Some(215.9), Some("USD"))
        );
        assert_eq!((first.known_at, first.observed_at), (at(RECEIVED), at(RECEIVED)));
        assert_eq!((bars.len(), parsed.rejects.len(), parsed.next_offset), (3, 0, None));
    }

    #[test]
    fn the_forms_that_files_come_in_are_read() {
        for text in [
            "Date,Close\n2024-01-02,1.5\n2024-01-03,2\n",
            "\u{feff}Date,Close\r\n2024-01-02,1.5\r\n\r\n2024-01-03,2\r\n",
            "date;CLOSE;x\n2024-01-02;1.5;a,b\n2024-01-03;2;\n",
            "Date\tClose\n2024-01-02\t1.5\n2024-01-03\t2\n",
            "Date|Close\n2024-01-02|1.5\n\n2024-01-03|2\n",
            "\"Date\",\"Close\",\"a \"\"note\"\", two\"\n\"2024-01-02\",\"1.5\",\"x\ny, \"\"z\"\"\"\r\n2024-01-03,2,in \"the\" middle\n",
        ] {
            let text = text.replace("date;", "Date;");
            assert_eq!(closes(&text), [1.5, 2.0], "{text}");
        }
    }

    #[test]
    fn texts_keep_what_is_in_their_quotes() {
        let item = "n.csv?news_article&title=Title&source:=wire";
        let text = "article_id,Title,published_at\n1,\"He said \"\"no\"\",\nthen left\",2024-01-02 09:30\n";
        let parsed = parse_text(item, text);
        let parsed = parsed.unwrap();
        let Record::NewsArticle(article) = &parsed.records[0] else { panic!("{parsed:?}") };
        assert_eq!((article.title.as_str(), article.source.as_str()), ("He said \"no\",\nthen left", "wire"));
    }

    #[test]
    fn each_odd_row_is_refused_with_its_line_and_the_rest_goes_on() {
        let parsed = parse_file(&SOURCE, "csv", "odd.csv?ohlcv_bar~odd_rows.csv").unwrap();
        assert_eq!(bars(&parsed).iter().map(|bar| bar.close).collect::<Vec<_>>(), [10.5, 11.5]);
        assert_eq!(
            rejects(&parsed),
            [
                ("columns", "line 4: has 4 columns instead of 5"),
                ("number", "line 5: `close`: `1,012.5` is not a number"),
                ("date", "line 6: `trading_date`: `01/05/2024` is not a date"),
                ("absent", "line 7: has no `symbol`"),
                ("quote", "line 8: has something between the end of a quoted value and the next one"),
                ("encoding", "line 9: is not UTF-8"),
                ("cut_off", "line 11: ends without a line feed, so its last value may be short"),
            ]
        );
        assert_eq!(parsed.holes, 1);
        assert_eq!(parsed.rejects[0].fragment, b"X,1d,2024-01-03,10\n");
    }

    #[test]
    fn a_quote_that_is_never_closed_costs_its_own_line_only() {
        let text = "Date,Close,note\n2024-01-02,1,\"open\n2024-01-03,2,x\n2024-01-04,3,\"y\"\n2024-01-05,4,\"z\n";
        let parsed = parse_text(BARS, text).unwrap();
        assert_eq!(bars(&parsed).iter().map(|bar| bar.close).collect::<Vec<_>>(), [2.0, 3.0]);
        assert_eq!(parsed.rejects.iter().map(|reject| reject.class).collect::<Vec<_>>(), ["quote", "quote"]);
    }

    #[test]
    fn quotes_made_to_be_looked_at_again_and_again_are_read_in_time() {
        // Each line leaves a quote open, whether it begins inside of one or not.
        let text = format!("Date,Close\n{}", "\",x\",\"y\n".repeat(WINDOW_BYTES / 8));
        let start = std::time::Instant::now();
        let outcome = parse_text(BARS, &text);
        assert!(matches!(outcome, Err(PageError::Skip(_))), "{outcome:?}");
        assert!(start.elapsed() < std::time::Duration::from_secs(5), "{:?}", start.elapsed());
    }

    #[test]
    fn of_rows_with_the_same_key_the_one_known_last_counts_else_the_later_one() {
        let item = "a.csv?ohlcv_bar&symbol:=X&bar_interval:=1d&trading_date=Date&known_at=Known";
        let text = "Date,Close,Known\n2024-01-02,1,2024-01-03\n2024-01-02,2,2024-01-02\n2024-01-03,3,\n2024-01-03,4,\n\
            2024-01-03,4,\n2024-01-04,5,2999-12-31\n";
        let text = text.replace("2999", "2099");
        let parsed = parse_text(item, &text).unwrap();
        let found: Vec<(f64, String)> =
            bars(&parsed).iter().map(|bar| (bar.close, bar.known_at.to_rfc3339())).collect();
        let received = at(RECEIVED).to_rfc3339();
        assert_eq!(found, [(1.0, "2024-01-03T00:00:00+00:00".to_owned()), (4.0, received.clone()), (5.0, received)]);
        assert_eq!(
            rejects(&parsed),
            [("duplicate", "line 3: line 2 has the same key"), ("duplicate", "line 4: line 5 has the same key")]
        );
        assert_eq!(parsed.rejects[1].fragment, b"2024-01-03,3,\n");
    }

    #[test]
    fn what_is_known_without_a_column_is_known_since_the_file_was_written() {
        let request = Request { last_modified: Some(at("2024-05-01T10:00:00Z")), ..request(BARS) };
        let parsed = parse(&request, b"Date,Close\n2024-01-02,1\n").unwrap();
        assert_eq!(bars(&parsed)[0].known_at, at("2024-05-01T10:00:00Z"));
    }

    #[test]
    fn a_bars_date_and_its_start_follow_from_each_other_in_the_zone() {
        let bar = |item: &str, text: &str| -> OhlcvBar { bars(&parse_text(item, text).unwrap())[0].clone() };
        let item = "a.csv?ohlcv_bar&symbol:=X&bar_interval:=1m&ts_start=t&zone:=America/New_York";
        let found = bar(item, "t,close\n2024-07-01 20:30,1\n");
        assert_eq!((found.trading_date, found.ts_start), (date("2024-07-01"), at("2024-07-02T00:30:00Z")));
        let found = bar("a.csv?ohlcv_bar&symbol:=X&bar_interval:=1d&ts_start=t|s", "t,close\n1719792000,1\n");
        assert_eq!((found.trading_date, found.ts_start), (date("2024-07-01"), at("2024-07-01T00:00:00Z")));
    }

    #[test]
    fn a_file_of_which_nothing_can_be_read_is_refused_as_a_whole() {
        let rows = "2024-01-02,x\n".repeat(10);
        let error = parse_text(BARS, &format!("Date,Close\n{rows}")).unwrap_err();
        let words = "none of the first 10 rows can be read as `ohlcv_bar`; line 2: `close`: `x` is not a number";
        assert_eq!(error, PageError::Skip(words.to_owned()));
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for (text, words) in [
            ("", "the file is empty"),
            ("\n", "the file is empty"),
            ("Date,Close", "is no whole line of names"),
            ("<html>\n", "expected CSV, found markup"),
            ("Date,Price\n1,2\n", "no column is called `close`"),
            ("\"Date,Close\n1,2\n", "the line of names cannot be read"),
        ] {
            let error = parse_text(BARS, text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert!(parse(&request(BARS), b"\xff\xfeD\0a\0\n\0").unwrap_err().to_string().contains("UTF-16"));
    }

    /// What the reader gives for a window of so many bytes.
    fn window(file: &[u8], offset: usize, most: usize) -> Vec<u8> {
        let mut body = Vec::new();
        let mut from = 0;
        if offset > 0 {
            body.extend_from_slice(&file[..=memchr(b'\n', file).unwrap()]);
            from = (offset - 1).min(file.len());
        }
        body.extend_from_slice(&file[from..(from + most - body.len()).min(file.len())]);
        if body.len() < most && body.last() != Some(&b'\n') {
            body.push(b'\n');
        }
        body
    }

    /// All pages of a file, read in windows of so many bytes.
    fn read(file: &[u8], most: usize) -> Parsed {
        let mut all = Parsed::default();
        let mut offset = 0;
        loop {
            let request = Request { offset, ..request(BARS) };
            // None of many rows can be read: the mapping is said to be wrong.
            let Ok(parsed) = parse_window(&request, &window(file, offset as usize, most), most) else { return all };
            all.records.extend(parsed.records);
            all.rejects.extend(parsed.rejects);
            all.holes += parsed.holes;
            match parsed.next_offset {
                Some(next) => {
                    assert!(next > offset);
                    offset = next;
                }
                None => return all,
            }
        }
    }

    #[test]
    fn a_row_longer_than_a_window_is_one_reject() {
        let long = format!("2024-01-03,{},\n", "9".repeat(500));
        let file = format!("Date,Close,note\n2024-01-02,1,\n{long}2024-01-04,2,\n");
        let all = read(file.as_bytes(), 100);
        assert_eq!(all.records.len(), 2);
        assert_eq!(all.rejects.iter().map(|reject| reject.class).collect::<Vec<_>>(), ["too_long"]);
        // As long because of a quote that is not closed before: each of its lines is looked at for itself.
        let file = format!("Date,Close,note\n2024-01-02,1,\n2024-01-03,2,\"{}\"\n2024-01-04,3,\n", "x\n".repeat(100));
        let all = read(file.as_bytes(), 100);
        assert_eq!((all.records.len(), all.rejects.len(), all.rejects[0].class), (2, 101, "too_long"));
    }

    #[test]
    fn a_page_has_at_most_as_many_rows_as_any() {
        let file = format!("Date,Close\n{}", "x,1\n".repeat(PAGE_ROWS + 1));
        let outcome = parse_text(BARS, &file);
        assert!(matches!(outcome, Err(PageError::Skip(_))));
        let request = Request { offset: 12, ..request(BARS) };
        let page = parse(&request, file.replacen("Close\n", "Close\n\n", 1).as_bytes()).unwrap();
        assert_eq!((page.rejects.len(), page.next_offset), (PAGE_ROWS, Some(12 + 4 * PAGE_ROWS as u64)));
    }

    fn field() -> impl Strategy<Value = String> {
        prop_oneof!["[a-z \u{e9}]{0,9}", "\"([a-z,\n]|\"\"){0,9}\""]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

        #[test]
        fn windows_of_any_size_give_the_same_records(
            rows in prop::collection::vec((0i64..20_000, 0u32..1000, field()), 0..40),
            is_crlf in any::<bool>(),
            is_ended in any::<bool>(),
            most in 120usize..600,
        ) {
            let mut file = "Date,Close,note\n".to_owned();
            let mut days = std::collections::HashSet::new();
            for (day, close, note) in rows.iter().filter(|(day, ..)| days.insert(*day)) {
                let date = chrono::NaiveDate::default() + chrono::TimeDelta::days(*day);
                file += &format!("{date},{close}.5,{note}{}", if is_crlf { "\r\n" } else { "\n" });
            }
            if !is_ended && !days.is_empty() {
                file.pop();
            }
            let (whole, parts) = (read(file.as_bytes(), 1 << 20), read(file.as_bytes(), most));
            prop_assert!(whole.rejects.is_empty(), "{:?}", whole.rejects);
            prop_assert_eq!(&parts.records, &whole.records);
            prop_assert_eq!(parts.records.len(), days.len());
            prop_assert!(parts.rejects.is_empty());
        }

        #[test]
        fn any_bytes_are_read_to_their_end(rows in "([,\"\r\n|x1]|2024-01-02){0,300}", most in 60usize..200) {
            let file = format!("Date,Close\n{rows}");
            let all = read(file.as_bytes(), most);
            let lines = file.matches('\n').count() + 1;
            prop_assert!(all.records.len() + all.rejects.len() <= lines);
        }
    }
}
