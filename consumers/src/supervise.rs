//! Supervises the threads of sinks: however one ends, which it was and why is known at once.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use anyhow::{anyhow, bail};
use store::Outcome;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::sink::{Sink, SinkError, panic_text};

/// How long the process waits for its sinks after one of them has ended with an error or was told to stop.
const END_PATIENCE: Duration = Duration::from_secs(20);

/// The work of a sink, under the name of its dataset.
struct Worker {
    dataset: String,
    work: Box<dyn FnOnce() -> Result<Outcome, SinkError> + Send>,
}

/// Runs sinks side by side. When one halts, all stop: a service that does part of its work looks healthy and is not.
///
/// # Errors
///
/// That of the first sink that halted, with its dataset; or which sinks did not end in time.
pub(crate) async fn run_sinks(sinks: Vec<Sink>, stop: &CancellationToken) -> anyhow::Result<()> {
    let worker = |sink: Sink| {
        let (dataset, runtime, stop) = (sink.dataset.name.clone(), Handle::current(), stop.clone());
        let work = move || {
            sink.meters.beat();
            let result = sink.run(&runtime, &stop);
            sink.meters.ended();
            result
        };
        Worker { dataset, work: Box::new(work) }
    };
    supervise(sinks.into_iter().map(worker).collect(), stop).await
}

async fn supervise(workers: Vec<Worker>, stop: &CancellationToken) -> anyhow::Result<()> {
    let (sender, mut results) = mpsc::channel(workers.len().max(1));
    let mut running: BTreeSet<String> = workers.iter().map(|worker| worker.dataset.clone()).collect();
    for Worker { dataset, work } in workers {
        let sender = sender.clone();
        std::thread::Builder::new().name(format!("sink-{dataset}")).spawn(move || {
            let panicked = |panic: Box<dyn std::any::Any + Send>| {
                Err(SinkError::Halt(format!("its thread panicked: {}", panic_text(&*panic))))
            };
            let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(panicked);
            // The receiver is gone only when the process ends.
            let _ = sender.blocking_send((dataset, result));
        })?;
    }
    drop(sender);
    let mut failure = None;
    while !running.is_empty() {
        let ended = tokio::select! {
            ended = results.recv() => ended,
            () = expiry(stop) => bail!(
                "{} did not end within {} s; what they had not committed is read again",
                named(&running), END_PATIENCE.as_secs()
            ),
        };
        let Some((dataset, result)) = ended else { bail!("{} ended without a result", named(&running)) };
        running.remove(&dataset);
        match result {
            Ok(outcome) => tracing::info!(dataset, ?outcome, "ended"),
            Err(error) => {
                if !running.is_empty() {
                    // The process ends with this line, but not before the others have ended.
                    tracing::error!(dataset, %error, "sink ended, stopping the others");
                }
                failure.get_or_insert_with(|| anyhow!("dataset `{dataset}`: {error}"));
                stop.cancel();
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

/// The sinks of these datasets, for a message.
fn named(datasets: &BTreeSet<String>) -> String {
    let names: Vec<String> = datasets.iter().map(|name| format!("`{name}`")).collect();
    format!("the sinks of {}", names.join(", "))
}

async fn expiry(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(END_PATIENCE).await;
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn worker(dataset: &str, work: impl FnOnce() -> Result<Outcome, SinkError> + Send + 'static) -> Worker {
        Worker { dataset: dataset.to_owned(), work: Box::new(work) }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_thread_that_panics_stops_the_others_at_once_and_is_named() {
        // With RUST_BACKTRACE the backtrace of a panic alone can take longer than a second.
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.to_string().contains("no such") {
                default(info)
            }
        }));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let good = worker("good", move || {
            while !stopped.is_cancelled() {
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(Outcome::default())
        });
        let began = Instant::now();
        let ended = supervise(vec![good, worker("bad", || panic!("no such row"))], &stop).await;
        assert_eq!(ended.unwrap_err().to_string(), "dataset `bad`: its thread panicked: no such row");
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_first_error_is_the_one_that_is_told() {
        let failing = || worker("bad", || Err(SinkError::Halt("the table is gone".to_owned())));
        let ended = supervise(vec![failing()], &CancellationToken::new()).await;
        assert_eq!(ended.unwrap_err().to_string(), "dataset `bad`: the table is gone");
        assert!(supervise(Vec::new(), &CancellationToken::new()).await.is_ok());
    }
}
