//! Single messages onto Kafka, each with its own result.

use std::time::Duration;

use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};

use crate::cluster::{Cluster, SENT_MESSAGE_BYTES};
use crate::delivery::is_on_topic;
use crate::error::{KafkaError, retry};
use crate::publish::PublishError;
use crate::quiet::Quiet;
use crate::refusal::{self, Refusal};

/// How long Kafka may take to acknowledge a message, counted from the call of [`Sender::send`] and retries included.
///
/// librdkafka also gives up on a message that a slow broker already has, and reports it like one that never left.
/// Whoever sends it again then doubles it. So the limit is far above what a broker under load needs.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(20);

/// Durable: every replica has a message before it is acknowledged, and a retry does not double it.
const SETTINGS: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("compression.type", "zstd"),
    // The partitioner of Kafka's own clients, so that others can find a key's partition.
    ("partitioner", "murmur2_random"),
    ("linger.ms", "0"),
    // A broker refuses a batch that is too large as a whole. With one message per batch it refuses only that message.
    ("batch.num.messages", "1"),
    ("queue.buffering.max.kbytes", "16384"),
    ("message.max.bytes", SENT_MESSAGE_BYTES),
    ("allow.auto.create.topics", "false"),
];

/// Sends single messages, each with its own result.
///
/// For many records with one result for all, use [`crate::publish::Publisher`]. Dropping it drops its queue.
#[expect(missing_debug_implementations, reason = "librdkafka's producer has none")]
pub struct Sender {
    producer: FutureProducer<Quiet>,
    refusal: Refusal,
    brokers: String,
}

impl Sender {
    /// Prepares to send. Does not wait for Kafka; the topics must exist. `role` tells clients apart in the broker's
    /// logs.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Retry`] when the client cannot be created.
    pub fn connect(cluster: &Cluster, role: &str) -> Result<Sender, KafkaError> {
        Sender::with_timeout(cluster, role, SEND_TIMEOUT)
    }

    fn with_timeout(cluster: &Cluster, role: &str, timeout: Duration) -> Result<Sender, KafkaError> {
        let mut config = cluster.client_config(role);
        for (name, value) in SETTINGS {
            config.set(*name, *value);
        }
        config.set("message.timeout.ms", timeout.as_millis().to_string());
        let brokers = cluster.brokers().to_owned();
        let quiet = Quiet::default();
        let refusal = quiet.refusal.clone();
        let unprepared = |error| retry(&format!("cannot prepare a producer for Kafka at `{brokers}`"), &error);
        let producer = config.create_with_context(quiet).map_err(unprepared)?;
        Ok(Sender { producer, refusal, brokers })
    }

    /// Sends a message and waits until all replicas have it, at most [`SEND_TIMEOUT`].
    ///
    /// Kafka stores messages in the order in which one task starts to send them. Cancel safety: a message whose
    /// future is dropped may or may not be on Kafka.
    ///
    /// # Errors
    ///
    /// [`PublishError::Record`] when the message is larger than Kafka accepts; otherwise [`PublishError::Retry`], and
    /// the message may or may not be on Kafka: the sender's retries do not double it, but another call can.
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
            Ok(Ok(delivery)) if is_on_topic(delivery.offset) => Ok(()),
            Ok(Ok(_)) => {
                let code = RDKafkaErrorCode::OutOfOrderSequenceNumber;
                Err(self.refused(topic, &ClientError::MessageProduction(code), value.len()))
            }
            Ok(Err((error, _))) => Err(self.refused(topic, &error, value.len())),
            Err(_) => Err(self.refused(topic, &ClientError::Canceled, value.len())),
        }
    }

    fn refused(&self, topic: &str, error: &ClientError, size: usize) -> PublishError {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                PublishError::Record(format!("the message has {size} bytes, more than Kafka accepts"))
            }
            Some(RDKafkaErrorCode::InvalidRecord) => {
                PublishError::Record("Kafka refuses the message: its topic has rules for records".to_owned())
            }
            code => {
                let fatal = || {
                    let (code, reason) = self.producer.client().fatal_error()?;
                    Some(refusal::advised(reason, code))
                };
                let reason = self.refusal.take().or_else(fatal).unwrap_or_else(|| match code {
                    Some(code) => refusal::advised(error.to_string(), code),
                    None => error.to_string(),
                });
                PublishError::Retry(format!("cannot publish to `{topic}` on Kafka at `{}`: {reason}", self.brokers))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::consumer::{BaseConsumer, Consumer as _};
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;

    const TOPIC: &str = "test.dead_letter.v1";
    /// What Kafka answers to the first message, to the second, and to the first again.
    const OVERTAKEN: &[RDKafkaRespErr] = &[
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
    ];
    /// How late the broker is.
    const ROUND_TRIP: Duration = Duration::from_millis(1500);

    #[tokio::test(flavor = "multi_thread")]
    async fn a_message_that_was_overtaken_and_is_not_on_the_topic_counts_as_failed() {
        let mock = MockCluster::new(1).unwrap();
        mock.create_topic(TOPIC, 1, 1).unwrap();
        let cluster = Cluster::new(&mock.bootstrap_servers(), "test");
        let sender = Sender::connect(&cluster, "test").unwrap();
        mock.request_errors(RDKafkaApiKey::Produce, OVERTAKEN);
        let sent = tokio::join!(sender.send(TOPIC, "first", b"", &[]), sender.send(TOPIC, "second", b"", &[]));
        assert!(matches!(&sent, (Err(PublishError::Retry(_)), Ok(()))), "{sent:?}");
        let reader: BaseConsumer = cluster.client_config("reader").create().unwrap();
        assert_eq!(reader.fetch_watermarks(TOPIC, 0, Duration::from_secs(30)).unwrap().1, 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_message_that_a_slow_broker_has_counts_as_failed_after_the_timeout_and_as_sent_before_it() {
        for (timeout, is_sent) in [(ROUND_TRIP / 3, false), (SEND_TIMEOUT, true)] {
            let mock = MockCluster::new(1).unwrap();
            mock.create_topic(TOPIC, 1, 1).unwrap();
            let cluster = Cluster::new(&mock.bootstrap_servers(), "test");
            let reader: BaseConsumer = cluster.client_config("reader").create().unwrap();
            let next = || reader.fetch_watermarks(TOPIC, 0, Duration::from_secs(30)).unwrap().1;
            let sender = Sender::with_timeout(&cluster, "test", timeout).unwrap();
            // This one also waits for the connection, the metadata and the producer's id.
            while sender.send(TOPIC, "first", b"", &[]).await.is_err() {}
            let before = next();
            mock.broker_round_trip_time(1, ROUND_TRIP).unwrap();
            let sent = sender.send(TOPIC, "second", b"", &[]).await;
            assert_eq!(sent.is_ok(), is_sent, "{sent:?} with a timeout of {timeout:?}");
            mock.broker_round_trip_time(1, Duration::ZERO).unwrap();
            assert_eq!(next(), before + 1, "the broker has it with a timeout of {timeout:?}");
        }
    }
}
