//! The relay: publishes the dead letters of consumers on the topic of dead letters.
//!
//! A chunk writes its dead letters and their names in the outbox in one transaction. The relay publishes them and
//! removes the names that Kafka has acknowledged. So each dead letter is on the topic at least once, and no sink waits.
//!
//! A dead letter is published twice only when the relay does not learn that Kafka has it, or cannot remove its name:
//!
//! - Kafka acknowledges later than [`kafka::send::SEND_TIMEOUT`]. The message may be on the topic or not.
//! - PostgreSQL or its connection ends the transaction that holds the names, before they are removed.
//! - The process ends before Kafka has acknowledged.
//!
//! Unless it is killed, the relay warns when such a thing begins. With PostgreSQL and without a warning, each dead
//! letter is on the topic once. With SQLite nothing is locked: one process at a time may publish.

use std::sync::Arc;
use std::time::Duration;

use contract::declarations::{self, SCHEMA_HEADER};
use contract::records::DeadLetter;
use contract::{Decoder, Rows, Text, encode, topic};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use kafka::Cluster;
use kafka::publish::PublishError;
use kafka::registry::Registry;
use kafka::send::{SEND_TIMEOUT, Sender};
use service::health::Heartbeat;
use service::metrics::Counters;
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::reminder::Reminder;
use crate::sink::{COMMAND_PATIENCE, panic_text};

mod window;

use store::dead_letter::dataset;
use store::{Database, DeadLetters, FORWARD_PATIENCE, Forward, Forwarded};
use window::{Limits, Sends, send_all};

/// How often the relay polls the outbox.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long the relay waits after Kafka or the database failed.
const FAILURE_INTERVAL: Duration = Duration::from_secs(5);
/// The relay logs a warning when the outbox holds more dead letters: readers of the topic do not get them yet.
pub const BACKLOG_WARNING: i64 = 10_000;
/// How long a process that is told to stop waits for the outbox to be empty; the next process publishes what is left.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// When to give up on results. A dead letter waits for Kafka alone, not for those before it: its timeout begins when
/// librdkafka gets it, and what times out on its way to a slow Kafka is published again although Kafka has it.
const LIMITS: Limits = Limits {
    // librdkafka has five requests of one message on the way to a broker; the others are ready when those are done.
    at_once: 8,
    // A slow Kafka must not keep the transaction open for a whole batch: the next transaction sends the rest.
    start: Duration::from_secs(5),
    end: FORWARD_PATIENCE,
};
const _: () = assert!(
    LIMITS.start.as_secs() + SEND_TIMEOUT.as_secs() < LIMITS.end.as_secs(),
    "librdkafka must report every result before the relay gives up on it"
);
/// Most bytes of a message key that is kept where the whole dead letter does not fit into a message.
const MAX_CUT_KEY_BYTES: usize = 64 << 10;

/// What the relay needs.
#[derive(Debug, Clone)]
pub struct Relay {
    /// The cluster of the topic.
    pub cluster: Cluster,
    /// The registry for the topic's schema.
    pub registry: Option<Registry>,
    /// The database of the outbox.
    pub database: Database,
    /// Beats while the relay makes progress: one that hangs keeps all dead letters from their topic.
    pub heartbeat: Arc<Heartbeat>,
    /// Counts the dead letters that Kafka refuses for good, by dataset.
    pub unpublished: Counters<1>,
}

/// A running relay.
#[derive(Debug)]
pub struct Relaying {
    ending: CancellationToken,
    /// None: its failure was reported.
    task: Option<JoinHandle<u64>>,
}

impl Relay {
    /// Starts the relay on a thread of its own, because creating topics blocks.
    pub fn start(self) -> Relaying {
        let ending = CancellationToken::new();
        let (ended, runtime) = (ending.clone(), Handle::current());
        let task = tokio::task::spawn_blocking(move || runtime.block_on(self.run(&ended)));
        Relaying { ending, task: Some(task) }
    }

    /// Publishes until it is stopped and the outbox is empty or Kafka fails. Returns the number of published dead
    /// letters.
    async fn run(self, ending: &CancellationToken) -> u64 {
        let mut store = self.database.dead_letters("relay");
        let mut publisher = None;
        let mut published = 0;
        let (mut of_failure, mut of_backlog) = (Reminder::default(), Reminder::default());
        loop {
            // Checked before the turn, so that this turn publishes everything written before the stop.
            let is_last = ending.is_cancelled();
            self.heartbeat.beat();
            let turn = self.turn(&mut *store, &mut publisher).await;
            published += turn.published;
            if turn.waiting > BACKLOG_WARNING && of_backlog.is_due() {
                tracing::warn!("more than {BACKLOG_WARNING} dead letters wait to be published");
            }
            let wait = match turn.failure {
                None if turn.waiting > 0 => continue,
                None => INTERVAL,
                Some(reason) => {
                    publisher = None;
                    if of_failure.is_due() {
                        tracing::warn!(reason, "cannot publish dead letters, retrying");
                    }
                    FAILURE_INTERVAL
                }
            };
            if is_last {
                return published;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = ending.cancelled() => {}
            }
        }
    }

    /// Publishes a batch of the outbox.
    async fn turn(&self, store: &mut dyn DeadLetters, publisher: &mut Option<Publisher>) -> Turn {
        let mut turn = Turn::default();
        let outcome: anyhow::Result<()> = async {
            turn.waiting = store.waiting(BACKLOG_WARNING + 1).await?;
            // Each step has a time limit, but all of them together take longer than one beat may.
            self.heartbeat.beat();
            if turn.waiting == 0 {
                return Ok(());
            }
            let publisher = match publisher {
                Some(publisher) => publisher,
                None => publisher.insert(Publisher::connect(self).await?),
            };
            self.heartbeat.beat();
            let relayed = store.relay(publisher).await?;
            turn.published = std::mem::take(&mut publisher.published);
            if relayed.taken == 0 {
                // Another process is publishing them.
                turn.waiting = 0;
            }
            publisher.failure.take().map_or(Ok(()), |reason| Err(anyhow::anyhow!(reason)))
        }
        .await;
        turn.failure = outcome.err().map(|error| service::telemetry::one_line(&error));
        turn
    }
}

impl Relaying {
    /// Waits until the relay fails; returns one line about the failure. Cancel safe: another call continues to wait.
    pub async fn failed(&mut self) -> String {
        let Some(task) = &mut self.task else { return std::future::pending().await };
        let ended = task.await;
        self.task = None;
        ended.err().map_or_else(|| "the relay of dead letters has ended".to_owned(), failure)
    }

    /// Stops the relay after it has emptied the outbox or Kafka failed. Returns the number of published dead letters.
    ///
    /// A command that nobody stops waits longer: the next process publishes again whatever is still in flight.
    pub async fn end(self, stop: &CancellationToken) -> u64 {
        self.ending.cancel();
        let Some(task) = self.task else { return 0 };
        let ended = tokio::select! {
            ended = task => ended,
            () = end_of_patience(stop) => {
                tracing::warn!("some dead letters are not published yet; the next consumer publishes them");
                return 0;
            }
        };
        ended.unwrap_or_else(|error| {
            tracing::warn!("{}", failure(error));
            0
        })
    }
}

async fn end_of_patience(stop: &CancellationToken) {
    let stopped = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_PATIENCE).await;
    };
    tokio::select! {
        () = tokio::time::sleep(COMMAND_PATIENCE) => {}
        () = stopped => {}
    }
}

fn failure(error: JoinError) -> String {
    let text = error.try_into_panic().map_or_else(|error| error.to_string(), |panic| panic_text(&*panic));
    format!("the relay of dead letters panicked: {text}; the next consumer publishes what is left")
}

/// The result of a turn.
#[derive(Debug, Default)]
struct Turn {
    /// Dead letters in the outbox before the turn.
    waiting: i64,
    published: u64,
    failure: Option<String>,
}

/// Publishes dead letters, each under its key.
struct Publisher {
    sender: Sender,
    topic: String,
    schema_id: u32,
    /// The value of [`SCHEMA_HEADER`].
    schema_header: Option<String>,
    decoder: Decoder,
    published: u64,
    /// Why Kafka did not acknowledge the last dead letters; one reason stands for a whole outage.
    failure: Option<String>,
    heartbeat: Arc<Heartbeat>,
    unpublished: Counters<1>,
}

impl Publisher {
    async fn connect(relay: &Relay) -> anyhow::Result<Publisher> {
        let Relay { cluster, registry, .. } = relay;
        let topic = topic::topic(cluster.namespace(), dataset());
        let schema_id = match registry {
            Some(registry) => registry.register(&topic::subject(&topic), &dataset().schema).await?,
            None => dataset().schema_id,
        };
        let schema_header = declarations::schema_header(dataset(), schema_id);
        cluster.ensure_writable_topics(std::slice::from_ref(&topic)).await?;
        let sender = Sender::connect(cluster, "relay")?;
        let decoder = Decoder::new(dataset(), &dataset().schema)?;
        let (heartbeat, unpublished) = (Arc::clone(&relay.heartbeat), relay.unpublished.clone());
        let published = 0;
        Ok(Publisher {
            sender,
            topic,
            schema_id,
            schema_header,
            decoder,
            published,
            failure: None,
            heartbeat,
            unpublished,
        })
    }

    /// Publishes a dead letter; shortens it when it is too large for a message. What Kafka accepts in no form is marked in
    /// the outbox: it would wait there forever.
    async fn publish(&self, letter: &DeadLetter) -> Result<Sent, PublishError> {
        if letter.dataset == dataset().name {
            // Its message came from this very topic. Publishing it there would loop: the sink would refuse it again.
            return Ok(Sent::Kept);
        }
        if let Some(rule) = self.broken_rule(letter) {
            // The sink would refuse it for this rule.
            let id = letter.dead_letter_id.as_str();
            tracing::warn!(id, rule, "dead letter not published: it violates a rule of `dead_letter`");
            return Ok(Sent::Kept);
        }
        let cut = match self.send(letter).await {
            Err(PublishError::Record(_)) => cut(letter),
            sent => return sent,
        };
        match self.send(&cut).await {
            Err(PublishError::Record(reason)) => {
                let id = letter.dead_letter_id.as_str();
                tracing::warn!(id, reason, "dead letter not published, also not without its value: it is in the table");
                Ok(Sent::Refused(reason))
            }
            sent => sent,
        }
    }

    fn broken_rule(&self, letter: &DeadLetter) -> Option<&'static str> {
        let (mut body, mut rows) = (Vec::new(), Rows::new(dataset()));
        letter.encode(&mut body);
        if self.decoder.decode(&body, &mut rows).is_err() {
            return Some("it cannot be read back");
        }
        dataset().rules.iter().find(|rule| rule.is_broken(&rows, 0)).map(|rule| rule.text.as_str())
    }

    async fn send(&self, letter: &DeadLetter) -> Result<Sent, PublishError> {
        let mut message = Vec::new();
        encode::put_header(self.schema_id, &mut message);
        letter.encode(&mut message);
        let headers = headers(letter);
        let of_schema = self.schema_header.iter().map(|value| (SCHEMA_HEADER, value.as_str()));
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).chain(of_schema).collect();
        self.sender.send(&self.topic, &letter.message_key(), &message, &headers).await?;
        Ok(Sent::Published)
    }
}

/// The outcome of publishing a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sent {
    /// Kafka has acknowledged it.
    Published,
    /// It must not be published.
    Kept,
    /// Kafka accepts it in no form.
    Refused(String),
}

impl Forward for Publisher {
    fn forward<'a>(&'a mut self, letters: &'a [DeadLetter]) -> BoxFuture<'a, Vec<Forwarded>> {
        async move {
            self.heartbeat.beat();
            let Sends { results, abandoned } =
                send_all(letters.iter().map(|letter| self.publish(letter)).collect(), &LIMITS).await;
            self.heartbeat.beat();
            if abandoned > 0 {
                self.failure = Some(format!("Kafka does not acknowledge records of `{}`", self.topic));
            }
            for (letter, sent) in letters.iter().zip(&results) {
                let Some(sent) = sent else { continue };
                match sent {
                    Ok(Sent::Published) => self.published += 1,
                    Ok(Sent::Kept) => {}
                    Ok(Sent::Refused(_)) => self.unpublished.with([letter.dataset.as_str()]).add(1),
                    Err(error) => self.failure = Some(error.to_string()),
                }
            }
            let fate = |sent| match sent {
                Some(Ok(Sent::Refused(reason))) => Forwarded::Refused(reason),
                Some(Ok(Sent::Published | Sent::Kept)) => Forwarded::Arrived,
                Some(Err(_)) | None => Forwarded::Failed,
            };
            results.into_iter().map(fate).collect()
        }
        .boxed()
    }
}

/// The dead letter without value, headers and an overlong key. Its version is older, so that it never replaces the
/// complete row in a table.
///
/// Without its headers, a message without value is no deletion, so that a redrive deletes nothing.
fn cut(letter: &DeadLetter) -> DeadLetter {
    let length = letter.record_value.as_ref().map_or(0, Vec::len);
    DeadLetter {
        reason: format!("{} (its value of {length} bytes and its headers are left out here)", letter.reason).into(),
        record_key: letter.record_key.clone().filter(|key| key.len() <= MAX_CUT_KEY_BYTES),
        record_value: None,
        record_headers: None,
        observed_at: letter.observed_at - chrono::TimeDelta::microseconds(1),
        ..letter.clone()
    }
}

/// Headers with source and cause, so that readers can filter without decoding.
fn headers(letter: &DeadLetter) -> Vec<(&'static str, Text)> {
    let number = |number: Option<i64>| number.map(|number| Text::from(number.to_string()));
    let headers = [
        ("tapedeck-topic", letter.kafka_topic.clone()),
        ("tapedeck-partition", number(letter.kafka_partition)),
        ("tapedeck-offset", number(letter.kafka_offset)),
        ("tapedeck-incarnation", number(letter.kafka_incarnation)),
        ("tapedeck-class", Some(letter.error_class.clone())),
        ("tapedeck-sqlstate", letter.sqlstate.clone()),
        ("tapedeck-sink", Some(letter.source.clone())),
    ];
    headers.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}
