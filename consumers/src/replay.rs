//! Replays: a range of a topic is played again, into the dataset's own table or into one beside it.
//!
//! A replay is a sink of its own, with positions and a ledger, so that it goes on where it was interrupted, and runs
//! beside the live one without either disturbing the other: the upsert is guarded by the version.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, mpsc::TryRecvError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use chrono::Utc;
use contract::rule::Rule;
use contract::{Dataset, Original, topic};
use rdkafka::Message as _;
use serde::Serialize;
use service::kafka::Cluster;
use service::registry::Registry;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::admit::Admission;
use crate::chunk::{Chunk, ChunkBuilder, Limits, SinkPartition, Target};
use crate::consume::InFlight;
use crate::dead_letter;
use crate::original::original_of;
use crate::reader::{Reader, end_offsets};
use crate::replay_range::{PartitionRange, Range};
use crate::schemas::Schemas;
use crate::store::side::{self, Difference};
use crate::store::{Database, Outcome, Store, StoreError};
use crate::writer::{self, Writer, Written};

/// How often progress is told.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);
/// How long one poll waits.
const POLL_PATIENCE: Duration = Duration::from_millis(50);
/// How long a schema may be missing.
const SCHEMA_PATIENCE: Duration = Duration::from_secs(60);
/// How often an exchange is tried while the live sink runs ahead.
const SWAP_ATTEMPTS: usize = 20;
/// Name of the table that a trial run fills; it is gone with the connection.
const TRIAL_TABLE: &str = "replay_trial";

/// What to replay.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The dataset.
    pub dataset: &'static Dataset,
    /// Where its topic is.
    pub cluster: Cluster,
    /// Where its table is.
    pub database: Database,
    /// Where its writers' schemas are.
    pub registry: Option<Registry>,
    /// When a chunk is committed.
    pub limits: Limits,
    /// Which part of the topic.
    pub range: Range,
    /// Only messages of this key.
    pub key: Option<String>,
    /// A table beside the dataset's own; None: its own.
    pub into: Option<String>,
    /// Rules on top of the declared ones.
    pub rules: Vec<String>,
}

/// What a replay did.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Records in the range, by what became of them.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Records that are refused today, by class. They are not written to the dead letters: those that were refused
    /// when they were live are there already.
    pub refused_by_class: BTreeMap<String, u64>,
    /// Whether it went on where an earlier one was interrupted.
    pub resumed: bool,
}

/// Identifies a run: the same again resumes it.
#[derive(Serialize)]
struct Parameters<'a> {
    dataset: &'a str,
    namespace: &'a str,
    range: &'a Range,
    key: Option<&'a str>,
    into: Option<&'a str>,
    rules: &'a [String],
}

impl Replay {
    /// Plays the range; blocks, so it must be called outside of the runtime.
    pub fn run(&self, runtime: &Handle, stop: &CancellationToken, restart: bool) -> anyhow::Result<Report> {
        let mut store = self.database.store("replay");
        let (sink, resumed) = runtime.block_on(self.begin(&mut *store, restart))?;
        let target = Target {
            dataset: self.dataset,
            table: self.into.as_deref().unwrap_or(&self.dataset.name).into(),
            dead_letters: None,
            accounted: true,
        };
        let topic = topic::topic(self.cluster.namespace(), self.dataset);
        let mut ranges = self.range.resolve(&self.cluster, &topic)?;
        for position in runtime.block_on(store.positions(&sink, &topic))? {
            ranges.iter_mut().filter(|range| range.partition == position.partition).for_each(|range| {
                range.from = range.from.max(position.next_offset);
            });
        }
        let mut player = Player::new(self, &sink, &topic, target, self.database.store(&sink), runtime, stop)?;
        player.play(&ranges)?;
        if self.into.is_none() && !stop.is_cancelled() {
            runtime.block_on(side::finish_run(&mut *store, &sink))?;
        }
        Ok(Report { resumed, ..player.report })
    }

    /// What an upsert of the range into the dataset's table would do; writes nothing.
    pub fn trial(&self, runtime: &Handle, stop: &CancellationToken) -> anyhow::Result<(Report, Difference)> {
        let mut store = self.database.store("replay");
        runtime.block_on(side::create(&mut *store, self.dataset, TRIAL_TABLE, true))?;
        let target = Target { dataset: self.dataset, table: TRIAL_TABLE.into(), dead_letters: None, accounted: false };
        let topic = topic::topic(self.cluster.namespace(), self.dataset);
        let ranges = self.range.resolve(&self.cluster, &topic)?;
        let sink: Arc<str> = "trial".into();
        let mut player = Player::new(self, &sink, &topic, target.clone(), store, runtime, stop)?;
        player.play(&ranges)?;
        let report = std::mem::take(&mut player.report);
        let mut store = player.into_store()?;
        let difference = runtime.block_on(side::compare(&mut *store, &target, true))?;
        runtime.block_on(store.rows(format!("drop table {TRIAL_TABLE}"), &[]))?;
        Ok((report, difference))
    }

    /// Compares the side table with the dataset's own.
    pub async fn diff(&self) -> anyhow::Result<Difference> {
        let mut store = self.database.store("replay");
        Ok(side::compare(&mut *store, &self.side()?, false).await?)
    }

    /// Exchanges the side table for the dataset's own, catching up with the live sinks first.
    pub fn swap(&self, runtime: &Handle, stop: &CancellationToken) -> anyhow::Result<()> {
        let target = self.side()?;
        if !self.range.is_whole() || self.key.is_some() {
            bail!("only a replay of the whole topic can take the table's place: this one is for a part of it");
        }
        let topic = topic::topic(self.cluster.namespace(), self.dataset);
        let mut store = self.database.store("replay");
        for _ in 0..SWAP_ATTEMPTS {
            let (sink, _) = runtime.block_on(self.begin(&mut *store, false))?;
            let behind = runtime.block_on(side::swap(&mut *store, &target, &topic, &sink))?;
            if behind.is_empty() {
                return Ok(());
            }
            self.run(runtime, stop, false)?;
            if stop.is_cancelled() {
                bail!("stopped; nothing is exchanged");
            }
        }
        bail!(
            "`{}` does not catch up with the live sink, which is ahead every time: try again when less arrives",
            target.table
        )
    }

    fn side(&self) -> anyhow::Result<Target> {
        let table = self.into.as_deref().context("name the side table with `--into`")?;
        Ok(Target { dataset: self.dataset, table: table.into(), dead_letters: None, accounted: true })
    }

    /// The run's sink: a new one, or that of the same replay that was interrupted or that fills the same side table.
    async fn begin(&self, store: &mut dyn Store, restart: bool) -> anyhow::Result<(Arc<str>, bool)> {
        let parameters = serde_json::to_string(&Parameters {
            dataset: &self.dataset.name,
            namespace: self.cluster.namespace(),
            range: &self.range,
            key: self.key.as_deref(),
            into: self.into.as_deref(),
            rules: &self.rules,
        })?;
        let found = side::unfinished_run(store, &parameters).await?;
        if let Some(sink) = &found
            && restart
        {
            side::remove_run(store, sink).await?;
        }
        let found = found.filter(|_| !restart);
        if let Some(table) = &self.into {
            if restart {
                side::remove(store, table).await?;
            }
            if !side::create(store, self.dataset, table, false).await? && found.is_none() {
                bail!(
                    "table `{table}` is there already, and not from this replay (its rules, range or key differ): \
                     `--restart` empties it and begins anew"
                );
            }
        }
        if let Some(sink) = found {
            return Ok((sink.into(), true));
        }
        let live = topic::group(self.cluster.namespace(), self.dataset, &self.database.sink());
        let sink = format!("{live}.replay.{}", Utc::now().format("%Y%m%dT%H%M%S%.6f"));
        side::begin_run(store, &sink, &parameters).await?;
        Ok((sink.into(), false))
    }
}

/// Reads ranges and hands chunks to a writer.
struct Player<'a> {
    replay: &'a Replay,
    sink: Arc<str>,
    topic: Arc<str>,
    target: Target,
    admission: Admission,
    runtime: &'a Handle,
    stop: &'a CancellationToken,
    chunks: Option<mpsc::Sender<Chunk>>,
    answers: Receiver<Written>,
    writer: tokio::task::JoinHandle<Box<dyn Store>>,
    cancelled: CancellationToken,
    being_written: Arc<InFlight>,
    in_flight: usize,
    report: Report,
}

impl<'a> Player<'a> {
    fn new(
        replay: &'a Replay,
        sink: &Arc<str>,
        topic: &str,
        target: Target,
        store: Box<dyn Store>,
        runtime: &'a Handle,
        stop: &'a CancellationToken,
    ) -> anyhow::Result<Player<'a>> {
        let dataset = replay.dataset;
        let parse = |rule: &String| Rule::parse(rule, &dataset.fields).with_context(|| format!("rule `{rule}`"));
        let rules = replay.rules.iter().map(parse).collect::<anyhow::Result<Vec<_>>>()?;
        let (answer, answers) = sync_channel(4);
        let (chunks, queue) = writer::queue(1);
        let cancelled = CancellationToken::new();
        let being_written = Arc::<InFlight>::default();
        let writer = Writer {
            store,
            chunks: queue,
            answers: answer,
            in_flight: being_written.clone(),
            cancelled: cancelled.clone(),
            meters: None,
        };
        Ok(Player {
            replay,
            sink: sink.clone(),
            topic: topic.into(),
            target,
            admission: Admission::new(dataset, Schemas::new(dataset, replay.registry.clone()), rules),
            runtime,
            stop,
            chunks: Some(chunks),
            answers,
            writer: runtime.spawn(writer.run_and_return()),
            cancelled,
            being_written,
            in_flight: 0,
            report: Report::default(),
        })
    }

    /// Plays the ranges to their ends, or until it is stopped; what is not committed then is played again later.
    fn play(&mut self, ranges: &[PartitionRange]) -> anyhow::Result<()> {
        let open: Vec<&PartitionRange> = ranges.iter().filter(|range| range.from < range.to).collect();
        let mut builders: HashMap<i32, (ChunkBuilder, i64)> =
            open.iter().map(|range| (range.partition, (self.builder(range), range.to))).collect();
        let total: i64 = open.iter().map(|range| range.to - range.from).sum();
        let mut progress = Progress::new(total);
        let offsets: Vec<(i32, i64)> = open.iter().map(|range| (range.partition, range.from)).collect();
        let reader = (!offsets.is_empty()).then(|| Reader::assign(&self.replay.cluster, &self.topic, &offsets));
        let reader = reader.transpose()?;
        let mut headers = Vec::new();
        while let Some(reader) = reader.as_ref().filter(|_| !builders.is_empty() && !self.stop.is_cancelled()) {
            self.take_answers(false)?;
            if let Some(message) = reader.poll(POLL_PATIENCE)?
                && let Some((builder, to)) = builders.get_mut(&message.partition())
            {
                let original = original_of(&message, &mut headers);
                if (builder.next_offset()..*to).contains(&original.offset) {
                    self.take(&original, builder)?;
                }
            }
            let left = |(builder, to): &(ChunkBuilder, i64)| *to - builder.next_offset();
            progress.tell(total - builders.values().map(left).sum::<i64>());
            self.dispatch(reader, &mut builders)?;
        }
        self.take_answers(true)
    }

    /// Hands over full chunks, and the last one of a partition that is at its end.
    fn dispatch(&mut self, reader: &Reader, builders: &mut HashMap<i32, (ChunkBuilder, i64)>) -> anyhow::Result<()> {
        let limits = self.replay.limits;
        let done: Vec<i32> = builders
            .iter()
            .filter(|(partition, (builder, to))| {
                builder.is_full(&limits) || builder.next_offset() >= *to || reader.is_at_end(**partition)
            })
            .map(|(partition, _)| *partition)
            .collect();
        for partition in done {
            let Some((builder, to)) = builders.get_mut(&partition) else { continue };
            let at_end = builder.next_offset() >= *to || reader.is_at_end(partition);
            if at_end && builder.next_offset() < *to {
                // What is left are no records: marks of transactions.
                builder.passed(*to - 1, 0, Instant::now());
            }
            let chunk = (!builder.is_empty()).then(|| builder.take());
            if at_end {
                builders.remove(&partition);
            }
            if let Some(chunk) = chunk {
                self.hand_over(chunk)?;
            }
        }
        Ok(())
    }

    fn hand_over(&mut self, chunk: Chunk) -> anyhow::Result<()> {
        let class = dead_letter::dataset().position("error_class").expect("it is declared");
        for row in 0..chunk.dead_letters.len() {
            let class = chunk.dead_letters.column(class).text(row).unwrap_or_default();
            *self.report.refused_by_class.entry(class.to_owned()).or_default() += 1;
        }
        let sender = self.chunks.as_ref().context("the replay has ended")?;
        self.in_flight += 1;
        self.being_written.begin();
        self.runtime.block_on(sender.send(chunk)).ok().context("the writer has ended")?;
        Ok(())
    }

    fn take_answers(&mut self, all: bool) -> anyhow::Result<()> {
        while self.in_flight > 0 {
            let written = match self.answers.try_recv() {
                Ok(written) => written,
                Err(TryRecvError::Empty) if !all => return Ok(()),
                Err(TryRecvError::Empty) => {
                    if self.stop.is_cancelled() {
                        self.cancelled.cancel();
                    }
                    match self.answers.recv_timeout(POLL_PATIENCE) {
                        Ok(written) => written,
                        Err(_) => continue,
                    }
                }
                Err(TryRecvError::Disconnected) => bail!("the writer has ended"),
            };
            self.in_flight -= 1;
            self.report.outcome += match written.result {
                Ok(commit) => commit.outcome,
                Err(StoreError::Fenced { .. }) => bail!("another replay of the same is running"),
                Err(error) => return Err(error.into()),
            };
        }
        Ok(())
    }

    fn take(&mut self, original: &Original<'_>, builder: &mut ChunkBuilder) -> anyhow::Result<()> {
        let another = self.replay.key.as_ref().is_some_and(|key| original.key != Some(key.as_bytes()));
        if another || !self.replay.range.includes(original.timestamp_ms) {
            builder.passed(original.offset, original.len(), Instant::now());
            return Ok(());
        }
        let since = Instant::now();
        let refused = loop {
            match self.admission.admit(original, self.runtime, builder.rows(), Utc::now().timestamp_micros()) {
                Ok(refused) => break refused,
                Err(missing) if since.elapsed() > SCHEMA_PATIENCE || self.stop.is_cancelled() => bail!("{missing}"),
                Err(_) => std::thread::sleep(POLL_PATIENCE),
            }
        };
        builder.took(original, refused, Instant::now());
        Ok(())
    }

    fn builder(&self, range: &PartitionRange) -> ChunkBuilder {
        let partition = SinkPartition {
            sink: self.sink.clone(),
            topic: self.topic.clone(),
            incarnation: 0,
            number: range.partition,
        };
        ChunkBuilder::new(partition, self.target.clone(), range.from)
    }

    /// The writer's store, when all is written.
    fn into_store(mut self) -> anyhow::Result<Box<dyn Store>> {
        self.chunks = None;
        Ok(self.runtime.block_on(self.writer)?)
    }
}

/// Tells how far a replay is.
struct Progress {
    total: i64,
    began: Instant,
    told: Instant,
}

impl Progress {
    fn new(total: i64) -> Progress {
        Progress { total, began: Instant::now(), told: Instant::now() }
    }

    fn tell(&mut self, done: i64) {
        if self.told.elapsed() < PROGRESS_INTERVAL || self.total == 0 {
            return;
        }
        self.told = Instant::now();
        let rate = done as f64 / self.began.elapsed().as_secs_f64();
        let left = (self.total - done) as f64 / rate.max(1.0);
        let percent = done * 100 / self.total;
        tracing::info!("replayed {done} of {} records ({percent} %), {rate:.0}/s, {left:.0} s left", self.total);
    }
}

/// The topic's partitions with the first offset that is there and the end.
pub(crate) fn partitions(cluster: &Cluster, topic: &str) -> anyhow::Result<Vec<(i32, i64, i64)>> {
    end_offsets(cluster, topic).with_context(|| format!("cannot read the offsets of `{topic}`"))
}
