use super::*;
use crate::fixture::{RECEIVED, at, bars, date, parse as parse_file, rejects, request};

fn parse_text(item: &str, text: &str) -> Result<Parsed, PageError> {
    parse(&request(item), text.as_bytes())
}

#[test]
fn a_row_is_the_bar_of_its_trading_date_from_midnight_in_chicago() {
    let parsed = parse_file(&SOURCE, "index_history", "VIX.csv").unwrap();
    let bars = bars(&parsed);
    assert_eq!((bars.len(), parsed.rejects.len(), parsed.holes), (6, 0, 0));
    let march = bars[4];
    assert_eq!((march.source.as_str(), march.symbol.as_str(), march.bar_interval.as_str()), ("cboe", "VIX", "1d"));
    assert_eq!((march.trading_date, march.ts_start), (date("2024-03-11"), at("2024-03-11T05:00:00Z")));
    assert_eq!(bars[5].ts_start, at("2024-11-29T06:00:00Z"));
    assert_eq!((march.open, march.high, march.low, march.close), (Some(15.49), Some(16.14), Some(15.05), 15.22));
    assert_eq!((march.volume, march.adjusted_close, march.currency.as_deref()), (None, None, None));
    assert!(march.flags.is_empty());
}

#[test]
fn a_low_above_the_open_is_a_record_all_the_same() {
    let parsed = parse_file(&SOURCE, "index_history", "VIX.csv").unwrap();
    assert_eq!((bars(&parsed)[2].open, bars(&parsed)[2].low), (Some(17.1), Some(17.18)));
}

#[test]
fn an_index_of_closes_has_no_other_prices() {
    let parsed = parse_file(&SOURCE, "index_history", "SKEW.csv").unwrap();
    let bars = bars(&parsed);
    assert_eq!(bars.iter().map(|bar| bar.close).collect::<Vec<_>>(), [126.09, 123.34, 122.62]);
    assert_eq!((bars[0].open, bars[0].high, bars[0].low), (None, None, None));
    assert_eq!(bars[0].symbol, "SKEW");
    assert!(parsed.rejects.is_empty());
}

#[test]
fn each_odd_row_is_refused_with_its_line_and_the_rest_goes_on() {
    let parsed = parse_file(&SOURCE, "index_history", "VIX9D~odd_rows.csv").unwrap();
    let closes: Vec<f64> = bars(&parsed).iter().map(|bar| bar.close).collect();
    assert_eq!(closes, [15.95, 15.0]);
    assert_eq!(
        rejects(&parsed),
        [
            ("columns", "line 3: has 4 columns instead of 5"),
            ("date", "line 4: `02/30/2011` is not a date like `12/31/2024`"),
            ("number", "line 5: `1S.960000` is not a number"),
            ("not_finite", "line 6: `NaN` is not a finite number"),
            ("duplicate", "line 7: 2011-01-04 is already in the file"),
            ("cut_off", "line 10: ends without a line feed, so its last value may be short"),
        ]
    );
    assert_eq!(parsed.rejects[0].fragment, b"01/05/2011,16.300000,16.350000,15.080000\n");
}

#[test]
fn a_last_line_without_its_line_feed_is_rejected() {
    let parsed = parse_text("VIX", "DATE,OPEN,HIGH,LOW,CLOSE\n01/02/1990,17.24,17.24,17.24,17.2").unwrap();
    assert!(parsed.records.is_empty());
    assert_eq!(parsed.rejects[0].class, "cut_off");
}

#[test]
fn known_at_is_when_the_file_was_modified_but_never_after_its_receipt() {
    let known_at = |last_modified: Option<&str>| {
        let request = Request { last_modified: last_modified.map(at), ..request("SKEW") };
        bars(&parse(&request, b"DATE,SKEW\n01/02/1990,126.09\n").unwrap())[0].known_at
    };
    assert_eq!(known_at(Some("2026-11-19T22:15:03Z")), at("2026-11-19T22:15:03Z"));
    assert_eq!(known_at(Some("2030-01-01T00:00:00Z")), at(RECEIVED));
    assert_eq!(known_at(None), at(RECEIVED));
}

#[test]
fn an_unknown_index_is_skipped_with_the_words_of_the_provider() {
    let error = parse_file(&SOURCE, "index_history", "NOSUCH~error_access_denied.xml").unwrap_err();
    assert!(matches!(&error, PageError::Skip(text) if text.contains("unknown index `NOSUCH`")), "{error:?}");
    assert!(error.to_string().contains("<Message>Access Denied</Message>"), "{error}");
}

#[test]
fn what_is_not_the_file_is_asked_for_again() {
    let page = parse_file(&SOURCE, "index_history", "VIX~error_page.html");
    assert!(matches!(page, Err(PageError::Retry(text)) if text.contains("Attention Required!")));
    for text in [
        "",
        "\n",
        "DATE,OPEN",
        "DATE,OPEN,HIGH,LOW,CLOSE",
        "DATE,SKEW\n",
        "Date;Open\n",
        "<Error><Code>SlowDown</Code>",
    ] {
        let outcome = parse_text("VIX", text);
        assert!(matches!(outcome, Err(PageError::Retry(_))), "{text}: {outcome:?}");
    }
}

#[test]
fn what_cannot_be_an_index_is_not_asked_for() {
    assert_eq!(path("VIX9D", 0).unwrap(), "/api/global/us_indices/daily_prices/VIX9D_History.csv");
    for item in ["", "../VIX", "VIX?x=1", "VIX 9D"] {
        assert!(matches!(path(item, 0), Err(PageError::Skip(_))), "{item}");
    }
}
