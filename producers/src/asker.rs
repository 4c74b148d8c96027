//! Asks a provider for items, page by page.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use tracing::{info, warn};

use crate::agenda::Entry;
use crate::ask::{self, BACKFILL, DAEMON, ONCE, Page, Patience, Question};
use crate::deliver::{Answer, Left, Sender};
use crate::fetch::{Class, Cost, Fetcher, Validators};
use crate::meters::SourceMeters;
use crate::poll::{Mode, Run, Stop};
use crate::sift::{Sieve, Want};
use crate::source::{Endpoint, PageError, Source};
use crate::state::State;
use crate::tally::Outcome;

/// Most pages of one item: a provider that always has another page does not keep us for ever.
const MAX_PAGES: usize = 1000;

/// An item that is asked for.
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

/// Asks the provider.
pub(crate) struct Asker<'a> {
    pub(crate) source: &'static Source,
    pub(crate) run: &'a Run,
    pub(crate) fetcher: Fetcher,
    pub(crate) meters: &'a SourceMeters,
    pub(crate) state: &'a State,
}

impl Asker<'_> {
    /// Asks for all items, and sends on what is answered. Only what stops the source is an error.
    pub(crate) async fn ask_all(&self, asked: &[Asked<'_>], sender: Sender) -> Result<(), Stop> {
        for asked in asked {
            self.ask(asked, &sender).await?;
        }
        Ok(())
    }

    /// Asks for an item, page by page.
    async fn ask(&self, asked: &Asked<'_>, sender: &Sender) -> Result<(), Stop> {
        let Asked { endpoint, item, want } = asked;
        let (began, before) = (self.fetcher.clock().instant(), self.fetcher.cost());
        let known = match self.state.item(endpoint.name, item).await {
            Ok(known) => known,
            Err(error) => {
                warn!(source = self.source.name, endpoint = endpoint.name, item, "its state cannot be read: {error:#}");
                Default::default()
            }
        };
        let range = want.range(endpoint, &known, self.fetcher.clock().now().date_naive());
        let (class, source) = (asked.class(), self.source);
        // Of a part of the past nothing tells whether it is as it was.
        let mut validators = if range.is_none() { known.validators.clone() } else { Validators::default() };
        let mut sieve = Some(Box::new(Sieve::new(endpoint, item, want.clone(), range, known)));
        let mut question = Question { source, endpoint, item, offset: 0, range, class };
        for page_number in 1.. {
            // Of several pages each could change without the others: what comes behind the first is asked for whole.
            let known = std::mem::take(&mut validators);
            let page = tokio::select! {
                page = self.page(question, &known) => page.ok_or(Stop::Shutdown)?,
                // Delivering has failed, and says why.
                () = sender.closed() => return Err(Stop::Shutdown),
            };
            let halted = page.as_ref().err().filter(|left| left.outcome == Outcome::Halted);
            let halted = halted.map(|left| Stop::Source(left.reason.clone()));
            let next = page.as_ref().ok().and_then(|page| page.next_offset).filter(|next| *next > question.offset);
            // A file has an end.
            let next = next.filter(|_| page_number < MAX_PAGES || source.is_local());
            let spent = next.is_none().then(|| {
                let spent: Cost = self.fetcher.cost().since(before);
                (spent, self.fetcher.clock().instant() - began)
            });
            let at = page.as_ref().map_or_else(|_| self.fetcher.clock().now(), |page| page.received_at);
            let (item, want, offset) = ((*item).to_owned(), want.clone(), question.offset);
            let answer = Answer { endpoint, item, want, offset, page, sieve: sieve.take(), spent, at };
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

    /// A page, or why the item is left; None at the shutdown.
    async fn page(&self, question: Question<'_>, known: &Validators) -> Option<Result<Page, Left>> {
        let (source, endpoint, item) = (self.source.name, question.endpoint.name, question.item);
        let asking = ask::page(&self.fetcher, question, known, self.patience(question.class));
        let outcome = self.run.shutdown.run_until_cancelled(asking).await?;
        self.meters.fetched(endpoint, &outcome);
        Some(match outcome {
            Ok(page) => Ok(page),
            Err(PageError::NoMore(reason)) if question.offset > 0 => {
                info!(source, endpoint, item, offset = question.offset, "no more pages: {reason}");
                Ok(Page::end(self.fetcher.clock().now()))
            }
            Err(PageError::NoMore(reason) | PageError::Skip(reason)) => {
                warn!(source, endpoint, item, "skipped: {reason}");
                Err(Left { reason, outcome: Outcome::Skipped })
            }
            Err(PageError::Retry(reason) | PageError::GiveUp(reason)) => {
                warn!(source, endpoint, item, "given up until the next round: {reason}");
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
