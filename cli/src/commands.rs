//! The commands of `tapedeck`, one file each: arguments and `run`.
//!
//! Every command but `up` and `init` works on a deck: that of `--data-dir`, else the running one. It finds the deck's
//! broker, database and state by itself.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use service::settings::env_file::{self, Around};
use service::{settings, telemetry};
use store::Database;
use tokio::runtime::Runtime;

use crate::folder::{Folder, Kind};

mod completions;
mod describe;
mod diff;
mod doctor;
mod down;
mod history;
mod init;
mod logs;
mod man;
mod moment;
mod query;
mod reset;
mod snapshot;
mod tables;
mod up;
mod vintages;

/// Record financial and economic data on Kafka and store it in a database
#[derive(Debug, Parser)]
#[command(
    name = "tapedeck",
    version,
    after_help = "First steps:\n  tapedeck up --demo\n  tapedeck tables\n  tapedeck \
    query \"select * from ohlcv_bar limit 5\""
)]
struct Arguments {
    /// Folder of all data and logs; by default that of the running deck, else `.tapedeck` (`.tapedeck-demo` for the demo)
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Arguments),
    Down(down::Arguments),
    Init(init::Arguments),
    Doctor(doctor::Arguments),
    Logs(logs::Arguments),
    Reset(reset::Arguments),
    Query(query::Arguments),
    History(history::Arguments),
    Diff(diff::Arguments),
    Vintages(vintages::Arguments),
    Snapshot(snapshot::Arguments),
    Tables(tables::Arguments),
    Describe(describe::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
    #[command(flatten)]
    Produce(producers::commands::Operation),
    #[command(flatten)]
    Consume(consumers::commands::Operation),
    /// Run a producer of a cluster, or one of its commands: `producer`, without a deck
    #[command(subcommand)]
    Producer(producers::commands::Command),
    /// Run a consumer of a cluster, or one of its commands: `consumer`, without a deck
    #[command(subcommand)]
    Consumer(consumers::commands::Command),
    /// Run the embedded broker alone: `tapedeck-broker`
    Broker(broker::daemon::Arguments),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let matches = command_line().get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    run(arguments).unwrap_or_else(|error| telemetry::report(Err(error)))
}

/// The command line. The commands of `producer` and `consumer` have these names in their examples.
fn command_line() -> clap::Command {
    let rename = |text: &clap::builder::StyledStr| {
        text.to_string().replace("`producer ", "`tapedeck ").replace("`consumer ", "`tapedeck ")
    };
    Arguments::command().mut_subcommands(|command| {
        let long = command.get_long_about().map(rename);
        let after = command.get_after_help().map(rename);
        let command = if let Some(text) = long { command.long_about(text) } else { command };
        if let Some(text) = after { command.after_help(text) } else { command }
    })
}

fn run(Arguments { data_dir, command }: Arguments) -> anyhow::Result<ExitCode> {
    let given = data_dir.as_deref();
    let done = |outcome: anyhow::Result<()>| outcome.map(|()| ExitCode::SUCCESS);
    match command {
        Command::Up(arguments) => {
            env_file::begin(arguments.around())?;
            telemetry::init();
            done(block_on(up::run(&arguments, given)))
        }
        Command::Init(arguments) => done(init::run(&arguments)),
        Command::Describe(arguments) => done(describe::run(&arguments)),
        Command::Completions(arguments) => done(completions::run(&arguments)),
        Command::Man(arguments) => done(man::run(&arguments)),
        Command::Down(arguments) => done(down::run(&arguments, &Folder::find(given)?)),
        Command::Logs(arguments) => done(logs::run(&arguments, &Folder::find(given)?)),
        Command::Reset(arguments) => done(reset::run(&arguments, &Folder::find_to_delete(given)?)),
        Command::Doctor(arguments) => {
            let folder = begin(given)?;
            block_on(doctor::run(&arguments, &folder))
        }
        Command::Query(_)
        | Command::History(_)
        | Command::Diff(_)
        | Command::Vintages(_)
        | Command::Snapshot(_)
        | Command::Tables(_) => done(ask(command, &with_database(given)?)),
        Command::Produce(operation) => {
            let folder = begin(given)?;
            if operation.needs_kafka() {
                need_kafka(&folder)?;
            }
            if folder.kind() == Kind::Demo && operation.shows_missing_days() {
                eprintln!("the demo's invented data ends on {}: later trading days count as gaps", simulator::END);
            }
            if operation.shows_status() && folder.exists() && settings::read_secret(&settings::DATABASE_URL)?.is_some()
            {
                note_unpublished();
            }
            operation.run()
        }
        Command::Consume(operation) => {
            let folder = if operation.needs_database() { with_database(given)? } else { begin(given)? };
            if operation.needs_kafka() {
                need_kafka(&folder)?;
            }
            telemetry::init();
            done(operation.run())
        }
        // These have no deck: the environment names everything.
        Command::Producer(command) => Ok(command.run()),
        Command::Consumer(command) => Ok(command.run()),
        Command::Broker(arguments) => Ok(broker::daemon::run(&arguments)),
    }
}

/// Runs a command that only reads the database.
fn ask(command: Command, folder: &Folder) -> anyhow::Result<()> {
    block_on(async {
        match command {
            Command::Query(arguments) => query::run(&arguments, folder).await,
            Command::History(arguments) => history::run(&arguments).await,
            Command::Diff(arguments) => diff::run(&arguments).await,
            Command::Vintages(arguments) => vintages::run(&arguments).await,
            Command::Snapshot(arguments) => snapshot::run(&arguments).await,
            Command::Tables(arguments) => tables::run(&arguments).await,
            _ => bail!("this command does not only read"),
        }
    })
}

/// Finds the deck, and makes its settings those of this process.
fn begin(given: Option<&Path>) -> anyhow::Result<Folder> {
    let folder = Folder::find(given)?;
    env_file::begin(Around { before: folder.running_settings(), after: folder.usual_settings() })?;
    Ok(folder)
}

/// The same for a command that needs a database.
fn with_database(given: Option<&Path>) -> anyhow::Result<Folder> {
    let folder = begin(given)?;
    if settings::read_secret(&settings::DATABASE_URL)?.is_none() {
        bail!(
            "there is no data folder `{}`: start with `tapedeck up --demo`, or name one with --data-dir",
            folder.shown()
        );
    }
    Ok(folder)
}

/// Says how many dead letters Kafka refuses for good. A database that is away has no say in how fresh the sources are.
fn note_unpublished() {
    let count = async {
        let database = Database::from_settings()?;
        let unpublished = database.audit().await?.unpublished().await?;
        Ok(unpublished.iter().map(|(_, count)| count).sum::<i64>())
    };
    match block_on(count) {
        Ok(0) => {}
        Ok(count) => eprintln!("{count} dead letters are not on their topic: see `tapedeck dead-letters list`"),
        Err(error) => eprintln!("cannot count the dead letters that are not on their topic: {error:#}"),
    }
}

/// Nothing guesses an address: another broker may listen on the usual port.
fn need_kafka(folder: &Folder) -> anyhow::Result<()> {
    if settings::given(settings::KAFKA_BROKERS.name).is_none() {
        bail!(
            "no deck runs in `{}`: start it with `tapedeck up`, or name Kafka's brokers with `{}`",
            folder.shown(),
            settings::KAFKA_BROKERS.name
        );
    }
    Ok(())
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = Runtime::new().context("cannot start the runtime")?;
    let outcome = runtime.block_on(work);
    // A thread may still wait for an unavailable broker; nothing depends on it.
    runtime.shutdown_background();
    outcome
}

/// Prints to standard output. A closed pipe, as of `| head`, is no error.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
