//! What has become of the items of a run, counted.

use std::time::Duration;

use contract::records::FetchLog;
use contract::{Record, Text};

use crate::deliver::Answer;
use crate::fetch::Cost;
use crate::memory::Change;
use crate::poll::{Ending, Mode};
use crate::progress::RoundDone;
use crate::sift::Sifted;
use crate::source::Source;

/// How asking for an item ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With all of its pages.
    #[default]
    Answered,
    /// Nothing is new since the last answer.
    Unchanged,
    /// The provider does not have it.
    Skipped,
    /// The provider has it and could not give it: the next round asks again.
    GivenUp,
    /// No item of this source can be had.
    Halted,
}

impl Outcome {
    /// Whether the provider has said what it has to say.
    pub(crate) fn is_answer(self) -> bool {
        matches!(self, Outcome::Answered | Outcome::Unchanged | Outcome::Skipped)
    }

    /// As `fetch_log` says it.
    fn word(self) -> Text {
        match self {
            Outcome::Answered => const { Text::literal("answered") },
            Outcome::Unchanged => const { Text::literal("unchanged") },
            Outcome::Skipped => const { Text::literal("skipped") },
            Outcome::GivenUp => const { Text::literal("given_up") },
            Outcome::Halted => const { Text::literal("halted") },
        }
    }
}

/// What a run has done so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) published: u64,
    pub(crate) rejected: u64,
    pub(crate) failed_items: u64,
}

impl Tally {
    pub(crate) fn round_done<'a>(&self, source: &'a Source, error: Option<&'a str>) -> RoundDone<'a> {
        let Tally { published, rejected, failed_items } = *self;
        RoundDone { source: source.name, done: true, published, rejected, failed_items, error }
    }

    /// A daemon makes up for an item that was given up in its next round.
    pub(crate) fn ending(&self, mode: Mode) -> Ending {
        if mode == Mode::Once && self.failed_items > 0 { Ending::Incomplete } else { Ending::Complete }
    }
}

/// What has become of an item.
#[derive(Debug, Clone, Default)]
pub(crate) struct ItemTally {
    pub(crate) published: u64,
    /// Those of them that correct an earlier one.
    pub(crate) corrections: u64,
    /// Records that say what was said before.
    pub(crate) unchanged: u64,
    pub(crate) rejected: u64,
    pub(crate) holes: u64,
    pub(crate) outcome: Outcome,
    /// Why it was not answered.
    pub(crate) error: Option<String>,
}

impl ItemTally {
    /// Adds a page, of which so many records were published and rejected.
    pub(crate) fn add(&mut self, answer: &Answer, sifted: &Sifted, [published, rejected]: [u64; 2]) {
        self.published += published;
        self.rejected += rejected;
        self.unchanged += sifted.unchanged;
        self.corrections += sifted.records.iter().filter(|(_, change)| *change == Change::Correction).count() as u64;
        match &answer.page {
            Ok(page) if page.validators.is_none() => self.outcome = Outcome::Unchanged,
            Ok(page) => self.holes += page.holes,
            Err(left) => (self.outcome, self.error) = (left.outcome, Some(left.reason.clone())),
        }
    }

    /// What is recorded of the item once it is finished.
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
