//! What is due when: every item of a source's watchlist, and its missing days.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sources::schedule::Schedule;
use sources::source::{Endpoint, LookBack, Source};

use crate::answer::Ended;
use crate::state::{Gap, GapState, Standing};
use crate::watchlist::Watchlist;

/// First wait before a failed item is retried; it doubles, up to the interval of its polls.
const FIRST_RETRY: Duration = Duration::from_secs(5 * 60);
/// Time from one repair of an item to the next.
const REPAIR_PAUSE: TimeDelta = TimeDelta::hours(20);
/// Latest time at which an item is due that its schedule never asks for again.
const LONGEST_WAIT: TimeDelta = TimeDelta::days(30);

/// When the items of a source are polled.
#[derive(Debug)]
pub struct Agenda<'a> {
    entries: Vec<Entry<'a>>,
}

/// An item, and when it is due.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Its endpoint.
    pub endpoint: &'static Endpoint,
    /// The item.
    pub item: &'a str,
    /// When it may be polled, and how often.
    pub schedule: Schedule,
    /// When it is polled next.
    pub due: DateTime<Utc>,
    /// Failures in a row.
    failures: u32,
}

impl<'a> Agenda<'a> {
    /// The agenda, going on from how the items were doing.
    pub fn new(
        source: &'static Source,
        watchlist: &'a Watchlist,
        standings: &[Standing],
        now: DateTime<Utc>,
    ) -> Agenda<'a> {
        let key = |standing: &'_ Standing| (standing.endpoint.clone(), standing.item.clone());
        let known: HashMap<(String, String), &Standing> =
            standings.iter().map(|standing| (key(standing), standing)).collect();
        let mut entries = Vec::new();
        for endpoint in source.endpoints {
            for item in watchlist.items(source, endpoint) {
                let standing = known.get(&(endpoint.name.to_owned(), item.clone())).copied();
                let schedule = watchlist.schedule(source, endpoint, item);
                let mut entry = Entry { endpoint, item, schedule, due: now, failures: 0 };
                entry.resume(standing, now);
                entries.push(entry);
            }
        }
        Agenda { entries }
    }

    /// What has failed is due now: the source was stopped, and is tried again.
    pub fn retry(&mut self, now: DateTime<Utc>) {
        self.entries.iter_mut().filter(|entry| entry.failures > 0).for_each(|entry| entry.due = now);
    }

    /// All entries, due or not.
    pub fn all(&self) -> Vec<Entry<'a>> {
        self.entries.clone()
    }

    /// The entries that are due.
    pub fn due(&self, now: DateTime<Utc>) -> Vec<Entry<'a>> {
        self.entries.iter().filter(|entry| entry.due <= now).copied().collect()
    }

    /// When the next entry is due.
    pub fn next(&self) -> Option<DateTime<Utc>> {
        self.entries.iter().map(|entry| entry.due).min()
    }

    /// Sets when entries that were due are due next, by how their items ended. A failed item is not retried before
    /// `no_use_for` has passed.
    pub fn ended(&mut self, ended: &[Ended], now: DateTime<Utc>, no_use_for: Duration) {
        let ended: HashMap<(&str, String), bool> =
            ended.iter().map(|ended| ((ended.endpoint, ended.item.clone()), ended.answered)).collect();
        let key = |entry: &Entry<'_>| (entry.endpoint.name, entry.item.to_owned());
        for entry in self.entries.iter_mut().filter(|entry| entry.due <= now) {
            match ended.get(&key(entry)) {
                Some(true) => entry.answered(now),
                Some(false) | None => entry.failed(now, no_use_for),
            }
        }
    }
}

impl Entry<'_> {
    /// Goes on from where an earlier process stopped.
    fn resume(&mut self, standing: Option<&Standing>, now: DateTime<Utc>) {
        let Some(standing) = standing else {
            // Never polled: due now, at any hour.
            return;
        };
        match standing.answered_at {
            // If the clock was set back, the item does not wait for it.
            Some(answered) if standing.streak.failures == 0 => self.answered(answered.min(now)),
            _ => {
                self.failures = standing.streak.failures.saturating_sub(1);
                self.failed(standing.asked_at.min(now), Duration::ZERO);
            }
        }
    }

    fn answered(&mut self, at: DateTime<Utc>) {
        self.failures = 0;
        self.due = self.schedule.after_response(self.item, at).unwrap_or(at + LONGEST_WAIT);
    }

    fn failed(&mut self, at: DateTime<Utc>, no_use_for: Duration) {
        let doubled = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(self.failures));
        let longest = self.schedule.every.max(FIRST_RETRY);
        let wait = doubled.min(longest).max(no_use_for);
        self.failures = self.failures.saturating_add(1);
        let at = at + TimeDelta::from_std(wait).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
        self.due = self.schedule.when.next(self.item, at).unwrap_or(at);
    }
}

/// Missing days to fetch, by endpoint and item: days that live polls no longer read, each once a day.
pub fn repairs<'a>(
    source: &'static Source,
    watchlist: &'a Watchlist,
    gaps: &[Gap],
    now: DateTime<Utc>,
) -> Vec<(&'static Endpoint, &'a str, BTreeSet<NaiveDate>)> {
    let mut by_item: HashMap<(&str, &str), Vec<&Gap>> = HashMap::new();
    for gap in gaps.iter().filter(|gap| gap.state == GapState::Open && now - gap.asked_at >= REPAIR_PAUSE) {
        by_item.entry((&gap.endpoint, &gap.item)).or_default().push(gap);
    }
    let mut repairs = Vec::new();
    for endpoint in source.endpoints.iter().filter(|endpoint| endpoint.history.range.is_some()) {
        let LookBack::Days(look_back) = endpoint.history.look_back else { continue };
        let read_again = (now - TimeDelta::days(look_back.into())).date_naive();
        for item in watchlist.items(source, endpoint) {
            let due = by_item.get(&(endpoint.name, item.as_str())).into_iter().flatten();
            let days: BTreeSet<NaiveDate> = due.map(|gap| gap.day).filter(|day| *day < read_again).collect();
            if !days.is_empty() {
                repairs.push((endpoint, item.as_str(), days));
            }
        }
    }
    repairs
}

#[cfg(test)]
mod tests;
