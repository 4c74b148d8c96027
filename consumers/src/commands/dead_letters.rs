//! `consumer dead-letters`: arguments in, text out.

use chrono::{DateTime, Utc};
use contract::declarations;
use kafka::Cluster;
use kafka::registry::Registry;
use service::arguments::time;
use store::{Database, Filter};
use tokio::runtime::Handle;

use super::print;
use crate::dead_letters::list::{self, Found};
use crate::dead_letters::release::{self, Release, Report};
use crate::dead_letters::{redrive, show};

/// What to do with dead letters.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Count dead letters by cause, and list the newest
    List {
        #[command(flatten)]
        which: Which,
        /// Include dead letters that were redriven
        #[arg(long)]
        all: bool,
        /// List at most so many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(0..=10_000))]
        limit: i64,
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Show everything about one dead letter
    Show {
        /// Id, as `list` shows it
        id: String,
        /// Consumer group or provider that refused it, where several did
        #[arg(long)]
        source: Option<String>,
    },
    /// Decode, validate and store the original messages again; those that are still refused stay as they are
    Redrive {
        /// Ids; all that match when none is given
        #[arg(value_name = "ID")]
        ids: Vec<String>,
        #[command(flatten)]
        which: Which,
        /// Write nothing; report what would become of them
        #[arg(long)]
        dry_run: bool,
        /// Write to the database
        #[arg(long, conflicts_with = "dry_run")]
        yes: bool,
    },
    /// End a publisher's quarantine; its parked records become dead letters, read from Kafka again
    Release {
        /// Publisher, as `list` shows it
        publisher: String,
        /// Only in this dataset
        #[arg(long, value_parser = known)]
        dataset: Option<String>,
        /// Write nothing; report what would be released
        #[arg(long)]
        dry_run: bool,
        /// Write to the database
        #[arg(long, conflicts_with = "dry_run")]
        yes: bool,
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
    },
}

/// Which dead letters.
#[derive(Debug, Clone, clap::Args)]
pub struct Which {
    /// Only those of this dataset
    #[arg(long, value_parser = known)]
    dataset: Option<String>,
    /// Only those of this class
    #[arg(long)]
    class: Option<String>,
    /// Only those refused at this stage
    #[arg(long, value_parser = ["parse", "decode", "validate", "store"])]
    stage: Option<String>,
    /// Only those refused by this consumer group or provider
    #[arg(long)]
    source: Option<String>,
    /// Only those refused at this time or later: `2024-05-31` or `2024-05-31T12:00:00Z`
    #[arg(long, value_parser = time)]
    from: Option<DateTime<Utc>>,
    /// Only those refused before this time
    #[arg(long, value_parser = time)]
    to: Option<DateTime<Utc>>,
}

fn known(name: &str) -> Result<String, String> {
    declarations::named(name).map(|dataset| dataset.name.clone())
}

impl From<Which> for Filter {
    fn from(which: Which) -> Filter {
        let Which { dataset, class, stage, source, from, to } = which;
        Filter { dataset, class, stage, source, from, to, ..Filter::default() }
    }
}

/// Runs the command on the database that the environment names.
pub async fn run(command: Command) -> anyhow::Result<()> {
    let database = Database::from_settings()?;
    match command {
        Command::List { which, all, limit, json } => {
            let filter = Filter { all, ..which.into() };
            let mut store = database.dead_letters("dead-letters");
            let counts = store.counts(&filter).await?;
            let letters = store.newest(&filter, limit).await?;
            let mut quarantines = store.quarantines().await?;
            quarantines.retain(|one| release::is_of(&one.sink, filter.dataset.as_deref()));
            let found = Found { counts, letters, quarantines, unpublished: store.unpublished().await? };
            print(&match json {
                true => list::listed_json(&found),
                false => list::listed(&found, all),
            })
        }
        Command::Show { id, source } => {
            let filter = Filter { source, ids: vec![id], all: true, ..Filter::default() };
            let registry = Registry::from_settings()?;
            print(&show::shown(&database, registry, &filter).await?)
        }
        Command::Redrive { ids, which, dry_run, yes } => {
            let filter = Filter { ids, of_messages: true, ..which.into() };
            let registry = Registry::from_settings()?;
            let report = redrive::run(&database, registry, &filter, !yes).await?;
            print(&report.to_string())?;
            anyhow::ensure!(yes || dry_run || report.read == 0, "nothing was written: add `--yes` to write");
            Ok(())
        }
        Command::Release { publisher, dataset, dry_run, yes, json } => {
            release(database, (&publisher, dataset.as_deref()), [dry_run, yes, json]).await
        }
    }
}

/// Releases the quarantines of a publisher.
async fn release(
    database: Database,
    (publisher, dataset): (&str, Option<&str>),
    [dry_run, yes, json]: [bool; 3],
) -> anyhow::Result<()> {
    let quarantines = release::quarantines_of(&mut *database.dead_letters("release"), publisher, dataset).await?;
    anyhow::ensure!(
        !quarantines.is_empty(),
        "`{publisher}` has no quarantine and no parked records; `dead-letters list` shows both"
    );
    if !yes {
        let parked: i64 = quarantines.iter().map(|one| one.parked).sum();
        print(&match json {
            true => format!("{}\n", serde_json::json!({ "quarantines": quarantines.len(), "parked": parked })),
            false => format!("{parked} parked records would become dead letters\n"),
        })?;
        anyhow::ensure!(dry_run, "nothing was written: add `--yes` to write");
        return Ok(());
    }
    let release = Release { database, cluster: Cluster::from_settings()?, registry: Registry::from_settings()? };
    let runtime = Handle::current();
    // Reading Kafka blocks, so this runs outside of the runtime's threads.
    let run = move || {
        let mut total = Report::default();
        for quarantine in &quarantines {
            total += release.run(quarantine, &runtime)?;
        }
        anyhow::Ok(total)
    };
    let report = tokio::task::spawn_blocking(run).await??;
    print(&if json { format!("{}\n", serde_json::to_string(&report)?) } else { report.to_string() })
}
