//! `producer`: polls sources and publishes what they say.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

mod inspect;
mod list;
mod overview;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use chrono::{DateTime, Utc};
use clap::{Parser, Subcommand};
use kafka::Cluster;
use producers::backfill::{self, Backfill};
use producers::clock::Clock;
use producers::delete::Deletion;
use producers::fetch::Fetcher;
use producers::meters::Meters;
use producers::plan;
use producers::poll::{self, Ending, Mode, Run};
use producers::progress::Progress;
use producers::source::{Range, Source, source};
use producers::state::State;
use producers::watchlist::Watchlist;
use service::health::Health;
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
        /// Names of the sources; by default all.
        sources: Vec<String>,
        /// Only endpoints with that kind of data, e.g. `prices`.
        #[arg(long)]
        kind: Option<String>,
        /// Only endpoints whose provider has something new that often, e.g. `daily`.
        #[arg(long)]
        frequency: Option<String>,
        /// Only endpoints with records of that dataset.
        #[arg(long)]
        dataset: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Tells what is due of the watchlist, and how many calls that takes.
    Plan {
        /// Names of the sources; by default all.
        sources: Vec<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// As of that time, e.g. `2026-11-20T12:00:00Z`; by default now.
        #[arg(long)]
        at: Option<DateTime<Utc>>,
    },
    /// Tells how fresh everything on the watchlist is; fails if something is older than its SLA allows.
    Status {
        /// Names of the sources; by default all.
        sources: Vec<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// As of that time, e.g. `2026-11-20T12:00:00Z`; by default now.
        #[arg(long)]
        at: Option<DateTime<Utc>>,
    },
    /// Lists the days that providers have left out and that are asked for again.
    Gaps {
        /// Names of the sources; by default all.
        sources: Vec<String>,
        /// Those as well that have come, or are held to be absent.
        #[arg(long)]
        all: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// Declares that there is nothing on a day of an item of the source, so that it is not asked for any more.
        #[arg(long, num_args = 3, value_names = ["ENDPOINT", "ITEM", "DAY"], conflicts_with_all = ["all", "json"])]
        absent: Option<Vec<String>>,
    },
    /// Fetches old days of some items, on the side: live polls come first, and their cursor stays where it is.
    Backfill {
        /// Name of the source.
        source: String,
        /// Name of the endpoint.
        endpoint: String,
        /// What to fetch, e.g. `AAPL`; several times for several.
        #[arg(long = "item", required = true)]
        items: Vec<String>,
        /// First day, e.g. `2016-01-01`.
        #[arg(long)]
        from: String,
        /// Last day.
        #[arg(long)]
        to: String,
        /// Days that are asked for at once; by default as many as the provider gives.
        #[arg(long)]
        window: Option<u32>,
        /// Only tells how many calls it takes and when it will be done.
        #[arg(long)]
        dry_run: bool,
        /// Goes on from where it was stopped.
        #[arg(long)]
        resume: bool,
        /// Writes one JSON line per finished window to standard output.
        #[arg(long)]
        progress: bool,
    },
    /// Polls sources, as the watchlist says, until it is stopped.
    Run {
        /// Names of the sources.
        sources: Vec<String>,
        /// Stops after one round; fails if an item could not be had.
        #[arg(long)]
        once: bool,
        /// Forgets what was published before: asks for everything and publishes it again.
        #[arg(long)]
        afresh: bool,
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
        Command::List { sources, kind, frequency, dataset, json } => {
            telemetry::report(chosen(&sources).and_then(|sources| {
                let filter = list::Filter::new(kind.as_deref(), frequency.as_deref(), dataset.as_deref())?;
                if json { list::json(&sources, &filter) } else { list::table(&sources, &filter) }
            }))
        }
        Command::Plan { sources, json, at } => overview::block_on(async {
            overview::plan(chosen(&sources)?, json, at.unwrap_or_else(now)).await.map(|()| ExitCode::SUCCESS)
        }),
        Command::Status { sources, json, at } => {
            overview::block_on(async { overview::status(chosen(&sources)?, json, at.unwrap_or_else(now)).await })
        }
        Command::Gaps { sources, all, json, absent } => overview::block_on(async {
            let sources = chosen(&sources)?;
            match absent {
                Some(gap) => overview::declare_absent(sources, &gap, now()).await?,
                None => overview::gaps(sources, all, json).await?,
            }
            Ok(ExitCode::SUCCESS)
        }),
        Command::Backfill { source, endpoint, items, from, to, window, dry_run, resume, progress } => {
            let backfill = backfill_of(&source, &endpoint, items, [&from, &to], window);
            ended(backfill.and_then(|(source, backfill)| fetch_old(source, &backfill, dry_run, resume, progress)))
        }
        Command::Parse { source, endpoint, item, at, files } => {
            let at = at.unwrap_or_else(now);
            match inspect::Inspection::new(&source, &endpoint, &item, at) {
                Ok(inspection) => inspection.files(&files),
                Err(error) => telemetry::report(Err(error)),
            }
        }
        Command::Delete { dataset, conditions, from, to, known_at, yes } => {
            let times = (from.as_deref(), to.as_deref());
            let deletion = Deletion::new(&dataset, &conditions, times, known_at, now());
            telemetry::report(deletion.and_then(|deletion| delete(deletion, yes)))
        }
        Command::Run { sources, once, afresh, progress } => {
            let mode = if once { Mode::Once } else { Mode::Daemon };
            ended(run(&sources, mode, afresh, progress))
        }
    }
}

fn now() -> DateTime<Utc> {
    Clock::default().now()
}

fn ended(ending: anyhow::Result<Ending>) -> ExitCode {
    match ending {
        Ok(Ending::Complete) => ExitCode::SUCCESS,
        // What went wrong has been logged.
        Ok(Ending::Incomplete) => ExitCode::FAILURE,
        Err(error) => telemetry::report(Err(error)),
    }
}

/// The backfill that was asked for.
fn backfill_of(
    source_name: &str,
    endpoint: &str,
    items: Vec<String>,
    [from, to]: [&str; 2],
    window: Option<u32>,
) -> anyhow::Result<(&'static Source, Backfill)> {
    let source = source(source_name).map_err(|error| anyhow!(error))?;
    let endpoint = source.endpoint(endpoint).map_err(|error| anyhow!(error))?;
    let range = Range { first: backfill::date("--from", from)?, last: backfill::date("--to", to)? };
    Ok((source, Backfill::new(source, endpoint, items, range, window)?))
}

/// Says what a backfill will take, and does it.
fn fetch_old(
    source: &'static Source,
    backfill: &Backfill,
    dry_run: bool,
    resume: bool,
    progress: bool,
) -> anyhow::Result<Ending> {
    telemetry::init();
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let fetcher = Fetcher::from_settings(source)?;
        // Live polls have the first claim on the calls of a day; without a watchlist there are none.
        let run = run_of(Watchlist::load().unwrap_or_default(), Mode::Once, progress, &Health::new())?;
        let state = State::open(&overview::folder(), source.name).await?;
        if let Some(budget) = fetcher.budget() {
            budget.plan(plan::calls_of_day(source, &run.watchlist, now().date_naive()));
        }
        let forecast = backfill.forecast(&state, &fetcher, resume, now()).await?;
        eprint!("{}", forecast.words());
        if dry_run {
            return Ok(Ending::Complete);
        }
        drop(state);
        backfill.run(fetcher, &run, resume).await
    })
}

fn run_of(watchlist: Watchlist, mode: Mode, progress: bool, health: &Health) -> anyhow::Result<Run> {
    Ok(Run {
        watchlist,
        cluster: Cluster::from_settings(),
        mode,
        progress: if progress { Progress::Lines } else { Progress::Silent },
        shutdown: shutdown::token()?,
        meters: Meters::new(health),
        state_dir: Some(overview::folder()),
        clock: Clock::default(),
    })
}

fn run(names: &[String], mode: Mode, afresh: bool, progress: bool) -> anyhow::Result<Ending> {
    let sources = named(names)?;
    let watchlist = Watchlist::load()?;
    telemetry::init();
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let health = Health::new();
        let run = run_of(watchlist, mode, progress, &health)?;
        // A command ends by itself and says how.
        if mode == Mode::Daemon {
            health.start()?;
        }
        for source in sources.iter().filter(|_| afresh) {
            State::open(&overview::folder(), source.name).await?.forget().await?;
        }
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

/// The sources of these names, or all.
fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Source>> {
    if names.is_empty() { Ok(producers::SOURCES.iter().collect()) } else { named(names) }
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
