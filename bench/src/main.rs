//! `tapedeck-bench`: measures speeds and costs, each beside a baseline. Measure release builds.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

use std::panic;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use service::telemetry;
use sources::parse::caught::without_caught;
use tokio::runtime::Runtime;

mod bars;
mod broker;
mod idle;
mod inputs;
mod ledger;
mod limits;
mod memory;
mod parse;
mod pipeline;
mod poison;
mod query;
mod report;
mod scratch;
mod setup;
mod upsert;
mod verify;

/// The producer's, so that `parse` measures what the producer runs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measure tapedeck beside a baseline
///
/// All benchmarks but `parse` and `broker` use `TAPEDECK_KAFKA_BROKERS` and `TAPEDECK_DATABASE_URL`, with topics of
/// their own and a database of their own beside the one named. They remove both afterwards.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Pipeline(pipeline::Arguments),
    Idle(idle::Arguments),
    Upsert(upsert::Arguments),
    Poison(poison::Arguments),
    Ledger(ledger::Arguments),
    Verify(verify::Arguments),
    Query(query::Arguments),
    Parse(parse::Arguments),
    Broker(broker::Arguments),
}

fn main() -> ExitCode {
    panic::set_hook(without_caught(panic::take_hook()));
    let arguments = Arguments::parse();
    telemetry::init();
    telemetry::report(Runtime::new().context("cannot start the runtime").and_then(|runtime| {
        let outcome = runtime.block_on(async {
            match arguments.command {
                Command::Pipeline(arguments) => pipeline::run(&arguments).await,
                Command::Idle(arguments) => idle::run(&arguments).await,
                Command::Upsert(arguments) => upsert::run(&arguments).await,
                Command::Poison(arguments) => poison::run(&arguments).await,
                Command::Ledger(arguments) => ledger::run(&arguments).await,
                Command::Verify(arguments) => verify::run(&arguments).await,
                Command::Query(arguments) => query::run(&arguments).await,
                Command::Parse(arguments) => parse::run(&arguments),
                Command::Broker(arguments) => broker::run(&arguments).await,
            }
        });
        runtime.shutdown_background();
        outcome
    }))
}
