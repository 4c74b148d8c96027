//! The circuit breaker: pauses requests to a provider that sends `Retry-After` or fails again and again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row, of any items, after which requests pause.
const MAX_FAILURES: u32 = 5;
/// First and longest pause; each further failure doubles it.
const BREAKS: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(300)];

/// What a request's end shows about the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// It responds.
    Answered,
    /// It does not respond, or fails.
    Failed,
    /// It asks for a pause.
    Busy(Duration),
}

/// The circuit breaker of a source: a failure of one item counts for all its items.
#[derive(Debug, Default)]
pub(super) struct Circuit(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    until: Option<Instant>,
    /// In a row.
    failures: u32,
}

impl Circuit {
    /// How much longer requests pause, and why.
    pub(super) fn left(&self, now: Instant) -> Option<(Duration, String)> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = state.until?.checked_duration_since(now).filter(|left| !left.is_zero())?;
        let seconds = left.as_secs_f64().ceil();
        Some(match state.failures {
            failures if failures >= MAX_FAILURES => (
                left,
                format!("the provider has failed {failures} times in a row; the next request is in {seconds} seconds"),
            ),
            _ => (left, format!("the provider asks for a pause of {seconds} more seconds")),
        })
    }

    /// Records how a request ended; returns the length of the pause if one begins.
    pub(super) fn note(&self, sign: Sign, now: Instant) -> Option<Duration> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = match sign {
            Sign::Answered => {
                *state = State::default();
                return None;
            }
            Sign::Busy(wait) => wait,
            Sign::Failed => {
                state.failures = state.failures.saturating_add(1);
                let doublings = state.failures.checked_sub(MAX_FAILURES)?;
                BREAKS[0].saturating_mul(2_u32.saturating_pow(doublings)).min(BREAKS[1])
            }
        };
        let until = now + wait;
        // A response to an earlier request does not shorten the pause.
        state.until = Some(state.until.map_or(until, |before| before.max(until)));
        Some(wait)
    }
}

#[cfg(test)]
mod tests;
