//! Whether the sinks keep up: topics that do not exist, sinks that have halted, records that nobody consumes.
//!
//! Only of the sinks that this configuration names: the positions of an earlier name do not move any more.

use std::collections::BTreeMap;

use chrono::{TimeDelta, Utc};
use contract::{Dataset, topic};
use kafka::offsets::group_database;
use kafka::waiting::first_times;
use store::PositionRow;

use super::report::Findings;
use super::{Facts, Verification};

impl Verification {
    /// Adds a violation for each cause that keeps records from the tables.
    pub(super) fn monitor(&self, facts: &Facts, findings: &mut Findings) -> anyhow::Result<()> {
        for dataset in &self.datasets {
            let topic = topic::topic(self.cluster.namespace(), dataset);
            let sink = topic::group(self.cluster.namespace(), dataset, &self.database.sink());
            for halt in facts.halts.iter().filter(|halt| halt.sink == sink) {
                findings.add("halted", &dataset.name, || {
                    format!(
                        "`{sink}` halted at {}: {}; it removes this note once it runs again",
                        halt.halted_at, halt.reason
                    )
                });
            }
            if facts.watermarks.get(&topic).is_none_or(|ends| ends.is_empty()) {
                findings.add("missing_topic", &dataset.name, || {
                    format!(
                        "there is no topic `{topic}` on Kafka at `{}`: check brokers and namespace, start its producer or \
                         consumer, or name the datasets to verify",
                        self.cluster.brokers()
                    )
                });
            }
            recreated(dataset, (&sink, &topic), facts, findings);
            self.owner(dataset, (&sink, &topic), facts, findings)?;
            self.waiting(dataset, (&sink, &topic), facts, findings)?;
        }
        Ok(())
    }

    /// The consumer group fills this database, and no other.
    fn owner(
        &self,
        dataset: &Dataset,
        (sink, topic): (&str, &str),
        facts: &Facts,
        findings: &mut Findings,
    ) -> anyhow::Result<()> {
        let partitions: Vec<i32> =
            facts.watermarks.get(topic).into_iter().flatten().map(|(number, _)| *number).collect();
        if partitions.is_empty() {
            return Ok(());
        }
        let owner = group_database(&self.cluster, sink, topic, &partitions)?;
        if let Some((owner, own)) = owner.zip(facts.identity.as_ref()).filter(|(owner, own)| owner != *own) {
            findings.add("other_database", &dataset.name, || {
                format!("`{sink}` fills database `{owner}`, and this is database `{own}`: give one of them another sink's name")
            });
        }
        Ok(())
    }

    /// Partitions whose next record has waited for longer than the patience.
    fn waiting(
        &self,
        dataset: &Dataset,
        (sink, topic): (&str, &str),
        facts: &Facts,
        findings: &mut Findings,
    ) -> anyhow::Result<()> {
        let is_ours = |row: &&PositionRow| *row.partition.sink == *sink && *row.partition.topic == *topic;
        // They are ordered by incarnation, so that the latest one wins.
        let positions: BTreeMap<i32, &PositionRow> =
            facts.positions.iter().filter(is_ours).map(|row| (row.partition.number, row)).collect();
        let next = |(number, (low, high)): (&i32, &(i64, i64))| {
            let next = positions.get(number).map_or(*low, |row| row.next_offset.max(*low));
            (next < *high).then_some((*number, next))
        };
        let mut offsets: Vec<(i32, i64)> = facts.watermarks.get(topic).into_iter().flatten().filter_map(next).collect();
        offsets.sort_unstable();
        let times = first_times(&self.cluster, topic, &offsets)?;
        let (now, patience) = (Utc::now(), TimeDelta::from_std(self.patience).unwrap_or(TimeDelta::MAX));
        for (number, offset) in offsets {
            let Some(appended_ms) = times.get(&number) else { continue };
            let waited = TimeDelta::milliseconds(now.timestamp_millis().saturating_sub(*appended_ms));
            if waited <= patience {
                continue;
            }
            let end = facts.watermarks.get(topic).and_then(|ends| ends.get(&number)).map_or(offset, |(_, high)| *high);
            let records = format!("{} records wait, the first for {} s", end - offset, waited.num_seconds());
            let at = format!("`{sink}` in {topic}[{number}]");
            let moved = positions.get(&number).and_then(|row| row.moved_at).map(|moved_at| now - moved_at);
            let (kind, what) = match moved {
                None => (
                    "stuck",
                    format!("{at} has never stored a record: {records}; is `consumer run {}` running?", dataset.name),
                ),
                Some(ago) if ago > patience => (
                    "stuck",
                    format!(
                        "{at} has not moved from offset {offset} for {} s: {records}; look at its log",
                        ago.num_seconds()
                    ),
                ),
                Some(_) => ("behind", format!("{at} moves, but is behind: {records}; wait, or start another consumer")),
            };
            findings.add(kind, &dataset.name, || what);
        }
        Ok(())
    }
}

/// A topic that was deleted and created again before anything of it was stored: there is no position to compare.
fn recreated(dataset: &Dataset, (sink, topic): (&str, &str), facts: &Facts, findings: &mut Findings) {
    let Some(now) = facts.topic_ids.get(topic) else { return };
    for (partition, assigned) in &facts.unread {
        // The new topic may have fewer partitions.
        let exists = facts.watermarks.get(topic).is_some_and(|ends| ends.contains_key(&partition.number));
        if *partition.sink == *sink && *partition.topic == *topic && exists && assigned != now {
            findings.add("recreated", &dataset.name, || {
                format!(
                    "`{sink}` in {partition} was assigned the topic with id `{assigned}` and has stored nothing of it, and \
                     now its id is `{now}`: publish again what was on it, and start the consumer"
                )
            });
        }
    }
}
