//! Drives the state machine: messages become rows in chunks, and chunks go to the writers.
//!
//! The live sink and a replay share it. They differ in where messages come from ([`Feed`]) and in what they do with
//! what it returns.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use chrono::Utc;
use kafka::in_flight::InFlight;
use kafka::schemas::Missing;
use kafka::{KafkaError, Message};
use service::settings;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::admit::Admission;
use super::error::SinkError;
use super::meters::Meters;
use super::state::{Action, ChunkId, Halt, Lack, Rules, State};
use super::writer::{self, Numbered, WriteError, Writer, Written};
use crate::chunk::{ChunkBuilder, SinkPartition, Target};
use crate::dead_letter::Cause;
use crate::store::{Commit, Store};

/// Where messages come from.
pub(crate) trait Feed {
    /// Stops fetching a partition.
    fn pause(&self, partition: i32) -> Result<(), KafkaError>;
    /// Goes on fetching a partition.
    fn resume(&self, partition: i32) -> Result<(), KafkaError>;
    /// Stops fetching a partition, to go on at this offset when it is resumed.
    fn hold_at(&self, partition: i32, offset: i64) -> Result<(), KafkaError>;
    /// A partition is committed up to there.
    fn report(&self, partition: i32, next_offset: i64);
}

/// The writers of a sink, and the way to them.
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
        // The machine hands over no more than fit, so that nobody waits at the queues.
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

    /// What must end before partitions are given away.
    pub(crate) fn in_flight(&self) -> Arc<InFlight> {
        self.in_flight.clone()
    }
}

/// What became of a message.
#[derive(Debug)]
pub(crate) enum Admitted {
    /// It is a repetition, or not ours.
    Skipped,
    /// It is in a chunk as a row, or it was left out.
    Taken,
    /// It is in a chunk as a dead letter.
    Refused(Cause),
    /// Its schema is missing: it comes again, for the first time or once more.
    Held { missing: Missing, is_new: bool },
}

/// The sink halts at a message.
#[derive(Debug)]
pub(crate) struct Stopped {
    /// Why the message was refused, when it is the one that tripped the breaker.
    pub(crate) refused: Option<Cause>,
    pub(crate) error: SinkError,
}

/// The state machine with what it only counts: the chunks, the writers, the decoders.
pub(crate) struct Driver {
    pub(crate) state: State,
    builders: BTreeMap<i32, ChunkBuilder>,
    target: Target,
    admission: Admission,
    writers: Writers,
    runtime: Handle,
    headers: Vec<u8>,
    /// The message that is being handled, or was last.
    at: Option<(i32, i64)>,
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
            at: None,
        }
    }

    /// These partitions are ours now, each from this offset on.
    pub(crate) fn on_assigned(&mut self, starts: Vec<(SinkPartition, i64)>) {
        self.state.on_assigned(starts.iter().map(|(partition, offset)| (partition.number, *offset)));
        let builder = |(partition, offset): (SinkPartition, i64)| {
            (partition.number, ChunkBuilder::new(partition, self.target.clone(), offset))
        };
        self.builders = starts.into_iter().map(builder).collect();
    }

    /// No partition is ours any more.
    pub(crate) fn on_revoked(&mut self) {
        self.state.on_revoked();
        self.builders.clear();
    }

    /// Decodes and validates a message into its partition's chunk, as a row or as a dead letter.
    ///
    /// `is_wanted` says whether it is to be stored at all.
    pub(crate) fn on_message(
        &mut self,
        message: &Message<'_>,
        is_wanted: impl FnOnce(&Message<'_>) -> bool,
        now: Instant,
    ) -> Result<Admitted, Stopped> {
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
        let refused =
            match self.admission.admit(&original, &self.runtime, builder.rows(), Utc::now().timestamp_micros()) {
                Ok(refused) => refused,
                Err(missing) => return self.hold(partition, offset, missing),
            };
        builder.took(&original, refused.clone(), now);
        match (self.state.on_taken(partition, offset, bytes, refused.is_some(), now), refused) {
            (Ok(()), None) => Ok(Admitted::Taken),
            (Ok(()), Some(cause)) => Ok(Admitted::Refused(cause)),
            (Err(halt), refused) => {
                let reason = refused.as_ref().map_or("", |cause| &cause.reason);
                let error = halted(halt, builder.partition(), offset, reason);
                Err(Stopped { refused, error })
            }
        }
    }

    /// The message's schema is missing: its partition waits.
    fn hold(&mut self, number: i32, offset: i64, missing: Missing) -> Result<Admitted, Stopped> {
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
                Err(Stopped { refused: None, error: halted(halt, partition, offset, &missing.to_string()) })
            }
        }
    }

    /// The partition has been read to its end. What is left up to the end of a range are no messages but markers of
    /// transactions: they are passed over.
    pub(crate) fn on_end(&mut self, partition: i32, end_of_range: Option<i64>, now: Instant) {
        if self.state.waits_for_schema(partition) {
            // What was fetched ahead came first: the message that waits is still to come, and so is the end.
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

    /// Offsets that are left of ranges that end there.
    pub(crate) fn left(&self, ends: &BTreeMap<i32, i64>) -> i64 {
        let left = |(partition, builder): (&i32, &ChunkBuilder)| Some(ends.get(partition)? - builder.next_offset());
        self.builders.iter().filter_map(left).sum()
    }

    /// A writer has answered.
    pub(crate) fn on_committed(&mut self, written: Written, now: Instant) -> Result<Commit, WriteError> {
        let Written { partition, chunk, to_offset, result, .. } = written;
        let commit = result?;
        self.state.on_committed(partition, chunk, to_offset, now);
        Ok(commit)
    }

    /// A writer's answer, if there is one already.
    pub(crate) fn try_answer(&self) -> Option<Written> {
        self.writers.answers.try_recv().ok()
    }

    /// A writer's answer, if one comes within that time.
    pub(crate) fn await_answer(&self, patience: Duration) -> Result<Option<Written>, SinkError> {
        match self.writers.answers.recv_timeout(patience) {
            Ok(written) => Ok(Some(written)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(SinkError::Halt("all writers have ended".to_owned())),
        }
    }

    /// Does what the machine says.
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
        // Checked before anything is written: a chunk with another range would skip records or take them twice.
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

    /// The writer's store, once all is written; for a driver with a single writer.
    pub(crate) fn into_store(self) -> Option<Box<dyn Store>> {
        let Writers { queue, mut tasks, .. } = self.writers;
        // Without a queue the writer ends.
        drop(queue);
        tasks.pop().and_then(|task| self.runtime.block_on(task).ok())
    }

    /// The thread has panicked and takes no more answers: nobody must wait for it. Gives where it was.
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
        Halt::Breaker { refused, seen } => format!(
            "{refused} of the last {seen} records of {partition} are refused, the last one at offset {offset}: {reason}; \
             fix the cause, or raise `{}` to let them become dead letters",
            settings::BREAKER_PERCENT.name
        ),
        Halt::Schema { lack: Lack::Unknown, waited } => format!(
            "{partition} at offset {offset}: {reason}, for {} s; register it, and the sink goes on from there",
            waited.as_secs()
        ),
        Halt::Schema { lack: Lack::Away, .. } => format!("{partition} at offset {offset}: {reason}"),
    })
}
