//! `consumer verify`: arguments in, a report out.

use kafka::Cluster;
use kafka::registry::Registry;
use store::Database;
use tokio::runtime::Handle;

use super::{chosen, print};
use crate::verify::Verification;

/// What to verify.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Names of datasets; all when none is named
    #[arg(value_name = "DATASET")]
    datasets: Vec<String>,
    /// Read the topics again and compare every row; takes about 100 bytes of memory per key
    #[arg(long)]
    deep: bool,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Verifies the database that the environment names; an error when something is wrong.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { datasets, deep, json } = arguments;
    let datasets = chosen(&datasets)?;
    let (cluster, registry) = (Cluster::from_settings()?, Registry::from_settings()?);
    let verification = Verification { cluster, database: Database::from_settings()?, registry, datasets, deep };
    let runtime = Handle::current();
    let report = tokio::task::spawn_blocking(move || verification.run(&runtime)).await??;
    print(&if json { report.json() + "\n" } else { report.text() })?;
    report.check()
}
