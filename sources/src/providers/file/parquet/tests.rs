use contract::Record;
use contract::records::{Company, OhlcvBar};

use super::*;
use crate::fixture::{at, bars, date, parse as parse_file, rejects, request};
use crate::providers::file::SOURCE;

const ITEM: &str = "bars.parquet?ohlcv_bar&ts_start=t&bar_interval:=1m";

fn fixture(name: &str) -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/file/parquet");
    std::fs::read(folder.join(name)).unwrap()
}

#[test]
fn typed_columns_are_read_as_what_they_mean() {
    let parsed = parse_file(&SOURCE, "parquet", &format!("{ITEM}.parquet")).unwrap();
    let bars: Vec<&OhlcvBar> = bars(&parsed);
    assert_eq!((bars.len(), rejects(&parsed), parsed.next_offset), (300, vec![], None));
    assert_eq!((bars[0].symbol.as_str(), bars[0].ts_start), ("AAPL", at("2024-07-01T13:30:00Z")));
    assert_eq!((bars[0].trading_date, bars[0].close, bars[0].volume), (date("2024-07-01"), 100.25, Some(1000.0)));
    assert_eq!((bars[1].open, bars[2].open), (None, Some(102.0)));
    assert_eq!((bars[299].symbol.as_str(), bars[299].close), ("MSFT", 399.25));
    assert_eq!(bars[299].known_at, at("2024-07-02T00:00:00Z"));
}

#[test]
fn every_compression_and_version_of_pages_gives_the_same() {
    let first = parse_file(&SOURCE, "parquet", &format!("{ITEM}.parquet")).unwrap();
    for name in ["gzip_v2", "zstd", "lz4_plain", "none_delta"] {
        let other = parse_file(&SOURCE, "parquet", &format!("{ITEM}~{name}.parquet")).unwrap();
        assert!(other == first, "{name}: {:?}", rejects(&other));
    }
}

#[test]
fn decimals_dates_and_wide_numbers_keep_every_digit() {
    let parsed = parse_file(&SOURCE, "parquet", "companies.parquet?company&listed_on=listed.parquet").unwrap();
    let Record::Company(company) = &parsed.records[0] else { panic!("{parsed:?}") };
    let Company { market_cap, shares_outstanding, listed_on, employees, .. } = &**company;
    assert_eq!(market_cap.unwrap().to_string(), "3400000000000.123456789");
    assert_eq!((shares_outstanding.unwrap().to_string(), *listed_on), ("-12.5".to_owned(), Some(date("1980-12-12"))));
    assert_eq!(
        (*employees, company.former_names.as_slice()),
        (Some(164_000), ["A".to_owned(), "B".to_owned()].as_slice())
    );
    assert_eq!(rejects(&parsed)[0], ("kind", "row 2: `market_cap`: a decimal with more than 28 digits cannot be read"));
    assert_eq!(
        parsed.rejects[0].fragment,
        br#"{"symbol":"B","name":"Big","employees":"1","market_cap":"a decimal with more than 28 digits"}"#
    );
}

#[test]
fn a_nested_column_is_refused_by_name_and_left_out_where_it_is_not_wanted() {
    let body = fixture("nested.parquet?news_article&symbols=tickers~error_nested.parquet");
    let refused = parse(&request("nested.parquet?news_article&symbols=tickers"), &body).unwrap_err();
    assert_eq!(refused, PageError::Skip("the column `tickers` is nested, which is not supported".to_owned()));
    let parsed = parse(&request("nested.parquet?news_article"), &body).unwrap();
    assert_eq!(parsed.records.len(), 2);
}

#[test]
fn rows_are_read_from_any_offset_on() {
    let body = fixture(&format!("{ITEM}.parquet"));
    let whole = parse(&request(ITEM), &body).unwrap().records;
    for offset in [0, 1, 99, 100, 101, 250, 299, 300, 1000] {
        let part = parse(&Request { offset, ..request(ITEM) }, &body).unwrap();
        assert!(part.records == whole[whole.len().min(offset as usize)..], "{offset}");
    }
}

#[test]
fn a_file_that_is_cut_off_or_damaged_gives_an_error_or_other_values() {
    let body = fixture(&format!("{ITEM}.parquet"));
    for end in 0..body.len() {
        assert!(parse(&request(ITEM), &body[..end]).is_err(), "{end}");
    }
    let mut damaged = body.clone();
    for at in 0..body.len() {
        for byte in [0, 0x7f, 0xff, body[at] ^ 0x10] {
            damaged[at] = byte;
            let _ = parse(&request(ITEM), &damaged);
        }
        damaged[at] = body[at];
    }
}

#[test]
fn numbers_in_bytes_are_twos_complement() {
    for number in [0, 1, -1, 127, 128, -128, -129, i128::MAX, i128::MIN] {
        let bytes = number.to_be_bytes();
        assert_eq!(whole(&bytes), Some(number));
        if i128::from(number as i16) == number {
            assert_eq!(whole(&bytes[14..]), Some(number));
        }
    }
    assert_eq!((whole(&[]), whole(&[1; 17])), (None, None));
}
