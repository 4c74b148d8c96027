//! The chunks that must be written before a revocation.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Counts the chunks that are being written.
///
/// A partition's next owner reads the position from the database. A later commit of ours would fence it. So a
/// revocation waits until no chunk is in flight.
#[derive(Debug, Default)]
pub struct InFlight {
    count: Mutex<Count>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Count {
    chunks: usize,
    is_abandoned: bool,
}

impl InFlight {
    /// A chunk is handed over to be written.
    pub fn begin(&self) {
        self.lock().chunks += 1;
    }

    /// A chunk has been written, or its writer has failed.
    pub fn end(&self) {
        let mut count = self.lock();
        count.chunks = count.chunks.saturating_sub(1);
        self.changed.notify_all();
    }

    /// Ends every wait: chunks in flight may never finish, because a thread has panicked.
    pub fn abandon(&self) {
        self.lock().is_abandoned = true;
        self.changed.notify_all();
    }

    /// Waits until no chunk is in flight; false when that takes too long or was abandoned.
    pub fn await_none(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut count = self.lock();
        while count.chunks > 0 && !count.is_abandoned {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return false;
            };
            count = self.changed.wait_timeout(count, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        count.chunks == 0
    }

    fn lock(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_revocation_waits_for_what_is_in_flight_and_not_for_what_was_abandoned() {
        let in_flight = InFlight::default();
        assert!(in_flight.await_none(Duration::ZERO));
        in_flight.begin();
        assert!(!in_flight.await_none(Duration::ZERO));
        let waited = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| in_flight.await_none(LONG));
            in_flight.end();
            waiting.join().unwrap()
        });
        assert!(waited);
        in_flight.begin();
        let waited = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| in_flight.await_none(LONG));
            in_flight.abandon();
            waiting.join().unwrap()
        });
        assert!(!waited);
    }
}
