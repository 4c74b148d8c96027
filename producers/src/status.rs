//! How fresh what we have is: judged in the hours in which it could have been newer, also when nothing runs.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::source::Source;
use crate::state::{Gap, GapState, Standing};
use crate::watchlist::Watchlist;

/// How an endpoint is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Its name.
    pub endpoint: &'static str,
    /// Items of the watchlist.
    pub items: usize,
    /// Items that are older than its SLA allows, or were never answered.
    pub late: usize,
    /// Items that were asked for in vain too often in a row.
    pub failing: usize,
    /// When the item was answered that was so first; None when one never was.
    pub oldest: Option<DateTime<Utc>>,
    /// Age of that answer, in the hours in which there could have been a newer one; None when one never was answered.
    pub age: Option<Duration>,
    /// The oldest that it may become.
    pub sla: Duration,
    /// Days that are missing and asked for.
    pub gaps: usize,
    /// Why an item was not answered the last time: of several the one that was asked for most often in vain.
    pub error: Option<String>,
}

/// How the endpoints of a source are doing of which the watchlist names items.
pub fn health(
    source: &'static Source,
    watchlist: &Watchlist,
    standings: &[Standing],
    gaps: &[Gap],
    now: DateTime<Utc>,
) -> Vec<Health> {
    let known: HashMap<(&str, &str), &Standing> =
        standings.iter().map(|known| ((known.endpoint.as_str(), known.item.as_str()), known)).collect();
    let mut all = Vec::new();
    for endpoint in source.endpoints {
        let items = watchlist.items(source, endpoint);
        if items.is_empty() {
            continue;
        }
        let sla = endpoint.schedule.sla;
        let own = items.iter().map(|item| (item.as_str(), known.get(&(endpoint.name, item.as_str())).copied()));
        let ages: Vec<Option<(Duration, DateTime<Utc>)>> = own
            .clone()
            .map(|(item, standing)| {
                let answered = standing?.answered_at?;
                Some((watchlist.schedule(source, endpoint, item).age(item, answered, now), answered))
            })
            .collect();
        let oldest = ages.iter().copied().collect::<Option<Vec<_>>>();
        let failing =
            own.clone().filter(|(_, standing)| standing.is_some_and(|known| known.streak.is_failing())).count();
        let unanswered =
            own.filter_map(|(item, standing)| Some((standing?.streak.failures, item, standing?.error.as_deref()?)));
        // The first of those that are equal.
        let worst = unanswered.rev().max_by_key(|(failures, ..)| *failures);
        let error = worst.map(|(failures, item, error)| match failures {
            0 | 1 => format!("{item}: {error}"),
            _ => format!("{item}, {failures} times in a row: {error}"),
        });
        let is_open =
            |gap: &&Gap| gap.state == GapState::Open && gap.endpoint == endpoint.name && items.contains(&gap.item);
        all.push(Health {
            endpoint: endpoint.name,
            items: items.len(),
            failing,
            late: ages.iter().filter(|age| age.is_none_or(|(age, _)| age > sla)).count(),
            oldest: oldest.as_ref().and_then(|all| all.iter().map(|(_, answered)| *answered).min()),
            age: oldest.as_ref().and_then(|all| all.iter().map(|(age, _)| *age).max()),
            sla,
            gaps: gaps.iter().filter(is_open).count(),
            error,
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{at, date};
    use crate::source::source;
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
    fn over_a_weekend_nothing_grows_old_and_on_monday_it_does() {
        let watchlist = Watchlist::parse("[yahoo]\nchart = [\"AAPL\", \"MSFT\"]").unwrap();
        let yahoo = source("yahoo").unwrap();
        let answered = Some("2026-11-20T21:45:00Z");
        let both = [standing("AAPL", answered, None), standing("MSFT", Some("2026-11-20T21:50:00Z"), None)];
        let told = |standings: &[Standing], now: &str| health(yahoo, &watchlist, standings, &[], at(now)).remove(0);
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
    fn open_gaps_and_the_last_error_are_told() {
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
            let health = health(yahoo, &watchlist, standings, &gaps, at("2026-11-20T21:46:00Z")).remove(0);
            (health.gaps, health.failing, health.error.unwrap())
        };
        assert_eq!(told(&standings), (1, 0, "AAPL: HTTP 500".to_owned()));
        standings[0].streak.failures = 3;
        assert_eq!(told(&standings), (1, 1, "AAPL, 3 times in a row: HTTP 500".to_owned()));
    }

    #[test]
    fn of_several_errors_that_of_the_item_is_told_that_was_asked_for_most_often_in_vain() {
        let watchlist = Watchlist::parse("[yahoo]\nchart = [\"A\", \"B\", \"C\", \"D\"]").unwrap();
        let failed = |item: &str, failures, error: &str| {
            let streak = Streak { failures, is_alerted: false };
            Standing { streak, ..standing(item, None, Some(error)) }
        };
        let standings = [failed("A", 1, "a"), failed("B", 2, "b"), failed("C", 4, "c"), failed("D", 4, "d")];
        let yahoo = source("yahoo").unwrap();
        let told = health(yahoo, &watchlist, &standings, &[], at("2026-11-20T21:46:00Z")).remove(0);
        assert_eq!((told.failing, told.error.as_deref()), (2, Some("C, 4 times in a row: c")));
    }
}
