//! Delivers pages to Kafka: several at a time, each done when Kafka has acknowledged every record of it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kafka::publish::{Acknowledged, PublishError, Publisher};
use service::telemetry;
use sources::source::{Endpoint, Source};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::answer::{Answer, Ended, Outcome};
use crate::deliver::alert::Alerts;
use crate::deliver::prepared::Prepared;
use crate::events::Events;
use crate::published::filter::{Filter, Want, Whole};
use crate::published::recover::{self, Recovered};
use crate::run::{KAFKA_WAITS, Mode, Run, Stop};
use crate::state::{BackfillProgress, Extent, State, Update};
use crate::tally::{ItemTally, Tally};

pub(crate) mod alert;
mod connect;
mod prepared;
mod publish;

pub(crate) use connect::connect;

/// Pages that may wait to be published: enough to fetch while Kafka acknowledges, few enough to hold in memory.
pub(crate) const PAGES_AHEAD: usize = 8;
/// Records after which no more pages are added to a batch: what is acknowledged together is published again together.
const BATCH_RECORDS: usize = 20_000;
/// How long Kafka may take to acknowledge the pages of a batch once the shutdown has begun.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Where the asker sends answers.
pub(crate) type Sender = mpsc::Sender<Answer>;

/// Publishes the pages of one source and saves in its state what Kafka has acknowledged.
///
/// **Guarantees.** A page is published record by record, in order, under each record's key. The state is saved only
/// after Kafka has acknowledged every record of a batch; before the first record the state says that a batch is being
/// published. A process that is killed in between leaves this mark, and the next one recovers from Kafka what the state
/// lacks. So records are neither lost nor, while Kafka keeps them, published twice. A state that cannot be saved is
/// logged: its items are fetched and published again.
///
/// **Errors.** [`Stop::Kafka`] when Kafka refuses a record for good, or is unavailable in a run that polls once; a
/// daemon reconnects and retries without limit. [`Stop::Shutdown`] when a batch was not acknowledged [`SHUTDOWN_GRACE`]
/// after the shutdown began.
///
/// **Cancel safety.** Dropping the future of [`Delivery::deliver_all`] is like a kill: the next process recovers.
pub(crate) struct Delivery<'a> {
    source: &'static Source,
    run: &'a Run,
    publisher: Publisher,
    events: &'a Events,
    tally: &'a mut Tally,
    state: &'a State,
    /// What earlier processes published and did not record.
    pub(crate) recovered: Recovered,
    /// The filter of the item whose next pages are still to come.
    filter: Option<Box<Filter>>,
    /// Tally of that item.
    item: ItemTally,
    /// Reports items that fail again and again.
    pub(crate) alerts: Alerts<'a>,
    /// Items that have ended since this was last taken.
    pub(crate) ended: Vec<Ended>,
}

impl<'a> Delivery<'a> {
    pub(crate) fn new(
        source: &'static Source,
        run: &'a Run,
        publisher: Publisher,
        events: &'a Events,
        tally: &'a mut Tally,
        state: &'a State,
        recovered: Recovered,
    ) -> Delivery<'a> {
        Delivery {
            source,
            run,
            publisher,
            events,
            tally,
            state,
            recovered,
            filter: None,
            item: ItemTally::default(),
            alerts: Alerts::new(source, events, state),
            ended: Vec::new(),
        }
    }

    /// Publishes answers until the channel is closed. Those that arrive while Kafka acknowledges form the next batch.
    pub(crate) async fn deliver_all(&mut self, items: usize, mut answers: mpsc::Receiver<Answer>) -> Result<(), Stop> {
        let mut items_done = 0;
        while let Some(first) = answers.recv().await {
            let mut records = first.records();
            let mut batch = vec![self.prepare(first)];
            while records < BATCH_RECORDS
                && let Ok(more) = answers.try_recv()
            {
                records += more.records();
                batch.push(self.prepare(more));
            }
            self.publish(&mut batch).await?;
            self.save(&mut batch).await;
            for prepared in batch {
                self.events.page_published(prepared.answer.endpoint.name, prepared.counts);
                if let Some(tally) = prepared.finished {
                    items_done += 1;
                    self.item_done(prepared.answer, tally, [items_done, items]);
                }
            }
        }
        Ok(())
    }

    /// Reports that a round is over.
    pub(crate) fn round_done(&self, items: usize) {
        self.events.round_done(items, self.tally);
    }

    /// Reports that there is nothing to poll at the start.
    pub(crate) fn nothing_due(&self) {
        self.events.nothing_due(self.tally);
    }

    /// Removes from a page what is already published. Retries publish the page as it is after that.
    fn prepare(&mut self, mut answer: Answer) -> Prepared {
        if let Some(filter) = answer.filter.take() {
            self.filter = Some(filter);
        }
        let mut prepared = Prepared::of(answer);
        let Some(filter) = self.filter.as_deref_mut() else { return prepared };
        let answer = &mut prepared.answer;
        if let Ok(page) = &mut answer.page
            && page.validators.is_some()
        {
            let (records, dead_letters) = (std::mem::take(&mut page.records), std::mem::take(&mut page.dead_letters));
            prepared.filtered = filter.filter(records, dead_letters, &page.empty_days, &mut self.recovered);
            if answer.spent.is_some() {
                prepared.whole = Some(filter.finish(answer.at));
                let validators = page.validators.take().filter(|_| filter.is_whole(answer.offset));
                page.validators = Some(validators.unwrap_or_default());
            }
        }
        if answer.spent.is_some() {
            prepared.filter = self.filter.take();
        }
        prepared
    }

    /// Publishes pages until Kafka has acknowledged all of them.
    ///
    /// A daemon reconnects and retries without limit; a shutdown leaves the pages to the next start.
    async fn publish(&mut self, batch: &mut [Prepared]) -> Result<(), Stop> {
        if batch.iter().any(Prepared::is_recorded)
            && let Err(error) = self.state.publishing().await
        {
            warn!(source = self.source.name, "after a crash some records would be published again: {error:#}");
        }
        loop {
            // A retry counts again from the beginning of the batch.
            let mut item = self.item.clone();
            let publishing = publish::batch(&mut self.publisher, self.source, batch, &mut item);
            let published = tokio::select! {
                published = publishing => published,
                () = grace(&self.run.shutdown) => return Err(Stop::Shutdown),
            };
            match published {
                Ok(delivered) => {
                    self.events.acknowledged(delivered.bytes);
                    self.item = item;
                    return Ok(());
                }
                Err(PublishError::Retry(reason)) if self.run.mode == Mode::Daemon => {
                    self.events.not_acknowledged(&reason, Some(batch.len()));
                }
                Err(error) => {
                    let reason = error.to_string();
                    self.events.not_acknowledged(&reason, None);
                    return Err(Stop::Kafka(reason));
                }
            }
            self.run.pause(KAFKA_WAITS[0]).await?;
            self.publisher = connect(self.source, self.run, self.events).await?;
            self.mark_published(batch).await;
        }
    }

    /// Marks the records of a batch that are on Kafka although Kafka did not acknowledge them.
    async fn mark_published(&self, batch: &mut [Prepared]) {
        match self.unrecorded().await {
            Ok(recovered) => recovered.mark(batch.iter_mut().rev().map(|prepared| &mut prepared.filtered)),
            Err(error) => {
                let reason = telemetry::one_line(&error);
                warn!(source = self.source.name, "some records may be published again: {reason}");
            }
        }
    }

    /// Recovers: reads back the records on Kafka that the state does not have.
    async fn unrecorded(&self) -> anyhow::Result<Recovered> {
        let (routes, marks) = (self.publisher.routes(), self.state.marks().await?);
        recover::look(self.source, &self.run.cluster, routes, marks, true).await?.unrecorded()
    }

    /// Saves what Kafka has acknowledged. On an error the items are fetched and published again, which does no harm.
    async fn save(&mut self, batch: &mut [Prepared]) {
        if let Err(error) = self.save_all(batch).await {
            let source = self.source.name;
            warn!(source, "cannot record what was published, and will publish it again: {error:#}");
        }
    }

    /// Saves an item last, as that counts it as answered: a process that is killed before fetches it again, and so
    /// leaves nothing out.
    async fn save_all(&mut self, batch: &mut [Prepared]) -> anyhow::Result<()> {
        let acknowledged: Vec<Acknowledged> = self.publisher.take_acknowledged();
        let recovered: Vec<i64> = batch.iter_mut().flat_map(Prepared::take_recovered).collect();
        // An item with pages to come is not recorded yet.
        let is_all = self.filter.is_none() && batch.iter().any(Prepared::is_recorded);
        for prepared in &*batch {
            let Answer { endpoint, item, at, .. } = &prepared.answer;
            if let Some(whole) = &prepared.whole {
                self.record_days(endpoint, item, whole, *at).await?;
            }
            if let Some(tally) = &prepared.finished {
                self.record_backfill(&prepared.answer, tally).await?;
            }
        }
        let updates: Vec<Update<'_>> = batch.iter_mut().filter_map(Prepared::update).collect();
        let extent = Extent { acknowledged: &acknowledged, recovered: &recovered, is_all };
        let streaks = self.state.save(&updates, &extent).await?;
        for (update, streak) in updates.iter().zip(streaks) {
            self.alerts.ended(update, streak).await;
        }
        Ok(())
    }

    /// Records missing days, and logs how many are new.
    async fn record_days(
        &self,
        endpoint: &Endpoint,
        item: &str,
        whole: &Whole,
        at: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        let (source, endpoint) = (self.source.name, endpoint.name);
        if let Some([gone, known]) = whole.reading.shrunk {
            warn!(
                source,
                endpoint, item, gone, known, "the provider no longer has a part of the history; it stays stored"
            );
        }
        let [missing, filled] = self.state.record_days(endpoint, item, &whole.days, at).await?;
        if missing > 0 || filled > 0 {
            info!(source, endpoint, item, missing, filled, "missing days: they are fetched again");
        }
        Ok(())
    }

    /// Records how far a backfill has come.
    async fn record_backfill(&self, answer: &Answer, tally: &ItemTally) -> anyhow::Result<()> {
        let Answer { endpoint, item, want: Want::Backfill { range, whole }, spent: Some((cost, _)), .. } = answer
        else {
            return Ok(());
        };
        let Some(next_day) = range.last.succ_opt().filter(|_| tally.outcome.is_answer()) else { return Ok(()) };
        let key = (endpoint.name, item.as_str(), whole.first, whole.last);
        let before = self.state.backfill(key).await?;
        // What lies behind a part that failed is fetched again with it.
        if before.map_or(whole.first, |before| before.next_day) != range.first {
            return Ok(());
        }
        let before = before.unwrap_or_default();
        let calls = before.calls + cost.calls;
        let records = before.records + tally.published;
        self.state.record_backfill(key, BackfillProgress { next_day, calls, records }).await
    }

    /// Counts and reports an item that has ended.
    fn item_done(&mut self, answer: Answer, tally: ItemTally, counts: [usize; 2]) {
        let Answer { endpoint, item, .. } = answer;
        let endpoint = endpoint.name;
        self.events.item_done(endpoint, &item, &tally, counts);
        self.tally.failed_items += u64::from(tally.outcome == Outcome::GivenUp || tally.is_all_refused());
        self.tally.published += tally.published;
        self.tally.rejected += tally.rejected;
        self.ended.push(Ended { endpoint, item, answered: tally.outcome.is_answer() });
    }
}

/// Ends some time after the shutdown has begun.
async fn grace(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    sleep(SHUTDOWN_GRACE).await;
}
