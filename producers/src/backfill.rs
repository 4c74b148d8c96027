//! Old days, on the side: what live polls neither wait for nor notice.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use chrono::{DateTime, Days, NaiveDate, Utc};
use tracing::{error, info};

use crate::asker::{Asked, Asker};
use crate::deliver::Delivery;
use crate::fetch::{Budget, Class, Fetcher, Spent};
use crate::page::excerpt;
use crate::plan;
use crate::poll::{self, Ending, Poller, Run, Stop};
use crate::schedule::span;
use crate::sift::Want;
use crate::source::{Endpoint, Range, Source};
use crate::state::State;
use crate::tally::Tally;

/// Windows that are asked for before it is told how far it has come.
const WINDOWS_PER_ROUND: usize = 50;
/// Most windows of a backfill: more would take months.
const MAX_WINDOWS: usize = 1_000_000;

/// What is to be had.
#[derive(Debug, Clone)]
pub struct Backfill {
    source: &'static Source,
    endpoint: &'static Endpoint,
    items: Vec<String>,
    whole: Range,
    window: Days,
}

/// What it will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// Requests of a window each.
    pub windows: u64,
    /// Calls that they count for, if none has several pages.
    pub calls: u64,
    /// Calls that live polls leave today, and on a day; None: any number.
    pub left: Option<[u32; 2]>,
    /// When it will be done; None when live polls leave nothing.
    pub done: Option<DateTime<Utc>>,
}

impl Backfill {
    /// Old days of some items, in windows of so many days: by default as many as the provider gives at once.
    pub fn new(
        source: &'static Source,
        endpoint: &'static Endpoint,
        items: Vec<String>,
        whole: Range,
        window: Option<u32>,
    ) -> anyhow::Result<Backfill> {
        let name = format!("`{}.{}`", source.name, endpoint.name);
        let Some(ranged) = endpoint.history.range else {
            bail!("{name} gives no part of the past: every poll of it reads all that there is");
        };
        if items.is_empty() {
            bail!("name what to fetch from {name} by `--item`: {}", endpoint.item);
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
            bail!("{name} gives at most {longest} days at once: `--window` must be 1 to {longest}");
        }
        let backfill = Backfill { source, endpoint, items, whole, window: Days::new(window.into()) };
        if backfill.windows(whole.first).take(MAX_WINDOWS).count() * backfill.items.len() >= MAX_WINDOWS {
            bail!("this is more than {MAX_WINDOWS} requests; choose a longer `--window`, or fewer days");
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

    /// What is still to be asked for: all of it, or what was not acknowledged before.
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

    /// What it will take, and when it will be done at what live polls leave of the quota.
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

    /// Asks for all of it and publishes it. The cursor of live polls stays where it is.
    pub async fn run(&self, mut fetcher: Fetcher, run: &Run, resume: bool) -> anyhow::Result<Ending> {
        let state = Arc::new(poll::open(self.source, run).await?);
        fetcher.attach(Arc::clone(&state), run.clock.clone());
        self.keep_for_live(&fetcher, run);
        if !resume {
            state.forget_backfill(self.endpoint.name, self.whole.first, self.whole.last).await?;
        }
        let asked = self.left(&state, resume).await?;
        let total = asked.len();
        let meters = run.meters.source(self.source);
        let publisher = poll::connect(self.source, run, &meters).await.map_err(|stop| match stop {
            Stop::Source(reason) | Stop::Kafka(reason) => anyhow!(reason),
            Stop::Shutdown => anyhow!("stopped"),
        })?;
        let mut tally = Tally::default();
        let tail = state.tail().await?;
        let delivery = Delivery::new(self.source, run, publisher, &meters, &mut tally, &state, tail);
        let asker = Asker { source: self.source, run, fetcher, meters: &meters, state: &state };
        let mut poller = Poller { asker, delivery };
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
                Ok(()) => "a window could not be had".to_owned(),
                Err(Stop::Shutdown) => "stopped".to_owned(),
                Err(Stop::Source(reason) | Stop::Kafka(reason)) => reason,
            };
            error!(
                source = self.source.name,
                done, total, "the backfill is not complete, go on with `--resume`: {reason}"
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

/// How long the rest takes, if it goes on as it did.
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
        (rest, daily) => {
            let midnight = crate::page::midnight(now.date_naive());
            midnight.checked_add_days(Days::new(rest.div_ceil(daily)))
        }
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
            None => text + "; live polls leave nothing for it: it will never be done\n",
        }
    }
}

/// Reads a date of the command line.
pub fn date(option: &str, text: &str) -> anyhow::Result<NaiveDate> {
    text.parse().with_context(|| {
        format!("`{option}` is `{}`, which is no date, such as `2024-01-31`", excerpt(text.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicBool, Ordering};

    use simulator::{Config, Simulator};
    use tempfile::TempDir;

    use super::*;
    use crate::clock::Clock;
    use crate::fixture::{at, date};
    use crate::poll::tests::{asking, kafka, messages, once, said};
    use crate::source::source;
    use crate::stub::{Stub, response};

    fn backfill(window: Option<u32>, from: &str, to: &str) -> anyhow::Result<Backfill> {
        let fmp = source("fmp").unwrap();
        let range = Range { first: date(from), last: date(to) };
        Backfill::new(fmp, fmp.endpoint("eod_prices").unwrap(), vec!["AAPL".to_owned()], range, window)
    }

    #[test]
    fn windows_cover_every_day_once() {
        let backfill = backfill(Some(10), "2024-01-01", "2024-01-25").unwrap();
        let windows: Vec<String> =
            backfill.windows(date("2024-01-01")).map(|range| format!("{} {}", range.first, range.last)).collect();
        assert_eq!(windows, ["2024-01-01 2024-01-10", "2024-01-11 2024-01-20", "2024-01-21 2024-01-25"]);
        assert_eq!(backfill.windows(date("2024-01-21")).count(), 1);
        assert_eq!(backfill.windows(date("2024-01-26")).count(), 0);
    }

    #[test]
    fn what_cannot_be_had_is_said_before_it_is_asked_for() {
        let error = |backfill: anyhow::Result<Backfill>| backfill.unwrap_err().to_string();
        assert!(error(backfill(None, "2024-01-02", "2024-01-01")).contains("is later than"));
        assert!(error(backfill(Some(9999), "2024-01-01", "2024-01-02")).contains("at most 1800 days"));
        let cboe = source("cboe").unwrap();
        let range = Range { first: date("2024-01-01"), last: date("2024-01-02") };
        let whole = Backfill::new(cboe, &cboe.endpoints[0], vec!["VIX".to_owned()], range, None);
        assert!(error(whole).contains("every poll of it reads all"));
        let fmp = source("fmp").unwrap();
        let of = |items: &[&str]| {
            let items = items.iter().map(|item| (*item).to_owned()).collect();
            Backfill::new(fmp, fmp.endpoint("eod_prices").unwrap(), items, range, None)
        };
        assert!(error(of(&[])).contains("by `--item`"));
        assert!(error(of(&["AAPL", ""])).starts_with("`fmp.eod_prices`: "));
        assert!(error(backfill(Some(0), "2024-01-01", "2024-01-02")).contains("must be 1 to 1800"));
        assert!(error(backfill(Some(1), "0001-01-01", "9999-12-31")).contains("more than 1000000 requests"));
    }

    #[test]
    fn it_is_done_when_live_polls_have_left_enough_calls_for_it() {
        let now = at("2026-11-20T12:00:00Z");
        let budget = Budget::new(250);
        budget.plan(100);
        let told = |windows, spent| forecast(windows, 1, Some(&budget), spent, Duration::from_secs(1), now);
        // 250 less 100 for live polls and 12 for repairs.
        let today = told(100, [0, 0, 0]);
        assert_eq!((today.left, today.done), (Some([138, 138]), Some(at("2026-11-20T12:01:40Z"))));
        assert_eq!(told(139, [0, 0, 0]).done, Some(at("2026-11-21T00:00:00Z")));
        assert_eq!(told(139 + 138, [0, 0, 0]).done, Some(at("2026-11-22T00:00:00Z")));
        assert_eq!(told(100, [0, 0, 138]).done, Some(at("2026-11-21T00:00:00Z")));
        assert!(told(139, [0, 0, 0]).words().ends_with("; done about 2026-11-21 00:00 UTC\n"));
        budget.plan(250);
        assert_eq!(told(1, [0, 0, 0]).done, None);
        let free = forecast(60, 1, None, [0, 0, 0], Duration::from_secs(1), now);
        assert_eq!((free.left, free.done), (None, Some(at("2026-11-20T12:01:00Z"))));
        assert_eq!(forecast(60, 10, None, [0, 0, 0], Duration::from_secs(1), now).calls, 600);
        assert_eq!(eta(50, 200, Duration::from_secs(60)), "3 min");
    }

    /// The first day of each request.
    fn asked(stub: &Stub) -> Vec<String> {
        let day = |request: String| request.split_once("from=").unwrap().1[..10].to_owned();
        stub.requests().into_iter().map(day).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_could_not_be_had_is_asked_for_again_and_begun_anew_everything_is() {
        let (mock, folder) = (kafka(), TempDir::new().unwrap());
        let answer = |body: &[u8]| response("200 OK", &[], body);
        let (none, refused) = (answer(b"[]"), answer(b"{\"Error Message\": \"Invalid API KEY.\"}"));
        let script = [none.clone(), none.clone(), none.clone(), none.clone(), refused, none];
        let stub = Stub::answering(&script).await;
        let backfill = backfill(Some(1), "2024-01-02", "2024-01-04").unwrap();
        let run = async |resume| {
            let run = Run { state_dir: Some(folder.path().to_owned()), ..once(&mock, "") };
            backfill.run(asking("fmp", &stub.base).1.unwrap(), &run, resume).await.unwrap()
        };
        assert_eq!((run(false).await, asked(&stub).len()), (Ending::Complete, 3));
        assert_eq!(run(false).await, Ending::Incomplete);
        assert_eq!(asked(&stub)[3..], ["2024-01-02", "2024-01-03"]);
        assert_eq!(run(true).await, Ending::Complete);
        assert_eq!(asked(&stub)[5..], ["2024-01-03", "2024-01-04"]);
        assert_eq!((run(true).await, asked(&stub).len()), (Ending::Complete, 7));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_lies_behind_a_day_that_could_not_be_had_is_asked_for_again_with_it() {
        let (mock, folder) = (kafka(), TempDir::new().unwrap());
        let is_down = Arc::new(AtomicBool::new(true));
        let fails = Arc::clone(&is_down);
        let answer = move |request: &str| match request.contains("from=2024-01-03") && fails.load(Ordering::Relaxed) {
            true => response("500 Oops", &[], b"oops"),
            false => response("200 OK", &[], b"[]"),
        };
        let stub = Stub::saying(answer).await;
        let backfill = backfill(Some(1), "2024-01-02", "2024-01-04").unwrap();
        let run = async |resume| {
            let clock = Clock::by_hand(at("2026-11-20T12:00:00Z"));
            let run = Run { state_dir: Some(folder.path().to_owned()), clock, ..once(&mock, "") };
            backfill.run(asking("fmp", &stub.base).1.unwrap(), &run, resume).await.unwrap()
        };
        assert_eq!(run(false).await, Ending::Incomplete);
        assert_eq!(asked(&stub).last().unwrap(), "2024-01-04");
        let before = asked(&stub).len();
        is_down.store(false, Ordering::Relaxed);
        assert_eq!(run(true).await, Ending::Complete);
        assert_eq!(asked(&stub)[before..], ["2024-01-03", "2024-01-04"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_backfill_that_was_stopped_goes_on_from_where_it_was_and_leaves_live_polls_alone() {
        let (mock, folder) = (kafka(), TempDir::new().unwrap());
        let simulator = Simulator::start(Config { symbols: 1, years: 1, seed: 7 }).await.unwrap();
        let fmp = source("fmp").unwrap();
        let whole = Range { first: date("2025-01-01"), last: date("2025-12-31") };
        let items = ["ACME", "BOLT"].map(str::to_owned).to_vec();
        let backfill = Backfill::new(fmp, fmp.endpoint("eod_prices").unwrap(), items, whole, Some(1)).unwrap();
        let fetcher = || asking("fmp", &simulator.url("fmp")).1.unwrap();
        let fresh =
            || Run { state_dir: Some(folder.path().to_owned()), ..once(&mock, "[fmp]\neod_prices = [\"ACME\"]") };
        let started = fresh();
        let (stop, running) = (started.shutdown.clone(), backfill.clone());
        let first = fetcher();
        let running = tokio::spawn(async move { running.run(first, &started, false).await });
        while messages(&mock, "ohlcv_bar") == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop.cancel();
        assert_eq!(running.await.unwrap().unwrap(), Ending::Incomplete);
        let before = simulator.control().calls("fmp");
        assert!(before < 2 * 365, "it was not stopped in the middle");
        assert_eq!(backfill.run(fetcher(), &fresh(), true).await.unwrap(), Ending::Complete);
        // What was asked for and not acknowledged is asked for again, and nothing else.
        let calls = simulator.control().calls("fmp");
        assert!((2 * 365..2 * 365 + 40).contains(&calls), "{before} and then {calls} calls for {} windows", 2 * 365);
        let bars = said(&mock, "ohlcv_bar", &["symbol", "close", "volume"]);
        let distinct: HashSet<&Vec<String>> = bars.iter().collect();
        let all = said(&mock, "fetch_log", &["item"]).len();
        assert!(all >= 2 * 365);
        let state = State::open(folder.path(), "fmp").await.unwrap();
        assert!(state.item("eod_prices", "ACME").await.unwrap().answered_at.is_none());
        // All that a poll would have had.
        assert_eq!(poll::run(vec![asking("fmp", &simulator.url("fmp"))], fresh()).await, Ending::Complete);
        let polled = said(&mock, "ohlcv_bar", &["symbol", "close", "volume"]);
        let after: HashSet<&Vec<String>> = polled.iter().collect();
        assert_eq!(after.len(), distinct.len());
        assert!(distinct.iter().filter(|bar| bar[0] == "ACME").count() > 250);
    }
}
