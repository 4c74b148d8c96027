//! The rules for every page, and odd bodies to check them with.

use std::collections::HashSet;

use chrono::{DateTime, Days, NaiveDate, Utc};
use contract::{Column, Dataset, Decoder, Record, Rows, dataset};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::Value;
use sources::parse::body::MAX_ROWS;
use sources::response::{MAX_FRAGMENT_BYTES, PageError, Parsed, Request};
use sources::time::midnight;

/// Longest reason or error: it goes into a log line.
const MAX_MESSAGE_BYTES: usize = 2048;

/// A record as a consumer gets it: encoded, and decoded into the last of the rows.
pub(super) fn round_trip(record: &Record, dataset: &Dataset, rows: &mut Rows) {
    let mut body = Vec::new();
    record.encode(&mut body);
    let decoder = Decoder::new(dataset, &dataset.schema).expect("the dataset's own schema");
    decoder.decode(&body, rows).unwrap_or_else(|error| panic!("{record:?}: {error}"));
}

/// One value of a row, as the record's JSON says it.
pub(super) fn column_value(column: &Column, row: usize) -> Value {
    let date = |days: i32| NaiveDate::from_epoch_days(days).expect("a date").to_string();
    match column {
        Column::Text(values) | Column::Json(values) => values[row].clone().into(),
        Column::Decimal(values) => serde_json::to_value(values[row]).expect("JSON"),
        Column::Long(values) => values[row].into(),
        Column::Double(values) => values[row].into(),
        Column::Date(values) => values[row].map(date).into(),
        Column::Timestamp(values) => serde_json::to_value(values[row].map(instant)).expect("JSON"),
        Column::Bytes(values) => serde_json::to_value(values[row].as_ref()).expect("JSON"),
        Column::TextList(values) => values[row].clone().into(),
    }
}

/// One value of a row, to make a record of.
pub(super) fn value(column: &Column, row: usize) -> contract::Value {
    use contract::Value as Made;
    match column {
        Column::Text(values) | Column::Json(values) => {
            values[row].as_deref().map_or(Made::Null, |text| Made::Text(text.into()))
        }
        Column::Decimal(values) => values[row].map_or(Made::Null, Made::Decimal),
        Column::Long(values) | Column::Timestamp(values) => values[row].map_or(Made::Null, Made::Long),
        Column::Double(values) => values[row].map_or(Made::Null, Made::Double),
        Column::Date(values) => values[row].map_or(Made::Null, Made::Date),
        Column::Bytes(values) => values[row].clone().map_or(Made::Null, Made::Bytes),
        Column::TextList(values) => Made::TextList(values[row].clone()),
    }
}

pub(super) fn instant(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).expect("a time")
}

/// What holds for every page, whatever the provider sends.
pub(super) fn assert_page(request: &Request<'_>, page: &Parsed) {
    for name in page.records.iter().map(Record::dataset).collect::<HashSet<_>>() {
        let dataset = dataset(name).expect("a dataset");
        let keys: Vec<String> =
            page.records.iter().filter(|record| record.dataset() == name).map(|r| key(dataset, r)).collect();
        let distinct: HashSet<&String> = keys.iter().collect();
        assert_eq!(keys.len(), distinct.len(), "two records of one page have the same key");
    }
    assert!(page.records.len() <= MAX_ROWS);
    assert!(page.rejects.iter().all(|reject| reject.fragment.len() <= MAX_FRAGMENT_BYTES));
    for reject in &page.rejects {
        let reason = &reject.reason;
        let is_line = reason.len() < MAX_MESSAGE_BYTES && !reason.contains(['\n', '\0']);
        assert!(is_line, "{} bytes: {:.300}", reason.len(), reason.replace(['\n', '\0'], "?"));
    }
    for record in &page.records {
        let json = serde_json::to_value(record).expect("JSON");
        let known_at: DateTime<Utc> = json["known_at"].as_str().expect("a time").parse().expect("a time");
        assert!(known_at <= request.received_at, "nothing is known after it is received");
        assert_not_early(&json, known_at, request.received_at);
        record.encode(&mut Vec::new());
    }
}

/// A record is known neither before the time at which it was published, nor before its day of publication is over.
fn assert_not_early(json: &serde_json::Value, known_at: DateTime<Utc>, received_at: DateTime<Utc>) {
    for name in ["accepted_at", "published_at", "evaluated_at", "made_at"] {
        let time: Option<DateTime<Utc>> = json[name].as_str().map(|text| text.parse().expect("a time"));
        assert!(time.is_none_or(|time| known_at >= time.min(received_at)), "{name}: {json}");
    }
    // A filing is public on its date; of the others only the date is known, which must be over.
    let dates = [("filed_on", 0), ("realtime_start", 1), ("vintage_date", 1)];
    let of_statement = json["statement"].is_string().then_some(("period_end", 1));
    for (name, days) in dates.into_iter().chain(of_statement) {
        let Some(date) = json[name].as_str() else { continue };
        let date: NaiveDate = date.parse().expect("a date");
        let Some(earliest) = date.checked_add_days(Days::new(days)).map(midnight) else { continue };
        assert!(known_at >= earliest.min(received_at), "{name}: {json}");
    }
}

pub(crate) fn assert_outcome(request: &Request<'_>, outcome: &Result<Parsed, PageError>) {
    match outcome {
        Ok(page) => assert_page(request, page),
        Err(error) => {
            let message = error.to_string();
            assert!(message.len() < MAX_MESSAGE_BYTES && !message.contains(['\n', '\0']), "{message}");
        }
    }
}

/// The natural key, from the record's JSON.
pub(super) fn key(dataset: &Dataset, record: &Record) -> String {
    let json = serde_json::to_value(record).expect("JSON");
    let parts = dataset.key.iter().map(|position| json[&dataset.fields[*position].name].to_string());
    parts.collect::<Vec<_>>().join("|")
}

/// A fixture's body with some bytes replaced, removed or put in.
pub(super) fn mangled(body: &[u8], edits: &[(usize, u8, Vec<u8>)]) -> Vec<u8> {
    let mut body = body.to_vec();
    for (at, removed, inserted) in edits {
        let at = at % (body.len() + 1);
        let end = (at + usize::from(*removed)).min(body.len());
        body.splice(at..end, inserted.iter().copied());
    }
    body
}

/// Bytes that mean something to one format or another.
pub(super) fn token() -> impl Strategy<Value = Vec<u8>> {
    let tokens: Vec<&[u8]> = vec![
        b"\n",
        b"\r\n",
        b",",
        b"\"",
        b"null",
        b"-1",
        b"1e308",
        b"1e999",
        b"9223372036854775807",
        b"-62135596801",
        b"[",
        b"]",
        b"{",
        b"}",
        b"NaN",
        b".",
        b"\\u0000",
        b"\xff",
        b"\xef\xbb\xbf",
        b"0000-00-00",
        b"<html>",
        b"12/31/9999",
        b"\0",
    ];
    prop_oneof![prop::sample::select(tokens).prop_map(<[u8]>::to_vec), prop::collection::vec(any::<u8>(), 0..8)]
}

/// Checks some hundred made-up values; of one that fails the smallest is shown.
pub(super) fn for_many<S: Strategy>(strategy: &S, check: impl Fn(S::Value)) {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) };
    let outcome = TestRunner::new(config).run(strategy, |value| {
        check(value);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
