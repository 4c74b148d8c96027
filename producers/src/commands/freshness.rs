//! How fresh the data is. Age counts only the hours in which the provider could have had something newer.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sources::source::Source;

use crate::state::{Gap, GapState, Standing};
use crate::watchlist::Watchlist;

/// How an endpoint is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Freshness {
    /// Its name.
    pub(super) endpoint: &'static str,
    /// Items of the watchlist.
    pub(super) items: usize,
    /// Items that are older than its SLA allows, or were never fetched.
    pub(super) late: usize,
    /// Items that have failed too often in a row.
    pub(super) failing: usize,
    /// When the item was fetched whose data is the oldest; None if one was never fetched.
    pub(super) oldest: Option<DateTime<Utc>>,
    /// Its age; None if an item was never fetched.
    pub(super) age: Option<Duration>,
    /// The highest age that is allowed.
    pub(super) sla: Duration,
    /// Days that are missing and asked for.
    pub(super) gaps: usize,
    /// Why an item failed: the one with the most failures in a row.
    pub(super) error: Option<String>,
}

/// The freshness of a source's endpoints with items in the watchlist.
pub(super) fn freshness(
    source: &'static Source,
    watchlist: &Watchlist,
    standings: &[Standing],
    gaps: &[Gap],
    now: DateTime<Utc>,
) -> Vec<Freshness> {
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
        // The first of equal ones.
        let worst = unanswered.rev().max_by_key(|(failures, ..)| *failures);
        let error = worst.map(|(failures, item, error)| match failures {
            0 | 1 => format!("{item}: {error}"),
            _ => format!("{item}, {failures} times in a row: {error}"),
        });
        let is_open =
            |gap: &&Gap| gap.state == GapState::Open && gap.endpoint == endpoint.name && items.contains(&gap.item);
        all.push(Freshness {
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
mod tests;
