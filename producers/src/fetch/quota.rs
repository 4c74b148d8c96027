//! The calls of a day: how many a provider grants, and who may have them.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, Utc};
use service::settings;

use crate::page::midnight;
use crate::source::Source;

/// Share of a day's calls, one in so many, that is kept for repairs.
const REPAIRS_SHARE: u32 = 20;

/// What a call is for: what comes first may use what is there for what comes later, and not the other way round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Class {
    /// What is new.
    #[default]
    Live,
    /// What was missing.
    Repair,
    /// What is old.
    Backfill,
}

impl Class {
    /// All of them, by their place in [`Spent`].
    pub const ALL: [Class; 3] = [Class::Live, Class::Repair, Class::Backfill];

    /// As it is kept.
    pub fn name(self) -> &'static str {
        match self {
            Class::Live => "live",
            Class::Repair => "repair",
            Class::Backfill => "backfill",
        }
    }
}

/// Calls of a day that were made, by class.
pub type Spent = [u32; 3];

/// What a provider grants in a day.
#[derive(Debug)]
pub struct Budget {
    /// Calls.
    pub calls: u32,
    /// Calls that a day of live polls takes.
    planned: AtomicU32,
}

impl Budget {
    /// So many calls.
    pub fn new(calls: u32) -> Budget {
        Budget { calls, planned: AtomicU32::new(0) }
    }

    /// That of a source, as the environment has it, or by default of its plan; None for one that grants any number.
    ///
    /// What somebody else put in a provider's place (`is_own` is false) grants any number, too, unless the environment says so.
    pub fn of(source: &Source, is_own: bool) -> anyhow::Result<Option<Budget>> {
        let Some(quota) = source.quota else { return Ok(None) };
        Ok(match settings::read(&quota.variable()) {
            Some(text) => {
                let calls = text.parse().with_context(|| format!("`{}` is `{text}`, which is no number", quota.env))?;
                Some(Budget::new(calls))
            }
            None => is_own.then(|| Budget::new(quota.calls)),
        })
    }

    /// Says what a day of live polls takes, which is kept for them.
    pub fn plan(&self, calls: u32) {
        self.planned.store(calls, Ordering::Relaxed);
    }

    /// Calls that are left for a class.
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

    /// Why there are none left on a day, and when there are more.
    pub fn exhausted(&self, class: Class, day: NaiveDate) -> (DateTime<Utc>, String) {
        let next = day.succ_opt().map_or(DateTime::<Utc>::MAX_UTC, midnight);
        let from = next.format("%Y-%m-%d %H:%M");
        let calls = self.calls;
        let reason = match class {
            Class::Live => format!("the {calls} calls of the day are spent or too few are left"),
            Class::Repair | Class::Backfill => {
                format!("of the {calls} calls of the day none is left for a {}", class.name())
            }
        };
        (next, format!("{reason}; there are more from {from} UTC on"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::source;

    fn budget(calls: u32, planned: u32) -> Budget {
        let budget = Budget::new(calls);
        budget.plan(planned);
        budget
    }

    #[test]
    fn live_polls_come_before_repairs_and_repairs_before_backfills() {
        let left = |spent| Class::ALL.map(|class| budget(100, 60).left(class, spent));
        assert_eq!(left([0, 0, 0]), [100, 40, 35]);
        assert_eq!(left([30, 0, 0]), [70, 40, 35]);
        // What live polls take beyond their plan is taken from the others.
        assert_eq!(left([90, 0, 0]), [10, 10, 5]);
        assert_eq!(left([60, 10, 25]), [5, 5, 5]);
        assert_eq!(left([0, 40, 0]), [60, 0, 0]);
        assert_eq!(left([100, 0, 0]), [0, 0, 0]);
        // A plan that is larger than what is granted leaves nothing to others.
        assert_eq!(Class::ALL.map(|class| budget(100, 500).left(class, [0, 0, 0])), [100, 0, 0]);
    }

    #[test]
    fn a_provider_grants_what_its_plan_does_and_what_stands_in_its_place_any_number() {
        let fmp = source("fmp").unwrap();
        let calls = |is_own| Budget::of(fmp, is_own).unwrap().map(|budget| budget.calls);
        assert_eq!((calls(true), calls(false)), (fmp.quota.map(|quota| quota.calls), None));
        assert!(Budget::of(source("fred").unwrap(), true).unwrap().is_none());
        let quota = source("eodhd").unwrap().quota.unwrap();
        assert_eq!(["eod", "fundamentals", "bulk_eod"].map(|endpoint| quota.cost(endpoint)), [1, 10, 100]);
    }

    #[test]
    fn a_day_that_is_spent_says_when_there_is_more() {
        let (from, reason) = budget(5, 0).exhausted(Class::Live, "2026-11-20".parse().unwrap());
        assert_eq!(from.to_rfc3339(), "2026-11-21T00:00:00+00:00");
        assert_eq!(
            reason,
            "the 5 calls of the day are spent or too few are left; there are more from 2026-11-21 00:00 UTC on"
        );
        let (_, reason) = budget(5, 0).exhausted(Class::Backfill, "2026-11-20".parse().unwrap());
        assert!(reason.starts_with("of the 5 calls of the day none is left for a backfill; "), "{reason}");
    }

    proptest! {
        #[test]
        fn no_class_may_take_more_than_is_granted_and_none_takes_what_is_kept_for_one_before_it(
            calls in 0..1000_u32, planned in 0..1500_u32, spent in any::<[u16; 3]>()
        ) {
            let (budget, spent) = (budget(calls, planned), spent.map(u32::from));
            let [live, repair, backfill] = Class::ALL.map(|class| budget.left(class, spent));
            prop_assert!(backfill <= repair && repair <= live);
            prop_assert!(live == 0 || live + spent.iter().sum::<u32>() == calls);
            // After all the others have taken what they may, a day of live polls still has what was planned for it.
            let after = [spent[0], spent[1] + repair, spent[2]];
            prop_assert!(budget.left(Class::Live, after) >= live.min(planned.saturating_sub(spent[0])));
        }
    }
}
