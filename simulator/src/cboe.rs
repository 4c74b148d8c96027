//! Cboe's index histories: CSV files behind a CDN.

use std::fmt::Write as _;

use crate::calendar::{day, days, is_trading_day};
use crate::random::Random;
use crate::reply::Reply;

/// Indexes that there are: one of bars, one of closes.
pub(crate) const INDEXES: &[&str] = &["VIX", "SKEW"];

const CSV: &str = "text/csv";
const LAST_MODIFIED: &str = "Wed, 31 Dec 2025 22:15:03 GMT";
/// Rows at the beginning of VIX with one price for all four, as in the official file.
const SINGLE_PRICE_ROWS: usize = 506;
/// VIX rows whose low lies above the open, as in the official file.
const LOW_ABOVE_OPEN_ROWS: &[usize] = &[530, 1200, 2600, 4800, 7000, 9000];
/// The VIX row that cannot be read.
const GARBLED_ROW: usize = 3100;

/// Answers for `{index}_History.csv`.
pub(crate) fn history(seed: u64, file: &str) -> Reply {
    let body = match file {
        "VIX_History.csv" => vix(seed),
        "SKEW_History.csv" => skew(seed),
        _ => return access_denied(),
    };
    Reply::ok(CSV, body).last_modified(LAST_MODIFIED)
}

/// S3 does not say that a file does not exist.
fn access_denied() -> Reply {
    let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message>\
        <RequestId>0000000000000000</RequestId><HostId>simulator</HostId></Error>";
    Reply::new(403, "application/xml", body.to_owned())
}

fn vix(seed: u64) -> String {
    let mut random = Random::new(seed, "VIX");
    let mut text = String::from("DATE,OPEN,HIGH,LOW,CLOSE\n");
    let mut close = 17.24;
    for (row, date) in days(day(1990, 1, 2)).filter(|date| is_trading_day(*date)).enumerate() {
        let open = close;
        // Drawn back to 19, as volatility is.
        close = f64::max(9.0, open + 0.02 * (19.0 - open) + open * 0.12 * random.swing());
        let (mut low, mut high) = (open.min(close), open.max(close));
        low -= low * 0.05 * random.unit();
        high += high * 0.05 * random.unit();
        if LOW_ABOVE_OPEN_ROWS.contains(&row) {
            (low, high, close) = (open + 0.08, open + 0.5, open + 0.2);
        }
        let prices = if row < SINGLE_PRICE_ROWS { [close; 4] } else { [open, high, low, close] };
        write!(text, "{}", date.format("%m/%d/%Y")).expect("writing to a string cannot fail");
        for price in prices {
            write!(text, ",{:.2}0000", price).expect("writing to a string cannot fail");
        }
        if row == GARBLED_ROW {
            text.truncate(text.len() - 6);
            text.push_str("S40000");
        }
        text.push('\n');
    }
    text
}

fn skew(seed: u64) -> String {
    let mut random = Random::new(seed, "SKEW");
    let mut text = String::from("DATE,SKEW\n");
    let mut close: f64 = 126.09;
    for date in days(day(1990, 1, 2)).filter(|date| is_trading_day(*date)) {
        close = f64::max(100.0, close + 0.02 * (122.0 - close) + 3.0 * random.swing());
        writeln!(text, "{},{close:.2}0000", date.format("%m/%d/%Y")).expect("writing to a string cannot fail");
    }
    text
}
