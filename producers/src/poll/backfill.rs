//! Backfills: old days, fetched beside the live polls, which neither wait for them nor notice.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use chrono::{DateTime, Days, NaiveDate, Utc};
use sources::schedule::span;
use sources::source::{Endpoint, Range, Source};
use sources::time::midnight;
use tracing::{error, info};

use crate::deliver::{Delivery, connect};
use crate::events::Events;
use crate::fetch::Fetcher;
use crate::poll::asker::{Asked, Asker};
use crate::poll::rounds::Poller;
use crate::poll::{self, plan};
use crate::published::filter::Want;
use crate::run::{Ending, Run, Stop};
use crate::state::{Budget, Class, Spent, State};
use crate::tally::Tally;

/// Windows from one log line on the progress to the next.
const WINDOWS_PER_ROUND: usize = 50;
/// Most windows of a backfill: more would take months.
const MAX_WINDOWS: usize = 1_000_000;

/// What to fetch.
#[derive(Debug, Clone)]
pub struct Backfill {
    source: &'static Source,
    endpoint: &'static Endpoint,
    items: Vec<String>,
    whole: Range,
    window: Days,
}

/// What a backfill will cost, and when it will be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// Requests, one for each window.
    pub windows: u64,
    /// Calls of the quota, if no window has several pages.
    pub calls: u64,
    /// Calls that live polls leave today, and on other days; None means no limit.
    pub left: Option<[u32; 2]>,
    /// When it will be done; None if live polls use the whole quota.
    pub done: Option<DateTime<Utc>>,
}

impl Backfill {
    /// A backfill of some items, in windows of so many days: by default as many as the provider sends at once.
    pub fn new(
        source: &'static Source,
        endpoint: &'static Endpoint,
        items: Vec<String>,
        whole: Range,
        window: Option<u32>,
    ) -> anyhow::Result<Backfill> {
        let name = format!("`{}.{}`", source.name, endpoint.name);
        let Some(ranged) = endpoint.history.range else {
            bail!("{name} has no backfill: every poll reads its whole history");
        };
        if items.is_empty() {
            bail!("name at least one item of {name} with `--item`: {}", endpoint.item);
        }
        if whole.first > whole.last {
            bail!("`--from` {} is later than `--to` {}", whole.first, whole.last);
        }
        for item in &items {
            endpoint.path_of(item, 0, Some(whole)).map_err(|error| anyhow!("{name}: {error}"))?;
        }
        let longest = ranged.longest_days;
        let window = window.unwrap_or(longest);
        if window == 0 || window > longest {
            bail!("invalid `--window`: expected 1 to {longest} days, the most that {name} sends at once");
        }
        let backfill = Backfill { source, endpoint, items, whole, window: Days::new(window.into()) };
        if backfill.windows(whole.first).take(MAX_WINDOWS).count() * backfill.items.len() >= MAX_WINDOWS {
            bail!("this backfill has more than {MAX_WINDOWS} requests; choose a longer `--window` or fewer days");
        }
        Ok(backfill)
    }

    /// The windows from a day on.
    fn windows(&self, from: NaiveDate) -> impl Iterator<Item = Range> + '_ {
        let mut next = Some(from.max(self.whole.first));
        std::iter::from_fn(move || {
            let first = next.filter(|first| *first <= self.whole.last)?;
            next = first.checked_add_days(self.window);
            let last = next.and_then(|next| next.pred_opt()).map_or(self.whole.last, |last| last.min(self.whole.last));
            Some(Range { first, last })
        })
    }

    /// What is left to fetch: everything, or what Kafka had not acknowledged when the backfill stopped.
    async fn left(&self, state: &State, resume: bool) -> anyhow::Result<Vec<Asked<'_>>> {
        let mut asked = Vec::new();
        for item in &self.items {
            let key = (self.endpoint.name, item.as_str(), self.whole.first, self.whole.last);
            let progress = state.backfill(key).await?.filter(|_| resume);
            let from = progress.map_or(self.whole.first, |progress| progress.next_day);
            asked.extend(self.windows(from).map(|range| {
                let want = Want::Backfill { range, whole: self.whole };
                Asked { endpoint: self.endpoint, item, want }
            }));
        }
        Ok(asked)
    }

    /// The cost of the backfill, and when it will be done with the calls that live polls leave.
    pub async fn forecast(
        &self,
        state: &State,
        fetcher: &Fetcher,
        resume: bool,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Forecast> {
        let windows = self.left(state, resume).await?.len() as u64;
        let cost = self.source.quota.map_or(1, |quota| quota.cost(self.endpoint.name));
        let spent = state.spent(now).await?;
        let pause = if fetcher.is_local() { Duration::ZERO } else { self.source.pause };
        Ok(forecast(windows, cost, fetcher.budget(), spent, pause, now))
    }

    /// Fetches and publishes everything. The live polls stay where they are.
    pub async fn run(&self, mut fetcher: Fetcher, run: &Run, resume: bool) -> anyhow::Result<Ending> {
        let state = Arc::new(poll::open(self.source, run).await?);
        fetcher.attach(Arc::clone(&state), run.clock.clone());
        self.keep_for_live(&fetcher, run);
        if !resume {
            state.forget_backfill(self.endpoint.name, self.whole.first, self.whole.last).await?;
        }
        let asked = self.left(&state, resume).await?;
        let total = asked.len();
        let events = Events::of(self.source, run);
        let publisher = connect(self.source, run, &events).await.map_err(|stop| match stop {
            Stop::Source(reason) | Stop::Kafka(reason) => anyhow!(reason),
            Stop::Shutdown => anyhow!("stopped"),
        })?;
        let mut tally = Tally::default();
        let recovered = state.recovered().await?;
        let delivery = Delivery::new(self.source, run, publisher, &events, &mut tally, &state, recovered);
        let asker = Asker { source: self.source, run, fetcher, events: &events, state: &state };
        let mut poller = Poller { asker, delivery, is_retry: false };
        let began = run.clock.instant();
        let mut done = 0;
        for round in asked.chunks(WINDOWS_PER_ROUND) {
            self.keep_for_live(&poller.asker.fetcher, run);
            let outcome = poller.round(round.to_vec()).await;
            let ended = std::mem::take(&mut poller.delivery.ended);
            let answered = ended.iter().filter(|ended| ended.answered).count();
            done += answered;
            let failed = answered < ended.len();
            let reason = match outcome {
                Ok(()) if !failed => {
                    let left = eta(done, total, run.clock.instant() - began);
                    info!(source = self.source.name, done, total, left, "backfill");
                    continue;
                }
                Ok(()) => "a window failed".to_owned(),
                Err(Stop::Shutdown) => "stopped".to_owned(),
                Err(Stop::Source(reason) | Stop::Kafka(reason)) => reason,
            };
            error!(
                source = self.source.name,
                done, total, "the backfill is not complete, continue with `--resume`: {reason}"
            );
            return Ok(Ending::Incomplete);
        }
        Ok(Ending::Complete)
    }

    fn keep_for_live(&self, fetcher: &Fetcher, run: &Run) {
        if let Some(budget) = fetcher.budget() {
            budget.plan(plan::calls_of_day(self.source, &run.watchlist, run.clock.now().date_naive()));
        }
    }
}

/// Time left, at the average speed so far.
fn eta(done: usize, total: usize, elapsed: Duration) -> String {
    let left = total.saturating_sub(done) as f64 / done.max(1) as f64;
    span(Duration::try_from_secs_f64(elapsed.as_secs_f64() * left).unwrap_or_default())
}

fn forecast(
    windows: u64,
    cost: u32,
    budget: Option<&Budget>,
    spent: Spent,
    pause: Duration,
    now: DateTime<Utc>,
) -> Forecast {
    let calls = windows * u64::from(cost);
    let at_pace = pause.saturating_mul(u32::try_from(windows).unwrap_or(u32::MAX));
    let paced = chrono::TimeDelta::from_std(at_pace).ok().and_then(|pace| now.checked_add_signed(pace));
    let Some(budget) = budget else { return Forecast { windows, calls, left: None, done: paced } };
    let left = [budget.left(Class::Backfill, spent), budget.left(Class::Backfill, Spent::default())];
    let [today, daily] = left.map(u64::from);
    let after_today = calls.saturating_sub(today);
    let done = match (after_today, daily) {
        (0, _) => paced,
        (_, 0) => None,
        (rest, daily) => midnight(now.date_naive()).checked_add_days(Days::new(rest.div_ceil(daily))),
    };
    Forecast { windows, calls, left: Some(left), done }
}

impl Forecast {
    /// For a person.
    pub fn words(&self) -> String {
        let Forecast { windows, calls, left, done } = self;
        let mut text = format!("{windows} requests, {calls} calls");
        if let Some([today, daily]) = left {
            text += &format!("; live polls leave {today} calls today and {daily} on other days");
        }
        match done {
            Some(done) => text + &format!("; done about {} UTC\n", done.format("%Y-%m-%d %H:%M")),
            None => text + "; live polling uses the whole quota; this backfill cannot finish\n",
        }
    }
}

#[cfg(test)]
mod tests;
