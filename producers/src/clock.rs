//! The clock: the system's, or one on which a test lets a year pass in a minute.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use tokio::time::{Instant, sleep, sleep_until};

/// A clock.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    by_hand: Option<Arc<ByHand>>,
}

/// A clock on which time passes only by waiting.
#[derive(Debug)]
struct ByHand {
    start: Instant,
    began: DateTime<Utc>,
    now: Mutex<DateTime<Utc>>,
    note: Note,
}

/// Called with each new time.
struct Note(Box<dyn Fn(DateTime<Utc>) + Send + Sync>);

impl fmt::Debug for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Note")
    }
}

impl Clock {
    /// A clock for tests: a wait lets its time pass at once, and nothing else does.
    pub fn by_hand(began: DateTime<Utc>) -> Clock {
        Clock::by_hand_noted(began, |_| ())
    }

    /// The same; `note` is called with each new time before it is set.
    pub fn by_hand_noted(began: DateTime<Utc>, note: impl Fn(DateTime<Utc>) + Send + Sync + 'static) -> Clock {
        let by_hand = ByHand { start: Instant::now(), began, now: Mutex::new(began), note: Note(Box::new(note)) };
        Clock { by_hand: Some(Arc::new(by_hand)) }
    }

    /// Now, in microseconds, as in published records.
    pub fn now(&self) -> DateTime<Utc> {
        match &self.by_hand {
            Some(clock) => *clock.now.lock().unwrap_or_else(PoisonError::into_inner),
            None => Utc::now().trunc_subsecs(6),
        }
    }

    /// Now, for measuring durations even if the clock is set.
    pub fn instant(&self) -> Instant {
        match &self.by_hand {
            Some(clock) => clock.start + (self.now() - clock.began).to_std().unwrap_or_default(),
            None => Instant::now(),
        }
    }

    /// Waits for a duration.
    pub async fn sleep(&self, wait: Duration) {
        match &self.by_hand {
            Some(_) => self.pass(wait).await,
            None => sleep(wait).await,
        }
    }

    /// Waits until an instant.
    pub async fn sleep_until(&self, at: Instant) {
        match &self.by_hand {
            Some(_) => self.pass(at.saturating_duration_since(self.instant())).await,
            None => sleep_until(at).await,
        }
    }

    /// Lets time pass on a clock for tests.
    async fn pass(&self, wait: Duration) {
        if let Some(clock) = &self.by_hand {
            let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
            let mut now = clock.now.lock().unwrap_or_else(PoisonError::into_inner);
            let then = now.checked_add_signed(wait).unwrap_or(*now);
            clock.note.0(then);
            *now = then;
        }
        // Let other tasks run.
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn on_a_test_clock_a_year_passes_at_once() {
        let began: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        let (clock, real) = (Clock::by_hand(began), Instant::now());
        let start = clock.instant();
        assert_eq!(clock.now(), began);
        let year = Duration::from_secs(365 * 86_400);
        clock.sleep(year).await;
        assert_eq!(clock.now().to_rfc3339(), "2027-01-01T00:00:00+00:00");
        assert_eq!(clock.instant() - start, year);
        clock.sleep_until(start + year).await;
        assert_eq!(clock.clone().now() - began, TimeDelta::days(365));
        assert!(real.elapsed() < Duration::from_secs(60));
    }

    #[tokio::test]
    async fn a_test_clock_reports_each_new_time_before_it_is_set() {
        let began: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        let told = Arc::<Mutex<Vec<DateTime<Utc>>>>::default();
        let heard = Arc::clone(&told);
        let clock = Clock::by_hand_noted(began, move |now| heard.lock().unwrap().push(now));
        clock.sleep(Duration::from_secs(60)).await;
        clock.sleep(Duration::ZERO).await;
        assert_eq!(*told.lock().unwrap(), [began + TimeDelta::minutes(1); 2]);
    }
}
