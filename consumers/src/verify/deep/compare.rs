//! Fourth step: compares the rows with the records, part by part.

use std::collections::HashMap;

use contract::{Coordinate, topic};
use store::{PositionRow, dead_letter};

use super::super::dead_letters::is_passed;
use super::super::progress::Progress;
use super::super::report::{Findings, MAX_NAMED};
use super::Subject;
use super::fold::{Record, Topic};
use super::spill::{Key, PARTS};
use super::table::{Row, Table};

/// The difference of a row whose version is higher than every record of its key.
const LATER: &str = "a version that no record has, later than";

/// The comparison of a table with its topic.
pub(super) struct Compared<'a> {
    subject: &'a Subject<'a>,
    /// The positions after the table was read.
    positions: &'a [PositionRow],
    /// Whether the table may hold rows without a record on the topic.
    has_gap: bool,
    /// Keys of the records that must be stored.
    pub(super) keys: u64,
    /// Rows that could not be compared, because the topic no longer holds all its records.
    pub(super) cannot_be_checked: u64,
    /// Dead letters that consumers wrote directly into the table: checked by their coordinates.
    pub(super) by_coordinate: u64,
    /// Number of keys that are missing from the table.
    pub(super) missing: u64,
    /// The first of their records: (partition, offset).
    pub(super) first_missing: Vec<(i32, i64)>,
}

/// The records of a part.
#[derive(Default)]
struct Part {
    /// The highest version of each key that must be stored, and whether the table has the key.
    expected: HashMap<Key, (Record, bool)>,
    late: HashMap<Key, Vec<Record>>,
}

impl<'a> Compared<'a> {
    pub(super) fn new(subject: &'a Subject<'a>, positions: &'a [PositionRow], has_gap: bool) -> Compared<'a> {
        let (keys, cannot_be_checked, by_coordinate, missing) = (0, 0, 0, 0);
        let first_missing = Vec::new();
        Compared { subject, positions, has_gap, keys, cannot_be_checked, by_coordinate, missing, first_missing }
    }

    /// Compares all rows with all records.
    pub(super) fn all(&mut self, topic: &mut Topic, table: &mut Table, findings: &mut Findings) -> anyhow::Result<()> {
        let mut progress = Progress::new(&self.subject.dataset.name, "rows compared", Some(table.count));
        // One for all parts: its memory is allocated once.
        let mut part = Part::default();
        for number in 0..PARTS {
            part.clear();
            let mut records = topic.take(number)?;
            while let Some((key, record)) = records.next()? {
                part.take(key, record);
            }
            let mut rows = table.take(number)?;
            while let Some((key, row)) = rows.next()? {
                progress.count();
                self.row(key, &row, &mut part, findings);
            }
            self.keys += part.expected.len() as u64;
            for (record, _) in part.expected.values().filter(|(_, is_found)| !is_found) {
                self.missing += 1;
                self.first_missing.push((record.partition, record.offset));
                if self.first_missing.len() > 2 * MAX_NAMED {
                    self.cut_missing();
                }
            }
        }
        self.cut_missing();
        Ok(())
    }

    fn cut_missing(&mut self) {
        self.first_missing.sort_unstable();
        self.first_missing.truncate(MAX_NAMED);
    }

    fn row(&mut self, key: Key, row: &Row, part: &mut Part, findings: &mut Findings) {
        let dataset = self.subject.dataset;
        let expected = part.expected.get_mut(&key).map(|(record, is_found)| {
            *is_found = true;
            *record
        });
        let late = part.late.get(&key).map_or(&[][..], Vec::as_slice);
        let is_late = |record: &&Record| record.version == row.version && record.content == row.content;
        let is_lower = |expected: Record| row.version < expected.version;
        if row.is_odd || late.iter().find(is_late).is_some_and(|_| !expected.is_some_and(is_lower)) {
            return;
        }
        let Some(expected) = expected else {
            if !self.is_explained(row) {
                let what = || format!("`{}` is in the table, and no record has this key", row.key);
                findings.add("extra", &dataset.name, what);
            }
            return;
        };
        let Some(what) = difference(row, expected) else { return };
        if what == LATER && self.is_explained(row) {
            return;
        }
        let at = format!("{}[{}] at offset {}", self.subject.topic, expected.partition, expected.offset);
        findings.add("different", &dataset.name, || format!("`{}` has {what} {at}", row.key));
    }

    /// Whether a row without a record on the topic is allowed. Counts it.
    fn is_explained(&mut self, row: &Row) -> bool {
        if self.subject.dataset.name == dead_letter::dataset().name
            && let [source, name] = &topic::key_parts(&row.key)[..]
            && Coordinate::parse(name).is_some_and(|at| is_passed(&at, source, self.positions))
        {
            self.by_coordinate += 1;
            return true;
        }
        self.cannot_be_checked += u64::from(self.has_gap);
        self.has_gap
    }
}

impl Part {
    fn clear(&mut self) {
        self.expected.clear();
        self.late.clear();
    }

    fn take(&mut self, key: Key, record: Record) {
        if record.is_late {
            self.late.entry(key).or_default().push(record);
            return;
        }
        let (known, _) = self.expected.entry(key).or_insert((record, false));
        if record.version > known.version {
            *known = record;
        }
    }
}

/// How a row differs from the expected record; None when it does not.
fn difference(row: &Row, expected: Record) -> Option<&'static str> {
    if row.version == expected.version {
        return (row.content != expected.content).then_some("other values than");
    }
    let times = |(known_at, observed_at, _): (i64, i64, i64)| (known_at, observed_at);
    Some(match times(row.version) == times(expected.version) {
        true => "another content hash than",
        false if row.version < expected.version => "an older version than",
        false => LATER,
    })
}
