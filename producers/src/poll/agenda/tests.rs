use sources::fixture::{at, date};
use sources::source;

use super::*;
use crate::state::Streak;

const WATCHLIST: &str = "[yahoo]\nchart = [\"AAPL\", \"BTC-USD\"]\noptions = [\"AAPL\"]";

fn standing(endpoint: &str, item: &str, asked: &str, answered: Option<&str>, failures: u32) -> Standing {
    Standing {
        endpoint: endpoint.to_owned(),
        item: item.to_owned(),
        asked_at: at(asked),
        answered_at: answered.map(at),
        streak: Streak { failures, is_alerted: false },
        calls: 1,
        error: None,
    }
}

fn due(agenda: &Agenda<'_>, now: &str) -> Vec<String> {
    agenda.due(at(now)).iter().map(|entry| format!("{} {}", entry.endpoint.name, entry.item)).collect()
}

#[test]
fn a_restart_polls_nothing_that_is_not_due() {
    let watchlist = Watchlist::parse(WATCHLIST).unwrap();
    let yahoo = source("yahoo").unwrap();
    // A Friday evening in New York: its close was at 21:00.
    let now = at("2026-11-20T22:30:00Z");
    let standings = [
        standing("chart", "AAPL", "2026-11-20T21:58:00Z", Some("2026-11-20T21:58:00Z"), 0),
        standing("chart", "BTC-USD", "2026-11-20T22:20:00Z", Some("2026-11-20T22:20:00Z"), 0),
    ];
    let agenda = Agenda::new(yahoo, &watchlist, &standings, now);
    // An item that was never polled is due at any hour.
    assert_eq!(due(&agenda, "2026-11-20T22:30:00Z"), ["options AAPL"]);
    assert_eq!(due(&agenda, "2026-11-20T22:35:00Z"), ["chart BTC-USD", "options AAPL"]);
    assert_eq!(due(&agenda, "2026-11-23T14:29:00Z"), ["chart BTC-USD", "options AAPL"]);
    assert_eq!(due(&agenda, "2026-11-23T14:30:00Z").len(), 3);
    // The clock was set back.
    let agenda = Agenda::new(yahoo, &watchlist, &standings, at("2026-11-19T15:00:00Z"));
    assert_eq!(agenda.next().unwrap(), at("2026-11-19T15:00:00Z"));
    assert_eq!(due(&agenda, "2026-11-19T15:15:00Z").len(), 3);
}

#[test]
fn an_item_with_days_is_polled_on_those_days_only() {
    let text = "[fred]\nobservations = [\"GDP\", { item = \"UNRATE\", days = [1, 7] }]";
    let (fred, watchlist) = (source("fred").unwrap(), Watchlist::parse(text).unwrap());
    // Saturday the seventh, half an hour before it ends in New York.
    let answered = |item| standing("observations", item, "2026-11-08T04:30:00Z", Some("2026-11-08T04:30:00Z"), 0);
    let agenda = Agenda::new(fred, &watchlist, &[answered("GDP"), answered("UNRATE")], at("2026-11-08T12:00:00Z"));
    assert_eq!(due(&agenda, "2026-11-30T12:00:00Z"), ["observations GDP"]);
    assert_eq!(due(&agenda, "2026-12-01T05:00:00Z").len(), 2);
}

#[test]
fn a_failed_item_is_retried_soon_and_then_less_and_less_often() {
    let watchlist = Watchlist::parse("[fred]\nobservations = [\"GDP\"]").unwrap();
    let mut agenda = Agenda::new(source("fred").unwrap(), &watchlist, &[], at("2026-11-20T12:00:00Z"));
    let mut waits = Vec::new();
    for _ in 0..6 {
        let now = agenda.next().unwrap();
        agenda.ended(&[], now, Duration::ZERO);
        waits.push((agenda.next().unwrap() - now).num_minutes());
    }
    assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
    let now = agenda.next().unwrap();
    agenda.ended(&[], now, Duration::from_secs(7 * 3600));
    assert_eq!((agenda.next().unwrap() - now).num_hours(), 7);
    let now = agenda.next().unwrap();
    let answered = [Ended { endpoint: "observations", item: "GDP".to_owned(), answered: true }];
    agenda.ended(&answered, now, Duration::ZERO);
    assert_eq!((agenda.next().unwrap() - now).num_minutes(), 60);
    // A response resets the failures.
    let now = agenda.next().unwrap();
    agenda.ended(&[], now, Duration::ZERO);
    assert_eq!((agenda.next().unwrap() - now).num_minutes(), 5);
    // After a restart as before it, whether the item was ever answered or not.
    for answered in [None, Some("2026-11-20T09:00:00Z")] {
        let failed = [standing("observations", "GDP", "2026-11-20T12:00:00Z", answered, 3)];
        let agenda = Agenda::new(source("fred").unwrap(), &watchlist, &failed, at("2026-11-20T12:01:00Z"));
        assert_eq!(agenda.next().unwrap(), at("2026-11-20T12:20:00Z"));
    }
}

#[test]
fn only_items_that_were_due_count_as_failed_and_their_retry_waits_for_the_market() {
    let watchlist = Watchlist::parse(WATCHLIST).unwrap();
    // A Friday: an hour after the close the chart of a share is no longer polled.
    let now = at("2026-11-20T21:58:00Z");
    let answered = standing("chart", "BTC-USD", "2026-11-20T21:50:00Z", Some("2026-11-20T21:50:00Z"), 0);
    let mut agenda = Agenda::new(source("yahoo").unwrap(), &watchlist, &[answered], now);
    assert_eq!(due(&agenda, "2026-11-20T21:58:00Z"), ["chart AAPL", "options AAPL"]);
    agenda.ended(&[], now, Duration::ZERO);
    assert_eq!(due(&agenda, "2026-11-20T22:04:59Z"), Vec::<String>::new());
    assert_eq!(due(&agenda, "2026-11-23T14:29:00Z"), ["chart BTC-USD"]);
    assert_eq!(due(&agenda, "2026-11-20T22:05:00Z"), ["chart BTC-USD"]);
    assert_eq!(due(&agenda, "2026-11-23T14:30:00Z").len(), 3);
}

#[test]
fn days_before_the_look_back_are_repaired_once_a_day() {
    let watchlist = Watchlist::parse(WATCHLIST).unwrap();
    let gap = |day: &str, asked: &str, state| Gap {
        endpoint: "chart".to_owned(),
        item: "AAPL".to_owned(),
        day: date(day),
        noticed_at: at("2026-09-01T00:00:00Z"),
        asked_at: at(asked),
        asks: 1,
        state,
    };
    let gaps = [
        gap("2026-08-03", "2026-11-19T00:00:00Z", GapState::Open),
        gap("2026-08-04", "2026-11-20T11:00:00Z", GapState::Open),
        gap("2026-08-05", "2026-11-19T00:00:00Z", GapState::Absent),
        gap("2026-08-06", "2026-11-19T00:00:00Z", GapState::Filled),
        // Polls read the last 30 days again.
        gap("2026-10-20", "2026-11-19T00:00:00Z", GapState::Open),
        gap("2026-10-21", "2026-11-19T00:00:00Z", GapState::Open),
    ];
    let found = repairs(source("yahoo").unwrap(), &watchlist, &gaps, at("2026-11-20T12:00:00Z"));
    let [(endpoint, item, days)] = &found[..] else { panic!("{found:?}") };
    assert_eq!((endpoint.name, *item), ("chart", "AAPL"));
    assert_eq!(days.iter().collect::<Vec<_>>(), [&date("2026-08-03"), &date("2026-10-20")]);
}
