//! Tells an operator, by a line in the log, that an item fails again and again, and when it is answered again.
//!
//! The state records that a line was written, after it was. A process that is killed in between leaves the line to the
//! next start: a line can be repeated, but is never lost.

use std::collections::HashSet;

use sources::source::Source;
use tracing::warn;

use crate::events::Events;
use crate::state::{Standing, State, Streak, Update};
use crate::watchlist::Watchlist;

/// Reports the items of a source that fail again and again.
#[derive(Debug)]
pub(crate) struct Alerts<'a> {
    source: &'static Source,
    events: &'a Events,
    state: &'a State,
    failing: HashSet<(&'static str, String)>,
}

impl<'a> Alerts<'a> {
    /// A source without failing items.
    pub(crate) fn new(source: &'static Source, events: &'a Events, state: &'a State) -> Alerts<'a> {
        Alerts { source, events, state, failing: HashSet::new() }
    }

    /// Counts the items that failed before the start, and writes the lines that earlier processes were killed before.
    ///
    /// No other process may poll the source meanwhile: it would write the same lines.
    pub(crate) async fn resume(&mut self, watchlist: &Watchlist, standings: &[Standing]) {
        for endpoint in self.source.endpoints {
            let items: HashSet<&str> = watchlist.items(self.source, endpoint).iter().map(String::as_str).collect();
            let is_watched = |known: &&Standing| known.endpoint == endpoint.name && items.contains(known.item.as_str());
            for Standing { item, streak, error, .. } in standings.iter().filter(is_watched) {
                self.report(endpoint.name, item, *streak, error.as_deref()).await;
            }
            if !items.is_empty() {
                self.count(endpoint.name);
            }
        }
    }

    /// Writes the line that is due after an item has ended, if any.
    pub(crate) async fn ended(&mut self, update: &Update<'_>, streak: Streak) {
        let Some(attempt) = &update.attempt else { return };
        self.report(update.endpoint, update.item, streak, attempt.error).await;
        self.count(update.endpoint);
    }

    async fn report(&mut self, endpoint: &'static str, item: &str, streak: Streak, reason: Option<&str>) {
        let key = (endpoint, item.to_owned());
        let Streak { failures, is_alerted } = streak;
        let is_failing = streak.is_failing();
        if is_failing {
            self.failing.insert(key);
        } else {
            self.failing.remove(&key);
        }
        match (is_failing, is_alerted) {
            (true, false) => self.events.alert(endpoint, item, failures, reason.unwrap_or_default()),
            (false, true) => self.events.answered_again(endpoint, item),
            (true, true) | (false, false) => return,
        }
        if let Err(error) = self.state.record_alert(endpoint, item, is_failing).await {
            let source = self.source.name;
            warn!(
                source,
                endpoint, item, "cannot record that the line above was written, and will repeat it: {error:#}"
            );
        }
    }

    fn count(&self, endpoint: &'static str) {
        let failing = self.failing.iter().filter(|(own, _)| *own == endpoint).count();
        self.events.failing(endpoint, failing);
    }
}

#[cfg(test)]
mod tests;
