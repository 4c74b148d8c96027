//! Counts of a run and of an item.

use std::borrow::Cow;
use std::time::Duration;

use contract::records::FetchLog;
use contract::{Record, Text};
use sources::source::Source;

use crate::answer::{Answer, Outcome};
use crate::fetch::Cost;
use crate::progress::RoundDone;
use crate::published::filter::Filtered;
use crate::published::index::Change;
use crate::run::{Ending, Mode};

/// Counts of a run so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) published: u64,
    pub(crate) rejected: u64,
    /// Items that were given up, or of which every row was refused.
    pub(crate) failed_items: u64,
}

impl Tally {
    pub(crate) fn round_done<'a>(&self, source: &'a Source, items: usize) -> RoundDone<'a> {
        let Tally { published, rejected, failed_items } = *self;
        let (error, next_try_seconds) = (None, None);
        RoundDone { source: source.name, done: true, items, published, rejected, failed_items, error, next_try_seconds }
    }

    pub(crate) fn stopped<'a>(&self, source: &'a Source, reason: &'a str, wait: Option<Duration>) -> RoundDone<'a> {
        let next_try_seconds = wait.map(|wait| wait.as_secs());
        RoundDone { error: Some(reason), next_try_seconds, ..self.round_done(source, 0) }
    }

    /// A daemon retries an item that was given up in its next round.
    pub(crate) fn ending(&self, mode: Mode) -> Ending {
        if mode == Mode::Once && self.failed_items > 0 { Ending::Incomplete } else { Ending::Complete }
    }
}

/// Counts and outcome of an item.
#[derive(Debug, Clone, Default)]
pub(crate) struct ItemTally {
    pub(crate) published: u64,
    /// Those of them that are corrections.
    pub(crate) corrections: u64,
    /// Records that were already published.
    pub(crate) unchanged: u64,
    pub(crate) rejected: u64,
    pub(crate) holes: u64,
    pub(crate) outcome: Outcome,
    /// Why it failed.
    pub(crate) error: Option<String>,
}

impl ItemTally {
    /// Adds a page, with the numbers of published and rejected records.
    pub(crate) fn add(&mut self, answer: &Answer, filtered: &Filtered, [published, rejected]: [u64; 2]) {
        self.published += published;
        self.rejected += rejected;
        self.unchanged += filtered.unchanged;
        self.corrections += filtered.records.iter().filter(|(_, change)| *change == Change::Correction).count() as u64;
        match &answer.page {
            Ok(page) if page.validators.is_none() => self.outcome = Outcome::Unchanged,
            Ok(page) => self.holes += page.holes,
            Err(left) => (self.outcome, self.error) = (left.outcome, Some(left.reason.clone())),
        }
    }

    /// Whether the provider sent rows and not one of them is a record.
    pub(crate) fn is_all_refused(&self) -> bool {
        self.rejected > 0 && self.published + self.unchanged == 0
    }

    /// Why it failed, for the user.
    pub(crate) fn reason(&self) -> Option<Cow<'_, str>> {
        let refused = || format!("all {} rows were refused: `dead-letters list` says why", self.rejected);
        self.error.as_deref().map(Cow::from).or_else(|| self.is_all_refused().then(refused).map(Cow::from))
    }

    /// The `fetch_log` record of the item.
    pub(crate) fn log(&self, source: &Source, answer: &Answer, (cost, duration): (Cost, Duration)) -> Record {
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let fetched_at = answer.at;
        Record::from(FetchLog {
            source: source.name.into(),
            endpoint: answer.endpoint.name.into(),
            item: answer.item.as_str().into(),
            fetched_at,
            outcome: self.outcome.word(),
            records: count(self.published),
            corrections: Some(count(self.corrections)),
            unchanged: Some(count(self.unchanged)),
            rejects: count(self.rejected),
            calls: count(cost.calls),
            bytes: count(cost.bytes),
            duration_ms: i64::try_from(duration.as_millis()).unwrap_or(i64::MAX),
            error: self.error.as_deref().map(Text::from),
            known_at: fetched_at,
            observed_at: fetched_at,
            flags: Vec::new(),
        })
    }
}
