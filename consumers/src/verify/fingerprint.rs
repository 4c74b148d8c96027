//! Fingerprints of a row's key and of its values. Pure; shares no code with the content hash.

use contract::{Column, Dataset, Rows};
use xxhash_rust::xxh3::Xxh3;

/// A 128-bit hash of a row's key.
pub(super) fn of_key(dataset: &Dataset, rows: &Rows, row: usize) -> [u64; 2] {
    let mut state = Xxh3::new();
    for position in &dataset.key {
        feed(rows.column(*position), row, &mut state);
    }
    let hash = state.digest128();
    [(hash >> 64) as u64, hash as u64]
}

/// A hash of a row without key and version: its values, its flags in any order, whether it is deleted.
pub(super) fn of_content(dataset: &Dataset, rows: &Rows, row: usize) -> u64 {
    let mut state = Xxh3::new();
    state.update(&[u8::from(rows.deleted()[row])]);
    for position in (0..dataset.fields.len()).filter(|at| !dataset.key.contains(at)) {
        if !dataset.version_fields.contains(&position) {
            feed(rows.column(position), row, &mut state);
        }
    }
    state.digest()
}

/// A hash of a message, the same on the topic and in its dead letter.
pub(super) fn of_message(parts: [Option<&[u8]>; 3], timestamp_ms: Option<i64>) -> u64 {
    let mut state = Xxh3::new();
    parts.into_iter().for_each(|part| put(part, &mut state));
    put(timestamp_ms.map(i64::to_le_bytes).as_ref().map(<[u8; 8]>::as_slice), &mut state);
    state.digest()
}

fn feed(column: &Column, row: usize, state: &mut Xxh3) {
    match column {
        Column::Text(values) => put(values[row].as_deref().map(str::as_bytes), state),
        Column::Bytes(values) => put(values[row].as_deref(), state),
        // PostgreSQL reformats JSON.
        Column::Json(values) => {
            let canonical = values[row].as_deref().and_then(contract::json::canonical);
            put(canonical.as_deref().map(str::as_bytes), state);
        }
        Column::Decimal(values) => {
            let text = values[row].map(|value| value.normalize().to_string());
            put(text.as_deref().map(str::as_bytes), state);
        }
        Column::Long(values) | Column::Timestamp(values) => put_number(values[row], state),
        Column::Date(values) => put_number(values[row].map(i64::from), state),
        // SQLite stores -0.0 as 0.0, and both databases treat the two as equal.
        Column::Double(values) => {
            let value = values[row].map(|value| if value == 0.0 { 0.0 } else { value });
            put_number(value.map(|value| value.to_bits().cast_signed()), state);
        }
        Column::TextList(values) => {
            let mut texts: Vec<&String> = values[row].iter().collect();
            texts.sort_unstable();
            put_number(Some(texts.len() as i64), state);
            texts.into_iter().for_each(|text| put(Some(text.as_bytes()), state));
        }
    }
}

fn put_number(number: Option<i64>, state: &mut Xxh3) {
    put(number.map(i64::to_le_bytes).as_ref().map(<[u8; 8]>::as_slice), state);
}

fn put(bytes: Option<&[u8]>, state: &mut Xxh3) {
    match bytes {
        None => state.update(&[0]),
        Some(bytes) => {
            state.update(&[1]);
            state.update(&(bytes.len() as u64).to_le_bytes());
            state.update(bytes);
        }
    }
}
