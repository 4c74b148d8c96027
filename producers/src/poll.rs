//! The poll loops: one task per source, each of which polls its items round after round.

use std::collections::HashMap;
use std::sync::Arc;

use kafka::publish::Publisher;
use service::telemetry;
use sources::source::Source;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::deliver::{Delivery, connect};
use crate::events::Events;
use crate::fetch::Fetcher;
use crate::poll::asker::Asker;
use crate::poll::rounds::Poller;
use crate::published::recover::{self, Found, Recovered};
use crate::run::{Ending, KAFKA_WAITS, Mode, Run, Stop};
use crate::state::State;
use crate::tally::Tally;

pub mod agenda;
pub mod ask;
mod asker;
pub mod backfill;
pub mod plan;
mod rounds;

/// Polls sources side by side, each in its own task: a source that is stopped, or whose task panics, does not stop the
/// others.
///
/// A source whose fetcher is an error, for instance for want of a key, counts as stopped.
pub async fn run(sources: Vec<(&'static Source, anyhow::Result<Fetcher>)>, run: Run) -> Ending {
    let mut tasks = JoinSet::new();
    let mut events = HashMap::new();
    for (source, fetcher) in sources {
        let of_source = Events::of(source, &run);
        let task = tasks.spawn(poll(source, fetcher, run.clone(), of_source.clone()));
        events.insert(task.id(), of_source);
    }
    let mut ending = Ending::Complete;
    while let Some(outcome) = tasks.join_next_with_id().await {
        let of_source = outcome.unwrap_or_else(|error| {
            let id = error.id();
            if let Some(events) = events.get(&id) {
                events.stopped(&telemetry::one_line(&error.into()), &Tally::default());
            }
            (id, Ending::Incomplete)
        });
        if of_source.1 == Ending::Incomplete {
            ending = Ending::Incomplete;
        }
    }
    ending
}

async fn poll(source: &'static Source, fetcher: anyhow::Result<Fetcher>, run: Run, events: Events) -> Ending {
    let mut tally = Tally::default();
    let outcome = run.meters.beating(source, poll_source(source, fetcher, &run, &events, &mut tally)).await;
    let reason = match outcome {
        Ok(()) | Err(Stop::Shutdown) => return tally.ending(run.mode),
        Err(Stop::Source(reason)) => reason,
        Err(Stop::Kafka(reason)) => {
            run.shutdown.cancel();
            reason
        }
    };
    events.stopped(&reason, &tally);
    Ending::Incomplete
}

async fn poll_source(
    source: &'static Source,
    fetcher: anyhow::Result<Fetcher>,
    run: &Run,
    events: &Events,
    tally: &mut Tally,
) -> Result<(), Stop> {
    let stopped = |error: anyhow::Error| Stop::Source(telemetry::one_line(&error));
    let mut fetcher = fetcher.map_err(stopped)?;
    if source.endpoints.iter().all(|endpoint| run.watchlist.items(source, endpoint).is_empty()) {
        return Err(Stop::Source(format!("the watchlist names nothing to poll from `{}`", source.name)));
    }
    let state = Arc::new(open(source, run).await.map_err(stopped)?);
    fetcher.attach(Arc::clone(&state), run.clock.clone());
    let publisher = connect(source, run, events).await?;
    let lock = run.shutdown.run_until_cancelled(state.lock()).await.ok_or(Stop::Shutdown)?;
    let recovered = resume(source, run, &publisher, &state).await?;
    let standings = state.standings().await.map_err(unreadable)?;
    let mut delivery = Delivery::new(source, run, publisher, events, tally, &state, recovered);
    delivery.alerts.resume(&run.watchlist, &standings).await;
    drop(lock);
    events.connected();
    let poller = Poller { asker: Asker { source, run, fetcher, events, state: &state }, delivery };
    poller.rounds(&standings).await
}

/// Opens the source's state file, or a state that ends with the process if the run has no folder for it.
async fn open(source: &'static Source, run: &Run) -> anyhow::Result<State> {
    match &run.state_dir {
        Some(folder) => State::open(folder, source.name).await,
        None => State::in_memory(source.name).await,
    }
}

/// Continues after earlier processes: recovers the published records that the state does not have. A daemon waits for
/// Kafka.
///
/// Compares the state with Kafka's offsets. When Kafka has lost records, or is another cluster, everything is published
/// again.
async fn resume(source: &Source, run: &Run, publisher: &Publisher, state: &State) -> Result<Recovered, Stop> {
    let mut wait = KAFKA_WAITS[0];
    loop {
        let marks = state.marks().await.map_err(unreadable)?;
        let is_publishing = state.is_publishing().await.map_err(unreadable)?;
        match recover::look(source, &run.cluster, publisher.routes(), marks, is_publishing).await {
            Ok(Found::Unrecorded(recovered, ends)) => {
                if is_publishing {
                    let messages = recovered.messages().len();
                    info!(
                        source = source.name,
                        messages, "recovered what the process before published and did not record"
                    );
                }
                state.keep_recovered(&recovered, &ends).await.map_err(unreadable)?;
                return state.recovered().await.map_err(unreadable);
            }
            Ok(Found::Lost(reason)) => {
                warn!(source = source.name, "{reason}; everything is published again");
                state.forget().await.map_err(unreadable)?;
                continue;
            }
            Err(error) if run.mode == Mode::Once => return Err(Stop::Kafka(telemetry::one_line(&error))),
            Err(error) => warn!(source = source.name, ?wait, "waiting for Kafka: {}", telemetry::one_line(&error)),
        }
        wait = run.pause(wait).await?;
    }
}

fn unreadable(error: anyhow::Error) -> Stop {
    Stop::Source(format!("cannot read its state: {error:#}"))
}

#[cfg(test)]
mod tests;
