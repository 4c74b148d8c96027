//! What was answered, onto Kafka: several pages at a time, each done when Kafka has acknowledged all of it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use contract::records::FetchLog;
use contract::{Record, Text};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::ask::{Page, Question};
use crate::fetch::{Cost, Validators};
use crate::meters::SourceMeters;
use crate::poll::{Ending, KAFKA_WAITS, Mode, Run, Stop, connect, pause};
use crate::progress::{ItemDone, RoundDone};
use crate::publish::{Delivered, PublishError, Publisher};
use crate::source::{Endpoint, Reject, Request, Source};

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
    pub(crate) offset: u64,
    pub(crate) page: Result<Page, Left>,
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
    published: u64,
    rejected: u64,
    failed_items: u64,
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

/// Of each endpoint and item whose last answer Kafka has acknowledged what tells whether it is still the answer.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<HashMap<(&'static str, String), Validators>>);

impl Known {
    /// That of an item; empty if nothing is known.
    pub(crate) fn of(&self, endpoint: &Endpoint, item: &str) -> Validators {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(endpoint.name, item.to_owned())).cloned().unwrap_or_default()
    }

    /// Notes an answer that was acknowledged. Of several pages each could change without the others.
    fn note(&self, answer: &Answer) {
        let Ok(Page { validators: Some(validators), .. }) = &answer.page else { return };
        let key = (answer.endpoint.name, answer.item.clone());
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answer.offset == 0 && answer.spent.is_some() && !validators.is_empty() {
            known.insert(key, validators.clone());
        } else {
            known.remove(&key);
        }
    }
}

/// What has become of an item.
#[derive(Debug, Clone, Default)]
struct ItemTally {
    published: u64,
    rejected: u64,
    holes: u64,
    outcome: Outcome,
    /// Why it was not answered.
    error: Option<String>,
}

impl ItemTally {
    /// Adds a page, of which so many records were published and rejected.
    fn add(&mut self, answer: &Answer, [published, rejected]: [u64; 2]) {
        self.published += published;
        self.rejected += rejected;
        match &answer.page {
            Ok(page) if page.validators.is_none() => self.outcome = Outcome::Unchanged,
            Ok(page) => self.holes += page.holes,
            Err(left) => (self.outcome, self.error) = (left.outcome, Some(left.reason.clone())),
        }
    }

    /// What is recorded of the item once it is finished.
    fn log(&self, source: &Source, answer: &Answer, (cost, duration): (Cost, Duration)) -> Record {
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let fetched_at = answer.at;
        Record::from(FetchLog {
            source: source.name.into(),
            endpoint: answer.endpoint.name.into(),
            item: answer.item.as_str().into(),
            fetched_at,
            outcome: self.outcome.word(),
            records: count(self.published),
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

/// Publishes what a source answers.
pub(crate) struct Delivery<'a> {
    source: &'static Source,
    run: &'a Run,
    publisher: Publisher,
    meters: &'a SourceMeters,
    tally: &'a mut Tally,
    known: &'a Known,
    item: ItemTally,
}

impl<'a> Delivery<'a> {
    pub(crate) fn new(
        source: &'static Source,
        run: &'a Run,
        publisher: Publisher,
        meters: &'a SourceMeters,
        tally: &'a mut Tally,
        known: &'a Known,
    ) -> Delivery<'a> {
        Delivery { source, run, publisher, meters, tally, known, item: ItemTally::default() }
    }

    /// Publishes answers until no more come; what has come meanwhile is acknowledged together.
    pub(crate) async fn deliver_all(&mut self, items: usize, mut answers: mpsc::Receiver<Answer>) -> Result<(), Stop> {
        let mut items_done = 0;
        while let Some(first) = answers.recv().await {
            let mut records = first.records();
            let mut batch = vec![first];
            while records < BATCH_RECORDS
                && let Ok(more) = answers.try_recv()
            {
                records += more.records();
                batch.push(more);
            }
            for (answer, published) in batch.iter().zip(self.deliver(&batch).await?) {
                self.meters.published(answer.endpoint.name, published.counts);
                self.known.note(answer);
                if let Some(tally) = published.finished {
                    items_done += 1;
                    self.note(answer, tally, [items_done, items]);
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

    /// Publishes pages until Kafka has acknowledged all of them.
    ///
    /// A daemon starts over with a new connection, as often as it takes; a shutdown leaves them to the next start.
    async fn deliver(&mut self, batch: &[Answer]) -> Result<Vec<Published>, Stop> {
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
                Ok((pages, delivered)) => {
                    self.meters.delivered(delivered.bytes);
                    self.item = item;
                    return Ok(pages);
                }
                Err(PublishError::Retry(reason)) if self.run.mode == Mode::Daemon => {
                    warn!(source = self.source.name, pages = batch.len(), "publishing again: {reason}");
                }
                Err(error) => return Err(Stop::Kafka(error.to_string())),
            }
            pause(self.run, KAFKA_WAITS[0]).await?;
            self.publisher = connect(self.source, self.run, self.meters).await?;
        }
    }

    /// Notes what has become of an item.
    fn note(&mut self, answer: &Answer, tally: ItemTally, [items_done, items_total]: [usize; 2]) {
        let (source, endpoint, item) = (self.source.name, answer.endpoint.name, answer.item.as_str());
        let ItemTally { published, rejected, holes, outcome, error } = tally;
        info!(source, endpoint, item, published, rejected, holes, "polled");
        self.tally.failed_items += u64::from(outcome == Outcome::GivenUp);
        self.tally.published += published;
        self.tally.rejected += rejected;
        let error = error.as_deref();
        self.run.progress.tell(&ItemDone {
            source,
            endpoint,
            item,
            items_done,
            items_total,
            published,
            rejected,
            holes,
            error,
        });
    }
}

impl Answer {
    fn records(&self) -> usize {
        self.page.as_ref().map_or(0, |page| page.records.len() + page.dead_letters.len())
    }

    fn question(&self, source: &'static Source) -> Question<'_> {
        Question { source, endpoint: self.endpoint, item: &self.item, offset: self.offset }
    }
}

/// Ends some time after the shutdown has begun.
async fn grace(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    sleep(SHUTDOWN_GRACE).await;
}

/// What was published of a page.
struct Published {
    /// Records and rejects.
    counts: [u64; 2],
    /// All of its item, when it was the last page.
    finished: Option<ItemTally>,
}

/// Publishes pages, and of each item that is finished what came of it, and waits for Kafka: a record that Kafka cannot
/// take becomes a dead letter. `item` is what was published of the item at hand.
async fn publish(
    publisher: &mut Publisher,
    source: &'static Source,
    batch: &[Answer],
    item: &mut ItemTally,
) -> Result<(Vec<Published>, Delivered), PublishError> {
    let mut pages = Vec::with_capacity(batch.len());
    for answer in batch {
        let counts = match &answer.page {
            Ok(page) => publish_page(publisher, answer.question(source), page).await?,
            Err(_) => [0, 0],
        };
        item.add(answer, counts);
        let finished = answer.spent.map(|spent| (std::mem::take(item), spent));
        if let Some((tally, spent)) = &finished {
            publisher.publish(&tally.log(source, answer, *spent)).await?;
        }
        pages.push(Published { counts, finished: finished.map(|(tally, _)| tally) });
    }
    Ok((pages, publisher.flush().await?))
}

async fn publish_page(
    publisher: &mut Publisher,
    question: Question<'_>,
    page: &Page,
) -> Result<[u64; 2], PublishError> {
    let mut oversized_records = 0;
    for record in &page.records {
        match publisher.publish(record).await {
            Err(PublishError::Record(reason)) => {
                oversized_records += 1;
                publisher.publish(&oversized(question, page, record, reason)).await?;
            }
            outcome => outcome?,
        }
    }
    for letter in &page.dead_letters {
        publisher.publish(&Record::from(letter.clone())).await?;
    }
    let rejected = page.dead_letters.len() as u64 + oversized_records;
    Ok([page.records.len() as u64 - oversized_records, rejected])
}

/// The dead letter of a record that does not fit into a message: its key tells which one it is.
fn oversized(question: Question<'_>, page: &Page, record: &Record, reason: String) -> Record {
    let Question { source, endpoint, item, offset } = question;
    let request = Request { item, offset, received_at: page.received_at, last_modified: None };
    let reject = Reject::new("too_large", reason, record.message_key().as_bytes());
    reject.into_dead_letter(source, endpoint, &request).into()
}
