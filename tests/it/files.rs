//! The source `file`: files of any size in a folder become rows.

use std::fmt::Write as _;
use std::process::Command;

use chrono::{Days, NaiveDate};
use tests::broker::benches;
use tests::process::{executable, fail, succeed};
use tests::root;

/// Symbols and days of the large file: with 60 bytes a row some 3 MB, three pieces.
const SYMBOLS: u64 = 170;
const DAYS: u64 = 300;

/// A user's prices, with one row that cannot be read.
fn prices() -> String {
    let mut text = "Ticker;Date;Open;High;Low;Close;Volume\n".to_owned();
    for day in 0..DAYS {
        let date = NaiveDate::from_ymd_opt(2020, 1, 1).unwrap() + Days::new(day);
        for symbol in 0..SYMBOLS {
            let price = 100.0 + symbol as f64 + day as f64 / 8.0;
            let (high, low, close) = (price + 1.5, price - 1.25, price + 0.25);
            writeln!(text, "SYM{symbol:04};{date};{price};{high};{low};{close};{}", 1_000_000 + symbol * day).unwrap();
        }
    }
    text + "SYM0000;2030-01-01;1;1;1;a hundred;1\n"
}

#[test]
fn every_row_of_a_large_file_is_stored_once_under_the_name_that_the_item_gives() {
    let text = prices();
    assert!(text.len() > 5 << 19, "{} bytes are no large file", text.len());
    for (name, bench) in benches() {
        let folder = bench.folder.path();
        std::fs::create_dir_all(folder.join("history")).unwrap();
        std::fs::write(folder.join("history/prices.csv"), &text).unwrap();
        std::fs::write(folder.join("history/cpi.jsonl"), "{\"month\":\"2024-01-01\",\"value\":308.417}").unwrap();
        let watchlist = folder.join("watchlist.toml");
        let items = "[file]\ncsv = [\"prices.csv?ohlcv_bar&symbol=Ticker&trading_date=Date&bar_interval:=1d&source:=stooq\", \
            \"none.csv?series\"]\njsonl = [\"cpi.jsonl?observation&series_id:=CPI&observation_date=month\"]\n";
        std::fs::write(&watchlist, items).unwrap();
        let address = format!("file:{}", folder.join("history").display());
        let environment =
            bench.with(&[("TAPEDECK_WATCHLIST", watchlist.to_str().unwrap()), ("TAPEDECK_FILE_URL", &address)]);
        for round in ["at first", "again"] {
            // The file that is missing fails the run and costs no other.
            let said = fail("producer", &["run", "file", "--once"], &environment);
            assert!(said.contains("cannot read `none.csv`"), "{round} on {name}: {said}");
            succeed("consumer", &["run", "--once"], &bench.environment);
            let count = |table: &str| bench.number(&format!("select count(*) as n from {table}"));
            assert_eq!(count("ohlcv_bar where source = 'stooq'"), (SYMBOLS * DAYS) as i64, "{round} on {name}");
            assert_eq!(count("observation where source = 'file'"), 1, "{round} on {name}");
            let letters = bench.query("select source, dataset, error_class, reason from dead_letter");
            assert_eq!(letters.len(), 1, "{round} on {name}: {letters:?}");
            let letter: Vec<&str> = letters[0].iter().flatten().map(String::as_str).collect();
            assert_eq!(letter[..3], ["file", "ohlcv_bar", "number"], "{round} on {name}");
            assert!(letter[3].ends_with("`close`: `a hundred` is not a number"), "{}", letter[3]);
        }
        let last =
            bench.query("select trading_date, close, volume from ohlcv_bar where symbol = 'SYM0169' order by 1 desc");
        let number = |at: usize| last[0][at].as_deref().unwrap().parse::<f64>().unwrap();
        assert_eq!(last[0][0].as_deref(), Some("2020-10-26"), "on {name}");
        assert_eq!((number(1), number(2)), (306.625, 1_050_531.0), "on {name}");
    }
}

/// The position in that file of a byte that the library trusts without a check.
const BELIEVED: usize = 44;

#[test]
fn a_damaged_parquet_file_is_refused_with_one_line_even_where_the_library_panics() {
    let folder = tempfile::tempdir().unwrap();
    let item = "bars.parquet?ohlcv_bar&ts_start=t&bar_interval:=1m";
    let whole = root().join("sources/fixtures/file/parquet").join(format!("{item}~none_delta.parquet"));
    let mut bytes = std::fs::read(whole).unwrap();
    bytes[BELIEVED] = 0xff;
    let damaged = folder.path().join("damaged.parquet");
    std::fs::write(&damaged, bytes).unwrap();
    let mut producer = Command::new(executable("producer"));
    let output = producer.args(["parse", "file", "parquet", "--item", item]).arg(&damaged).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.ends_with("the Parquet file cannot be read: the file contradicts itself\n"), "{said}");
}
