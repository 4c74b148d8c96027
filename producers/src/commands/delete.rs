//! `producer delete`.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::Args;
use kafka::Cluster;
use service::arguments::time;

use super::deletion::Deletion;
use super::{now, print};

/// Publish deletions of records on a dataset's topic; without `--yes` only show what they would delete
///
/// Example: `producer delete ohlcv_bar --where symbol=AAPL --from 2026-11-01 --yes`
///
/// Example: `producer delete ohlcv_bar --where source=file --not-in csv 'prices.csv?ohlcv_bar&symbol=Ticker'`
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Dataset
    dataset: String,
    /// Only records with this value in this field; repeat for several conditions, which must all hold
    #[arg(long = "where", value_name = "FIELD=VALUE", required = true)]
    conditions: Vec<String>,
    /// Only records with this time or a later one: a date, or e.g. `2026-11-20T12:00:00Z`
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only records with an earlier time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Only records that this file no longer has, given as on the watchlist; repeat for several files. Records of other
    /// files are not in it, so name those of this one with `--where`, or name all files
    #[arg(long, num_args = 2, value_names = ["ENDPOINT", "ITEM"])]
    not_in: Vec<String>,
    /// When the deletion became known; now by default. Later versions of a record stay
    #[arg(long, value_name = "TIME", value_parser = time)]
    known_at: Option<DateTime<Utc>>,
    /// Publish the deletions
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { dataset, conditions, from, to, not_in, known_at, yes } = arguments;
    let deletion =
        Deletion::new(dataset, conditions, (from.as_deref(), to.as_deref()), *known_at, now())?.without(not_in)?;
    let cluster = Cluster::from_settings()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let found = deletion.find(&cluster, runtime.handle())?;
    let text = if *yes { runtime.block_on(deletion.publish(&found, &cluster))? } else { deletion.preview(&found) };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}
