//! `consumer refresh`: materialized views that show what the tables hold now.

use std::fmt::Write as _;

use store::Database;

use super::print;

/// Which views.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: consumer refresh latest_price\nSQLite computes every view when it is read, and needs no refresh."
)]
pub struct Arguments {
    /// Views to refresh; all when none is named
    #[arg(value_name = "VIEW")]
    views: Vec<String>,
}

/// Refreshes the views of the database that the environment names.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let refreshed = Database::from_settings()?.refresh(&arguments.views).await?;
    let mut text = String::new();
    for view in &refreshed {
        let _ = writeln!(text, "refreshed `{}` in {:.1} s", view.view, view.duration.as_secs_f32());
    }
    if refreshed.is_empty() {
        text.push_str("nothing to refresh: these views show the tables as they are\n");
    }
    print(&text)
}
