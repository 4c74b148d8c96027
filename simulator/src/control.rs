//! How a test controls the simulator: its clock, limits, outages and changes of data, and the counts of requests. By
//! default there is no clock, no limit and no outage.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use axum::extract::{Request, State};
use axum::http::Uri;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};

use crate::Config;
use crate::outage::Outage;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::yahoo::{Script, Shown, Window};

/// Sources whose requests are counted: the first part of a path names one.
const SOURCES: &[&str] = &["cboe", "eodhd", "fmp", "fred", "ici", "newsapi", "sec_edgar", "yahoo"];

/// A handle on a simulator; all clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Control(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<Settings>,
    script: Mutex<Script>,
}

#[derive(Debug, Default)]
struct Settings {
    clock: Option<Clock>,
    is_uncorrected: bool,
    sources: HashMap<&'static str, Source>,
}

/// What time it is.
enum Clock {
    At(DateTime<Utc>),
    Follows(Box<dyn Fn() -> DateTime<Utc> + Send + Sync>),
}

impl fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.now())
    }
}

impl Clock {
    fn now(&self) -> DateTime<Utc> {
        match self {
            Clock::At(now) => *now,
            Clock::Follows(clock) => clock(),
        }
    }
}

/// The settings of a source, and the requests that it received.
#[derive(Debug, Default)]
struct Source {
    limit: Option<Limit>,
    /// Calls granted per day.
    quota: Option<u64>,
    outage: Option<Outage>,
    /// Planned outages, with start and end.
    outages: Vec<(Range<DateTime<Utc>>, Outage)>,
    days: BTreeMap<NaiveDate, Day>,
    /// Path and query of the last request.
    last: String,
    /// Articles that appear between two pages.
    shift: Option<usize>,
    /// Articles that have appeared.
    appeared: usize,
}

/// A rate limit: calls within a window.
#[derive(Debug)]
struct Limit {
    calls: u32,
    per: TimeDelta,
    /// When the calls within the window were made.
    made: VecDeque<DateTime<Utc>>,
}

/// The requests of a day, in UTC.
#[derive(Debug, Default, Clone, Copy)]
struct Day {
    calls: u64,
    refused: u64,
    /// Sum of what the calls cost.
    spent: u64,
}

impl Control {
    /// Sets the clock. From then on Yahoo's chart is as it was at that time.
    pub fn set_now(&self, now: DateTime<Utc>) {
        self.state().clock = Some(Clock::At(now));
    }

    /// Follows a clock. From then on Yahoo's chart is as it was at that time.
    pub fn follow(&self, clock: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) {
        self.state().clock = Some(Clock::Follows(Box::new(clock)));
    }

    /// The time on the clock, if there is one.
    pub fn now(&self) -> Option<DateTime<Utc>> {
        self.state().clock.as_ref().map(Clock::now)
    }

    /// Whether three values are as they were before their corrections: the third quarter of FMP's `ACME`, which the
    /// company restates, FRED's `GDP` of that quarter, which has its third release, and a close of Cboe's `VIX`. By
    /// default they are corrected.
    pub fn uncorrect(&self, is_uncorrected: bool) {
        self.state().is_uncorrected = is_uncorrected;
    }

    /// Whether the corrections have been made.
    pub(crate) fn is_corrected(&self) -> bool {
        !self.state().is_uncorrected
    }

    /// Grants `calls` within any window of length `per`, and answers 429 to further ones.
    pub fn limit(&self, source: &'static str, calls: u32, per: Duration) {
        let per = TimeDelta::from_std(per).unwrap_or(TimeDelta::MAX);
        self.state().source(source).limit = Some(Limit { calls, per, made: VecDeque::new() });
    }

    /// Grants this many calls per UTC day. Some requests to EODHD cost several calls, as they do in reality.
    pub fn quota(&self, source: &'static str, calls_per_utc_day: u64) {
        self.state().source(source).quota = Some(calls_per_utc_day);
    }

    /// Removes limit and quota.
    pub fn lift(&self, source: &'static str) {
        let mut state = self.state();
        let source = state.source(source);
        (source.limit, source.quota) = (None, None);
    }

    /// Begins an outage, or with None ends it.
    pub fn outage(&self, source: &'static str, outage: Option<Outage>) {
        self.state().source(source).outage = outage;
    }

    /// Plans an outage by the clock.
    pub fn outage_between(&self, source: &'static str, when: Range<DateTime<Utc>>, outage: Outage) {
        self.state().source(source).outages.push((when, outage));
    }

    /// Path and query of the last request; empty before the first.
    pub fn last_request(&self, source: &'static str) -> String {
        self.state().source(source).last.clone()
    }

    /// Requests that were answered with any response, without those that were refused.
    pub fn calls(&self, source: &'static str) -> u64 {
        self.sum(source, |day| day.calls)
    }

    /// Requests that were answered on a day of UTC.
    pub fn calls_on(&self, source: &'static str, date: NaiveDate) -> u64 {
        self.state().source(source).days.get(&date).map_or(0, |day| day.calls)
    }

    /// Requests that met a limit, a quota's end or an outage.
    pub fn refused(&self, source: &'static str) -> u64 {
        self.sum(source, |day| day.refused)
    }

    /// The same, of a day of UTC.
    pub fn refused_on(&self, source: &'static str, date: NaiveDate) -> u64 {
        self.state().source(source).days.get(&date).map_or(0, |day| day.refused)
    }

    fn sum(&self, source: &'static str, count: fn(&Day) -> u64) -> u64 {
        self.state().source(source).days.values().map(count).sum()
    }

    /// From a time on, multiplies the close and the adjusted close of a day by a factor.
    pub fn restate(&self, symbol: &str, date: NaiveDate, at: DateTime<Utc>, factor: f64) {
        self.script().restate(symbol, date, at, factor);
    }

    /// Empties the row of a day until it is filled, if ever. The last call for a day counts.
    pub fn hole(&self, symbol: &str, date: NaiveDate, filled_at: Option<DateTime<Utc>>) {
        self.script().hole(symbol, date, filled_at);
    }

    /// Removes the row of a day until it is filled, if ever. The last call for a day counts.
    pub fn drop_day(&self, symbol: &str, date: NaiveDate, filled_at: Option<DateTime<Utc>>) {
        self.script().drop_day(symbol, date, filled_at);
    }

    /// Makes adjusted closes differ by up to a millionth between responses.
    pub fn jitter(&self, on: bool) {
        self.script().jitter(on);
    }

    /// Every value that Yahoo's chart showed while a clock was set, in the order of symbols and days.
    pub fn shown(&self) -> Vec<Shown> {
        self.script().shown()
    }

    /// Lets this many new articles appear between two pages, which moves older ones to a later page. Meanwhile all
    /// pages are available. Only `newsapi` supports it.
    pub fn shift(&self, source: &'static str, articles: usize) {
        let mut state = self.state();
        let source = state.source(source);
        (source.shift, source.appeared) = (Some(articles), 0);
    }

    /// The number of new articles on top of the present page; None when nothing shifts.
    pub(crate) fn turn_page(&self, source: &'static str) -> Option<usize> {
        let mut state = self.state();
        let source = state.source(source);
        let on_top = source.appeared;
        source.appeared += source.shift?;
        Some(on_top)
    }

    /// Yahoo's chart at the time of the clock; None without a clock.
    pub(crate) fn chart(&self, config: &Config, symbol: &str, window: Option<Window>) -> Option<Reply> {
        let now = self.now()?;
        Some(self.script().chart(config, symbol, window, now))
    }

    /// Counts a request; returns the refusal if it is refused.
    fn admit(&self, source: &'static str, uri: &Uri) -> Option<Refusal> {
        let mut state = self.state();
        let now = state.clock.as_ref().map_or_else(|| SystemTime::now().into(), Clock::now);
        let asked = state.source(source);
        asked.last = uri.to_string();
        asked.admit(source, cost(source, uri.path()), now)
    }

    fn state(&self) -> MutexGuard<'_, Settings> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settings {
    fn source(&mut self, name: &'static str) -> &mut Source {
        self.sources.entry(name).or_default()
    }
}

impl Source {
    fn admit(&mut self, name: &'static str, cost: u64, now: DateTime<Utc>) -> Option<Refusal> {
        let refusal = self.refusal(name, cost, now);
        let day = self.days.entry(now.date_naive()).or_default();
        if refusal.is_some() {
            day.refused += 1;
            return refusal;
        }
        day.calls += 1;
        day.spent += cost;
        if let Some(limit) = &mut self.limit {
            limit.made.push_back(now);
        }
        None
    }

    fn refusal(&mut self, name: &'static str, cost: u64, now: DateTime<Utc>) -> Option<Refusal> {
        let planned = self.outages.iter().find(|(when, _)| when.contains(&now)).map(|(_, outage)| outage);
        match self.outage.as_ref().or(planned) {
            Some(Outage::TooMany(seconds)) => return Some(Refusal::Limit(name, *seconds)),
            Some(outage) => return Some(Refusal::Outage(outage.clone())),
            None => {}
        }
        let spent = self.days.get(&now.date_naive()).map_or(0, |day| day.spent);
        if self.quota.is_some_and(|quota| spent + cost > quota) {
            return Some(Refusal::Quota(name, seconds(until_tomorrow(now))));
        }
        let wait = self.limit.as_mut()?.wait(now)?;
        Some(Refusal::Limit(name, seconds(wait)))
    }
}

impl Limit {
    /// How long until the next call is possible; None when it is possible now.
    fn wait(&mut self, now: DateTime<Utc>) -> Option<TimeDelta> {
        // A clock that was set back, or set for the first time, starts a new window.
        let is_within = |made: &DateTime<Utc>| (TimeDelta::zero()..self.per).contains(&(now - *made));
        self.made.retain(is_within);
        let is_full = self.made.len() >= self.calls as usize;
        is_full.then(|| self.made.front().map_or(self.per, |first| self.per - (now - *first)))
    }
}

fn until_tomorrow(now: DateTime<Utc>) -> TimeDelta {
    let tomorrow = now.date_naive().checked_add_days(Days::new(1)).unwrap_or(NaiveDate::MAX);
    tomorrow.and_time(NaiveTime::MIN).and_utc() - now
}

/// A wait rounded up to whole seconds.
fn seconds(wait: TimeDelta) -> i64 {
    (wait.num_seconds() + i64::from(wait.subsec_nanos() > 0)).max(1)
}

/// Calls that a request costs.
fn cost(source: &str, path: &str) -> u64 {
    match (source, path.split('/').nth(2).unwrap_or_default()) {
        ("eodhd", "eod-bulk-last-day") => 100,
        ("eodhd", "fundamentals" | "news" | "sec-filings") => 10,
        _ => 1,
    }
}

/// Lets a request through to its handler, or refuses it.
pub(crate) async fn admit(State(control): State<Control>, request: Request, next: Next) -> Response {
    let source =
        request.uri().path().split('/').nth(1).and_then(|first| SOURCES.iter().find(|source| **source == first));
    match source.and_then(|source| control.admit(source, request.uri())) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    }
}

#[cfg(test)]
mod tests;
