//! The migrations of both databases, compiled in from the folder `migrations/`.
//!
//! Pure: texts in, texts out. The databases run them in `postgres/migrate.rs` and `sqlite/migrate.rs`.

use std::borrow::Cow;
use std::path::Path;

use sqlx::AssertSqlSafe;
use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration as File, MigrationType};

mod losses;
mod progress;
#[cfg(test)]
mod rules;
mod statements;

pub use losses::Loss;
pub use progress::{Progress, Report};
use statements::views;
pub(crate) use statements::{Index, View, index_of, is_gentle, per_chunk, routines, split};

/// The table in which sqlx keeps what was applied.
pub(crate) const TABLE: &str = "_sqlx_migrations";
/// A migration whose name begins so takes away what an older executable uses.
const CONTRACTING: &str = "contract ";
/// First line of a file whose statements commit one by one.
const NO_TRANSACTION: &str = "-- no-transaction";

// The constants POSTGRES and SQLITE, from `build.rs`: pairs of a file's name and text.
include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// The SQL of one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    /// The text of the file.
    pub(crate) sql: String,
    /// What sqlx keeps of the file.
    pub(crate) checksum: Vec<u8>,
    /// Whether it runs in one transaction. Otherwise each statement commits by itself, and can run twice.
    pub(crate) in_transaction: bool,
}

/// A migration, up and down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Migration {
    pub(crate) version: i64,
    pub(crate) description: String,
    pub(crate) up: Script,
    pub(crate) down: Option<Script>,
    /// Tables that it and earlier migrations create.
    tables: Vec<String>,
}

impl Migration {
    /// How messages name it.
    pub(crate) fn shown(&self) -> String {
        shown(self.version, &self.description)
    }

    /// Records that it was applied, in the transaction that applies it. `checksum` makes bytes of hexadecimal digits.
    pub(crate) fn record(&self, checksum: fn(&str) -> String) -> String {
        let digits: String = self.up.checksum.iter().map(|byte| format!("{byte:02x}")).collect();
        format!(
            "insert into {TABLE} (version, description, success, checksum, execution_time) \
             values ({}, '{}', true, {}, -1)",
            self.version,
            self.description.replace('\'', "''"),
            checksum(&digits)
        )
    }

    /// Forgets that it was applied.
    pub(crate) fn unrecord(&self) -> String {
        format!("delete from {TABLE} where version = {}", self.version)
    }

    /// What going below this migration destroys.
    pub(crate) fn losses(&self) -> Vec<Loss> {
        self.down.as_ref().map(|down| losses::of(&down.sql)).unwrap_or_default()
    }

    /// What going below this migration destroys, as comments of a script.
    pub(crate) fn warning(&self) -> String {
        self.losses().iter().map(|loss| format!("\n-- {loss}")).chain(["\n".to_owned()]).collect()
    }

    /// The statements that forget what was read into the tables that going below this migration drops.
    pub(crate) fn forget(&self) -> Vec<String> {
        losses::forget(&self.losses(), &self.tables)
    }
}

/// The names of the tables and views that migrations create.
pub(crate) fn objects(migrations: &[Migration]) -> Vec<String> {
    let tables = migrations.last().map(|last| last.tables.clone()).unwrap_or_default();
    tables.into_iter().chain(views_of(migrations).into_iter().map(|view| view.name)).collect()
}

/// The views that migrations create, in their order. A later migration may define one of them anew.
pub(crate) fn views_of(migrations: &[Migration]) -> Vec<View> {
    let mut all: Vec<View> = Vec::new();
    for view in migrations.iter().flat_map(|one| views(&one.up.sql)) {
        if all.iter().all(|other| other.name != view.name) {
            all.push(view);
        }
    }
    all
}

/// How messages name a migration.
pub(crate) fn shown(version: i64, description: &str) -> String {
    format!("migration {version} `{description}`")
}

/// Whether an older executable cannot work with the tables of this migration.
pub(crate) fn is_contracting(description: &str) -> bool {
    description.starts_with(CONTRACTING)
}

/// The migrations in these files, by version. A file that is no migration is left out.
pub(crate) fn of_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<Migration> {
    let (downs, mut ups): (Vec<File>, Vec<File>) = files
        .into_iter()
        .filter_map(|(name, sql)| file(name, sql))
        .partition(|file| file.migration_type.is_down_migration());
    ups.sort_by_key(|file| file.version);
    let mut tables = Vec::new();
    let migration = |up: File| {
        tables.extend(losses::created(up.sql.as_str()));
        Migration {
            version: up.version,
            description: up.description.to_string(),
            down: downs.iter().find(|down| down.version == up.version).map(script),
            up: script(&up),
            tables: tables.clone(),
        }
    };
    ups.into_iter().map(migration).collect()
}

/// The names of the views that the migrations of either database create.
pub(crate) fn view_names() -> Vec<String> {
    POSTGRES.iter().chain(SQLITE).flat_map(|(_, sql)| views(sql)).map(|view| view.name).collect()
}

/// The migrations in a folder.
pub(crate) fn of_folder(folder: &Path) -> std::io::Result<Vec<Migration>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        files.push((entry.file_name().to_string_lossy().into_owned(), std::fs::read_to_string(entry.path())?));
    }
    Ok(of_files(files.iter().map(|(name, sql)| (name.as_str(), sql.as_str()))))
}

/// A file as sqlx would read it from its folder; None when it is no migration.
fn file(name: &str, sql: &str) -> Option<File> {
    let (version, rest) = name.split_once('_')?;
    let kind = MigrationType::from_filename(name);
    let description = rest.strip_suffix(kind.suffix())?.replace('_', " ");
    let text = AssertSqlSafe(sql.to_owned()).into_sql_str();
    Some(File::new(version.parse().ok()?, Cow::Owned(description), kind, text, sql.starts_with(NO_TRANSACTION)))
}

fn script(file: &File) -> Script {
    Script { sql: file.sql.as_str().to_owned(), checksum: file.checksum.to_vec(), in_transaction: !file.no_tx }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sqlx::migrate::Migrator;

    use super::*;

    /// The database keeps each migration's checksum and refuses another one.
    #[tokio::test]
    async fn the_migrations_are_those_that_sqlx_reads_from_the_folder() {
        for (database, files) in [("postgres", POSTGRES), ("sqlite", SQLITE)] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations").join(database);
            let read = Migrator::new(folder.as_path()).await.unwrap();
            let migrations = of_files(files.iter().copied());
            assert_eq!(migrations, of_folder(&folder).unwrap());
            let parts =
                |version: i64, description: &str, script: &Script| (version, description.to_owned(), script.clone());
            let ours = migrations.iter().flat_map(|one| {
                let part = |script| parts(one.version, &one.description, script);
                [Some(part(&one.up)), one.down.as_ref().map(part)].into_iter().flatten()
            });
            let theirs = read.iter().map(|file| parts(file.version, &file.description, &script(file)));
            let (mut ours, mut theirs): (Vec<_>, Vec<_>) = (ours.collect(), theirs.collect());
            let order = |one: &(i64, String, Script)| (one.0, one.2.sql.clone());
            ours.sort_by_key(order);
            theirs.sort_by_key(order);
            assert_eq!(ours, theirs);
            assert_eq!(files.len(), ours.len());
            assert!(migrations.iter().all(|one| one.down.is_some()), "each can be reverted");
        }
    }
}
