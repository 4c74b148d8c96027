//! What the parsers' tests share.

use std::path::Path;

use chrono::{DateTime, NaiveDate, Utc};
use contract::Record;
use contract::records::OhlcvBar;

use crate::source::{PageError, Parsed, Request, Source};

pub(crate) const RECEIVED: &str = "2026-11-20T12:00:00Z";

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(crate) fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

pub(crate) fn request(item: &str) -> Request<'_> {
    Request { item, offset: 0, received_at: at(RECEIVED), last_modified: None }
}

/// Parses `fixtures/<source>/<endpoint>/<file>`; the item is what stands before `~` or the extension.
pub(crate) fn parse(source: &Source, endpoint: &str, file: &str) -> Result<Parsed, PageError> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(source.name).join(endpoint).join(file);
    let body = std::fs::read(&path).unwrap();
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let item = stem.split('~').next().unwrap();
    source.endpoint(endpoint).unwrap().read(&request(item), &body)
}

/// The records of a page, all of which are of that variant.
macro_rules! only {
    ($parsed:expr, $variant:ident) => {
        $parsed
            .records
            .iter()
            .map(|record| match record {
                contract::Record::$variant(record) => &**record,
                other => panic!("not {}: {other:?}", stringify!($variant)),
            })
            .collect::<Vec<_>>()
    };
}
pub(crate) use only;

/// The bars among the records.
pub(crate) fn bars(parsed: &Parsed) -> Vec<&OhlcvBar> {
    parsed.records.iter().filter_map(bar).collect()
}

fn bar(record: &Record) -> Option<&OhlcvBar> {
    match record {
        Record::OhlcvBar(bar) => Some(bar),
        _ => None,
    }
}

/// Classes and reasons of the rejects.
pub(crate) fn rejects(parsed: &Parsed) -> Vec<(&str, &str)> {
    parsed.rejects.iter().map(|reject| (reject.class, reject.reason.as_str())).collect()
}
