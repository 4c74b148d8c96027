//! What the test of a year and its producer share: the provider, its key, and a clock kept in a file.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use producers::clock::Clock;
use sources::providers::yahoo;
use sources::source::{Auth, Endpoint, Quota, Source};

/// The executable of the producer.
pub const PRODUCER: &str = "producer-of-a-year";
/// The variable that names the file with the time.
pub const CLOCK_FILE: &str = "TAPEDECK_TEST_CLOCK_FILE";
/// The variable with the key.
pub const KEY: &str = "TAPEDECK_TEST_YEAR_KEY";
/// The variable with the calls of a day.
pub const CALLS: &str = "TAPEDECK_YAHOO_CALLS_PER_DAY";

/// Yahoo's chart only, with a key and a quota. It is polled every two hours, so that a year does not take too long.
pub fn source() -> &'static Source {
    let chart = yahoo::SOURCE.endpoint("chart").unwrap();
    let mut chart = Endpoint { ..*chart };
    chart.schedule.every = Duration::from_secs(2 * 3600);
    let quota = Some(Quota { calls: 0, env: CALLS, costs: &[] });
    let auth = Auth::Query { param: "apikey", env: KEY, doc: "any" };
    Box::leak(Box::new(Source { endpoints: Box::leak(Box::new([chart])), quota, auth, ..yahoo::SOURCE }))
}

/// A clock in a file: the time of the provider and of the producer, however often that is killed.
#[derive(Debug, Clone)]
pub struct Time {
    path: PathBuf,
}

impl Time {
    /// The clock in that file.
    pub fn of(path: &Path) -> Time {
        Time { path: path.to_owned() }
    }

    /// Sets it.
    pub fn set(&self, now: DateTime<Utc>) {
        std::fs::write(&self.path, now.timestamp_micros().to_le_bytes()).unwrap();
    }

    /// The current time.
    pub fn now(&self) -> DateTime<Utc> {
        let mut bytes = [0; 8];
        File::open(&self.path).unwrap().read_exact_at(&mut bytes, 0).unwrap();
        DateTime::from_timestamp_micros(i64::from_le_bytes(bytes)).unwrap()
    }

    /// The clock for the process that advances it.
    pub fn clock(&self) -> Clock {
        let file = File::options().write(true).open(&self.path).unwrap();
        // All eight bytes at once: a killed process leaves one time or the other.
        Clock::by_hand_noted(self.now(), move |now| {
            file.write_all_at(&now.timestamp_micros().to_le_bytes(), 0).unwrap();
        })
    }
}
