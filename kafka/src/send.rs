//! Single messages onto Kafka, each with its own result.

use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::cluster::Cluster;
use crate::error::{KafkaError, retry};
use crate::publish::PublishError;

/// Durable: every replica has a message before it is acknowledged.
const SETTINGS: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("compression.type", "zstd"),
    // The partitioner of Kafka's own clients, so that others can find a key's partition.
    ("partitioner", "murmur2_random"),
    ("linger.ms", "0"),
    // A broker refuses a batch that is too large as a whole. With one message per batch it refuses only that message.
    ("batch.num.messages", "1"),
    // The caller may hold a database transaction open meanwhile, and PostgreSQL ends that after 10 idle seconds.
    ("message.timeout.ms", "5000"),
    ("queue.buffering.max.kbytes", "16384"),
    ("message.max.bytes", "1000000"),
    ("allow.auto.create.topics", "false"),
];

/// Sends single messages, each with its own result.
///
/// For many records with one result for all, use [`crate::publish::Publisher`]. Dropping it drops its queue.
#[expect(missing_debug_implementations, reason = "librdkafka's producer has none")]
pub struct Sender {
    producer: FutureProducer,
    brokers: String,
}

impl Sender {
    /// Prepares to send. Does not wait for Kafka; the topics must exist. `role` tells clients apart in the broker's logs.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Retry`] when the client cannot be created.
    pub fn connect(cluster: &Cluster, role: &str) -> Result<Sender, KafkaError> {
        let mut config = cluster.client_config(role);
        for (name, value) in SETTINGS {
            config.set(*name, *value);
        }
        let brokers = cluster.brokers().to_owned();
        let unprepared = |error| retry(&format!("cannot prepare a producer for Kafka at `{brokers}`"), &error);
        let producer = config.create().map_err(unprepared)?;
        Ok(Sender { producer, brokers })
    }

    /// Sends a message and waits until all replicas have it, at most five seconds.
    ///
    /// Kafka stores messages in the order in which one task starts to send them. Cancel safety: a message whose
    /// future is dropped may or may not be on Kafka.
    ///
    /// # Errors
    ///
    /// [`PublishError::Record`] when the message is larger than Kafka accepts; otherwise [`PublishError::Retry`], and
    /// the message may or may not be on Kafka.
    pub async fn send(
        &self,
        topic: &str,
        key: &str,
        value: &[u8],
        headers: &[(&str, &str)],
    ) -> Result<(), PublishError> {
        let insert = |all: OwnedHeaders, (key, value): &(&str, &str)| all.insert(Header { key, value: Some(*value) });
        let headers = headers.iter().fold(OwnedHeaders::new(), insert);
        let record = FutureRecord::to(topic).key(key).payload(value).headers(headers);
        let queued = self.producer.send_result(record);
        let delivery = queued.map_err(|(error, _)| self.refused(topic, &error, value.len()))?;
        match delivery.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err((error, _))) => Err(self.refused(topic, &error, value.len())),
            Err(_) => Err(self.refused(topic, &ClientError::Canceled, value.len())),
        }
    }

    fn refused(&self, topic: &str, error: &ClientError, size: usize) -> PublishError {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                PublishError::Record(format!("the message has {size} bytes, more than Kafka accepts"))
            }
            _ => PublishError::Retry(format!("cannot publish to `{topic}` on Kafka at `{}`: {error}", self.brokers)),
        }
    }
}
