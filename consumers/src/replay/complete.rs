//! Whether the topic still has every record that a table was built from. Otherwise rows would vanish in an exchange.

use std::collections::BTreeMap;

use contract::Dataset;
use store::{LedgerSums, PositionRow};

/// What a database says about the sinks of a topic, and Kafka about the topic.
pub(super) struct Evidence<'a> {
    pub(super) dataset: &'a Dataset,
    pub(super) topic: &'a str,
    /// The replay's sink, if it has begun.
    pub(super) replay: Option<&'a str>,
    pub(super) ledger: &'a [LedgerSums],
    pub(super) positions: &'a [PositionRow],
    /// First offset and end by partition, read after the positions.
    pub(super) ranges: &'a BTreeMap<i32, (i64, i64)>,
    pub(super) cleanup_policy: &'a str,
    /// Whether the table has rows.
    pub(super) has_rows: bool,
}

impl Evidence<'_> {
    /// What the replay lacks; empty when it has everything.
    pub(super) fn lacks(&self) -> Vec<String> {
        let mut lacks = Vec::new();
        if self.cleanup_policy.contains("compact") {
            lacks.push(format!("the topic is compacted (`cleanup.policy={}`)", self.cleanup_policy));
        }
        let live = || self.ledger.iter().filter(|sums| is_live(&sums.partition.sink));
        let others =
            live().filter(|sums| *sums.partition.topic != *self.topic && self.is_same_dataset(&sums.partition.topic));
        lacks.extend(others.map(|sums| format!("it has rows of topic `{}`", sums.partition.topic)));
        let ours: Vec<&LedgerSums> = live().filter(|sums| *sums.partition.topic == *self.topic).collect();
        if ours.is_empty() && self.has_rows {
            lacks.push("no ledger says from which topic its rows are".to_owned());
        }
        lacks.extend(ours.iter().filter_map(|sums| self.lack(sums)));
        lacks.extend(self.positions.iter().filter_map(|position| self.beyond(position)));
        lacks.sort_unstable();
        lacks.dedup();
        lacks
    }

    /// What the replay lacks of that which a sink has read of a partition.
    fn lack(&self, read: &LedgerSums) -> Option<String> {
        let (number, incarnation) = (read.partition.number, read.partition.incarnation);
        let is_latest = |position: &&PositionRow| {
            let other = &position.partition;
            (&other.sink, &other.topic, other.number) == (&read.partition.sink, &read.partition.topic, number)
        };
        if self.positions.iter().filter(is_latest).any(|position| position.partition.incarnation > incarnation) {
            return Some(format!("partition {number} was read before the topic was recreated"));
        }
        let Some((low, _)) = self.ranges.get(&number) else {
            return Some(format!("the topic has no partition {number}"));
        };
        let replayed = self.ledger.iter().find(|sums| {
            self.replay == Some(&*sums.partition.sink)
                && *sums.partition.topic == *self.topic
                && sums.partition.number == number
        });
        let first = replayed.map_or(*low, |replayed| replayed.range.0);
        if first > read.range.0 {
            return Some(format!("offsets {} to {} of partition {number} are gone", read.range.0, first - 1));
        }
        let replayed = replayed.filter(|replayed| replayed.range.1 >= read.range.1)?;
        let fewer = read.outcome.read.saturating_sub(replayed.outcome.read);
        (fewer > 0).then(|| format!("{fewer} records of partition {number} are gone, for instance by compaction"))
    }

    /// A live sink is beyond the end of the topic.
    fn beyond(&self, position: &PositionRow) -> Option<String> {
        let partition = &position.partition;
        if !is_live(&partition.sink) || *partition.topic != *self.topic {
            return None;
        }
        let end = self.ranges.get(&partition.number).map_or(0, |(_, end)| *end);
        let latest = self.positions.iter().filter(|other| {
            let other = &other.partition;
            (&other.sink, &other.topic, other.number) == (&partition.sink, &partition.topic, partition.number)
        });
        let is_latest = latest.map(|other| other.partition.incarnation).max() == Some(partition.incarnation);
        (is_latest && position.next_offset > end).then(|| {
            format!(
                "partition {} ends at offset {end}, and `{}` is at offset {}: the topic was truncated or recreated",
                partition.number, partition.sink, position.next_offset
            )
        })
    }

    /// Whether a topic is one of this dataset: `<namespace>.<dataset>.v<version>`.
    fn is_same_dataset(&self, topic: &str) -> bool {
        let mut parts = topic.rsplit('.');
        let is_version = |part: &str| part.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok());
        parts.next().is_some_and(is_version) && parts.next() == Some(&self.dataset.name)
    }
}

/// Whether a sink is a live one.
fn is_live(sink: &str) -> bool {
    !sink.contains(".replay.")
}

#[cfg(test)]
mod tests {
    use store::{Outcome, SinkPartition};

    use super::*;

    const TOPIC: &str = "tape.ohlcv_bar.v1";
    const REPLAY: &str = "live.replay.1";

    fn partition(sink: &str, topic: &str, number: i32) -> SinkPartition {
        SinkPartition { sink: sink.into(), topic: topic.into(), incarnation: 0, number }
    }

    fn sums(sink: &str, topic: &str, range: (i64, i64), read: u64) -> LedgerSums {
        LedgerSums {
            partition: partition(sink, topic, 0),
            range,
            outcome: Outcome { read, ..Outcome::default() },
            span: range.1 - range.0,
            broken: 0,
            steps: 0,
            ends: (0, 0),
        }
    }

    fn lacks(ledger: &[LedgerSums], range: (i64, i64), cleanup_policy: &str) -> String {
        let evidence = Evidence {
            dataset: contract::dataset("ohlcv_bar").unwrap(),
            topic: TOPIC,
            replay: Some(REPLAY),
            ledger,
            positions: &[PositionRow {
                partition: partition("live", TOPIC, 0),
                next_offset: 100,
                last: None,
                moved_at: None,
                topic_id: None,
            }],
            ranges: &[(0, range)].into(),
            cleanup_policy,
            has_rows: true,
        };
        evidence.lacks().join("; ")
    }

    #[test]
    fn a_replay_has_everything_if_it_read_what_the_live_sinks_read() {
        let live = sums("live", TOPIC, (0, 100), 100);
        let replay = sums(REPLAY, TOPIC, (0, 100), 100);
        assert_eq!(lacks(&[live.clone(), replay.clone()], (0, 100), "delete"), "");
        // What the replay has read may be gone by now.
        assert_eq!(lacks(&[live.clone(), replay], (70, 100), "delete"), "");
        // A table that was filled from a trimmed topic lacks nothing in it.
        assert_eq!(lacks(&[sums("live", TOPIC, (40, 100), 60)], (40, 100), "delete"), "");
        // Before it begins, only the topic counts.
        assert_eq!(lacks(std::slice::from_ref(&live), (0, 100), "delete"), "");
        assert_eq!(lacks(&[live], (40, 100), "delete"), "offsets 0 to 39 of partition 0 are gone");
    }

    #[test]
    fn records_that_are_gone_within_the_topic_are_noticed_by_their_number() {
        let live = sums("live", TOPIC, (0, 100), 100);
        let fewer = [live.clone(), sums(REPLAY, TOPIC, (0, 120), 97)];
        assert_eq!(lacks(&fewer, (0, 120), "delete"), "3 records of partition 0 are gone, for instance by compaction");
        let behind = [live.clone(), sums(REPLAY, TOPIC, (0, 50), 50)];
        assert_eq!(lacks(&behind, (0, 100), "delete"), "", "a replay that is behind is not finished");
        assert_eq!(
            lacks(&[live], (0, 100), "delete,compact"),
            "the topic is compacted (`cleanup.policy=delete,compact`)"
        );
    }

    #[test]
    fn rows_of_other_topics_are_noticed() {
        let live = sums("live", TOPIC, (0, 100), 100);
        let earlier = sums("live", "tape.ohlcv_bar.v2", (0, 10), 10);
        let other = sums("live", "tape.observation.v1", (0, 10), 10);
        assert_eq!(lacks(&[live, earlier, other], (0, 100), ""), "it has rows of topic `tape.ohlcv_bar.v2`");
        assert_eq!(lacks(&[], (0, 100), ""), "no ledger says from which topic its rows are");
        let ends = lacks(&[sums("live", TOPIC, (0, 100), 100)], (0, 50), "");
        assert!(ends.contains("partition 0 ends at offset 50, and `live` is at offset 100"), "{ends}");
    }
}
