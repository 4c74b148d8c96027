//! `tapedeck query`: shows data, without a database client.

use std::time::Duration;

use anyhow::anyhow;
use clap::ValueEnum;
use kafka::Cluster;
use serde_json::value::RawValue;
use store::{Database, Found, StoreError};

use super::moment::Moment;
use super::print;
use crate::deck::summary::Meter;
use crate::folder::Folder;

/// Most rows shown unless the user wants more.
const USUAL_ROWS: usize = 1_000;

/// How long a query waits to learn whether its tables are behind.
const BEHIND_PATIENCE: Duration = Duration::from_secs(2);

/// Show the result of a SQL query
///
/// The database is that of the deck, or the one that `TAPEDECK_DATABASE_URL` names.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tapedeck query \"select symbol, max(ts_start) from ohlcv_bar group by symbol\"\n  \
    tapedeck query --format csv --limit 0 \"select * from observation\" > observation.csv\n  \
    tapedeck query --as-of 2024-05-01 \"select * from observation where series_id = 'GDP'\""
)]
pub(super) struct Arguments {
    /// A `select` statement
    sql: String,
    /// How to print the rows
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Print at most so many rows; 0: all
    #[arg(long, default_value_t = USUAL_ROWS, value_name = "ROWS")]
    limit: usize,
    #[command(flatten)]
    moment: Moment,
}

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Columns of equal width, and the number of rows
    Table,
    /// CSV with a header
    Csv,
    /// A JSON object per line; numbers keep all their digits
    Json,
    /// A table for documents
    Markdown,
}

/// Prints the rows that the query finds.
pub(super) async fn run(arguments: &Arguments, folder: &Folder) -> anyhow::Result<()> {
    let limit = if arguments.limit == 0 { usize::MAX } else { arguments.limit };
    let database = Database::from_settings()?;
    let found = match arguments.moment.cut() {
        Some(cut) => database.query_as_of(&arguments.sql, limit, &cut).await,
        None => database.query_some(&arguments.sql, limit).await,
    };
    let found = found.map_err(advised)?;
    print(&match arguments.format {
        Format::Table => table(&found),
        Format::Csv => csv(&found)?,
        Format::Json => json(&found)?,
        Format::Markdown => markdown(&found),
    })?;
    if found.is_cut {
        eprintln!("only the first {limit} rows are shown: `--limit 0` shows all");
    }
    if found.rows.is_empty() && arguments.moment.cut().is_some() {
        eprintln!("no rows: of what the query asks for, nothing was known at that moment");
    }
    if folder.is_running() {
        warn_if_behind(&arguments.sql).await;
    }
    Ok(())
}

/// Adds where to look when a name is wrong.
fn advised(error: StoreError) -> anyhow::Error {
    let text = error.to_string();
    let is_unknown = ["no such table", "no such column", "does not exist"].iter().any(|words| text.contains(words));
    if is_unknown {
        anyhow!("{text}; `tapedeck tables` and `tapedeck describe TABLE` list the names")
    } else {
        error.into()
    }
}

/// While a deck loads, the latest row of a table is not the latest record.
async fn warn_if_behind(sql: &str) {
    let found = async { Meter::start(Cluster::from_settings()?, Database::from_settings()?).await?.waiting().await };
    // An answer without this note is better than none.
    let Ok(Ok(waiting)) = tokio::time::timeout(BEHIND_PATIENCE, found).await else { return };
    for (dataset, records) in waiting.iter().filter(|(dataset, _)| sql.contains(**dataset)) {
        eprintln!("`{dataset}` is behind: {records} records of its topic are not stored yet");
    }
}

/// A value on one line.
fn flat(value: Option<&String>) -> String {
    let flat = |letter: char| if letter.is_control() { ' ' } else { letter };
    value.map(|text| text.chars().map(flat).collect()).unwrap_or_default()
}

/// Rows as columns of equal width. Numbers are on the right.
pub(super) fn table(found: &Found) -> String {
    let rows: Vec<Vec<String>> =
        found.rows.iter().map(|row| row.iter().map(|value| flat(value.as_ref())).collect()).collect();
    let lines = || std::iter::once(&found.columns).chain(&rows);
    let width = |at: usize| lines().filter_map(|line| line.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..found.columns.len()).map(|at| width(at).unwrap_or_default()).collect();
    let line = |cells: &Vec<String>| {
        let padded = cells.iter().zip(&widths).enumerate().map(|(at, (cell, width))| {
            if found.texts.contains(&at) || rows.is_empty() {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    let count = if rows.len() == 1 { "1 row".to_owned() } else { format!("{} rows", rows.len()) };
    format!("{}({count}{})\n", lines().map(line).collect::<String>(), if found.is_cut { ", and more" } else { "" })
}

fn csv(found: &Found) -> anyhow::Result<String> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(&found.columns)?;
    for row in &found.rows {
        writer.write_record(row.iter().map(|value| value.as_deref().unwrap_or_default()))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

pub(super) fn json(found: &Found) -> anyhow::Result<String> {
    let mut text = String::new();
    for row in &found.rows {
        let value = |(at, value): (usize, &Option<String>)| -> anyhow::Result<String> {
            Ok(match value {
                None => "null".to_owned(),
                // SQLite writes infinity and a few other numbers in a way that is no JSON.
                Some(number) if !found.texts.contains(&at) && serde_json::from_str::<&RawValue>(number).is_ok() => {
                    number.clone()
                }
                Some(text) => serde_json::to_string(text)?,
            })
        };
        let values = row.iter().enumerate().map(value).collect::<anyhow::Result<Vec<_>>>()?;
        let names = found.columns.iter().map(serde_json::to_string).collect::<serde_json::Result<Vec<_>>>()?;
        let pairs: Vec<String> = names.iter().zip(&values).map(|(name, value)| format!("{name}:{value}")).collect();
        text.push_str(&format!("{{{}}}\n", pairs.join(",")));
    }
    Ok(text)
}

fn markdown(found: &Found) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let cell = |value: &Option<String>| flat(value.as_ref()).replace('|', "\\|");
    let rule = |at: usize| if found.texts.contains(&at) { "---" } else { "--:" }.to_owned();
    let mut text = line(found.columns.clone());
    text.push_str(&line((0..found.columns.len()).map(rule).collect()));
    text.extend(found.rows.iter().map(|row| line(row.iter().map(cell).collect())));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Found {
        let text = |text: &str| Some(text.to_owned());
        Found {
            columns: vec!["name".to_owned(), "price".to_owned()],
            texts: [0].into(),
            rows: vec![vec![text("a|b, \"c\"\nd"), text("12345678901234567.890")], vec![None, text("1")]],
            is_cut: false,
        }
    }

    #[test]
    fn every_format_shows_whole_values_and_exact_numbers() {
        assert_eq!(
            table(&found()),
            "name                        price\na|b, \"c\" d  12345678901234567.890\n                                1\n(2 rows)\n"
        );
        assert_eq!(csv(&found()).unwrap(), "name,price\n\"a|b, \"\"c\"\"\nd\",12345678901234567.890\n,1\n");
        assert_eq!(
            json(&found()).unwrap(),
            "{\"name\":\"a|b, \\\"c\\\"\\nd\",\"price\":12345678901234567.890}\n{\"name\":null,\"price\":1}\n"
        );
        assert_eq!(
            markdown(&found()),
            "| name | price |\n| --- | --: |\n| a\\|b, \"c\" d | 12345678901234567.890 |\n|  | 1 |\n"
        );
    }

    #[test]
    fn a_cut_result_and_an_empty_one_are_named() {
        assert!(table(&Found { is_cut: true, ..found() }).ends_with("(2 rows, and more)\n"));
        let empty = Found { rows: Vec::new(), ..found() };
        assert_eq!(table(&empty), "name  price\n(0 rows)\n");
        assert_eq!(json(&empty).unwrap(), "");
    }
}
