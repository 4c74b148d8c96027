//! SQLite's statements for a dataset's rows, derived from its declaration.

use std::fmt::Write as _;

use contract::{Dataset, Kind};

use crate::sql::{CONTENT_HASH, UPDATED_AT, joined, key, newer, same_key, updates, version, written};

/// SQLite's type of a kind, in a strict table.
pub(super) fn sql_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Date | Kind::Timestamp | Kind::TextList | Kind::Json => "TEXT",
        // A double, or the text of a decimal that no double keeps.
        Kind::Decimal => "ANY",
        Kind::Long => "INTEGER",
        Kind::Double => "REAL",
        Kind::Bytes => "BLOB",
    }
}

/// Finds which of `count` rows the upsert would write, from their keys and versions alone.
///
/// Parameters per row: its place, the key's fields, the version. Returns one text, `place:hash of the stored row,place:,..`,
/// with no hash where no row is stored; null if there is none to write. sqlx passes each row of an answer from thread to
/// thread, which took as long as the writing.
pub(super) fn newer_rows(dataset: &Dataset, table: &str, count: usize) -> String {
    let names: Vec<&str> = dataset.key.iter().map(|at| dataset.fields[*at].name.as_str()).collect();
    let version = version(dataset);
    format!(
        "with incoming(place, {names}, {version}) as (values {values}) \
         select group_concat(incoming.place || ':' || ifnull(stored.{CONTENT_HASH}, '')) from incoming \
         left join {table} as stored on {same_key} \
         where stored.{CONTENT_HASH} is null or {newer}",
        values = values(1 + names.len() + 3, count),
        same_key = same_key(dataset),
        names = names.join(", "),
        version = version.join(", "),
        newer = newer(dataset, "incoming", "stored"),
    )
}

/// Upserts `count` rows. Parameters per row: all fields of the dataset, the content hash, whether deleted, the
/// time of the write.
pub(super) fn upsert(dataset: &Dataset, table: &str, count: usize) -> String {
    let mut names = written(dataset);
    names.push(UPDATED_AT.to_owned());
    format!(
        "insert into {table} ({columns}) values {values} on conflict ({key}) do update set {updates}, \
         {UPDATED_AT} = excluded.{UPDATED_AT} where {newer}",
        columns = names.join(", "),
        values = values(names.len(), count),
        key = key(dataset),
        updates = updates(dataset),
        newer = newer(dataset, "excluded", table),
    )
}

fn values(width: usize, count: usize) -> String {
    let row = format!("({})", joined(std::iter::repeat_n("?".to_owned(), width)));
    let mut all = String::with_capacity((row.len() + 1) * count);
    for at in 0..count {
        write!(all, "{}{row}", if at == 0 { "" } else { "," }).expect("writing to a string cannot fail");
    }
    all
}
