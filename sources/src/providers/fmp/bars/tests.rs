use super::*;
use crate::fixture::{RECEIVED, at, bars, date, parse as parse_file, rejects, request};
use crate::providers::fmp::SOURCE;

fn bars_of(file: &str) -> Parsed {
    parse_file(&SOURCE, "eod_prices", file).unwrap()
}

#[test]
fn a_bar_starts_at_midnight_of_its_trading_date_in_new_york() {
    let parsed = bars_of("AAPL.json");
    let bars = bars(&parsed);
    let dates: Vec<NaiveDate> = bars.iter().map(|bar| bar.trading_date).collect();
    // The market was closed on 2025-01-09 for a day of mourning.
    assert_eq!(dates, [date("2025-01-10"), date("2025-01-08"), date("2024-07-01")]);
    assert_eq!((bars[0].ts_start, bars[2].ts_start), (at("2025-01-10T05:00:00Z"), at("2024-07-01T04:00:00Z")));
    let newest = bars[0];
    assert_eq!((newest.source.as_str(), newest.symbol.as_str(), newest.bar_interval.as_str()), ("fmp", "AAPL", "1d"));
    assert_eq!((newest.open, newest.high, newest.low, newest.close), (Some(240.01), Some(240.16), Some(233.0), 236.85));
    assert_eq!((newest.volume, newest.adjusted_close, newest.currency.as_deref()), (Some(61_710_900.0), None, None));
    assert_eq!((newest.known_at, newest.observed_at), (at(RECEIVED), at(RECEIVED)));
}

#[test]
fn each_form_has_its_own_names() {
    let parsed = bars_of("AAPL~v3.json");
    assert_eq!((bars(&parsed)[0].close, bars(&parsed)[0].adjusted_close), (130.73, Some(129.51)));
    assert_eq!(bars(&parsed)[0].symbol, "AAPL");
    let parsed = bars_of("AAPL~light.json");
    assert_eq!((bars(&parsed)[0].close, bars(&parsed)[0].open), (184.4, None));
    let parsed = bars_of("AAPL~not_adjusted.json");
    let bar = bars(&parsed)[0];
    assert_eq!((bar.open, bar.close, bar.adjusted_close), (Some(187.04), 184.4, None));
}

#[test]
fn each_odd_row_is_refused_and_the_rest_goes_on() {
    let parsed = bars_of("MSFT~odd_rows.json");
    assert_eq!(bars(&parsed).iter().map(|bar| bar.close).collect::<Vec<_>>(), [425.0, 424.5]);
    assert_eq!(parsed.holes, 1);
    assert_eq!(
        rejects(&parsed),
        [
            ("date", "`date` `\"2024-12-32\"` is not a date like `2024-12-31`"),
            ("number", "`close` `\"high\"` is not a number"),
            ("no_close", "has prices but no close"),
            ("symbol", "is of `AAPL`"),
            ("duplicate", "another row has the same key"),
            ("shape", "expected an object, found `[1]`"),
        ]
    );
}

#[test]
fn the_answer_for_another_symbol_is_skipped() {
    let body = br#"{"symbol":"MSFT","historical":[{"date":"2023-01-10","close":1}]}"#;
    let error = parse(&request("AAPL"), body).unwrap_err();
    assert_eq!(error, PageError::Skip("the response is of `MSFT`".to_owned()));
    assert_eq!(bars(&parse(&request("msft"), body).unwrap())[0].symbol, "msft");
}

#[test]
fn what_is_no_history_is_an_error() {
    for body in ["{\"historical\":7}", "{\"historical\":[", "{}", "[{]"] {
        assert!(matches!(parse(&request("X"), body.as_bytes()), Err(PageError::Retry(_))), "{body}");
    }
}
