//! Recovers what a process published and was killed before it recorded: reads it back from Kafka.
//!
//! So it is not published twice, and a value that the provider has corrected back since then is published.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::bail;
use contract::{Decoder, declarations, decode};
use kafka::offsets::ranges_of;
use kafka::publish::{Acknowledged, Route};
use kafka::reader::Topic;
use kafka::{Cluster, KafkaError, Message as Published};
use sources::source::Source;

use crate::published::filter::Filtered;
use crate::published::fingerprint::{Fingerprint, Fingerprints};

/// Most messages that are read back: more than a batch of pages has.
const MAX_MESSAGES: usize = 500_000;

/// How far a partition was published when the state was last saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// Its end: the offset behind the last acknowledged message.
    pub end: i64,
    /// The offset up to which everything that polls have published is recorded.
    pub recorded: i64,
}

/// A message that was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its dataset.
    pub dataset: String,
    /// Its Avro body.
    pub body: Vec<u8>,
}

/// What was recovered: the last message of each natural key, by the key's fingerprint.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recovered(HashMap<i64, Message>);

impl Recovered {
    /// From these messages; of several with one key the last one counts.
    pub fn new(messages: impl IntoIterator<Item = (i64, Message)>) -> Recovered {
        Recovered(messages.into_iter().collect())
    }

    /// Whether nothing is left of it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of it.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = (i64, &Message)> {
        self.0.iter().map(|(key, message)| (*key, message))
    }

    /// Removes the message of a key and returns its fingerprint.
    pub fn take(&mut self, key: i64, prints: &mut Fingerprints) -> Option<Fingerprint> {
        // Nearly always it is empty.
        let Message { dataset, body } = if self.is_empty() { None } else { self.0.remove(&key) }?;
        prints.of_body(&dataset, &body).filter(|print| print.key == key)
    }

    /// Marks the records that are on Kafka although it did not acknowledge them. The page that was published last comes
    /// first.
    pub(crate) fn mark<'a>(&self, pages: impl Iterator<Item = &'a mut Filtered>) {
        let mut prints = Fingerprints::new(None);
        let mut found = HashSet::new();
        for Filtered { records, published, .. } in pages {
            for (place, (record, _)) in records.iter().enumerate().rev() {
                let Some(print) = prints.of(record) else { continue };
                let last = self.0.get(&print.key);
                let last = last.and_then(|last| prints.of_body(&last.dataset, &last.body));
                let is_last = last.is_some_and(|last| print.is_same(last.content, last.loose, 0.0));
                // Kafka keeps the order: records published before the last one are there, too.
                if is_last || found.contains(&print.key) {
                    found.insert(print.key);
                    published.insert(place);
                }
            }
        }
    }
}

/// Reads back from Kafka what a source has published and not recorded in its state.
///
/// `marks` are the partitions as the state knows them. Unless `is_publishing`, everything is recorded, and only the
/// ends of the partitions are read.
pub(crate) async fn look(
    source: &Source,
    cluster: &Cluster,
    routes: Vec<Route>,
    marks: Vec<Mark>,
    is_publishing: bool,
) -> anyhow::Result<Found> {
    let (keys, cluster) = (keys(source), cluster.clone());
    tokio::task::spawn_blocking(move || look_now(&keys, &cluster, &routes, &marks, is_publishing)).await?
}

/// Prefix of the message keys of a source. Records from files may belong to any source.
fn keys(source: &Source) -> String {
    if source.is_local() { String::new() } else { format!("{}|", source.name) }
}

/// What was found on Kafka.
#[derive(Debug)]
pub(crate) enum Found {
    /// Messages that are not recorded, and the ends of the partitions.
    Unrecorded(Recovered, Vec<Acknowledged>),
    /// Why nothing in the state holds any more.
    Lost(&'static str),
}

impl Found {
    /// The messages that are not recorded.
    pub(crate) fn unrecorded(self) -> anyhow::Result<Recovered> {
        match self {
            Found::Unrecorded(recovered, _) => Ok(recovered),
            Found::Lost(reason) => bail!(reason),
        }
    }
}

fn look_now(
    keys: &str,
    cluster: &Cluster,
    routes: &[Route],
    marks: &[Mark],
    is_publishing: bool,
) -> anyhow::Result<Found> {
    let topics: Vec<String> = routes.iter().map(|route| route.topic.to_string()).collect();
    let ranges = ranges_of(cluster, &topics)?;
    let ends: BTreeMap<(String, i32), i64> = ranges.into_iter().map(|(place, (_, end))| (place, end)).collect();
    // A topic that is none of ours belongs to another installation.
    let is_there = |mark: &Mark| ends.get(&(mark.topic.clone(), mark.partition)).is_some_and(|end| *end >= mark.end);
    if !marks.iter().all(is_there) {
        return Ok(Found::Lost("Kafka no longer has what was published before"));
    }
    let mut recovered = Recovered::default();
    if is_publishing {
        let mut prints = Fingerprints::new(None);
        for route in routes.iter().filter(|route| route.dataset != "fetch_log") {
            let of_topic = marks.iter().filter(|mark| *mark.topic == *route.topic);
            let recorded: BTreeMap<i32, i64> = of_topic.map(|mark| (mark.partition, mark.recorded)).collect();
            Topic::open(cluster, &route.topic)?.after(&recorded).each(|published| {
                if recovered.0.len() < MAX_MESSAGES
                    && let Some((key, message)) = message(published, route, keys.as_bytes(), &mut prints)
                {
                    recovered.0.insert(key, message);
                }
                Ok::<(), KafkaError>(())
            })?;
        }
        if recovered.0.len() >= MAX_MESSAGES {
            return Ok(Found::Lost("more was published than can be recovered"));
        }
    }
    let acknowledged = |((topic, partition), next)| Acknowledged { topic, partition, next };
    Ok(Found::Unrecorded(recovered, ends.into_iter().map(acknowledged).collect()))
}

/// A message of a source that this version understands, and the fingerprint of its key.
fn message(published: &Published<'_>, route: &Route, keys: &[u8], prints: &mut Fingerprints) -> Option<(i64, Message)> {
    if !published.key()?.starts_with(keys) {
        return None;
    }
    let (schema_id, body) = decode::split_header(published.value()?).ok()?;
    let header = || published.header(declarations::SCHEMA_HEADER);
    let schema_id = declarations::declared_id(contract::dataset(route.dataset)?, schema_id, header);
    if schema_id != route.schema_id && !is_written_alike(route.dataset, schema_id) {
        return None;
    }
    let print = prints.of_body(route.dataset, body)?;
    Some((print.key, Message { dataset: route.dataset.to_owned(), body: body.to_vec() }))
}

/// Whether an earlier version of the declaration has the id, and writes records as the current one does.
fn is_written_alike(dataset: &str, schema_id: u32) -> bool {
    let Some(dataset) = contract::dataset(dataset) else { return false };
    let writers = declarations::writers(dataset, schema_id);
    let [schema] = writers.as_slice() else { return false };
    let decoders = (Decoder::new(dataset, schema), Decoder::new(dataset, &dataset.schema));
    matches!(decoders, (Ok(theirs), Ok(ours)) if theirs == ours)
}

#[cfg(test)]
mod tests;
