//! `tapedeck`: the command line.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use cli::commands::{query, up};
use service::telemetry;
use tokio::runtime::Runtime;

/// Record financial and economic data on Kafka and store it in a database
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Arguments),
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
