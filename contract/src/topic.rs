//! Names on Kafka, and message keys.

use std::fmt::Write as _;

use crate::dataset::Dataset;

/// Topic of a dataset, e.g. `tapedeck.ohlcv_bar.v1`.
///
/// The namespace is `tapedeck`, unless several installations share a cluster.
pub fn topic(namespace: &str, dataset: &Dataset) -> String {
    format!("{namespace}.{}.v{}", dataset.name, dataset.version)
}

/// Consumer group of a dataset and a sink, e.g. `tapedeck.ohlcv_bar.postgres`.
pub fn group(namespace: &str, dataset: &Dataset, sink: &str) -> String {
    format!("{namespace}.{}.{sink}", dataset.name)
}

/// Subject under which a schema registry keeps a topic's schema (Confluent's TopicNameStrategy).
pub fn subject(topic: &str) -> String {
    format!("{topic}-value")
}

/// Appends a part to a message key.
///
/// `|` separates the parts; a `\` precedes each `|` or `\` inside a part.
pub fn put_key_part(part: impl std::fmt::Display, key: &mut String) {
    if !key.is_empty() {
        key.push('|');
    }
    let start = key.len();
    write!(key, "{part}").expect("writing to a string cannot fail");
    if key[start..].contains(['|', '\\']) {
        let escaped = key[start..].replace('\\', "\\\\").replace('|', "\\|");
        key.truncate(start);
        key.push_str(&escaped);
    }
}

/// The parts of a message key, as [`put_key_part`] wrote them.
pub fn key_parts(key: &str) -> Vec<String> {
    let (mut parts, mut part, mut escaped) = (Vec::new(), String::new(), false);
    for character in key.chars() {
        match character {
            '\\' if !escaped => escaped = true,
            '|' if !escaped => parts.push(std::mem::take(&mut part)),
            other => {
                part.push(other);
                escaped = false;
            }
        }
    }
    parts.push(part);
    parts
}
