//! The Kafka cluster: its addresses, and the settings that all clients of a kind share.

use std::time::Duration;

use rdkafka::ClientConfig;
use service::settings;

use crate::error::KafkaError;
use crate::security::Security;

/// How long a request for metadata, offsets or a new topic may take.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Largest message that Kafka accepts by default, with its frame.
const MAX_MESSAGE_BYTES: i64 = 1_048_588;
/// The same as `max.message.bytes` of a new topic, whatever the broker's default is.
pub(crate) const TOPIC_MESSAGE_BYTES: &str = "1048588";
/// Largest message of our producers, and largest batch before compression. A topic must allow it, with a batch's frame.
pub(crate) const SENT_MESSAGE_BYTES: &str = "1000000";

/// Most that librdkafka fetches at once.
const MAX_FETCH_BYTES: i64 = 2_147_483_135;

/// Settings of a consumer. The guarantees depend on each of them.
const CONSUMER_SETTINGS: &[(&str, &str)] = &[
    // The database holds the positions; the group's offsets are for dashboards and never read back.
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("isolation.level", "read_committed"),
    ("check.crcs", "true"),
    ("group.protocol", "classic"),
    ("partition.assignment.strategy", "range"),
    // How long a consumer that was killed keeps its partitions from its successor.
    ("session.timeout.ms", "10000"),
    ("heartbeat.interval.ms", "3000"),
    ("max.poll.interval.ms", "300000"),
    // How soon a consumer notices new partitions of a topic; five minutes by default.
    ("topic.metadata.refresh.interval.ms", "10000"),
    // Prefetched messages are most of a consumer's memory: librdkafka keeps them uncompressed, and a small message
    // needs five times its size in the queue. This is enough that the writers never wait.
    ("queued.min.messages", "5000"),
    ("queued.max.messages.kbytes", "2048"),
    // librdkafka rechecks a full queue after this time. With the default of a second the writers would wait.
    ("fetch.queue.backoff.ms", "10"),
];

/// How long the broker holds a fetch at the end of all partitions. A record ends it at once; a partition that is added
/// meanwhile waits for the next fetch.
const FETCH_WAIT_MS: &str = "2000";

/// What a consumer does at the end of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtEnd {
    /// It waits for more. The broker holds each fetch for two seconds, unless a record comes earlier.
    Wait,
    /// It reports the end, which librdkafka learns only from the response to a fetch.
    Report,
}

/// A Kafka cluster and the namespace of our names on it. Cheap to clone; does not connect by itself.
#[derive(Debug, Clone)]
pub struct Cluster {
    brokers: String,
    namespace: String,
    security: Security,
}

impl Cluster {
    /// The cluster that the environment names.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Halt`] when a setting of TLS or SASL is wrong, or needs another build.
    pub fn from_settings() -> Result<Cluster, KafkaError> {
        let read = |variable| settings::read(variable).unwrap_or_default();
        let security = Security::from_settings()?;
        Ok(Cluster { security, ..Cluster::new(&read(&settings::KAFKA_BROKERS), &read(&settings::NAMESPACE)) })
    }

    /// The cluster with these brokers, without TLS or login; `namespace` is the first part of our names on it.
    pub fn new(brokers: &str, namespace: &str) -> Cluster {
        Cluster { brokers: brokers.to_owned(), namespace: namespace.to_owned(), security: Security::default() }
    }

    /// First part of the names of topics and consumer groups.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The brokers' addresses, for messages.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// The settings that every client shares; `role` tells clients apart in the broker's logs.
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
        self.security.apply(&mut config);
        config
    }

    /// The settings that every consumer shares, in a group or outside; the group's name is left to the caller.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Halt`] when `TAPEDECK_FETCH_BYTES` is not a number within its bounds.
    pub fn consumer_config(&self, role: &str, at_end: AtEnd) -> Result<ClientConfig, KafkaError> {
        let mut config = self.client_config(role);
        for (name, value) in CONSUMER_SETTINGS {
            config.set(*name, *value);
        }
        let fetch_bytes = settings::read_number(&settings::FETCH_BYTES, 1 << 10..=1 << 30);
        let fetch_bytes = fetch_bytes.map_err(|error| KafkaError::Halt(error.to_string()))?;
        let (reports, wait_ms) = match at_end {
            AtEnd::Wait => ("false", FETCH_WAIT_MS),
            AtEnd::Report => ("true", "20"),
        };
        config
            .set("enable.partition.eof", reports)
            .set("fetch.wait.max.ms", wait_ms)
            .set("fetch.message.max.bytes", fetch_bytes.to_string())
            // Enough for some partitions; librdkafka requires at least the largest message.
            .set("fetch.max.bytes", (8 * fetch_bytes).clamp(MAX_MESSAGE_BYTES, MAX_FETCH_BYTES).to_string());
        Ok(config)
    }
}
