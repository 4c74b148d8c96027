//! Second step: folds the topic's records to the highest version of each key.

use std::collections::HashMap;

use contract::{Dataset, Original, Rows};

use super::super::dead_letters::SinkDeadLetters;
use super::super::fingerprint;
use super::super::report::Findings;
use super::Subject;
use super::read::Records;
use super::taken::Taken;

/// The expected row of a key. With its key and the hash table's spare room it needs 90 to 180 bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub(super) version: (i64, i64, i64),
    pub(super) content: u64,
    pub(super) offset: i64,
    pub(super) partition: i32,
    /// Whether the key is in the table.
    pub(super) is_found: bool,
}

/// The folded topic.
#[derive(Default)]
pub(super) struct Fold {
    /// By fingerprint of the key.
    pub(super) expected: HashMap<[u64; 2], Expected>,
    /// Number of records read.
    pub(super) records: u64,
}

impl Fold {
    /// Reads a partition up to its sinks' highest position. Returns how many records each sink must have counted.
    pub(super) fn read(
        &mut self,
        subject: &Subject<'_>,
        records: &mut Records<'_>,
        (partition, sinks): (i32, &[Taken]),
        letters: &mut SinkDeadLetters,
        findings: &mut Findings,
    ) -> anyhow::Result<Vec<i64>> {
        let low = subject.facts.watermarks[&subject.topic][&partition].0;
        let end = sinks.iter().map(|sink| sink.row.next_offset).max().unwrap_or(low);
        let mut counted = vec![0; sinks.len()];
        records.each(partition, (low, end), |original, record| {
            self.records += 1;
            let mut is_stored = false;
            for (sink, counted) in sinks.iter().zip(&mut counted).filter(|(sink, _)| sink.has_taken(original.offset)) {
                *counted += i64::from(original.offset >= sink.counted_from);
                is_stored |= sink.has_stored(original, record.as_ref().err(), letters, subject.dataset, findings);
            }
            if let (true, Ok(rows)) = (is_stored, record) {
                self.take(subject.dataset, rows, (partition, original.offset));
            }
        })?;
        Ok(counted)
    }

    /// Keeps the record if it has the highest version of its key so far.
    fn take(&mut self, dataset: &Dataset, rows: &Rows, (partition, offset): (i32, i64)) {
        let version = rows.version(dataset, 0);
        let content = || fingerprint::of_content(dataset, rows, 0);
        let expected = || Expected { version, content: content(), offset, partition, is_found: false };
        let known = self.expected.entry(fingerprint::of_key(dataset, rows, 0)).or_insert_with(expected);
        if version > known.version {
            *known = expected();
        }
    }
}

impl Taken {
    fn has_taken(&self, offset: i64) -> bool {
        offset < self.row.next_offset
    }

    /// Whether this sink must have stored the record: it is valid and no open dead letter.
    fn has_stored(
        &self,
        original: &Original<'_>,
        refused: Option<&String>,
        letters: &mut SinkDeadLetters,
        dataset: &Dataset,
        findings: &mut Findings,
    ) -> bool {
        let at = &self.row.partition;
        let place = || format!("{at} at offset {}", original.offset);
        let letters = letters.get_mut(&*at.sink);
        let letter = letters.and_then(|letters| letters.get_mut(&(at.incarnation, at.number, original.offset)));
        match (letter, refused) {
            (None, None) => true,
            (None, Some(reason)) => {
                let what = || format!("{} is neither stored nor a dead letter, but: {reason}", place());
                findings.add("unaccounted", &dataset.name, what);
                false
            }
            (Some(letter), _) => {
                letter.found = true;
                let Original { key, value, headers, .. } = original.kept();
                let parts = [key, value, headers];
                let message = fingerprint::of_message(parts, original.timestamp_ms);
                if letter.message.is_some_and(|kept| kept != message) {
                    let what = || format!("{} has other bytes than its dead letter", place());
                    findings.add("dead_letters", &dataset.name, what);
                }
                letter.resolved
            }
        }
    }
}
