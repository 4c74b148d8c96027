//! Creating and deleting topics.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::BaseConsumer;
use rdkafka::types::RDKafkaErrorCode;
use service::settings::{self, Variable};

use crate::cluster::{Cluster, REQUEST_TIMEOUT, TOPIC_MESSAGE_BYTES};
use crate::error::{KafkaError, halt, retry};
use crate::quiet::{Quiet, metadata};
use crate::{offsets, refusal};

/// How long to wait until the queried broker knows a new topic.
const TOPIC_VISIBLE_TIMEOUT: Duration = Duration::from_secs(20);

/// Time between two checks whether a new topic is known.
const VISIBLE_INTERVAL: Duration = Duration::from_millis(50);

/// Partitions that a new topic can have.
const PARTITIONS: RangeInclusive<i64> = 1..=1024;

/// Settings of every new topic. Records are kept forever, because tables are rebuilt from the topics. The broker sets
/// the timestamps, because retention and `offsets_for_times` use them.
const TOPIC_SETTINGS: &[(&str, &str)] = &[
    ("cleanup.policy", "delete"),
    ("retention.ms", "-1"),
    ("message.timestamp.type", "LogAppendTime"),
    ("max.message.bytes", TOPIC_MESSAGE_BYTES),
];

/// A client that asks for metadata. rdkafka's `AdminClient` would do, but takes up to 100 ms to end.
type Client = BaseConsumer<Quiet>;

impl Cluster {
    /// Creates the topics that do not exist yet, and returns once the brokers know them all.
    ///
    /// Idempotent, also for concurrent processes. When the future is dropped, some topics may exist already.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Retry`] when Kafka cannot be reached or refuses a topic; [`KafkaError::Halt`] when a setting is out of
    /// range.
    pub async fn ensure_topics(&self, topics: &[String]) -> Result<(), KafkaError> {
        self.ensure_topics_of(topics, number(&settings::TOPIC_PARTITIONS, PARTITIONS)?).await
    }

    /// The same; topics that do not exist yet have that many partitions, whatever the settings say.
    ///
    /// # Errors
    ///
    /// As [`Cluster::ensure_topics`].
    pub async fn ensure_topics_of(&self, topics: &[String], partitions: i32) -> Result<(), KafkaError> {
        // A wrong setting shows at once, and not with the first topic that is missing.
        let shape = (partitions, number(&settings::TOPIC_REPLICATION, -1..=16)?);
        let client = Arc::new(offsets::consumer(self, "topics")?);
        let missing = self.missing_topics(&client, topics).await?;
        if missing.is_empty() {
            return Ok(());
        }
        self.create(&missing, shape).await?;
        self.await_topics(&client, topics).await
    }

    async fn create(&self, missing: &[String], (partitions, replication): (i32, i32)) -> Result<(), KafkaError> {
        let admin = self.admin()?;
        let new_topic = |topic| {
            let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(replication));
            TOPIC_SETTINGS.iter().fold(new, |new, (name, value)| new.set(name, value))
        };
        let new_topics: Vec<NewTopic<'_>> = missing.iter().map(|topic| new_topic(topic)).collect();
        let created = admin.create_topics(&new_topics, &options()).await;
        // Its thread ends within 100 ms, and dropping it waits for that.
        drop(tokio::task::spawn_blocking(move || drop(admin)));
        let what = || format!("cannot create topics on Kafka at `{}`", self.brokers());
        for outcome in created.map_err(|error| retry(&what(), &error))? {
            match outcome {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => {
                    let what = format!("cannot create topic `{topic}` on Kafka at `{}`", self.brokers());
                    return Err(match refusal::lacks_right(code) {
                        Some(advice) => KafkaError::Halt(format!("{what}: {code}: {advice}")),
                        None => KafkaError::Retry(format!("{what}: {code}")),
                    });
                }
            }
        }
        Ok(())
    }

    /// The same for topics that this process will publish to: returns once the leader of every partition serves it.
    ///
    /// Kafka shows a new topic a moment before its leader serves it, and a message that the leader refuses can be overtaken:
    /// see `is_on_topic`.
    ///
    /// # Errors
    ///
    /// As [`Cluster::ensure_topics`].
    pub async fn ensure_writable_topics(&self, topics: &[String]) -> Result<(), KafkaError> {
        self.ensure_topics(topics).await?;
        // Only the leader knows the offsets.
        let (cluster, topics) = (self.clone(), topics.to_vec());
        blocking(move || offsets::ranges_of(&cluster, &topics)).await.map(drop)
    }

    /// Deletes topics with all their records. A topic that does not exist is no error.
    pub async fn delete_topics(&self, topics: &[String]) -> Result<(), KafkaError> {
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let deleted = self.admin()?.delete_topics(&names, &options()).await;
        let what = || format!("cannot delete topics on Kafka at `{}`", self.brokers());
        for outcome in deleted.map_err(|error| retry(&what(), &error))? {
            if let Err((topic, code)) = outcome
                && code != RDKafkaErrorCode::UnknownTopicOrPartition
            {
                let brokers = self.brokers();
                let reason = format!("cannot delete topic `{topic}` on Kafka at `{brokers}`: {code}");
                return Err(KafkaError::Retry(reason));
            }
        }
        Ok(())
    }

    /// The setting `cleanup.policy` of a topic; empty when the brokers do not name it.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Retry`] when Kafka cannot be reached or refuses to describe the topic.
    pub async fn cleanup_policy(&self, topic: &str) -> Result<String, KafkaError> {
        let what = || format!("cannot read the settings of topic `{topic}` on Kafka at `{}`", self.brokers());
        let described = self.admin()?.describe_configs(&[ResourceSpecifier::Topic(topic)], &options()).await;
        let Some(described) = described.map_err(|error| retry(&what(), &error))?.into_iter().next() else {
            return Ok(String::new());
        };
        let described = described.map_err(|code| KafkaError::Retry(format!("{}: {code}", what())))?;
        Ok(described.get("cleanup.policy").and_then(|entry| entry.value.clone()).unwrap_or_default())
    }

    fn admin(&self) -> Result<AdminClient<Quiet>, KafkaError> {
        self.client_config("admin").create_with_context(Quiet::default()).map_err(|error| halt(&error))
    }

    async fn missing_topics(&self, client: &Arc<Client>, topics: &[String]) -> Result<Vec<String>, KafkaError> {
        let (client, what) = (Arc::clone(client), format!("cannot reach Kafka at `{}`", self.brokers()));
        let metadata = blocking(move || metadata(&client, None, &what)).await?;
        let known: HashSet<&str> =
            metadata.topics().iter().filter(|topic| !topic.partitions().is_empty()).map(|topic| topic.name()).collect();
        Ok(topics.iter().filter(|topic| !known.contains(topic.as_str())).cloned().collect())
    }

    async fn await_topics(&self, client: &Arc<Client>, topics: &[String]) -> Result<(), KafkaError> {
        let deadline = tokio::time::Instant::now() + TOPIC_VISIBLE_TIMEOUT;
        loop {
            let missing = self.missing_topics(client, topics).await?;
            let Some(topic) = missing.first() else { return Ok(()) };
            if tokio::time::Instant::now() > deadline {
                let brokers = self.brokers();
                let reason = format!("Kafka at `{brokers}` does not show topic `{topic}` after it was created");
                return Err(KafkaError::Retry(reason));
            }
            tokio::time::sleep(VISIBLE_INTERVAL).await;
        }
    }
}

/// Runs a request for which the client blocks its thread, on a thread that may.
async fn blocking<T: Send + 'static>(
    request: impl FnOnce() -> Result<T, KafkaError> + Send + 'static,
) -> Result<T, KafkaError> {
    let outcome = tokio::task::spawn_blocking(request).await;
    outcome.unwrap_or_else(|error| Err(KafkaError::Retry(format!("a request to Kafka ended: {error}"))))
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT))
}

fn number(variable: &Variable, bounds: RangeInclusive<i64>) -> Result<i32, KafkaError> {
    let number = settings::read_number(variable, bounds).map_err(|error| KafkaError::Halt(error.to_string()))?;
    Ok(i32::try_from(number).expect("the bounds are within 32 bits"))
}
