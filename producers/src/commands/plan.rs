//! `producer plan`.

use std::fmt::Write as _;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::{Value, json};
use service::arguments::time;
use sources::source::Source;

use super::known::{Known, watched};
use super::{block_on, chosen, minute, now, print};
use crate::poll::plan::{Planned, planned};
use crate::watchlist::Watchlist;

/// Show which items of the watchlist are due, and how many calls they take
///
/// Example: `producer plan fmp --at 2026-11-20T12:00:00Z`
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Sources to show; all by default
    sources: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Time to plan from; now by default
    #[arg(long, value_parser = time)]
    at: Option<DateTime<Utc>>,
}

pub(super) fn run(Arguments { sources, json, at }: &Arguments) -> anyhow::Result<ExitCode> {
    let sources = chosen(sources)?;
    block_on(async {
        plan(sources, *json, at.unwrap_or_else(now)).await?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn plan(sources: Vec<&'static Source>, as_json: bool, now: DateTime<Utc>) -> anyhow::Result<()> {
    let watchlist = Watchlist::load()?;
    let mut text = format!(
        "{:<10} {:<20} {:>6} {:>6} {:>10}  {:<16} {:>10}\n",
        "SOURCE", "ENDPOINT", "ITEMS", "DUE", "CALLS NOW", "NEXT (UTC)", "CALLS 24 H"
    );
    let (mut notes, mut all) = (String::new(), Vec::new());
    for source in watched(sources, &watchlist) {
        let known = Known::of(source, now).await?;
        let planned = planned(source, &watchlist, &known.standings, now);
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
                "{}: {left} of {granted} calls of today are left; the next 24 hours need {ahead}{too_many}",
                source.name
            )?;
        }
        all.extend(planned.iter().map(|planned| planned_json(source, planned, known.quota)));
    }
    print(&if as_json { format!("{:#}\n", Value::from(all)) } else { text + &notes })
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
