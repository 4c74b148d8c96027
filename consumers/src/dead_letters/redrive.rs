//! Redrives dead letters: the original bytes, today's rules, the same guarded upsert.
//!
//! A redrive publishes nothing and writes no dead letters, so that it cannot loop. Each batch is one transaction; a
//! restarted redrive continues with the dead letters that are still open.

use std::collections::{BTreeMap, HashMap};

use anyhow::bail;
use contract::{Dataset, Rows};
use kafka::registry::Registry;
use tokio::runtime::Handle;

use super::show::original;
use crate::sink::admit::Admission;
use crate::sink::schemas;
use crate::sink::writer::backoff;
use kafka::schemas::Missing;
use store::chunk::Target;
use store::dead_letter::Refused;
use store::{Batch, Database, DeadLetters, Fate, Filter, Name, StoreError, StoredDeadLetter};

/// Attempts per batch while the database is unavailable, before the command fails.
const MAX_ATTEMPTS: usize = 10;

/// The outcomes of the redriven dead letters.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Whether this was a dry run, which writes nothing.
    dry_run: bool,
    /// All redriven dead letters.
    pub(crate) read: u64,
    /// Upserted records, by outcome.
    applied: BTreeMap<&'static str, u64>,
    /// Records that are still refused, by class.
    refused: BTreeMap<String, u64>,
    /// Dead letters that another process redrove meanwhile.
    resolved: u64,
}

/// Redrives every dead letter that the filter selects.
pub(crate) async fn run(
    database: &Database,
    registry: Option<Registry>,
    filter: &Filter,
    dry_run: bool,
) -> anyhow::Result<Report> {
    let mut store = database.dead_letters("redrive");
    let mut report = Report { dry_run, ..Report::default() };
    let mut after = Name { source: String::new(), id: String::new() };
    let mut admissions = HashMap::new();
    loop {
        let letters = store.next(filter, &after).await?;
        let Some(last) = letters.last() else {
            return Ok(report);
        };
        after = name(last);
        report.read += letters.len() as u64;
        // Fetching a schema blocks, so this runs outside of the runtime's threads.
        let (runtime, sources) = (Handle::current(), (database.clone(), registry.clone()));
        let read = move || {
            let batches = admit(&letters, &sources, &mut admissions, &runtime);
            (batches, admissions)
        };
        let (read, known) = tokio::task::spawn_blocking(read).await?;
        admissions = known;
        let (batches, refused) = read?;
        for class in refused {
            *report.refused.entry(class).or_default() += 1;
        }
        for (dataset, rows, names) in batches {
            let target = Target {
                dataset,
                table: dataset.name.as_str().into(),
                dead_letters: None,
                accounted: false,
                incarnations: None,
            };
            let batch = Batch { target: &target, rows: &rows, names: &names, dry_run };
            apply(&mut *store, &batch, &mut report).await?;
        }
    }
}

fn name(letter: &StoredDeadLetter) -> Name {
    Name { source: letter.record.source.to_string(), id: letter.record.dead_letter_id.to_string() }
}

/// Valid records of one dataset, and the dead letter of each.
type Admitted = (&'static Dataset, Rows, Vec<Name>);

/// Decodes and validates. Returns the valid records by dataset, and the classes of those that are still refused.
fn admit(
    letters: &[StoredDeadLetter],
    (database, registry): &(Database, Option<Registry>),
    admissions: &mut HashMap<&'static str, Admission>,
    runtime: &Handle,
) -> anyhow::Result<(Vec<Admitted>, Vec<String>)> {
    let (mut admitted, mut refused) = (Vec::<Admitted>::new(), Vec::new());
    for letter in letters {
        let Some(dataset) = contract::dataset(&letter.record.dataset) else {
            refused.push("unknown_dataset".to_owned());
            continue;
        };
        let admission = admissions.entry(&dataset.name).or_insert_with(|| {
            Admission::new(dataset, schemas::kept_in(database, dataset, registry.clone()), Vec::new())
        });
        let at = admitted.iter().position(|(own, ..)| own.name == dataset.name).unwrap_or_else(|| {
            admitted.push((dataset, Rows::new(dataset), Vec::new()));
            admitted.len() - 1
        });
        let (_, rows, names) = &mut admitted[at];
        // The time of its refusal, not the present: waiting makes no version of the future acceptable, which replay and
        // `verify` refuse too.
        let refused_at = letter.record.known_at.timestamp_micros();
        match admission.admit(&original(&letter.record), runtime, rows, refused_at) {
            Ok(None) => names.push(name(letter)),
            Ok(Some(Refused { cause, .. })) => refused.push(cause.class.to_owned()),
            Err(Missing::Unknown(_)) => refused.push("unknown_schema".to_owned()),
            Err(Missing::Away(reason)) => bail!("{reason}; run the command again for the open dead letters"),
        }
    }
    Ok((admitted, refused))
}

async fn apply(store: &mut dyn DeadLetters, batch: &Batch<'_>, report: &mut Report) -> anyhow::Result<()> {
    let mut waits = backoff().take(MAX_ATTEMPTS);
    let fates = loop {
        match (store.redrive(batch).await, waits.next()) {
            (Ok(fates), _) => break fates,
            (Err(StoreError::Retry { .. }), Some(wait)) => tokio::time::sleep(wait).await,
            (Err(error), _) => bail!("{error}; dead letters redriven before this stay redriven"),
        }
    };
    for fate in fates {
        match fate {
            Fate::Applied(resolution) => *report.applied.entry(resolution).or_default() += 1,
            Fate::Resolved => report.resolved += 1,
            Fate::Refused(cause) => {
                let class = cause.sqlstate.map_or(cause.class.to_owned(), |code| format!("{} {code}", cause.class));
                *report.refused.entry(class).or_default() += 1;
            }
        }
    }
    Ok(())
}

impl std::fmt::Display for Report {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [done, be] = if self.dry_run { ["would be tried again", "would be "] } else { ["tried again", ""] };
        writeln!(formatter, "{} dead letters {done}", self.read)?;
        for outcome in ["inserted", "changed", "unchanged", "superseded"] {
            let count = self.applied.get(outcome).copied().unwrap_or_default();
            writeln!(formatter, "{count:>8}  {be}{outcome}")?;
        }
        for (class, count) in &self.refused {
            writeln!(formatter, "{count:>8}  still refused: {class}")?;
        }
        if self.resolved > 0 {
            writeln!(formatter, "{:>8}  redriven meanwhile by another process", self.resolved)?;
        }
        Ok(())
    }
}
