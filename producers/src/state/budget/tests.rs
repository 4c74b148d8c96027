use proptest::prelude::*;
use sources::source;

use super::*;

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
    // Live polls beyond their plan take from the other classes.
    assert_eq!(left([90, 0, 0]), [10, 10, 5]);
    assert_eq!(left([60, 10, 25]), [5, 5, 5]);
    assert_eq!(left([0, 40, 0]), [60, 0, 0]);
    assert_eq!(left([100, 0, 0]), [0, 0, 0]);
    // A plan above the quota leaves nothing to the other classes.
    assert_eq!(Class::ALL.map(|class| budget(100, 500).left(class, [0, 0, 0])), [100, 0, 0]);
}

#[test]
fn a_provider_has_the_quota_of_its_plan_and_a_replacement_has_none() {
    let fmp = source("fmp").unwrap();
    let calls = |is_own| Budget::of(fmp, is_own).unwrap().map(|budget| budget.calls);
    assert_eq!((calls(true), calls(false)), (fmp.quota.map(|quota| quota.calls), None));
    assert!(Budget::of(source("fred").unwrap(), true).unwrap().is_none());
    let quota = source("eodhd").unwrap().quota.unwrap();
    assert_eq!(["eod", "fundamentals", "bulk_eod"].map(|endpoint| quota.cost(endpoint)), [1, 10, 100]);
}

#[test]
fn an_exhausted_quota_says_when_the_next_day_begins() {
    let (from, reason) = budget(5, 0).exhausted(Class::Live, "2026-11-20".parse().unwrap());
    assert_eq!(from.to_rfc3339(), "2026-11-21T00:00:00+00:00");
    assert_eq!(
        reason,
        "the daily quota of 5 calls is spent, or too few are left; the next day begins at 2026-11-21 00:00 UTC"
    );
    let (_, reason) = budget(5, 0).exhausted(Class::Backfill, "2026-11-20".parse().unwrap());
    assert!(reason.starts_with("the daily quota of 5 calls has none left for a backfill; "), "{reason}");
}

proptest! {
    #[test]
    fn no_class_exceeds_the_quota_or_takes_what_is_reserved_for_another(
        calls in 0..1000_u32, planned in 0..1500_u32, spent in any::<[u16; 3]>()
    ) {
        let (budget, spent) = (budget(calls, planned), spent.map(u32::from));
        let [live, repair, backfill] = Class::ALL.map(|class| budget.left(class, spent));
        prop_assert!(backfill <= repair && repair <= live);
        prop_assert!(live == 0 || live + spent.iter().sum::<u32>() == calls);
        // After all other classes have used their share, live polls still have what was reserved for them.
        let after = [spent[0], spent[1] + repair, spent[2]];
        prop_assert!(budget.left(Class::Live, after) >= live.min(planned.saturating_sub(spent[0])));
    }
}
