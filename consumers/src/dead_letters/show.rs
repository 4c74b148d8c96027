//! Shows everything about a dead letter.

use std::fmt::Write as _;

use anyhow::bail;
use chrono::{SecondsFormat, Utc};
use contract::original::decode_headers;
use contract::records::DeadLetter;
use contract::{Column, Dataset, Original, Rows, tombstone};
use kafka::registry::Registry;
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use super::plain;
use crate::sink::admit::Admission;
use crate::sink::schemas;
use store::{Database, Filter, Name, StoredDeadLetter};

/// Most bytes of a key, value or header that are shown.
const MAX_SHOWN_BYTES: usize = 2048;
/// Bytes in a line of a hex dump.
const BYTES_PER_LINE: usize = 16;

/// Shows every dead letter that the filter selects.
pub(crate) async fn shown(database: &Database, registry: Option<Registry>, filter: &Filter) -> anyhow::Result<String> {
    let mut store = database.dead_letters("dead-letters");
    let letters = store.next(filter, &Name { source: String::new(), id: String::new() }).await?;
    if letters.is_empty() {
        bail!("there is no dead letter `{}`; `dead-letters list --all` lists the newest", filter.ids.join(" "));
    }
    // Fetching a schema blocks, so this runs outside of the runtime's threads.
    let (runtime, sources) = (Handle::current(), (database.clone(), registry));
    let text = move || letters.iter().map(|letter| one(letter, &sources, &runtime)).collect::<Vec<_>>();
    Ok(tokio::task::spawn_blocking(text).await?.join("\n"))
}

/// Where schemas come from.
type Sources = (Database, Option<Registry>);

fn one(letter: &StoredDeadLetter, sources: &Sources, runtime: &Handle) -> String {
    let StoredDeadLetter { record, resolution, resolved_at } = letter;
    let mut out = String::new();
    let mut line = |name: &str, text: Option<String>| {
        let _ = writeln!(out, "{name:<19} {}", text.unwrap_or_else(|| "(none)".to_owned()).trim_end());
    };
    let number = |number: Option<i64>| number.map(|number| number.to_string());
    let time = |time: chrono::DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Micros, true);
    line("id", Some(plain(&record.dead_letter_id)));
    line("source", Some(plain(&record.source)));
    line("refused at", Some(time(record.known_at)));
    line("stage", Some(plain(&record.stage)));
    line("class", Some(plain(&record.error_class)));
    line("sqlstate", record.sqlstate.as_deref().map(plain));
    line("reason", Some(plain(&record.reason)));
    line("dataset", Some(plain(&record.dataset)));
    line("topic", record.kafka_topic.as_deref().map(plain));
    line("incarnation", number(record.kafka_incarnation));
    line("partition", number(record.kafka_partition));
    line("offset", number(record.kafka_offset));
    let stamp = record.record_timestamp_ms.and_then(chrono::DateTime::from_timestamp_millis).map(time);
    line("timestamp", stamp);
    line("flags", (!record.flags.is_empty()).then(|| plain(&record.flags.join(", "))));
    let resolved = resolution.as_ref().zip(resolved_at.as_ref());
    line("tried again", Some(resolved.map_or("open".to_owned(), |(what, when)| format!("{what} at {when}"))));
    line("key", record.record_key.as_deref().map(bytes));
    for (name, value) in record.record_headers.as_deref().map(decode_headers).unwrap_or_default() {
        line(&format!("header {}", bytes(name)), value.map(bytes));
    }
    line("value", record.record_value.as_deref().map(bytes));
    if record.stage != "parse" {
        let read = decoded(record, sources, runtime);
        line("record", Some(read.map_or_else(|why| format!("(not readable: {})", plain(&why)), |json| plain(&json))));
    }
    out
}

/// The record as JSON, or why it cannot be read.
fn decoded(record: &DeadLetter, (database, registry): &Sources, runtime: &Handle) -> Result<String, String> {
    let Some(dataset) = contract::dataset(&record.dataset) else {
        return Err(format!("there is no dataset `{}`", record.dataset));
    };
    let mut rows = Rows::new(dataset);
    let schemas = schemas::read_from(database, dataset, registry.clone());
    let mut admission = Admission::new(dataset, schemas, Vec::new());
    match admission.decode(&original(record), runtime, &mut rows) {
        Ok(None) => Ok(json(dataset, &rows)),
        Ok(Some(cause)) => Err(cause.reason),
        Err(missing) => Err(missing.to_string()),
    }
}

/// The original message of a dead letter.
pub(crate) fn original(record: &DeadLetter) -> Original<'_> {
    Original {
        offset: record.kafka_offset.unwrap_or_default(),
        timestamp_ms: record.record_timestamp_ms,
        key: record.record_key.as_deref(),
        value: record.record_value.as_deref(),
        headers: record.record_headers.as_deref(),
    }
}

fn json(dataset: &Dataset, rows: &Rows) -> String {
    let field = |(at, field): (usize, &contract::Field)| {
        let value = match rows.column(at) {
            Column::Text(values) => Value::from(values[0].clone()),
            Column::Long(values) => Value::from(values[0]),
            Column::Double(values) => Value::from(values[0]),
            Column::TextList(values) => Value::from(values[0].clone()),
            Column::Bytes(values) => values[0].as_deref().map_or(Value::Null, |value| Value::from(bytes(value))),
            other => Some(tombstone::shown(other, 0)).filter(|text| !text.is_empty()).map_or(Value::Null, Value::from),
        };
        (field.name.clone(), value)
    };
    let mut object: Map<String, Value> = dataset.fields.iter().enumerate().map(field).collect();
    if rows.deleted()[0] {
        object.insert("deleted".to_owned(), Value::Bool(true));
    }
    Value::Object(object).to_string()
}

/// Bytes as text when they are UTF-8, else as a hex dump; bounded.
fn bytes(bytes: &[u8]) -> String {
    let is_text = |text: &&str| !text.chars().any(|letter| letter.is_control() && !letter.is_ascii_whitespace());
    let mut shown = &bytes[..bytes.len().min(MAX_SHOWN_BYTES)];
    let text = std::str::from_utf8(bytes).ok().filter(is_text);
    let mut out = match text {
        Some(text) => plain(&text[..text.floor_char_boundary(MAX_SHOWN_BYTES)]),
        None => String::new(),
    };
    while text.is_none() && !shown.is_empty() {
        let (line, rest) = shown.split_at(shown.len().min(BYTES_PER_LINE));
        let hex: String = line.iter().map(|byte| format!("{byte:02x} ")).collect();
        let seen: String =
            line.iter().map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' }).collect();
        let _ = write!(out, "\n    {hex:<width$} {seen}", width = 3 * BYTES_PER_LINE);
        shown = rest;
    }
    if bytes.len() > MAX_SHOWN_BYTES {
        let _ = write!(out, " ({} bytes in all)", bytes.len());
    }
    out
}
