//! Drives the state machine: messages become rows in chunks, and chunks go to the writers.
//!
//! The live sink and a replay share it. They differ in where messages come from ([`Feed`]) and in how they use its
//! results.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use chrono::Utc;
use kafka::in_flight::InFlight;
use kafka::schemas::Missing;
use kafka::{KafkaError, Message};
use store::chunk::{ChunkBuilder, SinkPartition, Target};
use store::dead_letter::{Cause, Refused};
use store::quarantine::{Trip, UNREADABLE};
use store::{Commit, Store};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::admit::{Admission, unreadable};
use super::error::SinkError;
use super::meters::Meters;
use super::state::{Action, ChunkId, Halt, Lack, Rules, State};
use super::writer::{self, Numbered, WriteError, Writer, Written};

/// Where messages come from.
pub(crate) trait Feed {
    /// Stops fetching a partition.
    fn pause(&self, partition: i32) -> Result<(), KafkaError>;
    /// Resumes fetching a partition.
    fn resume(&self, partition: i32) -> Result<(), KafkaError>;
    /// Stops fetching a partition; when it is resumed, it continues at this offset.
    fn hold_at(&self, partition: i32, offset: i64) -> Result<(), KafkaError>;
    /// Reports that a partition is committed up to this offset.
    fn report(&self, partition: i32, next_offset: i64);
}

/// The writers of a sink, and the queues to and from them.
pub(crate) struct Writers {
    queue: mpsc::Sender<Numbered>,
    in_flight: Arc<InFlight>,
    answers: Receiver<Written>,
    tasks: Vec<tokio::task::JoinHandle<Box<dyn Store>>>,
}

impl Writers {
    /// Starts a writer on each store. They end with `cancelled`, or when this is dropped.
    pub(crate) fn start(
        stores: Vec<Box<dyn Store>>,
        meters: Option<&Meters>,
        runtime: &Handle,
        cancelled: &CancellationToken,
    ) -> Writers {
        let in_flight = Arc::<InFlight>::default();
        // The state machine hands over only as many chunks as fit, so that sending never blocks.
        let room = State::max_in_flight(stores.len());
        let (answer, answers) = sync_channel(room);
        let (queue, chunks) = writer::queue(room);
        let start = |store| {
            let writer = Writer {
                store,
                chunks: chunks.clone(),
                answers: answer.clone(),
                in_flight: in_flight.clone(),
                cancelled: cancelled.clone(),
                meters: meters.cloned(),
            };
            runtime.spawn(writer.run())
        };
        let tasks = stores.into_iter().map(start).collect();
        Writers { queue, in_flight, answers, tasks }
    }

    /// The chunks that must be written before a revocation.
    pub(crate) fn in_flight(&self) -> Arc<InFlight> {
        self.in_flight.clone()
    }
}

/// The outcome of a message.
#[derive(Debug)]
pub(crate) enum Admitted {
    /// It was already read, or its partition is not ours.
    Skipped,
    /// It is in a chunk as a row, or a replay skipped it.
    Taken,
    /// It is in a chunk as a dead letter.
    Refused(Cause),
    /// Its schema is missing: the message is fetched again later. `is_new`: its partition did not wait before.
    Held { missing: Missing, is_new: bool },
}

/// The state machine with the data that it only counts: the chunks, the writers, the decoders.
pub(crate) struct Driver {
    pub(crate) state: State,
    builders: BTreeMap<i32, ChunkBuilder>,
    target: Target,
    admission: Admission,
    writers: Writers,
    pub(super) runtime: Handle,
    headers: Vec<u8>,
    clock: Clock,
    /// The current message, or the last one.
    at: Option<(i32, i64)>,
}

/// The wall clock, which is read once a second instead of for every message.
struct Clock {
    read_at: Instant,
    micros: i64,
}

impl Clock {
    const INTERVAL: Duration = Duration::from_secs(1);

    fn read(now: Instant) -> Clock {
        Clock { read_at: now, micros: Utc::now().timestamp_micros() }
    }

    /// Microseconds since 1970.
    fn micros(&mut self, now: Instant) -> i64 {
        let mut elapsed = now.saturating_duration_since(self.read_at);
        if elapsed >= Clock::INTERVAL {
            *self = Clock::read(now);
            elapsed = Duration::ZERO;
        }
        self.micros + i64::from(elapsed.subsec_micros())
    }
}

impl Driver {
    pub(crate) fn new(
        rules: Rules,
        target: Target,
        admission: Admission,
        writers: Writers,
        runtime: &Handle,
    ) -> Driver {
        Driver {
            state: State::new(rules),
            builders: BTreeMap::new(),
            target,
            admission,
            writers,
            runtime: runtime.clone(),
            headers: Vec::new(),
            clock: Clock::read(Instant::now()),
            at: None,
        }
    }

    /// Handles an assignment: these partitions are ours, each from this offset on.
    pub(crate) fn on_assigned(&mut self, starts: Vec<(SinkPartition, i64)>) {
        self.state.on_assigned(starts.iter().map(|(partition, offset)| (partition.number, *offset)));
        let builder = |(partition, offset): (SinkPartition, i64)| {
            (partition.number, ChunkBuilder::new(partition, self.target.clone(), offset))
        };
        self.builders = starts.into_iter().map(builder).collect();
    }

    /// Handles a revocation: no partition is ours any more.
    pub(crate) fn on_revoked(&mut self) {
        self.state.on_revoked();
        self.builders.clear();
    }

    /// Decodes and validates a message into its partition's chunk, as a row or as a dead letter.
    ///
    /// `is_wanted` decides whether the record is stored at all.
    pub(crate) fn on_message(
        &mut self,
        message: &Message<'_>,
        is_wanted: impl FnOnce(&Message<'_>) -> bool,
        now: Instant,
    ) -> Result<Admitted, SinkError> {
        let (partition, offset) = (message.partition(), message.offset());
        self.at = Some((partition, offset));
        if !self.state.expects(partition, offset) {
            return Ok(Admitted::Skipped);
        }
        let Some(builder) = self.builders.get_mut(&partition) else { return Ok(Admitted::Skipped) };
        let original = message.original(&mut self.headers);
        let bytes = original.len();
        if !is_wanted(message) {
            builder.passed(offset, bytes, now);
            self.state.on_passed(partition, offset, bytes, now);
            return Ok(Admitted::Taken);
        }
        let received = message.appended_micros().unwrap_or_else(|| self.clock.micros(now));
        let admitted = match message.unreadable() {
            Some(reason) => Ok(Some(unreadable(reason))),
            None => self.admission.admit(&original, &self.runtime, builder.rows(), received),
        };
        let refused = match admitted {
            Ok(refused) => refused,
            Err(missing) => return self.hold(partition, offset, missing),
        };
        let breakers = self.state.breakers(partition);
        let admitted = match refused {
            None => {
                let publisher = self.admission.source(builder.rows()).unwrap_or(UNREADABLE);
                breakers.into_iter().for_each(|breakers| breakers.accept(publisher));
                builder.took(&original, None, now);
                Admitted::Taken
            }
            Some(Refused { cause, publisher }) => {
                let counted = breakers.map(|breakers| breakers.refuse(&publisher));
                let (publisher, tripped) = counted.unwrap_or((publisher, None));
                builder.took(&original, Some(Refused { cause: cause.clone(), publisher: publisher.clone() }), now);
                if let Some((refused, seen)) = tripped {
                    builder.tripped(Trip { publisher, refused, seen, reason: cause.reason.clone() });
                }
                Admitted::Refused(cause)
            }
        };
        self.state.on_taken(partition, offset, bytes, now);
        Ok(admitted)
    }

    /// The message's schema is missing: its partition waits.
    fn hold(&mut self, number: i32, offset: i64, missing: Missing) -> Result<Admitted, SinkError> {
        // Asking the registry took time. It is asked again an interval after its answer, so the wait starts here.
        let now = Instant::now();
        let lack = match &missing {
            Missing::Away(_) => Lack::Away,
            Missing::Unknown(_) => Lack::Unknown,
        };
        match self.state.on_schema_missing(number, offset, lack, now) {
            Ok(is_new) => Ok(Admitted::Held { missing, is_new }),
            Err(halt) => {
                let partition = self.builders[&number].partition();
                Err(halted(halt, partition, offset, &missing.to_string()))
            }
        }
    }

    /// Handles the end of a partition. The remaining offsets of a range hold transaction markers, not messages: they
    /// are skipped.
    pub(crate) fn on_end(&mut self, partition: i32, end_of_range: Option<i64>, now: Instant) {
        if self.state.waits_for_schema(partition) {
            // This end was fetched ahead: the message that waits for its schema is still to come, and the end after it.
            return;
        }
        if let Some((builder, end)) = self.builders.get_mut(&partition).zip(end_of_range)
            && builder.next_offset() < end
        {
            builder.passed(end - 1, 0, now);
            self.state.on_passed(partition, end - 1, 0, now);
        }
        self.state.on_end(partition, now);
    }

    /// Number of offsets left to read up to these ends.
    pub(crate) fn left(&self, ends: &BTreeMap<i32, i64>) -> i64 {
        let left = |(partition, builder): (&i32, &ChunkBuilder)| Some(ends.get(partition)? - builder.next_offset());
        self.builders.iter().filter_map(left).sum()
    }

    /// Handles a writer's result.
    pub(crate) fn on_committed(&mut self, written: Written, now: Instant) -> Result<Commit, WriteError> {
        let Written { partition, chunk, to_offset, result, .. } = written;
        let commit = result?;
        self.state.on_committed(partition, chunk, to_offset, now);
        Ok(commit)
    }

    /// A writer's result, if there is one already.
    pub(crate) fn try_answer(&self) -> Option<Written> {
        self.writers.answers.try_recv().ok()
    }

    /// A writer's result, if one comes within that time.
    pub(crate) fn await_answer(&self, patience: Duration) -> Result<Option<Written>, SinkError> {
        match self.writers.answers.recv_timeout(patience) {
            Ok(written) => Ok(Some(written)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(SinkError::Halt("all writers have ended".to_owned())),
        }
    }

    /// Executes the state machine's actions.
    pub(crate) fn perform(&mut self, feed: &dyn Feed) -> Result<(), SinkError> {
        while let Some(action) = self.state.next_action() {
            match action {
                Action::Write { partition, chunk, from, to } => self.write(partition, chunk, (from, to))?,
                Action::Pause { partition } => feed.pause(partition)?,
                Action::Resume { partition } => feed.resume(partition)?,
                Action::HoldAt { partition, offset } => feed.hold_at(partition, offset)?,
                Action::Report { partition, next_offset } => feed.report(partition, next_offset),
            }
        }
        Ok(())
    }

    fn write(&mut self, partition: i32, id: ChunkId, range: (i64, i64)) -> Result<(), SinkError> {
        let chunk = self.builders.get_mut(&partition).map(ChunkBuilder::take);
        // Checked before the write: a chunk with another range would skip records or store them twice.
        let chunk = chunk.filter(|chunk| (chunk.from_offset, chunk.to_offset) == range).ok_or_else(|| {
            SinkError::Halt(format!(
                "the chunk of partition {partition} does not reach from offset {} to {}",
                range.0, range.1
            ))
        })?;
        self.writers.in_flight.begin();
        let sent = self.writers.queue.try_send((id, chunk));
        sent.map_err(|_| {
            self.writers.in_flight.end();
            SinkError::Halt("all writers have ended".to_owned())
        })
    }

    /// The writer's store, once every chunk is written; for a driver with a single writer.
    pub(crate) fn into_store(self) -> Option<Box<dyn Store>> {
        let Writers { queue, mut tasks, .. } = self.writers;
        // Closing the queue ends the writer.
        drop(queue);
        tasks.pop().and_then(|task| self.runtime.block_on(task).ok())
    }

    /// Handles a panic of this thread, which reads no more results: releases everything that waits for it. Returns the
    /// place of the panic.
    pub(crate) fn on_panic(&self, topic: &str) -> String {
        self.writers.in_flight.abandon();
        match self.at {
            Some((partition, offset)) => format!("{topic}[{partition}] at offset {offset}"),
            None => format!("{topic} before the first message"),
        }
    }
}

fn halted(halt: Halt, partition: &SinkPartition, offset: i64, reason: &str) -> SinkError {
    SinkError::Halt(match halt {
        Halt::Schema { lack: Lack::Unknown, waited } => format!(
            "{partition} at offset {offset}: {reason}, for {} s; register it, and the sink goes on from there",
            waited.as_secs()
        ),
        Halt::Schema { lack: Lack::Away, .. } => format!("{partition} at offset {offset}: {reason}"),
    })
}
