//! `tapedeck describe`: the columns of a table.

use anyhow::Error;
use contract::{Dataset, declarations};
use serde_json::json;
use service::settings;
use store::Found;

use super::print;
use super::query::table;

/// Describe a dataset's columns: type, unit, meaning, and which identify a row
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: tapedeck describe ohlcv_bar")]
pub(super) struct Arguments {
    /// Name of the dataset, as `tapedeck tables` lists it
    dataset: String,
    /// Print one JSON object per column
    #[arg(long)]
    json: bool,
}

/// Prints the columns. Needs no database.
pub(super) fn run(Arguments { dataset, json }: &Arguments) -> anyhow::Result<()> {
    let dataset = declarations::named(dataset).map_err(Error::msg)?;
    let rows = dataset.fields.iter().enumerate().map(|(at, field)| {
        let kind = format!("{:?}", field.kind).to_lowercase();
        (at, field, kind)
    });
    if *json {
        let line = |(at, field, kind): (usize, &contract::Field, String)| {
            json!({
                "column": field.name, "type": kind, "nullable": field.nullable,
                "key": dataset.key.contains(&at), "doc": field.doc,
            })
        };
        return print(&rows.map(|row| format!("{}\n", line(row))).collect::<String>());
    }
    let row = |(at, field, kind): (usize, &contract::Field, String)| {
        let null = if field.nullable { "may be null" } else { "" };
        let key = if dataset.key.contains(&at) { "key" } else { "" };
        [&field.name, &kind, key, null, &field.doc].map(|text| Some(text.to_string())).to_vec()
    };
    let columns = ["column", "type", "key", "null", "meaning"].map(str::to_owned).to_vec();
    let found = Found { columns, texts: (0..5).collect(), rows: rows.map(row).collect(), is_cut: false };
    print(&format!("{}\n\n{}{}", dataset.doc, table(&found), topic(dataset)))
}

fn topic(dataset: &Dataset) -> String {
    let namespace = settings::read(&settings::NAMESPACE).unwrap_or_default();
    format!(
        "beside these: `content_hash` (tells versions apart), `deleted`, `updated_at` (when the row was written)\ntopic: {}\n",
        contract::topic::topic(&namespace, dataset)
    )
}
