//! Reads a topic again, folds it, and compares the result with the table.
//!
//! Three steps: load how far each sink has read ([`taken`]), fold the topic ([`fold`]), compare the table with the fold
//! ([`table`]). Each step returns the input of the next one.

use contract::{Coordinate, Dataset, Rows, tombstone, topic};
use tokio::runtime::Handle;

use super::dead_letters::{SinkDeadLetters, is_passed};
use super::report::{Findings, MAX_NAMED, PartitionLine, TableLine};
use super::{Facts, Verification};

mod fold;
mod read;
mod table;
mod taken;

use fold::Fold;
use read::Records;
use store::Audit;
use table::Compared;
use taken::Taken;

/// The dataset and topic that are compared. Immutable.
struct Subject<'a> {
    verification: &'a Verification,
    dataset: &'static Dataset,
    topic: String,
    facts: &'a Facts,
    runtime: &'a Handle,
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
    let topic = topic::topic(verification.cluster.namespace(), dataset);
    let subject = Subject { verification, dataset, topic, facts, runtime };
    let (taken, mut letters) = taken::load(&subject, audit, findings)?;
    let mut records = Records::new(&subject);
    let mut fold = Fold::default();
    for (partition, sinks) in &taken.partitions {
        let counted = fold.read(&subject, &mut records, (*partition, sinks), &mut letters, findings)?;
        for (sink, counted) in sinks.iter().zip(counted) {
            check_count(&subject, sink, counted, lines, findings);
        }
    }
    check_letters(&subject, &letters, findings);
    let keys = fold.expected.len() as u64;
    let compared = Compared::rows(&subject, &mut fold.expected, taken.gap.is_some(), audit, findings)?;
    let missing = compared.missing();
    let Compared { rows, cannot_be_checked, by_coordinate, .. } = compared;
    add_missing(&subject, &missing, &mut records, findings)?;
    if let Some(reason) = taken.gap.filter(|_| cannot_be_checked > 0) {
        findings.notes.push(format!("{}: {cannot_be_checked} rows cannot be checked: {reason}", dataset.name));
    }
    Ok(TableLine { dataset: dataset.name.clone(), records: fold.records, keys, rows, cannot_be_checked, by_coordinate })
}

/// Compares the number of records on the topic with the ledger's.
fn check_count(
    subject: &Subject<'_>,
    sink: &Taken,
    counted: i64,
    lines: &mut [PartitionLine],
    findings: &mut Findings,
) {
    let Taken { row, counted_from, ledger } = sink;
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

/// Reports records, (partition, offset), whose keys are missing from the table.
fn add_missing(
    subject: &Subject<'_>,
    missing: &[(i32, i64)],
    records: &mut Records<'_>,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    for (place, &(partition, offset)) in missing.iter().enumerate() {
        // A record is read again only to name its key, so only for violations that are printed.
        let key = if place < MAX_NAMED { records.key_at(partition, offset)? } else { None };
        let key = key.unwrap_or_else(|| "a key".to_owned());
        let what = || format!("`{key}` of {}[{partition}] at offset {offset} is not in the table", subject.topic);
        findings.add("missing", &subject.dataset.name, what);
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
