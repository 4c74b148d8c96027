//! First step: which sinks have taken what of the topic, and whether the topic explains all that can be in the table.

use std::collections::BTreeMap;

use super::super::dead_letters::{self, SinkDeadLetters};
use super::super::report::Findings;
use super::Subject;
use crate::store::{Audit, PositionRow};

/// One sink in one partition.
pub(super) struct Taken {
    pub(super) row: PositionRow,
    /// From where on its records are counted.
    pub(super) counted_from: i64,
    /// How many records its ledger has from there on.
    pub(super) ledger: i64,
}

/// What all sinks have taken.
pub(super) struct AllTaken {
    /// By partition.
    pub(super) partitions: BTreeMap<i32, Vec<Taken>>,
    /// Why rows can be in the table whose records are not, or no longer, known; None when the topic explains them all.
    pub(super) gap: Option<String>,
}

/// What each sink has taken of each partition, as the topic is now, and the sinks' dead letters.
pub(super) fn load(
    subject: &Subject<'_>,
    audit: &mut Audit,
    findings: &mut Findings,
) -> anyhow::Result<(AllTaken, SinkDeadLetters)> {
    let mut letters = SinkDeadLetters::new();
    let mut partitions: BTreeMap<i32, Vec<Taken>> = BTreeMap::new();
    let mut truncated = None;
    for ((sink, number), row) in latest_positions(subject) {
        let Some((low, end)) = subject.facts.watermarks[&subject.topic].get(&number).copied() else { continue };
        if row.next_offset > end {
            // The ledger's check has reported that; nothing that is on the topic now can be compared.
            truncated = Some(format!("{} was truncated or recreated", row.partition));
            continue;
        }
        if !letters.contains_key(&sink) {
            let of = (sink.as_str(), subject.topic.as_str(), subject.dataset.name.as_str());
            let loaded = dead_letters::load(of, audit, subject.runtime, findings)?;
            letters.insert(sink, loaded);
        }
        let since = subject.runtime.block_on(audit.read_since(&row.partition, low))?;
        let (counted_from, ledger) = since.unwrap_or((row.next_offset, 0));
        partitions.entry(number).or_default().push(Taken { row, counted_from, ledger });
    }
    let gap = truncated.or_else(|| gap(subject, &partitions));
    Ok((AllTaken { partitions, gap }, letters))
}

/// The positions of the dataset's sinks in the topic, of the latest incarnation, by sink and partition.
fn latest_positions(subject: &Subject<'_>) -> BTreeMap<(String, i32), PositionRow> {
    let mut latest = BTreeMap::new();
    for row in subject.facts.positions.iter().filter(|row| *row.partition.topic == *subject.topic) {
        let dataset = subject.verification.dataset_of(&row.partition.sink);
        if dataset.is_some_and(|dataset| dataset.name == subject.dataset.name) {
            // Positions come in the order of incarnations: the latest one stays.
            latest.insert((row.partition.sink.to_string(), row.partition.number), row.clone());
        }
    }
    latest
}

/// Why the topic does not explain all that can be in the table; None when it does.
fn gap(subject: &Subject<'_>, partitions: &BTreeMap<i32, Vec<Taken>>) -> Option<String> {
    let Subject { topic, facts, .. } = subject;
    let begun = || {
        let begun = facts.watermarks[topic].iter().find(|(_, (low, _))| *low > 0);
        begun.map(|(number, (low, _))| format!("{topic}[{number}] begins at offset {low}"))
    };
    let start = format!("{}.{}.", subject.verification.cluster.namespace(), subject.dataset.name);
    let recorded = || {
        let mut gaps = facts.gaps.iter().filter(|gap| gap.partition.sink.starts_with(&start));
        gaps.next().map(|gap| format!("there is a gap in {} at offset {}", gap.partition, gap.range.0))
    };
    let end = |number| partitions.get(&number).into_iter().flatten().map(|taken: &Taken| taken.row.next_offset).max();
    let elsewhere = || {
        let mut rows = facts.positions.iter().filter(|row| row.partition.sink.starts_with(&start));
        let found = rows.find(|row| {
            let at = &row.partition;
            *at.topic != **topic || at.incarnation > 0 || Some(row.next_offset) > end(at.number)
        });
        found.map(|row| format!("`{}` has taken others from {}", row.partition.sink, row.partition))
    };
    begun().or_else(recorded).or_else(elsewhere)
}
