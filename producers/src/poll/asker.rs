//! Fetches items from a provider, page by page.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use sources::response::PageError;
use sources::source::{Endpoint, Source};
use tracing::warn;

use crate::answer::{Answer, Left, Outcome, Page};
use crate::deliver::Sender;
use crate::events::Events;
use crate::fetch::{Cost, Fetcher};
use crate::poll::agenda::Entry;
use crate::poll::ask::{self, BACKFILL, DAEMON, ONCE, Patience, Question};
use crate::published::filter::{Filter, Want};
use crate::run::{Mode, Run, Stop};
use crate::state::{Class, State, Validators};

/// Most pages of one item, in case a provider always announces another one.
const MAX_PAGES: usize = 1000;

/// An item to fetch.
#[derive(Debug, Clone)]
pub(crate) struct Asked<'a> {
    pub(crate) endpoint: &'static Endpoint,
    pub(crate) item: &'a str,
    pub(crate) want: Want,
}

impl<'a> Asked<'a> {
    pub(crate) fn live(entry: Entry<'a>) -> Asked<'a> {
        Asked { endpoint: entry.endpoint, item: entry.item, want: Want::Live }
    }

    pub(crate) fn repair((endpoint, item, days): (&'static Endpoint, &'a str, BTreeSet<NaiveDate>)) -> Asked<'a> {
        Asked { endpoint, item, want: Want::Repair(days) }
    }

    fn class(&self) -> Class {
        match self.want {
            Want::Live => Class::Live,
            Want::Repair(_) => Class::Repair,
            Want::Backfill { .. } => Class::Backfill,
        }
    }
}

/// Fetches the items of one source and sends their pages to its delivery.
///
/// **Guarantees.** Pages of an item are sent in order, and the last one carries the item's cost. An item that fails is
/// sent as [`Left`] and the next one follows. The channel is bounded, so fetching waits for delivery.
///
/// **Errors.** [`Stop::Source`] when the source refuses every item, after that answer was sent; [`Stop::Shutdown`] when
/// the shutdown begins or the delivery has ended.
///
/// **Cancel safety.** A dropped future leaves its item half delivered: the state does not record it, and the next round
/// fetches it again.
pub(crate) struct Asker<'a> {
    pub(crate) source: &'static Source,
    pub(crate) run: &'a Run,
    pub(crate) fetcher: Fetcher,
    pub(crate) events: &'a Events,
    pub(crate) state: &'a State,
}

impl Asker<'_> {
    /// Fetches all items.
    pub(crate) async fn ask_all(&self, asked: &[Asked<'_>], sender: Sender) -> Result<(), Stop> {
        for asked in asked {
            self.ask(asked, &sender).await?;
        }
        Ok(())
    }

    /// Fetches an item, page by page.
    async fn ask(&self, asked: &Asked<'_>, sender: &Sender) -> Result<(), Stop> {
        let Asked { endpoint, item, want } = asked;
        let (began, before) = (self.fetcher.clock().instant(), self.fetcher.cost());
        let known = match self.state.item(endpoint.name, item).await {
            Ok(known) => known,
            Err(error) => {
                warn!(source = self.source.name, endpoint = endpoint.name, item, "cannot read its state: {error:#}");
                Default::default()
            }
        };
        let range = want.range(endpoint, &known.known, self.fetcher.clock().now().date_naive());
        let (class, source) = (asked.class(), self.source);
        // The validators of a response say nothing about a part of the past.
        let mut validators = if range.is_none() { known.validators.clone() } else { Validators::default() };
        let mut filter = Some(Box::new(Filter::new(endpoint, item, want.clone(), range, known.known)));
        let mut question = Question { source, endpoint, item, offset: 0, range, class };
        for page_number in 1.. {
            // Pages of a longer item can change independently: only the first one is fetched conditionally.
            let known = std::mem::take(&mut validators);
            let page = tokio::select! {
                page = self.page(question, &known) => page.ok_or(Stop::Shutdown)?,
                // The delivery has failed, and returns why.
                () = sender.closed() => return Err(Stop::Shutdown),
            };
            let halted = page.as_ref().err().filter(|left| left.outcome == Outcome::Halted);
            let halted = halted.map(|left| Stop::Source(left.reason.clone()));
            let next = page.as_ref().ok().and_then(|page| page.next_offset).filter(|next| *next > question.offset);
            // A file ends by itself.
            let next = next.filter(|_| page_number < MAX_PAGES || source.is_local());
            let spent = next.is_none().then(|| {
                let spent: Cost = self.fetcher.cost().since(before);
                (spent, self.fetcher.clock().instant() - began)
            });
            let at = page.as_ref().map_or_else(|_| self.fetcher.clock().now(), |page| page.received_at);
            let (item, want, offset) = ((*item).to_owned(), want.clone(), question.offset);
            let answer = Answer { endpoint, item, want, offset, page, filter: filter.take(), spent, at };
            sender.send(answer).await.map_err(|_| Stop::Shutdown)?;
            if let Some(stop) = halted {
                return Err(stop);
            }
            match next {
                Some(next) => question.offset = next,
                None => break,
            }
        }
        Ok(())
    }

    /// A page, or why there is none; None at the shutdown.
    async fn page(&self, question: Question<'_>, known: &Validators) -> Option<Result<Page, Left>> {
        let (endpoint, item) = (question.endpoint.name, question.item);
        let asking = ask::page(&self.fetcher, question, known, self.patience(question.class));
        let outcome = self.run.shutdown.run_until_cancelled(asking).await?;
        self.events.fetched(endpoint, item, question.offset, &outcome);
        Some(match outcome {
            Ok(page) => Ok(page),
            Err(PageError::NoMore(_)) if question.offset > 0 => Ok(Page::end(self.fetcher.clock().now())),
            Err(PageError::NoMore(reason) | PageError::Skip(reason)) => Err(Left { reason, outcome: Outcome::Skipped }),
            // Without a network, every item would retry for a minute while the user waits.
            Err(PageError::Retry(reason)) if self.run.mode == Mode::Once && self.fetcher.is_out_of_reach() => {
                let reason = format!("{reason}; this source's other items were not tried");
                Err(Left { reason, outcome: Outcome::Halted })
            }
            Err(PageError::Retry(reason) | PageError::GiveUp(reason)) => {
                Err(Left { reason, outcome: Outcome::GivenUp })
            }
            Err(PageError::Halt(reason)) => Err(Left { reason, outcome: Outcome::Halted }),
        })
    }

    fn patience(&self, class: Class) -> Patience {
        match (self.run.mode, class) {
            (_, Class::Backfill) => BACKFILL,
            (Mode::Once, _) => ONCE,
            (Mode::Daemon, _) => DAEMON,
        }
    }
}
