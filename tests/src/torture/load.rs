//! The producer of the torture: idempotent and paced. It logs what Kafka acknowledged.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Message as _};

use crate::oracle::{Ack, ID_HEADER};
use crate::workload::Sent;

/// Share of the messages that is sent slowly while faults are still to strike: a sink without load springs no trap.
const HELD_BACK: f64 = 0.1;
/// How many times slower.
const SLOWER: u32 = 10;
/// Longest time until a message is acknowledged: longer than any outage of the tests.
const DELIVERY_PATIENCE: &str = "240000";

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

/// Sends messages, spread evenly over that time, the last ones slowly until the faults are over.
pub(super) fn send(
    brokers: &str,
    topic: &str,
    messages: impl ExactSizeIterator<Item = Sent>,
    time: Duration,
    are_faults_over: impl Fn() -> bool,
) -> Delivered {
    let producer: BaseProducer<Acknowledged> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "5")
        .set("message.timeout.ms", DELIVERY_PATIENCE)
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "500")
        .create_with_context(Acknowledged::default())
        .unwrap();
    let pause = time / u32::try_from(messages.len()).unwrap();
    let at_pace = (messages.len() as f64 * (1.0 - HELD_BACK)) as u32;
    let mut due = Instant::now();
    for sent in messages {
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
        send_one(&producer, topic, &sent);
    }
    producer.flush(Duration::from_secs(240)).unwrap();
    let context = producer.context();
    Delivered {
        acks: std::mem::take(&mut context.acks.lock().unwrap()),
        failures: std::mem::take(&mut context.failures.lock().unwrap()),
    }
}

fn send_one(producer: &BaseProducer<Acknowledged>, topic: &str, sent: &Sent) {
    let id = sent.id.to_string();
    let texts = sent.headers.iter().map(|(name, value)| (*name, value.as_str())).chain([(ID_HEADER, id.as_str())]);
    let headers =
        texts.fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
    let mut record: BaseRecord<'_, [u8], [u8], Box<u32>> = BaseRecord::with_opaque_to(topic, Box::new(sent.id));
    record.partition = Some(sent.partition);
    record.key = sent.key.as_deref();
    record.payload = sent.value.as_deref();
    record.headers = Some(headers);
    loop {
        match producer.send(record) {
            Ok(()) => return,
            Err((error, back)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                producer.poll(Duration::from_millis(20));
                record = back;
            }
            Err((error, _)) => panic!("cannot send: {error}"),
        }
    }
}
