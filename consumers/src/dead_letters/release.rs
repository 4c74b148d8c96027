//! Releases a quarantine: what was parked becomes dead letters, read from Kafka again.
//!
//! The quarantine ends first, so that nothing more is parked. Each chunk's parked records then become dead letters in
//! one transaction; a restarted release continues with those that are still parked.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Utc;
use contract::{Dataset, Original, Rows, declarations};
use kafka::offsets::end_offsets;
use kafka::reader::Topic;
use kafka::registry::Registry;
use kafka::{Cluster, KafkaError, Message};
use store::dead_letter::{self, Cause, Refusal};
use store::quarantine::{Parked, Quarantine};
use store::{Database, DeadLetters, StoreError};
use tokio::runtime::Handle;

use crate::sink::admit::{Admission, unreadable};
use crate::sink::schemas;

/// Chunks whose parked records are read from the database at once.
const CHUNKS: i64 = 20;

/// The dataset of a sink's topic.
pub(crate) fn dataset_of(sink: &str) -> Option<&'static Dataset> {
    declarations::datasets().iter().find(|dataset| sink.contains(&format!(".{}.", dataset.name)))
}

/// What became of parked records.
#[derive(Debug, Default, serde::Serialize)]
pub(crate) struct Report {
    /// Dead letters whose records are still refused.
    pub(crate) refused: u64,
    /// Dead letters whose records are valid now: a redrive stores them.
    pub(crate) valid: u64,
    /// Dead letters without a message, because Kafka no longer has it.
    pub(crate) gone: u64,
}

impl std::ops::AddAssign for Report {
    fn add_assign(&mut self, other: Report) {
        self.refused += other.refused;
        self.valid += other.valid;
        self.gone += other.gone;
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Report { refused, valid, gone } = self;
        writeln!(formatter, "released: {} parked records are dead letters now", refused + valid + gone)?;
        let kinds = [
            (refused, "still refused"),
            (valid, "valid now: `dead-letters redrive --class parked --yes` stores them"),
            (gone, "without their message, which Kafka no longer has"),
        ];
        for (count, kind) in kinds.into_iter().filter(|(count, _)| **count > 0) {
            writeln!(formatter, "{count:>8}  {kind}")?;
        }
        Ok(())
    }
}

/// Releases quarantines, with access to the topics of their records.
pub(crate) struct Release {
    pub(crate) database: Database,
    pub(crate) cluster: Cluster,
    pub(crate) registry: Option<Registry>,
}

impl Release {
    /// Ends the quarantine and makes dead letters of its parked records. Blocks: call it outside of the runtime's
    /// threads.
    pub(crate) fn run(&self, quarantine: &Quarantine, runtime: &Handle) -> anyhow::Result<Report> {
        let Quarantine { sink, publisher, parked, .. } = quarantine;
        let Some(dataset) = dataset_of(sink) else { anyhow::bail!("`{sink}` is the sink of no dataset") };
        let mut store = self.database.dead_letters("release");
        runtime.block_on(store.end_quarantine(sink, publisher))?;
        let schemas = schemas::kept_in(&self.database, dataset, self.registry.clone());
        let mut admission = Admission::new(dataset, schemas, Vec::new());
        let (mut report, mut left) = (Report::default(), *parked);
        // A new quarantine can begin meanwhile. What it parks is not waited for.
        while left > 0 {
            let some = runtime.block_on(store.parked(sink, publisher, CHUNKS))?;
            if some.is_empty() {
                break;
            }
            for parked in &some {
                self.unpark(&mut *store, parked, &mut admission, runtime, &mut report)?;
                left -= parked.offsets.len() as i64;
            }
            tracing::info!(sink, publisher, left, "released");
        }
        Ok(report)
    }

    fn unpark(
        &self,
        store: &mut dyn DeadLetters,
        parked: &Parked,
        admission: &mut Admission,
        runtime: &Handle,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let mut made = Made { parked, admission, runtime, letters: Rows::new(dead_letter::dataset()), report: [0; 3] };
        let mut wanted: BTreeSet<i64> = parked.offsets.iter().copied().collect();
        if let Some(range) = self.range(parked, runtime)? {
            let topic = Topic::of(&self.cluster, &parked.partition.topic, range);
            let mut headers = Vec::new();
            topic.each(|message: &Message<'_>| {
                if wanted.remove(&message.offset()) {
                    made.add(message, &mut headers)?;
                }
                Ok::<(), KafkaError>(())
            })?;
        }
        for offset in wanted {
            made.add_gone(offset);
        }
        let Made { letters, report: [refused, valid, gone], .. } = made;
        if runtime.block_on(store.unpark(parked, &letters))? {
            report.refused += refused;
            report.valid += valid;
            report.gone += gone;
        }
        Ok(())
    }

    /// The range of the topic that holds the parked records; None when Kafka has none of them.
    fn range(&self, parked: &Parked, runtime: &Handle) -> anyhow::Result<Option<BTreeMap<i32, (i64, i64)>>> {
        let partition = &parked.partition;
        let mut store = self.database.store(&partition.sink);
        let positions = runtime.block_on(store.positions(&partition.sink, &partition.topic))?;
        let is_current = positions
            .iter()
            .any(|position| (position.partition, position.incarnation) == (partition.number, partition.incarnation));
        let ends = end_offsets(&self.cluster, &partition.topic)?;
        let ends = ends.into_iter().find(|(number, ..)| *number == partition.number).filter(|_| is_current);
        let span = parked.offsets.first().zip(parked.offsets.last());
        let (Some((_, low, high)), Some((first, last))) = (ends, span) else { return Ok(None) };
        let range = ((*first).max(low), (last + 1).min(high));
        Ok((range.0 < range.1).then(|| BTreeMap::from([(partition.number, range)])))
    }
}

/// The dead letters that parked records of a chunk become.
struct Made<'a> {
    parked: &'a Parked,
    admission: &'a mut Admission,
    runtime: &'a Handle,
    letters: Rows,
    /// Refused, valid, gone.
    report: [u64; 3],
}

impl Made<'_> {
    fn add(&mut self, message: &Message<'_>, headers: &mut Vec<u8>) -> Result<(), KafkaError> {
        let (original, mut rows) = (message.original(headers), Rows::new(self.admission.dataset()));
        let admitted = match message.unreadable() {
            Some(reason) => Some(unreadable(reason)),
            None => {
                let received = message.appended_micros().unwrap_or_else(|| Utc::now().timestamp_micros());
                let admitted = self.admission.admit(&original, self.runtime, &mut rows, received);
                admitted.map_err(|missing| KafkaError::Retry(missing.to_string()))?
            }
        };
        let valid = || {
            let reason = "it was refused while its publisher was in quarantine, and is valid now: redrive it";
            Cause { stage: "validate", class: "parked", sqlstate: None, reason: reason.to_owned() }
        };
        self.report[usize::from(admitted.is_none())] += 1;
        let cause = admitted.map_or_else(valid, |refused| refused.cause);
        self.append(&original, cause);
        Ok(())
    }

    fn add_gone(&mut self, offset: i64) {
        self.report[2] += 1;
        let original = Original { offset, timestamp_ms: None, key: None, value: None, headers: None };
        let reason = "Kafka no longer has the message: it was refused while its publisher was in quarantine";
        self.append(&original, Cause { stage: "validate", class: "gone", sqlstate: None, reason: reason.to_owned() });
    }

    fn append(&mut self, original: &Original<'_>, cause: Cause) {
        let (partition, dataset) = (&self.parked.partition, self.admission.dataset());
        let refusal = Refusal { original, partition, source: &partition.sink, dataset, cause, refused_at: Utc::now() };
        dead_letter::append(refusal, &mut self.letters);
    }
}

/// The quarantines of a publisher, by sink.
pub(crate) async fn quarantines_of(
    store: &mut dyn DeadLetters,
    publisher: &str,
    dataset: Option<&str>,
) -> Result<Vec<Quarantine>, StoreError> {
    let mut all = store.quarantines().await?;
    all.retain(|one| one.publisher == publisher && is_of(&one.sink, dataset));
    Ok(all)
}

/// Whether a sink is of the dataset; of all when none is named.
pub(crate) fn is_of(sink: &str, dataset: Option<&str>) -> bool {
    dataset.is_none_or(|name| dataset_of(sink).is_some_and(|of| of.name == name))
}
