//! `tapedeck`: what a person types.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

use std::panic;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use service::telemetry;
use sources::parse::caught::without_caught;
use tokio::runtime::Runtime;

mod bench;
mod child;
mod deck;
mod progress;
mod query;
mod summary;
mod up;

/// The producer's, so that `bench parse` measures what it runs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    /// Measure
    #[command(subcommand)]
    Bench(bench::Command),
}

fn main() -> ExitCode {
    panic::set_hook(without_caught(panic::take_hook()));
    let arguments = Arguments::parse();
    telemetry::init();
    telemetry::report(Runtime::new().context("cannot start the runtime").and_then(|runtime| {
        let outcome = runtime.block_on(async {
            match arguments.command {
                Command::Up(arguments) => up::run(&arguments).await,
                Command::Query(arguments) => query::run(&arguments).await,
                Command::Bench(command) => bench::run(&command).await,
            }
        });
        runtime.shutdown_background();
        outcome
    }))
}
