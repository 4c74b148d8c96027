//! `consumer verify`: arguments in, a report out.

use std::path::PathBuf;

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
    /// Read the topics again and compare every row; takes about 200 bytes on disk per record and row
    #[arg(long)]
    deep: bool,
    /// Keep what does not fit into memory in this folder instead of the system's for temporary files
    #[arg(long, value_name = "FOLDER", requires = "deep")]
    temp_dir: Option<PathBuf>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Verifies the database that the environment names; an error when something is wrong.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { datasets, deep, temp_dir, json } = arguments;
    let temp_dir = temp_dir.unwrap_or_else(std::env::temp_dir);
    let datasets = chosen(&datasets)?;
    let (cluster, registry) = (Cluster::from_settings()?, Registry::from_settings()?);
    let verification =
        Verification { cluster, database: Database::from_settings()?, registry, datasets, deep, temp_dir };
    let runtime = Handle::current();
    let report = tokio::task::spawn_blocking(move || verification.run(&runtime)).await??;
    print(&if json { report.json() + "\n" } else { report.text() })?;
    report.check()
}
