//! The producer of the torture: idempotent and paced. It logs what Kafka acknowledged.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::bindings::rd_kafka_resp_err_t as Code;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Message as _};

use super::Plan;
use super::produce::{Produced, produce};
use super::upgrade::Progress;
use crate::oracle::{Ack, ID_HEADER};
use crate::workload::{Sent, Workload};

/// Share of the messages that is sent slowly while faults are still to strike: a sink without load springs no trap.
const HELD_BACK: f64 = 0.1;
/// How many times slower.
const SLOWER: u32 = 10;
/// Longest time until a message is acknowledged, in milliseconds: longer than any outage of the tests.
const DELIVERY_PATIENCE: &str = "240000";
/// The same of all messages that are left.
const FLUSH_PATIENCE: Duration = Duration::from_secs(240);

/// Receives the delivery reports.
#[derive(Default)]
struct Acknowledged {
    acks: Mutex<Vec<Ack>>,
    failures: Mutex<Vec<String>>,
}

impl ClientContext for Acknowledged {
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, _: rdkafka::error::KafkaError, _: &str) {}
}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = Box<u32>;

    fn delivery(&self, result: &DeliveryResult<'_>, id: Box<u32>) {
        match result {
            Ok(message) => {
                let ack = Ack { partition: message.partition(), offset: message.offset(), id: *id };
                self.acks.lock().unwrap().push(ack);
            }
            Err((error, _)) => self.failures.lock().unwrap().push(format!("message {id}: {error}")),
        }
    }
}

/// Result of sending.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    /// Messages that Kafka acknowledged.
    pub acks: Vec<Ack>,
    /// Messages that it did not; they may or may not be on the topic.
    pub failures: Vec<String>,
}

/// Sends the messages, spread evenly over the time of the load, the last ones slowly until the faults are over. The second
/// half waits for the upgrade.
pub(super) fn send(
    brokers: &str,
    topic: &str,
    plan: &Plan,
    progress: &Progress,
    are_faults_over: impl Fn() -> bool,
) -> Delivered {
    let producer = producer_of(brokers, &[("linger.ms", "5")]);
    // Keeps messages back until it is flushed, so that they are one batch.
    let in_batches = [("linger.ms", "120000"), ("batch.size", "2000000000"), ("message.max.bytes", "1000000000")];
    let in_batches = producer_of(brokers, &in_batches);
    let pause = plan.load / plan.size.records;
    let at_pace = (f64::from(plan.size.records) * (1.0 - HELD_BACK)) as u32;
    let mut due = Instant::now();
    let mut batch = None;
    for sent in Workload::new(plan.seed, plan.size.clone()).take(plan.size.records as usize) {
        while !progress.may_send(sent.id, plan.size.half()) {
            producer.poll(Duration::from_millis(20));
            due = Instant::now();
        }
        if batch != sent.batch {
            in_batches.flush(FLUSH_PATIENCE).unwrap();
            batch = sent.batch;
        }
        due += if sent.id >= at_pace && !are_faults_over() { pause * SLOWER } else { pause };
        loop {
            producer.poll(Duration::ZERO);
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            // Not by `poll`: it rounds to whole milliseconds and would not wait at all for less.
            std::thread::sleep(left.min(Duration::from_millis(20)));
        }
        send_one(if sent.batch.is_some() { &in_batches } else { &producer }, topic, &sent);
    }
    let mut delivered = Delivered::default();
    for producer in [producer, in_batches] {
        producer.flush(FLUSH_PATIENCE).unwrap();
        let context = producer.context();
        delivered.acks.append(&mut context.acks.lock().unwrap());
        delivered.failures.append(&mut context.failures.lock().unwrap());
    }
    delivered
}

/// An idempotent producer whose batches are compressed.
fn producer_of(brokers: &str, settings: &[(&str, &str)]) -> BaseProducer<Acknowledged> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.codec", "zstd")
        // Before compression: giant values.
        .set("message.max.bytes", "20000000")
        .set("message.timeout.ms", DELIVERY_PATIENCE)
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "500");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config.create_with_context(Acknowledged::default()).unwrap()
}

fn send_one(producer: &BaseProducer<Acknowledged>, topic: &str, sent: &Sent) {
    let id = sent.id.to_string();
    // The number first: rdkafka, which reads it, panics at a later one whose name is not UTF-8.
    let number = (ID_HEADER.as_bytes(), id.as_bytes());
    let headers = sent.headers.iter().map(|(name, value)| (*name, value.as_bytes()));
    let message = Produced {
        partition: sent.partition,
        key: sent.key.as_deref(),
        value: sent.value.as_deref(),
        headers: std::iter::once(number).chain(headers).collect(),
    };
    loop {
        match produce(producer, topic, &message, sent.id) {
            Ok(()) => return,
            Err(Code::RD_KAFKA_RESP_ERR__QUEUE_FULL) => {
                producer.poll(Duration::from_millis(20));
            }
            Err(code) => panic!("cannot send: {code:?}"),
        }
    }
}
