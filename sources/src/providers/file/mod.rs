//! Files on this machine.
//!
//! For history that is there already: what other programs have written, and what was bought or downloaded.
//!
//! An item is a file and what its columns mean: `<path>?<dataset>&<field>=<column>&<field>:=<value>`, e.g.
//!
//! ```toml
//! [file]
//! csv = ["prices.csv?ohlcv_bar&symbol=Ticker&trading_date=Date&bar_interval:=1d&zone:=America/New_York"]
//! ```
//!
//! | part | meaning |
//! |---|---|
//! | `<path>` | a file below the folder that `TAPEDECK_FILE_URL` names; nothing outside of it is read |
//! | `<field>=<column>` | the field is in that column; a column may serve several fields |
//! | `<field>=<column>\|<format>` | a date or time written like that: `s`, `ms`, `us`, `ns` since 1970, or letters such as `%m/%d/%Y` |
//! | `<field>:=<value>` | the same for all rows |
//! | `zone:=<zone>` | where times are from that do not say it, e.g. `Europe/London`; else UTC |
//! | `source:=<name>` | whose data it is, so that it joins what is polled from there later, e.g. `yahoo`; else `file` |
//!
//! In names, values and formats `%26` is `&`, `%3D` is `=`, `%3F` is `?`, `%7C` is `|`, and `%25` is a `%` that two digits
//! or letters from `a` to `f` would follow. A field that the item does not give is in the column of its own name, exactly or
//! in any case, and null where there is no such column; a file without a column for what must not be null is refused.
//! `known_at` is the time at which the file was last written unless a column says it, and never after the receipt.
//! Of a bar, `trading_date` follows from `ts_start` and `ts_start` from `trading_date` in the given zone; name one.
//!
//! Try an item before it goes onto the watchlist: `producer parse file csv prices.csv --item '<item>'` shows its records,
//! and why rows are refused.
//!
//! - **Numbers** have a point and no separators between thousands; `1,000` refuses its row. Empty, `NA`, `N/A`, `NaN`,
//!   `None`, `null` and `-` are null, but in a text only what is empty is.
//! - **Dates** are `2024-12-31` or `20241231`; **times** those, or `2024-12-31 09:30:00.5`, with `T` for the space, and with
//!   an offset (`Z`, `-05:00`) or without. A list of texts is a JSON list, or texts with `|` between them.
//! - **Articles** (`news_article`) whose rows have no score are scored like those of the providers; `sentiment_scorer` says who.
//! - **CSV** is UTF-8 with a first line of names. The separator (`,` `;` tab or `|`) is the one that this line has most of.
//!   Values may be in quotes, and hold line breaks there; a row with more or fewer values than names is refused.
//! - **JSON lines**: an object on each line.
//! - **Parquet** of at most 64 MiB and 100,000,000 rows, a row group of at most 512 MiB unpacked; no nested columns;
//!   compressed by Snappy, Zstandard, gzip or LZ4 (`LZ4_RAW`); not in the encoding `DELTA_BYTE_ARRAY`.
//! - CSV and JSON lines are read in pieces of 1 MiB, in the order of the file, so they may be of any size; a row is less
//!   than a piece.
//! - Of rows with the same key the one known last counts, else the later one; within a piece the other one is refused.
//! - If none of ten rows or more at the beginning can be read, nothing of the file is taken: the mapping is wrong.
//!
//! A refused row is a dead letter with the words of the file. A file is read again every day: what has not changed changes
//! nothing in the tables. To read files once, `producer run file --once`.

use std::time::Duration;

use crate::schedule::{Kind, Schedule, days};
use crate::source::{Auth, Endpoint, History, LookBack, Source};

mod cell;
mod csv;
mod item;
mod jsonl;
mod page;
mod parquet;
pub mod part;
mod window;

/// Files.
pub const SOURCE: Source = Source {
    name: "file",
    doc: "Files on this machine: CSV, JSON lines and Parquet, with any columns",
    base_url: "file:.",
    base_url_env: "TAPEDECK_FILE_URL",
    auth: Auth::None,
    user_agent: "",
    pause: Duration::ZERO,
    burst: 1,
    quota: None,
    endpoints: &[
        Endpoint {
            name: "csv",
            doc: "Rows of a CSV file",
            datasets: DATASETS,
            item: ITEM,
            known_at: KNOWN_AT,
            schedule: FILES,
            history: READ_AGAIN,
            base: None,
            path: csv::path,
            parse: csv::parse,
        },
        Endpoint {
            name: "jsonl",
            doc: "Objects of a file with one on each line",
            datasets: DATASETS,
            item: ITEM,
            known_at: KNOWN_AT,
            schedule: FILES,
            history: READ_AGAIN,
            base: None,
            path: jsonl::path,
            parse: jsonl::parse,
        },
        Endpoint {
            name: "parquet",
            doc: "Rows of a Parquet file",
            datasets: DATASETS,
            item: ITEM,
            known_at: KNOWN_AT,
            schedule: FILES,
            history: READ_AGAIN,
            base: None,
            path: parquet::path,
            parse: parquet::parse,
        },
    ],
};

/// Whoever has a file read again wants its records again.
const READ_AGAIN: History = History { look_back: LookBack::Nothing, ..History::ALL };
const ITEM: &str = "file and mapping, e.g. `prices.csv?ohlcv_bar&symbol=Ticker&trading_date=Date&bar_interval:=1d`";
const KNOWN_AT: &str = "a column of the file, else when it was last written";
/// Files of history are rarely written, and all of a file is published anew.
const FILES: Schedule = Schedule { sla: days(1), ..Schedule::once_a_day(Kind::Files) };

/// What rows of a file can be: every dataset but what tapedeck itself refuses.
pub(crate) const DATASETS: &[&str] = &[
    "analyst_rating",
    "company",
    "corporate_action",
    "etf_flow",
    "exchange",
    "fetch_log",
    "filing",
    "financial_ratio",
    "financial_statement",
    "insider_transaction",
    "model_performance",
    "news_article",
    "observation",
    "observation_vintage",
    "ohlcv_bar",
    "option_quote",
    "prediction",
    "series",
    "series_vintage",
    "technical_indicator",
    "xbrl_fact",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_can_be_of_every_dataset_but_dead_letters() {
        let mut all: Vec<&str> = contract::datasets().iter().map(|dataset| dataset.name.as_str()).collect();
        all.retain(|name| *name != "dead_letter");
        all.sort_unstable();
        assert_eq!(DATASETS, all);
    }
}
