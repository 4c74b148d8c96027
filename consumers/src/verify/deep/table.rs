//! Third step: compares each row of the table with the folded topic.

use std::collections::HashMap;

use contract::{Coordinate, Dataset, Rows, Value};
use store::dead_letter;
use store::{Audit, Line};

use super::super::dead_letters::is_passed;
use super::super::fingerprint;
use super::super::report::Findings;
use super::fold::Expected;
use super::{Subject, key_text};

/// Compares the table with the folded topic.
pub(super) struct Compared<'a> {
    subject: &'a Subject<'a>,
    expected: &'a mut HashMap<[u64; 2], Expected>,
    /// Whether the table may hold rows without a record on the topic.
    has_gap: bool,
    /// Rows in the table.
    pub(super) rows: u64,
    /// Rows that could not be compared, because the topic no longer holds all its records.
    pub(super) cannot_be_checked: u64,
    /// Dead letters that consumers wrote directly into the table: checked by their coordinates.
    pub(super) by_coordinate: u64,
}

impl<'a> Compared<'a> {
    /// Compares each row of the table.
    pub(super) fn rows(
        subject: &'a Subject<'a>,
        expected: &'a mut HashMap<[u64; 2], Expected>,
        has_gap: bool,
        audit: &mut Audit,
        findings: &mut Findings,
    ) -> anyhow::Result<Compared<'a>> {
        let mut compared = Compared { subject, expected, has_gap, rows: 0, cannot_be_checked: 0, by_coordinate: 0 };
        let mut rows = Rows::new(subject.dataset);
        let each = audit.each_row(subject.dataset, |line| {
            compared.row(&line, &mut rows, findings);
            rows.truncate(0);
            Ok(())
        });
        subject.runtime.block_on(each)?;
        Ok(compared)
    }

    fn row(&mut self, line: &Line, rows: &mut Rows, findings: &mut Findings) {
        let dataset = self.subject.dataset;
        self.rows += 1;
        let width = dataset.fields.len();
        let values: Vec<_> = dataset.fields.iter().enumerate().map(|(at, field)| line.value(at, field.kind)).collect();
        let odd = values.iter().position(Option::is_none);
        rows.push_row(values.into_iter().map(|value| value.unwrap_or(Value::Null)), line.int(width + 1) != 0);
        let expected = self.expected.get_mut(&fingerprint::of_key(dataset, rows, 0)).map(|expected| {
            expected.is_found = true;
            *expected
        });
        if let Some(odd) = odd {
            let field = &dataset.fields[odd].name;
            let what = || format!("`{}`: `{field}` holds what is never stored", key_text(dataset, rows));
            return findings.add("different", &dataset.name, what);
        }
        let Some(expected) = expected else {
            if !self.is_explained(rows) {
                let what = || format!("`{}` is in the table, and no record has this key", key_text(dataset, rows));
                findings.add("extra", &dataset.name, what);
            }
            return;
        };
        let Some(what) = difference(dataset, rows, line.int(width), expected) else { return };
        if what == LATER && self.is_explained(rows) {
            return;
        }
        let at = format!("{}[{}] at offset {}", self.subject.topic, expected.partition, expected.offset);
        findings.add("different", &dataset.name, || format!("`{}` has {what} {at}", key_text(dataset, rows)));
    }

    /// Whether a row without a record on the topic is allowed. Counts it.
    fn is_explained(&mut self, rows: &Rows) -> bool {
        let Subject { dataset, facts, .. } = self.subject;
        if dataset.name == dead_letter::dataset().name {
            let text = |name: &str| dataset.position(name).and_then(|at| rows.column(at).text(0));
            let (source, name) = (text("source").unwrap_or_default(), text("dead_letter_id").unwrap_or_default());
            if Coordinate::parse(name).is_some_and(|at| is_passed(&at, source, &facts.positions)) {
                self.by_coordinate += 1;
                return true;
            }
        }
        self.cannot_be_checked += u64::from(self.has_gap);
        self.has_gap
    }

    /// The records, (partition, offset), whose keys are missing from the table.
    pub(super) fn missing(&self) -> Vec<(i32, i64)> {
        let missing = self.expected.values().filter(|expected| !expected.is_found);
        let mut missing: Vec<_> = missing.map(|expected| (expected.partition, expected.offset)).collect();
        missing.sort_unstable();
        missing
    }
}

/// The difference of a row whose version is higher than every record of its key.
const LATER: &str = "a version that no record has, later than";

/// How the only row, with its stored content hash, differs from the expected row; None when it does not.
fn difference(dataset: &Dataset, rows: &Rows, stored_hash: i64, expected: Expected) -> Option<&'static str> {
    let (known_at, observed_at, _) = rows.version(dataset, 0);
    let version = (known_at, observed_at, stored_hash);
    if version == expected.version {
        let is_same = fingerprint::of_content(dataset, rows, 0) == expected.content;
        return (!is_same).then_some("other values than");
    }
    Some(match (known_at, observed_at) == (expected.version.0, expected.version.1) {
        true => "another content hash than",
        false if version < expected.version => "an older version than",
        false => LATER,
    })
}
