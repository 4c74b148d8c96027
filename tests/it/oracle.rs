//! Every stored field equals that of a second parser of the same bytes: `tests/oracle`, in Python, which shares
//! neither code nor libraries with ours.
//!
//! It parses the fixtures, and the recorded responses if they lie beside the repository. It skips what it cannot
//! compute: our scores of headlines. Of ids that are hashes it only requires that there is one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use chrono::{DateTime, Utc};
use contract::{Dataset, Kind, dataset};
use serde_json::{Value, json};
use sources::response::Request;
use sources::source;
use tests::{root, samples, service};

use crate::conformance::Promises;
use crate::samples::expectations;

const RECEIVED_AT: &str = "2026-11-20T12:00:00Z";
const LAST_MODIFIED: &str = "2026-11-19T21:00:00Z";
/// Most differences shown.
const MAX_SHOWN: usize = 40;

/// A response and its request.
struct Response {
    source: String,
    endpoint: String,
    item: String,
    offset: u64,
    file: PathBuf,
}

impl Response {
    /// The parsed records; None if the page has rejects or is an error, which have their own tests.
    fn records(&self) -> Option<Vec<Entry>> {
        let endpoint = source(&self.source).unwrap().endpoint(&self.endpoint).unwrap();
        let body = std::fs::read(&self.file).unwrap();
        let (received_at, last_modified) = (RECEIVED_AT.parse().unwrap(), LAST_MODIFIED.parse().ok());
        let request = Request { item: &self.item, offset: self.offset, received_at, last_modified };
        let page = endpoint.read(&request, &body).ok().filter(|page| page.rejects.is_empty())?;
        let entry = |record| Entry::of(contract::Record::dataset(record), serde_json::to_value(record).unwrap());
        Some(page.records.iter().map(entry).collect::<Vec<_>>()).filter(|records| !records.is_empty())
    }

    /// The request to the second parser.
    fn line(&self) -> String {
        let Response { source, endpoint, item, offset, file } = self;
        let (received_at, last_modified) = (RECEIVED_AT, LAST_MODIFIED);
        json!({
            "source": source, "endpoint": endpoint, "item": item, "offset": offset,
            "received_at": received_at, "last_modified": last_modified, "file": file,
        })
        .to_string()
    }
}

/// A record as JSON.
struct Entry {
    dataset: &'static Dataset,
    key: String,
    fields: Value,
}

impl Entry {
    fn of(name: &str, fields: Value) -> Entry {
        let dataset = dataset(name).unwrap();
        let part = |at: &usize| {
            let field = &dataset.fields[*at];
            match (field.kind, fields[&field.name].as_str().unwrap_or_default()) {
                (Kind::Timestamp, time) => instant(time).map(|time| time.to_rfc3339()).unwrap_or_default(),
                (_, text) if is_hash(text) => "<hash>".to_owned(),
                (_, text) => text.to_owned(),
            }
        };
        let key = dataset.key.iter().map(part).collect::<Vec<_>>().join("|");
        Entry { dataset, key, fields }
    }
}

fn instant(text: &str) -> Option<DateTime<Utc>> {
    text.parse().ok()
}

/// True for an id that is a hash, or its placeholder.
fn is_hash(text: &str) -> bool {
    text == "<hash>" || text.len() == "xxh3:".len() + 32 && text.starts_with("xxh3:")
}

/// All responses that both parsers read.
fn responses() -> Vec<Response> {
    let fixture = |fixture: crate::conformance::Fixture| Response {
        source: fixture.source.name.to_owned(),
        endpoint: fixture.endpoint.name.to_owned(),
        item: fixture.item,
        offset: 0,
        file: fixture.path,
    };
    let mut all: Vec<Response> = Promises::ours().fixtures().into_iter().map(fixture).collect();
    let table = std::fs::read_to_string(root().join("tests/samples.tsv")).unwrap();
    if let Some(folder) = samples() {
        let real = expectations(&table).into_iter().filter(|one| one.source != "-");
        all.extend(real.map(|one| Response {
            source: one.source.to_owned(),
            endpoint: one.endpoint.to_owned(),
            item: one.item.to_owned(),
            offset: one.offset,
            file: folder.join(one.file),
        }));
    }
    all
}

/// The second parser's result for each response; None without Python.
fn read_again<'a>(responses: impl Iterator<Item = &'a Response>) -> Option<Vec<Vec<Entry>>> {
    let python = service("TAPEDECK_TEST_PYTHON")?;
    let folder = tempfile::tempdir().unwrap();
    let questions = folder.path().join("questions");
    std::fs::write(&questions, responses.map(|one| one.line() + "\n").collect::<String>()).unwrap();
    let mut reader = Command::new(python);
    reader.arg("-B").arg(root().join("tests/oracle")).stdin(File::open(&questions).unwrap());
    let output = reader.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let records = |line: &str| {
        let answer: Value = serde_json::from_str(line).unwrap();
        assert!(answer["error"].is_null(), "{}", answer["error"].as_str().unwrap_or_default());
        let entry = |one: &Value| Entry::of(one["dataset"].as_str().unwrap(), one["record"].clone());
        answer["records"].as_array().unwrap().iter().map(entry).collect()
    };
    Some(String::from_utf8(output.stdout).unwrap().lines().map(records).collect())
}

/// Records by dataset and key, in order.
fn by_key(entries: Vec<Entry>) -> BTreeMap<(&'static str, String), Vec<Entry>> {
    let mut all: BTreeMap<_, Vec<Entry>> = BTreeMap::new();
    for entry in entries {
        all.entry((entry.dataset.name.as_str(), entry.key.clone())).or_default().push(entry);
    }
    all
}

/// A line for each difference between the two parsers.
fn differences(ours: Vec<Entry>, theirs: Vec<Entry>) -> Vec<String> {
    let (ours, mut theirs) = (by_key(ours), by_key(theirs));
    let mut found = Vec::new();
    for (place, entries) in ours {
        let others = theirs.remove(&place).unwrap_or_default();
        if entries.len() != others.len() {
            found.push(format!("{place:?}: stored {} times, read {} times", entries.len(), others.len()));
        }
        for (entry, other) in entries.iter().zip(&others) {
            for field in &entry.dataset.fields {
                let (stored, read) = (&entry.fields[&field.name], &other.fields[&field.name]);
                let is_ours = matches!(field.name.as_str(), "observed_at" | "flags");
                if !is_ours && !is_same(field.kind, stored, read) {
                    found.push(format!("{place:?}: `{}` is stored as {stored}, read as {read}", field.name));
                }
            }
        }
    }
    found.extend(theirs.into_keys().map(|place| format!("{place:?}: read, not stored")));
    found
}

/// True if both values are equal; the second parser gives numbers as text.
fn is_same(kind: Kind, stored: &Value, read: &Value) -> bool {
    let text = match read {
        Value::String(text) => text.as_str(),
        _ => return stored == read,
    };
    match kind {
        _ if text == "<scored>" => !stored.is_null(),
        Kind::Text if is_hash(text) => stored.as_str().is_some_and(is_hash),
        Kind::Double => stored.as_f64().is_some_and(|number| text.parse::<f64>() == Ok(number)),
        Kind::Long => stored.as_i64().is_some_and(|number| text.parse::<i64>() == Ok(number)),
        Kind::Timestamp => stored.as_str().and_then(instant) == instant(text) && instant(text).is_some(),
        Kind::Json => {
            let parsed = |json: &str| serde_json::from_str::<Value>(json).ok();
            parsed(text).zip(stored.as_str().and_then(parsed)).is_some_and(|(read, stored)| says_same(&read, &stored))
        }
        _ => stored == read,
    }
}

/// True if two JSON values are equal: `1` equals `1.0`.
fn says_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| says_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let is_there = |(name, value)| other.get(name).is_some_and(|other| says_same(value, other));
            one.len() == other.len() && one.iter().all(is_there)
        }
        _ => one == other,
    }
}

#[test]
fn every_field_of_one_real_response_per_endpoint_is_what_an_independent_reading_gives() {
    let pages: Vec<(Response, Vec<Entry>)> =
        responses().into_iter().filter_map(|one| one.records().map(|records| (one, records))).collect();
    let Some(read) = read_again(pages.iter().map(|(response, _)| response)) else { return };
    assert_eq!(read.len(), pages.len());
    let (mut endpoints, mut found) = (BTreeSet::new(), Vec::new());
    for ((response, ours), theirs) in pages.into_iter().zip(read) {
        let differences = differences(ours, theirs);
        found.extend(differences.into_iter().map(|line| format!("{}: {line}", response.file.display())));
        endpoints.insert((response.source, response.endpoint));
    }
    let shown: Vec<&String> = found.iter().take(MAX_SHOWN).collect();
    assert!(found.is_empty(), "{} differences, the first are {shown:#?}", found.len());
    let name = |name: &str| name.to_owned();
    let all = Promises::ours().endpoints().map(|(source, endpoint)| (name(source.name), name(endpoint.name))).collect();
    assert_eq!(endpoints, all, "every endpoint is read twice");
}

#[test]
fn a_value_that_differs_is_found() {
    let fields = |value: &str| json!({ "source": "fred", "series_id": "GDP", "observation_date": "2024-01-01", "value": value, "known_at": RECEIVED_AT });
    let read = || vec![Entry::of("observation", fields("1.1"))];
    let stored = |value: f64| {
        let mut fields = fields("");
        fields["value"] = value.into();
        vec![Entry::of("observation", fields)]
    };
    assert!(differences(stored(1.1), read()).is_empty());
    assert_eq!(differences(stored(1.1_f64.next_up()), read()).len(), 1);
    assert_eq!((differences(Vec::new(), read()).len(), differences(stored(1.1), Vec::new()).len()), (1, 1));
}
