//! The range of a topic that a replay reads.

use anyhow::bail;
use chrono::{DateTime, Utc};
use kafka::Cluster;
use kafka::offsets::{end_offsets, offsets_at};
use serde::Serialize;

/// One end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The beginning or the end of the topic.
    Open,
    /// An offset, the same in each partition.
    Offset(i64),
    /// A time: the offset of the first record that Kafka received then or later.
    Time(DateTime<Utc>),
}

/// A range of a topic: from inclusive, to exclusive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Range {
    /// Where it begins.
    pub from: Bound,
    /// Where it ends; open: the end of the topic when the replay starts.
    pub to: Bound,
    /// The partitions; empty: all.
    pub partitions: Vec<i32>,
}

/// A range of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionRange {
    /// The partition.
    pub partition: i32,
    /// First offset.
    pub from: i64,
    /// The offset after the last one.
    pub to: i64,
}

impl Range {
    /// Whether the range is the whole topic.
    pub fn is_whole(&self) -> bool {
        self.from == Bound::Open && self.to == Bound::Open && self.partitions.is_empty()
    }

    /// Whether a record that Kafka received at that time is in the range.
    ///
    /// Only needed where the broker cannot look up offsets by time.
    pub fn includes(&self, timestamp_ms: Option<i64>) -> bool {
        let Some(timestamp_ms) = timestamp_ms else { return true };
        let after = |bound| matches!(bound, Bound::Time(time) if timestamp_ms < time.timestamp_millis());
        let is_before_the_end = !matches!(self.to, Bound::Time(_)) || after(self.to);
        is_before_the_end && !after(self.from)
    }

    /// The offsets in each partition, limited to the records that Kafka still has.
    pub fn resolve(&self, cluster: &Cluster, topic: &str) -> anyhow::Result<Vec<PartitionRange>> {
        let mut there = end_offsets(cluster, topic)?;
        if there.is_empty() {
            bail!("there is no topic `{topic}`");
        }
        if let Some(unknown) = self.partitions.iter().find(|wanted| there.iter().all(|(number, ..)| number != *wanted))
        {
            bail!("topic `{topic}` has no partition {unknown}: it has {}", there.len());
        }
        there.retain(|(number, ..)| self.partitions.is_empty() || self.partitions.contains(number));
        let from = self.from.offsets(cluster, topic, &there, |(_, low, _)| low)?;
        let to = self.to.offsets(cluster, topic, &there, |(_, _, high)| high)?;
        let ranges = there.iter().zip(from.into_iter().zip(to));
        let clamped = ranges.map(|(&(partition, low, high), (from, to))| {
            if from < low && self.from != Bound::Open {
                tracing::warn!(partition, low, "kafka no longer has records before this offset");
            }
            PartitionRange { partition, from: from.clamp(low, high), to: to.clamp(low, high) }
        });
        Ok(clamped.collect())
    }
}

impl Bound {
    fn offsets(
        self,
        cluster: &Cluster,
        topic: &str,
        there: &[(i32, i64, i64)],
        open: impl Fn((i32, i64, i64)) -> i64,
    ) -> anyhow::Result<Vec<i64>> {
        Ok(match self {
            Bound::Open => there.iter().map(|partition| open(*partition)).collect(),
            Bound::Offset(offset) => vec![offset; there.len()],
            Bound::Time(time) => {
                let found = offsets_at(cluster, topic, there, time.timestamp_millis())?;
                found.into_iter().map(|(_, offset)| offset).collect()
            }
        })
    }
}
