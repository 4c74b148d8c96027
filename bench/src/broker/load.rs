//! The client of the benchmark: produces and consumes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};
use serde::Serialize;

use super::Measured;

/// Partitions of each topic, like our own topics.
const PARTITIONS: i32 = 4;
/// Sizes of the records.
const SMALL_BYTES: usize = 100;
const LARGE_BYTES: usize = 1_000_000;
/// How long the client waits for the broker.
const PATIENCE: Duration = Duration::from_secs(120);
/// Wait for room in the producer's queue.
const QUEUE_WAIT: Duration = Duration::from_millis(5);

/// What to measure.
pub(super) struct Load {
    pub(super) address: String,
    pub(super) records: usize,
    pub(super) large: usize,
    pub(super) single: usize,
    pub(super) compression: String,
}

/// How fast records went in and out.
#[derive(Debug, Serialize)]
pub(super) struct Rates {
    /// Records per second until all were acknowledged.
    pub(super) in_per_second: f64,
    /// Records per second until the consumer had all.
    pub(super) out_per_second: f64,
    pub(super) in_mb_per_second: f64,
    pub(super) out_mb_per_second: f64,
    /// Time of all cores that the broker used; 0 of a Kafka that others started.
    pub(super) in_core_seconds: f64,
    pub(super) out_core_seconds: f64,
}

/// How long one record takes.
#[derive(Debug, Serialize)]
pub(super) struct Latency {
    pub(super) p50_microseconds: f64,
    pub(super) p99_microseconds: f64,
}

impl Load {
    /// Measures, with topics of its own.
    pub(super) async fn run(&self, core_seconds: impl Fn() -> anyhow::Result<f64>) -> anyhow::Result<Measured> {
        let admin: AdminClient<DefaultClientContext> = self.client().create()?;
        let names = ["small", "large", "single"].map(|name| format!("tapedeck_bench_{}_{name}", std::process::id()));
        let topics = names.each_ref().map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1)));
        for created in admin.create_topics(&topics, &AdminOptions::new()).await? {
            created.map_err(|(topic, error)| anyhow::anyhow!("cannot create the topic `{topic}`: {error}"))?;
        }
        let measured = self.measure(&names, &core_seconds);
        admin.delete_topics(&names.each_ref().map(String::as_str), &AdminOptions::new()).await?;
        measured
    }

    fn measure(
        &self,
        [small, large, single]: &[String; 3],
        core_seconds: &impl Fn() -> anyhow::Result<f64>,
    ) -> anyhow::Result<Measured> {
        let rates = |topic, compression, count, bytes| self.rates(topic, compression, count, bytes, core_seconds);
        Ok(Measured {
            small: rates(small, &self.compression, self.records, SMALL_BYTES)?,
            large: rates(large, "none", self.large, LARGE_BYTES)?,
            single: self.latency(single)?,
        })
    }

    fn rates(
        &self,
        topic: &str,
        compression: &str,
        count: usize,
        bytes: usize,
        core_seconds: &impl Fn() -> anyhow::Result<f64>,
    ) -> anyhow::Result<Rates> {
        let mut used = core_seconds()?;
        let mut since = || -> anyhow::Result<f64> {
            let before = std::mem::replace(&mut used, core_seconds()?);
            Ok(used - before)
        };
        let in_seconds = self.produce(topic, compression, count, bytes).context("produce")?;
        let in_core_seconds = since()?;
        let out_seconds = self.consume(topic, count).context("consume")?;
        let out_core_seconds = since()?;
        let (in_per_second, out_per_second) = (count as f64 / in_seconds, count as f64 / out_seconds);
        let mb = bytes as f64 / 1e6;
        let (in_mb_per_second, out_mb_per_second) = (mb * in_per_second, mb * out_per_second);
        Ok(Rates {
            in_per_second,
            out_per_second,
            in_mb_per_second,
            out_mb_per_second,
            in_core_seconds,
            out_core_seconds,
        })
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address).set("allow.auto.create.topics", "false");
        config
    }

    /// A producer with the settings of ours.
    fn producer(&self, compression: &str, linger_ms: &str) -> ClientConfig {
        let mut config = self.client();
        config.set("enable.idempotence", "true").set("acks", "all").set("compression.type", compression);
        config.set("linger.ms", linger_ms).set("batch.num.messages", "10000");
        config.set("queue.buffering.max.kbytes", "65536").set("queue.buffering.max.messages", "200000");
        config.set("message.max.bytes", "1048000");
        config
    }

    /// Seconds until all records are acknowledged.
    fn produce(&self, topic: &str, compression: &str, count: usize, bytes: usize) -> anyhow::Result<f64> {
        let delivered = Arc::<AtomicUsize>::default();
        let producer: BaseProducer<_> =
            self.producer(compression, "10").create_with_context(Count(delivered.clone()))?;
        let noise = noise(bytes.max(1 << 16) + (1 << 12));
        let began = Instant::now();
        for number in 0..count {
            let start = number * 61 % (1 << 12);
            let value = noise.get(start..start + bytes).context("the noise is long enough")?;
            let mut record = BaseRecord::<(), _>::to(topic).payload(value);
            while let Err((error, refused)) = producer.send(record) {
                if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                    bail!(error);
                }
                producer.poll(QUEUE_WAIT);
                record = refused;
            }
            if number % 1_000 == 0 {
                producer.poll(Duration::ZERO);
            }
        }
        producer.flush(PATIENCE)?;
        let seconds = began.elapsed().as_secs_f64();
        let delivered = delivered.load(Ordering::Relaxed);
        ensure!(delivered == count, "{delivered} of {count} records were acknowledged");
        Ok(seconds)
    }

    /// Seconds until all records are consumed.
    fn consume(&self, topic: &str, count: usize) -> anyhow::Result<f64> {
        let mut config = self.client();
        config.set("group.id", topic).set("enable.auto.commit", "false");
        // By default librdkafka pauses for a second whenever its queue is full: that would measure the pause.
        config.set("fetch.queue.backoff.ms", "5");
        let consumer: BaseConsumer = config.create()?;
        let mut all = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            all.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        let began = Instant::now();
        consumer.assign(&all)?;
        for number in 0..count {
            let polled = consumer.poll(PATIENCE);
            polled.with_context(|| format!("only {number} of {count} records arrived"))??;
        }
        Ok(began.elapsed().as_secs_f64())
    }

    /// Sends one record at a time.
    fn latency(&self, topic: &str) -> anyhow::Result<Latency> {
        let (sender, acknowledged) = mpsc::channel();
        let producer: ThreadedProducer<_> = self.producer("none", "0").create_with_context(Pass(sender))?;
        let (mut waits, value) = (Vec::with_capacity(self.single), noise(SMALL_BYTES));
        // The first records wait for metadata and a producer id.
        let warm_up = self.single.div_ceil(10);
        for _ in 0..warm_up + self.single {
            let began = Instant::now();
            producer.send(BaseRecord::<(), _>::to(topic).payload(&value)).map_err(|(error, _)| error)?;
            acknowledged.recv_timeout(PATIENCE)??;
            waits.push(began.elapsed());
        }
        let mut waits = waits.split_off(warm_up);
        waits.sort_unstable();
        let at = |part: f64| waits.get((waits.len() as f64 * part) as usize).map_or(0.0, Duration::as_secs_f64);
        Ok(Latency { p50_microseconds: 1e6 * at(0.5), p99_microseconds: 1e6 * at(0.99) })
    }
}

/// Counts acknowledged records.
struct Count(Arc<AtomicUsize>);

impl ClientContext for Count {}

impl ProducerContext for Count {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_ok() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Passes each acknowledgement on.
struct Pass(mpsc::Sender<Result<(), KafkaError>>);

impl ClientContext for Pass {}

impl ProducerContext for Pass {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        // The receiver is gone after a failure.
        let _ = self.0.send(result.as_ref().map(drop).map_err(|(error, _)| error.clone()));
    }
}

/// Bytes that compress to about half of their size: hexadecimal digits.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut digit = || {
        // Knuth's linear congruential generator.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        b"0123456789abcdef".get((state >> 60) as usize).copied().unwrap_or(b'0')
    };
    (0..length).map(|_| digit()).collect()
}
