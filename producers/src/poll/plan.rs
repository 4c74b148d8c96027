//! Which items are due, and how many calls they need.

use std::collections::HashMap;

use chrono::{DateTime, Days, NaiveDate, Utc};
use sources::schedule::{Frequency, Kind, Schedule};
use sources::source::{Endpoint, Source};
use sources::time::midnight;

use crate::poll::agenda::Agenda;
use crate::state::Standing;
use crate::watchlist::Watchlist;

/// What is due of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The endpoint's name.
    pub endpoint: &'static str,
    /// Its kind of data.
    pub kind: Kind,
    /// How often its provider has new data.
    pub frequency: Frequency,
    /// Items on the watchlist.
    pub items: usize,
    /// Items that are due.
    pub due: usize,
    /// Calls for the items that are due.
    pub calls_now: u64,
    /// When the next item is due, if none is due now.
    pub next: Option<DateTime<Utc>>,
    /// Calls of the next 24 hours.
    pub calls_ahead: u64,
}

/// What is due of a source, for each endpoint with items on the watchlist.
pub fn planned(
    source: &'static Source,
    watchlist: &Watchlist,
    standings: &[Standing],
    now: DateTime<Utc>,
) -> Vec<Planned> {
    let known: HashMap<(&str, &str), u64> = standings
        .iter()
        .map(|known| ((known.endpoint.as_str(), known.item.as_str()), u64::from(known.calls.max(1))))
        .collect();
    let agenda = Agenda::new(source, watchlist, standings, now);
    let entries = agenda.all();
    let ahead = now.checked_add_days(Days::new(1)).unwrap_or(now);
    let mut planned = Vec::new();
    for endpoint in source.endpoints {
        let own: Vec<_> = entries.iter().filter(|entry| entry.endpoint.name == endpoint.name).collect();
        if own.is_empty() {
            continue;
        }
        // As many as the last time; one for an item that was never fetched.
        let calls = |item: &str| cost(source, endpoint) * known.get(&(endpoint.name, item)).copied().unwrap_or(1);
        let due = own.iter().filter(|entry| entry.due <= now);
        planned.push(Planned {
            endpoint: endpoint.name,
            kind: endpoint.schedule.kind,
            frequency: endpoint.schedule.frequency,
            items: own.len(),
            due: due.clone().count(),
            calls_now: due.map(|entry| calls(entry.item)).sum(),
            next: own.iter().map(|entry| entry.due).min().filter(|next| *next > now),
            calls_ahead: own
                .iter()
                .map(|entry| calls(entry.item) * polls(&entry.schedule, entry.item, entry.due.max(now), ahead))
                .sum(),
        });
    }
    planned
}

/// Estimated calls of the live polls of a day (UTC).
pub fn calls_of_day(source: &'static Source, watchlist: &Watchlist, day: NaiveDate) -> u32 {
    let from = midnight(day);
    let to = from.checked_add_days(Days::new(1)).unwrap_or(from);
    let calls = |endpoint: &'static Endpoint| {
        let items = watchlist.items(source, endpoint).iter();
        let polls: u64 = items.map(|item| polls(&watchlist.schedule(source, endpoint, item), item, from, to)).sum();
        polls * cost(source, endpoint)
    };
    u32::try_from(source.endpoints.iter().map(calls).sum::<u64>()).unwrap_or(u32::MAX)
}

/// Number of polls of an item from `due` to `to`.
fn polls(schedule: &Schedule, item: &str, due: DateTime<Utc>, to: DateTime<Utc>) -> u64 {
    u64::from(schedule.polls(item, due, to))
}

/// Calls that a request costs.
fn cost(source: &Source, endpoint: &Endpoint) -> u64 {
    source.quota.map_or(1, |quota| u64::from(quota.cost(endpoint.name)))
}

#[cfg(test)]
mod tests {
    use sources::fixture::{at, date};
    use sources::source;

    use super::*;
    use crate::state::Streak;

    /// Of an item that was answered then.
    fn standing(item: &str, answered: &str, calls: u32) -> Standing {
        Standing {
            endpoint: "eod".to_owned(),
            item: item.to_owned(),
            asked_at: at(answered),
            answered_at: Some(at(answered)),
            streak: Streak::default(),
            calls,
            error: None,
        }
    }

    #[test]
    fn the_plan_counts_the_calls_of_due_items() {
        let watchlist = "[eodhd]\neod = [\"AAPL.US\", \"MSFT.US\"]\nfundamentals = [\"AAPL.US\"]";
        let (watchlist, eodhd) = (Watchlist::parse(watchlist).unwrap(), source("eodhd").unwrap());
        // Before the close of a Friday.
        let now = at("2026-11-20T20:00:00Z");
        let answered = [("AAPL.US", 1), ("MSFT.US", 2)];
        let standings = answered.map(|(item, calls)| standing(item, "2026-11-20T10:00:00Z", calls));
        let planned = planned(eodhd, &watchlist, &standings, now);
        let [eod, fundamentals] = &planned[..] else { panic!("{planned:?}") };
        assert_eq!((eod.items, eod.due, eod.calls_now), (2, 0, 0));
        assert_eq!(eod.next, Some(at("2026-11-20T23:00:00Z")));
        // At 23:00 and 05:00, and at 11:00 no longer.
        assert_eq!(eod.calls_ahead, 2 * (1 + 2));
        assert_eq!((fundamentals.due, fundamentals.calls_now, fundamentals.calls_ahead), (1, 10, 10));
        assert_eq!(fundamentals.next, None);
    }

    #[test]
    fn an_item_that_was_just_answered_is_not_counted_again() {
        let watchlist = Watchlist::parse("[eodhd]\neod = [\"AAPL.US\"]").unwrap();
        let answered = standing("AAPL.US", "2026-11-20T23:30:00Z", 1);
        let planned = planned(source("eodhd").unwrap(), &watchlist, &[answered], at("2026-11-20T23:45:00Z"));
        // At 05:30; at 11:00 the hours are over.
        assert_eq!((planned[0].calls_ahead, planned[0].next), (1, Some(at("2026-11-21T05:30:00Z"))));
    }

    #[test]
    fn a_day_on_which_nothing_trades_takes_no_calls_for_prices() {
        let watchlist = Watchlist::parse("[fmp]\neod_prices = [\"AAPL\", \"MSFT\"]").unwrap();
        let calls = |day: &str| calls_of_day(source("fmp").unwrap(), &watchlist, date(day));
        // From 23:00 on until 11:00 of the next day, every six hours.
        assert_eq!((calls("2026-11-20"), calls("2026-11-22")), (2 * 3, 0));
        let watchlist = Watchlist::parse("[eodhd]\nfundamentals = [\"AAPL.US\", \"MSFT.US\"]").unwrap();
        assert_eq!(calls_of_day(source("eodhd").unwrap(), &watchlist, date("2026-11-20")), 2 * 10);
    }
}
