//! The events of a source: each is logged, counted and reported in one place, so that log, metrics and progress agree.

use std::time::Duration;

use sources::response::PageError;
use sources::source::Source;
use tracing::{error, info, warn};

use crate::meters::SourceMeters;
use crate::progress::{ItemDone, Progress};
use crate::run::Run;
use crate::tally::{ItemTally, Tally};

/// Logs, counts and reports the events of one source.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    source: &'static Source,
    meters: SourceMeters,
    progress: Progress,
}

impl Events {
    pub(crate) fn of(source: &'static Source, run: &Run) -> Events {
        Events { source, meters: run.meters.source(source), progress: run.progress }
    }

    /// A page was fetched, or the fetch failed for good or until the next round. What stops the source is logged by
    /// [`Events::stopped`].
    pub(crate) fn fetched<T>(&self, endpoint: &'static str, item: &str, offset: u64, outcome: &Result<T, PageError>) {
        self.meters.fetched(endpoint, outcome);
        let source = self.source.name;
        match outcome {
            Ok(_) | Err(PageError::Halt(_)) => {}
            Err(PageError::NoMore(reason)) if offset > 0 => {
                info!(source, endpoint, item, offset, "no more pages: {reason}");
            }
            Err(PageError::NoMore(reason) | PageError::Skip(reason)) => {
                warn!(source, endpoint, item, "skipped: {reason}");
            }
            Err(PageError::Retry(reason) | PageError::GiveUp(reason)) => {
                warn!(source, endpoint, item, "failed, the next round retries: {reason}");
            }
        }
    }

    /// The topics are there, and what an interruption left behind is known.
    pub(crate) fn connected(&self) {
        self.meters.connected();
    }

    /// Kafka has acknowledged all messages of a batch.
    pub(crate) fn acknowledged(&self, bytes: u64) {
        self.meters.delivered(bytes);
    }

    /// Kafka has not acknowledged all messages of a batch; with `pages` the batch is published again.
    pub(crate) fn not_acknowledged(&self, reason: &str, pages: Option<usize>) {
        self.meters.not_delivered(reason);
        if let Some(pages) = pages {
            warn!(source = self.source.name, pages, "publishing again: {reason}");
        }
    }

    /// Kafka cannot be reached; with `wait` there is another try.
    pub(crate) fn kafka_unreachable(&self, reason: &str, wait: Option<Duration>) {
        self.meters.not_delivered(reason);
        if let Some(wait) = wait {
            warn!(source = self.source.name, ?wait, "waiting for Kafka: {reason}");
        }
    }

    /// Records and rejects of a page are on Kafka.
    pub(crate) fn page_published(&self, endpoint: &'static str, counts: [u64; 2]) {
        self.meters.published(endpoint, counts);
    }

    /// An item has ended: the `items_done`th of `items_total` in this round.
    pub(crate) fn item_done(
        &self,
        endpoint: &'static str,
        item: &str,
        tally: &ItemTally,
        [items_done, items_total]: [usize; 2],
    ) {
        let source = self.source.name;
        let ItemTally { published, corrections, unchanged, rejected, holes, .. } = *tally;
        info!(source, endpoint, item, published, corrections, unchanged, rejected, holes, "polled");
        self.progress.tell(&ItemDone {
            source,
            endpoint,
            item,
            items_done,
            items_total,
            published,
            corrections,
            unchanged,
            rejected,
            holes,
            error: tally.reason().as_deref(),
        });
    }

    /// A round is over.
    pub(crate) fn round_done(&self, items: usize, tally: &Tally) {
        // A round in which nothing was due shows no problem with Kafka.
        self.meters.delivered(0);
        let Tally { published, rejected, failed_items } = *tally;
        info!(source = self.source.name, items, published, rejected, failed_items, "round complete");
        self.progress.tell(&tally.round_done(self.source, items));
    }

    /// Nothing is due at the start of a daemon.
    pub(crate) fn nothing_due(&self, tally: &Tally) {
        self.progress.tell(&tally.round_done(self.source, 0));
    }

    /// So many items of an endpoint fail again and again.
    pub(crate) fn failing(&self, endpoint: &'static str, items: usize) {
        self.meters.failing(endpoint, items);
    }

    /// An item fails again and again. The line alerts an operator.
    pub(crate) fn alert(&self, endpoint: &'static str, item: &str, failures: u32, reason: &str) {
        error!(source = self.source.name, endpoint, item, "failed {failures} times in a row: {reason}");
    }

    /// An item with an alert was answered.
    pub(crate) fn answered_again(&self, endpoint: &'static str, item: &str) {
        info!(source = self.source.name, endpoint, item, "answered again");
    }

    /// The source is stopped; a daemon tries it again after that wait.
    pub(crate) fn stopped(&self, reason: &str, tally: &Tally, wait: Option<Duration>) {
        match wait {
            Some(wait) => error!(source = self.source.name, ?wait, "stopped until the next try: {reason}"),
            None => error!(source = self.source.name, "stopped: {reason}"),
        }
        self.meters.stopped(reason);
        self.progress.tell(&tally.stopped(self.source, reason, wait));
    }

    /// A source that was stopped is polled again.
    pub(crate) fn resumed(&self) {
        info!(source = self.source.name, "polled again");
    }
}
