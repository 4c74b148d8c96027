//! Replays a range of a topic into the dataset's own table or into a side table.
//!
//! A replay is a sink of its own with positions and a ledger, so that it resumes after an interruption. It can run
//! beside the live sink, because every upsert is guarded by the version.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use chrono::Utc;
use contract::rule::Rule;
use contract::{Dataset, topic};
use kafka::Cluster;
use kafka::offsets::end_offsets;
use kafka::registry::Registry;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

mod complete;
mod player;
pub mod range;

use complete::Evidence;
use player::{Destination, Player};
pub use range::{Bound, PartitionRange, Range};
use store::chunk::{Limits, Target};
use store::side::{self, Difference, Exchanged};
use store::{Database, Outcome, Store, StoreError, origin};

use crate::sink::OnGap;

/// Attempts of an exchange while the live sink is ahead.
const SWAP_ATTEMPTS: usize = 20;
/// Name of the temporary table that a dry run fills; the database drops it with the connection.
const TRIAL_TABLE: &str = "replay_trial";

/// What to replay.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The dataset.
    pub dataset: &'static Dataset,
    /// The cluster of its topic.
    pub cluster: Cluster,
    /// The database of its table.
    pub database: Database,
    /// The source of its writers' schemas.
    pub registry: Option<Registry>,
    /// When a chunk is committed.
    pub limits: Limits,
    /// Which part of the topic.
    pub range: Range,
    /// Only messages of this key.
    pub key: Option<String>,
    /// The side table; None: the dataset's own table.
    pub into: Option<String>,
    /// Rules on top of the declared ones.
    pub rules: Vec<String>,
}

/// The result of a replay.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Records in the range, by outcome.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Records that are refused today, by class. A replay writes no dead letters: the live sink has already written
    /// those of the records that it refused.
    pub refused_by_class: BTreeMap<String, u64>,
    /// Whether it resumed an interrupted replay.
    pub resumed: bool,
}

/// Identifies a replay: one with the same parameters resumes it.
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
    /// Replays the range. Blocks: call it outside of the runtime's threads.
    pub fn run(&self, runtime: &Handle, stop: &CancellationToken, restart: bool) -> anyhow::Result<Report> {
        let mut store = self.database.store("replay");
        if self.into.is_none() {
            runtime.block_on(self.check_origin(&mut *store))?;
        }
        let topic = self.topic();
        // A mistake in rules or range must leave no side table behind, which the corrected command would find.
        let rules = self.parsed_rules()?;
        let mut ranges = self.range.resolve(&self.cluster, &topic)?;
        let (sink, resumed) = runtime.block_on(self.begin(&mut *store, restart))?;
        let target = Target {
            dataset: self.dataset,
            table: self.into.as_deref().unwrap_or(&self.dataset.name).into(),
            dead_letters: None,
            accounted: true,
            incarnations: Some(Arc::new(runtime.block_on(side::incarnations(&mut *store, &topic))?)),
        };
        for position in runtime.block_on(store.positions(&sink, &topic))? {
            let Some(range) = ranges.iter_mut().find(|range| range.partition == position.partition) else { continue };
            if position.next_offset < range.from {
                bail!(
                    "the topic no longer has offsets {} to {} of partition {}, which this replay has not read: \
                     `--restart` replays what the topic still has",
                    position.next_offset,
                    range.from - 1,
                    range.partition
                );
            }
            range.from = position.next_offset;
        }
        let is_filling = self.into.is_none() && self.key.is_none() && self.rules.is_empty() && self.range.is_whole();
        if is_filling && !resumed {
            runtime.block_on(side::forget_places(&mut *store, self.dataset, &topic))?;
        }
        let destination = Destination { sink: sink.clone(), topic, target, store: self.database.store(&sink) };
        let mut player = Player::new(self, rules, destination, runtime, stop);
        player.play(&ranges)?;
        if self.into.is_none() && !stop.is_cancelled() {
            if is_filling {
                runtime.block_on(side::note_kept(&mut *store, &sink, &self.topic()))?;
            }
            runtime.block_on(side::finish_run(&mut *store, &sink))?;
        }
        Ok(Report { resumed, ..player.report })
    }

    /// Returns what an upsert of the range into the dataset's table would change. Writes nothing.
    pub fn trial(&self, runtime: &Handle, stop: &CancellationToken) -> anyhow::Result<(Report, Difference)> {
        let mut store = self.database.store("replay");
        runtime.block_on(side::create(&mut *store, self.dataset, TRIAL_TABLE, true))?;
        let target = Target {
            dataset: self.dataset,
            table: TRIAL_TABLE.into(),
            dead_letters: None,
            accounted: false,
            incarnations: None,
        };
        let topic = self.topic();
        let ranges = self.range.resolve(&self.cluster, &topic)?;
        let destination = Destination { sink: "trial".into(), topic, target: target.clone(), store };
        let mut player = Player::new(self, self.parsed_rules()?, destination, runtime, stop);
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

    /// Number of rows of the side table; None if there is no such table.
    pub async fn side_rows(&self) -> anyhow::Result<Option<u64>> {
        Ok(side::count(&mut *self.database.store("replay"), &self.side()?.table).await?)
    }

    /// Drops the side table and forgets the replays into it.
    pub async fn drop_side(&self) -> anyhow::Result<()> {
        side::remove(&mut *self.database.store("replay"), &self.side()?.table).await?;
        Ok(())
    }

    /// Exchanges the rows of the side table and the dataset's own, catching up with the live sinks first.
    pub fn swap(&self, runtime: &Handle, stop: &CancellationToken) -> anyhow::Result<Exchanged> {
        let (target, topic) = (self.side()?, self.topic());
        let mut store = self.database.store("replay");
        for _ in 0..SWAP_ATTEMPTS {
            let (sink, _) = runtime.block_on(self.begin(&mut *store, false))?;
            self.check_complete(runtime)?;
            let exchanged = runtime.block_on(side::exchange(&mut *store, &target, &topic, &sink, true))?;
            if exchanged.behind.is_empty() {
                return Ok(exchanged);
            }
            self.run(runtime, stop, false)?;
            if stop.is_cancelled() {
                bail!("stopped; nothing is exchanged");
            }
        }
        bail!("`{}` does not catch up with the live sink: try again when fewer records arrive", target.table)
    }

    /// Returns what [`Replay::swap`] would do. Writes nothing.
    pub fn rehearse_swap(&self, runtime: &Handle) -> anyhow::Result<Exchanged> {
        let target = self.side()?;
        let mut store = self.database.store("replay");
        let Some(sink) = runtime.block_on(side::unfinished_run(&mut *store, &self.parameters()?))? else {
            bail!("no replay has filled `{}` with these options: run the command without `--dry-run`", target.table);
        };
        self.check_complete(runtime)?;
        Ok(runtime.block_on(side::exchange(&mut *store, &target, &self.topic(), &sink, false))?)
    }

    /// Refuses an exchange in which rows would vanish because Kafka no longer has their records.
    pub fn check_complete(&self, runtime: &Handle) -> anyhow::Result<()> {
        let (name, topic) = (&self.dataset.name, self.topic());
        if !self.range.is_whole() || self.key.is_some() {
            bail!("only a replay of the whole topic can take the table's place: this one is for a part of it");
        }
        let mut store = self.database.store("replay");
        runtime.block_on(self.check_origin(&mut *store))?;
        let replay = runtime.block_on(side::unfinished_run(&mut *store, &self.parameters()?))?;
        let rows = runtime.block_on(store.rows(format!("select '1' from {name} limit 1"), &[]))?;
        let (ledger, positions) = runtime.block_on(async {
            let mut audit = self.database.audit().await?;
            Ok::<_, StoreError>((audit.ledger().await?, audit.positions().await?))
        })?;
        let ranges = end_offsets(&self.cluster, &topic)?;
        let lacks = Evidence {
            dataset: self.dataset,
            topic: &topic,
            replay: replay.as_deref(),
            ledger: &ledger,
            positions: &positions,
            ranges: &ranges.into_iter().map(|(partition, low, end)| (partition, (low, end))).collect(),
            cleanup_policy: &runtime.block_on(self.cluster.cleanup_policy(&topic))?,
            has_rows: !rows.is_empty(),
        }
        .lacks();
        if lacks.is_empty() {
            return Ok(());
        }
        bail!(
            "`{name}` is not exchanged, nothing is changed: topic `{topic}` does not have every record of the table: {}; \
             `replay {name}` without `--into` keeps such rows",
            lacks.join("; ")
        )
    }

    fn topic(&self) -> String {
        topic::topic(self.cluster.namespace(), self.dataset)
    }

    /// Refuses to mix the records of another cluster with those in the dataset's table.
    async fn check_origin(&self, store: &mut dyn Store) -> anyhow::Result<()> {
        if OnGap::from_settings()? == OnGap::Halt
            && let Some(cluster) = kafka::offsets::cluster_id(&self.cluster)?
        {
            origin::check(store, &cluster).await?;
        }
        Ok(())
    }

    fn parsed_rules(&self) -> anyhow::Result<Vec<Rule>> {
        let parse = |rule: &String| Rule::parse(rule, &self.dataset.fields).with_context(|| format!("rule `{rule}`"));
        self.rules.iter().map(parse).collect()
    }

    fn side(&self) -> anyhow::Result<Target> {
        let table = self.into.as_deref().context("name the side table with `--into`")?;
        Ok(Target {
            dataset: self.dataset,
            table: table.into(),
            dead_letters: None,
            accounted: true,
            incarnations: None,
        })
    }

    fn parameters(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(&Parameters {
            dataset: &self.dataset.name,
            namespace: self.cluster.namespace(),
            range: &self.range,
            key: self.key.as_deref(),
            into: self.into.as_deref(),
            rules: &self.rules,
        })?)
    }

    /// The sink of this replay: that of an interrupted replay with the same parameters or side table, or a new one.
    async fn begin(&self, store: &mut dyn Store, restart: bool) -> anyhow::Result<(Arc<str>, bool)> {
        let parameters = self.parameters()?;
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
                     `--restart` empties it and starts over"
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
