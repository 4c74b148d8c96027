//! What a process published and did not live to note. The next one reads it back from Kafka: so that it is not published
//! again, and so that a value which the provider has taken back since is.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::bail;
use contract::codec;
use kafka::offsets::ends;
use kafka::reader::Topic;
use kafka::{Cluster, KafkaError, Message as Published};
use service::telemetry;
use tracing::{info, warn};

use crate::fingerprint::{Fingerprint, Fingerprints};
use crate::poll::{KAFKA_WAITS, Mode, Run, Stop, pause};
use crate::publish::{Acknowledged, Publisher, Route};
use crate::sift::Sifted;
use crate::source::Source;
use crate::state::{Mark, State};

/// Most messages that are read back: more than pages that are published together have.
const MAX_MESSAGES: usize = 500_000;

/// A message that was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its dataset.
    pub dataset: String,
    /// Its Avro body.
    pub body: Vec<u8>,
}

/// The last message of each natural key, by the key's fingerprint.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tail(HashMap<i64, Message>);

impl Tail {
    /// Of these messages, of which the later ones count.
    pub fn new(messages: impl IntoIterator<Item = (i64, Message)>) -> Tail {
        Tail(messages.into_iter().collect())
    }

    /// Whether nothing is left of it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of it.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = (i64, &Message)> {
        self.0.iter().map(|(key, message)| (*key, message))
    }

    /// Takes out what was said under a key.
    pub fn take(&mut self, key: i64, prints: &mut Fingerprints) -> Option<Fingerprint> {
        // Nearly always there is nothing.
        let Message { dataset, body } = if self.is_empty() { None } else { self.0.remove(&key) }?;
        prints.of_body(&dataset, &body).filter(|print| print.key == key)
    }

    /// Marks what is there already, of records that were not acknowledged; what was published last comes first.
    pub(crate) fn mark<'a>(&self, sifted: impl Iterator<Item = &'a mut Sifted>) {
        let mut prints = Fingerprints::new(None);
        let mut there = HashSet::new();
        for Sifted { records, there: places, .. } in sifted {
            for (place, (record, _)) in records.iter().enumerate().rev() {
                let Some(print) = prints.of(record) else { continue };
                let last = self.0.get(&print.key);
                let last = last.and_then(|last| prints.of_body(&last.dataset, &last.body));
                let is_last = last.is_some_and(|last| print.says_again(last.content, last.loose, 0.0));
                // What was published before the last one is there, too.
                if is_last || there.contains(&print.key) {
                    there.insert(print.key);
                    places.insert(place);
                }
            }
        }
    }
}

/// Goes on from what those before have published. What is known of a provider's answers holds only as long as they are on
/// Kafka: when it has lost some, or is another one, all is published anew.
pub(crate) async fn resume(source: &Source, run: &Run, publisher: &Publisher, state: &State) -> Result<Tail, Stop> {
    let unreadable = |error: anyhow::Error| Stop::Source(format!("its state cannot be read: {error:#}"));
    let mut wait = KAFKA_WAITS[0];
    loop {
        let marks = state.marks().await.map_err(unreadable)?;
        let is_publishing = state.is_publishing().await.map_err(unreadable)?;
        let (keys, routes, cluster) = (keys(source), publisher.routes(), run.cluster.clone());
        let looking = tokio::task::spawn_blocking(move || look(&keys, &cluster, &routes, &marks, is_publishing));
        match looking.await.map_err(anyhow::Error::from).flatten() {
            Ok(Found::Tail(tail, ends)) => {
                if is_publishing {
                    info!(source = source.name, messages = tail.0.len(), "what was published last was never noted");
                }
                state.keep_tail(&tail, &ends).await.map_err(unreadable)?;
                return state.tail().await.map_err(unreadable);
            }
            Ok(Found::Lost(reason)) => {
                warn!(source = source.name, "{reason}; everything is published anew");
                state.forget().await.map_err(unreadable)?;
                continue;
            }
            Err(error) if run.mode == Mode::Once => return Err(Stop::Kafka(telemetry::one_line(&error))),
            Err(error) => warn!(source = source.name, ?wait, "waiting for Kafka: {}", telemetry::one_line(&error)),
        }
        wait = pause(run, wait).await?;
    }
}

/// What was published and is not noted.
pub(crate) async fn unnoted(source: &Source, run: &Run, publisher: &Publisher, state: &State) -> anyhow::Result<Tail> {
    let (keys, routes, cluster, marks) = (keys(source), publisher.routes(), run.cluster.clone(), state.marks().await?);
    match tokio::task::spawn_blocking(move || look(&keys, &cluster, &routes, &marks, true)).await?? {
        Found::Tail(tail, _) => Ok(tail),
        Found::Lost(reason) => bail!(reason),
    }
}

/// How the keys begin of what a source publishes. What is in files may be of any source.
fn keys(source: &Source) -> String {
    if source.is_local() { String::new() } else { format!("{}|", source.name) }
}

/// What was found on Kafka.
enum Found {
    /// What is not noted, and where the partitions end.
    Tail(Tail, Vec<Acknowledged>),
    /// Why nothing of what is noted holds.
    Lost(&'static str),
}

/// Asks Kafka, and waits for it.
fn look(keys: &str, cluster: &Cluster, routes: &[Route], marks: &[Mark], is_publishing: bool) -> anyhow::Result<Found> {
    let topics: Vec<String> = routes.iter().map(|route| route.topic.to_string()).collect();
    let ends = ends(cluster, &topics)?;
    // A name that is not ours is of another installation.
    let is_there = |mark: &Mark| ends.get(&(mark.topic.clone(), mark.partition)).is_some_and(|end| *end >= mark.end);
    if !marks.iter().all(is_there) {
        return Ok(Found::Lost("Kafka does not have what was published before"));
    }
    let mut tail = Tail::default();
    if is_publishing {
        let mut prints = Fingerprints::new(None);
        for route in routes.iter().filter(|route| route.dataset != "fetch_log") {
            let of_topic = marks.iter().filter(|mark| *mark.topic == *route.topic);
            let noted: BTreeMap<i32, i64> = of_topic.map(|mark| (mark.partition, mark.noted)).collect();
            Topic::open(cluster, &route.topic)?.after(&noted).each(|published| {
                if tail.0.len() < MAX_MESSAGES
                    && let Some((key, message)) = message(published, route, keys.as_bytes(), &mut prints)
                {
                    tail.0.insert(key, message);
                }
                Ok::<(), KafkaError>(())
            })?;
        }
        if tail.0.len() >= MAX_MESSAGES {
            return Ok(Found::Lost("what was published before was never noted"));
        }
    }
    let acknowledged = |((topic, partition), next)| Acknowledged { topic, partition, next };
    Ok(Found::Tail(tail, ends.into_iter().map(acknowledged).collect()))
}

/// A message of a source that this version understands, and the fingerprint of its key.
fn message(published: &Published<'_>, route: &Route, keys: &[u8], prints: &mut Fingerprints) -> Option<(i64, Message)> {
    if !published.key()?.starts_with(keys) {
        return None;
    }
    let (schema_id, body) = codec::split_header(published.value()?).ok()?;
    if schema_id != route.schema_id {
        return None;
    }
    let print = prints.of_body(route.dataset, body)?;
    Some((print.key, Message { dataset: route.dataset.to_owned(), body: body.to_vec() }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use contract::Record;
    use rdkafka::mocking::MockCluster;

    use super::*;
    use crate::fetch::{Fetcher, LIMITS};
    use crate::fixture;
    use crate::memory::Change;
    use crate::poll::tests::{Mock, kafka, messages, once};
    use crate::poll::{self, Ending};
    use crate::source::source;
    use crate::stub::{Stub, response};

    /// Polls SKEW once, which is this close on three days; gives the bars that were published.
    async fn poll(mock: &Mock, folder: &Path, closes: [&str; 3]) -> i64 {
        let before = messages(mock, "ohlcv_bar");
        let [one, two, three] = closes;
        let body = format!("DATE,SKEW\n01/02/1990,{one}\n01/03/1990,{two}\n01/04/1990,{three}\n");
        let stub = Stub::answering(&[response("200 OK", &[], body.as_bytes())]).await;
        let cboe = source("cboe").unwrap();
        let fetcher = Fetcher::new(cboe, &stub.base, None, LIMITS);
        let mut run = once(mock, "[cboe]\nindex_history = [\"SKEW\"]");
        run.state_dir = Some(folder.to_owned());
        assert_eq!(poll::run(vec![(cboe, fetcher)], run).await, Ending::Complete);
        messages(mock, "ohlcv_bar") - before
    }

    /// The state as a process leaves it that is killed between Kafka's acknowledgement and its note.
    async fn killed_before_the_note(mock: &Mock, folder: &Path, closes: [&str; 3]) {
        let aside = tempfile::TempDir::new().unwrap();
        let copy = State::path(aside.path(), "cboe");
        State::open(folder, "cboe").await.unwrap().copy(&copy).await;
        assert!(poll(mock, folder, closes).await > 0);
        std::fs::remove_dir_all(folder).unwrap();
        std::fs::create_dir(folder).unwrap();
        std::fs::copy(&copy, State::path(folder, "cboe")).unwrap();
        State::open(folder, "cboe").await.unwrap().publishing().await.unwrap();
    }

    /// Starts, and ends before anything is asked for; gives what was read back.
    async fn started(mock: &Mock, folder: &Path) -> Tail {
        let (cboe, run) = (source("cboe").unwrap(), once(mock, "[cboe]\nindex_history = [\"SKEW\"]"));
        let state = State::open(folder, "cboe").await.unwrap();
        let publisher = poll::connect(cboe, &run, &run.meters.source(cboe)).await.unwrap();
        resume(cboe, &run, &publisher, &state).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_published_before_a_crash_is_not_published_again_and_what_was_taken_back_is() {
        let (mock, folder) = (kafka(), tempfile::TempDir::new().unwrap());
        let folder = folder.path();
        assert_eq!(poll(&mock, folder, ["126.0", "117.0", "120.0"]).await, 3);
        killed_before_the_note(&mock, folder, ["126.0", "117.5", "120.0"]).await;
        assert_eq!(poll(&mock, folder, ["126.0", "117.5", "120.0"]).await, 0);
        killed_before_the_note(&mock, folder, ["126.0", "118.0", "121.0"]).await;
        // The provider takes one of them back: what was noted is what it says again, but not what Kafka has.
        assert_eq!(poll(&mock, folder, ["126.0", "117.5", "121.0"]).await, 1);
        assert_eq!(poll(&mock, folder, ["126.0", "117.5", "121.0"]).await, 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_crash_before_anything_was_noted_doubles_nothing() {
        let (mock, folder) = (kafka(), tempfile::TempDir::new().unwrap());
        let folder = folder.path();
        // What others have published there before is no affair of this source.
        assert_eq!(poll(&mock, tempfile::TempDir::new().unwrap().path(), ["1.0", "1.0", "1.0"]).await, 3);
        // The first process dies with its first records.
        assert_eq!(started(&mock, folder).await, Tail::default());
        killed_before_the_note(&mock, folder, ["126.0", "117.0", "120.0"]).await;
        assert_eq!(poll(&mock, folder, ["126.0", "117.0", "120.0"]).await, 0);
        // Nor is it doubled when the next process dies before it has asked.
        killed_before_the_note(&mock, folder, ["126.0", "117.0", "122.0"]).await;
        assert_eq!(started(&mock, folder).await.0.len(), 1);
        assert_eq!(poll(&mock, folder, ["126.0", "117.0", "122.0"]).await, 0);
    }

    #[test]
    fn what_lies_before_the_last_that_is_there_is_there_too() {
        let bars = fixture::parse(source("cboe").unwrap(), "index_history", "SKEW.csv").unwrap().records;
        let with = |at: usize, close: f64| {
            let Record::OhlcvBar(mut bar) = bars[at].clone() else { panic!() };
            bar.close = close;
            Record::OhlcvBar(bar)
        };
        let message = |record: &Record| {
            let mut body = Vec::new();
            record.encode(&mut body);
            let key = Fingerprints::new(None).of(record).unwrap().key;
            (key, Message { dataset: "ohlcv_bar".to_owned(), body })
        };
        let tail = Tail::new([message(&with(0, 2.0)), message(&with(1, 9.0))]);
        let sifted = |records: Vec<Record>| Sifted {
            records: records.into_iter().map(|record| (record, Change::Insert)).collect(),
            ..Sifted::default()
        };
        // One bar three times, of which Kafka has two; another that it has otherwise; a third that it does not have.
        let mut first = sifted(vec![with(0, 1.0), with(1, 1.0)]);
        let mut second = sifted(vec![with(0, 2.0), with(0, 3.0), with(2, 1.0)]);
        tail.mark([&mut second, &mut first].into_iter());
        assert_eq!((first.there, second.there), ([0].into(), [0].into()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_kafka_without_the_topics_has_lost_them() {
        let mock = MockCluster::new(1).unwrap();
        let cluster = Cluster::new(&mock.bootstrap_servers(), "test");
        let mark = Mark { topic: "elsewhere.series.v1".to_owned(), partition: 0, end: 1, noted: 1 };
        let found = tokio::time::timeout(
            Duration::from_secs(60),
            tokio::task::spawn_blocking(move || look("fred|", &cluster, &[], &[mark], false)),
        );
        assert!(matches!(found.await.unwrap().unwrap().unwrap(), Found::Lost(_)));
    }
}
