//! First step: how far each sink has read the topic, and whether the topic can explain every row of the table.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;

use kafka::offsets::end_offsets;
use store::{Audit, PositionRow};

use super::super::dead_letters::{self, SinkDeadLetters};
use super::super::report::Findings;
use super::Subject;

/// How far one sink has read one partition.
pub(super) struct Taken {
    pub(super) row: PositionRow,
    /// First offset whose records are counted.
    pub(super) counted_from: i64,
    /// Number of records in its ledger from that offset on.
    pub(super) ledger: i64,
    /// Ranges whose superseded records were not kept as revisions, in order.
    pub(super) without_revisions: Vec<(i64, i64)>,
}

/// How far all sinks have read.
pub(super) struct AllTaken {
    /// By partition.
    pub(super) partitions: BTreeMap<i32, Vec<Taken>>,
    /// Why the table may hold rows without a record on the topic; None when the topic explains every row.
    pub(super) gap: Option<String>,
    /// By partition, the highest position of a sink after the table was read.
    pub(super) later: BTreeMap<i32, i64>,
}

/// Loads how far each sink has read each partition of the current topic, and the sinks' dead letters.
pub(super) fn load(
    subject: &Subject<'_>,
    audit: &mut Audit,
    findings: &mut Findings,
) -> anyhow::Result<(AllTaken, SinkDeadLetters)> {
    let mut letters = SinkDeadLetters::new();
    let mut partitions: BTreeMap<i32, Vec<Taken>> = BTreeMap::new();
    let mut truncated = None;
    for ((sink, number), row) in latest_positions(subject, &subject.facts.positions) {
        let Some((low, end)) = subject.facts.watermarks[&subject.topic].get(&number).copied() else { continue };
        if row.next_offset > end {
            // The ledger's check has reported this. The records now on the topic are not comparable.
            truncated = Some(format!("{} was truncated or recreated", row.partition));
            continue;
        }
        if let Entry::Vacant(vacant) = letters.entry(sink) {
            let of = (vacant.key().as_str(), subject.topic.as_str(), subject.dataset.name.as_str());
            let loaded = dead_letters::load(of, audit, subject.runtime, findings)?;
            vacant.insert(loaded);
        }
        let since = subject.runtime.block_on(audit.read_since(&row.partition, low))?;
        let (counted_from, ledger) = since.unwrap_or((row.next_offset, 0));
        let without_revisions = subject.runtime.block_on(audit.without_revisions(&row.partition))?;
        partitions.entry(number).or_default().push(Taken { row, counted_from, ledger, without_revisions });
    }
    let gap = truncated.or_else(|| gap(subject, &partitions));
    Ok((AllTaken { partitions, gap, later: BTreeMap::new() }, letters))
}

/// Looks how far the sinks have read by now, and which dead letters were stored meanwhile. Returns all positions.
pub(super) fn look_again(
    subject: &Subject<'_>,
    taken: &mut AllTaken,
    letters: &mut SinkDeadLetters,
) -> anyhow::Result<Vec<PositionRow>> {
    let Subject { verification, topic, runtime, .. } = subject;
    let mut audit = runtime.block_on(verification.database.audit())?;
    let positions = runtime.block_on(audit.positions())?;
    for (sink, letters) in letters.iter_mut() {
        let each = audit.each_resolution(sink, |name| dead_letters::note_resolution(&name, topic, letters));
        runtime.block_on(each)?;
    }
    drop(audit);
    let ends: BTreeMap<i32, i64> =
        end_offsets(&verification.cluster, topic)?.into_iter().map(|(number, _, end)| (number, end)).collect();
    for ((sink, number), row) in latest_positions(subject, &positions) {
        let mut known = taken.partitions.get(&number).into_iter().flatten();
        let is_other = |known: &Taken| {
            *known.row.partition.sink == *sink && known.row.partition.incarnation != row.partition.incarnation
        };
        if known.any(is_other) {
            anyhow::bail!("{} was recreated while it was compared: compare it again", row.partition);
        }
        // Beyond its end, the topic was truncated or recreated. The ledger's check reports this.
        if ends.get(&number).is_some_and(|end| row.next_offset <= *end) {
            let later = taken.later.entry(number).or_default();
            *later = row.next_offset.max(*later);
        }
    }
    Ok(positions)
}

/// The positions of the dataset's sinks in the topic, of the latest incarnation, by sink and partition.
fn latest_positions(subject: &Subject<'_>, positions: &[PositionRow]) -> BTreeMap<(String, i32), PositionRow> {
    let mut latest = BTreeMap::new();
    for row in positions.iter().filter(|row| *row.partition.topic == *subject.topic) {
        let dataset = subject.verification.dataset_of(&row.partition.sink);
        if dataset.is_some_and(|dataset| dataset.name == subject.dataset.name) {
            // Positions are ordered by incarnation, so that the latest one wins.
            latest.insert((row.partition.sink.to_string(), row.partition.number), row.clone());
        }
    }
    latest
}

/// Why the topic cannot explain every row of the table; None when it can.
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
