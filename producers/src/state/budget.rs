//! The daily quota: how many calls a provider grants, and which class of requests may use them.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, Utc};
use service::settings;
use sources::source::Source;
use sources::time::midnight;

/// Share of the quota, one in so many, that is reserved for repairs.
const REPAIRS_SHARE: u32 = 20;

/// What a call is for. A class may use what is reserved for later classes, but not the other way round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Class {
    /// Live polls.
    #[default]
    Live,
    /// Days that were missing.
    Repair,
    /// Old days.
    Backfill,
}

impl Class {
    /// All classes, in the order of [`Spent`].
    pub const ALL: [Class; 3] = [Class::Live, Class::Repair, Class::Backfill];

    /// As in the state file.
    pub fn name(self) -> &'static str {
        match self {
            Class::Live => "live",
            Class::Repair => "repair",
            Class::Backfill => "backfill",
        }
    }
}

/// Calls made on a day, by class.
pub type Spent = [u32; 3];

/// The daily quota of a provider.
#[derive(Debug)]
pub struct Budget {
    /// Calls.
    pub calls: u32,
    /// Calls that a day of live polls needs.
    planned: AtomicU32,
}

impl Budget {
    /// A quota of so many calls.
    pub fn new(calls: u32) -> Budget {
        Budget { calls, planned: AtomicU32::new(0) }
    }

    /// The quota of a source: that of the environment, or of the provider's plan. None means no limit.
    ///
    /// An address other than the provider's own (`is_own` is false) has no limit, unless the environment sets one.
    pub fn of(source: &Source, is_own: bool) -> anyhow::Result<Option<Budget>> {
        let Some(quota) = source.quota else { return Ok(None) };
        Ok(match settings::read(&quota.variable()) {
            Some(text) => {
                let calls =
                    text.parse().with_context(|| format!("`{}` is `{text}`, which is not a number", quota.env))?;
                Some(Budget::new(calls))
            }
            None => is_own.then(|| Budget::new(quota.calls)),
        })
    }

    /// Reserves the calls that a day of live polls needs.
    pub fn plan(&self, calls: u32) {
        self.planned.store(calls, Ordering::Relaxed);
    }

    /// Calls left for a class.
    pub fn left(&self, class: Class, spent: Spent) -> u32 {
        let [live, repairs, backfills] = spent;
        let for_live = self.planned.load(Ordering::Relaxed).saturating_sub(live);
        let for_repairs = (self.calls / REPAIRS_SHARE).saturating_sub(repairs);
        let kept = match class {
            Class::Live => 0,
            Class::Repair => for_live,
            Class::Backfill => for_live.saturating_add(for_repairs),
        };
        let made = live.saturating_add(repairs).saturating_add(backfills);
        self.calls.saturating_sub(made).saturating_sub(kept)
    }

    /// Why a class has no calls left on a day, and when there are more.
    pub fn exhausted(&self, class: Class, day: NaiveDate) -> (DateTime<Utc>, String) {
        let next = day.succ_opt().map_or(DateTime::<Utc>::MAX_UTC, midnight);
        let from = next.format("%Y-%m-%d %H:%M");
        let calls = self.calls;
        let reason = match class {
            Class::Live => format!("the daily quota of {calls} calls is spent, or too few are left"),
            Class::Repair | Class::Backfill => {
                format!("the daily quota of {calls} calls has none left for a {}", class.name())
            }
        };
        (next, format!("{reason}; the next day begins at {from} UTC"))
    }
}

#[cfg(test)]
mod tests;
