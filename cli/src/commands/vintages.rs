//! `tapedeck vintages`: the releases of an economic series, and the matrix of its vintages.

use anyhow::ensure;
use chrono::NaiveDate;
use store::Database;
use store::releases::{Series, Which};

use super::print;
use super::query::{json, table};

/// Show the releases of an economic series: first prints, revisions, the matrix of its vintages
///
/// A release is a value that was published for an observation date; a vintage is a day on which values were published.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tapedeck vintages GDP --first\n  tapedeck vintages GDP --release 2 --from 2025-01-01\n  \
    tapedeck vintages GDP --matrix --from 2025-01-01"
)]
pub(super) struct Arguments {
    /// The series, e.g. `GDP`
    series: String,
    /// Show the first value that was published for each observation date
    #[arg(long, group = "which")]
    first: bool,
    /// Show the value of the last vintage
    #[arg(long, group = "which")]
    latest: bool,
    /// Show the N-th value that was published
    #[arg(long, group = "which", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    release: Option<u32>,
    /// Show what was published on each day with a vintage: a column per day
    #[arg(long, group = "which")]
    matrix: bool,
    /// The first observation date
    #[arg(long, value_name = "DAY")]
    from: Option<NaiveDate>,
    /// The last observation date
    #[arg(long, value_name = "DAY")]
    to: Option<NaiveDate>,
    /// Print a JSON object per row
    #[arg(long)]
    json: bool,
}

/// Prints them.
pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { series, from, to, .. } = arguments;
    ensure!(from.zip(*to).is_none_or(|(from, to)| from <= to), "`--from` is after `--to`");
    let series = Series { id: series.clone(), from: *from, to: *to };
    let database = Database::from_settings()?;
    let found = if arguments.matrix {
        database.vintage_matrix(&series).await?
    } else {
        let which = match (arguments.release, arguments.first, arguments.latest) {
            (Some(number), ..) => Which::Number(number),
            (_, true, _) => Which::Number(1),
            (_, _, true) => Which::Latest,
            _ => Which::All,
        };
        database.releases(&series, which).await?
    };
    print(&if arguments.json { json(&found)? } else { table(&found) })
}
