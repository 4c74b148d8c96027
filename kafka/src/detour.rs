//! Reads around what a consumer cannot read.
//!
//! librdkafka expands a batch of at most 100 MB, and reports an error forever at a larger or corrupt one. Such a batch is
//! read aside, with room for [`MAX_EXPANDED_BYTES`]; the partition waits, and the others go on. A batch that cannot be read
//! aside either is returned as one message, see [`Message::unreadable`].

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::cluster::{AtEnd, Cluster, REQUEST_TIMEOUT};
use crate::error::{KafkaError, halt, retry};
use crate::message::{Kept, Message};
use crate::probe::{self, Batch};
use crate::quiet::Quiet;

/// Largest buffer for an expanded batch. librdkafka triples its guess of a zstd batch's size until the batch fits or the guess
/// exceeds this limit. So it reads every batch up to a third of the limit, and no batch above the limit.
const MAX_EXPANDED_BYTES: u64 = 1_500_000_000;
/// The part of the memory that a batch may take.
const MEMORY_SHARE: u64 = 2;
/// Least room for a batch: what every consumer has.
const MIN_EXPANDED_BYTES: u64 = 100_000_000;
/// How long a poll of the ordinary consumer waits meanwhile.
const POLL_PATIENCE: Duration = Duration::from_millis(5);

/// The batches that are read aside, one after the other.
pub(crate) struct Detours {
    cluster: Cluster,
    topic: String,
    /// By partition, the offset of the next message.
    next: RefCell<BTreeMap<i32, i64>>,
    queue: RefCell<VecDeque<Detour>>,
    /// Whether the last message was read aside. The next one is not, so that a large batch does not hold up other partitions.
    was_aside: Cell<bool>,
    /// Whether librdkafka lost its place. It may still report an offset that is out of range, from before the new assignment.
    may_stray: Cell<bool>,
}

/// A batch that is read aside. Its partition is paused, and continues behind the batch.
struct Detour {
    batch: Batch,
    /// The offset to continue at.
    next: i64,
    /// None before its turn: one batch at a time is in memory.
    consumer: Option<BaseConsumer<Quiet>>,
    is_paused: bool,
}

impl Detours {
    pub(crate) fn new(cluster: &Cluster, topic: &str) -> Detours {
        Detours {
            cluster: cluster.clone(),
            topic: topic.to_owned(),
            next: RefCell::default(),
            queue: RefCell::default(),
            was_aside: Cell::default(),
            may_stray: Cell::default(),
        }
    }

    /// Handles an assignment: exactly these partitions are read, (partition, offset).
    pub(crate) fn assigned(&self, starts: impl IntoIterator<Item = (i32, i64)>) {
        self.queue.borrow_mut().clear();
        *self.next.borrow_mut() = starts.into_iter().collect();
    }

    /// The ordinary consumer has returned this message, or was moved to it.
    pub(crate) fn at(&self, partition: i32, next: i64) {
        if let Some(known) = self.next.borrow_mut().get_mut(&partition) {
            *known = next;
        }
    }

    /// Whether a partition's batch is being read aside.
    pub(crate) fn has(&self, partition: i32) -> bool {
        self.queue.borrow().iter().any(|detour| detour.batch.partition == partition)
    }

    /// How long a poll of the ordinary consumer may wait now.
    pub(crate) fn patience(&self, patience: Duration) -> Duration {
        if self.was_aside.take() {
            return Duration::ZERO;
        }
        let is_idle = self.queue.borrow().iter().all(|detour| detour.is_paused);
        if is_idle { patience } else { patience.min(POLL_PATIENCE) }
    }

    /// The ordinary consumer cannot read a batch: finds it, and lets its partition wait. Blocks.
    pub(crate) fn begin<C: ConsumerContext>(&self, consumer: &BaseConsumer<C>) -> Result<(), KafkaError> {
        let mut next = self.next.borrow().clone();
        next.retain(|partition, _| !self.has(*partition));
        let batch = probe::find(&self.cluster, &self.topic, &next)?;
        let (topic, partition, end) = (&*self.topic, batch.partition, batch.end);
        tracing::warn!(topic, partition, first = batch.first, end, error = batch.error, "cannot read a batch");
        let next = next.get(&partition).map_or(batch.first, |next| batch.first.max(*next));
        let is_lost = batch.is_lost;
        self.queue.borrow_mut().push_back(Detour { batch, next, consumer: None, is_paused: false });
        if is_lost {
            // It would not seek.
            self.may_stray.set(true);
            return self.assign_again(consumer);
        }
        // In this order: a pause after the seek would undo it.
        let paused = consumer.pause(&list(topic, [(partition, Offset::Invalid)])?);
        let sought = || consumer.seek(topic, partition, Offset::Offset(end), REQUEST_TIMEOUT);
        let skipped = paused.and_then(|()| sought());
        skipped.map_err(|error| retry(&format!("cannot skip a batch of {topic}[{partition}]"), &error))
    }

    /// Whether an error of the ordinary consumer is a late effect of a lost place. If so, it is assigned again: the next
    /// such error is true.
    pub(crate) fn is_stray<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        code: RDKafkaErrorCode,
    ) -> Result<bool, KafkaError> {
        let is_stray = code == RDKafkaErrorCode::AutoOffsetReset && self.may_stray.take();
        if is_stray {
            self.assign_again(consumer)?;
        }
        Ok(is_stray)
    }

    /// Lets the ordinary consumer continue after the last message of each partition, and behind the batches that are read
    /// aside; the partitions of those wait.
    fn assign_again<C: ConsumerContext>(&self, consumer: &BaseConsumer<C>) -> Result<(), KafkaError> {
        let aside: Vec<(i32, i64)> =
            self.queue.borrow().iter().map(|detour| (detour.batch.partition, detour.batch.end)).collect();
        let mut positions = self.next.borrow().clone();
        positions.extend(aside.iter().copied());
        let positions =
            list(&self.topic, positions.into_iter().map(|(number, offset)| (number, Offset::Offset(offset))))?;
        let aside = list(&self.topic, aside.into_iter().map(|(number, _)| (number, Offset::Invalid)))?;
        let assigned = consumer.assign(&positions).and_then(|()| consumer.pause(&aside));
        assigned.map_err(|error| retry(&format!("cannot skip a batch of topic `{}`", self.topic), &error))
    }

    /// The next message that was read aside, if there is one already.
    pub(crate) fn poll<C: ConsumerContext>(
        &self,
        ordinary: &BaseConsumer<C>,
    ) -> Result<Option<Message<'static>>, KafkaError> {
        if self.was_aside.get() {
            return Ok(None);
        }
        let mut queue = self.queue.borrow_mut();
        let Some(at) = queue.iter().position(|detour| !detour.is_paused) else { return Ok(None) };
        let read = queue[at].read(&self.cluster, &self.topic)?;
        let message = match read {
            Read::Nothing => return Ok(None),
            Read::Message(message) => Some(message),
            Read::End => None,
        };
        let detour = &mut queue[at];
        detour.next = message.as_ref().map_or(detour.batch.end, |message| message.offset + 1);
        if detour.next >= detour.batch.end {
            let Batch { partition, end, .. } = detour.batch;
            queue.remove(at);
            self.at(partition, end);
            let resumed = ordinary.resume(&list(&self.topic, [(partition, Offset::Invalid)])?);
            resumed.map_err(|error| retry(&format!("cannot resume {}[{partition}]", self.topic), &error))?;
        }
        self.was_aside.set(true);
        Ok(message.map(Message::kept))
    }

    /// Pauses the reading of a partition's batch, resumes it, or takes it back to an offset; whether there is one.
    pub(crate) fn hold(&self, partition: i32, is_paused: bool, back_to: Option<i64>) -> bool {
        let mut queue = self.queue.borrow_mut();
        let Some(detour) = queue.iter_mut().find(|detour| detour.batch.partition == partition) else { return false };
        detour.is_paused = is_paused;
        if let Some(offset) = back_to {
            (detour.next, detour.consumer) = (offset, None);
        }
        true
    }
}

fn list(topic: &str, partitions: impl IntoIterator<Item = (i32, Offset)>) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in partitions {
        list.add_partition_offset(topic, partition, offset).map_err(|error| halt(&error))?;
    }
    Ok(list)
}

/// What a poll aside returned.
enum Read {
    Nothing,
    Message(Kept),
    /// The rest of the batch holds no message.
    End,
}

impl Detour {
    fn read(&mut self, cluster: &Cluster, topic: &str) -> Result<Read, KafkaError> {
        let consumer = match &mut self.consumer {
            Some(consumer) => consumer,
            unopened => unopened.insert(open(cluster, topic, self.batch.partition, self.next)?),
        };
        match consumer.poll(Duration::ZERO) {
            None => Ok(Read::Nothing),
            Some(Ok(message)) => {
                let kept = Kept::of(&Message::new(message));
                Ok(if kept.offset < self.batch.end { Read::Message(kept) } else { Read::End })
            }
            Some(Err(ClientError::PartitionEOF(_))) => Ok(Read::End),
            Some(Err(error)) => match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown) => Ok(Read::Nothing),
                Some(code) if probe::is_of_bytes(code) => Ok(Read::Message(self.unreadable())),
                _ => Err(retry(&format!("cannot read topic `{topic}`"), &error)),
            },
        }
    }

    /// The whole batch as one message. Its offset is the last one of the batch, so that a consumer that starts behind it
    /// never meets the batch again.
    fn unreadable(&self) -> Kept {
        let Batch { partition, first, end, error, .. } = &self.batch;
        let last = end - 1;
        let reason = format!("the batch of offsets {first} to {last} cannot be read: {error}");
        Kept { partition: *partition, offset: last, unreadable: Some(reason), ..Kept::default() }
    }
}

fn open(cluster: &Cluster, topic: &str, partition: i32, offset: i64) -> Result<BaseConsumer<Quiet>, KafkaError> {
    let mut config = cluster.consumer_config("detour", AtEnd::Report)?;
    config
        .set("group.id", "tapedeck-detour")
        .set("receive.message.max.bytes", room().to_string())
        // One batch at a time: Kafka returns a whole one whatever the limit, and librdkafka fetches the next one when the
        // queue is empty.
        .set("fetch.message.max.bytes", "1")
        .set("queued.min.messages", "1")
        .set("queued.max.messages.kbytes", "1");
    let consumer: BaseConsumer<Quiet> = config.create_with_context(Quiet::default()).map_err(|error| halt(&error))?;
    consumer.assign(&list(topic, [(partition, Offset::Offset(offset))])?).map_err(|error| halt(&error))?;
    Ok(consumer)
}

/// The room for an expanded batch: bounded by the memory of this machine or container. Otherwise the batch would end the
/// process each time.
fn room() -> u64 {
    let limit = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    let memory = || memory_of(&fs::read_to_string("/proc/meminfo").ok()?);
    let bytes: Option<u64> = limit.or_else(memory);
    bytes.map_or(MAX_EXPANDED_BYTES, |bytes| bytes / MEMORY_SHARE).clamp(MIN_EXPANDED_BYTES, MAX_EXPANDED_BYTES)
}

fn memory_of(information: &str) -> Option<u64> {
    let line = information.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_machine_is_read_in_bytes() {
        assert_eq!(memory_of("MemTotal:        2048 kB\nMemFree: 1 kB\n"), Some(2 << 20));
        assert_eq!(memory_of("MemFree: 1 kB\n"), None);
    }
}
