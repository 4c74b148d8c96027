//! `producer backfill`.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::Args;
use service::health::Health;
use service::telemetry;
use sources::source;
use sources::source::{Range, Source};

use super::{date, exit_code, folder, now, run_of};
use crate::fetch::Fetcher;
use crate::poll::backfill::Backfill;
use crate::poll::plan;
use crate::run::{Ending, Mode};
use crate::state::State;
use crate::watchlist::Watchlist;

/// Fetch old days of some items beside the live polls, which come first
///
/// Example: `producer backfill fmp eod_prices --item AAPL --from 2016-01-01 --to 2025-12-31`
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Source
    source: String,
    /// Endpoint
    endpoint: String,
    /// Item to fetch, e.g. `AAPL`; repeat for several
    #[arg(long = "item", required = true)]
    items: Vec<String>,
    /// First day, e.g. `2016-01-01`
    #[arg(long)]
    from: String,
    /// Last day
    #[arg(long)]
    to: String,
    /// Days per request; by default as many as the provider sends
    #[arg(long)]
    window: Option<u32>,
    /// Only show how many calls it takes and when it will be done
    #[arg(long)]
    dry_run: bool,
    /// Continue where the last run stopped
    #[arg(long)]
    resume: bool,
    /// Print one JSON line per finished window
    #[arg(long)]
    progress: bool,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { source: name, endpoint, items, from, to, window, dry_run, resume, progress } = arguments;
    let source = source(&name).map_err(|error| anyhow!(error))?;
    let endpoint = source.endpoint(&endpoint).map_err(|error| anyhow!(error))?;
    let range = Range { first: date("--from", &from)?, last: date("--to", &to)? };
    let backfill = Backfill::new(source, endpoint, items, range, window)?;
    fetch(source, &backfill, dry_run, resume, progress).map(exit_code)
}

/// Shows what the backfill will cost, and runs it.
fn fetch(
    source: &'static Source,
    backfill: &Backfill,
    dry_run: bool,
    resume: bool,
    progress: bool,
) -> anyhow::Result<Ending> {
    telemetry::init();
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let fetcher = Fetcher::from_settings(source)?;
        // Live polls have the first claim on the quota; without a watchlist there are none.
        let run = run_of(Watchlist::load().unwrap_or_default(), Mode::Once, progress, &Health::new())?;
        let state = State::open(&folder(), source.name).await?;
        if let Some(budget) = fetcher.budget() {
            budget.plan(plan::calls_of_day(source, &run.watchlist, now().date_naive()));
        }
        let forecast = backfill.forecast(&state, &fetcher, resume, now()).await?;
        eprint!("{}", forecast.words());
        if dry_run {
            return Ok(Ending::Complete);
        }
        drop(state);
        backfill.run(fetcher, &run, resume).await
    })
}
