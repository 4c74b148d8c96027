use sources::fixture::{at, date};

use super::*;

fn days(there: &[&str], missing: &[&str]) -> Days {
    let dates = |texts: &[&str]| texts.iter().map(|text| date(text)).collect();
    Days { there: dates(there), missing: dates(missing) }
}

#[tokio::test]
async fn a_missing_day_is_open_until_it_comes() {
    let state = State::in_memory("yahoo").await.unwrap();
    let note = async |days: Days, now: &str| state.record_days("chart", "AAPL", &days, at(now)).await.unwrap();
    let open = days(&["2026-11-17"], &["2026-11-16", "2026-11-18"]);
    assert_eq!(note(open, "2026-11-19T12:00:00Z").await, [2, 0]);
    assert_eq!(note(days(&["2026-11-18"], &["2026-11-16"]), "2026-11-20T12:00:00Z").await, [0, 1]);
    let found: Vec<_> = state.gaps(None).await.unwrap();
    let states: Vec<_> = found.iter().map(|gap| (gap.day, gap.asks, gap.state)).collect();
    let expected = [(date("2026-11-16"), 2, GapState::Open), (date("2026-11-18"), 1, GapState::Filled)];
    assert_eq!(states, expected);
    assert!(state.gaps(Some(("chart", "MSFT"))).await.unwrap().is_empty());
    assert!(state.gaps(Some(("options", "AAPL"))).await.unwrap().is_empty());
    // A day that came and is missing again is open again.
    note(days(&[], &["2026-11-18"]), "2026-11-20T13:00:00Z").await;
    assert_eq!(state.gaps(None).await.unwrap()[1].state, GapState::Open);
}

#[tokio::test]
async fn a_day_asked_for_on_ten_days_is_absent_until_it_comes() {
    let state = State::in_memory("yahoo").await.unwrap();
    let missing = || days(&[], &["2026-10-01"]);
    for day in 1..=10 {
        for hour in [10, 12, 14] {
            let now = at(&format!("2026-11-{day:02}T{hour}:00:00Z"));
            let gap = state.gaps(None).await.unwrap().pop();
            assert!(gap.is_none_or(|gap| gap.state == GapState::Open || day == 10));
            state.record_days("chart", "AAPL", &missing(), now).await.unwrap();
        }
    }
    assert_eq!(state.gaps(None).await.unwrap()[0].state, GapState::Absent);
    let there = days(&["2026-10-01"], &[]);
    assert_eq!(state.record_days("chart", "AAPL", &there, at("2026-11-12T12:00:00Z")).await.unwrap(), [0, 1]);
}

#[tokio::test]
async fn an_operator_may_declare_a_day_absent() {
    let state = State::in_memory("yahoo").await.unwrap();
    let now = at("2026-11-20T12:00:00Z");
    state.record_days("chart", "AAPL", &days(&[], &["2026-11-16"]), now).await.unwrap();
    let declare = async |day: &str| state.declare_absent("chart", "AAPL", date(day), now).await.unwrap();
    assert!(!declare("2026-11-17").await);
    assert!(declare("2026-11-16").await);
    assert!(!declare("2026-11-16").await);
    assert_eq!(state.gaps(None).await.unwrap()[0].state, GapState::Absent);
    // A response that lacks the day changes nothing.
    let missing = days(&[], &["2026-11-16"]);
    state.record_days("chart", "AAPL", &missing, at("2026-11-22T12:00:00Z")).await.unwrap();
    assert_eq!(state.gaps(None).await.unwrap()[0].state, GapState::Absent);
}

#[tokio::test]
async fn of_too_many_missing_days_the_latest_are_asked_for() {
    let state = State::in_memory("yahoo").await.unwrap();
    let missing = date("2020-01-01").iter_days().take(MAX_GAPS + 100).collect();
    let days = Days { missing, ..Days::default() };
    let now = at("2026-11-20T12:00:00Z");
    assert_eq!(state.record_days("chart", "AAPL", &days, now).await.unwrap(), [MAX_GAPS, 0]);
    let first = state.gaps(None).await.unwrap()[0].day;
    assert_eq!(Some(&first), days.missing.iter().nth(100));
}
