//! When a provider is left alone: because it said so, or because it fails again and again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row, of whichever items, after which a provider is left alone.
const MAX_FAILURES: u32 = 5;
/// First and longest time that it is left alone then; each time it is found to fail still doubles it.
const BREAKS: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(300)];

/// How a request ended, as far as it tells of the provider and not of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// It is there.
    Answered,
    /// It is not, or fails.
    Failed,
    /// It wants to be left alone.
    Busy(Duration),
}

/// Whether a provider is left alone; what one item of it was told counts for all.
#[derive(Debug, Default)]
pub(super) struct Rest(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    until: Option<Instant>,
    /// In a row.
    failures: u32,
}

impl Rest {
    /// How much longer it is left alone, and why.
    pub(super) fn left(&self, now: Instant) -> Option<(Duration, String)> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = state.until?.checked_duration_since(now).filter(|left| !left.is_zero())?;
        let seconds = left.as_secs_f64().ceil();
        Some(match state.failures {
            failures if failures >= MAX_FAILURES => {
                (left, format!("it has failed {failures} times in a row, and is asked again in {seconds} seconds"))
            }
            _ => (left, format!("it wants to be left alone for {seconds} seconds more")),
        })
    }

    /// Notes how a request has ended; gives how long the provider is left alone when that begins.
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
        // An answer that was on its way before does not shorten it.
        state.until = Some(state.until.map_or(until, |before| before.max(until)));
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A provider and a clock.
    struct Tried {
        rest: Rest,
        now: Instant,
    }

    impl Tried {
        fn new() -> Tried {
            Tried { rest: Rest::default(), now: Instant::now() }
        }

        fn note(&self, sign: Sign) -> Option<u64> {
            self.rest.note(sign, self.now).map(|wait| wait.as_secs())
        }

        fn left(&self) -> Option<u64> {
            self.rest.left(self.now).map(|(left, _)| left.as_secs())
        }
    }

    #[test]
    fn a_provider_that_wants_to_be_left_alone_is_for_as_long_as_it_said() {
        let mut tried = Tried::new();
        assert_eq!((tried.note(Sign::Busy(Duration::from_secs(60))), tried.left()), (Some(60), Some(60)));
        tried.note(Sign::Busy(Duration::from_secs(5)));
        tried.now += Duration::from_secs(59);
        let (_, why) = tried.rest.left(tried.now).unwrap();
        assert_eq!(why, "it wants to be left alone for 1 seconds more");
        tried.now += Duration::from_secs(1);
        assert_eq!(tried.left(), None);
        // It is there, however often it says so.
        (0..4).for_each(|_| assert_eq!(tried.note(Sign::Busy(Duration::from_secs(5))), Some(5)));
        assert_eq!(tried.note(Sign::Failed), None);
    }

    #[test]
    fn one_that_fails_again_and_again_is_asked_less_and_less_until_it_answers() {
        let mut tried = Tried::new();
        for _ in 0..4 {
            assert_eq!((tried.note(Sign::Failed), tried.left()), (None, None));
        }
        let mut waits = Vec::new();
        for _ in 0..8 {
            waits.push(tried.note(Sign::Failed).unwrap());
            tried.now += tried.rest.left(tried.now).unwrap().0;
            assert_eq!(tried.left(), None);
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300, 300]);
        tried.note(Sign::Answered);
        assert_eq!((tried.note(Sign::Failed), tried.left()), (None, None));
    }

    #[test]
    fn an_answer_in_between_forgets_the_failures() {
        let tried = Tried::new();
        for _ in 0..100 {
            (0..4).for_each(|_| assert_eq!(tried.note(Sign::Failed), None));
            tried.note(Sign::Answered);
        }
        assert_eq!(tried.left(), None);
    }
}
