use sources::fixture::{at, date};
use sources::source;

use super::*;
use crate::state::Streak;

fn standing(item: &str, answered: Option<&str>, error: Option<&str>) -> Standing {
    Standing {
        endpoint: "chart".to_owned(),
        item: item.to_owned(),
        asked_at: at("2026-11-20T21:50:00Z"),
        answered_at: answered.map(at),
        streak: Streak::default(),
        calls: 1,
        error: error.map(str::to_owned),
    }
}

#[test]
fn nothing_ages_over_a_weekend() {
    let watchlist = Watchlist::parse("[yahoo]\nchart = [\"AAPL\", \"MSFT\"]").unwrap();
    let yahoo = source("yahoo").unwrap();
    let answered = Some("2026-11-20T21:45:00Z");
    let both = [standing("AAPL", answered, None), standing("MSFT", Some("2026-11-20T21:50:00Z"), None)];
    let told = |standings: &[Standing], now: &str| freshness(yahoo, &watchlist, standings, &[], at(now)).remove(0);
    let sunday = told(&both, "2026-11-22T12:00:00Z");
    assert_eq!((sunday.items, sunday.late, sunday.age), (2, 0, Some(Duration::from_secs(15 * 60))));
    assert_eq!(sunday.oldest, Some(at("2026-11-20T21:45:00Z")));
    assert_eq!(told(&both, "2026-11-23T16:15:00Z").late, 0);
    assert_eq!(told(&both, "2026-11-23T16:18:00Z").late, 1);
    assert_eq!(told(&both, "2026-11-23T17:00:00Z").late, 2);
    let one = told(&both[..1], "2026-11-22T12:00:00Z");
    assert_eq!((one.late, one.oldest, one.age), (1, None, None));
}

#[test]
fn open_gaps_and_the_last_error_are_shown() {
    let watchlist = Watchlist::parse("[yahoo]\nchart = [\"AAPL\"]").unwrap();
    let gap = |endpoint: &str, item: &str, state| Gap {
        endpoint: endpoint.to_owned(),
        item: item.to_owned(),
        day: date("2026-11-10"),
        noticed_at: at("2026-11-12T00:00:00Z"),
        asked_at: at("2026-11-12T00:00:00Z"),
        asks: 1,
        state,
    };
    let gaps = [
        gap("chart", "AAPL", GapState::Open),
        gap("chart", "AAPL", GapState::Filled),
        gap("chart", "OTHER", GapState::Open),
        gap("options", "AAPL", GapState::Open),
    ];
    let mut standings = [standing("AAPL", Some("2026-11-20T21:45:00Z"), Some("HTTP 500"))];
    let yahoo = source("yahoo").unwrap();
    let told = |standings: &[Standing]| {
        let fresh = freshness(yahoo, &watchlist, standings, &gaps, at("2026-11-20T21:46:00Z")).remove(0);
        (fresh.gaps, fresh.failing, fresh.error.unwrap())
    };
    assert_eq!(told(&standings), (1, 0, "AAPL: HTTP 500".to_owned()));
    standings[0].streak.failures = 3;
    assert_eq!(told(&standings), (1, 1, "AAPL, 3 times in a row: HTTP 500".to_owned()));
}

#[test]
fn of_several_errors_that_of_the_longest_streak_is_shown() {
    let watchlist = Watchlist::parse("[yahoo]\nchart = [\"A\", \"B\", \"C\", \"D\"]").unwrap();
    let failed = |item: &str, failures, error: &str| {
        let streak = Streak { failures, is_alerted: false };
        Standing { streak, ..standing(item, None, Some(error)) }
    };
    let standings = [failed("A", 1, "a"), failed("B", 2, "b"), failed("C", 4, "c"), failed("D", 4, "d")];
    let yahoo = source("yahoo").unwrap();
    let told = freshness(yahoo, &watchlist, &standings, &[], at("2026-11-20T21:46:00Z")).remove(0);
    assert_eq!((told.failing, told.error.as_deref()), (2, Some("C, 4 times in a row: c")));
}
