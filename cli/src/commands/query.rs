//! `tapedeck query`: shows data as a table, without a database client.

use std::io::{self, Write as _};
use std::path::PathBuf;

use service::settings;
use store::{Database, Found};

use crate::data_dir;

/// Longest text shown in a column.
const MAX_WIDTH: usize = 60;

/// Show the result of a SQL query as a table
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: tapedeck query \"select symbol, max(ts_start) from ohlcv_bar group by symbol\"")]
pub struct Arguments {
    /// A `select` statement
    sql: String,
    /// Data folder; ignored when `TAPEDECK_DATABASE_URL` names a database
    #[arg(long, default_value = data_dir::DEFAULT)]
    data_dir: PathBuf,
}

/// Prints the rows that the query finds.
pub async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let database = match settings::read_secret(&settings::DATABASE_URL)? {
        Some(address) => Database::new(address.expose())?,
        None => Database::new(&data_dir::sqlite_address(&arguments.data_dir))?,
    };
    let found = database.query(&arguments.sql).await?;
    match write!(io::stdout().lock(), "{}", table(&found)) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

fn table(found: &Found) -> String {
    let shown = |value: &Option<String>| match value {
        None => String::new(),
        Some(text) => {
            text.chars().take(MAX_WIDTH).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
        }
    };
    let rows: Vec<Vec<String>> = found.rows.iter().map(|row| row.iter().map(shown).collect()).collect();
    let width = |at: usize| {
        let longest = rows.iter().map(|row| row[at].chars().count()).max().unwrap_or_default();
        longest.max(found.columns[at].chars().count())
    };
    let widths: Vec<usize> = (0..found.columns.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let head = if found.columns.is_empty() { String::new() } else { line(&found.columns) };
    let body: String = rows.iter().map(|row| line(row)).collect();
    format!("{head}{body}({} rows)\n", rows.len())
}
