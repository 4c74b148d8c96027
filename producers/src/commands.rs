//! The commands of the executable: one file each, with its arguments and its `run`.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use chrono::{DateTime, NaiveDate, Utc};
use clap::{Parser, Subcommand};
use kafka::Cluster;
use service::health::Health;
use service::settings::env_file::{self, Around};
use service::{settings, shutdown, telemetry};
use sources::SOURCES;
use sources::parse::body::excerpt;
use sources::source;
use sources::source::Source;

use crate::clock::Clock;
use crate::meters::Meters;
use crate::progress::Progress;
use crate::run::{Ending, Mode, Run};
use crate::watchlist::Watchlist;

mod backfill;
mod delete;
mod deletion;
mod freshness;
mod gaps;
mod kept;
mod known;
mod list;
mod parse;
mod plan;
mod run;
mod seed;
mod status;

/// Poll providers of financial and economic data and publish their records to Kafka
#[derive(Debug, Parser)]
#[command(name = "producer", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// A command of `producer`.
#[derive(Debug, Subcommand)]
pub enum Command {
    Run(run::Arguments),
    #[command(flatten)]
    Operation(Operation),
}

impl Command {
    /// Runs it, as the process that it was given to.
    pub fn run(self) -> ExitCode {
        let run = || match self {
            Command::Run(arguments) => run::run(&arguments),
            Command::Operation(operation) => operation.run(),
        };
        env_file::begin(Around::default()).and_then(|()| run()).unwrap_or_else(|error| telemetry::report(Err(error)))
    }
}

/// A command beside `run`; `tapedeck` has them too. The help texts are those of the arguments.
#[derive(Debug, Subcommand)]
pub enum Operation {
    List(list::Arguments),
    Plan(plan::Arguments),
    Status(status::Arguments),
    Gaps(gaps::Arguments),
    Backfill(backfill::Arguments),
    Delete(delete::Arguments),
    Parse(parse::Arguments),
    Seed(seed::Arguments),
}

impl Operation {
    /// Runs it; an error is for [`telemetry::report`].
    ///
    /// # Errors
    ///
    /// What went wrong, and what to do.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Operation::List(arguments) => list::run(&arguments),
            Operation::Plan(arguments) => plan::run(&arguments),
            Operation::Status(arguments) => status::run(&arguments),
            Operation::Gaps(arguments) => gaps::run(&arguments),
            Operation::Backfill(arguments) => backfill::run(arguments),
            Operation::Delete(arguments) => delete::run(&arguments),
            Operation::Parse(arguments) => parse::run(&arguments),
            Operation::Seed(arguments) => seed::run(&arguments),
        }
    }

    /// Whether it publishes to Kafka.
    #[must_use]
    pub fn needs_kafka(&self) -> bool {
        matches!(self, Operation::Backfill(_) | Operation::Delete(_) | Operation::Seed(_))
    }

    /// Whether it shows how the deck is.
    #[must_use]
    pub fn shows_status(&self) -> bool {
        matches!(self, Operation::Status(_))
    }

    /// Whether it shows the days of which a source has no data.
    #[must_use]
    pub fn shows_missing_days(&self) -> bool {
        matches!(self, Operation::Status(_) | Operation::Gaps(_))
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    Arguments::parse().command.run()
}

fn now() -> DateTime<Utc> {
    Clock::default().now()
}

/// Folder of the state files.
fn folder() -> PathBuf {
    settings::read(&settings::STATE_DIR).unwrap_or_default().into()
}

/// The sources of these names, or all.
fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Source>> {
    if names.is_empty() { Ok(SOURCES.iter().collect()) } else { named(names) }
}

/// The sources of these names, each once.
fn named(names: &[String]) -> anyhow::Result<Vec<&'static Source>> {
    if names.is_empty() {
        let all: Vec<String> = SOURCES.iter().map(|source| format!("`{}`", source.name)).collect();
        return Err(anyhow!("name at least one source: {}", all.join(", ")));
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

/// A date given by an option.
fn date(option: &str, text: &str) -> anyhow::Result<NaiveDate> {
    text.parse().map_err(|_| {
        anyhow!("invalid `{option}`: `{}`; expected a date such as `2024-01-31`", excerpt(text.as_bytes()))
    })
}

/// A run with the settings of the environment.
fn run_of(watchlist: Watchlist, mode: Mode, progress: bool, health: &Health) -> anyhow::Result<Run> {
    Ok(Run {
        progress: if progress { Progress::Lines } else { Progress::Silent },
        shutdown: shutdown::token()?,
        meters: Meters::new(health),
        state_dir: Some(folder()),
        ..Run::new(watchlist, Cluster::from_settings()?, mode)
    })
}

/// The exit code of a run. What went wrong has been logged.
fn exit_code(ending: Ending) -> ExitCode {
    match ending {
        Ending::Complete => ExitCode::SUCCESS,
        Ending::Incomplete => ExitCode::FAILURE,
    }
}

/// Runs a command that needs no more than the state.
fn block_on(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Writes to standard output. A reader that has closed it is no error.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// A time to the minute, in UTC.
fn minute(at: Option<DateTime<Utc>>) -> String {
    at.map_or("-".to_owned(), |at| at.format("%Y-%m-%d %H:%M").to_string())
}
