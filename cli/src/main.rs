//! `tapedeck`: what a person types.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use cli::commands::{query, up};
use service::telemetry;
use tokio::runtime::Runtime;

/// Records what financial and economic data providers say on Kafka, and plays it into a database.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on this machine: broker, producers, consumers, database
    Up(up::Arguments),
    /// Show what a SQL query finds in the database
    Query(query::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    telemetry::init();
    telemetry::report(Runtime::new().context("cannot start the runtime").and_then(|runtime| {
        let outcome = runtime.block_on(async {
            match arguments.command {
                Command::Up(arguments) => up::run(&arguments).await,
                Command::Query(arguments) => query::run(&arguments).await,
            }
        });
        runtime.shutdown_background();
        outcome
    }))
}
