//! The queries, as users write them.

use std::fmt::Write as _;

use super::data::{Data, LEVELS, REVISED_DAYS};

/// Calendar days of the shorter price history.
const RECENT_DAYS: i64 = 90;
/// Calendar days of the longer one: five years.
const LONG_DAYS: i64 = 1_826;
/// Symbols of the longer one.
const LONG_SYMBOLS: u64 = 100;
/// Symbols and days of the market capitalisations.
const CAP_SYMBOLS: u64 = 500;
const CAP_DAYS: u64 = 100;
/// Trading days of the data before the first day with a market capitalisation: a first report is known by then.
const CAP_FROM: u64 = 200;

/// The as-of reads, by revisions per row.
pub(super) const AS_OF: [&str; 3] = ["as of, 1 revision per row", "as of, 10 revisions", "as of, 1,000 revisions"];

/// A query, with other parameters in each round.
pub(super) struct Query {
    pub(super) name: &'static str,
    /// Most that its 99th percentile may be; None for those that are measured only.
    pub(super) limit_ms: Option<f64>,
    /// Whether it takes too long to be asked in each round.
    pub(super) is_large: bool,
    /// The rows of each answer.
    pub(super) rows: fn(&Data) -> usize,
    pub(super) statement: fn(&Data, u64) -> String,
}

/// All of them; the limits are those of PostgreSQL 15 on 2 cores.
pub(super) const QUERIES: &[Query] = &[
    small(
        "latest price of a symbol",
        1.0,
        |_| 1,
        |data, round| {
            format!(
                "select symbol, trading_date, close, currency from ohlcv_bar where symbol = '{}' and bar_interval = '1d' \
             and not deleted order by ts_start desc limit 1",
                data.symbol(round)
            )
        },
    ),
    small(
        "90 days of a symbol",
        2.0,
        |data| data.days_within(RECENT_DAYS),
        |data, round| {
            format!(
                "select date, open_price, high_price, low_price, close_price, volume from price_data \
             where symbol = '{}' and date > '{}' order by date",
                data.symbol(round),
                data.days_ago(RECENT_DAYS)
            )
        },
    ),
    Query {
        limit_ms: None,
        ..small("all symbols of a day", 0.0, Data::symbols_on_each_day, |data, round| {
            // The first year has the symbols for as-of reads, too.
            let day = Data::day(REVISED_DAYS + mixed(round) % (data.days - REVISED_DAYS));
            format!("select symbol, close_price, volume from price_data where date = '{day}'")
        })
    },
    large("100 symbols, 5 years", 300.0, long_rows, |data, round| {
        let symbols = data.some_symbols(round, LONG_SYMBOLS.min(data.symbols));
        format!(
            "select symbol, date, close_price, volume from price_data where symbol in ({}) and date > '{}' \
             order by symbol, date",
            quoted(symbols),
            data.days_ago(LONG_DAYS)
        )
    }),
    large("market caps, 500 symbols, 100 days", 200.0, cap_rows, |data, round| {
        let symbols = data.some_symbols(round, CAP_SYMBOLS.min(data.symbols));
        let (count, all) = (cap_days(data), data.days - CAP_FROM);
        let days = (0..count).map(|at| CAP_FROM + (mixed(round) % all + at * all / count) % all);
        format!(
            "select * from market_caps(array[{}], array[{}]::date[])",
            quoted(symbols),
            quoted(days.map(|at| Data::day(at).to_string()))
        )
    }),
    small("statements of a company", 3.0, Data::statements_of_each, |data, round| {
        format!("select * from financial_statements where symbol = '{}' order by fiscal_date desc", data.symbol(round))
    }),
    small(AS_OF[0], 5.0, |_| REVISED_DAYS as usize, |data, round| as_of(data, LEVELS[0], round)),
    small(AS_OF[1], 5.0, |_| REVISED_DAYS as usize, |data, round| as_of(data, LEVELS[1], round)),
    small(AS_OF[2], 5.0, |_| REVISED_DAYS as usize, |data, round| as_of(data, LEVELS[2], round)),
];

const fn small(
    name: &'static str,
    limit_ms: f64,
    rows: fn(&Data) -> usize,
    statement: fn(&Data, u64) -> String,
) -> Query {
    Query { name, limit_ms: Some(limit_ms), is_large: false, rows, statement }
}

const fn large(
    name: &'static str,
    limit_ms: f64,
    rows: fn(&Data) -> usize,
    statement: fn(&Data, u64) -> String,
) -> Query {
    Query { name, limit_ms: Some(limit_ms), is_large: true, rows, statement }
}

fn long_rows(data: &Data) -> usize {
    LONG_SYMBOLS.min(data.symbols) as usize * data.days_within(LONG_DAYS)
}

fn cap_days(data: &Data) -> u64 {
    CAP_DAYS.min(data.days - CAP_FROM)
}

fn cap_rows(data: &Data) -> usize {
    (CAP_SYMBOLS.min(data.symbols) * cap_days(data)) as usize
}

/// The history of a symbol whose every row was revised so often, at one of the moments in between.
fn as_of(data: &Data, revisions: u64, round: u64) -> String {
    format!(
        "select trading_date, open, high, low, close, volume, known_basis from ohlcv_bar_as_of('{}') \
         where symbol = '{}' and bar_interval = '1d' order by ts_start",
        Data::moment(mixed(round)),
        data.revised_symbol(revisions, round)
    )
}

fn quoted(texts: impl Iterator<Item = String>) -> String {
    let mut all = String::new();
    for text in texts {
        write!(all, "{}'{text}'", if all.is_empty() { "" } else { ", " }).expect("a string takes everything");
    }
    all
}

/// A number that looks random: the same for the same round.
pub(super) fn mixed(round: u64) -> u64 {
    let mut mixed = round.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ (mixed >> 31)
}
