//! The rules of the datasets, checked before anything is published: a record that every consumer would refuse becomes a
//! reject of its source.

use std::collections::HashMap;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use contract::declarations::datasets;
use contract::validate::validate_last;
use contract::{Dataset, Decoder, Record, Rows};
use serde_json::Value;

use crate::parse::body::excerpt;
use crate::response::{Parsed, Reject};

/// Fields that differ between two readings of the same row. The rest identifies a refused record.
const OF_THE_READING: [&str; 2] = ["known_at", "observed_at"];

static DECODERS: LazyLock<HashMap<&'static str, (&'static Dataset, Decoder)>> = LazyLock::new(|| {
    let decoder = |dataset: &'static Dataset| {
        let decoder = Decoder::new(dataset, &dataset.schema).expect("a declaration reads what was written with it");
        (dataset.name.as_str(), (dataset, decoder))
    };
    datasets().iter().map(decoder).collect()
});

/// Moves records that break a rule of their dataset from a page's records to its rejects.
///
/// It decodes and validates each as a consumer does. `received_at` takes the place of the consumer's clock.
pub(crate) fn apply(parsed: &mut Parsed, received_at: DateTime<Utc>) {
    let mut validator = Validator { rows: HashMap::new(), body: Vec::new(), now: received_at.timestamp_micros() };
    let rejects = &mut parsed.rejects;
    parsed.records.retain(|record| match validator.check(record) {
        Ok(()) => true,
        Err((class, reason)) => {
            rejects.push(reject(record, class, &reason));
            false
        }
    });
}

/// Validates the records of a page.
struct Validator {
    rows: HashMap<&'static str, Rows>,
    body: Vec<u8>,
    /// Microseconds since 1970.
    now: i64,
}

impl Validator {
    /// Returns class and reason when a consumer would refuse the record.
    fn check(&mut self, record: &Record) -> Result<(), (&'static str, String)> {
        let Some((dataset, decoder)) = DECODERS.get(record.dataset()) else { return Ok(()) };
        let rows = self.rows.entry(&dataset.name).or_insert_with(|| Rows::new(dataset));
        rows.truncate(0);
        self.body.clear();
        record.encode(&mut self.body);
        decoder.decode(&self.body, rows).map_err(|error| (error.class(), error.to_string()))?;
        validate_last(dataset, rows, self.now).map_err(|refusal| (refusal.class(), refusal.to_string()))
    }
}

/// The provider's row is no longer known: the reject holds the record as JSON.
fn reject(record: &Record, class: &'static str, reason: &str) -> Reject {
    let mut json = serde_json::to_value(record).unwrap_or_default();
    let reason = format!("`{}`: {reason}", excerpt(key(record.dataset(), &json).as_bytes()));
    if let Value::Object(fields) = &mut json {
        fields.retain(|name, _| !OF_THE_READING.contains(&name.as_str()));
    }
    Reject { dataset: Some(record.dataset()), ..Reject::new(class, reason, json.to_string().as_bytes()) }
}

/// The record's key, as people write it.
fn key(dataset: &str, json: &Value) -> String {
    let fields = DECODERS[dataset].0;
    let parts = fields.key.iter().map(|at| match &json[&fields.fields[*at].name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    parts.collect::<Vec<_>>().join("|")
}
