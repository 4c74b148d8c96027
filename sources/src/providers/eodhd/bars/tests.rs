use super::*;
use crate::fixture::{RECEIVED, at, bars, date, parse as parse_file, rejects, request};
use crate::providers::eodhd::SOURCE;

fn eod(file: &str) -> Parsed {
    parse_file(&SOURCE, "eod", file).unwrap()
}

#[test]
fn a_row_is_the_bar_of_its_trading_date_from_midnight_at_the_exchange() {
    let parsed = eod("AAPL.US.json");
    let bars = bars(&parsed);
    assert_eq!((bars.len(), parsed.rejects.len(), parsed.holes, parsed.next_offset), (3, 0, 0, None));
    let first = bars[0];
    assert_eq!((first.source.as_str(), first.symbol.as_str()), ("eodhd", "AAPL.US"));
    assert_eq!(first.bar_interval, "1d");
    assert_eq!((first.trading_date, first.ts_start), (date("2014-06-06"), at("2014-06-06T04:00:00Z")));
    assert_eq!((first.open, first.high, first.low, first.close), (Some(649.9), Some(651.26), Some(644.47), 645.57));
    assert_eq!((first.adjusted_close, first.volume), (Some(20.1842), Some(349_938_432.0)));
    assert_eq!((first.currency.as_deref(), first.known_at, first.observed_at), (None, at(RECEIVED), at(RECEIVED)));
    // Whole numbers and numbers in quotes are numbers.
    assert_eq!((bars[1].open, bars[2].close), (Some(92.0), 94.25));
}

#[test]
fn csv_gives_the_same_bars_and_its_last_line_is_the_number_of_its_bytes() {
    let (csv, json) = (eod("AAPL.US~2019.csv"), eod("AAPL.US.json"));
    assert_eq!((csv.rejects.len(), csv.holes), (0, 0));
    assert_eq!(csv.records, json.records);
}

#[test]
fn a_number_that_is_not_that_of_the_bytes_is_a_line_cut_off() {
    let text = "Date,Open,High,Low,Close,Adjusted_close,Volume\n2018-01-02,1,2,1,2,2,10\n";
    let parse = |end: &str| parse_eod(&request("AAPL.US"), format!("{text}{end}").as_bytes()).unwrap();
    assert_eq!(parse(&text.len().to_string()).rejects, []);
    assert_eq!(parse("").rejects, []);
    for end in ["24835", "2018", "2018-01-03,1,2,1,2,2,1"] {
        assert_eq!(rejects(&parse(end))[0].0, "cut_off", "{end}");
        assert_eq!(parse(end).records.len(), 1, "{end}");
    }
}

#[test]
fn a_warning_of_a_free_token_is_a_hole_and_its_bar_a_bar() {
    let parsed = eod("BTC-USD.CC~warning.json");
    assert_eq!((parsed.records.len(), parsed.rejects.len(), parsed.holes), (2, 0, 1));
    assert_eq!(bars(&parsed)[1].ts_start, at("2025-04-23T00:00:00Z"));
}

#[test]
fn each_odd_row_is_refused_and_the_rest_goes_on() {
    let parsed = eod("VOD.LSE~odd_rows.json");
    let expected = [
        ("no_close", "row 1: has values but no close"),
        ("number", "row 2: `low` `\"1O.5\"` is not a number"),
        ("absent", "row 3: has no `date`"),
        ("duplicate", "row 4: 2024-07-01 is already in the page"),
        ("shape", "row 5: expected an object, found `[1]`"),
        ("date", "row 6: `date` `\"2024-02-30\"` is not a date like `2024-12-31`"),
    ];
    assert_eq!(rejects(&parsed), expected);
    assert_eq!((bars(&parsed).len(), parsed.holes), (1, 1));
    assert_eq!(bars(&parsed)[0].ts_start, at("2024-06-30T23:00:00Z"));
    let parsed = eod("VOD.LSE~odd_lines.csv");
    let expected = [
        ("columns", "line 3: has 3 columns instead of 7"),
        ("number", "line 4: `open` `inf` is not a number"),
        ("date", "line 5: `date` `02/01/2018` is not a date like `2024-12-31`"),
        ("cut_off", "line 8: ends without a line feed, so its last value may be short"),
    ];
    assert_eq!(rejects(&parsed), expected);
    assert_eq!((bars(&parsed).len(), parsed.holes), (1, 1));
}

#[test]
fn an_exchange_has_a_bar_of_each_symbol() {
    let parsed = parse_file(&SOURCE, "bulk_eod", "AU.json").unwrap();
    let bars = bars(&parsed);
    assert_eq!((bars.len(), parsed.rejects.len(), parsed.holes), (3, 0, 0));
    assert_eq!((bars[0].symbol.as_str(), bars[0].ts_start), ("0P00007962.AU", at("2024-09-29T14:00:00Z")));
    // Nothing traded since then.
    assert_eq!((bars[2].symbol.as_str(), bars[2].trading_date), ("ZZZ.AU", date("2024-08-16")));
    assert_eq!((bars[0].volume, bars[1].volume), (Some(0.0), Some(643_769.0)));
}

#[test]
fn a_row_of_an_exchange_needs_a_symbol() {
    let parsed = parse_file(&SOURCE, "bulk_eod", "F~odd_lines.csv").unwrap();
    let expected = [
        ("symbol", "line 3: `5 NAA.F` is not a valid symbol"),
        ("absent", "line 4: has no `code`"),
        ("duplicate", "line 5: 2019-10-01 of `4FX.F` is already in the page"),
    ];
    assert_eq!(rejects(&parsed), expected);
    assert_eq!((bars(&parsed)[0].symbol.as_str(), bars(&parsed)[0].close), ("4FX.F", 12.5));
    assert_eq!(bars(&parsed)[0].ts_start, at("2019-09-30T22:00:00Z"));
}

#[test]
fn a_list_may_be_written_as_an_object() {
    let body = br#"{"0":{"date":"2024-07-01","close":1.5},"1":{"date":"2024-07-02","close":2}}"#;
    assert_eq!(parse_eod(&request("A.US"), body).unwrap().records.len(), 2);
    let outcome = parse_eod(&request("A.US"), br#"{"General":{"Code":"A"}}"#);
    assert!(matches!(&outcome, Err(PageError::Retry(text)) if text.contains("expected a list")), "{outcome:?}");
}

#[test]
fn nothing_is_an_empty_page() {
    assert_eq!(eod("AAPL.US~empty.json"), Parsed::default());
    assert_eq!(eod("AAPL.US~no_results.csv"), Parsed::default());
}

#[test]
fn an_error_of_the_provider_says_what_to_do_next() {
    let error = |endpoint, file| parse_file(&SOURCE, endpoint, file).unwrap_err();
    let token = error("eod", "AAPL.US~error_unauthenticated.txt");
    assert_eq!(token, PageError::Halt("the provider says `Unauthenticated`".to_owned()));
    let limit = error("eod", "AAPL.US~error_rate_limit.json");
    assert_eq!(limit, PageError::Retry("the provider says `API rate limit exceeded`".to_owned()));
    let day = error("bulk_eod", "US~error_daily_limit.txt");
    assert!(matches!(&day, PageError::Retry(text) if text.contains("daily API requests limit")), "{day:?}");
    let unknown = error("eod", "NOSUCH.US~error_not_found.txt");
    assert!(matches!(&unknown, PageError::Skip(text) if text.contains("Ticker Not Found.")), "{unknown:?}");
    let plan = error("bulk_eod", "US~error_forbidden.json");
    assert!(matches!(&plan, PageError::Skip(text) if text.contains("(error 403)")), "{plan:?}");
    let page = error("eod", "AAPL.US~error_page.html");
    assert!(matches!(&page, PageError::Retry(text) if text.contains("received HTML")), "{page:?}");
}
