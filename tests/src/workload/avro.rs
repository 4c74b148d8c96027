//! The wire format, written without tapedeck's encoder.

use chrono::{DateTime, SecondsFormat};
use xxhash_rust::xxh3::xxh3_64;

use super::Bar;

/// Zero byte and schema id of `ohlcv_bar`.
pub(super) const HEADER: [u8; 5] = [0, 0, 0, 0, 1];

/// An Avro int or long.
pub(super) fn long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest > 0x7f {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Avro bytes or string.
pub(super) fn bytes(value: &[u8], out: &mut Vec<u8>) {
    long(value.len() as i64, out);
    out.extend_from_slice(value);
}

fn optional_double(value: Option<f64>, out: &mut Vec<u8>) {
    match value {
        None => out.push(0),
        Some(value) => {
            out.push(2);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// The fields before the date: the table's key.
pub(super) fn head(bar: &Bar, out: &mut Vec<u8>) {
    for text in [&bar.source, &bar.symbol, &bar.interval] {
        bytes(text.as_bytes(), out);
    }
    long(bar.ts_start, out);
}

/// The numbers after the date.
pub(super) fn numbers(bar: &Bar, out: &mut Vec<u8>) {
    bar.prices.iter().for_each(|price| optional_double(*price, out));
    out.extend_from_slice(&bar.close.to_le_bytes());
    bar.amounts.iter().for_each(|amount| optional_double(*amount, out));
}

/// Currency and versions; the list of flags follows.
pub(super) fn tail(bar: &Bar, out: &mut Vec<u8>) {
    match &bar.currency {
        None => out.push(0),
        Some(currency) => {
            out.push(2);
            bytes(currency.as_bytes(), out);
        }
    }
    bar.version.iter().for_each(|micros| long(*micros, out));
}

/// The whole message.
pub(super) fn message(bar: &Bar) -> Vec<u8> {
    let mut out = HEADER.to_vec();
    head(bar, &mut out);
    long(bar.trading_date.into(), &mut out);
    numbers(bar, &mut out);
    tail(bar, &mut out);
    out.push(0);
    out
}

/// Key of the message: the table's key without the time.
pub(super) fn key(bar: &Bar) -> Vec<u8> {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('|', "\\|");
    [&bar.source, &bar.symbol, &bar.interval].map(|text| escaped(text)).join("|").into_bytes()
}

/// Headers that mark a message without a value as a deletion.
pub(super) fn delete_headers(bar: &Bar) -> Vec<(&'static [u8], String)> {
    let time =
        |micros: i64| DateTime::from_timestamp_micros(micros).unwrap().to_rfc3339_opts(SecondsFormat::Micros, true);
    vec![
        (b"tapedeck-known-at", time(bar.version[0])),
        (b"tapedeck-observed-at", time(bar.version[1])),
        (b"tapedeck-time", time(bar.ts_start)),
    ]
}

/// A number that spreads keys over partitions.
pub(super) fn spread(key: &[u8]) -> u64 {
    xxh3_64(key) >> 32
}
