//! How many records a run published, and their outcomes, from Kafka's offsets and the database's ledger.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use anyhow::bail;
use contract::{Dataset, datasets, topic};
use kafka::Cluster;
use kafka::offsets::{Ranges, cluster_id, ranges_of};
use serde::Serialize;
use service::settings;
use store::{Database, DeadLetters, Outcome, Store, origin};

/// The dataset of refused records.
const DEAD_LETTER: &str = "dead_letter";

/// How often to check whether everything is stored.
const STORED_INTERVAL: Duration = Duration::from_millis(20);

/// A run in numbers; `published` is the sum of the next four.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// Records on the topics that were not yet stored when the run began.
    pub(crate) published: u64,
    /// Rows inserted, or whose values changed.
    pub(crate) stored: u64,
    /// Records with the values that are stored already.
    pub(crate) unchanged: u64,
    /// Records older than the stored row, or than another record of the same chunk.
    pub(crate) superseded: u64,
    /// Records refused by a producer or a consumer.
    pub(crate) dead_lettered: u64,
    /// Dead letters of consumers that were published and read back; they are already counted where they were refused.
    #[serde(skip)]
    relayed: u64,
    /// From the start of the producers to the last commit.
    pub(crate) seconds: f64,
    /// `published` divided by `seconds`.
    pub(crate) rows_per_second: f64,
}

/// Measures a run.
pub(crate) struct Meter {
    cluster: Cluster,
    database: Database,
    store: Box<dyn Store>,
    letters: Box<dyn DeadLetters>,
    positions: HashMap<(String, i32), i64>,
    outcomes: HashMap<String, Outcome>,
    started: Instant,
}

impl Meter {
    /// Starts from the present state of the database.
    pub(crate) async fn start(cluster: Cluster, database: Database) -> anyhow::Result<Meter> {
        let store = database.store("meter");
        let letters = database.dead_letters("meter");
        let (positions, outcomes) = (HashMap::new(), HashMap::new());
        let mut meter = Meter { cluster, database, store, letters, positions, outcomes, started: Instant::now() };
        meter.positions = meter.positions().await?;
        meter.outcomes = meter.outcomes().await?;
        Ok(meter)
    }

    /// Refuses a database that other topics have filled: consumers would take the records up to its positions for stored.
    pub(crate) async fn check_topics(&mut self) -> anyhow::Result<()> {
        if settings::read(&settings::ON_GAP).is_some_and(|choice| choice == "record") {
            return Ok(());
        }
        let cluster = self.cluster.clone();
        let cluster = tokio::task::spawn_blocking(move || cluster_id(&cluster));
        let ends = self.ends().await?;
        for ((topic, partition), position) in &self.positions {
            let end = ends.get(&(topic.clone(), *partition)).map_or(0, |(_, end)| *end);
            if *position > end {
                bail!(
                    "`{}` was filled from other topics: it has stored {topic}[{partition}] up to offset {position}, and the \
                     topic here ends at {end}; use the broker or data folder that filled it, or another database, or empty \
                     this one with `tapedeck migrate down --to 0 --yes`",
                    self.database.shown()
                );
            }
        }
        if let Some(cluster) = cluster.await?? {
            origin::check(&mut *self.store, &cluster).await?;
        }
        Ok(())
    }

    /// The sums since the start, from the database alone.
    pub(crate) async fn so_far(&mut self) -> anyhow::Result<Summary> {
        let mut summary = Summary::default();
        for (sink, now) in self.outcomes().await? {
            let before = self.outcomes.get(&sink).copied().unwrap_or_default();
            if sink == self.group(contract::dataset(DEAD_LETTER).expect("it is declared")) {
                // Dead letters from the outbox are in the table already.
                let relayed = now.superseded - before.superseded;
                summary.relayed += relayed;
                summary.dead_lettered += now.read - before.read - relayed;
                continue;
            }
            summary.stored += now.inserted + now.changed - before.inserted - before.changed;
            summary.unchanged += now.unchanged - before.unchanged;
            summary.superseded += now.superseded - before.superseded;
            summary.dead_lettered += now.dead_lettered - before.dead_lettered;
        }
        let seconds = self.started.elapsed().as_secs_f64();
        let rows = summary.accounted();
        Ok(Summary { seconds, rows_per_second: rows as f64 / seconds.max(1e-9), ..summary })
    }

    /// Waits until everything on the topics is stored; returns the whole summary.
    pub(crate) async fn caught_up(&mut self) -> anyhow::Result<Summary> {
        let mut ends = self.ends().await?;
        loop {
            self.stored(&ends).await?;
            // In this order, so that nothing can still be on its way to the topics.
            let waiting = self.letters.waiting(1).await?;
            let now = self.ends().await?;
            if waiting == 0 && now == ends {
                break;
            }
            ends = now;
            tokio::time::sleep(STORED_INTERVAL).await;
        }
        let begun = |(partition, (low, end)): (&(String, i32), &(i64, i64))| {
            (end - self.positions.get(partition).unwrap_or(low)).max(0).cast_unsigned()
        };
        let published: u64 = ends.iter().map(begun).sum();
        let summary = self.so_far().await?;
        let published = published.saturating_sub(summary.relayed);
        Ok(Summary { published, rows_per_second: published as f64 / summary.seconds.max(1e-9), ..summary })
    }

    /// How many records are on the topics and not stored yet, by dataset; datasets without any are left out.
    pub(crate) async fn waiting(&mut self) -> anyhow::Result<BTreeMap<&'static str, u64>> {
        let (ends, positions) = (self.ends().await?, self.positions().await?);
        let mut waiting = BTreeMap::new();
        for dataset in datasets() {
            let topic = topic::topic(self.cluster.namespace(), dataset);
            let of_topic = ends.iter().filter(|((name, _), _)| *name == topic);
            let left = |(partition, (low, end)): (&(String, i32), &(i64, i64))| {
                (end - positions.get(partition).unwrap_or(low)).max(0).cast_unsigned()
            };
            let records: u64 = of_topic.map(left).sum();
            if records > 0 {
                waiting.insert(dataset.name.as_str(), records);
            }
        }
        Ok(waiting)
    }

    async fn ends(&self) -> anyhow::Result<Ranges> {
        let cluster = self.cluster.clone();
        tokio::task::spawn_blocking(move || ends(&cluster)).await?
    }

    /// Waits until the database has stored everything up to these offsets.
    async fn stored(&mut self, ends: &Ranges) -> anyhow::Result<()> {
        loop {
            let positions = self.positions().await?;
            let stored = |(partition, (low, end)): (&(String, i32), &(i64, i64))| {
                low == end || positions.get(partition).is_some_and(|position| position >= end)
            };
            if ends.iter().all(stored) {
                return Ok(());
            }
            tokio::time::sleep(STORED_INTERVAL).await;
        }
    }

    async fn positions(&mut self) -> anyhow::Result<HashMap<(String, i32), i64>> {
        let mut all = HashMap::new();
        for dataset in datasets() {
            let topic = topic::topic(self.cluster.namespace(), dataset);
            let group = self.group(dataset);
            for position in self.store.positions(&group, &topic).await? {
                all.insert((topic.clone(), position.partition), position.next_offset);
            }
        }
        Ok(all)
    }

    async fn outcomes(&mut self) -> anyhow::Result<HashMap<String, Outcome>> {
        let totals = self.store.totals().await?;
        Ok(totals.into_iter().map(|total| (total.sink, total.outcome)).collect())
    }

    fn group(&self, dataset: &Dataset) -> String {
        topic::group(self.cluster.namespace(), dataset, &self.database.sink())
    }
}

/// First and end offset of every partition.
fn ends(cluster: &Cluster) -> anyhow::Result<Ranges> {
    let topics: Vec<String> = datasets().iter().map(|dataset| topic::topic(cluster.namespace(), dataset)).collect();
    Ok(ranges_of(cluster, &topics)?)
}

impl Summary {
    /// Records whose outcome is known.
    pub(crate) fn accounted(&self) -> u64 {
        self.stored + self.unchanged + self.superseded + self.dead_lettered
    }

    /// Whether every record is accounted for.
    pub(crate) fn adds_up(&self) -> bool {
        self.published == self.accounted()
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines = [
            ("published", self.published, "with one record per request, in fetch_log"),
            ("stored", self.stored, "inserted, or values changed"),
            ("unchanged", self.unchanged, "the same values again"),
            ("superseded", self.superseded, "there already, or older than what is stored"),
            ("dead-lettered", self.dead_lettered, "refused, kept with the reason in dead_letter"),
        ];
        for (name, count, meaning) in lines {
            writeln!(formatter, "  {name:<14}{count:>10}  {meaning}")?;
        }
        write!(formatter, "  in {:.1} s, {:.0} rows/s", self.seconds, self.rows_per_second)
    }
}
