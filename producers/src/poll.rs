//! The poll loops: one task per source, each of which polls its items round after round.

use std::sync::Arc;
use std::time::Duration;

use kafka::publish::Publisher;
use service::telemetry;
use sources::source::Source;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use crate::deliver::{Delivery, connect};
use crate::events::Events;
use crate::fetch::{self, Fetcher};
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

/// First and longest wait before a source that was stopped is tried again.
const STOPPED_WAITS: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(3600)];
/// How often a stopped source looks for another key or address, which is tried at once.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Makes the fetcher of a source: at the start, and again whenever a stopped source is tried.
pub type Open = Box<dyn Fn() -> anyhow::Result<Fetcher> + Send>;

/// Polls sources side by side, each in its own task: a source that is stopped, or whose task panics, does not stop the
/// others.
///
/// A daemon tries a stopped source again, after longer and longer waits, or as soon as its settings change. A source
/// whose fetcher is an error, for instance for want of a key, counts as stopped.
pub async fn run(sources: Vec<(&'static Source, Open)>, run: Run) -> Ending {
    let mut tasks = JoinSet::new();
    for (source, open) in sources {
        tasks.spawn(supervise(source, open, run.clone()));
    }
    let mut ending = Ending::Complete;
    while let Some(outcome) = tasks.join_next().await {
        if !matches!(outcome, Ok(Ending::Complete)) {
            ending = Ending::Incomplete;
        }
    }
    ending
}

/// Polls a source, in a daemon again after each time that it was stopped.
async fn supervise(source: &'static Source, open: Open, run: Run) -> Ending {
    let events = Events::of(source, &run);
    let (mut wait, mut is_retry) = (STOPPED_WAITS[0], false);
    loop {
        let (began, settings) = (run.clock.instant(), fetch::settings_stamp(source));
        let polling = poll(source, open(), run.clone(), events.clone(), is_retry);
        // In its own task, so that a panic ends only this try.
        let polled = AbortOnDropHandle::new(tokio::spawn(polling)).await;
        let (outcome, tally) =
            polled.unwrap_or_else(|error| (Err(Stop::Source(telemetry::one_line(&error.into()))), Tally::default()));
        let reason = match outcome {
            Ok(()) | Err(Stop::Shutdown) => return tally.ending(run.mode),
            Err(Stop::Source(reason)) => reason,
            Err(Stop::Kafka(reason)) => {
                if run.mode == Mode::Once {
                    run.shutdown.cancel();
                }
                reason
            }
        };
        if run.mode == Mode::Once {
            events.stopped(&reason, &tally, None);
            return Ending::Incomplete;
        }
        if run.clock.instant() - began > STOPPED_WAITS[1] {
            wait = STOPPED_WAITS[0];
        }
        note_stopped(source, &run, &reason, wait).await;
        events.stopped(&reason, &tally, Some(wait));
        if await_retry(source, &run, wait, settings).await.is_none() {
            return Ending::Incomplete;
        }
        (wait, is_retry) = ((wait * 2).min(STOPPED_WAITS[1]), true);
    }
}

/// Keeps for `status` why a source is stopped.
async fn note_stopped(source: &'static Source, run: &Run, reason: &str, wait: Duration) {
    let noted = async { open(source, run).await?.stopped(reason, run.clock.now(), wait).await };
    if let Err(error) = noted.await {
        warn!(source = source.name, "cannot note that it is stopped: {}", telemetry::one_line(&error));
    }
}

/// Waits until the source is to be tried again: after that time, or when its settings differ. None at the shutdown.
async fn await_retry(source: &Source, run: &Run, wait: Duration, tried: u64) -> Option<()> {
    let due = run.clock.instant() + wait;
    while run.clock.instant() < due && fetch::settings_stamp(source) == tried {
        let left = due.saturating_duration_since(run.clock.instant()).min(LOOK_INTERVAL);
        run.shutdown.run_until_cancelled(run.clock.sleep(left)).await?;
    }
    Some(())
}

async fn poll(
    source: &'static Source,
    fetcher: anyhow::Result<Fetcher>,
    run: Run,
    events: Events,
    is_retry: bool,
) -> (Result<(), Stop>, Tally) {
    let mut tally = Tally::default();
    let polling = poll_source(source, fetcher, &run, &events, &mut tally, is_retry);
    let outcome = run.meters.beating(source, polling).await;
    (outcome, tally)
}

async fn poll_source(
    source: &'static Source,
    fetcher: anyhow::Result<Fetcher>,
    run: &Run,
    events: &Events,
    tally: &mut Tally,
    is_retry: bool,
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
    let poller = Poller { asker: Asker { source, run, fetcher, events, state: &state }, delivery, is_retry };
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
