//! Whether the sinks keep up: topics that do not exist, sinks that have halted, records that nobody consumes.
//!
//! Only of the sinks that this configuration names: the positions of an earlier name do not move any more.

use std::collections::BTreeMap;

use chrono::{TimeDelta, Utc};
use contract::{Dataset, topic};
use kafka::survey::{Found, Survey};
use store::PositionRow;

use super::report::Findings;
use super::{Facts, Verification};

impl Verification {
    /// Adds a violation for each cause that keeps records from the tables.
    pub(super) fn monitor(&self, facts: &Facts, survey: &Survey, findings: &mut Findings) -> anyhow::Result<()> {
        let mut waiting: Vec<(String, i32, i64)> = Vec::new();
        for dataset in &self.datasets {
            waiting.extend(self.next_offsets(dataset, facts));
        }
        let times = survey.first_times(&waiting)?;
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
            owner(dataset, (&sink, &topic), facts, findings);
            self.waiting((dataset, &sink), &waiting, &times, facts, findings);
        }
        Ok(())
    }

    /// The next offset of each partition in which a record waits.
    fn next_offsets(&self, dataset: &Dataset, facts: &Facts) -> Vec<(String, i32, i64)> {
        let (topic, positions) = self.positions(dataset, facts);
        let next = |(number, (low, high)): (&i32, &(i64, i64))| {
            let next = positions.get(number).map_or(*low, |row| row.next_offset.max(*low));
            (next < *high).then(|| (topic.clone(), *number, next))
        };
        let mut places: Vec<_> = facts.watermarks.get(&topic).into_iter().flatten().filter_map(next).collect();
        places.sort_unstable();
        places
    }

    /// The positions of this configuration's sink in a dataset's topic.
    fn positions<'a>(&self, dataset: &Dataset, facts: &'a Facts) -> (String, BTreeMap<i32, &'a PositionRow>) {
        let topic = topic::topic(self.cluster.namespace(), dataset);
        let sink = topic::group(self.cluster.namespace(), dataset, &self.database.sink());
        let is_ours = |row: &&PositionRow| *row.partition.sink == *sink && *row.partition.topic == *topic;
        // They are ordered by incarnation, so that the latest one wins.
        let positions = facts.positions.iter().filter(is_ours).map(|row| (row.partition.number, row)).collect();
        (topic, positions)
    }

    /// Partitions whose next record has waited for longer than the patience.
    fn waiting(
        &self,
        (dataset, sink): (&Dataset, &str),
        places: &[(String, i32, i64)],
        times: &Found<i64>,
        facts: &Facts,
        findings: &mut Findings,
    ) {
        let (topic, positions) = self.positions(dataset, facts);
        let (now, patience) = (Utc::now(), TimeDelta::from_std(self.patience).unwrap_or(TimeDelta::MAX));
        for (_, number, offset) in places.iter().filter(|(of, ..)| *of == topic) {
            let Some(appended_ms) = times.get(&(topic.clone(), *number)) else { continue };
            let waited = TimeDelta::milliseconds(now.timestamp_millis().saturating_sub(*appended_ms));
            if waited <= patience {
                continue;
            }
            let end = facts.watermarks.get(&topic).and_then(|ends| ends.get(number)).map_or(*offset, |(_, high)| *high);
            let records = format!("{} records wait, the first for {} s", end - offset, waited.num_seconds());
            let at = format!("`{sink}` in {topic}[{number}]");
            let moved = positions.get(number).and_then(|row| row.moved_at).map(|moved_at| now - moved_at);
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
    }
}

/// The consumer group fills this database, and no other.
fn owner(dataset: &Dataset, (sink, topic): (&str, &str), facts: &Facts, findings: &mut Findings) {
    let has_topic = facts.watermarks.get(topic).is_some_and(|ends| !ends.is_empty());
    let group = facts.reported.get(sink).filter(|_| has_topic);
    // Ordered by partition: the lowest one decides.
    let owner = group.and_then(|group| group.databases.iter().find(|((of, _), _)| of == topic));
    if let Some(((_, owner), own)) = owner.zip(facts.identity.as_ref()).filter(|((_, owner), own)| owner != own) {
        findings.add("other_database", &dataset.name, || {
            format!(
                "`{sink}` fills database `{owner}`, and this is database `{own}`: give one of them another sink's name"
            )
        });
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
