//! What `verify` asks of Kafka about many topics and groups, through one client: each client takes a tenth of a second.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use contract::LastRecord;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use crate::cluster::{AtEnd, Cluster, REQUEST_TIMEOUT};
use crate::error::{KafkaError, halt};
use crate::message::Message;
use crate::quiet::{Quiet, failed, metadata};
use crate::topic_id::Question;
use crate::{offsets, reader, waiting};

mod groups;

pub use groups::GroupFacts;

/// How long one poll waits.
const POLL_PATIENCE: Duration = Duration::from_millis(100);
/// Once nothing arrives for this long, the rest is asked topic by topic: the first offset may hold no record, or a batch
/// that cannot be read.
const PEEK_PATIENCE: Duration = Duration::from_secs(2);

/// First offset and end of each partition.
pub type Ends = HashMap<i32, (i64, i64)>;
/// Partitions and offsets: topic, partition, offset.
pub type Places<'a> = &'a [(String, i32, i64)];
/// What was found, by topic and partition.
pub type Found<T> = HashMap<(String, i32), T>;

/// A client that asks; it joins no group.
#[expect(missing_debug_implementations, reason = "librdkafka's consumer has none")]
pub struct Survey {
    cluster: Cluster,
    consumer: BaseConsumer<Quiet>,
}

impl Survey {
    /// Creates the client, and waits until it is connected: its first request says soonest why Kafka refuses it. Blocks.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Retry`] when Kafka cannot be reached, [`KafkaError::Halt`] when it refuses the client.
    pub fn new(cluster: &Cluster) -> Result<Survey, KafkaError> {
        let mut config = cluster.consumer_config("survey", AtEnd::Wait)?;
        // librdkafka requires a name.
        config.set("group.id", "tapedeck-survey").set("fetch.wait.max.ms", "20");
        let consumer = config.create_with_context(Quiet::default()).map_err(|error| halt(&error))?;
        metadata(&consumer, None, &format!("cannot reach Kafka at `{}`", cluster.brokers()))?;
        Ok(Survey { cluster: cluster.clone(), consumer })
    }

    /// First offset and end of the partitions of these topics; a topic that does not exist has none. Blocks.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Retry`] when Kafka cannot be reached, [`KafkaError::Halt`] when it refuses the client.
    pub fn ends(&self, topics: &[String]) -> Result<HashMap<String, Ends>, KafkaError> {
        let what = format!("cannot read the offsets of topics from Kafka at `{}`", self.cluster.brokers());
        let known = metadata(&self.consumer, None, &what)?;
        let mut list = TopicPartitionList::new();
        for topic in known.topics().iter().filter(|topic| topics.iter().any(|name| name == topic.name())) {
            for partition in topic.partitions() {
                list.add_partition(topic.name(), partition.id());
            }
        }
        let [low, high] = [Offset::Beginning, Offset::End].map(|at| self.edge(&list, at));
        let mut ends: HashMap<String, Ends> = topics.iter().map(|topic| (topic.clone(), Ends::new())).collect();
        for element in list.elements() {
            let (topic, partition) = (element.topic(), element.partition());
            let at = |edge: &Found<i64>| edge.get(&(topic.to_owned(), partition)).copied();
            let range = match at(&low).zip(at(&high)) {
                Some(range) => range,
                // Right after a topic was created its leaders are not known at once.
                None => offsets::range(&self.consumer, topic, partition)
                    .map_err(|error| failed(&self.consumer, &what, &error))?,
            };
            ends.entry(topic.to_owned()).or_default().insert(partition, range);
        }
        Ok(ends)
    }

    /// One end of these partitions, in one request to each broker; without those that did not answer.
    fn edge(&self, partitions: &TopicPartitionList, at: Offset) -> Found<i64> {
        let mut asked = partitions.clone();
        if asked.count() == 0 || asked.set_all_offsets(at).is_err() {
            return Found::new();
        }
        let Ok(answered) = self.consumer.offsets_for_times(asked, REQUEST_TIMEOUT) else {
            return Found::new();
        };
        let elements = answered.elements();
        let known = elements.iter().filter(|element| element.error().is_ok()).filter_map(|element| {
            let offset = element.offset().to_raw().filter(|offset| *offset >= 0)?;
            Some(((element.topic().to_owned(), element.partition()), offset))
        });
        known.collect()
    }

    /// The ids of these topics, as Kafka's tools print them; without those that do not exist. Blocks.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Retry`] when Kafka cannot be reached.
    pub fn topic_ids(&self, topics: &[String]) -> Result<HashMap<String, String>, KafkaError> {
        let asked: Vec<_> = topics.iter().map(|topic| (topic, Question::ask(&self.consumer, topic))).collect();
        let mut ids = HashMap::new();
        for (topic, question) in asked {
            if let Some(id) = question.wait()? {
                ids.insert(topic.clone(), id);
            }
        }
        Ok(ids)
    }

    /// The last records, see [`reader::records_at`]. Blocks.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn records_at(&self, places: Places<'_>) -> Result<Found<LastRecord>, KafkaError> {
        let mut headers = Vec::new();
        let record = |message: &Message<'_>| LastRecord::of(&message.original(&mut headers));
        self.first(places, record, |topic, offsets| reader::records_at(&self.cluster, topic, offsets))
    }

    /// When Kafka appended the records, see [`waiting::first_times`]. Blocks.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn first_times(&self, places: Places<'_>) -> Result<Found<i64>, KafkaError> {
        let time = |message: &Message<'_>| message.timestamp_ms().unwrap_or_default();
        self.first(places, time, |topic, offsets| waiting::first_times(&self.cluster, topic, offsets))
    }

    /// Something of the first record of each partition at an offset or after it; `slowly` finds it where there is none.
    fn first<T>(
        &self,
        places: Places<'_>,
        read: impl FnMut(&Message<'_>) -> T,
        slowly: impl Fn(&str, &[(i32, i64)]) -> Result<HashMap<i32, T>, KafkaError>,
    ) -> Result<Found<T>, KafkaError> {
        let mut found = self.peek(places, read)?;
        let mut rest: BTreeMap<&str, Vec<(i32, i64)>> = BTreeMap::new();
        for (topic, partition, offset) in places {
            if !found.contains_key(&(topic.clone(), *partition)) {
                rest.entry(topic).or_default().push((*partition, *offset));
            }
        }
        for (topic, offsets) in rest {
            let more = slowly(topic, &offsets)?;
            found.extend(more.into_iter().map(|(partition, value)| ((topic.to_owned(), partition), value)));
        }
        Ok(found)
    }

    /// Reads all partitions at once, until each has sent a record or nothing arrives any more.
    fn peek<T>(&self, places: Places<'_>, mut read: impl FnMut(&Message<'_>) -> T) -> Result<Found<T>, KafkaError> {
        let mut list = TopicPartitionList::new();
        for (topic, partition, offset) in places {
            let added = list.add_partition_offset(topic, *partition, Offset::Offset(*offset));
            added.map_err(|error| halt(&error))?;
        }
        self.consumer.assign(&list).map_err(|error| halt(&error))?;
        let (mut found, mut last_at) = (Found::new(), Instant::now());
        while found.len() < places.len() && last_at.elapsed() < PEEK_PATIENCE {
            // An error is told by whoever asks for the rest.
            let Some(Ok(message)) = self.consumer.poll(POLL_PATIENCE) else { continue };
            let at = (message.topic().to_owned(), message.partition());
            let message = Message::new(message);
            let Entry::Vacant(place) = found.entry(at) else { continue };
            last_at = Instant::now();
            let (topic, partition) = place.key();
            let mut done = TopicPartitionList::new();
            done.add_partition(topic, *partition);
            // Otherwise a full partition would take the room of the others.
            self.consumer.pause(&done).map_err(|error| halt(&error))?;
            place.insert(read(&message));
        }
        self.consumer.unassign().map_err(|error| halt(&error))?;
        Ok(found)
    }
}
