//! Checks the ledger for consistency, against Kafka's offsets, and against the dead letters.

use std::collections::{BTreeMap, HashMap, HashSet};

use contract::{Dataset, topic};
use kafka::survey::Survey;
use store::chunk::{LastRecord, SinkPartition};
use store::quarantine::Parked;
use store::{Audit, GapRow, LedgerSums, PositionRow};
use tokio::runtime::Handle;

use super::report::{Findings, MAX_NAMED, PartitionLine};
use super::{Facts, Verification};

/// What the database holds about one incarnation of a partition.
#[derive(Default)]
struct Held {
    position: Option<PositionRow>,
    sums: Option<LedgerSums>,
    gaps: Vec<GapRow>,
}

type Key = (String, String, i32, i32);

fn key(partition: &SinkPartition) -> Key {
    (partition.sink.to_string(), partition.topic.to_string(), partition.number, partition.incarnation)
}

/// One incarnation of a partition while it is checked.
struct Check<'a> {
    dataset: &'static Dataset,
    partition: SinkPartition,
    held: &'a Held,
    /// Whether it is the latest incarnation.
    latest: bool,
    /// Refused records without dead letters.
    parked: i64,
    findings: &'a mut Findings,
}

impl Verification {
    /// Runs every check that does not read the topics.
    pub(super) fn ledger(
        &self,
        facts: &Facts,
        audit: &mut Audit,
        runtime: &Handle,
        findings: &mut Findings,
    ) -> anyhow::Result<Vec<PartitionLine>> {
        let mut all: BTreeMap<Key, Held> = BTreeMap::new();
        for row in &facts.positions {
            all.entry(key(&row.partition)).or_default().position = Some(row.clone());
        }
        for sums in runtime.block_on(audit.ledger())? {
            let at = key(&sums.partition);
            all.entry(at).or_default().sums = Some(sums);
        }
        for gap in &facts.gaps {
            all.entry(key(&gap.partition)).or_default().gaps.push(gap.clone());
        }
        all.retain(|(sink, ..), _| self.dataset_of(sink).is_some());
        let (mut lines, mut letters) = (Vec::new(), HashMap::<String, i64>::new());
        let mut parked = HashMap::<String, Vec<Parked>>::new();
        for (at, held) in &all {
            let Some(dataset) = self.dataset_of(&at.0) else { continue };
            let latest = !all.contains_key(&(at.0.clone(), at.1.clone(), at.2, at.3 + 1));
            let partition = SinkPartition {
                sink: at.0.as_str().into(),
                topic: at.1.as_str().into(),
                incarnation: at.3,
                number: at.2,
            };
            if !parked.contains_key(&at.0) {
                parked.insert(at.0.clone(), runtime.block_on(audit.parked(&at.0))?);
            }
            let parked = parked[&at.0].iter().filter(|parked| parked.partition == partition);
            let parked = parked.map(|parked| parked.offsets.len() as i64).sum();
            let mut check = Check { dataset, partition, held, latest, parked, findings };
            check.contiguous(audit, runtime)?;
            check.position();
            check.kafka(facts);
            *letters.entry(at.0.clone()).or_default() += check.dead_letters(audit, runtime)?;
            lines.push(check.line(facts));
        }
        for (sink, counted) in letters {
            let stored = runtime.block_on(audit.dead_letters(&sink, None))?;
            if let (true, Some(dataset)) = (stored != counted, self.dataset_of(&sink)) {
                let what =
                    || format!("{} dead letters of `{sink}` are of no partition that it reads", stored - counted);
                findings.add("dead_letters", &dataset.name, what);
            }
        }
        self.unread(facts, &mut lines);
        Ok(lines)
    }

    /// Checks that the topic still holds the record that the sink stored last.
    pub(super) fn last_records(&self, facts: &Facts, survey: &Survey, findings: &mut Findings) -> anyhow::Result<()> {
        let mut by_sink: BTreeMap<(String, String), BTreeMap<i32, (i32, LastRecord)>> = BTreeMap::new();
        for row in &facts.positions {
            let SinkPartition { sink, topic, incarnation, number } = &row.partition;
            let range = facts.watermarks.get(&**topic).and_then(|ends| ends.get(number));
            let there = |last: &LastRecord| range.is_some_and(|(low, high)| (*low..*high).contains(&last.offset));
            let partitions = by_sink.entry((sink.to_string(), topic.to_string())).or_default();
            // Positions are ordered by incarnation, so that the latest one wins.
            partitions.remove(number);
            if let Some(last) = row.last.filter(there) {
                partitions.insert(*number, (*incarnation, last));
            }
        }
        let ours = by_sink.into_iter().filter_map(|((sink, topic), partitions)| {
            let dataset = self.dataset_of(&sink)?;
            Some(
                partitions
                    .into_iter()
                    .map(move |(number, (_, last))| (sink.clone(), dataset, topic.clone(), number, last)),
            )
        });
        let mut rest: Vec<_> = ours.flatten().collect();
        // Two sinks can have read the same partition to different offsets: those of one at a time.
        while !rest.is_empty() {
            let mut taken = HashSet::new();
            let (now, later): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|(_, _, topic, number, _)| taken.insert((topic.clone(), *number)));
            let places: Vec<_> =
                now.iter().map(|(_, _, topic, number, last)| (topic.clone(), *number, last.offset)).collect();
            let found = survey.records_at(&places)?;
            for (sink, dataset, topic, number, last) in now {
                if found.get(&(topic.clone(), number)) != Some(&last) {
                    findings.add("other_record", &dataset.name, || {
                        format!(
                            "{topic}[{number}] at offset {} holds another record than `{sink}` took: the topic was recreated",
                            last.offset
                        )
                    });
                }
            }
            rest = later;
        }
        Ok(())
    }

    /// Partitions without a position.
    fn unread(&self, facts: &Facts, lines: &mut Vec<PartitionLine>) {
        for dataset in &self.datasets {
            let topic = topic::topic(self.cluster.namespace(), dataset);
            let sink = topic::group(self.cluster.namespace(), dataset, &self.database.sink());
            for (number, (low, high)) in facts.watermarks.get(&topic).into_iter().flatten() {
                if lines.iter().any(|line| line.topic == topic && line.partition == *number) {
                    continue;
                }
                lines.push(PartitionLine {
                    dataset: dataset.name.clone(),
                    sink: sink.clone(),
                    topic: topic.clone(),
                    incarnation: 0,
                    partition: *number,
                    position: *low,
                    published: 0,
                    applied: 0,
                    superseded: 0,
                    dead_lettered: 0,
                    gaps: 0,
                    not_consumed: high - low,
                });
            }
        }
        let place = |line: &PartitionLine| self.datasets.iter().position(|dataset| dataset.name == line.dataset);
        lines.sort_by_cached_key(|line| (place(line), line.sink.clone(), line.partition, line.incarnation));
    }
}

impl Check<'_> {
    fn add(&mut self, kind: &'static str, what: String) {
        let at = match self.partition.incarnation {
            0 => format!("`{}` in {}", self.partition.sink, self.partition),
            number => format!("`{}` in {} (incarnation {number})", self.partition.sink, self.partition),
        };
        self.findings.add(kind, &self.dataset.name, || format!("{at} {what}"));
    }

    /// Number of offsets in gaps.
    fn gap_span(&self) -> i64 {
        self.held.gaps.iter().map(|gap| gap.range.1 - gap.range.0).sum()
    }

    /// First beginning and last end of the chunks and gaps, and the sum of their steps.
    fn range(&self) -> Option<((i64, i64), (i64, i64))> {
        let ranges = self.held.sums.iter().map(|sums| (sums.range, sums.ends));
        let ranges = ranges.chain(self.held.gaps.iter().map(|gap| (gap.range, gap.ends)));
        ranges.reduce(|((from, to), (first, last)), ((other_from, other_to), (other_first, other_last))| {
            let (from, first) = if other_from < from { (other_from, other_first) } else { (from, first) };
            let (to, last) = if other_to > to { (other_to, other_last) } else { (to, last) };
            ((from, to), (first, last))
        })
    }

    /// First offset of the ledger.
    fn start(&self) -> i64 {
        let position = self.held.position.as_ref().map_or(0, |row| row.next_offset);
        self.range().map_or(position, |((from, _), _)| from)
    }

    /// Each chunk begins where a chunk or gap ended, no two overlap, and the counts of each add up.
    fn contiguous(&mut self, audit: &mut Audit, runtime: &Handle) -> anyhow::Result<()> {
        let Some(((from, to), (first, last))) = self.range() else { return Ok(()) };
        let sums = self.held.sums.as_ref();
        if let Some(broken) = sums.map(|sums| sums.broken).filter(|broken| *broken > 0) {
            self.add("sum", format!("has {broken} chunks whose counts do not add up"));
        }
        let span = sums.map_or(0, |sums| sums.span) + self.gap_span();
        let gap_steps: i64 = self.held.gaps.iter().map(|gap| gap.ends.1 - gap.ends.0).sum();
        let steps = sums.map_or(0, |sums| sums.steps) + gap_steps;
        if span == to - from && steps == last - first {
            return Ok(());
        }
        let breaks = runtime.block_on(audit.breaks(&self.partition, MAX_NAMED))?;
        for (end, begin) in &breaks {
            self.add(
                "ledger",
                match begin > end {
                    true => format!("has offsets {end} to {} in no chunk and no gap", begin - 1),
                    false => format!("has offsets {begin} to {} in two chunks", end - 1),
                },
            );
        }
        if breaks.is_empty() {
            self.add("ledger", format!("spans {span} offsets from {from} to {to}"));
        }
        Ok(())
    }

    /// The position equals the end of the ledger.
    fn position(&mut self) {
        let end = self.range().map(|((_, to), _)| to);
        let position = self.held.position.as_ref().map(|row| row.next_offset);
        match (position, end) {
            (None, _) => self.add("position", "has a ledger and no position".to_owned()),
            (Some(position), Some(end)) if position != end => {
                self.add("position", format!("is at offset {position}, but its ledger ends at {end}"));
            }
            (Some(position), None) if self.partition.incarnation == 0 => {
                self.add("position", format!("is at offset {position}, but has no ledger"));
            }
            _ => {}
        }
        let ended = self.held.gaps.iter().any(|gap| gap.reason != "retention");
        if !self.latest && !ended {
            self.add("incarnation", "was followed by another incarnation, and no gap says why".to_owned());
        }
    }

    /// Position and beginning lie within Kafka's offsets.
    fn kafka(&mut self, facts: &Facts) {
        let Some(ends) = facts.watermarks.get(&*self.partition.topic).filter(|_| self.latest) else { return };
        let Some(position) = self.held.position.as_ref().map(|row| row.next_offset) else { return };
        let Some((low, high)) = ends.get(&self.partition.number).copied() else {
            return self.add("topic", "reads a partition that the topic does not have".to_owned());
        };
        let read = self.held.position.as_ref().and_then(|row| row.topic_id.as_deref());
        let now = facts.topic_ids.get(&*self.partition.topic).map(String::as_str);
        if let Some((read, now)) = read.zip(now).filter(|(read, now)| read != now) {
            self.add("recreated", format!("has read the topic with id `{read}`, and now its id is `{now}`"));
        } else if position > high {
            self.add(
                "topic",
                format!("is at offset {position}, but the topic ends at {high}: it was truncated or recreated"),
            );
        }
        let start = self.start();
        if start > low && position <= high {
            self.add("ledger", format!("begins at offset {start}, but the topic has records from offset {low} on"));
        }
        let at = (self.partition.topic.to_string(), self.partition.number);
        let reported = facts.reported.get(&*self.partition.sink).and_then(|group| group.offsets.get(&at)).copied();
        // The group's reported offset outlives its topic: a recreated topic may show its predecessor's.
        if let Some(reported) = reported.filter(|reported| *reported > position && self.partition.incarnation == 0) {
            self.add(
                "group",
                format!(
                    "is at offset {position}, but has reported {reported} to Kafka: an older database was restored"
                ),
            );
        }
    }

    /// Compares the number of stored dead letters with the ledger's. Returns the stored number.
    fn dead_letters(&mut self, audit: &mut Audit, runtime: &Handle) -> anyhow::Result<i64> {
        let SinkPartition { sink, topic, incarnation, number } = self.partition.clone();
        // `0` is the byte after `/`, so that this range holds all names that begin with the prefix.
        let names = [format!("{topic}/{incarnation}/{number}/"), format!("{topic}/{incarnation}/{number}0")];
        let stored = runtime.block_on(audit.dead_letters(&sink, Some((&names[0], &names[1]))))?;
        let counted = self.held.sums.as_ref().map_or(0, |sums| sums.outcome.dead_lettered.cast_signed());
        let parked = self.parked;
        if stored + parked != counted {
            let and_parked = if parked > 0 { format!(" and {parked} parked records") } else { String::new() };
            self.add("dead_letters", format!("has {stored} dead letters{and_parked}, but its ledger counts {counted}"));
        }
        Ok(stored)
    }

    fn line(&mut self, facts: &Facts) -> PartitionLine {
        let outcome = self.held.sums.as_ref().map(|sums| sums.outcome).unwrap_or_default();
        let position = self.held.position.as_ref().map_or(0, |row| row.next_offset);
        let (gaps, read) = (self.gap_span(), outcome.read.cast_signed());
        let ends = facts.watermarks.get(&*self.partition.topic).and_then(|ends| ends.get(&self.partition.number));
        let ends = ends.filter(|_| self.latest);
        let published = position - self.start();
        if published > read + gaps {
            let (partition, holes) = (&self.partition, published - read - gaps);
            self.findings.notes.push(format!(
                "{partition}: {holes} of {published} offsets are in no count: markers of transactions, if nothing is wrong"
            ));
        }
        PartitionLine {
            dataset: self.dataset.name.clone(),
            sink: self.partition.sink.to_string(),
            topic: self.partition.topic.to_string(),
            incarnation: self.partition.incarnation,
            partition: self.partition.number,
            position,
            published,
            applied: (outcome.inserted + outcome.changed + outcome.unchanged).cast_signed(),
            superseded: outcome.superseded.cast_signed(),
            dead_lettered: outcome.dead_lettered.cast_signed(),
            gaps,
            not_consumed: ends.map_or(0, |(_, high)| (high - position).max(0)),
        }
    }
}
