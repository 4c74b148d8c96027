//! What asking a provider for an item brings: its pages, or the reason why it failed.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use contract::records::DeadLetter;
use contract::{Record, Text};
use sources::source::Endpoint;

use crate::fetch::Cost;
use crate::published::filter::{Filter, Want};
use crate::state::Validators;

/// A page of an item, ready to be published.
#[derive(Debug)]
pub struct Page {
    /// The records.
    pub records: Vec<Record>,
    /// The rows that could not be read.
    pub dead_letters: Vec<DeadLetter>,
    /// Number of rows without any value.
    pub holes: u64,
    /// Trading dates of daily bars without any value.
    pub empty_days: Vec<NaiveDate>,
    /// Offset of the next page, if there is one.
    pub next_offset: Option<u64>,
    /// When it was received.
    pub received_at: DateTime<Utc>,
    /// The response's validators; None when the provider responded that nothing has changed.
    pub validators: Option<Validators>,
}

impl Page {
    /// The empty page behind the last one.
    pub fn end(now: DateTime<Utc>) -> Page {
        Page { validators: Some(Validators::default()), ..Page::unchanged(now) }
    }

    /// The response that nothing has changed.
    pub fn unchanged(received_at: DateTime<Utc>) -> Page {
        Page {
            records: Vec::new(),
            dead_letters: Vec::new(),
            holes: 0,
            empty_days: Vec::new(),
            next_offset: None,
            received_at,
            validators: None,
        }
    }
}

/// One page of an item on its way to Kafka, or why there is none.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) endpoint: &'static Endpoint,
    pub(crate) item: String,
    /// What the item was fetched for.
    pub(crate) want: Want,
    pub(crate) offset: u64,
    pub(crate) page: Result<Page, Left>,
    /// Removes already published records; comes with the first page of an item.
    pub(crate) filter: Option<Box<Filter>>,
    /// Cost and duration of the item, with its last page.
    pub(crate) spent: Option<(Cost, Duration)>,
    /// When the page was received.
    pub(crate) at: DateTime<Utc>,
}

impl Answer {
    /// Number of records and dead letters.
    pub(crate) fn records(&self) -> usize {
        self.page.as_ref().map_or(0, |page| page.records.len() + page.dead_letters.len())
    }
}

/// Why an item has no further pages in this round.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) reason: String,
    pub(crate) outcome: Outcome,
}

/// How fetching an item ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With all of its pages.
    #[default]
    Answered,
    /// Nothing has changed since the last response.
    Unchanged,
    /// The provider does not have it.
    Skipped,
    /// Every attempt failed; the next round tries again.
    GivenUp,
    /// The source is stopped: no item of it can be fetched.
    Halted,
}

impl Outcome {
    /// Whether the provider answered the question, be it by "unknown item".
    pub(crate) fn is_answer(self) -> bool {
        matches!(self, Outcome::Answered | Outcome::Unchanged | Outcome::Skipped)
    }

    /// As in `fetch_log`.
    pub(crate) fn word(self) -> Text {
        match self {
            Outcome::Answered => const { Text::literal("answered") },
            Outcome::Unchanged => const { Text::literal("unchanged") },
            Outcome::Skipped => const { Text::literal("skipped") },
            Outcome::GivenUp => const { Text::literal("given_up") },
            Outcome::Halted => const { Text::literal("halted") },
        }
    }
}

/// An item that has ended in this round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its endpoint.
    pub endpoint: &'static str,
    /// The item.
    pub item: String,
    /// Whether the provider answered the question, be it by "unknown item".
    pub answered: bool,
}
