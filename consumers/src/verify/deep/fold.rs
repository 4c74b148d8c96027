//! Third step: reads the topic's records.

use contract::{Dataset, Original, Rows};

use super::super::dead_letters::{Resolved, SinkDeadLetters};
use super::super::fingerprint;
use super::super::progress::Progress;
use super::super::report::Findings;
use super::Subject;
use super::read::Records;
use super::spill::{Entries, Key, Spill};
use super::taken::{AllTaken, Taken};

/// A record that the table may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    pub(super) version: (i64, i64, i64),
    pub(super) content: u64,
    pub(super) offset: i64,
    pub(super) partition: i32,
    /// Whether it was stored, or may have been, only while the table was read. A row may have it or not.
    pub(super) is_late: bool,
    /// Whether it must be a revision if it is not the highest version of its key.
    pub(super) is_kept: bool,
}

/// The topic, read. Rows that retention may have removed count as late: a table may have them or not.
pub(super) struct Topic {
    /// The records, by key.
    records: Spill,
    /// Number of records up to the positions at the start.
    pub(super) count: u64,
    /// Number of records that retention may have removed.
    pub(super) removable: u64,
}

/// How one sink accounts for a record.
enum Account {
    /// It is in the table, or a higher version is.
    Stored,
    /// It may have been stored while the table was read.
    MayBeStored,
    NotStored,
}

impl Topic {
    pub(super) fn new(subject: &Subject<'_>) -> Topic {
        Topic { records: Spill::new(&subject.verification.temp_dir), count: 0, removable: 0 }
    }

    /// Reads a partition up to its sinks' highest position. Returns how many records each sink must have counted.
    pub(super) fn read(
        &mut self,
        subject: &Subject<'_>,
        records: &mut Records<'_>,
        (partition, taken): (i32, &AllTaken),
        letters: &mut SinkDeadLetters,
        findings: &mut Findings,
    ) -> anyhow::Result<Vec<i64>> {
        let low = subject.facts.watermarks[&subject.topic].get(&partition).map_or(0, |(low, _)| *low);
        let sinks = taken.partitions.get(&partition).map_or(&[][..], Vec::as_slice);
        let end = taken.later.get(&partition).copied().unwrap_or(low);
        let mut counted = vec![0; sinks.len()];
        let mut progress =
            Progress::new(&subject.dataset.name, "records read", Some((end - low).max(0).cast_unsigned()));
        records.each(partition, (low, end), |original, record| {
            progress.count();
            let is_late = !sinks.iter().any(|sink| sink.has_taken(original.offset));
            self.count += u64::from(!is_late);
            let (mut is_stored, mut may_be_stored, mut is_kept) = (false, is_late, false);
            for (sink, counted) in sinks.iter().zip(&mut counted) {
                if !sink.has_taken(original.offset) {
                    may_be_stored = true;
                    continue;
                }
                *counted += i64::from(original.offset >= sink.counted_from);
                match sink.account(original, record.as_ref().err(), letters, subject.dataset, findings) {
                    Account::Stored => {
                        is_stored = true;
                        is_kept |= sink.has_kept(original.offset);
                    }
                    Account::MayBeStored => may_be_stored = true,
                    Account::NotStored => {}
                }
            }
            match record {
                Ok(rows) if is_stored || may_be_stored => {
                    let is_removable = subject.is_removable(rows);
                    self.removable += u64::from(is_removable);
                    let flags = i64::from(!is_stored || is_removable) | i64::from(is_kept) << 1;
                    self.push(subject.dataset, rows, (partition, original.offset), flags)
                }
                _ => Ok(()),
            }
        })?;
        Ok(counted)
    }

    fn push(&mut self, dataset: &Dataset, rows: &Rows, at: (i32, i64), flags: i64) -> anyhow::Result<()> {
        let (known_at, observed_at, hash) = rows.version(dataset, 0);
        let content = fingerprint::of_content(dataset, rows, 0).cast_signed();
        let numbers = [known_at, observed_at, hash, content, at.1, at.0.into(), flags];
        self.records.push(fingerprint::of_key(dataset, rows, 0), &numbers, "")
    }

    /// Takes the records of a part out.
    pub(super) fn take(&mut self, part: usize) -> anyhow::Result<TopicPart> {
        Ok(TopicPart(self.records.take(part)?))
    }
}

/// The records of a part.
pub(super) struct TopicPart(Entries);

impl TopicPart {
    pub(super) fn next(&mut self) -> anyhow::Result<Option<(Key, Record)>> {
        let Some((key, numbers, _)) = self.0.next::<7>()? else { return Ok(None) };
        let [known_at, observed_at, hash, content, offset, partition, flags] = numbers;
        let (version, content) = ((known_at, observed_at, hash), content.cast_unsigned());
        let (is_late, is_kept) = (flags & 1 != 0, flags & 2 != 0);
        let record = Record { version, content, offset, partition: partition as i32, is_late, is_kept };
        Ok(Some((key, record)))
    }
}

impl Taken {
    fn has_taken(&self, offset: i64) -> bool {
        offset < self.row.next_offset
    }

    /// Whether it keeps the record as a revision if it is superseded.
    fn has_kept(&self, offset: i64) -> bool {
        let after = self.without_revisions.partition_point(|(from, _)| *from <= offset);
        after == 0 || self.without_revisions[after - 1].1 <= offset
    }

    /// Whether this sink must have stored the record: it is valid and no open dead letter.
    fn account(
        &self,
        original: &Original<'_>,
        refused: Option<&String>,
        letters: &mut SinkDeadLetters,
        dataset: &Dataset,
        findings: &mut Findings,
    ) -> Account {
        let at = &self.row.partition;
        let place = || format!("{at} at offset {}", original.offset);
        let letters = letters.get_mut(&*at.sink);
        let letter = letters.and_then(|letters| letters.get_mut(&(at.incarnation, at.number, original.offset)));
        match (letter, refused) {
            (None, None) => Account::Stored,
            (None, Some(reason)) => {
                let what = || format!("{} is neither stored nor a dead letter, but: {reason}", place());
                findings.add("unaccounted", &dataset.name, what);
                Account::NotStored
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
                match letter.resolved {
                    Resolved::Before => Account::Stored,
                    Resolved::Meanwhile => Account::MayBeStored,
                    Resolved::No => Account::NotStored,
                }
            }
        }
    }
}
