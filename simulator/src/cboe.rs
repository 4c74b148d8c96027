//! Cboe's index histories and option quotes: CSV and JSON files behind a CDN.

use std::fmt::Write as _;

use chrono::NaiveDate;
use serde_json::{Value, json};

use crate::calendar::{BEFORE, END, day, days, is_trading_day};
use crate::random::Random;
use crate::reply::Reply;

/// The indexes: one with bars, one with closes only.
pub(crate) const INDEXES: &[&str] = &["VIX", "SKEW"];

const CSV: &str = "text/csv";
const LAST_MODIFIED: &str = "Wed, 31 Dec 2025 22:15:03 GMT";
/// The same before the correction.
const LAST_MODIFIED_BEFORE: &str = "Tue, 16 Dec 2025 22:15:03 GMT";
/// The VIX row whose close is corrected later.
const CORRECTED: NaiveDate = day(2025, 12, 15);
/// Rows at the beginning of VIX with one price for all four, as in the official file.
const SINGLE_PRICE_ROWS: usize = 506;
/// VIX rows whose low lies above the open, as in the official file.
const LOW_ABOVE_OPEN_ROWS: &[usize] = &[530, 1200, 2600, 4800, 7000, 9000];
/// The VIX row that cannot be read.
const GARBLED_ROW: usize = 3100;

/// Answers `{index}_History.csv`.
pub(crate) fn history(seed: u64, file: &str, is_corrected: bool) -> Reply {
    let body = match file {
        "VIX_History.csv" if !is_corrected => {
            return Reply::ok(CSV, vix(seed, false)).last_modified(LAST_MODIFIED_BEFORE);
        }
        "VIX_History.csv" => vix(seed, true),
        "SKEW_History.csv" => skew(seed),
        _ => return access_denied(),
    };
    Reply::ok(CSV, body).last_modified(LAST_MODIFIED)
}

/// S3 answers 403, not 404, for a missing file.
fn access_denied() -> Reply {
    let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message>\
        <RequestId>0000000000000000</RequestId><HostId>simulator</HostId></Error>";
    Reply::new(403, "application/xml", body.to_owned())
}

/// Before its correction, the file ends earlier, and one close lies halfway between high and low.
fn vix(seed: u64, is_corrected: bool) -> String {
    let mut random = Random::new(seed, "VIX");
    let mut text = String::from("DATE,OPEN,HIGH,LOW,CLOSE\n");
    let mut close = 17.24;
    let last = if is_corrected { END } else { BEFORE };
    let dates = days(day(1990, 1, 2)).take_while(|date| *date <= last).filter(|date| is_trading_day(*date));
    for (row, date) in dates.enumerate() {
        let open = close;
        // Drawn back to 19, as volatility is.
        close = f64::max(9.0, open + 0.02 * (19.0 - open) + open * 0.12 * random.swing());
        let (mut low, mut high) = (open.min(close), open.max(close));
        low -= low * 0.05 * random.unit();
        high += high * 0.05 * random.unit();
        if LOW_ABOVE_OPEN_ROWS.contains(&row) {
            (low, high, close) = (open + 0.08, open + 0.5, open + 0.2);
        }
        let shown = if is_corrected || date != CORRECTED { close } else { (low + high) / 2.0 };
        let prices = if row < SINGLE_PRICE_ROWS { [close; 4] } else { [open, high, low, shown] };
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

/// An underlying with options.
struct Underlying {
    /// Name in the address.
    item: &'static str,
    /// Symbol in the file.
    symbol: &'static str,
    kind: &'static str,
    /// Roots of its contracts, in turn by expiration.
    roots: &'static [&'static str],
    price: f64,
    /// From one strike to the next.
    step: f64,
}

/// The last has no contracts.
const UNDERLYINGS: &[Underlying] = &[
    Underlying { item: "_VIX", symbol: "^VIX", kind: "index", roots: &["VIX", "VIXW"], price: 14.95, step: 0.5 },
    Underlying { item: "SIM", symbol: "SIM", kind: "stock", roots: &["SIM"], price: 302.5, step: 7.5 },
    Underlying { item: "NEW", symbol: "NEW", kind: "stock", roots: &[], price: 20.25, step: 2.5 },
];
const EXPIRATIONS: &[(i32, u32, u32)] =
    &[(2026, 1, 16), (2026, 2, 20), (2026, 3, 20), (2026, 6, 18), (2026, 12, 18), (2028, 1, 21)];
const QUOTES_LAST_MODIFIED: &str = "Wed, 31 Dec 2025 21:15:16 GMT";
/// Strikes on each side of the price.
const STRIKES: i32 = 7;
/// Every so many contracts, one was never traded, and one has no volatility.
const NEVER_TRADED_EVERY: usize = 6;
const NO_VOLATILITY_EVERY: usize = 8;

/// Underlyings with options.
pub(crate) fn underlyings() -> impl Iterator<Item = &'static str> {
    UNDERLYINGS.iter().map(|underlying| underlying.item)
}

/// Answers `{symbol}.json`.
pub(crate) fn options(seed: u64, file: &str) -> Reply {
    let item = file.strip_suffix(".json").unwrap_or_default();
    let Some(underlying) = UNDERLYINGS.iter().find(|underlying| underlying.item == item) else {
        return access_denied();
    };
    let mut random = Random::new(seed, item);
    let mut contracts = Vec::new();
    for ((year, month, date), root) in EXPIRATIONS.iter().zip(underlying.roots.iter().cycle()) {
        let expiration = day(*year, *month, *date);
        let years = (expiration - END).num_days() as f64 / 365.0;
        for strike in (-STRIKES..=STRIKES).map(|steps| underlying.price.round() + f64::from(steps) * underlying.step) {
            for side in ['C', 'P'] {
                let symbol = format!("{root}{}{side}{:08}", expiration.format("%y%m%d"), (strike * 1000.0).round());
                let place = contracts.len();
                contracts.push(contract(&mut random, place, &symbol, underlying.price, strike, side, years));
            }
        }
    }
    let body = json!({
        "timestamp": "2025-12-31 21:15:04",
        "data": {
            "options": contracts,
            "symbol": underlying.symbol,
            "security_type": underlying.kind,
            "exchange_id": 3,
            "current_price": underlying.price,
            "close": underlying.price,
            "prev_day_close": underlying.price,
            "iv30": 38.981,
            "seqno": 45_770_655_729_u64,
            "last_trade_time": "2025-12-31T15:59:59",
            "tick": "up",
        },
        "symbol": underlying.symbol,
    });
    Reply::json(200, body.to_string()).last_modified(QUOTES_LAST_MODIFIED)
}

/// A consistent quote: its value today, plus more the longer it lasts.
fn contract(random: &mut Random, place: usize, symbol: &str, price: f64, strike: f64, side: char, years: f64) -> Value {
    let volatility = 0.3 + 0.2 * random.unit();
    let sign = if side == 'C' { 1.0 } else { -1.0 };
    let distance = (price - strike) / (price * volatility * years.sqrt());
    let time_value = 0.4 * price * volatility * years.sqrt() * (-distance * distance).exp();
    let value = (sign * (price - strike)).max(0.0) + time_value;
    let delta = sign / (1.0 + (-1.7 * sign * distance).exp());
    let was_traded = !(place + 1).is_multiple_of(NEVER_TRADED_EVERY);
    let volume = if was_traded { random.below(400) as f64 } else { 0.0 };
    let in_session = |number: f64| if volume > 0.0 { cents(number) } else { 0.0 };
    json!({
        "option": symbol,
        "bid": cents(value * 0.97),
        "bid_size": (1 + random.below(90)) as f64,
        "ask": cents(value * 1.03 + 0.05),
        "ask_size": (1 + random.below(90)) as f64,
        "iv": if (place + 1).is_multiple_of(NO_VOLATILITY_EVERY) { 0.0 } else { rounded(volatility) },
        "open_interest": random.below(5000) as f64,
        "volume": volume,
        "delta": rounded(delta),
        "gamma": rounded(delta.abs() * (1.0 - delta.abs()) / price),
        "vega": rounded(time_value / 40.0),
        "theta": rounded(-time_value / (years * 365.0)),
        "rho": rounded(delta * years * price / 100.0),
        "theo": rounded(value),
        "change": in_session(0.05 * random.swing()),
        "open": in_session(value * 0.99),
        "high": in_session(value * 1.02),
        "low": in_session(value * 0.98),
        "tick": if was_traded { "up" } else { "no_change" },
        "last_trade_price": if was_traded { cents(value) } else { 0.0 },
        "last_trade_time": was_traded.then_some("2025-12-31T14:30:05"),
        "percent_change": in_session(2.0 * random.swing()),
        // Printed from a float of four bytes.
        "prev_day_close": f64::from(cents(value * 1.01) as f32),
    })
}

fn cents(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

fn rounded(number: f64) -> f64 {
    (number * 10_000.0).round() / 10_000.0
}
