//! `consumer replay`: arguments in, lines out.

use anyhow::bail;
use chrono::{DateTime, Utc};
use clap::Args;
use contract::Dataset;
use kafka::Cluster;
use kafka::registry::Registry;
use service::arguments::time;
use service::shutdown;
use store::Database;
use store::chunk::Limits;
use store::side::{Difference, Exchanged};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{limits, migrate, one};
use crate::replay::{Bound, Range, Replay, Report};

/// What to replay, and where to.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Name of the dataset
    dataset: String,
    /// Start with records that Kafka received at this time or later: `2026-01-31` or `2026-01-31T14:30:00Z`
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "from_offset")]
    from_time: Option<DateTime<Utc>>,
    /// Start at this offset of each partition
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    from_offset: Option<i64>,
    /// End before records that Kafka received at this time or later
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "to_offset")]
    to_time: Option<DateTime<Utc>>,
    /// End before this offset of each partition
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    to_offset: Option<i64>,
    /// Replay only these partitions
    #[arg(long = "partition", value_name = "NUMBER")]
    partitions: Vec<i32>,
    /// Replay only messages of this key, e.g. `yahoo|AAPL|1d`
    #[arg(long)]
    key: Option<String>,
    /// Write into a side table of this name, which is created; a repeated command continues where it stopped
    #[arg(long, value_name = "TABLE")]
    into: Option<String>,
    /// Apply a rule on top of the declared ones, e.g. `volume > 0`; records that break it are left out
    #[arg(long = "rule", value_name = "RULE")]
    rules: Vec<String>,
    /// Write nothing; report what would change in the dataset's table, with `--swap` by the exchange
    #[arg(long, conflicts_with = "restart")]
    dry_run: bool,
    /// Compare the side table with the dataset's own afterwards
    #[arg(long, requires = "into")]
    diff: bool,
    /// Exchange the rows of the side table and the dataset's own afterwards
    #[arg(long, requires = "into")]
    swap: bool,
    /// Drop the side table that `--into` names, and replay nothing; without `--yes` only say what it has
    #[arg(long, requires = "into", conflicts_with_all = ["dry_run", "diff", "swap", "restart", "rules"])]
    drop: bool,
    /// Drop it
    #[arg(long, requires = "drop")]
    yes: bool,
    /// Start over instead of continuing the same replay after an interruption
    #[arg(long)]
    restart: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Replays into the database that the environment names.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let (dataset, limits, stop) = (one(&arguments.dataset)?, limits()?, shutdown::token()?);
    Database::from_settings()?.migrate_to(None, &migrate::log).await?;
    tokio::task::spawn_blocking(move || arguments.replay_and_print(dataset, limits, &Handle::current(), &stop)).await?
}

impl Arguments {
    fn replay_and_print(
        &self,
        dataset: &'static Dataset,
        limits: Limits,
        runtime: &Handle,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let replay = self.replay(dataset, limits)?;
        if self.drop {
            return self.drop_and_print(&replay, runtime);
        }
        if self.dry_run && self.swap {
            let exchanged = replay.rehearse_swap(runtime)?;
            return self.print_rehearsal(&exchanged, &dataset.name);
        }
        if self.dry_run {
            let (report, difference) = replay.trial(runtime, stop)?;
            self.print_trial(&report, &difference)?;
            return stopped(stop);
        }
        if self.swap && !self.restart {
            // Before a replay of hours.
            replay.check_complete(runtime)?;
        }
        let report = replay.run(runtime, stop, self.restart)?;
        self.print(&report)?;
        stopped(stop)?;
        if self.diff {
            let difference = runtime.block_on(replay.diff())?;
            self.print_difference(&difference)?;
        }
        if self.swap {
            let Exchanged { added, vanished, changed, .. } = replay.swap(runtime, stop)?;
            let table = self.into.as_deref().unwrap_or_default();
            println!(
                "exchanged: `{}` has the rows of the replay, `{table}` those from before; added {added}, changed \
                 {changed}, vanished {vanished}",
                dataset.name
            );
        }
        Ok(())
    }

    fn replay(&self, dataset: &'static Dataset, limits: Limits) -> anyhow::Result<Replay> {
        let bound = |offset: Option<i64>, time: Option<DateTime<Utc>>| match (offset, time) {
            (Some(offset), _) => Bound::Offset(offset),
            (None, Some(time)) => Bound::Time(time),
            (None, None) => Bound::Open,
        };
        let is_backward = self.from_time.zip(self.to_time).is_some_and(|(from, to)| from >= to)
            || self.from_offset.zip(self.to_offset).is_some_and(|(from, to)| from >= to);
        if is_backward {
            bail!("the range is empty: it ends before it begins, or where it begins");
        }
        if self.dry_run && self.into.is_some() && !self.swap {
            bail!("a dry run fills no side table: leave `--into` out, or see with `--swap` what the exchange would do");
        }
        if !self.rules.is_empty() && self.into.is_none() && !self.dry_run {
            bail!("a rule that is not declared can only be tried: name a side table with `--into`, or `--dry-run`");
        }
        Ok(Replay {
            dataset,
            cluster: Cluster::from_settings()?,
            database: Database::from_settings()?,
            registry: Registry::from_settings()?,
            limits,
            range: Range {
                from: bound(self.from_offset, self.from_time),
                to: bound(self.to_offset, self.to_time),
                partitions: self.partitions.clone(),
            },
            key: self.key.clone(),
            into: self.into.clone(),
            rules: self.rules.clone(),
        })
    }

    fn drop_and_print(&self, replay: &Replay, runtime: &Handle) -> anyhow::Result<()> {
        let table = self.into.as_deref().unwrap_or_default();
        let Some(rows) = runtime.block_on(replay.side_rows())? else { bail!("there is no table `{table}`") };
        if self.yes {
            runtime.block_on(replay.drop_side())?;
        }
        if self.json {
            println!("{}", serde_json::json!({ "table": table, "rows": rows, "dropped": self.yes }));
        } else if self.yes {
            println!("dropped `{table}`, which had {rows} rows");
        } else {
            println!("`{table}` has {rows} rows; `--yes` drops it");
        }
        Ok(())
    }

    fn print(&self, report: &Report) -> anyhow::Result<()> {
        if self.json {
            println!("{}", serde_json::to_string(report)?);
            return Ok(());
        }
        let outcome = &report.outcome;
        if !report.resumed {
            explain_nothing(outcome.read, self.key.as_deref());
        }
        println!(
            "{}read {}: inserted {}, changed {}, unchanged {}, superseded {}, refused {}",
            if report.resumed { "resumed; " } else { "" },
            outcome.read,
            outcome.inserted,
            outcome.changed,
            outcome.unchanged,
            outcome.superseded,
            outcome.dead_lettered
        );
        print_refused(report);
        Ok(())
    }

    fn print_trial(&self, report: &Report, difference: &Difference) -> anyhow::Result<()> {
        if self.json {
            let refused = &report.refused_by_class;
            let all = serde_json::json!({
                "read": report.outcome.read, "refused_by_class": refused, "would_change": difference
            });
            println!("{all}");
            return Ok(());
        }
        explain_nothing(report.outcome.read, self.key.as_deref());
        println!(
            "read {}, of {} keys; nothing is written. It would insert {}, change {}, advance the version alone of {}",
            report.outcome.read, report.outcome.inserted, difference.added, difference.changed, difference.version_only
        );
        print_details(difference);
        print_refused(report);
        Ok(())
    }

    fn print_rehearsal(&self, exchanged: &Exchanged, dataset: &str) -> anyhow::Result<()> {
        let Exchanged { behind, added, vanished, changed, revisions } = exchanged;
        if self.json {
            let all = serde_json::json!({
                "behind": behind, "added": added, "vanished": vanished, "changed": changed, "revisions": revisions
            });
            println!("{all}");
        } else if behind.is_empty() {
            println!(
                "nothing is written. The exchange would add {added}, change {changed} and remove {vanished} rows of \
                 `{dataset}` and change {revisions} revisions; all that is attached to the table stays"
            );
        } else {
            let partitions: Vec<String> = behind.iter().map(|(partition, _)| partition.to_string()).collect();
            println!(
                "nothing is written. Without `--dry-run` the replay would first catch up in partitions {}",
                partitions.join(", ")
            );
        }
        Ok(())
    }

    fn print_difference(&self, difference: &Difference) -> anyhow::Result<()> {
        if self.json {
            println!("{}", serde_json::to_string(difference)?);
            return Ok(());
        }
        println!(
            "against the live table: added {}, changed {}, vanished {}, another version alone {}",
            difference.added, difference.changed, difference.vanished, difference.version_only
        );
        print_details(difference);
        Ok(())
    }
}

/// Says why a replay that read nothing did so, beside its report.
fn explain_nothing(read: u64, key: Option<&str>) {
    match key {
        Some(key) if read == 0 => {
            eprintln!(
                "no message in the range has the key `{key}`; a key is compared whole, for example `yahoo|AAPL|1d`"
            );
        }
        None if read == 0 => eprintln!("the range holds no records"),
        _ => {}
    }
}

fn print_details(difference: &Difference) {
    for (column, count) in &difference.by_column {
        println!("  {column} differs in {count}");
    }
    for (what, key) in &difference.examples {
        println!("  {what}: {key}");
    }
}

fn print_refused(report: &Report) {
    for (class, count) in &report.refused_by_class {
        println!("  refused {count}: {class}");
    }
}

fn stopped(stop: &CancellationToken) -> anyhow::Result<()> {
    if stop.is_cancelled() {
        bail!("stopped; run the same command again to continue");
    }
    Ok(())
}
