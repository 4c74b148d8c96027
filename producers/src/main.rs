//! `producer`: polls sources and publishes what they say.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

mod inspect;
mod list;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use chrono::{DateTime, SubsecRound as _, Utc};
use clap::{Parser, Subcommand};
use producers::delete::Deletion;
use producers::fetch::Fetcher;
use producers::meters::Meters;
use producers::poll::{self, Ending, Mode, Run};
use producers::progress::Progress;
use producers::source::{Source, source};
use producers::watchlist::Watchlist;
use service::health::Health;
use service::kafka::Cluster;
use service::{shutdown, telemetry};

/// Keeps the memory of a page for the next one, where the system's gives it back and takes it again, page fault by page
/// fault: a third of the time that it takes to read rows.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Polls providers of financial and economic data and publishes their records to Kafka.
#[derive(Debug, Parser)]
#[command(name = "producer", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the sources, their endpoints, and what they need.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Polls sources, as the watchlist says, until it is stopped.
    Run {
        /// Names of the sources.
        sources: Vec<String>,
        /// Stops after one round; fails if an item could not be had.
        #[arg(long)]
        once: bool,
        /// Writes one JSON line per finished item to standard output.
        #[arg(long)]
        progress: bool,
    },
    /// Publishes deletions of what is on a dataset's topic; without `--yes` it only says what it would delete.
    Delete {
        /// Name of the dataset.
        dataset: String,
        /// Only what holds this value in this field; several must all hold.
        #[arg(long = "where", value_name = "FIELD=VALUE", required = true)]
        conditions: Vec<String>,
        /// Only what has this time or a later one: a date, or e.g. `2026-11-20T12:00:00Z`.
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// Only what has an earlier time.
        #[arg(long, value_name = "TIME")]
        to: Option<String>,
        /// When the deletion became known; by default now. It does nothing to what is known later.
        #[arg(long, value_name = "TIME")]
        known_at: Option<DateTime<Utc>>,
        /// Publishes the deletions.
        #[arg(long)]
        yes: bool,
    },
    /// Reads saved responses and writes their records as JSON lines; needs neither network nor Kafka.
    Parse {
        /// Name of the source.
        source: String,
        /// Name of the endpoint.
        endpoint: String,
        /// The item that was asked for, e.g. `AAPL`.
        #[arg(long)]
        item: String,
        /// When the responses were received, e.g. `2026-11-20T12:00:00Z`; by default now.
        #[arg(long)]
        at: Option<DateTime<Utc>>,
        /// The responses' bodies.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::List { json } => telemetry::report(if json { list::json() } else { list::table() }),
        Command::Parse { source, endpoint, item, at, files } => {
            let at = at.unwrap_or_else(|| Utc::now().trunc_subsecs(6));
            match inspect::Inspection::new(&source, &endpoint, &item, at) {
                Ok(inspection) => inspection.files(&files),
                Err(error) => telemetry::report(Err(error)),
            }
        }
        Command::Delete { dataset, conditions, from, to, known_at, yes } => {
            let now = Utc::now().trunc_subsecs(6);
            let times = (from.as_deref(), to.as_deref());
            let deletion = Deletion::new(&dataset, &conditions, times, known_at, now);
            telemetry::report(deletion.and_then(|deletion| delete(deletion, yes)))
        }
        Command::Run { sources, once, progress } => {
            let mode = if once { Mode::Once } else { Mode::Daemon };
            let progress = if progress { Progress::Lines } else { Progress::Silent };
            match run(&sources, mode, progress) {
                Ok(Ending::Complete) => ExitCode::SUCCESS,
                // What went wrong has been logged.
                Ok(Ending::Incomplete) => ExitCode::FAILURE,
                Err(error) => telemetry::report(Err(error)),
            }
        }
    }
}

fn run(names: &[String], mode: Mode, progress: Progress) -> anyhow::Result<Ending> {
    let sources = named(names)?;
    let watchlist = Watchlist::load()?;
    telemetry::init();
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let shutdown = shutdown::token()?;
        let health = Health::new();
        // A command ends by itself and says how.
        if mode == Mode::Daemon {
            health.start()?;
        }
        let meters = Meters::new(&health);
        let run = Run { watchlist, cluster: Cluster::from_settings(), mode, progress, shutdown, meters };
        let sources = sources.into_iter().map(|source| (source, Fetcher::from_settings(source))).collect();
        Ok(poll::run(sources, run).await)
    })
}

fn delete(deletion: Deletion, yes: bool) -> anyhow::Result<()> {
    let cluster = Cluster::from_settings();
    let runtime = tokio::runtime::Runtime::new()?;
    let found = deletion.find(&cluster, runtime.handle())?;
    let said = if yes { runtime.block_on(deletion.publish(&found, &cluster))? } else { deletion.preview(&found) };
    list::print(&said)
}

/// The sources of these names, each once.
fn named(names: &[String]) -> anyhow::Result<Vec<&'static Source>> {
    if names.is_empty() {
        let all: Vec<String> = producers::SOURCES.iter().map(|source| format!("`{}`", source.name)).collect();
        return Err(anyhow!("name the sources to poll: {}", all.join(", ")));
    }
    let mut sources: Vec<&'static Source> = Vec::new();
    for name in names {
        let source = source(name).map_err(|error| anyhow!(error))?;
        if !sources.iter().any(|known| known.name == source.name) {
            sources.push(source);
        }
    }
    Ok(sources)
}
