//! `producer gaps`.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::{Value, json};
use sources::source::Source;

use super::{block_on, chosen, date, folder, minute, now, print};
use crate::state::{Gap, GapState, State};

/// List the days that providers have left out and that are asked for again
///
/// Example: `producer gaps yahoo --absent chart AAPL 2025-01-09`
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Sources to list; all by default
    sources: Vec<String>,
    /// Include days that the provider has sent since, and absent ones
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Declare that the provider has nothing on a day, so that it is no longer asked for
    #[arg(long, num_args = 3, value_names = ["ENDPOINT", "ITEM", "DAY"], conflicts_with_all = ["all", "json"])]
    absent: Option<Vec<String>>,
}

pub(super) fn run(Arguments { sources, all, json, absent }: &Arguments) -> anyhow::Result<ExitCode> {
    let sources = chosen(sources)?;
    block_on(async {
        match absent {
            Some(gap) => declare_absent(&sources, gap, now()).await?,
            None => list(sources, *all, *json).await?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Lists the open gaps, or all that ever were.
async fn list(sources: Vec<&'static Source>, is_all: bool, as_json: bool) -> anyhow::Result<()> {
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
    print(&if as_json { format!("{:#}\n", Value::from(all)) } else { text })
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

/// Declares that the provider has nothing on a day.
async fn declare_absent(sources: &[&'static Source], gap: &[String], now: DateTime<Utc>) -> anyhow::Result<()> {
    let ([source], [endpoint, item, day]) = (sources, gap) else {
        bail!("`--absent` needs exactly one source, and then ENDPOINT, ITEM and DAY");
    };
    source.endpoint(endpoint).map_err(|error| anyhow!(error))?;
    let day = date("--absent", day)?;
    let is_done = match State::existing(&folder(), source.name).await? {
        Some(state) => state.declare_absent(endpoint, item, day, now).await?,
        None => false,
    };
    if !is_done {
        let name = source.name;
        bail!("{day} of `{item}` is not an open gap of `{name}.{endpoint}`; list those with `producer gaps {name}`");
    }
    print(&format!("{day} of {item} is no longer asked for\n"))
}
