//! `tapedeck tables`: which tables there are, and what is in them.

use contract::Dataset;
use serde_json::json;
use store::{Database, Found};

use super::print;
use super::query::table;

/// List the datasets' tables with their number of rows
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: tapedeck tables\nOne table in detail: tapedeck describe ohlcv_bar")]
pub(super) struct Arguments {
    /// Print one JSON object per table
    #[arg(long)]
    json: bool,
}

/// Prints the tables.
pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let counts = Database::from_settings()?.counts().await?;
    if arguments.json {
        let line = |(dataset, rows): &(&Dataset, u64)| {
            format!("{}\n", json!({"table": dataset.name, "rows": rows, "doc": dataset.doc}))
        };
        return print(&counts.iter().map(line).collect::<String>());
    }
    let row = |(dataset, rows): &(&Dataset, u64)| {
        [dataset.name.clone(), rows.to_string(), dataset.doc.clone()].map(Some).to_vec()
    };
    let columns = ["table", "rows", "what a row is"].map(str::to_owned).to_vec();
    print(&table(&Found { columns, texts: [0, 2].into(), rows: counts.iter().map(row).collect(), is_cut: false }))
}
