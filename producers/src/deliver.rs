//! What was answered, onto Kafka: several pages at a time, each done when Kafka has acknowledged all of it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use contract::Record;
use service::telemetry;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::agenda::Ended;
use crate::alarm::Alarm;
use crate::ask::Page;
use crate::fetch::Cost;
use crate::memory::Change;
use crate::meters::SourceMeters;
use crate::poll::{KAFKA_WAITS, Mode, Run, Stop, connect, pause};
use crate::progress::ItemDone;
use crate::publish::{Delivered, PublishError, Publisher};
use crate::sift::{Sieve, Sifted, Want, Whole};
use crate::source::{Endpoint, Reject, Request, Source};
use crate::state::{End, Kept, Noted, Progress, State};
use crate::tail::{self, Tail};
use crate::tally::{ItemTally, Outcome, Tally};

/// Pages that may wait to be published: enough to fetch while Kafka acknowledges, few enough to hold in memory.
pub(crate) const PAGES_AHEAD: usize = 8;
/// Records after which no more pages are taken together: what is acknowledged together is published again together.
const BATCH_RECORDS: usize = 20_000;
/// How long pages that are being published may take to be acknowledged once the shutdown has begun.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Where answers are sent.
pub(crate) type Sender = mpsc::Sender<Answer>;

/// What a provider answered for one page of an item.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) endpoint: &'static Endpoint,
    pub(crate) item: String,
    /// What it was asked for.
    pub(crate) want: Want,
    pub(crate) offset: u64,
    pub(crate) page: Result<Page, Left>,
    /// What takes out what was said before, with the first page of an item.
    pub(crate) sieve: Option<Box<Sieve>>,
    /// What the item has cost, and how long it took, when nothing more comes for it.
    pub(crate) spent: Option<(Cost, Duration)>,
    /// When it was answered.
    pub(crate) at: DateTime<Utc>,
}

/// Why an item is left.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) reason: String,
    /// How asking for it ended.
    pub(crate) outcome: Outcome,
}

/// Publishes what a source answers.
pub(crate) struct Delivery<'a> {
    source: &'static Source,
    run: &'a Run,
    publisher: Publisher,
    meters: &'a SourceMeters,
    tally: &'a mut Tally,
    state: &'a State,
    /// What those before published and did not note.
    pub(crate) tail: Tail,
    /// That of the item of which pages are still to come.
    sieve: Option<Box<Sieve>>,
    item: ItemTally,
    /// What is told of items that cannot be had.
    pub(crate) alarm: Alarm<'a>,
    /// What has ended since this was last taken.
    pub(crate) ended: Vec<Ended>,
}

impl<'a> Delivery<'a> {
    pub(crate) fn new(
        source: &'static Source,
        run: &'a Run,
        publisher: Publisher,
        meters: &'a SourceMeters,
        tally: &'a mut Tally,
        state: &'a State,
        tail: Tail,
    ) -> Delivery<'a> {
        let (sieve, item, ended) = (None, ItemTally::default(), Vec::new());
        let alarm = Alarm::new(source, meters);
        Delivery { source, run, publisher, meters, tally, state, tail, sieve, item, alarm, ended }
    }

    /// Publishes answers until no more come; what has come meanwhile is acknowledged together.
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
            self.deliver(&mut batch).await?;
            self.keep(&mut batch).await;
            for prepared in batch {
                self.meters.published(prepared.answer.endpoint.name, prepared.counts);
                if let Some(tally) = prepared.finished {
                    items_done += 1;
                    self.note(prepared.answer, tally, [items_done, items]);
                }
            }
        }
        Ok(())
    }

    /// Tells that a round is over.
    pub(crate) fn round_done(&self, items: usize) {
        // With nothing due, nothing speaks against it.
        self.meters.delivered(0);
        let Tally { published, rejected, failed_items } = *self.tally;
        info!(source = self.source.name, items, published, rejected, failed_items, "round complete");
        self.run.progress.tell(&self.tally.round_done(self.source, None));
    }

    /// Takes out of a page what was said before; what is left is published as it is then, however often that takes.
    fn prepare(&mut self, mut answer: Answer) -> Prepared {
        if let Some(sieve) = answer.sieve.take() {
            self.sieve = Some(sieve);
        }
        let mut prepared = Prepared::of(answer);
        let Some(sieve) = self.sieve.as_deref_mut() else { return prepared };
        let answer = &mut prepared.answer;
        if let Ok(page) = &mut answer.page
            && page.validators.is_some()
        {
            prepared.sifted = sieve.sift(page, &mut self.tail);
            if answer.spent.is_some() {
                prepared.whole = Some(sieve.finish(answer.at));
                let kept = page.validators.take().filter(|_| sieve.is_whole(answer.offset));
                page.validators = Some(kept.unwrap_or_default());
            }
        }
        if answer.spent.is_some() {
            prepared.sieve = self.sieve.take();
        }
        prepared
    }

    /// Publishes pages until Kafka has acknowledged all of them.
    ///
    /// A daemon starts over with a new connection, as often as it takes; a shutdown leaves them to the next start.
    async fn deliver(&mut self, batch: &mut [Prepared]) -> Result<(), Stop> {
        if batch.iter().any(Prepared::is_noted)
            && let Err(error) = self.state.publishing().await
        {
            warn!(source = self.source.name, "after a crash some records would be published again: {error:#}");
        }
        loop {
            // What is published again is counted again from where this began.
            let mut item = self.item.clone();
            let publishing = publish(&mut self.publisher, self.source, batch, &mut item);
            let published = tokio::select! {
                published = publishing => published,
                () = grace(&self.run.shutdown) => return Err(Stop::Shutdown),
            };
            if let Err(error) = &published {
                self.meters.not_delivered(&error.to_string());
            }
            match published {
                Ok(delivered) => {
                    self.meters.delivered(delivered.bytes);
                    self.item = item;
                    return Ok(());
                }
                Err(PublishError::Retry(reason)) if self.run.mode == Mode::Daemon => {
                    warn!(source = self.source.name, pages = batch.len(), "publishing again: {reason}");
                }
                Err(error) => return Err(Stop::Kafka(error.to_string())),
            }
            pause(self.run, KAFKA_WAITS[0]).await?;
            self.publisher = connect(self.source, self.run, self.meters).await?;
            self.look_back(batch).await;
        }
    }

    /// Looks what of a batch is on Kafka although that was not acknowledged.
    async fn look_back(&self, batch: &mut [Prepared]) {
        match tail::unnoted(self.source, self.run, &self.publisher, self.state).await {
            Ok(tail) => tail.mark(batch.iter_mut().rev().map(|prepared| &mut prepared.sifted)),
            Err(error) => {
                warn!(
                    source = self.source.name,
                    "some records may be published again: {}",
                    telemetry::one_line(&error)
                );
            }
        }
    }

    /// Keeps what was acknowledged. What cannot be kept is asked for and published again, which does no harm.
    async fn keep(&mut self, batch: &mut [Prepared]) {
        let acknowledged = self.publisher.take_acknowledged();
        let heard: Vec<i64> = batch.iter_mut().flat_map(Prepared::take_heard).collect();
        // Of an item that goes on nothing is kept yet.
        let is_all = self.sieve.is_none() && batch.iter().any(Prepared::is_noted);
        let kept: Vec<Kept<'_>> = batch.iter_mut().filter_map(Prepared::kept).collect();
        let noted = Noted { acknowledged: &acknowledged, heard: &heard, is_all };
        let mut outcome = self.state.keep(&kept, &noted).await.map(|failures| {
            kept.iter().zip(failures).for_each(|(kept, failures)| self.alarm.hear(kept, failures));
        });
        for prepared in batch {
            let Answer { endpoint, item, at, .. } = &prepared.answer;
            if let (Ok(()), Some(whole)) = (&outcome, &prepared.whole) {
                outcome = self.note_days(endpoint, item, whole, *at).await;
            }
            if let (Ok(()), Some(tally)) = (&outcome, &prepared.finished) {
                outcome = self.note_backfill(&prepared.answer, tally).await;
            }
        }
        if let Err(error) = outcome {
            let source = self.source.name;
            warn!(source, "what was published cannot be noted, and will be published again: {error:#}");
        }
    }

    /// Notes days that were missing, and says so of those that are new.
    async fn note_days(&self, endpoint: &Endpoint, item: &str, whole: &Whole, at: DateTime<Utc>) -> anyhow::Result<()> {
        let (source, endpoint) = (self.source.name, endpoint.name);
        if let Some([gone, known]) = whole.reading.shrunk {
            warn!(
                source,
                endpoint, item, gone, known, "the provider no longer has a part of the history; it stays stored"
            );
        }
        let [missing, filled] = self.state.note_days(endpoint, item, &whole.days, at).await?;
        if missing > 0 || filled > 0 {
            info!(source, endpoint, item, missing, filled, "days that are missing are asked for again");
        }
        Ok(())
    }

    /// Notes how far a backfill has come.
    async fn note_backfill(&self, answer: &Answer, tally: &ItemTally) -> anyhow::Result<()> {
        let Answer { endpoint, item, want: Want::Backfill { range, whole }, spent: Some((cost, _)), .. } = answer
        else {
            return Ok(());
        };
        let Some(next_day) = range.last.succ_opt().filter(|_| tally.outcome.is_answer()) else { return Ok(()) };
        let key = (endpoint.name, item.as_str(), whole.first, whole.last);
        let before = self.state.backfill(key).await?;
        // What lies behind a part that could not be had is asked for again, too.
        if before.map_or(whole.first, |before| before.next_day) != range.first {
            return Ok(());
        }
        let before = before.unwrap_or_default();
        let calls = before.calls + cost.calls;
        let records = before.records + tally.published;
        self.state.note_backfill(key, Progress { next_day, calls, records }).await
    }

    /// Notes what has become of an item.
    fn note(&mut self, answer: Answer, tally: ItemTally, [items_done, items_total]: [usize; 2]) {
        let Answer { endpoint, item, .. } = answer;
        let (source, name) = (self.source.name, endpoint.name);
        let ItemTally { published, corrections, unchanged, rejected, holes, outcome, error } = tally;
        info!(source, endpoint = name, item, published, corrections, unchanged, rejected, holes, "polled");
        self.tally.failed_items += u64::from(outcome == Outcome::GivenUp);
        self.tally.published += published;
        self.tally.rejected += rejected;
        self.run.progress.tell(&ItemDone {
            source,
            endpoint: name,
            item: &item,
            items_done,
            items_total,
            published,
            corrections,
            unchanged,
            rejected,
            holes,
            error: error.as_deref(),
        });
        self.ended.push(Ended { endpoint: name, item, answered: outcome.is_answer() });
    }
}

/// A page that is ready to be published.
struct Prepared {
    answer: Answer,
    sifted: Sifted,
    /// What its item as a whole tells, with the last page.
    whole: Option<Whole>,
    /// What its item was compared with, with the last page.
    sieve: Option<Box<Sieve>>,
    /// Records and rejects that were published.
    counts: [u64; 2],
    /// All of its item, when it was the last page and has been published.
    finished: Option<ItemTally>,
}

impl Prepared {
    fn of(answer: Answer) -> Prepared {
        Prepared { answer, sifted: Sifted::default(), whole: None, sieve: None, counts: [0, 0], finished: None }
    }

    /// Whether something of it is published that the next start must know of. A backfill goes on where it was.
    fn is_noted(&self) -> bool {
        let is_empty = self.sifted.records.is_empty() && self.sifted.dead_letters.is_empty();
        !is_empty && !matches!(self.answer.want, Want::Backfill { .. })
    }

    /// Keys of what was read back from Kafka for its item, when it is finished.
    fn take_heard(&mut self) -> Vec<i64> {
        self.sieve.as_mut().map(|sieve| std::mem::take(&mut sieve.heard)).unwrap_or_default()
    }

    /// What is to be kept of its item, when it is finished. Repairs and backfills leave the polls where they are.
    fn kept(&mut self) -> Option<Kept<'_>> {
        let Answer { endpoint, item, want, page, spent, at, .. } = &self.answer;
        let (cost, _) = spent.filter(|_| *want == Want::Live)?;
        let tally = self.finished.as_ref()?;
        let whole = self.whole.as_ref();
        let memory = self.sieve.as_deref_mut().filter(|_| whole.is_some()).map(|sieve| &mut sieve.memory);
        let memory = memory.and_then(|memory| memory.take_changed().then_some(&*memory));
        let end = End {
            at: *at,
            // What the provider does not have, or sends in a way that cannot be read, is on the watchlist all the same.
            answered: matches!(tally.outcome, Outcome::Answered | Outcome::Unchanged),
            calls: cost.calls,
            error: tally.error.as_deref(),
            latest: whole.and_then(|whole| whole.reading.latest),
            reread: whole.and_then(|whole| whole.reread),
            validators: page.as_ref().ok().and_then(|page| page.validators.as_ref()),
        };
        Some(Kept { endpoint: endpoint.name, item, memory, end: Some(end) })
    }
}

impl Answer {
    fn records(&self) -> usize {
        self.page.as_ref().map_or(0, |page| page.records.len() + page.dead_letters.len())
    }
}

/// Ends some time after the shutdown has begun.
async fn grace(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    sleep(SHUTDOWN_GRACE).await;
}

/// Publishes pages, and of each item that is finished what came of it, and waits for Kafka: a record that Kafka cannot
/// take becomes a dead letter. `item` is what was published of the item at hand.
async fn publish(
    publisher: &mut Publisher,
    source: &'static Source,
    batch: &mut [Prepared],
    item: &mut ItemTally,
) -> Result<Delivered, PublishError> {
    for prepared in batch {
        let Prepared { answer, sifted, counts, finished, .. } = prepared;
        *counts = publish_page(publisher, source, answer, sifted).await?;
        item.add(answer, sifted, *counts);
        *finished = answer.spent.map(|_| std::mem::take(item));
        if let (Some(tally), Some(spent)) = (finished, answer.spent) {
            publisher.publish(&tally.log(source, answer, spent)).await?;
        }
    }
    publisher.flush().await
}

async fn publish_page(
    publisher: &mut Publisher,
    source: &'static Source,
    answer: &Answer,
    sifted: &Sifted,
) -> Result<[u64; 2], PublishError> {
    let mut oversized_records = 0;
    for (at, (record, change)) in sifted.records.iter().enumerate() {
        if sifted.there.contains(&at) {
            continue;
        }
        let published = match change {
            Change::Correction => publisher.publish_correction(record).await,
            _ => publisher.publish(record).await,
        };
        match published {
            Err(PublishError::Record(reason)) => {
                oversized_records += 1;
                publisher.publish(&oversized(source, answer, record, reason)).await?;
            }
            outcome => outcome?,
        }
    }
    for letter in &sifted.dead_letters {
        publisher.publish(&Record::from(letter.clone())).await?;
    }
    let rejected = sifted.dead_letters.len() as u64 + oversized_records;
    Ok([sifted.records.len() as u64 - oversized_records, rejected])
}

/// The dead letter of a record that does not fit into a message: its key tells which one it is.
fn oversized(source: &'static Source, answer: &Answer, record: &Record, reason: String) -> Record {
    let request = Request { item: &answer.item, offset: answer.offset, received_at: answer.at, last_modified: None };
    let reject = Reject::new("too_large", reason, record.message_key().as_bytes());
    reject.into_dead_letter(source, answer.endpoint, &request).into()
}
