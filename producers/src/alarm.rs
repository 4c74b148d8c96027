//! What says aloud that an item cannot be had again and again.

use std::collections::HashSet;

use tracing::{error, info};

use crate::meters::SourceMeters;
use crate::source::Source;
use crate::state::{FAILURES_TO_ALARM, Kept, Standing};
use crate::watchlist::Watchlist;

/// The items of a source that were asked for in vain too often in a row.
#[derive(Debug)]
pub(crate) struct Alarm<'a> {
    source: &'static Source,
    meters: &'a SourceMeters,
    failing: HashSet<(&'static str, String)>,
}

impl<'a> Alarm<'a> {
    /// Of a source of which nothing is failing yet.
    pub(crate) fn new(source: &'static Source, meters: &'a SourceMeters) -> Alarm<'a> {
        Alarm { source, meters, failing: HashSet::new() }
    }

    /// Takes over what failed before the start, which was said then.
    pub(crate) fn resume(&mut self, watchlist: &Watchlist, standings: &[Standing]) {
        for endpoint in self.source.endpoints {
            let items: HashSet<&str> = watchlist.items(self.source, endpoint).iter().map(String::as_str).collect();
            let of_it = |known: &&Standing| known.endpoint == endpoint.name && items.contains(known.item.as_str());
            let failing = standings.iter().filter(of_it).filter(|known| known.is_failing());
            self.failing.extend(failing.map(|known| (endpoint.name, known.item.clone())));
            if !items.is_empty() {
                self.count(endpoint.name);
            }
        }
    }

    /// Hears how asking for an item has ended, so many times in a row in vain; says it once, and when that is over.
    pub(crate) fn hear(&mut self, kept: &Kept<'_>, failures: u32) {
        let Some(end) = &kept.end else { return };
        let (source, endpoint, item) = (self.source.name, kept.endpoint, kept.item);
        let key = (endpoint, item.to_owned());
        if failures >= FAILURES_TO_ALARM && self.failing.insert(key.clone()) {
            let reason = end.error.unwrap_or_default();
            error!(source, endpoint, item, "asked for in vain {failures} times in a row: {reason}");
        } else if failures == 0 && self.failing.remove(&key) {
            info!(source, endpoint, item, "answered again");
        } else {
            return;
        }
        self.count(endpoint);
    }

    fn count(&self, endpoint: &'static str) {
        let failing = self.failing.iter().filter(|(own, _)| *own == endpoint).count();
        self.meters.failing(endpoint, failing);
    }
}

#[cfg(test)]
mod tests {
    use service::health::Health;

    use super::*;
    use crate::fixture::at;
    use crate::meters::Meters;
    use crate::source::source;
    use crate::state::End;

    fn kept(item: &str) -> Kept<'_> {
        let answered = false;
        let at = at("2026-11-20T12:00:00Z");
        let end = End { at, answered, calls: 1, error: None, latest: None, reread: None, validators: None };
        Kept { endpoint: "index_history", item, memory: None, end: Some(end) }
    }

    #[test]
    fn an_item_is_failing_from_the_third_time_on_until_it_is_answered() {
        let health = Health::new();
        let cboe = source("cboe").unwrap();
        let meters = Meters::new(&health).source(cboe);
        let mut alarm = Alarm::new(cboe, &meters);
        let failing = |count: usize| {
            let line = format!("tapedeck_items_failing{{source=\"cboe\",endpoint=\"index_history\"}} {count}");
            health.metrics().shown().lines().any(|shown| shown.starts_with(&line))
        };
        let standing = |item: &str, failures| {
            let (endpoint, item) = ("index_history".to_owned(), item.to_owned());
            let asked_at = at("2026-11-20T12:00:00Z");
            Standing { endpoint, item, asked_at, answered_at: None, failures, calls: 1, error: None }
        };
        let watchlist = Watchlist::parse("[cboe]\nindex_history = [\"VIX\", \"SKEW\"]").unwrap();
        let before = [standing("VIX", 2), standing("SKEW", 3), standing("NOT WATCHED", 9)];
        alarm.resume(&watchlist, &before);
        assert!(failing(1));
        alarm.hear(&kept("VIX"), 2);
        assert!(failing(1));
        alarm.hear(&kept("VIX"), 3);
        alarm.hear(&kept("VIX"), 4);
        assert!(failing(2));
        // A page of an item that goes on says nothing.
        alarm.hear(&Kept { end: None, ..kept("VIX") }, 0);
        assert!(failing(2));
        alarm.hear(&kept("VIX"), 0);
        alarm.hear(&kept("SKEW"), 0);
        assert!(failing(0));
    }
}
