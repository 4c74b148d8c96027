//! `consumer verify`: proves that the database matches the topics. It writes nothing and can run beside consumers.
//!
//! It checks the ledger for holes and overlaps and compares it with Kafka's offsets. It finds sinks that do not keep up.
//! With `deep` it reads the topics again, folds them and compares the result with every value in the tables. This fold shares only the definition of a
//! version with the consumer.

mod dead_letters;
mod deep;
mod fingerprint;
mod ledger;
mod monitor;
mod progress;
mod report;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use contract::{Dataset, topic};
use kafka::Cluster;
use kafka::Registry;
use kafka::offsets::{end_offsets, group_offsets};
use kafka::topic_id::topic_id;
use tokio::runtime::Handle;

use report::Findings;
pub use report::{PartitionLine, Report, TableLine, Violation};
use store::chunk::SinkPartition;
use store::{Database, GapRow, HaltRow, PositionRow};

/// Part of the name of every replay's sink. Replays are not verified.
const REPLAY: &str = ".replay.";

/// What to verify.
#[derive(Debug)]
pub struct Verification {
    /// Where the topics are.
    pub cluster: Cluster,
    /// What is verified.
    pub database: Database,
    /// Where the writers' schemas are.
    pub registry: Option<Registry>,
    /// Which datasets.
    pub datasets: Vec<&'static Dataset>,
    /// Whether to read the topics and compare every row.
    pub deep: bool,
    /// Where that comparison keeps what does not fit into memory.
    pub temp_dir: PathBuf,
    /// How long a record may wait to be consumed.
    pub patience: Duration,
}

/// A snapshot of the database, and Kafka's offsets.
#[derive(Default)]
struct Facts {
    positions: Vec<PositionRow>,
    gaps: Vec<GapRow>,
    halts: Vec<HaltRow>,
    /// Partitions without a position, and the id of the topic that the sink was assigned.
    unread: Vec<(SinkPartition, String)>,
    /// The identity of the database.
    identity: Option<String>,
    /// By topic: each partition's first offset and the one after its last.
    watermarks: HashMap<String, HashMap<i32, (i64, i64)>>,
    /// By topic: its id, where Kafka says it.
    topic_ids: HashMap<String, String>,
    /// By sink and topic: the offsets that the group has reported to Kafka.
    reported: HashMap<(String, String), HashMap<i32, i64>>,
}

impl Verification {
    /// Compares the database with Kafka. An error means that the comparison itself failed.
    ///
    /// Blocks: call it outside of the runtime's threads.
    pub fn run(&self, runtime: &Handle) -> anyhow::Result<Report> {
        let mut findings = Findings::default();
        // In this order: the groups' reported offsets, the snapshot, the ends of the topics. All three only grow, so
        // that beside a running consumer none is ahead of the next one.
        let reported = self.reported(runtime)?;
        let mut audit = runtime.block_on(self.database.audit())?;
        let positions = runtime.block_on(audit.positions())?;
        let gaps = runtime.block_on(audit.gaps())?;
        let halts = runtime.block_on(audit.halts())?;
        let unread = runtime.block_on(audit.unread())?;
        let identity = runtime.block_on(audit.identity())?;
        let (watermarks, topic_ids) = (HashMap::new(), HashMap::new());
        let mut facts = Facts { positions, gaps, halts, unread, identity, reported, watermarks, topic_ids };
        for dataset in &self.datasets {
            let topic = topic::topic(self.cluster.namespace(), dataset);
            let ends = end_offsets(&self.cluster, &topic)?;
            let ends = ends.into_iter().map(|(partition, low, high)| (partition, (low, high))).collect();
            if let Some(id) = topic_id(&self.cluster, &topic)? {
                facts.topic_ids.insert(topic.clone(), id);
            }
            facts.watermarks.insert(topic, ends);
        }
        let mut lines = self.ledger(&facts, &mut audit, runtime, &mut findings)?;
        if self.deep {
            // The deep check counts the records, so that offsets without a record need no note.
            findings.notes.clear();
        }
        for (sink, count) in runtime.block_on(audit.unpublished())? {
            if self.dataset_of(&sink).is_some() {
                findings.notes.push(unpublished(count, &sink));
            }
        }
        drop(audit);
        self.monitor(&facts, &mut findings)?;
        let mut tables = Vec::new();
        if self.deep {
            for dataset in &self.datasets {
                tables.push(deep::compare(self, dataset, runtime, (&mut lines, &mut findings))?);
            }
        }
        Ok(Report::new(lines, tables, findings))
    }

    fn reported(&self, runtime: &Handle) -> anyhow::Result<HashMap<(String, String), HashMap<i32, i64>>> {
        let mut audit = runtime.block_on(self.database.audit())?;
        let positions = runtime.block_on(audit.positions())?;
        let mut partitions: HashMap<(String, String), Vec<i32>> = HashMap::new();
        for row in positions.iter().filter(|row| self.dataset_of(&row.partition.sink).is_some()) {
            let key = (row.partition.sink.to_string(), row.partition.topic.to_string());
            partitions.entry(key).or_default().push(row.partition.number);
        }
        let ask = |((sink, topic), numbers): ((String, String), Vec<i32>)| {
            let reported = group_offsets(&self.cluster, &sink, &topic, &numbers)?;
            Ok(((sink, topic), reported))
        };
        partitions.into_iter().map(ask).collect()
    }

    /// The dataset that a sink fills; None when the dataset is not to be verified.
    fn dataset_of(&self, sink: &str) -> Option<&'static Dataset> {
        let namespace = self.cluster.namespace();
        let fills = |dataset: &&&'static Dataset| {
            let rest = sink.strip_prefix(namespace).and_then(|rest| rest.strip_prefix('.'));
            let name = rest.and_then(|rest| rest.strip_prefix(dataset.name.as_str()));
            name.is_some_and(|name| name.starts_with('.')) && !sink.contains(REPLAY)
        };
        self.datasets.iter().find(fills).copied()
    }
}

/// Nothing is lost, so that this is no violation: the dead letters are in the table.
fn unpublished(count: i64, sink: &str) -> String {
    format!(
        "{count} dead letters of `{sink}` are in the table and not on their topic, because Kafka accepts them in no form: \
         see `dead-letters list`"
    )
}
