//! Where a sink starts in the partitions that are assigned to it: at the database's position, checked against Kafka.

use std::collections::HashMap;

use kafka::KafkaError;
use kafka::group::{Assignment, Positions, Start, Unplaced};
use service::settings;
use store::chunk::{LastRecord, SinkPartition};
use store::origin::{self, Foreign};
use store::{Database, Gap, Position, Store, StoreError, topics};
use tokio::runtime::Handle;

use super::error::SinkError;
use super::meters::Meters;
use crate::events::Events;

/// What to do when Kafka removed records before the sink read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnGap {
    /// Halt: an operator decides.
    Halt,
    /// Record the gap in `sink_gap` and continue.
    Record,
}

impl OnGap {
    /// The policy that the environment names.
    pub fn from_settings() -> anyhow::Result<OnGap> {
        match settings::read(&settings::ON_GAP).as_deref() {
            Some("halt") => Ok(OnGap::Halt),
            Some("record") => Ok(OnGap::Record),
            other => anyhow::bail!(
                "`{}` is `{}`, which is neither `halt` nor `record`",
                settings::ON_GAP.name,
                other.unwrap_or_default()
            ),
        }
    }
}

/// A sink's positions in its database.
#[derive(Debug)]
pub(crate) struct DatabasePositions {
    pub(crate) database: Database,
    /// The consumer group, which names the sink.
    pub(crate) group: String,
    pub(crate) topic: String,
    pub(crate) on_gap: OnGap,
    /// Whether the sink is a command, which does not wait for a database.
    pub(crate) once: bool,
    pub(crate) runtime: Handle,
    pub(crate) meters: Meters,
    pub(crate) events: Events,
}

impl Positions for DatabasePositions {
    fn starts(&self, assignment: &Assignment<'_>) -> Result<Vec<Start>, Unplaced> {
        self.find(assignment).map_err(|lack| match lack {
            Lack::Kafka(error) => Unplaced::Failed(error),
            Lack::Store(error) => match SinkError::from(error) {
                SinkError::Retry(reason) if self.once => Unplaced::Failed(KafkaError::Retry(reason)),
                SinkError::Retry(reason) => Unplaced::Later(reason),
                SinkError::Halt(reason) => Unplaced::Failed(KafkaError::Halt(reason)),
            },
        })
    }
}

/// Who did not answer.
enum Lack {
    Kafka(KafkaError),
    Store(StoreError),
}

impl From<KafkaError> for Lack {
    fn from(error: KafkaError) -> Lack {
        Lack::Kafka(error)
    }
}

impl From<StoreError> for Lack {
    fn from(error: StoreError) -> Lack {
        Lack::Store(error)
    }
}

impl DatabasePositions {
    fn find(&self, assignment: &Assignment<'_>) -> Result<Vec<Start>, Lack> {
        let partitions = assignment.partitions();
        let mut store = self.database.store("positions");
        let positions = self.runtime.block_on(self.read(&mut *store, assignment.cluster_id()));
        self.meters.answered(&positions);
        let positions = positions?.into_iter().filter(|position| partitions.contains(&position.partition));
        let known: HashMap<i32, Position> = positions.map(|position| (position.partition, position)).collect();
        let mut ranges = HashMap::new();
        for &partition in partitions {
            // Each of these requests can take ten seconds.
            self.meters.beat();
            ranges.insert(partition, assignment.range(partition)?);
        }
        let is_same = recognise(assignment, &known, &ranges)?;
        let start = |&partition: &i32| {
            let (low, end) = ranges[&partition];
            let Some(position) = known.get(&partition) else {
                return Ok(Start { partition, incarnation: 0, offset: low });
            };
            let Position { incarnation, next_offset: offset, .. } = *position;
            let read = position.topic_id.as_deref();
            let reason = match () {
                () if read.zip(assignment.topic_id()).is_some_and(|(read, now)| read != now) => "recreated",
                () if offset > end => "truncated",
                () if !is_same.get(&partition).copied().unwrap_or(true) => "recreated",
                () if offset < low => "retention",
                () => return Ok(Start { partition, incarnation, offset }),
            };
            self.on_gap(&mut *store, position, (low, end), reason)
        };
        let starts: Vec<Start> = partitions.iter().map(start).collect::<Result<_, Lack>>()?;
        if let Some(topic_id) = assignment.topic_id() {
            let is_known = |start: &&Start| {
                let position = known.get(&start.partition).filter(|known| known.incarnation == start.incarnation);
                position.is_some_and(|position| position.topic_id.as_deref() == Some(topic_id))
            };
            let new = starts.iter().filter(|start| !is_known(start));
            let new: Vec<(i32, i32)> = new.map(|start| (start.incarnation, start.partition)).collect();
            // Before the first record is read: the topic can be created again while it is.
            let sink = (self.group.as_str(), self.topic.as_str());
            self.runtime.block_on(topics::remember(&mut *store, sink, topic_id, &new))?;
        }
        Ok(starts)
    }

    /// The positions, of which those of another cluster would mean nothing.
    async fn read(&self, store: &mut dyn Store, cluster: Option<String>) -> Result<Vec<Position>, StoreError> {
        if let Some(cluster) = cluster {
            let foreign = if self.on_gap == OnGap::Record { Foreign::Adopt } else { Foreign::Refuse };
            if let Some(before) = origin::remember(store, &cluster, foreign).await? {
                tracing::warn!(before, now = cluster, "another Kafka cluster fills the database from now on");
            }
        }
        store.positions(&self.group, &self.topic).await
    }

    /// Continuing past the position would silently skip records: halts, or records the gap.
    fn on_gap(
        &self,
        store: &mut dyn Store,
        position: &Position,
        (low, end): (i64, i64),
        reason: &'static str,
    ) -> Result<Start, Lack> {
        let Position { partition, incarnation, next_offset, .. } = *position;
        let (group, topic) = (&self.group, &self.topic);
        let what = match reason {
            "retention" => format!("begins at offset {low}: {} records are gone unread", low - next_offset),
            "truncated" => format!("ends at offset {end}: the topic was truncated or recreated"),
            _ => "is not the topic that it has read: the topic was recreated".to_owned(),
        };
        let what = format!("`{group}` is at offset {next_offset} of {topic}[{partition}], which {what}");
        if self.on_gap == OnGap::Halt {
            return Err(Lack::Store(StoreError::Halt(format!(
                "{what}; to record that in `sink_gap` and go on at offset {low}, start with `{}=record`",
                settings::ON_GAP.name
            ))));
        }
        self.events.gap(&what, if reason == "retention" { (low - next_offset).cast_unsigned() } else { 0 });
        let old =
            SinkPartition { sink: group.as_str().into(), topic: topic.as_str().into(), incarnation, number: partition };
        let next = if reason == "retention" { incarnation } else { incarnation + 1 };
        let gap = Gap { partition: old, from_offset: next_offset, next: (next, low), reason };
        self.runtime.block_on(store.record_gap(&gap))?;
        Ok(Start { partition, incarnation: next, offset: low })
    }
}

/// For each partition whose last record still exists: whether it is the record that the sink stored.
fn recognise(
    assignment: &Assignment<'_>,
    known: &HashMap<i32, Position>,
    ranges: &HashMap<i32, (i64, i64)>,
) -> Result<HashMap<i32, bool>, KafkaError> {
    let is_there = |position: &&Position| {
        let (low, end) = ranges[&position.partition];
        position.last.is_some_and(|last| (low..end).contains(&last.offset))
    };
    let last: HashMap<i32, LastRecord> =
        known.values().filter(is_there).filter_map(|position| Some((position.partition, position.last?))).collect();
    let offsets: Vec<(i32, i64)> = last.iter().map(|(partition, last)| (*partition, last.offset)).collect();
    let found = assignment.records_at(&offsets)?;
    Ok(last.iter().map(|(partition, last)| (*partition, found[partition] == *last)).collect())
}
