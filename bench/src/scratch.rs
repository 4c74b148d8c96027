//! A database of a benchmark's own, beside the one that the environment names.

use anyhow::Context as _;
use store::Database;

/// Makes an empty database of that name on the same server, or in the same folder.
pub(crate) async fn create(beside: &Database, name: &str) -> anyhow::Result<Database> {
    let address = beside.address().expose();
    let (path, parameters) = address.split_once('?').unwrap_or((address, ""));
    let (parent, _) = path.rsplit_once(['/', ':']).unwrap_or((path, ""));
    if is_file(beside) {
        return Database::new(&format!("{parent}/{name}.db"));
    }
    beside.store("bench").rows(format!("create database {name}"), &[]).await?;
    let separator = if parameters.is_empty() { "" } else { "?" };
    Database::new(&format!("{parent}/{name}{separator}{parameters}"))
}

/// Removes a database that [`create`] made beside another one.
pub(crate) async fn remove(database: &Database, beside: &Database, name: &str) -> anyhow::Result<()> {
    if !is_file(database) {
        beside.store("bench").rows(format!("drop database {name} with (force)"), &[]).await?;
        return Ok(());
    }
    let path = database.address().expose().trim_start_matches("sqlite:").to_owned();
    for ending in ["", "-wal", "-shm"] {
        // Of the three, the last two are there only sometimes.
        let _ = std::fs::remove_file(format!("{path}{ending}"));
    }
    Ok(())
}

/// Bytes of a table and its indexes with PostgreSQL, of the whole file with SQLite.
pub(crate) async fn size(database: &Database, table: &str) -> anyhow::Result<f64> {
    let query = if is_file(database) {
        "select page_count * page_size from pragma_page_count(), pragma_page_size()".to_owned()
    } else {
        format!("select pg_total_relation_size('{table}')")
    };
    Ok(number(database, &query).await? as f64)
}

/// A single number from the database.
pub(crate) async fn number(database: &Database, query: &str) -> anyhow::Result<i64> {
    let query = format!("select cast(({query}) as text)");
    let found = database.store("bench").rows(query, &[]).await?;
    Ok(found.into_iter().flatten().flatten().next().context("no number")?.parse()?)
}

pub(crate) fn is_file(database: &Database) -> bool {
    database.address().expose().starts_with("sqlite:")
}
