//! `consumer`: plays topics into the database.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use backon::{ExponentialBuilder, Retryable as _};
use clap::{Parser, Subcommand};
use consumers::consume::OnGap;
use consumers::dead_letters;
use consumers::meters::SinkMetrics;
use consumers::relay::Relay;
use consumers::replay_command;
use consumers::sink::Sink;
use consumers::verify::Verification;
use contract::{Dataset, datasets};
use service::health::Health;
use service::kafka::Cluster;
use service::registry::Registry;
use service::{settings, shutdown, telemetry};
use store::{Database, StoreError};
use tokio::runtime::{Handle, Runtime};
use tokio_util::sync::CancellationToken;

/// How long the process waits for its sinks after one of them has ended with an error or was told to stop.
const END_PATIENCE: Duration = Duration::from_secs(20);

/// Plays the topics into the database: validates and upserts chunk by chunk.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Consume datasets, all of them when none is named
    Run {
        /// Names of datasets
        #[arg(value_name = "DATASET")]
        datasets: Vec<String>,
        /// End when everything that is on the topics is stored
        #[arg(long)]
        once: bool,
    },
    /// Play a part of a dataset's topic again, into its table or one beside it
    Replay {
        /// Name of the dataset
        dataset: String,
        #[command(flatten)]
        replay: replay_command::Arguments,
    },
    /// Prove that the database holds what the topics say; fails and says where when it does not
    Verify {
        /// Names of datasets; all when none is named
        #[arg(value_name = "DATASET")]
        datasets: Vec<String>,
        /// Read the topics again and compare every row; takes about 100 bytes of memory per key
        #[arg(long)]
        deep: bool,
        /// As one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Bring the database's tables up to date, or back
    Migrate {
        /// Go back to this migration; 0 removes all tables with their data
        #[arg(long, value_name = "NUMBER")]
        down_to: Option<i64>,
    },
    /// What was refused and why; try it again once the cause is mended
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    telemetry::init();
    telemetry::report(Runtime::new().context("cannot start the runtime").and_then(|runtime| {
        let outcome = runtime.block_on(run(arguments.command));
        // A thread may still wait for a broker that is away; nothing depends on it.
        runtime.shutdown_background();
        outcome
    }))
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run { datasets, once } => consume(&chosen(&datasets)?, once).await,
        Command::Replay { dataset, replay } => {
            let (dataset, limits, stop) = (one(&dataset)?, replay_command::limits()?, shutdown::token()?);
            Database::from_settings()?.migrate().await?;
            tokio::task::spawn_blocking(move || replay.run(dataset, limits, &Handle::current(), &stop)).await?
        }
        Command::Verify { datasets, deep, json } => verify(chosen(&datasets)?, deep, json).await,
        Command::Migrate { down_to: None } => Ok(Database::from_settings()?.migrate().await?),
        Command::Migrate { down_to: Some(number) } => Ok(Database::from_settings()?.migrate_down(number).await?),
        Command::DeadLetters(command) => dead_letters::run(command).await,
    }
}

async fn verify(datasets: Vec<&'static Dataset>, deep: bool, json: bool) -> anyhow::Result<()> {
    let (cluster, registry) = (Cluster::from_settings(), Registry::from_settings()?);
    let verification = Verification { cluster, database: Database::from_settings()?, registry, datasets, deep };
    let runtime = Handle::current();
    let report = tokio::task::spawn_blocking(move || verification.run(&runtime)).await??;
    report.print(json)
}

fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Dataset>> {
    if names.is_empty() {
        return Ok(datasets().iter().collect());
    }
    names.iter().map(|name| one(name)).collect()
}

fn one(name: &str) -> anyhow::Result<&'static Dataset> {
    let known = || datasets().iter().map(|dataset| dataset.name.as_str()).collect::<Vec<_>>().join(", ");
    contract::dataset(name).with_context(|| format!("there is no dataset `{name}`; there are: {}", known()))
}

async fn consume(datasets: &[&'static Dataset], once: bool) -> anyhow::Result<()> {
    let stop = shutdown::token()?;
    let database = Database::from_settings()?;
    let limits = replay_command::limits()?;
    let health = Health::new();
    let metrics = SinkMetrics::new(&health);
    let sink = |dataset: &&'static Dataset| -> anyhow::Result<Sink> {
        Ok(Sink {
            dataset,
            cluster: Cluster::from_settings(),
            registry: Registry::from_settings()?,
            limits,
            writers: database.writers()?,
            database: database.clone(),
            on_gap: OnGap::from_settings()?,
            breaker_percent: settings::read_number(&settings::BREAKER_PERCENT, 0..=100)? as usize,
            schema_patience: Duration::from_secs(
                settings::read_number(&settings::SCHEMA_PATIENCE, 0..=86_400)?.cast_unsigned(),
            ),
            once,
            meters: metrics.sink(dataset),
        })
    };
    let sinks = datasets.iter().map(sink).collect::<anyhow::Result<Vec<_>>>()?;
    // A command ends by itself and says how.
    if !once {
        health.start()?;
    }
    tokio::select! {
        migrated = migrate(&database, once) => migrated?,
        () = stop.cancelled() => return Ok(()),
    }
    let relay = Relay { cluster: Cluster::from_settings(), registry: Registry::from_settings()?, database };
    relay_beside(relay, sinks, &stop).await
}

/// Runs sinks, and beside them the relay of dead letters. A command also consumes what was relayed meanwhile.
async fn relay_beside(relay: Relay, sinks: Vec<Sink>, stop: &CancellationToken) -> anyhow::Result<()> {
    let is_again = |sink: &&Sink| sink.once && sink.dataset.name == consumers::dead_letter::dataset().name;
    let again: Vec<Sink> = sinks.iter().filter(is_again).cloned().collect();
    let relaying = relay.start();
    let outcome = run_all(sinks, stop).await;
    let relayed = relaying.end().await;
    outcome?;
    if relayed > 0 && !stop.is_cancelled() { run_all(again, stop).await } else { Ok(()) }
}

/// Brings the tables up to date; a daemon waits for a database that is away.
async fn migrate(database: &Database, once: bool) -> anyhow::Result<()> {
    let waits = ExponentialBuilder::default().with_jitter().with_max_delay(Duration::from_secs(15)).without_max_times();
    let attempt = || database.migrate();
    attempt
        .retry(waits)
        .when(|error| !once && matches!(error, StoreError::Retry { .. }))
        .notify(|error, wait| tracing::warn!(%error, wait_s = wait.as_secs_f32(), "waiting for the database"))
        .await?;
    Ok(())
}

/// Runs sinks side by side. When one halts, all stop: a service that does part of its work looks healthy and is not.
async fn run_all(sinks: Vec<Sink>, stop: &CancellationToken) -> anyhow::Result<()> {
    let (sender, mut results) = tokio::sync::mpsc::channel(sinks.len().max(1));
    let count = sinks.len();
    for sink in sinks {
        let (sender, stop, runtime) = (sender.clone(), stop.clone(), Handle::current());
        let name = format!("sink-{}", sink.dataset.name);
        std::thread::Builder::new().name(name).spawn(move || {
            sink.meters.beat();
            let result = sink.run(&runtime, &stop);
            sink.meters.ended();
            // The receiver is gone only when the process ends.
            let _ = sender.blocking_send((sink.dataset, result));
        })?;
    }
    drop(sender);
    let mut failure = None;
    for _ in 0..count {
        let next = tokio::select! {
            next = results.recv() => next,
            () = expiry(stop) => bail!("a sink did not end within {} s; what it had not committed is read again", END_PATIENCE.as_secs()),
        };
        match next {
            Some((dataset, Ok(outcome))) => tracing::info!(dataset = dataset.name, ?outcome, "ended"),
            Some((dataset, Err(error))) => {
                failure.get_or_insert_with(|| anyhow::anyhow!("dataset `{}`: {error}", dataset.name));
                stop.cancel();
            }
            None => bail!("a sink ended without an answer"),
        }
    }
    failure.map_or(Ok(()), Err)
}

async fn expiry(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(END_PATIENCE).await;
}
