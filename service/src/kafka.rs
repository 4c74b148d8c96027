//! The Kafka cluster: addresses, clients' common settings, topics.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use crate::settings;

/// How long a request for metadata or a new topic may take.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait until a new topic is known to the broker that is asked.
const TOPIC_VISIBLE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long to wait until it is asked again what is not known yet.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// What every topic is created with. Records are kept for ever, because the topics are what tables are rebuilt from;
/// stamped by the broker, because retention and `offsets_for_times` look at the stamp.
///
/// `cleanup.policy` is left at the broker's default, which is `delete`: where it is set, the embedded broker takes a
/// `retention.ms` of -1 literally and deletes every record at its next start.
const TOPIC_SETTINGS: &[(&str, &str)] = &[("retention.ms", "-1"), ("message.timestamp.type", "LogAppendTime")];

/// A Kafka cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    brokers: String,
    namespace: String,
}

impl Cluster {
    /// The cluster that the environment names.
    pub fn from_settings() -> Cluster {
        let read = |variable| settings::read(variable).unwrap_or_default();
        Cluster::new(&read(&settings::KAFKA_BROKERS), &read(&settings::NAMESPACE))
    }

    /// The cluster with these brokers, and the first part of our names on it.
    pub fn new(brokers: &str, namespace: &str) -> Cluster {
        Cluster { brokers: brokers.to_owned(), namespace: namespace.to_owned() }
    }

    /// First part of the names of topics and consumer groups.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The brokers' addresses, for messages.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// What every client has in common; `role` tells them apart in the broker's logs.
    pub fn client_config(&self, role: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            // Unique per process: members of a group that share an id confuse librdkafka.
            .set("client.id", format!("tapedeck-{role}-{}", std::process::id()))
            .set("broker.address.family", "any")
            .set("topic.metadata.refresh.interval.ms", "30000")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "2000")
            .set("log_level", "3");
        config
    }

    /// Creates the topics that do not exist yet, and returns when the brokers know them all.
    pub async fn ensure_topics(&self, topics: &[String]) -> anyhow::Result<()> {
        let admin: AdminClient<DefaultClientContext> = self.client_config("admin").create()?;
        let missing = self.missing_topics(&admin, topics)?;
        if missing.is_empty() {
            return Ok(());
        }
        let partitions = settings::read_number(&settings::TOPIC_PARTITIONS, 1..=1024)?;
        let replication = settings::read_number(&settings::TOPIC_REPLICATION, -1..=16)?;
        let new_topics: Vec<NewTopic<'_>> = missing
            .iter()
            .map(|topic| {
                let new = NewTopic::new(topic, partitions as i32, TopicReplication::Fixed(replication as i32));
                TOPIC_SETTINGS.iter().fold(new, |new, (name, value)| new.set(name, value))
            })
            .collect();
        let options = AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT));
        let created = admin.create_topics(&new_topics, &options).await;
        for outcome in created.with_context(|| format!("cannot create topics on Kafka at `{}`", self.brokers))? {
            match outcome {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => bail!("cannot create topic `{topic}` on Kafka at `{}`: {code}", self.brokers),
            }
        }
        self.await_topics(&admin, topics).await
    }

    /// Removes topics with all their records; one that is not there is none that is left.
    pub async fn delete_topics(&self, topics: &[String]) -> anyhow::Result<()> {
        let admin: AdminClient<DefaultClientContext> = self.client_config("admin").create()?;
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let options = AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT));
        for outcome in admin.delete_topics(&names, &options).await? {
            if let Err((topic, code)) = outcome
                && code != RDKafkaErrorCode::UnknownTopicOrPartition
            {
                bail!("cannot delete topic `{topic}` on Kafka at `{}`: {code}", self.brokers);
            }
        }
        Ok(())
    }

    fn missing_topics(
        &self,
        admin: &AdminClient<DefaultClientContext>,
        topics: &[String],
    ) -> anyhow::Result<Vec<String>> {
        let metadata = admin
            .inner()
            .fetch_metadata(None, REQUEST_TIMEOUT)
            .with_context(|| format!("cannot reach Kafka at `{}`", self.brokers))?;
        let known: HashSet<&str> =
            metadata.topics().iter().filter(|topic| !topic.partitions().is_empty()).map(|topic| topic.name()).collect();
        Ok(topics.iter().filter(|topic| !known.contains(topic.as_str())).cloned().collect())
    }

    async fn await_topics(&self, admin: &AdminClient<DefaultClientContext>, topics: &[String]) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + TOPIC_VISIBLE_TIMEOUT;
        loop {
            let missing = self.missing_topics(admin, topics)?;
            if missing.is_empty() {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                bail!("Kafka at `{}` does not show topic `{}` after it was created", self.brokers, missing[0]);
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
}

/// Of each partition of a topic the first offset and the one after the last; none when there is no such topic.
pub fn ranges<C: ConsumerContext>(consumer: &BaseConsumer<C>, topic: &str) -> KafkaResult<BTreeMap<i32, (i64, i64)>> {
    let metadata = consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT)?;
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
    partitions.map(|partition| Ok((partition.id(), range(consumer, topic, partition.id())?))).collect()
}

/// That of one partition. The client does not know at once what its own answer has just shown, nor the brokers who leads a
/// partition that was just made: they are asked again.
fn range<C: ConsumerContext>(consumer: &BaseConsumer<C>, topic: &str, partition: i32) -> KafkaResult<(i64, i64)> {
    use RDKafkaErrorCode::{LeaderNotAvailable, NotLeaderForPartition, UnknownPartition, UnknownTopicOrPartition};
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    loop {
        match consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT) {
            Err(KafkaError::MetadataFetch(
                LeaderNotAvailable | NotLeaderForPartition | UnknownPartition | UnknownTopicOrPartition,
            )) if Instant::now() < deadline => {
                std::thread::sleep(ASK_AGAIN);
            }
            answer => return answer,
        }
    }
}
