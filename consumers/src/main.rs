//! `consumer`: plays topics into the database.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use consumers::commands::{dead_letters, migrate, replay, run, verify};
use service::telemetry;
use tokio::runtime::Runtime;

/// Play the topics into the database: validate and upsert chunk by chunk
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Consume datasets, all of them when none is named
    Run(run::Arguments),
    /// Play a range of a dataset's topic again, into its table or a side table
    Replay(replay::Arguments),
    /// Verify that the database holds what the topics say; fail and name the differences when it does not
    Verify(verify::Arguments),
    /// Migrate the database's tables forward or back
    Migrate(migrate::Arguments),
    /// List refused records and why, and try them again once the cause is fixed
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
}

fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    telemetry::init();
    telemetry::report(Runtime::new().context("cannot start the runtime").and_then(|runtime| {
        let outcome = runtime.block_on(run_command(command));
        // A thread may still wait for an unavailable broker; nothing depends on it.
        runtime.shutdown_background();
        outcome
    }))
}

async fn run_command(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run(arguments) => run::run(arguments).await,
        Command::Replay(arguments) => replay::run(arguments).await,
        Command::Verify(arguments) => verify::run(arguments).await,
        Command::Migrate(arguments) => migrate::run(arguments).await,
        Command::DeadLetters(command) => dead_letters::run(command).await,
    }
}
