//! Reads a topic again and compares the result with the table.
//!
//! Five steps, each of which returns the input of a later one: load how far each sink has read ([`taken`]), read the
//! table ([`table`]), look how far the sinks have read by then, read the topic ([`fold`]), compare the two ([`compare`]).
//!
//! No transaction lasts, so consumers write while the table is read. A record that a sink stored meanwhile is late: its
//! row may have it or not. Every other record must be in the table. So nothing is read twice to explain a difference.
//!
//! Rows and records are kept as fingerprints, in parts on disk ([`spill`]). Memory holds one part at a time.

use std::collections::{BTreeSet, HashMap};

use contract::{Column, Coordinate, Dataset, Rows, tombstone, topic};
use kafka::offsets::end_offsets;
use tokio::runtime::Handle;

use super::dead_letters::{SinkDeadLetters, is_passed};
use super::report::{Findings, PartitionLine, TableLine};
use super::{Facts, Verification};

mod compare;
mod fold;
mod read;
mod spill;
mod table;
mod taken;

use compare::Compared;
use fold::Topic;
use read::Records;
use store::Audit;
use table::Table;
use taken::Taken;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The dataset and topic that are compared. Immutable.
struct Subject<'a> {
    verification: &'a Verification,
    dataset: &'static Dataset,
    topic: String,
    facts: &'a Facts,
    runtime: &'a Handle,
    /// Retention, as it was once the table had been read.
    retention: Option<Retention>,
}

/// What TimescaleDB removes of a table by itself.
struct Retention {
    /// The age, such as `730 days`.
    age: String,
    /// Rows with a time before are removed, in microseconds since 1970.
    before: i64,
}

impl Subject<'_> {
    /// Whether retention may have removed the row of a record.
    fn is_removable(&self, rows: &Rows) -> bool {
        let Some((retention, time)) = self.retention.as_ref().zip(self.dataset.time) else { return false };
        let time = match rows.column(time) {
            Column::Timestamp(times) => times.first().copied().flatten(),
            Column::Date(days) => days.first().copied().flatten().map(|day| i64::from(day) * MICROS_PER_DAY),
            _ => None,
        };
        time.is_some_and(|time| time < retention.before)
    }
}

/// The retention of a dataset's table; None where rows stay.
fn retention(verification: &Verification, name: &str, runtime: &Handle) -> anyhow::Result<Option<Retention>> {
    let layouts = runtime.block_on(verification.database.layouts())?;
    let chunks = layouts.into_iter().find(|layout| layout.table == name).and_then(|layout| layout.chunks);
    Ok(chunks.and_then(|chunks| Some(Retention { age: chunks.drop_after?, before: chunks.removed_before? })))
}

/// Compares a dataset's table with its topic.
pub(super) fn compare(
    verification: &Verification,
    dataset: &'static Dataset,
    runtime: &Handle,
    (lines, findings): (&mut [PartitionLine], &mut Findings),
) -> anyhow::Result<TableLine> {
    let topic = topic::topic(verification.cluster.namespace(), dataset);
    let mut audit = runtime.block_on(verification.database.audit())?;
    let facts = facts(verification, &topic, &mut audit, runtime)?;
    let mut subject = Subject { verification, dataset, topic, facts: &facts, runtime, retention: None };
    let (mut taken, mut letters) = taken::load(&subject, &mut audit, findings)?;
    // Reading takes hours: no transaction may last as long.
    drop(audit);
    let mut table = Table::read(&subject, findings)?;
    subject.retention = retention(verification, &dataset.name, runtime)?;
    let positions = taken::look_again(&subject, &mut taken, &mut letters)?;
    let (mut records, mut read) = (Records::new(&subject), Topic::new(&subject));
    let partitions: BTreeSet<i32> = taken.partitions.keys().chain(taken.later.keys()).copied().collect();
    for partition in partitions {
        let counted = read.read(&subject, &mut records, (partition, &taken), &mut letters, findings)?;
        for (sink, counted) in taken.partitions.get(&partition).into_iter().flatten().zip(counted) {
            check_count(&subject, sink, counted, lines, findings);
        }
    }
    check_letters(&subject, &letters, findings);
    let mut compared = Compared::new(&subject, &positions, taken.gap.is_some());
    compared.all(&mut read, &mut table, findings)?;
    let Compared { keys, cannot_be_checked, by_coordinate, missing, first_missing, without_revision, .. } = compared;
    if without_revision > 0 {
        findings.notes.push(format!(
            "{0}: of {without_revision} earlier versions there are no revisions, because an earlier version of tapedeck \
             stored their records: `consumer replay {0}` fills them in",
            dataset.name
        ));
    }
    if let Some(retention) = &subject.retention {
        findings.notes.push(format!(
            "{}: retention removes rows after {}: of {} records nobody can say whether their rows are missing",
            dataset.name, retention.age, read.removable
        ));
    }
    add_missing(&subject, (missing, &first_missing), &mut records, findings)?;
    if let Some(reason) = taken.gap.filter(|_| cannot_be_checked > 0) {
        findings.notes.push(format!("{}: {cannot_be_checked} rows cannot be checked: {reason}", dataset.name));
    }
    let (dataset, records, rows, revisions) = (dataset.name.clone(), read.count, table.count, table.revisions);
    Ok(TableLine { dataset, records, keys, rows, revisions, cannot_be_checked, by_coordinate })
}

/// The positions and gaps of the snapshot, and the ends of the topic afterwards.
fn facts(verification: &Verification, topic: &str, audit: &mut Audit, runtime: &Handle) -> anyhow::Result<Facts> {
    let positions = runtime.block_on(audit.positions())?;
    let gaps = runtime.block_on(audit.gaps())?;
    let ends = end_offsets(&verification.cluster, topic)?;
    let ends = ends.into_iter().map(|(partition, low, high)| (partition, (low, high))).collect();
    let watermarks = HashMap::from([(topic.to_owned(), ends)]);
    Ok(Facts { positions, gaps, watermarks, ..Facts::default() })
}

/// Compares the number of records on the topic with the ledger's.
fn check_count(
    subject: &Subject<'_>,
    sink: &Taken,
    counted: i64,
    lines: &mut [PartitionLine],
    findings: &mut Findings,
) {
    let Taken { row, counted_from, ledger, .. } = sink;
    let at = &row.partition;
    if counted != *ledger {
        findings.add("records", &subject.dataset.name, || {
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

/// Reports dead letters whose message is missing from the topic.
fn check_letters(subject: &Subject<'_>, letters: &SinkDeadLetters, findings: &mut Findings) {
    let Subject { topic, facts, dataset, .. } = subject;
    for (sink, letters) in letters {
        for ((incarnation, number, offset), _) in letters.iter().filter(|(_, letter)| !letter.found) {
            let (incarnation, partition, offset) = (*incarnation, *number, *offset);
            let low = facts.watermarks[topic].get(&partition).map_or(0, |(low, _)| *low);
            let coordinate = Coordinate { topic, incarnation, partition, offset };
            let latest = facts.positions.iter().rev().find(|row| {
                (&*row.partition.sink, &*row.partition.topic, row.partition.number)
                    == (sink.as_str(), topic.as_str(), partition)
            });
            let is_current = latest.is_none_or(|row| row.partition.incarnation == incarnation);
            if (is_current && offset >= low) || !is_passed(&coordinate, sink, &facts.positions) {
                let what = || format!("dead letter `{coordinate}` of `{sink}` is of no record that it has taken");
                findings.add("dead_letters", &dataset.name, what);
            }
        }
    }
}

/// Reports keys that are missing from the table: their number, and the records of the first, (partition, offset).
fn add_missing(
    subject: &Subject<'_>,
    (missing, first): (u64, &[(i32, i64)]),
    records: &mut Records<'_>,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    for &(partition, offset) in first {
        // A record is read again only to name its key, so only for violations that are printed.
        let key = records.key_at(partition, offset)?.unwrap_or_else(|| "a key".to_owned());
        let what = || format!("`{key}` of {}[{partition}] at offset {offset} is not in the table", subject.topic);
        findings.add("missing", &subject.dataset.name, what);
    }
    // Beyond the first, violations are only counted.
    for _ in first.len() as u64..missing {
        findings.add("missing", &subject.dataset.name, String::new);
    }
    Ok(())
}

/// The key of the only row, formatted like a message key.
fn key_text(dataset: &Dataset, rows: &Rows) -> String {
    let mut text = String::new();
    for position in &dataset.key {
        topic::put_key_part(tombstone::shown(rows.column(*position), 0), &mut text);
    }
    text
}
