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
    assert_eq!((first.open, first.high, first.low, first.close), (Some(212.09), Some(217.51), Some(211.92), 216.75));
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

const KURSE: &str = "k.csv?ohlcv_bar&symbol:=X&bar_interval:=1d&trading_date=Datum|%d.%m.%Y&close=Kurs&volume=Menge";

#[test]
fn a_file_with_decimal_commas_is_read_as_it_says_and_refused_if_it_does_not() {
    let text = "Datum;Kurs;Menge\n28.10.2021;284,19;1.250\n27.10.2021;1.175,88;900\n26.10.2021;137;1.100\n";
    let parsed = parse_text(&format!("{KURSE}&decimal:=,"), text).unwrap();
    let read: Vec<_> = bars(&parsed).iter().map(|bar| (bar.close, bar.volume.unwrap())).collect();
    assert_eq!(
        (read.as_slice(), parsed.rejects.len()),
        ([(284.19, 1250.0), (1175.88, 900.0), (137.0, 1100.0)].as_slice(), 0)
    );
    // Without the declaration the last row would be read, with a volume of 1.1.
    let reason = parse_text(KURSE, text).unwrap_err().to_string();
    assert!(reason.contains("decimal commas in 2 rows; line 2: `close`: `284,19`"), "{reason}");
    assert!(reason.contains("add `decimal:=,` to the item"), "{reason}");
    // So is a file that has no number in doubt but nothing that can be read either.
    let reason = parse_text(KURSE, "Datum;Kurs;Menge\n28.10.2021;284,19;7\n").unwrap_err().to_string();
    assert!(reason.contains("decimal commas in 1 rows"), "{reason}");
}

#[test]
fn one_decimal_comma_in_a_file_with_points_costs_one_row() {
    let text = "Datum;Kurs;Menge\n28.10.2021;284.5;1.250\n27.10.2021;175,88;900\n26.10.2021;137.25;1.100\n";
    let parsed = parse_text(KURSE, text).unwrap();
    assert_eq!(bars(&parsed).iter().map(|bar| bar.close).collect::<Vec<_>>(), [284.5, 137.25]);
    assert_eq!(rejects(&parsed)[0].0, "decimal_comma");
    // Nothing in the rows that were read is in doubt.
    let text = "Datum;Kurs;Menge\n28.10.2021;284;1250\n27.10.2021;175,88;900\n26.10.2021;137;1100\n";
    assert_eq!(parse_text(KURSE, text).unwrap().records.len(), 2);
}

#[test]
fn thousands_are_separated_where_the_item_says_so() {
    let text = "Datum,Kurs,Menge\n28.10.2021,\"1,611.25\",\"68,180\"\n27.10.2021,1611.5,900\n";
    let parsed = parse_text(&format!("{KURSE}&decimal:=."), text).unwrap();
    let read: Vec<_> = bars(&parsed).iter().map(|bar| (bar.close, bar.volume.unwrap())).collect();
    assert_eq!((read.as_slice(), parsed.rejects.len()), ([(1611.25, 68_180.0), (1611.5, 900.0)].as_slice(), 0));
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
            (
                "number",
                "line 5: `close`: `1,012.5` is not a number; if the file separates thousands, add `decimal:=.` to the item"
            ),
            (
                "date",
                "line 6: `trading_date`: `01/05/2024` is not a date; if that is how the file writes it, add `|%m/%d/%Y` or \
                `|%d/%m/%Y` to its column in the item, whichever the file means"
            ),
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
    let found: Vec<(f64, String)> = bars(&parsed).iter().map(|bar| (bar.close, bar.known_at.to_rfc3339())).collect();
    let received = at(RECEIVED).to_rfc3339();
    assert_eq!(found, [(1.0, "2024-01-04T00:00:00+00:00".to_owned()), (4.0, received.clone()), (5.0, received)]);
    assert_eq!(
        rejects(&parsed),
        [("duplicate", "line 3: line 2 has the same key"), ("duplicate", "line 4: line 5 has the same key")]
    );
    assert_eq!(parsed.rejects[1].fragment, b"2024-01-03,3,\n");
}

#[test]
fn a_row_of_which_only_the_day_of_publication_is_stated_is_known_at_the_end_of_that_day() {
    let known_at = |zone: &str, known: &str| {
        let item = format!("a.csv?ohlcv_bar&symbol:=X&bar_interval:=1d&trading_date=Date&known_at=Known{zone}");
        let parsed = parse_text(&item, &format!("Date,Close,Known\n2024-01-02,1,{known}\n")).unwrap();
        bars(&parsed)[0].known_at
    };
    assert_eq!(known_at("", "2024-01-03"), at("2024-01-04T00:00:00Z"));
    assert_eq!(known_at("", "20240103"), at("2024-01-04T00:00:00Z"));
    assert_eq!(known_at("&zone:=America/New_York", "2024-03-10"), at("2024-03-11T04:00:00Z"));
    assert_eq!(known_at("|%m/%d/%Y", "01/03/2024"), at("2024-01-04T00:00:00Z"));
    // With a time it is known at that time, also at midnight.
    assert_eq!(known_at("", "2024-01-03T00:00:00Z"), at("2024-01-03T00:00:00Z"));
    assert_eq!(known_at("|%m/%d/%Y %H:%M", "01/03/2024 00:00"), at("2024-01-03T00:00:00Z"));
    assert_eq!(known_at("|s", "1704240000"), at("2024-01-03T00:00:00Z"));
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
        ("Date,Close", "is not a whole header line"),
        ("<html>\n", "expected CSV, found markup"),
        ("Date,Price\n1,2\n", "no column is called `close`"),
        ("\"Date,Close\n1,2\n", "the header line cannot be read"),
    ] {
        let error = parse_text(BARS, text).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
    assert!(parse(&request(BARS), b"\xff\xfeD\0a\0\n\0").unwrap_err().to_string().contains("UTF-16"));
}

/// A window of that many bytes, as the reader returns it.
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

/// All pages of a file, read in windows of that many bytes.
fn read(file: &[u8], most: usize) -> Parsed {
    let mut all = Parsed::default();
    let mut offset = 0;
    loop {
        let request = Request { offset, ..request(BARS) };
        // No row of many can be read: the error blames the mapping.
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
    // Too long because an earlier quote is not closed: each of its lines is tried on its own.
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
