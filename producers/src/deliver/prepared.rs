//! A page without its already published records.

use crate::answer::{Answer, Outcome};
use crate::published::filter::{Filter, Filtered, Want, Whole};
use crate::state::{Attempt, Update};
use crate::tally::ItemTally;

/// A page that is ready to be published.
pub(super) struct Prepared {
    pub(super) answer: Answer,
    pub(super) filtered: Filtered,
    /// What the pages together say about the item; comes with the last page.
    pub(super) whole: Option<Whole>,
    /// The item's filter; comes with the last page.
    pub(super) filter: Option<Box<Filter>>,
    /// Records and rejects that were published.
    pub(super) counts: [u64; 2],
    /// Tally of the item, once its last page has been published.
    pub(super) finished: Option<ItemTally>,
}

impl Prepared {
    pub(super) fn of(answer: Answer) -> Prepared {
        Prepared { answer, filtered: Filtered::default(), whole: None, filter: None, counts: [0, 0], finished: None }
    }

    /// Whether the state records the page as published. Not for a backfill, which resumes at a day.
    pub(super) fn is_recorded(&self) -> bool {
        let is_empty = self.filtered.records.is_empty() && self.filtered.dead_letters.is_empty();
        !is_empty && !matches!(self.answer.want, Want::Backfill { .. })
    }

    /// Keys of the item's messages that were recovered from Kafka and are recorded now, with the last page.
    pub(super) fn take_recovered(&mut self) -> Vec<i64> {
        self.filter.as_mut().map(|filter| std::mem::take(&mut filter.recovered)).unwrap_or_default()
    }

    /// What to save of the item, with the last page. Repairs and backfills leave the live polls where they are.
    pub(super) fn update(&mut self) -> Option<Update<'_>> {
        let Answer { endpoint, item, want, page, spent, at, .. } = &self.answer;
        let (cost, _) = spent.filter(|_| *want == Want::Live)?;
        let tally = self.finished.as_ref()?;
        let whole = self.whole.as_ref();
        let index = self.filter.as_deref_mut().filter(|_| whole.is_some()).map(|filter| &mut filter.index);
        let index = index.and_then(|index| index.take_changed().then_some(&*index));
        let attempt = Attempt {
            at: *at,
            // An item that the provider does not have, or sends in an unreadable form, is on the watchlist all the
            // same.
            answered: matches!(tally.outcome, Outcome::Answered | Outcome::Unchanged),
            calls: cost.calls,
            error: tally.error.as_deref(),
            latest: whole.and_then(|whole| whole.reading.latest),
            reread: whole.and_then(|whole| whole.reread),
            validators: page.as_ref().ok().and_then(|page| page.validators.as_ref()),
        };
        Some(Update { endpoint: endpoint.name, item, index, attempt: Some(attempt) })
    }
}
