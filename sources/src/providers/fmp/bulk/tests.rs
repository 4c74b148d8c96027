use super::*;
use crate::fixture::{RECEIVED, at, bars, date, parse as parse_file, rejects, request};
use crate::providers::fmp::SOURCE;

fn bulk(file: &str) -> Parsed {
    parse_file(&SOURCE, "eod_bulk", file).unwrap()
}

fn parse_text(text: &str) -> Result<Parsed, PageError> {
    parse(&request("2024-10-22"), text.as_bytes())
}

#[test]
fn the_columns_are_where_the_header_says() {
    let parsed = bulk("2024-10-22.csv");
    let bars = bars(&parsed);
    assert_eq!((bars.len(), parsed.rejects.len(), parsed.holes), (4, 0, 0));
    let first = bars[0];
    assert_eq!(
        (first.source.as_str(), first.symbol.as_str(), first.bar_interval.as_str()),
        ("fmp", "EGS745W1C011.CA", "1d")
    );
    assert_eq!((first.open, first.high, first.low, first.close), (Some(2.67), Some(2.93), Some(2.7), 2.9));
    assert_eq!((first.adjusted_close, first.volume), (None, Some(920_904.0)));
    assert_eq!((first.trading_date, first.ts_start), (date("2024-10-22"), at("2024-10-22T04:00:00Z")));
    assert_eq!((first.known_at, first.observed_at), (at(RECEIVED), at(RECEIVED)));
    // A listing that was last traded earlier.
    assert_eq!((bars[3].trading_date, bars[3].ts_start), (date("2024-01-22"), at("2024-01-22T05:00:00Z")));
}

#[test]
fn quotes_are_taken_off() {
    let parsed = bulk("2024-10-23~quoted.csv");
    let bars = bars(&parsed);
    assert_eq!((bars[0].symbol.as_str(), bars[0].low, bars[0].close), ("BRK-B", Some(461.5), 462.25));
    assert_eq!((bars[1].symbol.as_str(), bars[1].open, bars[1].volume), ("NAV.FUND", None, None));
}

#[test]
fn each_odd_line_is_refused_and_the_rest_goes_on() {
    let parsed = bulk("2024-10-24~odd_rows.csv");
    assert_eq!(bars(&parsed).iter().map(|bar| bar.close).collect::<Vec<_>>(), [10.5, 11.0]);
    assert_eq!(parsed.holes, 1);
    assert_eq!(
        rejects(&parsed),
        [
            ("columns", "line 3: has 6 columns instead of 8"),
            ("date", "line 4: `2024-13-24` is not a date like `2024-12-31`"),
            ("number", "line 5: `1O.5` is not a number"),
            ("no_close", "line 6: has prices but no close"),
            ("absent", "line 7: has no `symbol`"),
            ("columns", "line 8: has more than 16 columns or a misplaced quote"),
            ("duplicate", "another row has the same key"),
            ("cut_off", "line 14: ends without a line feed, so its last value may be short"),
        ]
    );
}

#[test]
fn an_empty_list_is_an_empty_page_and_the_rest_is_an_error() {
    assert_eq!(parse_text("[]").unwrap(), Parsed::default());
    assert_eq!(parse_text("symbol,date,close\n").unwrap(), Parsed::default());
    for text in ["", "\n", "[", "[1]", "symbol,date,close", "symbol;date;close\n", "<html>", "{}", "x"] {
        assert!(matches!(parse_text(text), Err(PageError::Retry(_))), "{text}");
    }
    let special = r#"{"Error Message":"Exclusive Endpoint : This endpoint is not available"}"#;
    assert!(matches!(parse_text(special), Err(PageError::Skip(_))));
    assert!(matches!(parse_text("Premium Query Parameter: 'date'"), Err(PageError::Skip(_))));
}

#[test]
fn what_is_no_date_is_not_asked_for() {
    assert_eq!(path("2024-12-31", 0).unwrap(), "/stable/eod-bulk?date=2024-12-31");
    for item in ["", "2024-02-30", "2024-1-01", "today", "+024-01-01", "2024-12-31&x=1"] {
        assert!(matches!(path(item, 0), Err(PageError::Skip(_))), "{item}");
    }
}
