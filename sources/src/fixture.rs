//! The fixtures, and what the tests of parsers and producers share: saved responses of the real shape, read as if a
//! provider had just sent them.

#![cfg_attr(not(test), expect(clippy::unwrap_used, reason = "only tests call it"))]

use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDate, Utc};
use contract::Record;
use contract::records::OhlcvBar;

use crate::response::{PageError, Parsed, Request};
use crate::source::Source;

/// When the fixtures are received.
pub const RECEIVED: &str = "2026-11-20T12:00:00Z";

/// The instant that a text in RFC 3339 names.
pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The date that a text such as `2026-11-20` names.
pub fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// A request for an item, received at [`RECEIVED`].
pub fn request(item: &str) -> Request<'_> {
    Request { item, offset: 0, received_at: at(RECEIVED), last_modified: None }
}

/// The folder of all fixtures: `<source>/<endpoint>/<item>[~what it shows].<extension>`.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Parses `fixtures/<source>/<endpoint>/<file>`; the item is what stands before `~` or the extension.
pub fn parse(source: &Source, endpoint: &str, file: &str) -> Result<Parsed, PageError> {
    let path = folder().join(source.name).join(endpoint).join(file);
    let body = std::fs::read(&path).unwrap();
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let item = stem.split('~').next().unwrap();
    source.endpoint(endpoint).unwrap().read(&request(item), &body)
}

/// The records of a page, all of which are of that variant.
#[cfg(test)]
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
#[cfg(test)]
pub(crate) use only;

/// The bars among the records.
pub fn bars(parsed: &Parsed) -> Vec<&OhlcvBar> {
    parsed.records.iter().filter_map(bar).collect()
}

fn bar(record: &Record) -> Option<&OhlcvBar> {
    match record {
        Record::OhlcvBar(bar) => Some(bar),
        _ => None,
    }
}

/// Classes and reasons of the rejects.
pub fn rejects(parsed: &Parsed) -> Vec<(&str, &str)> {
    parsed.rejects.iter().map(|reject| (reject.class, reject.reason.as_str())).collect()
}
