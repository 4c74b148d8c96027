//! `tapedeck snapshot`: how far the topics have been read, as a text to keep.

use anyhow::bail;
use service::settings;
use store::Database;

use super::print;

/// Print a snapshot: a text that pins an answer for good
///
/// A query with `--snapshot` leaves out what was read after it. It returns the same rows after any number of corrections,
/// and from a database that was filled again from the topics.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  tapedeck snapshot ohlcv_bar > snapshot\n  tapedeck query --snapshot \"$(cat snapshot)\" \
    \"select count(*) from ohlcv_bar\""
)]
pub(super) struct Arguments {
    /// Datasets to cover; by default all
    #[arg(value_name = "DATASET")]
    datasets: Vec<String>,
}

/// Prints it.
pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(unknown) = arguments.datasets.iter().find(|name| contract::dataset(name).is_none()) {
        bail!("there is no dataset `{unknown}`: `tapedeck tables` lists them");
    }
    let database = Database::from_settings()?;
    let namespace = settings::read(&settings::NAMESPACE).unwrap_or_default();
    let snapshot = database.audit().await?.topics(&namespace, &arguments.datasets).await?;
    print(&format!("{snapshot}\n"))
}
