//! `consumer run`: consumes datasets until it is stopped, or to the end of their topics.

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use contract::Dataset;
use kafka::Cluster;
use kafka::registry::Registry;
use service::health::{HEARTBEAT_BOUND, Health};
use service::{settings, shutdown};
use store::{Database, StoreError, dead_letter, identity};
use tokio_util::sync::CancellationToken;

use super::{chosen, limits, migrate};
use crate::compact::keep_compact;
use crate::events::EventMetrics;
use crate::relay::Relay;
use crate::sink::meters::SinkMetrics;
use crate::sink::{OnGap, Sink};
use crate::supervise::run_sinks;

/// What to consume.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Names of datasets; all when none is named
    #[arg(value_name = "DATASET")]
    datasets: Vec<String>,
    /// End when everything that is on the topics is stored
    #[arg(long)]
    once: bool,
}

/// Consumes into the database that the environment names.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { datasets, once } = arguments;
    let datasets = chosen(&datasets)?;
    let stop = shutdown::token()?;
    let database = Database::from_settings()?;
    let health = Health::new();
    let mut sinks = sinks(&datasets, once, &database, &health)?;
    // A command ends by itself and says how.
    if !once {
        health.start()?;
    }
    let identity = tokio::select! {
        identity = bring_up_to_date(&database, once) => identity?,
        () = stop.cancelled() => return Ok(()),
    };
    sinks.iter_mut().for_each(|sink| sink.identity = Some(identity.clone()));
    let heartbeat = Arc::new(health.heartbeat("relay of dead letters", HEARTBEAT_BOUND));
    let (cluster, registry) = (Cluster::from_settings()?, Registry::from_settings()?);
    let help = "Dead letters that Kafka accepts in no form: they are in the table and not on their topic";
    let unpublished = health.metrics().counters("dead_letters_unpublished", help, ["dataset"]);
    let relay = Relay { cluster, registry, database: database.clone(), heartbeat, unpublished };
    tokio::select! {
        ended = run_with_relay(relay, sinks, &stop) => ended,
        () = keep_compact(&database) => Ok(()),
    }
}

fn sinks(datasets: &[&'static Dataset], once: bool, database: &Database, health: &Health) -> anyhow::Result<Vec<Sink>> {
    let (metrics, events) = (SinkMetrics::new(health), EventMetrics::new(health.metrics()));
    let limits = limits()?;
    let sink = |dataset: &&'static Dataset| -> anyhow::Result<Sink> {
        Ok(Sink {
            dataset,
            cluster: Cluster::from_settings()?,
            registry: Registry::from_settings()?,
            limits,
            writers: database.writers()?,
            database: database.clone(),
            identity: None,
            on_gap: OnGap::from_settings()?,
            breaker_percent: settings::read_number(&settings::BREAKER_PERCENT, 0..=100)? as usize,
            schema_patience: Duration::from_secs(
                settings::read_number(&settings::SCHEMA_PATIENCE, 0..=86_400)?.cast_unsigned(),
            ),
            once,
            meters: metrics.sink(dataset),
            events: events.sink(dataset),
        })
    };
    datasets.iter().map(sink).collect()
}

/// Runs sinks, and beside them the relay of dead letters. A command also consumes what was relayed meanwhile.
async fn run_with_relay(relay: Relay, sinks: Vec<Sink>, stop: &CancellationToken) -> anyhow::Result<()> {
    let is_again = |sink: &&Sink| sink.once && sink.dataset.name == dead_letter::dataset().name;
    let again: Vec<Sink> = sinks.iter().filter(is_again).cloned().collect();
    let mut relaying = relay.start();
    let outcome = tokio::select! {
        outcome = run_sinks(sinks, stop) => outcome,
        line = relaying.failed() => Err(anyhow::anyhow!(line)),
    };
    let relayed = relaying.end(stop).await;
    outcome?;
    if relayed > 0 && !stop.is_cancelled() { run_sinks(again, stop).await } else { Ok(()) }
}

/// Brings the tables up to date and returns the database's identity; a daemon waits for a database that is away.
async fn bring_up_to_date(database: &Database, once: bool) -> anyhow::Result<String> {
    let waits = ExponentialBuilder::default().with_jitter().with_max_delay(Duration::from_secs(15)).without_max_times();
    let attempt = async || {
        database.migrate_to(None, &migrate::log).await?;
        identity::read(&mut *database.store("identity")).await
    };
    let identity = attempt
        .retry(waits)
        .when(|error| !once && matches!(error, StoreError::Retry { .. }))
        .notify(|error, wait| tracing::warn!(%error, wait_s = wait.as_secs_f32(), "waiting for the database"))
        .await?;
    Ok(identity)
}
