//! Generated bars.

use anyhow::bail;
use chrono::{DateTime, TimeDelta, Utc};
use contract::Record;
use contract::records::OhlcvBar;
use kafka::publish::Publisher;

/// The dataset of bars.
pub(crate) const DATASET: &str = "ohlcv_bar";
/// Symbols in the generated bars: enough that all partitions have some.
const SYMBOLS: u64 = 500;

/// Publishes `rows` bars of an edition, and waits until Kafka has acknowledged them.
pub(crate) async fn publish(publisher: &mut Publisher, rows: u64, edition: i64) -> anyhow::Result<()> {
    for at in 0..rows {
        publisher.publish(&bar(at, edition)).await?;
    }
    let delivered = publisher.flush().await?;
    if delivered.records != rows {
        bail!("Kafka acknowledged {} of {rows} records", delivered.records);
    }
    Ok(())
}

/// The first `rows` bars of the first edition.
pub(crate) fn generated(rows: u64) -> Vec<Record> {
    (0..rows).map(|at| bar(at, 0)).collect()
}

/// The bar with that number: day after day, all symbols of a day one after the other, as a poll of many symbols
/// publishes them. A later edition has the same keys with other values.
pub(crate) fn bar(at: u64, edition: i64) -> Record {
    let (day, symbol) = ((at / SYMBOLS).cast_signed(), at % SYMBOLS);
    let ts_start = DateTime::UNIX_EPOCH + TimeDelta::days(day);
    let observed_at: DateTime<Utc> = DateTime::UNIX_EPOCH + TimeDelta::days(20_000 + edition);
    let price = 50.0 + edition as f64 + symbol as f64 + (day % 100) as f64 / 8.0;
    OhlcvBar {
        source: "bench".into(),
        symbol: format!("SYM{symbol:04}").into(),
        bar_interval: "1d".into(),
        ts_start,
        trading_date: ts_start.date_naive(),
        open: Some(price),
        high: Some(price + 1.5),
        low: Some(price - 1.25),
        close: price + 0.25,
        volume: Some(1_000_000.0 + at as f64),
        adjusted_close: Some(price + 0.125),
        currency: Some("USD".into()),
        known_at: observed_at,
        observed_at,
        flags: Vec::new(),
    }
    .into()
}
