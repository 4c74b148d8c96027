//! The topic read again, folded, and compared with the table.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use anyhow::bail;
use chrono::Utc;
use contract::{Coordinate, Dataset, Original, Rows, tombstone, topic};
use rdkafka::Message as _;
use tokio::runtime::Handle;

use super::letters::{self, Letters, is_passed};
use super::report::{Findings, PartitionLine, TableLine};
use super::{Facts, Verification, fingerprint};
use crate::admit::Admission;
use crate::original::original_of;
use crate::reader::Reader;
use crate::schemas::{RETRY_INTERVAL, Schemas};
use crate::store::{Audit, Line, PositionRow};

/// How long a poll waits.
const POLL_PATIENCE: Duration = Duration::from_millis(200);
/// How long Kafka may be silent before the command gives up.
const SILENCE: Duration = Duration::from_secs(120);
/// How long a schema that the registry does not give is asked for.
const SCHEMA_PATIENCE: Duration = Duration::from_secs(60);
/// How long one record is looked for, to name its key.
const LOOK_PATIENCE: Duration = Duration::from_secs(5);

/// What the table must hold for a key: 64 bytes, and 16 for the key; with the table's spare room some 90 to 180 a key.
struct Expected {
    version: (i64, i64, i64),
    content: u64,
    offset: i64,
    partition: i32,
    seen: bool,
}

/// One sink in one partition.
struct Taken {
    row: PositionRow,
    /// From where on its records are counted, and how many its ledger has from there on.
    counted_from: i64,
    ledger: i64,
    counted: i64,
}

struct Comparison<'a> {
    verification: &'a Verification,
    dataset: &'static Dataset,
    topic: String,
    facts: &'a Facts,
    runtime: &'a Handle,
    findings: &'a mut Findings,
    admission: Admission,
    expected: HashMap<[u64; 2], Expected>,
    letters: HashMap<String, Letters>,
    /// Why rows can be in the table whose records are not, or no longer, known.
    incomplete: Option<String>,
    line: TableLine,
}

/// Compares a dataset's table with its topic.
pub(super) fn compare(
    verification: &Verification,
    dataset: &'static Dataset,
    facts: &Facts,
    audit: &mut Audit,
    runtime: &Handle,
    (lines, findings): (&mut [PartitionLine], &mut Findings),
) -> anyhow::Result<TableLine> {
    let mut comparison = Comparison {
        topic: topic::topic(verification.cluster.namespace(), dataset),
        admission: Admission::new(dataset, Schemas::new(dataset, verification.registry.clone()), Vec::new()),
        line: TableLine { dataset: dataset.name.clone(), ..TableLine::default() },
        expected: HashMap::new(),
        letters: HashMap::new(),
        incomplete: None,
        verification,
        dataset,
        facts,
        runtime,
        findings,
    };
    let mut taken = comparison.taken(audit)?;
    comparison.incomplete = comparison.incomplete(&taken);
    for (number, taken) in &mut taken {
        comparison.read(*number, taken)?;
        for one in taken {
            comparison.counted(one, lines);
        }
    }
    comparison.lost_letters();
    comparison.rows(audit)?;
    comparison.missing()?;
    if let Some(reason) = comparison.incomplete.take().filter(|_| comparison.line.cannot_be_checked > 0) {
        let count = comparison.line.cannot_be_checked;
        comparison.findings.notes.push(format!("{}: {count} rows cannot be checked: {reason}", dataset.name));
    }
    Ok(comparison.line)
}

impl Comparison<'_> {
    fn add(&mut self, kind: &'static str, what: impl FnOnce() -> String) {
        self.findings.add(kind, &self.dataset.name, what);
    }

    /// What each sink has taken of each partition, as the topic is now; loads the sinks' dead letters.
    fn taken(&mut self, audit: &mut Audit) -> anyhow::Result<BTreeMap<i32, Vec<Taken>>> {
        let facts = self.facts;
        let mut latest: BTreeMap<(String, i32), PositionRow> = BTreeMap::new();
        for row in facts.positions.iter().filter(|row| *row.partition.topic == *self.topic) {
            let ours = self.verification.dataset_of(&row.partition.sink);
            if ours.is_some_and(|dataset| dataset.name == self.dataset.name) {
                // Positions come in the order of incarnations: the latest one stays.
                latest.insert((row.partition.sink.to_string(), row.partition.number), row.clone());
            }
        }
        let mut taken: BTreeMap<i32, Vec<Taken>> = BTreeMap::new();
        for ((sink, number), row) in latest {
            let Some((low, high)) = facts.watermarks[&self.topic].get(&number).copied() else { continue };
            if row.next_offset > high {
                // Said already; nothing that is on the topic now can be compared.
                self.incomplete = Some(format!("{} was truncated or made anew", row.partition));
                continue;
            }
            if !self.letters.contains_key(&sink) {
                let of = (sink.as_str(), self.topic.as_str(), self.dataset.name.as_str());
                let letters = letters::load(of, audit, self.runtime, self.findings)?;
                self.letters.insert(sink, letters);
            }
            let since = self.runtime.block_on(audit.read_since(&row.partition, low))?;
            let (counted_from, ledger) = since.unwrap_or((row.next_offset, 0));
            taken.entry(number).or_default().push(Taken { row, counted_from, ledger, counted: 0 });
        }
        Ok(taken)
    }

    /// Why the topic does not explain all that can be in the table; None when it does.
    fn incomplete(&mut self, taken: &BTreeMap<i32, Vec<Taken>>) -> Option<String> {
        let start = format!("{}.{}.", self.verification.cluster.namespace(), self.dataset.name);
        let reason = self.incomplete.take().or_else(|| {
            let watermarks = &self.facts.watermarks[&self.topic];
            let begun = watermarks.iter().find(|(_, (low, _))| *low > 0);
            begun.map(|(number, (low, _))| format!("{}[{number}] begins at offset {low}", self.topic))
        });
        let gap = || {
            let mut gaps = self.facts.gaps.iter().filter(|gap| gap.partition.sink.starts_with(&start));
            gaps.next().map(|gap| format!("there is a gap in {} at offset {}", gap.partition, gap.range.0))
        };
        let end = |number| taken.get(&number).into_iter().flatten().map(|one: &Taken| one.row.next_offset).max();
        let other = || {
            let mut rows = self.facts.positions.iter().filter(|row| row.partition.sink.starts_with(&start));
            let found = rows.find(|row| {
                let at = &row.partition;
                *at.topic != *self.topic || at.incarnation > 0 || Some(row.next_offset) > end(at.number)
            });
            found.map(|row| format!("`{}` has taken others from {}", row.partition.sink, row.partition))
        };
        reason.or_else(gap).or_else(other)
    }

    /// Reads a partition up to the furthest position.
    fn read(&mut self, number: i32, taken: &mut [Taken]) -> anyhow::Result<()> {
        let low = self.facts.watermarks[&self.topic][&number].0;
        let target = taken.iter().map(|one| one.row.next_offset).max().unwrap_or(low);
        if target <= low {
            return Ok(());
        }
        let reader = Reader::assign(&self.verification.cluster, &self.topic, &[(number, low)])?;
        let (mut rows, mut headers) = (Rows::new(self.dataset), Vec::new());
        let mut heard = Instant::now();
        // The last offsets need not hold records: then the end comes without them.
        while !reader.is_at_end(number) {
            let Some(message) = reader.poll(POLL_PATIENCE)? else {
                if heard.elapsed() > SILENCE {
                    bail!("cannot read `{}`: kafka is silent", self.topic);
                }
                continue;
            };
            heard = Instant::now();
            let offset = message.offset();
            if offset < target {
                let original = original_of(&message, &mut headers);
                self.take(&original, number, taken, &mut rows)?;
                rows.truncate(0);
            }
            if offset + 1 >= target {
                break;
            }
        }
        Ok(())
    }

    /// Takes a record in, unless it is an open dead letter wherever it was taken.
    fn take(
        &mut self,
        original: &Original<'_>,
        number: i32,
        taken: &mut [Taken],
        rows: &mut Rows,
    ) -> anyhow::Result<()> {
        let refused = self.admit(original, rows)?;
        self.line.records += 1;
        let mut counts = false;
        for one in taken.iter_mut().filter(|one| one.row.next_offset > original.offset) {
            one.counted += i64::from(original.offset >= one.counted_from);
            let at = &one.row.partition;
            let letter = self
                .letters
                .get_mut(&*at.sink)
                .and_then(|letters| letters.get_mut(&(at.incarnation, number, original.offset)));
            let place = || format!("{at} at offset {}", original.offset);
            match (letter, &refused) {
                (None, None) => counts = true,
                (None, Some(reason)) => {
                    let what = || format!("{} is neither stored nor a dead letter, but: {reason}", place());
                    self.findings.add("unaccounted", &self.dataset.name, what);
                }
                (Some(letter), _) => {
                    letter.found = true;
                    counts |= letter.resolved;
                    let parts = [original.key, original.value, original.headers];
                    let message = fingerprint::of_message(parts, original.timestamp_ms);
                    if letter.message.is_some_and(|kept| kept != message) {
                        let what = || format!("{} has other bytes than its dead letter", place());
                        self.findings.add("dead_letters", &self.dataset.name, what);
                    }
                }
            }
        }
        if counts && refused.is_none() {
            self.fold(rows, number, original.offset);
        }
        Ok(())
    }

    fn admit(&mut self, original: &Original<'_>, rows: &mut Rows) -> anyhow::Result<Option<String>> {
        let deadline = Instant::now() + SCHEMA_PATIENCE;
        loop {
            match self.admission.admit(original, self.runtime, rows, Utc::now().timestamp_micros()) {
                Ok(refused) => return Ok(refused.map(|cause| cause.reason)),
                Err(missing) if Instant::now() > deadline => return Err(missing.into()),
                Err(_) => std::thread::sleep(RETRY_INTERVAL),
            }
        }
    }

    fn fold(&mut self, rows: &Rows, partition: i32, offset: i64) {
        let version = rows.version(self.dataset, 0);
        let expected = || Expected {
            version,
            content: fingerprint::of_content(self.dataset, rows, 0),
            offset,
            partition,
            seen: false,
        };
        let known = self.expected.entry(fingerprint::of_key(self.dataset, rows, 0)).or_insert_with(expected);
        if version > known.version {
            *known = expected();
        }
    }

    /// As many records as the ledger says.
    fn counted(&mut self, one: &Taken, lines: &mut [PartitionLine]) {
        let Taken { row, counted_from, ledger, counted } = one;
        let at = &row.partition;
        if counted != ledger {
            self.add("records", || {
                format!(
                    "{at} has {counted} records from offset {counted_from} to {}, but the ledger of `{}` has {ledger}",
                    row.next_offset, at.sink
                )
            });
        }
        let same = |line: &&mut PartitionLine| {
            (line.sink.as_str(), line.topic.as_str(), line.incarnation, line.partition)
                == (&*at.sink, &*at.topic, at.incarnation, at.number)
        };
        if let Some(line) = lines.iter_mut().find(same) {
            let read = line.applied + line.superseded + line.dead_lettered;
            line.published = read + line.gaps + counted - ledger;
        }
    }

    /// Dead letters whose message is not on the topic.
    fn lost_letters(&mut self) {
        for (sink, letters) in std::mem::take(&mut self.letters) {
            for ((incarnation, number, offset), _) in letters.into_iter().filter(|(_, letter)| !letter.found) {
                let low = self.facts.watermarks[&self.topic].get(&number).map_or(0, |(low, _)| *low);
                let coordinate = Coordinate { topic: &self.topic, incarnation, partition: number, offset };
                let now = self.facts.positions.iter().rev().find(|row| {
                    (&*row.partition.sink, &*row.partition.topic, row.partition.number)
                        == (sink.as_str(), self.topic.as_str(), number)
                });
                let is_current = now.is_none_or(|row| row.partition.incarnation == incarnation);
                if (is_current && offset >= low) || !is_passed(&coordinate, &sink, &self.facts.positions) {
                    let what = || format!("dead letter `{coordinate}` of `{sink}` is of no record that it has taken");
                    self.findings.add("dead_letters", &self.dataset.name, what);
                }
            }
        }
    }

    /// Compares each row of the table.
    fn rows(&mut self, audit: &mut Audit) -> anyhow::Result<()> {
        let (dataset, runtime) = (self.dataset, self.runtime);
        let mut rows = Rows::new(dataset);
        let each = audit.each_row(dataset, |line| {
            self.row(&line, &mut rows);
            rows.truncate(0);
            Ok(())
        });
        runtime.block_on(each)?;
        Ok(())
    }

    fn row(&mut self, line: &Line, rows: &mut Rows) {
        let dataset = self.dataset;
        self.line.rows += 1;
        let width = dataset.fields.len();
        let values: Vec<_> = dataset.fields.iter().enumerate().map(|(at, field)| line.value(at, field.kind)).collect();
        let odd = values.iter().position(Option::is_none);
        rows.push_row(values.into_iter().map(|value| value.unwrap_or(contract::Value::Null)), line.int(width + 1) != 0);
        let expected = self.expected.get_mut(&fingerprint::of_key(dataset, rows, 0));
        if let Some(odd) = odd {
            if let Some(expected) = expected {
                expected.seen = true;
            }
            let field = &dataset.fields[odd].name;
            let what = || format!("`{}`: `{field}` holds what is never stored", key_text(dataset, rows));
            return self.findings.add("different", &dataset.name, what);
        }
        let stored = (rows.version(dataset, 0), line.int(width));
        let version = (stored.0.0, stored.0.1, stored.1);
        let Some(expected) = expected else {
            if !self.explained(rows) {
                let what = || format!("`{}` is in the table, and no record has this key", key_text(dataset, rows));
                self.findings.add("extra", &dataset.name, what);
            }
            return;
        };
        expected.seen = true;
        let at = format!("{}[{}] at offset {}", self.topic, expected.partition, expected.offset);
        let what = if version == expected.version {
            if fingerprint::of_content(dataset, rows, 0) == expected.content {
                return;
            }
            "other values than"
        } else if (version.0, version.1) == (expected.version.0, expected.version.1) {
            "another content hash than"
        } else if version < expected.version {
            "an older version than"
        } else {
            if self.explained(rows) {
                return;
            }
            "a version that no record has, later than"
        };
        self.findings.add("different", &dataset.name, || format!("`{}` has {what} {at}", key_text(dataset, rows)));
    }

    /// Whether a row without its record can be right; counts it.
    fn explained(&mut self, rows: &Rows) -> bool {
        if self.dataset.name == crate::dead_letter::dataset().name {
            let text = |name: &str| self.dataset.position(name).and_then(|at| rows.column(at).text(0));
            let (source, name) = (text("source").unwrap_or_default(), text("dead_letter_id").unwrap_or_default());
            if Coordinate::parse(name).is_some_and(|at| is_passed(&at, source, &self.facts.positions)) {
                self.line.by_coordinate += 1;
                return true;
            }
        }
        self.line.cannot_be_checked += u64::from(self.incomplete.is_some());
        self.incomplete.is_some()
    }

    /// Keys of records that are not in the table.
    fn missing(&mut self) -> anyhow::Result<()> {
        self.line.keys = self.expected.len() as u64;
        let mut missing: Vec<(i32, i64)> = Vec::new();
        for expected in self.expected.values().filter(|expected| !expected.seen) {
            missing.push((expected.partition, expected.offset));
        }
        missing.sort_unstable();
        for (place, (partition, offset)) in missing.into_iter().enumerate() {
            let key = match place < super::report::MAX_NAMED {
                true => self.key_at(partition, offset)?,
                false => None,
            };
            let key = key.unwrap_or_else(|| "a key".to_owned());
            let topic = self.topic.clone();
            self.add("missing", || format!("`{key}` of {topic}[{partition}] at offset {offset} is not in the table"));
        }
        Ok(())
    }

    /// The key of the record at a coordinate, if it can be had.
    fn key_at(&mut self, partition: i32, offset: i64) -> anyhow::Result<Option<String>> {
        let reader = Reader::assign(&self.verification.cluster, &self.topic, &[(partition, offset)])?;
        let (mut rows, mut headers) = (Rows::new(self.dataset), Vec::new());
        let deadline = Instant::now() + LOOK_PATIENCE;
        while Instant::now() < deadline {
            let Some(message) = reader.poll(POLL_PATIENCE)? else { continue };
            let refused = self.admit(&original_of(&message, &mut headers), &mut rows)?;
            return Ok((refused.is_none() && message.offset() == offset).then(|| key_text(self.dataset, &rows)));
        }
        Ok(None)
    }
}

/// The key of the only row, its parts as in a message key.
fn key_text(dataset: &Dataset, rows: &Rows) -> String {
    let mut text = String::new();
    for position in &dataset.key {
        topic::put_key_part(tombstone::shown(rows.column(*position), 0), &mut text);
    }
    text
}
