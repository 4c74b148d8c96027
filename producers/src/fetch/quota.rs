//! The calls of a day: how many a provider grants, and how many are spent, whatever happens to the process.
//!
//! Calls are reserved before they are made, some at a time: a process that is killed leaves some of them unused, and none
//! is made that was not counted.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use service::settings;
use tracing::warn;

use crate::page::midnight;
use crate::source::{Quota, Source};

/// Shares of a day's calls that are reserved at a time.
const SHARES: u32 = 1000;

/// Wait for a folder in which nothing can be kept: nothing is asked that could not be counted.
const UNKEPT_WAIT: Duration = Duration::from_secs(60);

/// What is left of the calls of a provider's day.
#[derive(Debug)]
pub(super) struct Budget {
    /// Calls in a day.
    calls: u32,
    /// Where it is kept.
    file: PathBuf,
    day: Mutex<Day>,
}

/// A day, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Day {
    date: NaiveDate,
    /// Calls made.
    spent: u32,
    /// Calls that are on record as made.
    reserved: u32,
}

/// A day as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    date: NaiveDate,
    calls: u32,
}

/// There are no more calls in this day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spent {
    /// Until there are.
    pub(super) wait: Duration,
    /// In words.
    pub(super) reason: String,
}

impl Budget {
    /// That of a source, as the environment has it, or by default of its plan; None for one that grants any number.
    ///
    /// What somebody else put in a provider's place (`is_own` is false) grants any number, too, unless the environment says so.
    pub(super) fn of(source: &Source, is_own: bool) -> anyhow::Result<Option<Budget>> {
        let Some(quota) = source.quota else { return Ok(None) };
        let said = settings::read(&quota.variable());
        let calls = match &said {
            Some(text) => text.parse().with_context(|| format!("`{}` is `{text}`, which is no number", quota.env))?,
            None if is_own => quota.calls,
            None => return Ok(None),
        };
        let folder = settings::read(&settings::STATE_DIR).unwrap_or_default();
        Budget::kept(calls, Path::new(&folder), source.name).map(Some)
    }

    /// One of so many calls a day that is kept in a folder.
    pub(super) fn kept(calls: u32, folder: &Path, source: &str) -> anyhow::Result<Budget> {
        let shown = folder.display();
        fs::create_dir_all(folder).with_context(|| format!("cannot keep what is spent of a quota in `{shown}`"))?;
        let file = folder.join(format!("{source}.quota.json"));
        let day = match read(&file) {
            Ok(Some(record)) => Day { date: record.date, spent: record.calls, reserved: record.calls },
            Ok(None) => Day { date: NaiveDate::MIN, spent: 0, reserved: 0 },
            Err(error) => {
                warn!(source, file = %file.display(), "what was spent of the quota cannot be read, counting anew: {error}");
                Day { date: NaiveDate::MIN, spent: 0, reserved: 0 }
            }
        };
        Ok(Budget { calls, file, day: Mutex::new(day) })
    }

    /// Takes calls, or none; an error when there are not so many left.
    pub(super) fn take(&self, calls: u32, now: DateTime<Utc>) -> Result<(), Spent> {
        let mut day = self.day.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = self.today(*day, now);
        next.spent = next.spent.saturating_add(calls);
        if next.spent > self.calls {
            return Err(self.spent(next, now));
        }
        if next.spent > next.reserved {
            next.reserved = next.spent.saturating_add(self.calls / SHARES).min(self.calls);
            write(&self.file, Record { date: next.date, calls: next.reserved }).map_err(|error| Spent {
                wait: UNKEPT_WAIT,
                reason: format!("what is spent of the quota cannot be kept in `{}`: {error}", self.file.display()),
            })?;
        }
        *day = next;
        Ok(())
    }

    /// Whether there is no call left.
    pub(super) fn exhausted(&self, now: DateTime<Utc>) -> Option<Spent> {
        let day = self.today(*self.day.lock().unwrap_or_else(PoisonError::into_inner), now);
        (day.spent >= self.calls).then(|| self.spent(day, now))
    }

    /// The day, or the one that has begun since. A clock that is put back begins none.
    fn today(&self, day: Day, now: DateTime<Utc>) -> Day {
        let date = now.date_naive();
        if date > day.date { Day { date, spent: 0, reserved: 0 } } else { day }
    }

    fn spent(&self, day: Day, now: DateTime<Utc>) -> Spent {
        let next = day.date.succ_opt().map_or(DateTime::<Utc>::MAX_UTC, midnight);
        let reason = format!(
            "the {} calls of the day are spent or too few are left; there are more from {} UTC on",
            self.calls,
            next.format("%Y-%m-%d %H:%M")
        );
        Spent { wait: (next - now).to_std().unwrap_or_default(), reason }
    }
}

/// What is kept; None if nothing is.
fn read(file: &Path) -> io::Result<Option<Record>> {
    match fs::read(file) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Keeps it, whole or not at all.
fn write(file: &Path, record: Record) -> io::Result<()> {
    let new = file.with_extension("new");
    let mut writing = File::create(&new)?;
    writing.write_all(&serde_json::to_vec(&record).map_err(io::Error::other)?)?;
    writing.sync_all()?;
    fs::rename(&new, file)
}

impl Quota {
    /// What another plan grants.
    pub fn variable(&self) -> settings::Variable {
        let doc = "Calls that the provider grants in a day (UTC), if not those of the plan that is taken for granted";
        settings::Variable { name: self.env, default: None, doc, secret: false }
    }

    /// Calls that a request to an endpoint counts for.
    pub fn cost(&self, endpoint: &str) -> u32 {
        self.costs.iter().find(|(name, _)| *name == endpoint).map_or(1, |(_, calls)| *calls)
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::fixture::at;

    const NOON: &str = "2026-11-20T12:00:00Z";

    fn budget(folder: &TempDir, calls: u32) -> Budget {
        Budget::kept(calls, folder.path(), "made_up").unwrap()
    }

    #[test]
    fn a_days_calls_are_granted_once_and_the_next_day_again() {
        let folder = TempDir::new().unwrap();
        let budget = budget(&folder, 3);
        for _ in 0..3 {
            assert_eq!((budget.exhausted(at(NOON)), budget.take(1, at(NOON))), (None, Ok(())));
        }
        let spent = budget.take(1, at(NOON)).unwrap_err();
        assert_eq!(budget.exhausted(at(NOON)), Some(spent.clone()));
        assert_eq!(spent.wait, Duration::from_secs(12 * 3600));
        assert!(
            spent.reason.contains("the 3 calls of the day are spent or") && spent.reason.contains("2026-11-21 00:00")
        );
        assert!(budget.take(1, at("2026-11-20T23:59:59Z")).is_err());
        assert_eq!(budget.take(1, at("2026-11-21T00:00:00Z")), Ok(()));
        // A clock that is put back grants nothing twice.
        (0..2).for_each(|_| budget.take(1, at(NOON)).unwrap());
        assert!(budget.take(1, at(NOON)).is_err());
    }

    #[test]
    fn what_costs_more_than_is_left_is_not_asked_and_costs_nothing() {
        let folder = TempDir::new().unwrap();
        let budget = budget(&folder, 15);
        assert_eq!(budget.take(10, at(NOON)), Ok(()));
        assert!(budget.take(10, at(NOON)).is_err());
        assert_eq!((budget.exhausted(at(NOON)), budget.take(5, at(NOON))), (None, Ok(())));
        assert!(budget.exhausted(at(NOON)).is_some());
    }

    #[test]
    fn no_start_of_the_process_grants_a_call_twice() {
        for (calls, killed_after) in [(7, 1), (100, 3), (5000, 400), (100_000, 30_000)] {
            let folder = TempDir::new().unwrap();
            let (mut made, mut starts) = (0, 0);
            loop {
                // Each ends as if it was killed: nothing is written at its end.
                let budget = budget(&folder, calls);
                starts += 1;
                let own = (0..killed_after).take_while(|_| budget.take(1, at(NOON)).is_ok()).count();
                made += own as u32;
                if own < killed_after {
                    break;
                }
            }
            assert!(made <= calls, "{made} of {calls}");
            // Each start costs at most one reservation.
            assert!(made + starts * (calls / SHARES) >= calls, "{made} of {calls} in {starts} starts");
        }
    }

    #[test]
    fn what_cannot_be_read_is_counted_anew_and_what_cannot_be_kept_is_not_asked() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("made_up.quota.json");
        fs::write(&file, "{\"date\":").unwrap();
        let budget = budget(&folder, 2);
        assert_eq!(budget.take(2, at(NOON)), Ok(()));
        assert_eq!(fs::read_to_string(&file).unwrap(), "{\"date\":\"2026-11-20\",\"calls\":2}");
        drop(folder);
        let spent = budget.take(1, at("2026-11-21T00:00:00Z")).unwrap_err();
        assert!(spent.reason.starts_with("what is spent of the quota cannot be kept in `"), "{}", spent.reason);
        // It was not counted.
        assert_eq!(budget.exhausted(at("2026-11-21T00:00:00Z")), None);
    }
}
