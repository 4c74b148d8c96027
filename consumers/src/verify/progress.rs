//! Logs the progress of a long comparison.

use std::time::{Duration, Instant};

/// How often progress is logged.
const INTERVAL: Duration = Duration::from_secs(10);

/// One step of a comparison.
pub(super) struct Progress {
    dataset: String,
    /// What is counted.
    what: &'static str,
    /// How many there are; None when this is not known.
    total: Option<u64>,
    done: u64,
    reported: Instant,
}

impl Progress {
    pub(super) fn new(dataset: &str, what: &'static str, total: Option<u64>) -> Progress {
        Progress { dataset: dataset.to_owned(), what, total, done: 0, reported: Instant::now() }
    }

    /// Counts one more, and logs the progress when it is time to.
    pub(super) fn count(&mut self) {
        self.done += 1;
        // The clock is not read for every record.
        if self.done.is_multiple_of(1000) && self.reported.elapsed() >= INTERVAL {
            self.reported = Instant::now();
            tracing::info!("{}", self.line());
        }
    }

    fn line(&self) -> String {
        let Progress { dataset, what, total, done, .. } = self;
        match total {
            Some(total) => format!("{dataset}: {done} of {total} {what} ({} %)", done * 100 / (*total).max(1)),
            None => format!("{dataset}: {done} {what}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_how_much_is_done_and_of_how_much_if_that_is_known() {
        let mut progress = Progress::new("series", "records read", Some(200));
        (0..50).for_each(|_| progress.count());
        assert_eq!(progress.line(), "series: 50 of 200 records read (25 %)");
        let rows = Progress::new("series", "rows read", None);
        assert_eq!(rows.line(), "series: 0 rows read");
    }
}
