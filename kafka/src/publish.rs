//! Publishing records in bulk: many go into a queue, and one flush waits for all of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use contract::declarations::{self, SCHEMA_HEADER};
use contract::{Dataset, Record, encode, topic};
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders, ToBytes};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, SENT_MESSAGE_BYTES, TOPIC_MESSAGE_BYTES};
use crate::error::{KafkaError, retry};
use crate::refusal;
use crate::registry::Registry;

mod acknowledgements;

use acknowledgements::{Acknowledgements, Counts};

/// How long Kafka may take to acknowledge a record, retries included.
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(120);
/// By then librdkafka has delivered or failed every record.
const FLUSH_TIMEOUT: Duration = ACKNOWLEDGE_TIMEOUT.saturating_add(Duration::from_secs(10));
/// Wait before the next check whether every record is acknowledged.
const FLUSH_WAIT: Duration = Duration::from_millis(1);
/// Wait for room in the queue; a broker acknowledges several batches in this time.
const QUEUE_WAIT: Duration = Duration::from_millis(5);
/// Records between two looks at the acknowledgements. Each of them holds room in the queue until it is looked at.
const SERVE_EVERY: u64 = 512;

/// Durable, once and in order: every replica has a record, and a retry does not duplicate it.
const SETTINGS: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("compression.type", "zstd"),
    // The partitioner of Kafka's own clients, so that others can find a key's partition.
    ("partitioner", "murmur2_random"),
    // Fuller batches compress better; a longer wait would delay the end of every small page.
    ("linger.ms", "10"),
    ("batch.num.messages", "10000"),
    ("message.timeout.ms", "120000"),
    // Bounds a producer's memory; `publish` waits while the queue is full.
    ("queue.buffering.max.kbytes", "32768"),
    ("queue.buffering.max.messages", "200000"),
    ("message.max.bytes", SENT_MESSAGE_BYTES),
    ("allow.auto.create.topics", "false"),
];

/// Header of a record that corrects an already published one. A new record has no header: most
/// records are new, and a header would cost them bytes.
pub const CHANGE_HEADER: &str = "tapedeck-change";
/// Value of that header.
const CORRECTION: &str = "correction";

/// Why a record is not on Kafka, named by what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PublishError {
    /// Publish every record since the last flush again later. Records that Kafka already has do no harm.
    #[error("{0}")]
    Retry(String),
    /// This record cannot be published; others can.
    #[error("{0}")]
    Record(String),
    /// This producer cannot publish any more: end the process and start another.
    #[error("{0}")]
    Halt(String),
}

/// How much Kafka has acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Records since the last flush.
    pub records: u64,
    /// Bytes of their keys and values, before they were compressed.
    pub bytes: u64,
}

/// Publishes records of some datasets, each under its key to its dataset's topic.
///
/// Guarantees: once [`Publisher::flush`] has succeeded, every replica has each record at least once. Within one
/// publisher it is exactly once and in order (an idempotent producer). Before that nothing is guaranteed: dropping a
/// publisher drops its queue.
///
/// Memory is bounded: the queue holds 32 MB, and [`Publisher::publish`] waits while it is full. For single messages
/// with a result each, use [`crate::send::Sender`].
pub struct Publisher {
    /// Without a thread of its own that polls: rdkafka's busy-waits for the last millisecond of each of its polls,
    /// which is 1 % of a core per producer for as long as the process lives.
    producer: BaseProducer<Acknowledgements>,
    brokers: String,
    routes: HashMap<&'static str, Route>,
    message: Vec<u8>,
    /// Records put into the queue since the last flush.
    queued: u64,
    queued_bytes: u64,
    flushed: Counts,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Publisher").field("brokers", &self.brokers).finish_non_exhaustive()
    }
}

/// The topic and schema id for a dataset's records.
#[derive(Debug, Clone)]
pub struct Route {
    /// Name of the dataset.
    pub dataset: &'static str,
    /// Its topic.
    pub topic: Arc<str>,
    /// The schema id in its messages.
    pub schema_id: u32,
    /// The value of [`SCHEMA_HEADER`] in them.
    pub schema_header: Option<String>,
}

/// A partition, and the offset after its last acknowledged message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// The next offset.
    pub next: i64,
}

impl Publisher {
    /// Prepares to publish records of these datasets: creates missing topics, and registers the schemas if a registry
    /// is configured. `role` tells clients apart in the broker's logs.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Retry`] when Kafka or the registry is not available, [`KafkaError::Halt`] when the registry
    /// refuses a schema.
    pub async fn connect(
        cluster: &Cluster,
        role: &str,
        datasets: &[&'static Dataset],
    ) -> Result<Publisher, KafkaError> {
        let registry = Registry::from_settings()?;
        let mut routes = HashMap::new();
        for dataset in datasets {
            let topic = topic::topic(cluster.namespace(), dataset);
            let schema_id = match &registry {
                Some(registry) => registry.register(&topic::subject(&topic), &dataset.schema).await?,
                None => dataset.schema_id,
            };
            let name = dataset.name.as_str();
            let schema_header = declarations::schema_header(dataset, schema_id);
            routes.insert(name, Route { dataset: name, topic: topic.into(), schema_id, schema_header });
        }
        let topics: Vec<String> = routes.values().map(|route| route.topic.to_string()).collect();
        cluster.ensure_writable_topics(&topics).await?;
        Publisher::new(cluster, role, routes)
    }

    fn new(cluster: &Cluster, role: &str, routes: HashMap<&'static str, Route>) -> Result<Publisher, KafkaError> {
        let mut config = cluster.client_config(role);
        for (name, value) in SETTINGS {
            config.set(*name, *value);
        }
        let unprepared =
            |error| retry(&format!("cannot prepare a producer for Kafka at `{}`", cluster.brokers()), &error);
        let producer = config.create_with_context(Acknowledgements::default()).map_err(unprepared)?;
        Ok(Publisher {
            producer,
            brokers: cluster.brokers().to_owned(),
            routes,
            message: Vec::new(),
            queued: 0,
            queued_bytes: 0,
            flushed: Counts::default(),
        })
    }

    /// Puts a record into the queue; waits while the queue is full, at most two minutes.
    ///
    /// Cancel safety: when the future is dropped, the record is not in the queue.
    ///
    /// # Errors
    ///
    /// [`PublishError::Record`] when the record alone is at fault, because it is larger than Kafka accepts.
    pub async fn publish(&mut self, record: &Record) -> Result<(), PublishError> {
        self.put(record, None).await
    }

    /// The same for a record that corrects an already published one, marked by its header [`CHANGE_HEADER`].
    pub async fn publish_correction(&mut self, record: &Record) -> Result<(), PublishError> {
        let header = Header { key: CHANGE_HEADER, value: Some(CORRECTION) };
        self.put(record, Some(OwnedHeaders::new().insert(header))).await
    }

    async fn put(&mut self, record: &Record, mut headers: Option<OwnedHeaders>) -> Result<(), PublishError> {
        let Some(route) = self.routes.get(record.dataset()) else {
            return Err(PublishError::Record(format!(
                "this publisher was not prepared for dataset `{}`",
                record.dataset()
            )));
        };
        let (topic, schema_id) = (Arc::clone(&route.topic), route.schema_id);
        if let Some(value) = &route.schema_header {
            let header = Header { key: SCHEMA_HEADER, value: Some(value) };
            headers = Some(headers.unwrap_or_default().insert(header));
        }
        let mut message = std::mem::take(&mut self.message);
        message.clear();
        encode::put_header(schema_id, &mut message);
        record.encode(&mut message);
        let key = record.message_key();
        let mut sent = BaseRecord::to(&topic).key(&key).payload(&message);
        if let Some(headers) = headers {
            sent = sent.headers(headers);
        }
        let outcome = self.enqueue(sent, key.len() + message.len()).await;
        self.message = message;
        outcome
    }

    /// The same for a deletion: a message without value, whose headers name the deleted key and the time.
    pub async fn publish_deletion(
        &mut self,
        dataset: &Dataset,
        key: &str,
        headers: &[(&'static str, String)],
    ) -> Result<(), PublishError> {
        let Some(route) = self.routes.get(dataset.name.as_str()) else {
            return Err(PublishError::Record(format!(
                "this publisher was not prepared for dataset `{}`",
                dataset.name
            )));
        };
        let topic = Arc::clone(&route.topic);
        let headers = headers.iter().fold(OwnedHeaders::new(), |headers, (name, value)| {
            headers.insert(Header { key: name, value: Some(value) })
        });
        self.enqueue(BaseRecord::<_, [u8]>::to(&topic).key(key).headers(headers), key.len()).await
    }

    async fn enqueue<K: ToBytes + ?Sized, V: ToBytes + ?Sized>(
        &mut self,
        mut message: BaseRecord<'_, K, V>,
        size: usize,
    ) -> Result<(), PublishError> {
        let deadline = Instant::now() + ACKNOWLEDGE_TIMEOUT;
        loop {
            let Err((error, back)) = self.producer.send(message) else {
                self.queued += 1;
                self.queued_bytes += size as u64;
                if self.queued.is_multiple_of(SERVE_EVERY) {
                    self.serve();
                }
                return Ok(());
            };
            message = back;
            let is_full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            if !is_full || Instant::now() > deadline {
                return Err(self.refused(&error, size));
            }
            sleep(QUEUE_WAIT).await;
            self.serve();
        }
    }

    /// Counts the acknowledgements that have arrived, without waiting for any.
    fn serve(&self) {
        loop {
            let in_flight = self.producer.in_flight_count();
            self.producer.poll(Duration::ZERO);
            if self.producer.in_flight_count() >= in_flight {
                return;
            }
        }
    }

    /// The acknowledged end of each partition with new acknowledgements since the last call.
    pub fn take_acknowledged(&self) -> Vec<Acknowledged> {
        self.producer.context().take_acknowledged()
    }

    /// The topic and schema id of each dataset.
    pub fn routes(&self) -> Vec<Route> {
        self.routes.values().cloned().collect()
    }

    /// Waits until Kafka has acknowledged every record since the last flush, at most 130 seconds.
    ///
    /// Cancel safety: it only waits, so that another call continues to wait. Counts restart only when a call returns.
    ///
    /// # Errors
    ///
    /// [`PublishError::Retry`] or [`PublishError::Halt`] when Kafka did not acknowledge all records: any of them may be
    /// missing, so publish all of them again.
    pub async fn flush(&mut self) -> Result<Delivered, PublishError> {
        let flushed = self.wait_for_all().await;
        let counts = self.producer.context().counts();
        let delivered = counts.delivered - self.flushed.delivered;
        let failed = counts.failed - self.flushed.failed;
        self.flushed = counts;
        let (queued, bytes) = (std::mem::take(&mut self.queued), std::mem::take(&mut self.queued_bytes));
        flushed?;
        // A record without a delivery report counts as failed.
        if delivered == queued && failed == 0 {
            // Kafka has refused it before, but no longer does.
            self.producer.context().refusal.take();
            return Ok(Delivered { records: delivered, bytes });
        }
        let (brokers, code) = (&self.brokers, self.producer.context().last_error());
        let reason = code.map_or_else(|| "no reason given".to_owned(), |code| code.to_string());
        Err(self.worst(format!("Kafka at `{brokers}` acknowledged {delivered} of {queued} records: {reason}"), code))
    }

    /// Polls instead of blocking, so that the future can be dropped at any time.
    async fn wait_for_all(&self) -> Result<(), PublishError> {
        let deadline = Instant::now() + FLUSH_TIMEOUT;
        loop {
            self.serve();
            match self.producer.flush(Duration::ZERO) {
                Ok(()) => return Ok(()),
                Err(ClientError::Flush(RDKafkaErrorCode::OperationTimedOut)) if Instant::now() < deadline => {}
                Err(error) => return Err(self.refused(&error, 0)),
            }
            sleep(FLUSH_WAIT).await;
        }
    }

    fn refused(&self, error: &ClientError, size: usize) -> PublishError {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                PublishError::Record(format!("the message has {size} bytes, more than Kafka accepts"))
            }
            code => self.worst(format!("Kafka at `{}` did not accept a record: {error}", self.brokers), code),
        }
    }

    /// An idempotent producer with a gap in its sequence of records cannot continue, nor one that Kafka refuses.
    fn worst(&self, text: String, code: Option<RDKafkaErrorCode>) -> PublishError {
        let fatal = self.producer.client().fatal_error().map(|(code, reason)| refusal::advised(reason, code));
        let refusal = || self.producer.context().refusal.take();
        let advice = || match code? {
            RDKafkaErrorCode::MessageSizeTooLarge => Some(format!(
                "a topic's `max.message.bytes` is less than the {SENT_MESSAGE_BYTES} of a batch: set it to \
                 {TOPIC_MESSAGE_BYTES}"
            )),
            code => refusal::lacks_right(code).map(str::to_owned),
        };
        match fatal.or_else(refusal).or_else(advice) {
            Some(reason) => PublishError::Halt(format!("{text}: {reason}")),
            None => PublishError::Retry(text),
        }
    }
}

#[cfg(test)]
mod tests;
