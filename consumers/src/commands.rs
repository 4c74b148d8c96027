//! The command line of `consumer`: one module per command, with its arguments and `run`.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Error};
use clap::{Parser, Subcommand};
use contract::{Dataset, datasets, declarations};
use service::settings::env_file::{self, Around};
use service::{settings, telemetry};
use store::chunk::Limits;
use tokio::runtime::Runtime;

pub mod dead_letters;
pub mod migrate;
pub mod refresh;
pub mod replay;
pub mod run;
pub mod verify;

/// Play the topics into the database: validate and upsert chunk by chunk
#[derive(Debug, Parser)]
#[command(name = "consumer", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// A command of `consumer`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Consume datasets, all of them when none is named
    Run(run::Arguments),
    #[command(flatten)]
    Operation(Operation),
}

impl Command {
    /// Runs it, as the process that it was given to.
    pub fn run(self) -> ExitCode {
        let begun = env_file::begin(Around::default());
        telemetry::init();
        telemetry::report(begun.and_then(|()| match self {
            Command::Run(arguments) => block_on(run::run(arguments)),
            Command::Operation(operation) => operation.run(),
        }))
    }
}

/// A command beside `run`; `tapedeck` has them too.
#[derive(Debug, Subcommand)]
pub enum Operation {
    /// Play a range of a dataset's topic again, into its table or a side table
    Replay(replay::Arguments),
    /// Verify that the database holds what the topics say; fail and name the differences when it does not
    Verify(verify::Arguments),
    /// Migrate the database's tables: forward (also without a word), back, or as a script
    Migrate(migrate::Arguments),
    /// Bring PostgreSQL's materialized views up to date; their readers do not wait
    Refresh(refresh::Arguments),
    /// List refused records and why, and try them again once the cause is fixed
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
}

impl Operation {
    /// Runs it; blocks.
    ///
    /// # Errors
    ///
    /// What went wrong, and what to do.
    pub fn run(self) -> anyhow::Result<()> {
        block_on(async {
            match self {
                Operation::Replay(arguments) => replay::run(arguments).await,
                Operation::Verify(arguments) => verify::run(arguments).await,
                Operation::Migrate(arguments) => migrate::run(arguments).await,
                Operation::Refresh(arguments) => refresh::run(arguments).await,
                Operation::DeadLetters(command) => dead_letters::run(command).await,
            }
        })
    }

    /// Whether it works on a database.
    #[must_use]
    pub fn needs_database(&self) -> bool {
        match self {
            Operation::Migrate(arguments) => arguments.needs_database(),
            _ => true,
        }
    }

    /// Whether it reads or writes topics.
    #[must_use]
    pub fn needs_kafka(&self) -> bool {
        matches!(self, Operation::Replay(_) | Operation::Verify(_))
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    Arguments::parse().command.run()
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = Runtime::new().context("cannot start the runtime")?;
    let outcome = runtime.block_on(work);
    // A thread may still wait for an unavailable broker; nothing depends on it.
    runtime.shutdown_background();
    outcome
}

/// The datasets of these names; all when none is named.
fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Dataset>> {
    if names.is_empty() {
        return Ok(datasets().iter().collect());
    }
    names.iter().map(|name| one(name)).collect()
}

/// The dataset of that name.
fn one(name: &str) -> anyhow::Result<&'static Dataset> {
    declarations::named(name).map_err(Error::msg)
}

/// When a chunk is committed, as the environment says.
fn limits() -> anyhow::Result<Limits> {
    Ok(Limits {
        rows: settings::read_number(&settings::CHUNK_ROWS, 1..=1_000_000)? as usize,
        bytes: settings::read_number(&settings::CHUNK_BYTES, 1..=1 << 30)? as usize,
        age: Duration::from_millis(settings::read_number(&settings::CHUNK_AGE_MS, 1..=3_600_000)?.cast_unsigned()),
    })
}

/// Prints to standard output. A closed pipe, as of `| head`, is no error.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
