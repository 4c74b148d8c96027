//! Fourth step: compares the rows with the records, part by part.

use chrono::{DateTime, SecondsFormat};
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
    /// Number of versions without a revision, whose records were stored before there were revisions.
    pub(super) without_revision: u64,
}

/// The records of a part, by key and version, the lowest place first.
#[derive(Default)]
struct Part(Vec<Entry>);

struct Entry {
    key: Key,
    record: Record,
    /// Whether a row has this version.
    is_found: bool,
}

impl<'a> Compared<'a> {
    pub(super) fn new(subject: &'a Subject<'a>, positions: &'a [PositionRow], has_gap: bool) -> Compared<'a> {
        let (keys, cannot_be_checked, by_coordinate, missing, without_revision) = (0, 0, 0, 0, 0);
        Compared {
            subject,
            positions,
            has_gap,
            keys,
            cannot_be_checked,
            by_coordinate,
            missing,
            first_missing: Vec::new(),
            without_revision,
        }
    }

    /// Compares all rows with all records.
    pub(super) fn all(&mut self, topic: &mut Topic, table: &mut Table, findings: &mut Findings) -> anyhow::Result<()> {
        let mut progress =
            Progress::new(&self.subject.dataset.name, "rows compared", Some(table.count + table.revisions));
        // One for all parts: its memory is allocated once.
        let mut part = Part::default();
        for number in 0..PARTS {
            part.0.clear();
            let mut records = topic.take(number)?;
            while let Some((key, record)) = records.next()? {
                part.0.push(Entry { key, record, is_found: false });
            }
            part.0.sort_unstable_by_key(|Entry { key, record, .. }| {
                (*key, record.version, record.partition, record.offset)
            });
            let mut rows = table.take(number)?;
            while let Some((key, row)) = rows.next()? {
                progress.count();
                match row.is_revision {
                    true => self.revision(&row, part.of(key), findings),
                    false => self.row(&row, part.of(key), findings),
                }
            }
            for entries in part.0.chunk_by(|one, other| one.key == other.key) {
                self.key(entries, findings);
            }
        }
        self.cut_missing();
        Ok(())
    }

    fn cut_missing(&mut self) {
        self.first_missing.sort_unstable();
        self.first_missing.truncate(MAX_NAMED);
    }

    /// Compares the row of a key with its records.
    fn row(&mut self, row: &Row, entries: &mut [Entry], findings: &mut Findings) {
        let dataset = self.subject.dataset;
        let expected = highest(entries).map(|entry| entry.record);
        let same = of_version(entries, row.version);
        let late = same.iter().any(|entry| entry.record.is_late && entry.record.content == row.content);
        same.iter_mut().for_each(|entry| entry.is_found = true);
        self.place(row, same, findings);
        if let Some(expected) = expected {
            // A row of another version is reported as different, and its key is not missing.
            of_version(entries, expected.version).iter_mut().for_each(|entry| entry.is_found = true);
        }
        let is_lower = |expected: Record| row.version < expected.version;
        if row.is_odd || late && !expected.is_some_and(is_lower) {
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

    /// Compares a revision with the records of its version.
    fn revision(&mut self, row: &Row, entries: &mut [Entry], findings: &mut Findings) {
        let dataset = self.subject.dataset;
        let same = of_version(entries, row.version);
        same.iter_mut().for_each(|entry| entry.is_found = true);
        let named = || format!("the revision of `{}` {}", row.key, shown(row.version));
        match same.first() {
            _ if row.is_odd => {}
            None if self.is_explained(row) => {}
            None => findings.add("extra", &dataset.name, || format!("{} is of no record", named())),
            Some(Entry { record, .. }) if record.content != row.content => {
                let at = format!("{}[{}] at offset {}", self.subject.topic, record.partition, record.offset);
                findings.add("different", &dataset.name, || format!("{} has other values than {at}", named()));
            }
            Some(_) => self.place(row, same, findings),
        }
    }

    /// Compares a row's place with those of the records of its version.
    fn place(&mut self, row: &Row, same: &[Entry], findings: &mut Findings) {
        let Some(first) = same.iter().map(|entry| entry.record).find(|record| !record.is_late && record.is_kept) else {
            return;
        };
        let Subject { dataset, topic, facts, .. } = self.subject;
        let Some((incarnation, partition, offset)) = row.place else {
            let what = || format!("`{}` {} has no place on the topic", row.key, shown(row.version));
            return findings.add("place", &dataset.name, what);
        };
        let is_earlier = facts
            .positions
            .iter()
            .any(|position| *position.partition.topic == **topic && position.partition.incarnation > incarnation);
        // Retention has removed it since.
        let is_gone = facts.watermarks[topic].get(&partition).is_some_and(|(low, _)| offset < *low);
        let is_one = |entry: &Entry| (entry.record.partition, entry.record.offset) == (partition, offset);
        let is_right = same.iter().any(is_one) && (partition, offset) <= (first.partition, first.offset);
        if !(is_earlier || is_gone || is_right) {
            findings.add("place", &dataset.name, || {
                format!(
                    "`{}` {} is said to be at {topic}[{partition}] offset {offset}, but is first at [{}] offset {}",
                    row.key,
                    shown(row.version),
                    first.partition,
                    first.offset
                )
            });
        }
    }

    /// Counts what is missing of a key.
    fn key(&mut self, entries: &[Entry], findings: &mut Findings) {
        let Some(highest) = entries.iter().rev().find(|entry| !entry.record.is_late) else { return };
        self.keys += 1;
        if !highest.is_found {
            self.missing += 1;
            self.first_missing.push((highest.record.partition, highest.record.offset));
            if self.first_missing.len() > 2 * MAX_NAMED {
                self.cut_missing();
            }
            return;
        }
        let Subject { dataset, topic, .. } = self.subject;
        let is_other = |entry: &&Entry| entry.record.version != highest.record.version;
        for versions in entries.chunk_by(|one, other| one.record.version == other.record.version) {
            let mut needed = versions.iter().filter(is_other).filter(|entry| !entry.is_found && !entry.record.is_late);
            match needed.clone().find(|entry| entry.record.is_kept) {
                Some(Entry { record, .. }) => findings.add("missing", &dataset.name, || {
                    let Record { partition, offset, version, .. } = record;
                    format!("{topic}[{partition}] at offset {offset} has no revision {}", shown(*version))
                }),
                None => self.without_revision += u64::from(needed.next().is_some()),
            }
        }
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
    /// The records of a key.
    fn of(&mut self, key: Key) -> &mut [Entry] {
        let start = self.0.partition_point(|entry| entry.key < key);
        let length = self.0[start..].partition_point(|entry| entry.key == key);
        &mut self.0[start..start + length]
    }
}

/// The highest version of a key that must be stored, at its lowest place.
fn highest(entries: &[Entry]) -> Option<&Entry> {
    let version = entries.iter().rev().find(|entry| !entry.record.is_late)?.record.version;
    entries.iter().find(|entry| entry.record.version == version && !entry.record.is_late)
}

/// The records of a version among those of its key.
fn of_version(entries: &mut [Entry], version: (i64, i64, i64)) -> &mut [Entry] {
    let start = entries.partition_point(|entry| entry.record.version < version);
    let length = entries[start..].partition_point(|entry| entry.record.version == version);
    &mut entries[start..start + length]
}

/// A version, for a person.
fn shown((known_at, observed_at, _): (i64, i64, i64)) -> String {
    let time = |micros| {
        DateTime::from_timestamp_micros(micros).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Micros, true)
    };
    format!("known at {} and observed at {}", time(known_at), time(observed_at))
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
