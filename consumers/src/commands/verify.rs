//! `consumer verify`: arguments in, a report out.

use std::path::PathBuf;
use std::time::Duration;

use kafka::Cluster;
use kafka::registry::Registry;
use store::Database;
use tokio::runtime::Handle;

use super::{chosen, print};
use crate::verify::Verification;

/// How long a record may wait, unless told otherwise: a restart and a rebalance are over by then.
const DEFAULT_PATIENCE_S: u64 = 300;

/// What to verify.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Names of datasets; all when none is named
    #[arg(value_name = "DATASET")]
    datasets: Vec<String>,
    /// Read the topics again and compare every row; takes about 160 MB on disk per million keys
    #[arg(long)]
    deep: bool,
    /// Keep what does not fit into memory in this folder instead of the system's for temporary files
    #[arg(long, value_name = "FOLDER", requires = "deep")]
    temp_dir: Option<PathBuf>,
    /// Seconds that a record may wait on its topic before it counts as not consumed
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_PATIENCE_S)]
    patience: u64,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Verifies the database that the environment names; an error when something is wrong.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { datasets, deep, temp_dir, patience, json } = arguments;
    let temp_dir = temp_dir.unwrap_or_else(std::env::temp_dir);
    let datasets = chosen(&datasets)?;
    let (cluster, registry) = (Cluster::from_settings()?, Registry::from_settings()?);
    let (database, patience) = (Database::from_settings()?, Duration::from_secs(patience));
    let verification = Verification { cluster, database, registry, datasets, deep, temp_dir, patience };
    let runtime = Handle::current();
    let report = tokio::task::spawn_blocking(move || verification.run(&runtime)).await??;
    print(&if json { report.json() + "\n" } else { report.text() })?;
    report.check()
}
