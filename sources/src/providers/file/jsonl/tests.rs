use contract::Record;
use proptest::prelude::*;

use super::*;
use crate::fixture::{at, bars, parse as parse_file, rejects, request};
use crate::providers::file::SOURCE;

const KLINES: &str = "k.jsonl?ohlcv_bar&symbol=s&bar_interval:=1m&ts_start=t|ms&close=c";

fn parse_text(item: &str, text: &str) -> Result<Parsed, PageError> {
    parse(&request(item), text.as_bytes())
}

#[test]
fn an_object_is_a_record_with_every_name_where_the_item_says() {
    let parsed = parse_file(
        &SOURCE,
        "jsonl",
        "klines.jsonl?ohlcv_bar&symbol=s&bar_interval:=1m&ts_start=t|ms&close=c~odd_lines.jsonl",
    );
    let parsed = parsed.unwrap();
    let bars = bars(&parsed);
    assert_eq!((bars[0].symbol.as_str(), bars[0].ts_start), ("BTCUSDT", at("2024-07-01T00:00:00Z")));
    assert_eq!((bars[0].open, bars[0].close, bars[0].volume), (Some(62_772.01), 62_780.0, Some(12.5)));
    assert_eq!((bars[1].close, bars[1].open), (62_790.25, None));
    assert_eq!(
        rejects(&parsed),
        [
            ("shape", "line 3: is not a JSON object"),
            ("number", "line 5: `close`: `{\"usd\":1}` is not a number"),
            ("absent", "line 6: has no `close`"),
            ("date", "line 7: `ts_start`: `soon` is not a time"),
        ]
    );
}

#[test]
fn decimals_lists_and_json_are_kept_as_they_are_written() {
    let item = "c.jsonl?company&former_names=was&other=rest&market_cap=cap";
    let text = r#"{"symbol":"X","name":"N\u00e9","cap":123456789012345.123456789012,"was":["A","B"],"rest":{"a": 1.0},"employees":7}"#;
    let parsed = parse_text(item, &format!("{text}\n")).unwrap();
    let Record::Company(company) = &parsed.records[0] else { panic!("{parsed:?}") };
    assert_eq!(company.market_cap.unwrap().to_string(), "123456789012345.123456789012");
    assert_eq!((company.name.as_str(), company.other.as_deref()), ("N\u{e9}", Some(r#"{"a": 1.0}"#)));
    assert_eq!(
        (company.former_names.as_slice(), company.employees),
        (["A".to_owned(), "B".to_owned()].as_slice(), Some(7))
    );
}

#[test]
fn a_declared_notation_is_that_of_texts_and_numbers_keep_their_point() {
    let item = "a.jsonl?ohlcv_bar&symbol:=X&bar_interval:=1d&decimal:=,";
    let text = r#"{"trading_date":"2024-01-02","open":1.250,"close":"1.250,5","volume":1e3}"#;
    let parsed = parse_text(item, &format!("{text}\n")).unwrap();
    let bar = bars(&parsed)[0];
    assert_eq!((bar.open, bar.close, bar.volume), (Some(1.25), 1250.5, Some(1000.0)));
}

#[test]
fn the_very_name_goes_before_one_in_another_case() {
    let item = "a.jsonl?ohlcv_bar&symbol:=X&bar_interval:=1d";
    for text in [
        r#"{"CLOSE":1,"close":2,"Close":3,"trading_date":"2024-01-02"}"#,
        r#"{"Close":2,"TRADING_DATE":"2024-01-02","trading_Date":"2024-01-03"}"#,
    ] {
        assert_eq!(bars(&parse_text(item, &format!("{text}\n")).unwrap())[0].close, 2.0);
    }
}

#[test]
fn what_is_no_file_of_lines_is_refused() {
    for (text, words) in [
        ("", "the file is empty"),
        ("[\n{\"a\":1}\n]\n", "expected an object on each line, found `[`"),
        ("{\"a\":1}", "is not a whole line"),
        ("Date,Close\n", "expected an object on each line, found `Date,Close`"),
    ] {
        let error = parse_text(KLINES, text).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn nesting_without_end_is_one_reject() {
    let text = format!("{{\"s\":\"X\",\"t\":1,\"c\":1}}\n{{\"c\":{}\n", "[".repeat(100_000));
    let parsed = parse_text(KLINES, &text).unwrap();
    assert_eq!((parsed.records.len(), parsed.rejects[0].class), (1, "shape"));
}

/// All records of a file, read in windows of that many bytes.
fn read(file: &[u8], most: usize) -> Vec<Record> {
    let (mut all, mut offset) = (Vec::new(), 0);
    loop {
        let from = (offset as usize).saturating_sub(1).min(file.len());
        let mut body = file[from..(from + most).min(file.len())].to_vec();
        if body.len() < most && body.last().is_some_and(|byte| *byte != b'\n') {
            body.push(b'\n');
        }
        let parsed = parse_window(&Request { offset, ..request(KLINES) }, &body, most).unwrap();
        assert!(parsed.rejects.is_empty(), "{:?}", parsed.rejects);
        all.extend(parsed.records);
        match parsed.next_offset {
            Some(next) => {
                assert!(next > offset);
                offset = next;
            }
            None => return all,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn windows_of_any_size_give_the_same_records(
        rows in prop::collection::btree_set(0u32..1_000_000, 1..40),
        is_ended in any::<bool>(),
        most in 80usize..600,
    ) {
        let mut file = String::new();
        for minute in &rows {
            file += &format!("{{\"s\": \"X\\n\", \"t\": {}, \"c\": {minute}.5}}\n\n", u64::from(*minute) * 60_000);
        }
        if !is_ended {
            file.truncate(file.len() - 2);
        }
        let whole = read(file.as_bytes(), 1 << 20);
        prop_assert_eq!(whole.len(), rows.len());
        prop_assert_eq!(read(file.as_bytes(), most), whole);
    }
}
