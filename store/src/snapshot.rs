//! Snapshots: how far the topics had been read at a moment, as a text that anyone can keep.
//!
//! A snapshot names each dataset's topic and the next offset of each partition. Each stored version has its lowest place
//! on the topic, so a read with a snapshot leaves out what came later: it returns the same rows after any number of
//! corrections, and from a database that was filled again from the topics.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::outcome::StoreError;

/// How a snapshot begins: the version of its format.
const BEGIN: &str = "td1:";
/// Length of the check at its end.
const CHECK_LETTERS: usize = 8;
/// What stands for an id of a topic that Kafka did not say.
pub(crate) const NO_ID: &str = "-";

/// How far the topics had been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot(Vec<TopicSnapshot>);

/// How far a dataset's topic had been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSnapshot {
    /// The dataset.
    pub dataset: String,
    /// The id that Kafka gave the topic; `-` where it did not say.
    pub topic_id: String,
    /// How often the topic had been created again.
    pub incarnation: i32,
    /// The next offset of each partition.
    pub next: Vec<i64>,
}

impl Snapshot {
    /// A snapshot of these topics.
    pub fn new(topics: Vec<TopicSnapshot>) -> Snapshot {
        Snapshot(topics)
    }

    /// How far that dataset's topic had been read; None if the snapshot does not cover it.
    pub fn of(&self, dataset: &str) -> Option<&TopicSnapshot> {
        self.0.iter().find(|topic| topic.dataset == dataset)
    }

    /// Checks that it covers a dataset, and that this database has read the same topic.
    pub(crate) fn check(&self, dataset: &str, topic_ids: &[String]) -> Result<(), StoreError> {
        let topic =
            self.of(dataset).ok_or_else(|| StoreError::Halt(format!("the snapshot does not cover `{dataset}`")))?;
        if topic.topic_id != NO_ID && !topic_ids.is_empty() && !topic_ids.contains(&topic.topic_id) {
            let reason = format!("the snapshot is of another topic of `{dataset}` than this database has read");
            return Err(StoreError::Halt(reason));
        }
        Ok(())
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_topic = |TopicSnapshot { dataset, topic_id, incarnation, next }: &TopicSnapshot| {
            let next: Vec<String> = next.iter().map(i64::to_string).collect();
            format!("{dataset}@{topic_id}/{incarnation}={}", next.join(","))
        };
        let body = format!("{BEGIN}{}", self.0.iter().map(of_topic).collect::<Vec<_>>().join(";"));
        write!(formatter, "{body}#{}", check(&body))
    }
}

impl FromStr for Snapshot {
    type Err = String;

    fn from_str(text: &str) -> Result<Snapshot, String> {
        let malformed = || "it is not a snapshot, or not a whole one: `tapedeck snapshot` prints one".to_owned();
        let (body, sum) = text.rsplit_once('#').ok_or_else(malformed)?;
        let topics = body.strip_prefix(BEGIN).filter(|_| check(body) == sum).ok_or_else(malformed)?;
        let topic = |text: &str| {
            let (dataset, rest) = text.split_once('@')?;
            // An id can have both of these letters.
            let (rest, next) = rest.rsplit_once('=')?;
            let (topic_id, incarnation) = rest.rsplit_once('/')?;
            let next = next.split(',').map(|end| end.parse().ok()).collect::<Option<Vec<i64>>>()?;
            let (dataset, topic_id) = (dataset.to_owned(), topic_id.to_owned());
            Some(TopicSnapshot { dataset, topic_id, incarnation: incarnation.parse().ok()?, next })
        };
        topics.split(';').map(topic).collect::<Option<_>>().map(Snapshot).ok_or_else(malformed)
    }
}

/// The check at the end of a snapshot: what is cut off or changed shows.
fn check(body: &str) -> String {
    let digest = Sha256::digest(body.as_bytes());
    digest.iter().take(CHECK_LETTERS / 2).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kafka's ids are base64.
    const ID: &str = "sQ/3+x==";

    fn snapshot() -> Snapshot {
        let topic = |dataset: &str, next: &[i64]| TopicSnapshot {
            dataset: dataset.to_owned(),
            topic_id: ID.to_owned(),
            incarnation: 1,
            next: next.to_vec(),
        };
        Snapshot(vec![topic("ohlcv_bar", &[7, 0, 9]), topic("series", &[1])])
    }

    #[test]
    fn a_snapshot_is_read_back_as_it_was_written() {
        let text = snapshot().to_string();
        assert!(text.starts_with("td1:ohlcv_bar@sQ/3+x==/1=7,0,9;series@sQ/3+x==/1=1#"), "{text}");
        assert_eq!(text.parse(), Ok(snapshot()));
    }

    #[test]
    fn a_snapshot_that_is_cut_off_or_changed_is_malformed() {
        let text = snapshot().to_string();
        let cuts = (0..text.len()).map(|end| text[..end].to_owned());
        for changed in cuts.chain([text.replace("=7", "=8"), format!("{text}0"), String::new()]) {
            assert!(changed.parse::<Snapshot>().is_err(), "{changed}");
        }
    }

    #[test]
    fn a_snapshot_of_another_topic_is_refused() {
        let ids = |id: &str| vec![id.to_owned()];
        assert!(snapshot().check("series", &ids(ID)).is_ok());
        assert!(snapshot().check("series", &[]).is_ok(), "Kafka may not have said the id");
        assert!(snapshot().check("series", &ids("other")).is_err());
        assert!(snapshot().check("filing", &ids(ID)).is_err());
    }
}
