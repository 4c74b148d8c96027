//! `consumer migrate policies`: what TimescaleDB does with old chunks.

use std::fmt::Write as _;

use anyhow::bail;
use contract::dataset::MAX_CHUNK_DAYS;
use contract::datasets;
use contract::declarations::named;
use store::{Age, Database, Policies};

use crate::commands::print;

/// Which datasets, and what happens to their old chunks.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Datasets; all when none is named
    #[arg(value_name = "DATASET")]
    datasets: Vec<String>,
    /// Compress chunks of rows and revisions that ended so many days ago; `off` ends it
    #[arg(long, value_name = "DAYS", value_parser = age)]
    compress_after: Option<Age>,
    /// Remove rows, but no revisions, in chunks that ended so many days ago; `off` ends it
    #[arg(long, value_name = "DAYS", value_parser = age)]
    retain: Option<Age>,
    /// Change nothing; show what it would do
    #[arg(long)]
    dry_run: bool,
    /// Remove the rows that `--dry-run` shows
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
}

fn age(text: &str) -> Result<Age, String> {
    if text == "off" {
        return Ok(Age::Off);
    }
    let days = text.parse().ok().filter(|days| (1..=MAX_CHUNK_DAYS).contains(days));
    days.map(Age::Days).ok_or_else(|| format!("expected days from 1 to {MAX_CHUNK_DAYS}, or `off`"))
}

pub(super) async fn run(database: &Database, arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { datasets: names, compress_after, retain, dry_run, yes } = arguments;
    if compress_after.is_none() && retain.is_none() {
        bail!("nothing to change: add `--compress-after DAYS` or `--retain DAYS`");
    }
    if names.is_empty() && retain.is_some() {
        bail!("name the datasets for `--retain`: it removes rows");
    }
    let wanted = match names.is_empty() {
        true => datasets().iter().collect(),
        false => names.iter().map(|name| named(name)).collect::<Result<Vec<_>, _>>().map_err(anyhow::Error::msg)?,
    };
    let steps = database.policy_steps(&wanted, Policies { compress_after, retain }).await?;
    let mut text = String::new();
    for step in &steps {
        let _ = writeln!(text, "{}", step.shown);
    }
    print(&text)?;
    if dry_run {
        return Ok(());
    }
    if !yes && steps.iter().any(|step| step.removes_rows) {
        bail!("this removes rows: add `--yes` to do it; nothing was changed");
    }
    for step in &steps {
        database.apply_policy(step).await?;
    }
    Ok(())
}
