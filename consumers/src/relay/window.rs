//! Sends many messages, a few at a time, and keeps every result that arrives in time.

use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::{Instant, timeout_at};

/// How many messages are on their way at once, and until when.
#[derive(Debug)]
pub(super) struct Limits {
    /// Most messages on their way at the same time.
    pub(super) at_once: usize,
    /// After this time no other message is sent.
    pub(super) start: Duration,
    /// After this time no other result is awaited.
    pub(super) end: Duration,
}

/// What became of messages that were to be sent.
#[derive(Debug)]
pub(super) struct Sends<T> {
    /// The result of each; None: it was not sent, or is abandoned.
    pub(super) results: Vec<Option<T>>,
    /// How many were on their way at the end, with a result that nobody learns.
    pub(super) abandoned: usize,
}

/// Sends messages in their order, and waits for their results. A message is on its way from the first poll of its
/// future.
pub(super) async fn send_all<T, F: Future<Output = T>>(sends: Vec<F>, limits: &Limits) -> Sends<T> {
    let began = Instant::now();
    let mut results: Vec<Option<T>> = sends.iter().map(|_| None).collect();
    let mut waiting = sends.into_iter().enumerate();
    let mut on_the_way = FuturesUnordered::new();
    loop {
        while on_the_way.len() < limits.at_once && began.elapsed() < limits.start {
            let Some((at, send)) = waiting.next() else { break };
            on_the_way.push(async move { (at, send.await) });
        }
        match timeout_at(began + limits.end, on_the_way.next()).await {
            Ok(Some((at, result))) => results[at] = Some(result),
            Ok(None) | Err(_) => return Sends { results, abandoned: on_the_way.len() },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::sleep;

    use super::*;

    /// Long enough for a machine under load to tell it from nothing.
    const LONG: Duration = Duration::from_secs(600);
    const SHORT: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn no_more_than_allowed_are_on_their_way_and_each_has_its_own_result() {
        let (on_the_way, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let send = async |number: usize| {
            most.fetch_max(on_the_way.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            sleep(Duration::from_millis(number as u64 % 3)).await;
            on_the_way.fetch_sub(1, Ordering::Relaxed);
            number
        };
        let sends = send_all((0..100).map(send).collect(), &Limits { at_once: 8, start: LONG, end: LONG }).await;
        assert_eq!(sends.results, (0..100).map(Some).collect::<Vec<_>>());
        assert_eq!((most.into_inner(), sends.abandoned), (8, 0));
    }

    #[tokio::test]
    async fn a_message_that_is_late_costs_no_other_its_result() {
        let send = async |number: usize| {
            if number == 1 {
                sleep(LONG).await;
            }
            number
        };
        let sends = send_all((0..4).map(send).collect(), &Limits { at_once: 2, start: LONG, end: SHORT }).await;
        assert_eq!((sends.results, sends.abandoned), (vec![Some(0), None, Some(2), Some(3)], 1));
    }

    #[tokio::test]
    async fn after_a_slow_start_the_results_of_what_was_sent_are_awaited_and_nothing_else_is_sent() {
        let started = AtomicUsize::new(0);
        let send = async |number: usize| {
            started.fetch_add(1, Ordering::Relaxed);
            sleep(2 * SHORT).await;
            number
        };
        let sends = send_all((0..5).map(send).collect(), &Limits { at_once: 2, start: SHORT, end: LONG }).await;
        assert_eq!((sends.results, sends.abandoned), (vec![Some(0), Some(1), None, None, None], 0));
        assert_eq!(started.into_inner(), 2, "what was not sent cannot be on the topic");
    }
}
