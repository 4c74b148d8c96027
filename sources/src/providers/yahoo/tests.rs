use chrono::{DateTime, NaiveDate, Utc};

use contract::Record;

use super::*;
use crate::fixture::{RECEIVED, at, bars, date, parse as parse_file, rejects, request};

fn chart_of(file: &str) -> Parsed {
    parse_file(&SOURCE, "chart", file).unwrap()
}

fn times(parsed: &Parsed) -> Vec<(NaiveDate, DateTime<Utc>)> {
    bars(parsed).iter().map(|bar| (bar.trading_date, bar.ts_start)).collect()
}

#[test]
fn a_daily_bar_starts_at_midnight_of_its_trading_date_on_the_exchange() {
    let parsed = chart_of("AAPL.json");
    let expected = [
        (date("2024-10-31"), at("2024-10-31T04:00:00Z")),
        (date("2024-11-01"), at("2024-11-01T04:00:00Z")),
        (date("2024-11-05"), at("2024-11-05T05:00:00Z")),
        (date("2024-11-06"), at("2024-11-06T05:00:00Z")),
    ];
    assert_eq!(times(&parsed), expected);
    let first = bars(&parsed)[0];
    assert_eq!((first.source.as_str(), first.symbol.as_str(), first.bar_interval.as_str()), ("yahoo", "AAPL", "1d"));
    assert_eq!((first.open, first.high, first.low, first.close), (Some(100.0), Some(102.5), Some(99.5), 101.25));
    assert_eq!((first.volume, first.adjusted_close), (Some(1_200_300.0), Some(100.75)));
    assert_eq!(first.currency.as_deref(), Some("USD"));
    assert_eq!((first.known_at, first.observed_at), (at(RECEIVED), at(RECEIVED)));
}

#[test]
fn a_row_without_any_value_is_a_hole() {
    let parsed = chart_of("AAPL.json");
    assert_eq!((bars(&parsed).len(), parsed.rejects.len(), parsed.holes), (4, 0, 1));
}

#[test]
fn the_trading_date_is_the_exchanges_and_not_that_of_utc() {
    // Midnight in London is 23:00 of the day before in UTC.
    let london = [(date("2024-07-01"), at("2024-06-30T23:00:00Z")), (date("2024-07-02"), at("2024-07-01T23:00:00Z"))];
    assert_eq!(times(&chart_of("EURUSD=X.json")), london);
    assert_eq!(times(&chart_of("BTC-USD.json"))[1], (date("2020-01-04"), at("2020-01-04T00:00:00Z")));
}

#[test]
fn a_day_without_midnight_starts_when_the_clocks_change() {
    let parsed = chart_of("VALE3.SA~no_midnight.json");
    assert_eq!(times(&parsed)[1], (date("2018-11-04"), at("2018-11-04T03:00:00Z")));
}

#[test]
fn pence_stay_pence() {
    assert_eq!(bars(&chart_of("OCDO.L~pence.json"))[0].currency.as_deref(), Some("GBp"));
}

#[test]
fn of_two_rows_of_one_day_the_later_one_is_kept() {
    let parsed = chart_of("GS2C.DE~running_day_twice.json");
    assert_eq!(bars(&parsed).iter().map(|bar| bar.close).collect::<Vec<_>>(), [20.25, 20.75]);
    assert_eq!(rejects(&parsed), [("duplicate", "row 1: row 2 is the same bar, and later")]);
    let fragment =
        r#"{"timestamp":1761724800,"open":20.25,"high":20.5,"low":20,"close":20.5,"volume":100,"adjclose":20.5}"#;
    assert_eq!(String::from_utf8_lossy(&parsed.rejects[0].fragment), fragment);
}

#[test]
fn a_live_quote_among_minutes_is_not_a_bar() {
    let parsed = chart_of("AAPL@1m~live_quote.json");
    assert_eq!(times(&parsed)[2], (date("2024-10-02"), at("2024-10-02T19:59:00Z")));
    assert_eq!((bars(&parsed).len(), parsed.holes), (3, 1));
    assert_eq!(rejects(&parsed), [("live_quote", "row 4: a live quote of 2024-10-03, not a bar of 1m")]);
    assert_eq!(bars(&parsed)[0].adjusted_close, None);
}

#[test]
fn a_last_bar_off_the_grid_of_its_day_is_a_live_quote() {
    let parsed = chart_of("AAPL@1h~off_grid.json");
    assert_eq!(bars(&parsed).len(), 3);
    assert_eq!(rejects(&parsed)[0].0, "live_quote");
}

#[test]
fn a_live_quote_within_a_longer_bar_is_not_one_of_its_own() {
    for (file, kept) in [("AAPL@1wk", "2024-11-04"), ("AAPL@1mo", "2024-11-01"), ("VFINX@3mo", "2024-10-01")] {
        let parsed = chart_of(&format!("{file}~live_quote.json"));
        assert_eq!(bars(&parsed).len(), 2, "{file}");
        assert_eq!(bars(&parsed)[1].trading_date, date(kept));
        assert_eq!(rejects(&parsed)[0].0, "live_quote", "{file}");
    }
}

#[test]
fn each_odd_row_is_refused_and_the_rest_goes_on() {
    let parsed = chart_of("MSFT~odd_rows.json");
    let expected = [
        ("no_close", "row 1: has values but no close"),
        ("number", "row 2: `low` `\"416.5\"` is not a number"),
        ("timestamp", "row 3: `timestamp` `9007199254740993` is not a time in seconds since 1970"),
        ("timestamp", "row 4: `timestamp` `null` is not a time in seconds since 1970"),
    ];
    assert_eq!(rejects(&parsed), expected);
    let bars = bars(&parsed);
    assert_eq!((bars.len(), bars[1].close, bars[1].open, bars[1].volume), (2, 415.25, None, None));
}

#[test]
fn a_price_in_pence_is_a_hundredth_of_a_pound_and_an_index_has_points() {
    let instrument = |file| {
        let parsed = chart_of(file);
        let Some(Record::Instrument(instrument)) = parsed.records.last() else { panic!("{parsed:?}") };
        (**instrument).clone()
    };
    let london = instrument("OCDO.L~pence.json");
    assert_eq!(
        (london.symbol.as_str(), london.currency.as_deref(), london.unit.as_deref()),
        ("OCDO.L", Some("GBP"), Some("GBX"))
    );
    assert_eq!(london.units_per_currency, Some(100.0));
    assert_eq!(
        (london.mic.as_deref(), london.ticker.as_deref(), london.kind.as_deref()),
        (Some("XLON"), Some("OCDO"), Some("share"))
    );
    assert_eq!(london.price_adjustment.as_deref(), Some("splits"));
    assert_eq!(london.adjusted_close_adjustment.as_deref(), Some("all"));
}

#[test]
fn a_chart_without_rows_is_an_empty_page() {
    assert_eq!(chart_of("^VXAPL~empty.json"), Parsed::default());
}

#[test]
fn an_error_of_the_provider_says_what_to_do_next() {
    let error = |file| parse_file(&SOURCE, "chart", file).unwrap_err();
    let delisted = error("SI~error_not_found.json");
    assert!(matches!(&delisted, PageError::Skip(text) if text.contains("symbol may be delisted")), "{delisted:?}");
    let early = error("BEKE~error_bad_request.json");
    assert!(matches!(&early, PageError::Skip(text) if text.contains("Data doesn't exist for startDate")), "{early:?}");
    for (file, words) in [
        ("AAPL~error_invalid_crumb.json", "Unauthorized: Invalid Crumb"),
        ("AAPL~error_too_many_requests.txt", "Edge: Too Many Requests"),
        ("AAPL~error_consent.html", "Yahoo Markenfamilie"),
    ] {
        let error = error(file);
        assert!(matches!(&error, PageError::Retry(text) if text.contains(words)), "{error:?}");
    }
}

fn parse_chart(meta: &str, columns: &str) -> Result<Parsed, PageError> {
    let meta = format!(r#"{{"symbol":"AAPL","exchangeTimezoneName":"UTC","dataGranularity":"1d"{meta}}}"#);
    let body = format!(r#"{{"chart":{{"result":[{{"meta":{meta},{columns}}}],"error":null}}}}"#);
    parse(&request("AAPL"), body.as_bytes())
}

#[test]
fn columns_that_do_not_fit_the_timestamps_are_asked_for_again() {
    let error = |columns: &str| match parse_chart("", columns) {
        Err(PageError::Retry(text)) => text,
        other => panic!("{columns}: {other:?}"),
    };
    let missing = error(r#""timestamp":[0],"indicators":{"quote":[{"open":[1]}]}"#);
    assert_eq!(missing, "the chart has no `high`");
    let short = error(r#""timestamp":[0,86400],"indicators":{"quote":[{"open":[1]}]}"#);
    assert_eq!(short, "the chart has 1 values of `open` for 2 timestamps");
    error(r#""timestamp":[0],"indicators":{"quote":[{}]}"#);
    error(r#""indicators":{"quote":[{"open":[1],"high":[1],"low":[1],"close":[1],"volume":[1]}]}"#);
    error(
        r#""timestamp":[0],"indicators":{"quote":[{"open":[1],"high":[1],"low":[1],"close":[1],"volume":[1]}],"adjclose":[{"adjclose":[]}]}"#,
    );
}

#[test]
fn what_is_not_a_chart_is_asked_for_again() {
    for text in [
        "",
        "{",
        "{}",
        "null",
        "[1]",
        r#"{"chart":{"result":[{}]}}"#,
        r#"{"chart":{"result":[{"meta":{}}],"error":null}}"#,
    ] {
        let outcome = parse(&request("AAPL"), text.as_bytes());
        assert!(matches!(outcome, Err(PageError::Retry(_))), "{text}: {outcome:?}");
    }
}

#[test]
fn a_chart_that_cannot_be_placed_is_skipped() {
    let body = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/yahoo/chart/AAPL.json")).unwrap();
    let other = parse(&request("MSFT"), &body).unwrap_err();
    assert_eq!(other, PageError::Skip("requested `MSFT`, the response is for `AAPL`".to_owned()));
    assert_eq!(bars(&parse(&request("aapl@1d"), &body).unwrap())[0].symbol, "AAPL");
    let nowhere = String::from_utf8_lossy(&body).replace("America/New_York", "America/Atlantis");
    let nowhere = parse(&request("AAPL"), nowhere.as_bytes()).unwrap_err();
    assert!(matches!(&nowhere, PageError::Skip(text) if text.contains("`America/Atlantis` is unknown")), "{nowhere:?}");
    let strange = String::from_utf8_lossy(&body).replace(r#""dataGranularity":"1d""#, r#""dataGranularity":"4h""#);
    let strange = parse(&request("AAPL"), strange.as_bytes()).unwrap_err();
    assert!(matches!(&strange, PageError::Skip(text) if text.contains("unknown interval `4h`")), "{strange:?}");
}

#[test]
fn a_break_at_noon_does_not_make_a_live_quote_of_the_last_hour() {
    let hours = [0, 1, 2, 3].map(|hour| hour * 3600).into_iter().chain([4 * 3600 + 1800, 5 * 3600 + 1800]);
    let hours: Vec<String> = hours.map(|time: i64| time.to_string()).collect();
    let column = vec!["1"; hours.len()].join(",");
    let columns = format!(
        r#""timestamp":[{}],"indicators":{{"quote":[{{"open":[{column}],"high":[{column}],"low":[{column}],"close":[{column}],"volume":[{column}]}}]}}"#,
        hours.join(",")
    );
    let body = format!(
        r#"{{"chart":{{"result":[{{"meta":{{"symbol":"7203.T","exchangeTimezoneName":"Asia/Tokyo","dataGranularity":"1h"}},{columns}}}],"error":null}}}}"#
    );
    let parsed = parse(&request("7203.T@1h"), body.as_bytes()).unwrap();
    assert_eq!((bars(&parsed).len(), parsed.rejects.len()), (6, 0));
}

#[test]
fn an_item_is_a_symbol_and_perhaps_an_interval() {
    let asked = |item: &str, range| SOURCE.endpoints[0].path_of(item, 0, range).unwrap();
    assert_eq!(
        asked("^GSPC", None),
        "/v8/finance/chart/%5EGSPC?interval=1d&events=div%7Csplit%7CcapitalGains&includePrePost=false&range=10y"
    );
    let hours = asked("EURUSD=X@1h", None);
    assert!(hours.starts_with("/v8/finance/chart/EURUSD%3DX?interval=1h&") && hours.ends_with("&range=60d"));
    let minutes = asked("AAPL@1m", None);
    assert!(minutes.contains("?interval=1m&") && minutes.ends_with("&range=7d"));
    // 2024-01-02 and 03, with the days beside them.
    let range = Range { first: date("2024-01-02"), last: date("2024-01-03") };
    assert!(asked("AAPL", Some(range)).ends_with("&period1=1704067200&period2=1704412800"));
    assert!(asked("AAPL@1m", Some(range)).ends_with("&period1=1704067200&period2=1704412800"));
    let month = Range { first: date("2024-01-02"), last: date("2024-02-02") };
    assert!(asked("AAPL@1m", Some(month)).ends_with("&range=7d"));
    assert!(asked("AAPL@1h", Some(month)).ends_with("&period1=1704067200&period2=1707004800"));
    for (item, market) in [
        ("AAPL", Market::NewYork),
        ("BRK-B@1h", Market::NewYork),
        ("^GSPC", Market::NewYork),
        ("VOD.L", Market::London),
        ("SAP.DE", Market::Frankfurt),
        ("EURUSD=X", Market::Currencies),
        ("BTC-USD", Market::Always),
        ("GC=F", Market::Always),
        ("7203.T", Market::Always),
    ] {
        assert_eq!(super::market(item), market, "{item}");
    }
    let days = ["AAPL", "AAPL@1h", "BTC-USD", "7203.T"].map(sessions);
    assert_eq!(days, [Some(Market::NewYork), None, Some(Market::Always), None]);
    let error = path("AAPL@7h", 0).unwrap_err();
    assert!(
        matches!(&error, PageError::Skip(text) if text.contains("unknown interval `7h`; the intervals are 1m")),
        "{error:?}"
    );
    for item in ["", "@1d", "..", "../x", "A B", "AAPL/x", "AAPL?x"] {
        assert!(matches!(path(item, 0), Err(PageError::Skip(_))), "{item}");
    }
}
