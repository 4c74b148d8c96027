//! `producer status`.

use std::fmt::Write as _;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::{Value, json};
use sources::schedule::span;
use sources::source::Source;

use super::freshness::{Freshness, freshness};
use super::known::{Known, watched};
use super::{block_on, chosen, minute, now, print};
use crate::state::Stopped;
use crate::watchlist::Watchlist;

/// Show how fresh everything on the watchlist is; fail if something is older than its SLA allows
///
/// Example: `producer status yahoo fred`
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Sources to show; all by default
    sources: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Time to judge by, e.g. `2026-11-20T12:00:00Z`; now by default
    #[arg(long)]
    at: Option<DateTime<Utc>>,
}

pub(super) fn run(Arguments { sources, json, at }: &Arguments) -> anyhow::Result<ExitCode> {
    let sources = chosen(sources)?;
    block_on(status(sources, *json, at.unwrap_or_else(now)))
}

async fn status(sources: Vec<&'static Source>, as_json: bool, now: DateTime<Utc>) -> anyhow::Result<ExitCode> {
    let watchlist = Watchlist::load()?;
    let mut text = format!(
        "{:<10} {:<20} {:>6} {:>6} {:>7}  {:<16} {:>10} {:>8} {:>5}\n",
        "SOURCE", "ENDPOINT", "ITEMS", "LATE", "FAILING", "OLDEST (UTC)", "AGE", "SLA", "GAPS"
    );
    let (mut notes, mut all, mut late) = (String::new(), Vec::new(), 0);
    for source in watched(sources, &watchlist) {
        let known = Known::of(source, now).await?;
        for freshness in freshness(source, &watchlist, &known.standings, &known.gaps, now) {
            let Freshness { endpoint, items, late: own, failing, oldest, age, sla, gaps, error } = &freshness;
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
            all.push(freshness_json(source, &freshness, &known));
        }
        if let Some(Stopped { reason, since, next_try_at }) = &known.stopped {
            let [since, next] = [*since, *next_try_at].map(|at| at.format("%Y-%m-%d %H:%M:%S"));
            writeln!(notes, "{}: stopped since {since}, next try at {next}: {reason}", source.name)?;
        }
        if let Some([left, granted]) = known.quota {
            writeln!(notes, "{}: {left} of {granted} calls of today are left", source.name)?;
        }
    }
    if late > 0 {
        writeln!(notes, "{late} items are older than their SLA allows, or were never fetched")?;
    }
    print(&if as_json { format!("{:#}\n", Value::from(all)) } else { text + &notes })?;
    Ok(if late > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn freshness_json(source: &Source, freshness: &Freshness, known: &Known) -> Value {
    let stopped = known.stopped.as_ref().map(|stopped| {
        let Stopped { reason, since, next_try_at } = stopped;
        json!({ "reason": reason, "since": since, "next_try_at": next_try_at })
    });
    json!({
        "source": source.name,
        "endpoint": freshness.endpoint,
        "items": freshness.items,
        "late": freshness.late,
        "failing": freshness.failing,
        "oldest_success": freshness.oldest,
        "age_seconds": freshness.age.map(|age| age.as_secs()),
        "sla_seconds": freshness.sla.as_secs(),
        "open_gaps": freshness.gaps,
        "error": freshness.error,
        "calls_left_today": known.quota.map(|[left, _]| left),
        "stopped": stopped,
    })
}
