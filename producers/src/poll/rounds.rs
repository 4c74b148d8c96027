//! The loop of one source: fetches and delivers due items, round after round.

use chrono::TimeDelta;
use tokio::sync::mpsc;
use tracing::warn;

use crate::deliver::{Delivery, PAGES_AHEAD};
use crate::poll::agenda::{self, Agenda};
use crate::poll::asker::{Asked, Asker};
use crate::poll::{plan, unreadable};
use crate::run::{Mode, Stop};
use crate::state::{Class, Standing};

/// Time between two searches for missing days.
const REPAIRS_INTERVAL: TimeDelta = TimeDelta::minutes(15);
/// Longest sleep of a daemon, after which it looks for missing days and notices that the clock was set.
const LONGEST_SLEEP: TimeDelta = TimeDelta::hours(1);

/// The poller of one source: fetching and delivering go on side by side, so that neither waits for the other.
pub(super) struct Poller<'a> {
    pub(super) asker: Asker<'a>,
    pub(super) delivery: Delivery<'a>,
    /// Whether the source was stopped before: what failed then is tried at once.
    pub(super) is_retry: bool,
}

impl Poller<'_> {
    /// Polls every item once, or due items until the shutdown.
    pub(super) async fn rounds(mut self, standings: &[Standing]) -> Result<(), Stop> {
        let Asker { source, run, .. } = self.asker;
        let mut agenda = Agenda::new(source, &run.watchlist, standings, run.clock.now());
        if self.is_retry {
            agenda.retry(run.clock.now());
        }
        if run.mode == Mode::Once {
            return self.locked_round(agenda.all().into_iter().map(Asked::live).collect()).await;
        }
        let (mut planned, mut repaired, mut is_first) = (None, None, true);
        loop {
            let now = run.clock.now();
            let today = now.date_naive();
            if let Some(budget) = self.asker.fetcher.budget().filter(|_| planned != Some(today)) {
                budget.plan(plan::calls_of_day(source, &run.watchlist, today));
                planned = Some(today);
            }
            let due = agenda.due(now);
            if due.is_empty() {
                if is_first {
                    self.delivery.nothing_due();
                }
            } else {
                self.locked_round(due.into_iter().map(Asked::live).collect()).await?;
                let ended = std::mem::take(&mut self.delivery.ended);
                agenda.ended(&ended, run.clock.now(), self.asker.fetcher.no_use_for(Class::Live));
                if ended.iter().any(|ended| ended.answered) {
                    self.note_answered().await;
                }
            }
            is_first = false;
            let is_of_use = self.asker.fetcher.no_use_for(Class::Repair).is_zero();
            if is_of_use && repaired.is_none_or(|repaired| now >= repaired + REPAIRS_INTERVAL) {
                self.repair().await?;
                repaired = Some(now);
            }
            let longest = run.clock.now() + LONGEST_SLEEP;
            let next = agenda.next().map_or(longest, |next| next.min(longest));
            let wait = (next - run.clock.now()).to_std().unwrap_or_default();
            run.shutdown.run_until_cancelled(run.clock.sleep(wait)).await.ok_or(Stop::Shutdown)?;
        }
    }

    /// The source has answered: it is not stopped any more, also if an earlier process noted so.
    async fn note_answered(&mut self) {
        let Asker { source, state, events, .. } = self.asker;
        match state.resumed().await {
            Ok(true) => events.resumed(),
            Ok(false) => {}
            Err(error) => warn!(source = source.name, "cannot note that it is polled again: {error:#}"),
        }
    }

    /// Fetches the days that are missing and due for another try.
    async fn repair(&mut self) -> Result<(), Stop> {
        let Asker { source, run, state, .. } = self.asker;
        let gaps = state.gaps(None).await.map_err(unreadable)?;
        let repairs = agenda::repairs(source, &run.watchlist, &gaps, run.clock.now());
        if !repairs.is_empty() {
            self.locked_round(repairs.into_iter().map(Asked::repair).collect()).await?;
            self.delivery.ended.clear();
        }
        Ok(())
    }

    /// A round during which no other process polls the source; it goes on from what those have published.
    async fn locked_round(&mut self, asked: Vec<Asked<'_>>) -> Result<(), Stop> {
        let Asker { source, run, state, .. } = self.asker;
        let _lock = run.shutdown.run_until_cancelled(state.lock()).await.ok_or(Stop::Shutdown)?;
        match state.recovered().await {
            Ok(recovered) => self.delivery.recovered = recovered,
            Err(error) => warn!(source = source.name, "some records may be published again: {error:#}"),
        }
        self.round(asked).await
    }

    /// Fetches and delivers each of these once.
    pub(super) async fn round(&mut self, asked: Vec<Asked<'_>>) -> Result<(), Stop> {
        let (sender, receiver) = mpsc::channel(PAGES_AHEAD);
        let (outcome, delivered) =
            tokio::join!(self.asker.ask_all(&asked, sender), self.delivery.deliver_all(asked.len(), receiver));
        delivered?;
        outcome?;
        self.delivery.round_done(asked.len());
        Ok(())
    }
}
