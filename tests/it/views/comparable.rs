//! Prices of two providers side by side: in one currency, by what they are adjusted for.

use chrono::DateTime;
use contract::Record;
use contract::records::{Instrument, OhlcvBar};
use tests::broker::{Bench, benches};
use tests::message::{bar, send_records};
use tests::process::succeed;

/// A listing in London: its unit, units per pound, and what its closes and adjusted closes are adjusted for.
pub(super) fn instrument(source: &str, symbol: &str, unit: &str, units: f64, adjustments: [Option<&str>; 2]) -> Record {
    let known_at = DateTime::from_timestamp(10, 0).unwrap();
    Instrument {
        source: source.into(),
        symbol: symbol.into(),
        mic: Some("XLON".into()),
        ticker: Some("VOD".into()),
        isin: None,
        exchange: None,
        kind: Some("share".into()),
        currency: Some("GBP".into()),
        unit: Some(unit.into()),
        units_per_currency: Some(units),
        price_adjustment: adjustments[0].map(Into::into),
        adjusted_close_adjustment: adjustments[1].map(Into::into),
        volume_adjustment: None,
        known_at,
        observed_at: known_at,
        flags: Vec::new(),
    }
    .into()
}

fn price(source: &str, symbol: &str, close: f64, adjusted: Option<f64>) -> Record {
    OhlcvBar { source: source.into(), adjusted_close: adjusted, ..bar(symbol, 0, close, 10, 10) }.into()
}

/// Source, then the close as traded, adjusted for splits and for all; `-` for null.
fn closes(bench: &Bench) -> Vec<String> {
    let query = "select source, close_as_traded, close_adjusted_for_splits, close_adjusted_for_all \
        from comparable_price where mic = 'XLON' and ticker = 'VOD' and currency = 'GBP' order by source";
    let value = |value: Option<String>| value.map_or_else(|| "-".to_owned(), |text| text.replace(".0", ""));
    let line = |row: Vec<Option<String>>| row.into_iter().map(value).collect::<Vec<_>>().join(" ");
    bench.query(query).into_iter().map(line).collect()
}

#[test]
fn pence_and_pounds_and_each_adjustment_stand_in_columns_of_their_own() {
    for (name, bench) in benches() {
        let instruments = [
            instrument("eodhd", "VOD.LSE", "GBX", 100.0, [Some("none"), Some("all")]),
            instrument("fmp", "VOD.L", "GBP", 1.0, [Some("splits"), None]),
            instrument("yahoo", "VOD.L", "GBX", 100.0, [Some("splits"), Some("all")]),
            instrument("desk", "VOD", "GBP", 1.0, [Some("all"), None]),
            instrument("file", "VOD", "GBP", 1.0, [None, None]),
        ];
        send_records(&bench, "instrument", &instruments);
        let prices = [
            price("eodhd", "VOD.LSE", 800.0, Some(300.0)),
            price("fmp", "VOD.L", 4.0, None),
            price("yahoo", "VOD.L", 400.0, Some(300.0)),
            price("desk", "VOD", 3.0, None),
            price("file", "VOD", 8.0, Some(3.0)),
            price("unknown", "VOD", 8.0, Some(3.0)),
        ];
        send_records(&bench, "ohlcv_bar", &prices);
        succeed("consumer", &["run", "--once"], &bench.environment);
        let expected = ["desk - - 3", "eodhd 8 - 3", "file - - -", "fmp - 4 -", "yahoo - 4 3"];
        assert_eq!(closes(&bench), expected, "on {name}");
    }
}
