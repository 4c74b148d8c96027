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

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use contract::{Dataset, topic};
use kafka::Cluster;
use kafka::Registry;
use kafka::survey::{Ends, GroupFacts, Survey};
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
    watermarks: HashMap<String, Ends>,
    /// By topic: its id, where Kafka says it.
    topic_ids: HashMap<String, String>,
    /// By sink: what its group has reported to Kafka.
    reported: HashMap<String, GroupFacts>,
}

impl Verification {
    /// Compares the database with Kafka. An error means that the comparison itself failed.
    ///
    /// Blocks: call it outside of the runtime's threads.
    pub fn run(&self, runtime: &Handle) -> anyhow::Result<Report> {
        let mut findings = Findings::default();
        // In this order: the groups' reported offsets, the snapshot, the ends of the topics. All three only grow, so
        // that beside a running consumer none is ahead of the next one.
        let survey = Survey::new(&self.cluster)?;
        let reported = self.reported(&survey, runtime)?;
        let mut audit = runtime.block_on(self.database.audit())?;
        let positions = runtime.block_on(audit.positions())?;
        let gaps = runtime.block_on(audit.gaps())?;
        let halts = runtime.block_on(audit.halts())?;
        let unread = runtime.block_on(audit.unread())?;
        let identity = runtime.block_on(audit.identity())?;
        let namespace = self.cluster.namespace();
        let topics: Vec<String> = self.datasets.iter().map(|dataset| topic::topic(namespace, dataset)).collect();
        let (watermarks, topic_ids) = (survey.ends(&topics)?, survey.topic_ids(&topics)?);
        let facts = Facts { positions, gaps, halts, unread, identity, reported, watermarks, topic_ids };
        let mut lines = self.ledger(&facts, &mut audit, runtime, &mut findings)?;
        self.last_records(&facts, &survey, &mut findings)?;
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
        self.monitor(&facts, &survey, &mut findings)?;
        let mut tables = Vec::new();
        if self.deep {
            for dataset in &self.datasets {
                tables.push(deep::compare(self, dataset, runtime, (&mut lines, &mut findings))?);
            }
        }
        Ok(Report::new(lines, tables, findings))
    }

    /// What the groups have reported: those of the positions, and those of this configuration.
    fn reported(&self, survey: &Survey, runtime: &Handle) -> anyhow::Result<HashMap<String, GroupFacts>> {
        let mut audit = runtime.block_on(self.database.audit())?;
        let positions = runtime.block_on(audit.positions())?;
        let known = positions.iter().map(|row| row.partition.sink.to_string());
        let sink = |dataset: &&'static Dataset| topic::group(self.cluster.namespace(), dataset, &self.database.sink());
        let groups = known.filter(|sink| self.dataset_of(sink).is_some()).chain(self.datasets.iter().map(sink));
        let groups: BTreeSet<String> = groups.collect();
        Ok(survey.groups(&groups.into_iter().collect::<Vec<_>>())?)
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
