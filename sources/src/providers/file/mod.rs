//! Files on this machine.
//!
//! For history that you already have: written by other programs, bought or downloaded.
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
//! | `<path>` | a file below the folder `TAPEDECK_FILE_URL`; nothing outside of it is read |
//! | `<field>=<column>` | the field is in that column; several fields may use the same column |
//! | `<field>=<column>\|<format>` | a date or time in that format: `s`, `ms`, `us`, `ns` since 1970, or a strftime format such as `%m/%d/%Y` |
//! | `<field>:=<value>` | the same value in all rows |
//! | `zone:=<zone>` | zone of times without one, e.g. `Europe/London`; by default UTC |
//! | `decimal:=,` | numbers have a decimal comma, as in `1.611,25`; `decimal:=.` reads `1,611.25` |
//! | `source:=<name>` | `source` of the records, e.g. `yahoo`, so that they join what is later polled from there; by default `file` |
//!
//! Names, values and formats are percent-encoded: `%26` is `&`, `%3D` is `=`, `%3F` is `?`, `%7C` is `|`. A literal `%`
//! before two hexadecimal digits is `%25`.
//!
//! A field that the item does not mention comes from the column of its own name, in any case. Without such a column it
//! is null. A file without a column for a required field is refused. `known_at` is the time at which the file was last
//! written, unless a column holds it, and never after the receipt. A date in that column means its end. Of a bar, `trading_date` follows from `ts_start` in
//! the given zone, or the other way round; name one of them.
//!
//! Try an item before you put it on the watchlist: `tapedeck parse file csv prices.csv --item '<item>'` shows its
//! records and why rows are refused.
//!
//! - **Numbers** have a decimal point and no thousands separators; a row with `1,000` is refused. With `decimal:=` the
//!   other sign separates thousands, and so do a space and an apostrophe. A file with decimal commas that does not say
//!   so is refused, because `1.100` could be both. Values in an item have a decimal point.
//! - Empty, `NA`, `N/A`, `NaN`, `None`, `null` and `-` are null; in a text field only empty is.
//! - **Dates** are `2024-12-31` or `20241231`. **Times** are dates, or `2024-12-31 09:30:00.5` with a space or `T`, and
//!   with or without an offset (`Z`, `-05:00`). A list of texts is a JSON list, or texts separated by `|`.
//! - **Articles** (`news_article`) without a score are scored like those of the providers; `sentiment_scorer` names the
//!   scorer.
//! - **CSV** is UTF-8 with a header line. The separator (`,` `;` tab or `|`) is the one most frequent in that line.
//!   Values may be quoted, and then hold line breaks. A row with more or fewer values than the header is refused.
//! - **JSON lines**: an object on each line.
//! - **Parquet** may have 64 MiB, 100,000,000 rows, and 512 MiB in a row group after decompression. Nested columns and
//!   the encoding `DELTA_BYTE_ARRAY` are not supported; compression is Snappy, Zstandard, gzip or LZ4 (`LZ4_RAW`).
//! - CSV and JSON lines are read in windows of 1 MiB, in order, so the file may have any size. A row must fit in a
//!   window.
//! - Of rows with the same key, the one with the latest `known_at` counts, else the later row. Within a window, the
//!   others are refused.
//! - If all rows of the first window (at least ten) are refused, the whole file is: the mapping is wrong.
//!
//! A refused row becomes a dead letter with its original text. Files are read again every day; unchanged rows change
//! nothing in the tables. To read them now, stop the deck and run `tapedeck up --once`; on
//! a cluster, `producer run file --once`.

use std::time::Duration;

use crate::schedule::{Kind, Schedule, days};
use crate::source::{Auth, Endpoint, History, LookBack, Source};

mod cell;
mod csv;
mod decimal_sign;
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

/// A user who has a file read again wants its records again.
const READ_AGAIN: History = History { look_back: LookBack::Nothing, ..History::ALL };
const ITEM: &str = "file and mapping, e.g. `prices.csv?ohlcv_bar&symbol=Ticker&trading_date=Date&bar_interval:=1d`";
const KNOWN_AT: &str = "a column of the file, else when it was last written";
/// Files of history rarely change, and a changed file is published again as a whole.
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
    "industry",
    "insider_transaction",
    "instrument",
    "model_performance",
    "news_article",
    "observation",
    "observation_vintage",
    "ohlcv_bar",
    "option_quote",
    "prediction",
    "sector",
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
