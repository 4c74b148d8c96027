//! The largest response that a provider can send fits into a producer's memory.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chrono::NaiveDate;
use producers::fetch::LIMITS;
use serde_json::Value;
use sources::SOURCES;
use sources::parse::body::MAX_ROWS;
use tempfile::TempDir;
use tests::process::executable;

/// Memory that a producer may allocate, in KiB: that of its container.
const MEMORY_KIB: usize = 256 * 1024;

/// Days of the rows, from the year 1614 on.
const FIRST_DAY: i32 = -130_000;
const DAYS: i32 = 150_000;
/// Days of the rows that have seconds, from 1970 on.
const SECONDS_DAYS: u64 = 80_000;
/// A line of a form 3.
const FORM_LINE: &str = "<derivativeHolding>";
const FORM_LINE_END: &str = "</derivativeHolding>";
/// Texts that distinguish rows.
const NAMES: &[&str] = &["accessionNumber", "accession_number", "contractSymbol", "option", "ticker"];

/// The first page among an endpoint's fixtures, and its item.
fn page(source: &str, endpoint: &str) -> (String, PathBuf) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sources/fixtures").join(source).join(endpoint);
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let pages = entries.filter(|path| !path.to_string_lossy().contains("~error"));
    // A plain one, if possible.
    let path = pages.min_by_key(|path| (path.to_string_lossy().contains('~'), path.clone())).unwrap();
    let stem = path.file_stem().unwrap().to_string_lossy();
    (stem.split('~').next().unwrap().to_owned(), path)
}

/// Bytes of the lists of each length: the rows of a page, or its columns side by side, are most of it.
fn lengths(value: &Value, found: &mut BTreeMap<usize, usize>) {
    match value {
        Value::Array(items) => {
            // A list of one item holds all other lists.
            let bytes = if items.len() > 1 { value.to_string().len() } else { 0 };
            *found.entry(items.len()).or_default() += bytes;
            items.iter().for_each(|item| lengths(item, found));
        }
        Value::Object(fields) => fields.values().for_each(|item| lengths(item, found)),
        _ => {}
    }
}

/// Makes each list of that length so many times as long: rows, or columns side by side.
fn lengthen(name: &str, value: &mut Value, length: usize, times: usize) {
    match value {
        Value::Array(items) if items.len() == length => {
            let own = std::mem::take(items);
            let row = |number| another(name, &own[number % length], number);
            *items = (0..(length * times).min(MAX_ROWS)).map(row).collect();
        }
        Value::Array(items) => items.iter_mut().for_each(|item| lengthen(name, item, length, times)),
        Value::Object(fields) => fields.iter_mut().for_each(|(name, item)| lengthen(name, item, length, times)),
        _ => {}
    }
}

/// Another row of its kind: every date, time in seconds, address and name differs.
fn another(name: &str, value: &Value, number: usize) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| another(name, item, number)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, item)| (name.clone(), another(name, item, number))).collect()
        }
        Value::String(text) if text.get(..10).is_some_and(|date| date.parse::<NaiveDate>().is_ok()) => {
            let date = NaiveDate::from_epoch_days(FIRST_DAY + number as i32 % DAYS).unwrap();
            format!("{date}{}", &text[10..]).into()
        }
        Value::String(text) if text.starts_with("http") => format!("{text}/{number}").into(),
        Value::String(text) if NAMES.contains(&name) => {
            let digits = text.bytes().rev().take_while(u8::is_ascii_digit).count().min(6);
            let last = number % 1_000_000;
            let last = if digits == 6 { format!("{last:06}") } else { format!("{last}") };
            format!("{}{last}", &text[..text.len() - digits]).into()
        }
        Value::Number(seconds) if seconds.as_u64().is_some_and(|seconds| seconds > 1_000_000_000) => {
            (number as u64 % SECONDS_DAYS * 86_400).into()
        }
        other => other.clone(),
    }
}

/// A body of nearly the largest allowed size, made of a page's own rows.
fn inflated(body: &[u8]) -> Vec<u8> {
    if let Ok(mut value) = serde_json::from_slice::<Value>(body) {
        let mut found = BTreeMap::new();
        lengths(&value, &mut found);
        let times = LIMITS.body / body.len();
        let rows = found.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(length, _)| length);
        match (rows, &mut value) {
            (Some(length), value) if length > 0 => lengthen("", value, length, times),
            // A list written as an object, with its rows under numbers.
            (_, Value::Object(rows)) => {
                let own: Vec<Value> = std::mem::take(rows).into_iter().map(|(_, row)| row).collect();
                let row = |number| (format!("{number}"), another("", &own[number % own.len()], number));
                *rows = (0..(own.len() * times).min(MAX_ROWS)).map(row).collect();
            }
            _ => panic!("a fixture without rows"),
        }
        return serde_json::to_vec(&value).unwrap();
    }
    // The lines of a form, again and again.
    let text = String::from_utf8_lossy(body);
    if let Some((at, end)) = text.find(FORM_LINE).zip(text.find(FORM_LINE_END)) {
        let line = &text[at..end + FORM_LINE_END.len()];
        let times = (LIMITS.body - text.len()) / line.len();
        return [&text[..at], &line.repeat(times), &text[at..]].concat().into_bytes();
    }
    // What stands behind the first line, again and again.
    let head = body.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let times = (LIMITS.body - head) / (body.len() - head).max(1);
    [&body[..head], &body[head..].repeat(times)].concat()
}

/// Parses a response with that much memory.
fn read_in_bounds(folder: &Path, source: &str, endpoint: &str) -> Result<String, String> {
    let (item, path) = page(source, endpoint);
    let body = inflated(&std::fs::read(path).unwrap());
    let file = folder.join(format!("{source}-{endpoint}"));
    let mut written = std::fs::File::create(&file).unwrap();
    written.write_all(&body).unwrap();
    let output = Command::new("bash")
        .args(["-c", "ulimit -d \"$0\" && exec \"$@\"", &MEMORY_KIB.to_string()])
        .arg(executable("producer"))
        .args(["parse", source, endpoint, "--item", &item])
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    let said = format!("{source}/{endpoint}, {} bytes: {}", body.len(), String::from_utf8_lossy(&output.stderr).trim());
    // 0: a page; 1: refused with one line. Out of memory ends in a signal.
    match output.status.code() {
        Some(0 | 1) if !said.contains("panicked") => Ok(said),
        _ => Err(format!("{said} ({})", output.status)),
    }
}

#[test]
fn the_largest_response_of_any_endpoint_is_read_or_refused_in_256_megabytes() {
    let folder = TempDir::new().unwrap();
    let endpoints: Vec<(&str, &str)> = SOURCES
        .iter()
        .flat_map(|source| source.endpoints.iter().map(|endpoint| (source.name, endpoint.name)))
        .collect();
    let (read, failed): (Vec<_>, Vec<_>) = endpoints
        .iter()
        .map(|(source, endpoint)| read_in_bounds(folder.path(), source, endpoint))
        .partition(Result::is_ok);
    read.into_iter().flatten().for_each(|said| println!("{said}"));
    let failed: Vec<String> = failed.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
