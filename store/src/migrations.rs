//! The migrations of both databases, compiled in from the folder `migrations/`.

use std::borrow::Cow;

use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// A file of migrations, e.g. `0001_spine.up.sql`.
#[derive(Debug)]
pub(crate) struct File {
    name: &'static str,
    sql: &'static str,
}

// The constants POSTGRES and SQLITE, from `build.rs`.
include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// The migrations in these files, as sqlx would read them from their folder.
pub(crate) fn migrator(files: &'static [File]) -> Migrator {
    Migrator::with_migrations(files.iter().filter_map(migration).collect())
}

/// None for a file that is no migration.
fn migration(file: &File) -> Option<Migration> {
    let (version, rest) = file.name.split_once('_')?;
    let kind = MigrationType::from_filename(file.name);
    let description = rest.strip_suffix(kind.suffix())?.replace('_', " ");
    let sql = SqlStr::from_static(file.sql);
    let no_transaction = file.sql.starts_with("-- no-transaction");
    Some(Migration::new(version.parse().ok()?, Cow::Owned(description), kind, sql, no_transaction))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The database keeps each migration's checksum and refuses another one.
    #[tokio::test]
    async fn the_migrations_are_those_that_sqlx_reads_from_the_folder() {
        for (database, files) in [("postgres", POSTGRES), ("sqlite", SQLITE)] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations").join(database);
            let read = Migrator::new(folder.as_path()).await.unwrap();
            let parts = |migrator: &Migrator| -> Vec<_> {
                let parts = |m: &Migration| {
                    let kind = format!("{:?}", m.migration_type);
                    (
                        m.version,
                        m.description.to_string(),
                        kind,
                        m.sql.as_str().to_owned(),
                        m.checksum.to_vec(),
                        m.no_tx,
                    )
                };
                migrator.iter().map(parts).collect()
            };
            assert_eq!(parts(&migrator(files)), parts(&read));
            assert_eq!(files.len(), read.iter().count());
        }
    }
}
