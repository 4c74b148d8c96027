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

/// Most rejects of a page for records that break a rule. A page with more of them is wrong as a whole, and must fit into
/// memory: one more reject says how many there are, and the first of them.
const MAX_REJECTS: usize = 10_000;
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
    let (rejects, mut refused, mut further) = (&mut parsed.rejects, 0, None);
    parsed.records.retain(|record| match validator.check(record) {
        Ok(()) => true,
        Err((class, reason)) => {
            refused += 1;
            if refused <= MAX_REJECTS {
                rejects.push(reject(record, class, &reason));
            } else {
                further.get_or_insert_with(|| reject(record, class, &reason));
            }
            false
        }
    });
    if let Some(first) = further {
        let reason =
            format!("{} further records of the page are refused, the first: {}", refused - MAX_REJECTS, first.reason);
        rejects.push(Reject { dataset: first.dataset, ..Reject::new(first.class, reason, &first.fragment) });
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::request;
    use crate::providers::source;

    /// A page of daily bars, each with its low above its high.
    fn page(rows: usize, received_at: DateTime<Utc>) -> Parsed {
        let row = |at: usize| format!("{},1,2,3,1.5\n", chrono::NaiveDate::default() + chrono::Days::new(at as u64));
        let body = "trading_date,open,high,low,close\n".to_owned() + &(0..rows).map(row).collect::<String>();
        let endpoint = source("file").unwrap().endpoint("csv").unwrap();
        let item = "a.csv?ohlcv_bar&symbol:=X&bar_interval:=1d";
        endpoint.read(&crate::response::Request { received_at, ..request(item) }, body.as_bytes()).unwrap()
    }

    #[test]
    fn a_record_that_breaks_a_rule_is_the_same_reject_whenever_it_is_read() {
        let now = Utc::now();
        let first = page(1, now);
        assert_eq!((first.records.len(), first.rejects.len()), (0, 1));
        let Reject { class, reason, fragment, dataset } = &first.rejects[0];
        assert_eq!((*class, *dataset), ("rule", Some("ohlcv_bar")));
        assert_eq!(reason, "`file|X|1d|1970-01-01T00:00:00Z`: breaks the rule `low <= high`");
        assert!(String::from_utf8_lossy(fragment).contains("\"low\":3"), "{}", String::from_utf8_lossy(fragment));
        assert_eq!(page(1, now + chrono::TimeDelta::hours(1)).rejects, first.rejects);
    }

    #[test]
    fn of_a_page_that_is_wrong_as_a_whole_the_last_reject_counts_the_others() {
        let rejects = page(MAX_REJECTS + 7, Utc::now()).rejects;
        assert_eq!(rejects.len(), MAX_REJECTS + 1);
        let last = &rejects[MAX_REJECTS].reason;
        assert!(
            last.starts_with("7 further records of the page are refused, the first: `file|X|1d|1997-05-19T"),
            "{last}"
        );
    }
}
