//! `consumer migrate`: the database's tables, forward or back.

use std::fmt::Write as _;

use anyhow::bail;
use service::settings;
use store::{Database, MigrationStatus, Progress, Reversion};

use super::print;

mod layout;
mod policies;

/// What to do with the roles.
const ROLES: &str =
    "the roles have their rights: give them to the users that log in, e.g. `grant tapedeck_sink to LOGIN`\n";

/// What to do; without a word: `up`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do with the migrations.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Apply the missing migrations; waits for locks without keeping others waiting
    Up {
        /// Stop after this migration
        #[arg(long, value_name = "NUMBER")]
        to: Option<i64>,
        /// Change nothing; show what it would do
        #[arg(long)]
        dry_run: bool,
    },
    /// Compress chunks that got old, or remove them with their rows; for TimescaleDB's community edition
    ///
    /// Example: consumer migrate policies option_quote --compress-after 30 --retain 730 --dry-run
    Policies(policies::Arguments),
    /// Revert migrations; a dropped table is filled again from its topic after the next `up`
    Down {
        /// Revert all migrations after this one; 0 removes all tables
        #[arg(long, value_name = "NUMBER")]
        to: i64,
        /// Change nothing; show what it would destroy
        #[arg(long)]
        dry_run: bool,
        /// Destroy what `--dry-run` shows
        #[arg(long, conflicts_with = "dry_run")]
        yes: bool,
    },
    /// Create roles with no more rights than they need: `tapedeck_owner`, `_sink`, `_api`, `_reader`; can be repeated
    Roles,
    /// List the migrations that the database has, and how TimescaleDB holds the tables
    Status,
    /// Print a script that migrates, for `psql` or `sqlite3`; needs no database
    Sql {
        /// Migration at which the script ends; the newest when none is given
        #[arg(long, value_name = "NUMBER")]
        to: Option<i64>,
        /// Migration that the database has already; above `--to` the script goes back
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        from: i64,
        /// Kind of the database; that of `TAPEDECK_DATABASE_URL` when none is given
        #[arg(long, value_parser = ["postgres", "sqlite"])]
        database: Option<String>,
    },
}

impl Arguments {
    /// Whether it needs a database, or at least its address.
    pub(super) fn needs_database(&self) -> bool {
        !matches!(self.command, Some(Command::Sql { .. }))
    }
}

/// Migrates the database that the environment names.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command.unwrap_or(Command::Up { to: None, dry_run: false }) {
        Command::Up { to, dry_run: false } => Database::from_settings()?.migrate_to(to, &say).await?,
        Command::Up { to, dry_run: true } => {
            let database = Database::from_settings()?;
            let status = database.migration_status().await?;
            print(&planned(&status, to, &layout::conversions(&database).await?))?;
        }
        Command::Policies(arguments) => policies::run(&Database::from_settings()?, arguments).await?,
        Command::Down { to, dry_run, yes } => down(&Database::from_settings()?, to, dry_run, yes).await?,
        Command::Roles => {
            Database::from_settings()?.grant_roles(&say).await?;
            print(ROLES)?;
        }
        Command::Status => {
            let database = Database::from_settings()?;
            print(&listed(&database.migration_status().await?, &layout::shown(&database).await?))?;
        }
        Command::Sql { to, from, database } => print(&kind(database.as_deref())?.migration_script(from, to)?)?,
    }
    Ok(())
}

/// Reports the progress of a command.
fn say(progress: &Progress) {
    eprintln!("{progress}");
}

/// Reports the progress of a daemon.
pub(super) fn log(progress: &Progress) {
    match progress {
        Progress::Done(line) => tracing::info!("{line}"),
        Progress::Slow(line) => tracing::warn!("{line}"),
    }
}

/// A database of that kind, for what needs no connection.
fn kind(name: Option<&str>) -> anyhow::Result<Database> {
    match name {
        Some(name) => Database::new(&format!("{name}:")),
        None if settings::read_secret(&settings::DATABASE_URL)?.is_none() => {
            bail!("which database is the script for? add `--database postgres` or `--database sqlite`")
        }
        None => Database::from_settings(),
    }
}

async fn down(database: &Database, to: i64, dry_run: bool, yes: bool) -> anyhow::Result<()> {
    if !yes {
        let reversions = database.reversions(to).await?;
        print(&destroyed(&reversions))?;
        if dry_run {
            return Ok(());
        }
        if reversions.iter().any(|reversion| !reversion.losses.is_empty()) {
            bail!("this destroys data: add `--yes` to do it; nothing was changed");
        }
    }
    Ok(database.migrate_down(to, &say).await?)
}

/// One line per migration that is reverted, and one per loss.
fn destroyed(reversions: &[Reversion]) -> String {
    let mut text = String::new();
    for Reversion { version, description, losses } in reversions {
        let _ = writeln!(text, "reverts migration {version} `{description}`");
        for (loss, rows) in losses {
            let rows = rows.map(|rows| format!(" with {rows} rows")).unwrap_or_default();
            let _ = writeln!(text, "  {loss}{rows}");
        }
    }
    if text.is_empty() { "nothing to revert\n".to_owned() } else { text }
}

/// One line per migration that is missing, and per table that changes. Tables are arranged only after the last migration.
fn planned(migrations: &[MigrationStatus], to: Option<i64>, conversions: &str) -> String {
    let is_wanted = |version: i64| to.is_none_or(|to| version <= to);
    let missing = || migrations.iter().filter(|migration| migration.applied_at.is_none());
    let mut text = String::new();
    for MigrationStatus { version, description, .. } in missing().filter(|migration| is_wanted(migration.version)) {
        let _ = writeln!(text, "applies migration {version} `{description}`");
    }
    if missing().all(|migration| is_wanted(migration.version)) {
        text += conversions;
    }
    if text.is_empty() { "nothing to do\n".to_owned() } else { text }
}

/// One line per migration, then the tables' layout.
fn listed(migrations: &[MigrationStatus], layout: &str) -> String {
    let mut text = String::new();
    for MigrationStatus { version, description, applied_at, is_known } in migrations {
        let state = match applied_at {
            None => "missing".to_owned(),
            Some(time) if *is_known => format!("applied {time}"),
            Some(time) => format!("applied {time} by a newer executable"),
        };
        let _ = writeln!(text, "{version:>4}  {description:<12}  {state}");
    }
    let missing = migrations.iter().filter(|migration| migration.applied_at.is_none()).count();
    text + layout
        + &match missing {
            0 => "the tables are up to date\n".to_owned(),
            _ => format!("{missing} missing: apply with `migrate up`\n"),
        }
}
