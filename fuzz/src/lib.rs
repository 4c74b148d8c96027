//! What every fuzz target does: it reads bytes as a response of an endpoint, and checks what holds of every response.
//!
//! There is one target for each endpoint, written by `UPDATE=1 ./test derived`.

use std::collections::{BTreeSet, HashSet};
use std::panic::{set_hook, take_hook};
use std::path::Path;
use std::sync::OnceLock;

use chrono::DateTime;
use contract::{Decoder, Record, Rows, dataset};
use sources::parse::body::MAX_ROWS;
use sources::parse::caught::without_caught;
use sources::response::{MAX_FRAGMENT_BYTES, Parsed, Request};
use sources::source::Endpoint;
use sources::source;

/// When the responses are received: 2026-11-20, as in the tests.
const RECEIVED_AT: i64 = 1_795_176_000;
/// Longest reason or error: it goes into a log line.
const MAX_MESSAGE_BYTES: usize = 2048;

/// Requested items: most responses must be about theirs. A process has one target.
static ITEMS: OnceLock<BTreeSet<String>> = OnceLock::new();

/// Reads bytes as a response of an endpoint, once for each item of its fixtures.
pub fn read(source_name: &str, endpoint: &str, body: &[u8]) {
    let items = ITEMS.get_or_init(|| {
        // libFuzzer's hook ends the process on every panic, even on one that a parser catches.
        set_hook(without_caught(take_hook()));
        items(source_name, endpoint)
    });
    let endpoint = source(source_name).and_then(|source| source.endpoint(endpoint)).expect("a declared endpoint");
    let received_at = DateTime::from_timestamp(RECEIVED_AT, 0).expect("a time");
    for item in items {
        let request = Request { item, offset: 0, received_at, last_modified: None };
        match endpoint.read(&request, body) {
            Ok(page) => check_page(endpoint, &page),
            Err(error) => check_message(&error.to_string()),
        }
    }
}

/// The items by which an endpoint's fixtures are named.
fn items(source: &str, endpoint: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sources/fixtures").join(source).join(endpoint);
    let fixtures = std::fs::read_dir(folder).expect("fixtures").map(|entry| entry.expect("a fixture").path());
    let item = |path: std::path::PathBuf| {
        let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
        stem.split('~').next().unwrap_or_default().to_owned()
    };
    fixtures.map(item).collect()
}

fn check_page(endpoint: &Endpoint, page: &Parsed) {
    assert!(page.records.len() <= MAX_ROWS && page.rejects.len() <= MAX_ROWS, "more rows than a page may have");
    for reject in &page.rejects {
        check_message(&reject.reason);
        assert!(reject.fragment.len() <= MAX_FRAGMENT_BYTES, "a fragment is too long");
    }
    let mut keys = HashSet::new();
    for record in &page.records {
        assert!(endpoint.datasets.contains(&record.dataset()), "a record of another dataset");
        assert!(keys.insert(key(record)), "two records have the same key");
        check_encoding(record);
    }
}

fn check_message(message: &str) {
    assert!(message.len() < MAX_MESSAGE_BYTES && !message.contains(['\n', '\0']), "no line for a log: {message:?}");
}

/// Dataset and natural key.
fn key(record: &Record) -> (&'static str, String) {
    let dataset = dataset(record.dataset()).expect("a dataset");
    let json = serde_json::to_value(record).expect("JSON");
    let parts = dataset.key.iter().map(|at| json[&dataset.fields[*at].name].to_string());
    (dataset.name.as_str(), parts.collect::<Vec<_>>().join("|"))
}

/// What is published can be read again.
fn check_encoding(record: &Record) {
    let dataset = dataset(record.dataset()).expect("a dataset");
    let mut body = Vec::new();
    record.encode(&mut body);
    let decoder = Decoder::new(dataset, &dataset.schema).expect("the dataset's own schema");
    decoder.decode(&body, &mut Rows::new(dataset)).unwrap_or_else(|error| panic!("{record:?}: {error}"));
}
