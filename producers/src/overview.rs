//! `producer plan`, `producer status` and `producer gaps`: what is known without asking anybody.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use chrono::{DateTime, NaiveDate, Utc};
use producers::fetch::{Class, Fetcher};
use producers::plan::{self, Planned};
use producers::schedule::span;
use producers::source::Source;
use producers::state::{Gap, GapState, Standing, State};
use producers::status::{Health, health};
use producers::watchlist::Watchlist;
use serde_json::{Value, json};
use service::{settings, telemetry};

/// Where the producers' state is.
pub(crate) fn folder() -> PathBuf {
    settings::read(&settings::STATE_DIR).unwrap_or_default().into()
}

/// What is kept of a source.
struct Known {
    standings: Vec<Standing>,
    gaps: Vec<Gap>,
    /// Calls that are left today, and those that are granted.
    quota: Option<[u32; 2]>,
}

impl Known {
    async fn of(source: &'static Source, now: DateTime<Utc>) -> anyhow::Result<Known> {
        let state = State::existing(&folder(), source.name).await?;
        // A source without its key has none.
        let budget = Fetcher::from_settings(source).ok();
        let budget = budget.as_ref().and_then(Fetcher::budget);
        let Some(state) = state else {
            let quota = budget.map(|budget| [budget.calls, budget.calls]);
            return Ok(Known { standings: Vec::new(), gaps: Vec::new(), quota });
        };
        let spent = state.spent(now).await?;
        let quota = budget.map(|budget| [budget.left(Class::Live, spent), budget.calls]);
        Ok(Known { standings: state.standings().await?, gaps: state.gaps(None).await?, quota })
    }
}

/// Sources of which the watchlist names items.
fn watched(sources: Vec<&'static Source>, watchlist: &Watchlist) -> Vec<&'static Source> {
    let is_watched = |source: &&'static Source| {
        source.endpoints.iter().any(|endpoint| !watchlist.items(source, endpoint).is_empty())
    };
    sources.into_iter().filter(is_watched).collect()
}

fn minute(at: Option<DateTime<Utc>>) -> String {
    at.map_or("-".to_owned(), |at| at.format("%Y-%m-%d %H:%M").to_string())
}

/// Writes what is due and what it costs.
pub(crate) async fn plan(sources: Vec<&'static Source>, as_json: bool, now: DateTime<Utc>) -> anyhow::Result<()> {
    let watchlist = Watchlist::load()?;
    let mut text = format!(
        "{:<10} {:<20} {:>6} {:>6} {:>10}  {:<16} {:>10}\n",
        "SOURCE", "ENDPOINT", "ITEMS", "DUE", "CALLS NOW", "NEXT (UTC)", "CALLS 24 H"
    );
    let (mut notes, mut all) = (String::new(), Vec::new());
    for source in watched(sources, &watchlist) {
        let known = Known::of(source, now).await?;
        let planned = plan::planned(source, &watchlist, &known.standings, now);
        let ahead: u64 = planned.iter().map(|planned| planned.calls_ahead).sum();
        for Planned { endpoint, items, due, calls_now, next, calls_ahead, .. } in &planned {
            let next = if *due > 0 { "now".to_owned() } else { minute(*next) };
            writeln!(
                text,
                "{:<10} {endpoint:<20} {items:>6} {due:>6} {calls_now:>10}  {next:<16} {calls_ahead:>10}",
                source.name
            )?;
        }
        if let Some([left, granted]) = known.quota {
            let too_many = if ahead > u64::from(granted) { ": too many items or too often" } else { "" };
            writeln!(
                notes,
                "{}: {left} of {granted} calls of today are left; 24 hours take {ahead}{too_many}",
                source.name
            )?;
        }
        all.extend(planned.iter().map(|planned| planned_json(source, planned, known.quota)));
    }
    crate::list::print(&if as_json { format!("{:#}\n", Value::from(all)) } else { text + &notes })
}

fn planned_json(source: &Source, planned: &Planned, quota: Option<[u32; 2]>) -> Value {
    json!({
        "source": source.name,
        "endpoint": planned.endpoint,
        "kind": planned.kind.name(),
        "frequency": planned.frequency.name(),
        "items": planned.items,
        "due": planned.due,
        "calls_now": planned.calls_now,
        "next": planned.next,
        "calls_24_hours": planned.calls_ahead,
        "calls_left_today": quota.map(|[left, _]| left),
    })
}

/// Writes how fresh everything is; a failure when something is older than its SLA.
pub(crate) async fn status(
    sources: Vec<&'static Source>,
    as_json: bool,
    now: DateTime<Utc>,
) -> anyhow::Result<ExitCode> {
    let watchlist = Watchlist::load()?;
    let mut text = format!(
        "{:<10} {:<20} {:>6} {:>6} {:>7}  {:<16} {:>10} {:>8} {:>5}\n",
        "SOURCE", "ENDPOINT", "ITEMS", "LATE", "FAILING", "OLDEST (UTC)", "AGE", "SLA", "GAPS"
    );
    let (mut notes, mut all, mut late) = (String::new(), Vec::new(), 0);
    for source in watched(sources, &watchlist) {
        let known = Known::of(source, now).await?;
        for health in health(source, &watchlist, &known.standings, &known.gaps, now) {
            let Health { endpoint, items, late: own, failing, oldest, age, sla, gaps, error } = &health;
            late += own;
            let age = age.map_or("never".to_owned(), span);
            writeln!(
                text,
                "{:<10} {endpoint:<20} {items:>6} {own:>6} {failing:>7}  {:<16} {age:>10} {:>8} {gaps:>5}",
                source.name,
                minute(*oldest),
                span(*sla)
            )?;
            if let Some(error) = error {
                writeln!(notes, "{}.{endpoint}: {error}", source.name)?;
            }
            all.push(health_json(source, &health, known.quota));
        }
        if let Some([left, granted]) = known.quota {
            writeln!(notes, "{}: {left} of {granted} calls of today are left", source.name)?;
        }
    }
    if late > 0 {
        writeln!(notes, "{late} items are older than their SLA allows, or were never had")?;
    }
    crate::list::print(&if as_json { format!("{:#}\n", Value::from(all)) } else { text + &notes })?;
    Ok(if late > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn health_json(source: &Source, health: &Health, quota: Option<[u32; 2]>) -> Value {
    json!({
        "source": source.name,
        "endpoint": health.endpoint,
        "items": health.items,
        "late": health.late,
        "failing": health.failing,
        "oldest_success": health.oldest,
        "age_seconds": health.age.map(|age| age.as_secs()),
        "sla_seconds": health.sla.as_secs(),
        "open_gaps": health.gaps,
        "error": health.error,
        "calls_left_today": quota.map(|[left, _]| left),
    })
}

/// Writes the days that providers have left out: those that are asked for, or all that ever were.
pub(crate) async fn gaps(sources: Vec<&'static Source>, is_all: bool, as_json: bool) -> anyhow::Result<()> {
    let mut text = format!(
        "{:<10} {:<20} {:<16} {:<10} {:<7} {:>5}  {:<16} {}\n",
        "SOURCE", "ENDPOINT", "ITEM", "DAY", "STATE", "ASKED", "SINCE (UTC)", "LAST (UTC)"
    );
    let mut all = Vec::new();
    for source in sources {
        let Some(state) = State::existing(&folder(), source.name).await? else { continue };
        let gaps = state.gaps(None).await?;
        for gap in gaps.iter().filter(|gap| is_all || gap.state == GapState::Open) {
            let Gap { endpoint, item, day, asks, .. } = gap;
            writeln!(
                text,
                "{:<10} {endpoint:<20} {item:<16} {day} {:<7} {asks:>5}  {:<16} {}",
                source.name,
                gap.state.name(),
                minute(Some(gap.noticed_at)),
                minute(Some(gap.asked_at))
            )?;
            all.push(gap_json(source, gap));
        }
    }
    if all.is_empty() {
        text = "no day is missing\n".to_owned();
    }
    crate::list::print(&if as_json { format!("{:#}\n", Value::from(all)) } else { text })
}

fn gap_json(source: &Source, gap: &Gap) -> Value {
    json!({
        "source": source.name,
        "endpoint": gap.endpoint,
        "item": gap.item,
        "day": gap.day,
        "state": gap.state.name(),
        "asks": gap.asks,
        "noticed_at": gap.noticed_at,
        "asked_at": gap.asked_at,
    })
}

/// Declares that there is nothing on a day.
pub(crate) async fn declare_absent(
    sources: Vec<&'static Source>,
    gap: &[String],
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let ([source], [endpoint, item, day]) = (&sources[..], gap) else {
        bail!("name one source, and behind `--absent` endpoint, item and day");
    };
    source.endpoint(endpoint).map_err(|error| anyhow!(error))?;
    let day: NaiveDate = producers::backfill::date("--absent", day)?;
    let state = State::existing(&folder(), source.name).await?;
    let is_done = match &state {
        Some(state) => state.declare_absent(endpoint, item, day, now).await?,
        None => false,
    };
    if !is_done {
        bail!(
            "{day} of `{item}` is no open gap of `{}.{endpoint}`; `producer gaps {}` lists those",
            source.name,
            source.name
        );
    }
    crate::list::print(&format!("{day} of {item} is no longer asked for\n"))
}

/// Runs what needs no more than the state.
pub(crate) fn block_on(work: impl Future<Output = anyhow::Result<ExitCode>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return telemetry::report(Err(error.into())),
    };
    runtime.block_on(work).unwrap_or_else(|error| telemetry::report(Err(error)))
}
