//! `producer list`.

use std::io::{self, Write as _};

use producers::SOURCES;
use producers::source::{Endpoint, Source};
use serde_json::{Value, json};
use service::settings;

/// Writes what there is, for a person.
pub(crate) fn table() -> anyhow::Result<()> {
    let mut text = String::new();
    for source in SOURCES {
        text.push_str(&format!("{}: {}\n", source.name, source.doc));
        text.push_str(&format!("    address: {} (`{}`)\n", source.base_url, source.base_url_env));
        if let Some(key) = source.key_variable() {
            let state = if settings::read(&key).is_some() { "set" } else { "not set" };
            text.push_str(&format!("    key: `{}`, {state}; {}\n", key.name, key.doc));
        }
        if let Some(quota) = source.quota {
            text.push_str(&format!("    calls a day: {} (`{}`)\n", quota.calls, quota.env));
        }
        for endpoint in source.endpoints {
            text.push_str(&endpoint_lines(endpoint));
        }
    }
    print(&text)
}

fn endpoint_lines(endpoint: &Endpoint) -> String {
    let Endpoint { name, doc, item, known_at, .. } = endpoint;
    let (datasets, minutes) = (endpoint.datasets.join(", "), endpoint.poll.as_secs() / 60);
    format!("    {name} -> {datasets}: {doc}\n        item: {item}; every {minutes} min; known_at: {known_at}\n")
}

/// Writes what there is, for a program.
pub(crate) fn json() -> anyhow::Result<()> {
    let sources: Vec<Value> = SOURCES.iter().map(source_json).collect();
    print(&format!("{:#}\n", Value::from(sources)))
}

fn source_json(source: &Source) -> Value {
    let key = source.key_variable();
    json!({
        "name": source.name,
        "doc": source.doc,
        "base_url": source.base_url,
        "base_url_env": source.base_url_env,
        "key_env": key.as_ref().map(|key| key.name),
        "key_set": key.map(|key| settings::read(&key).is_some()),
        "daily_calls": source.quota.map(|quota| quota.calls),
        "daily_calls_env": source.quota.map(|quota| quota.env),
        "endpoints": source.endpoints.iter().map(endpoint_json).collect::<Vec<Value>>(),
    })
}

fn endpoint_json(endpoint: &Endpoint) -> Value {
    json!({
        "name": endpoint.name,
        "doc": endpoint.doc,
        "datasets": endpoint.datasets,
        "item": endpoint.item,
        "known_at": endpoint.known_at,
        "poll_seconds": endpoint.poll.as_secs(),
    })
}

/// A reader that has seen enough is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
