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
//! Unless it is killed, the relay warns when such a thing begins. With PostgreSQL and without a warning, each dead letter
//! is on the topic once. With SQLite nothing is locked: one process at a time may publish.

use std::time::Duration;

use contract::records::DeadLetter;
use contract::{Decoder, Rows, Text, codec, topic};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use kafka::Cluster;
use kafka::publish::PublishError;
use kafka::registry::Registry;
use kafka::send::{SEND_TIMEOUT, Sender};
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::dead_letter::dataset;
use crate::reminder::Reminder;
use crate::sink::{COMMAND_PATIENCE, panic_text};
use crate::store::{Database, DeadLetters, FORWARD_PATIENCE, Forward};

mod window;

use window::{Limits, Sends, send_all};

/// How often the relay looks into the outbox.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long the relay waits after Kafka or the database failed.
const FAILURE_INTERVAL: Duration = Duration::from_secs(5);
/// More dead letters than this in the outbox are logged as a warning: nobody sees them on the topic.
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
    /// Where the topic is.
    pub cluster: Cluster,
    /// Where its schema is to be registered.
    pub registry: Option<Registry>,
    /// Where the outbox is.
    pub database: Database,
}

/// A relay at work.
#[derive(Debug)]
pub struct Relaying {
    ending: CancellationToken,
    /// None: it has failed, and was reported.
    task: Option<JoinHandle<u64>>,
}

impl Relay {
    /// Goes to work, on a thread of its own: asking Kafka for topics blocks.
    pub fn start(self) -> Relaying {
        let ending = CancellationToken::new();
        let (ended, runtime) = (ending.clone(), Handle::current());
        let task = tokio::task::spawn_blocking(move || runtime.block_on(self.run(&ended)));
        Relaying { ending, task: Some(task) }
    }

    /// Publishes until it is told to end and the outbox is empty, or cannot be emptied; gives how many were published.
    async fn run(self, ending: &CancellationToken) -> u64 {
        let mut store = self.database.dead_letters("relay");
        let mut publisher = None;
        let mut published = 0;
        let (mut of_failure, mut of_backlog) = (Reminder::default(), Reminder::default());
        loop {
            // Asked before the turn: what was written before the end is published by this turn.
            let is_last = ending.is_cancelled();
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

    /// Publishes some of the outbox, if there is anything in it.
    async fn turn(&self, store: &mut dyn DeadLetters, publisher: &mut Option<Publisher>) -> Turn {
        let mut turn = Turn::default();
        let outcome: anyhow::Result<()> = async {
            turn.waiting = store.waiting(BACKLOG_WARNING + 1).await?;
            if turn.waiting == 0 {
                return Ok(());
            }
            let publisher = match publisher {
                Some(publisher) => publisher,
                None => publisher.insert(Publisher::connect(&self.cluster, self.registry.as_ref()).await?),
            };
            let relayed = store.relay(publisher).await?;
            turn.published = std::mem::take(&mut publisher.published);
            if relayed.taken == 0 {
                // Another process publishes them at this moment.
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
    /// Waits until the relay fails; gives a line about it. Cancel safe: another call waits on.
    pub async fn failed(&mut self) -> String {
        let Some(task) = &mut self.task else { return std::future::pending().await };
        let ended = task.await;
        self.task = None;
        ended.err().map_or_else(|| "the relay of dead letters has ended".to_owned(), failure)
    }

    /// Empties the outbox as far as Kafka lets us, and ends; gives how many were published in all.
    ///
    /// A command that nobody stops has time: what it leaves on its way, the next process publishes again.
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

/// What a turn did.
#[derive(Debug, Default)]
struct Turn {
    /// Were in the outbox before it.
    waiting: i64,
    published: u64,
    failure: Option<String>,
}

/// Publishes dead letters, each under its key.
struct Publisher {
    sender: Sender,
    topic: String,
    schema_id: u32,
    decoder: Decoder,
    published: u64,
    /// Why some of the last ones are not on Kafka; one reason stands for all of an outage.
    failure: Option<String>,
}

impl Publisher {
    async fn connect(cluster: &Cluster, registry: Option<&Registry>) -> anyhow::Result<Publisher> {
        let topic = topic::topic(cluster.namespace(), dataset());
        let schema_id = match registry {
            Some(registry) => registry.register(&topic::subject(&topic), &dataset().schema).await?,
            None => dataset().schema_id,
        };
        cluster.ensure_topics(std::slice::from_ref(&topic)).await?;
        let sender = Sender::connect(cluster, "relay")?;
        let decoder = Decoder::new(dataset(), &dataset().schema)?;
        Ok(Publisher { sender, topic, schema_id, decoder, published: 0, failure: None })
    }

    /// Publishes a dead letter, without its message where it is too large.
    async fn publish(&self, letter: &DeadLetter) -> Result<Sent, PublishError> {
        if letter.dataset == dataset().name {
            // Its message is on that very topic. Were it published there, a sink that refuses it would never end.
            return Ok(Sent::Kept);
        }
        if let Some(rule) = self.broken_rule(letter) {
            // The sink would refuse it.
            tracing::warn!(id = letter.dead_letter_id.as_str(), rule, "a dead letter stays in the table alone");
            return Ok(Sent::Kept);
        }
        match self.send(letter).await {
            Err(PublishError::Record(_)) => self.send(&cut(letter)).await,
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
        codec::put_header(self.schema_id, &mut message);
        letter.encode(&mut message);
        let headers = headers(letter);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.sender.send(&self.topic, &letter.message_key(), &message, &headers).await?;
        Ok(Sent::Published)
    }
}

/// What became of a dead letter that was to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// Kafka has it.
    Published,
    /// It is not for the topic.
    Kept,
}

impl Forward for Publisher {
    fn forward<'a>(&'a mut self, letters: &'a [DeadLetter]) -> BoxFuture<'a, Vec<bool>> {
        async move {
            let Sends { results, abandoned } =
                send_all(letters.iter().map(|letter| self.publish(letter)).collect(), &LIMITS).await;
            if abandoned > 0 {
                self.failure = Some(format!("Kafka does not acknowledge records of `{}`", self.topic));
            }
            for sent in results.iter().flatten() {
                match sent {
                    Ok(Sent::Published) => self.published += 1,
                    Ok(Sent::Kept) => {}
                    Err(error) => self.failure = Some(error.to_string()),
                }
            }
            results.iter().map(|sent| matches!(sent, Some(Ok(_)))).collect()
        }
        .boxed()
    }
}

/// The dead letter without what makes it too large, as an older version: it never replaces the whole one in a table.
///
/// The headers go too: without them a message without value is no deletion, whoever tries it again.
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

/// Where it is from and why it was refused, for those who choose without decoding.
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
