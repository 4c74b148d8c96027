//! A member of a consumer group: its partitions, the offsets to start from, and the messages.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError as ClientError, KafkaResult};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use crate::cluster::{AtEnd, Cluster, REQUEST_TIMEOUT};
use crate::detour::Detours;
use crate::error::{KafkaError, halt, retry};
use crate::in_flight::InFlight;
use crate::message::Message;
use crate::probe::is_of_bytes;
use crate::refusal::Refusal;
use crate::{claim, statistics, topic_id};

mod placement;
mod watch;

pub use placement::{Assignment, Positions, Start, Unplaced};
use watch::Watch;

/// How long a revocation waits for the chunks being written. A later commit of ours would fence the next owner, which
/// reads the position now.
const REVOKE_PATIENCE: Duration = Duration::from_secs(5);

/// How often Kafka's client reports the partitions' ends; for paused partitions it queries the brokers.
const STATISTICS_INTERVAL_MS: &str = "10000";

/// How long a member whose partitions wait for its database waits before it asks again.
const PLACE_INTERVAL: Duration = Duration::from_secs(2);

/// Time between two log lines of a lasting outage.
const REMINDER: Duration = Duration::from_secs(60);

/// An event. Handle events in the order in which they are returned.
#[derive(Debug)]
pub enum Event<'a> {
    /// Exactly these partitions are ours now.
    Assigned(Vec<Start>),
    /// No partition is ours any more.
    Revoked,
    /// Partitions are ours, but the database does not say where to start in them. The member asks again, and is assigned
    /// nothing meanwhile; the reason is a line.
    Waiting(String),
    /// An assignment failed, because the offsets to start from are unknown: the session must end.
    Lost(KafkaError),
    /// The next message of a partition.
    Message(Message<'a>),
    /// This partition has been read to its end; only with [`Membership::reports_ends`].
    End(i32),
    /// The partitions' ends, (partition, end), as Kafka's client knows them.
    Ends(Vec<(i32, i64)>),
}

/// A member of a consumer group that starts at the offsets of [`Positions`], not at the group's offsets.
///
/// Guarantees: it returns every committed message of a partition from its start on, in the order of the offsets. After
/// a failure or a rebalance a message can come twice. A revocation waits up to five seconds for [`InFlight`]. The event
/// of an assignment comes before the assignment's messages.
///
/// Belongs to one thread: the group's callbacks run inside [`GroupConsumer::poll`]. Poll at least every five minutes
/// (`max.poll.interval.ms`), even without anything to read. Dropping it leaves the group.
#[expect(missing_debug_implementations, reason = "librdkafka's consumer has none")]
pub struct GroupConsumer {
    watch: Watch<Context>,
    consumer: Arc<BaseConsumer<Context>>,
    topic: String,
    brokers: String,
    away_logged: Cell<Option<Instant>>,
    detours: Detours,
}

/// State of the callbacks, which run on the polling thread.
struct Context {
    cluster: Cluster,
    group: String,
    topic: String,
    /// The identity of the database that the member fills, if it has one.
    database: Option<String>,
    positions: Box<dyn Positions>,
    in_flight: Arc<InFlight>,
    refusal: Refusal,
    /// Events of callbacks that `poll` has not returned yet.
    pending: Mutex<VecDeque<Event<'static>>>,
    placing: Mutex<Placing>,
}

/// What is known of the present assignment.
#[derive(Debug, Default)]
struct Placing {
    /// The id of the topic when its partitions were assigned.
    topic_id: Option<String>,
    /// Partitions that wait for their offsets, and when to ask for them again.
    waiting: Option<(Vec<i32>, Instant)>,
}

/// The configuration of a member.
#[expect(missing_debug_implementations, reason = "implementors of `Positions` need not have it")]
pub struct Membership<'a> {
    /// The group's name.
    pub group: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// The identity of the database that the member fills: a member with another one is refused.
    pub database: Option<&'a str>,
    /// Finds the offsets to start from.
    pub positions: Box<dyn Positions>,
    /// The chunks that must be written before a revocation.
    pub in_flight: Arc<InFlight>,
    /// Whether to report the end of each partition as [`Event::End`].
    pub reports_ends: bool,
}

impl GroupConsumer {
    /// Joins the group. Does not wait for Kafka: the assignment comes as an event.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Halt`] when a setting is wrong.
    pub fn join(cluster: &Cluster, membership: Membership<'_>) -> Result<GroupConsumer, KafkaError> {
        let Membership { group, topic, database, positions, in_flight, reports_ends } = membership;
        let mut config = cluster.consumer_config("consumer", if reports_ends { AtEnd::Report } else { AtEnd::Wait })?;
        config.set("group.id", group).set("statistics.interval.ms", STATISTICS_INTERVAL_MS);
        if let Some(database) = database {
            config.set("client.id", claim::client_id(database));
        }
        let context = Context {
            cluster: cluster.clone(),
            group: group.to_owned(),
            topic: topic.to_owned(),
            database: database.map(str::to_owned),
            positions,
            in_flight,
            refusal: Refusal::default(),
            pending: Mutex::default(),
            placing: Mutex::default(),
        };
        let consumer: BaseConsumer<Context> = config.create_with_context(context).map_err(|error| halt(&error))?;
        consumer.subscribe(&[topic]).map_err(|error| halt(&error))?;
        let brokers = cluster.brokers().to_owned();
        let (consumer, topic) = (Arc::new(consumer), topic.to_owned());
        let detours = Detours::new(cluster, &topic);
        Ok(GroupConsumer { watch: Watch::new(), consumer, topic, brokers, away_logged: Cell::new(None), detours })
    }

    /// The next event, if one comes within that time. None also while Kafka is unavailable, which is logged once a
    /// minute.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Retry`] when the topic cannot be read, or is another one than at the assignment: drop this member and
    /// join again.
    pub fn poll(&self, patience: Duration) -> Result<Option<Event<'_>>, KafkaError> {
        let context = self.consumer.context();
        self.watch.check(&self.consumer, &self.topic, context.placing().topic_id.as_deref())?;
        context.place_again(&self.consumer);
        if let Some(event) = self.pending() {
            return Ok(Some(event));
        }
        if let Some(message) = self.detours.poll(&self.consumer)? {
            return Ok(Some(Event::Message(message)));
        }
        // A poll that runs a callback of the assignment returns no message, so that no message can overtake the event
        // of its assignment.
        match self.consumer.poll(self.detours.patience(patience)) {
            None => Ok(self.pending()),
            Some(Ok(message)) => {
                let message = Message::new(message);
                self.detours.at(message.partition(), message.offset() + 1);
                Ok(Some(Event::Message(message)))
            }
            Some(Err(ClientError::PartitionEOF(partition))) => Ok(Some(Event::End(partition))),
            Some(Err(error)) => self.failed(&error),
        }
    }

    fn failed(&self, error: &ClientError) -> Result<Option<Event<'static>>, KafkaError> {
        use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, GroupAuthorizationFailed};
        let context = self.consumer.context();
        let what = format!("cannot read topic `{}`", self.topic);
        match (context.refusal.take(), error.rdkafka_error_code()) {
            (Some(refusal), _) => Err(KafkaError::Halt(format!("{what}: {refusal}"))),
            // librdkafka reconnects by itself.
            (None, Some(BrokerTransportFailure | AllBrokersDown)) => {
                self.log_away();
                Ok(None)
            }
            (None, Some(code)) if is_of_bytes(code) => self.detours.begin(&self.consumer).map(|()| None),
            (None, Some(code)) if self.detours.is_stray(&self.consumer, code)? => Ok(None),
            (None, Some(GroupAuthorizationFailed)) => {
                Err(retry(&format!("cannot join consumer group `{}`", context.group), error))
            }
            (None, _) => Err(retry(&what, error)),
        }
    }

    /// The next event of a callback.
    fn pending(&self) -> Option<Event<'static>> {
        let event = self.consumer.context().pending().pop_front()?;
        match &event {
            Event::Assigned(starts) => {
                self.detours.assigned(starts.iter().map(|start| (start.partition, start.offset)))
            }
            Event::Revoked | Event::Lost(_) => self.detours.assigned([]),
            _ => {}
        }
        Some(event)
    }

    fn log_away(&self) {
        if self.away_logged.get().is_none_or(|logged| logged.elapsed() > REMINDER) {
            tracing::warn!(topic = self.topic, brokers = self.brokers, "Kafka does not answer, retrying");
            self.away_logged.set(Some(Instant::now()));
        }
    }

    /// Reports a partition's position to Kafka, for lag dashboards. Nothing depends on it, so a failure is only logged.
    pub fn report(&self, partition: i32, next_offset: i64) {
        let database = self.consumer.context().database.as_deref();
        let positions = claim::offsets(&self.topic, database, &[(partition, next_offset)]);
        if let Err(error) = positions.and_then(|positions| self.consumer.commit(&positions, CommitMode::Async)) {
            tracing::debug!(partition, %error, "cannot report the position to Kafka");
        }
    }

    /// Pauses a partition. Prefetched messages are dropped and fetched again after [`GroupConsumer::resume`].
    pub fn pause(&self, partition: i32) -> Result<(), KafkaError> {
        if self.detours.hold(partition, true, None) {
            return Ok(());
        }
        self.done("pause", partition, self.consumer.pause(&self.one(partition)))
    }

    /// Resumes a partition after the last polled message.
    pub fn resume(&self, partition: i32) -> Result<(), KafkaError> {
        if self.detours.hold(partition, false, None) {
            return Ok(());
        }
        self.done("resume", partition, self.consumer.resume(&self.one(partition)))
    }

    /// Pauses a partition; after [`GroupConsumer::resume`] it continues with the message at that offset.
    pub fn hold_at(&self, partition: i32, offset: i64) -> Result<(), KafkaError> {
        if self.detours.hold(partition, true, Some(offset)) {
            return Ok(());
        }
        self.detours.at(partition, offset);
        // In this order: a pause after the seek would undo it.
        self.pause(partition)?;
        let sought = self.consumer.seek(&self.topic, partition, Offset::Offset(offset), REQUEST_TIMEOUT);
        self.done("go back in", partition, sought)
    }

    fn done(&self, what: &str, partition: i32, result: KafkaResult<()>) -> Result<(), KafkaError> {
        result.map_err(|error| retry(&format!("cannot {what} {}[{partition}]", self.topic), &error))
    }

    fn one(&self, partition: i32) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, partition);
        list
    }
}

impl ClientContext for Context {
    fn stats_raw(&self, statistics: &[u8]) {
        let ends = statistics::ends(&self.topic, statistics);
        self.pending().push_back(Event::Ends(ends));
    }

    fn error(&self, error: ClientError, reason: &str) {
        self.refusal.note(&error, reason);
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let event = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                let partitions = partitions.elements().iter().map(|element| element.partition()).collect();
                self.assign(consumer, partitions)
            }
            _ => self.revoke(consumer),
        };
        announce(&mut self.pending(), event.unwrap_or_else(Event::Lost));
    }
}

impl Context {
    fn pending(&self) -> MutexGuard<'_, VecDeque<Event<'static>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn placing(&self) -> MutexGuard<'_, Placing> {
        self.placing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, partitions: Vec<i32>) -> Result<Event<'static>, KafkaError> {
        let rejected = |error: ClientError| retry(&format!("cannot take over partitions of {}", self.topic), &error);
        let starts = match self.place(consumer, &partitions) {
            Ok(starts) => starts,
            Err(unplaced) => {
                // The group waits for an answer even after an error.
                consumer.assign(&TopicPartitionList::new()).map_err(rejected)?;
                return match unplaced {
                    Unplaced::Failed(error) => Err(error),
                    Unplaced::Later(reason) => {
                        self.placing().waiting = Some((partitions, Instant::now() + PLACE_INTERVAL));
                        Ok(Event::Waiting(reason))
                    }
                };
            }
        };
        let mut list = TopicPartitionList::new();
        for start in &starts {
            let added = list.add_partition_offset(&self.topic, start.partition, Offset::Offset(start.offset));
            added.map_err(|error| halt(&error))?;
        }
        consumer.assign(&list).map_err(rejected)?;
        // librdkafka keeps a partition paused across assignments, and the new session would never resume it.
        consumer.resume(&list).map_err(rejected)?;
        Ok(Event::Assigned(starts))
    }

    fn place(&self, consumer: &BaseConsumer<Self>, partitions: &[i32]) -> Result<Vec<Start>, Unplaced> {
        let topic_id = topic_id::ask(consumer, &self.topic)?;
        self.placing().topic_id.clone_from(&topic_id);
        let (cluster, topic) = (&self.cluster, &*self.topic);
        let starts = self.positions.starts(&Assignment { consumer, cluster, topic, topic_id, partitions })?;
        if let Some(database) = &self.database {
            let positions: Vec<(i32, i64)> = starts.iter().map(|start| (start.partition, start.offset)).collect();
            claim::claim(consumer, (&self.group, topic), database, &positions)?;
        }
        Ok(starts)
    }

    /// Asks again for the offsets of partitions that wait for them, when it is time.
    fn place_again(&self, consumer: &BaseConsumer<Self>) {
        let partitions = match &mut self.placing().waiting {
            Some((partitions, try_at)) if *try_at <= Instant::now() => std::mem::take(partitions),
            _ => return,
        };
        self.placing().waiting = None;
        let event = self.assign(consumer, partitions);
        announce(&mut self.pending(), event.unwrap_or_else(Event::Lost));
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>) -> Result<Event<'static>, KafkaError> {
        tracing::info!(group = self.group, "partitions are being revoked");
        *self.placing() = Placing::default();
        if !self.in_flight.await_none(REVOKE_PATIENCE) {
            tracing::warn!(
                group = self.group,
                "revoked while a chunk is still being written: its commit can be fenced"
            );
        }
        let unassigned = consumer.unassign();
        unassigned.map_err(|error| retry(&format!("cannot give back partitions of {}", self.topic), &error))?;
        Ok(Event::Revoked)
    }
}

/// Queues an event of the assignment. The owner must hear of it before it does anything else, so ends that wait are
/// dropped: they are those of the old assignment.
fn announce(pending: &mut VecDeque<Event<'static>>, event: Event<'static>) {
    pending.retain(|event| !matches!(event, Event::Ends(_)));
    pending.push_back(event);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revocation_is_heard_before_ends_that_came_in_the_same_poll() {
        let mut pending = VecDeque::from([Event::Ends(vec![(0, 7)])]);
        announce(&mut pending, Event::Revoked);
        announce(&mut pending, Event::Assigned(Vec::new()));
        let events: Vec<Event<'_>> = pending.into();
        assert!(matches!(events[..], [Event::Revoked, Event::Assigned(_)]), "{events:?}");
    }
}
