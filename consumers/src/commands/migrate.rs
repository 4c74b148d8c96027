//! `consumer migrate`: the database's tables, forward or back.

use store::Database;

/// Where to migrate to.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Migrate back to this migration; 0 removes all tables with their data
    #[arg(long, value_name = "NUMBER")]
    down_to: Option<i64>,
}

/// Migrates the database that the environment names.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let database = Database::from_settings()?;
    match arguments.down_to {
        None => database.migrate().await?,
        Some(number) => database.migrate_down(number).await?,
    }
    Ok(())
}
