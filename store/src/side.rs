//! Side tables: tables with the columns of a dataset's own table. A replay fills them, compares them with the live
//! table and exchanges their rows.

use std::collections::BTreeMap;

use contract::{Dataset, datasets};

use crate::chunk::Target;
use crate::migrations;
use crate::outcome::StoreError;
use crate::sql::{CONTENT_HASH, DELETED, PLACE, UPDATED_AT, revision};
use crate::store::Store;

mod exchange;

pub use exchange::{Exchanged, exchange};

/// Longest name of a side table: PostgreSQL truncates names to 63 bytes, and the names of its indexes are longer.
const MAX_NAME_BYTES: usize = 48;
/// Number of example keys per kind of difference.
const EXAMPLES: usize = 10;

/// How a side table differs from the live table.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// Keys that only the side table has.
    pub added: u64,
    /// Keys that only the live table has.
    pub vanished: u64,
    /// Keys that both have, with other values or deleted in one of them.
    pub changed: u64,
    /// Keys that both have with the same values under another version.
    pub version_only: u64,
    /// The number of changed keys per column; columns without a difference are left out.
    pub by_column: Vec<(String, u64)>,
    /// Example keys: (`added`, `vanished` or `changed`, the key's fields joined by `|`).
    pub examples: Vec<(String, String)>,
}

/// Checks that a name is free for a side table.
pub fn check_name(table: &str) -> Result<(), StoreError> {
    let mut characters = table.chars();
    let shaped = characters.next().is_some_and(|first| first.is_ascii_lowercase())
        && characters.all(|rest| rest.is_ascii_lowercase() || rest.is_ascii_digit() || rest == '_')
        && table.len() <= MAX_NAME_BYTES;
    let ours = ["sink_", "dead_letter_", "replay_run", "content_hash_", "_sqlx"];
    if !shaped
        || datasets().iter().any(|dataset| dataset.name == table)
        || ours.iter().any(|ours| table.starts_with(ours))
        || table.ends_with("_revision")
        || migrations::view_names().iter().any(|view| view == table)
    {
        return Err(StoreError::Halt(format!(
            "`{table}` cannot be a side table: a name of lower-case letters, digits and `_`, at most {MAX_NAME_BYTES} \
             long, that does not end with `_revision` and is not one of tapedeck's own tables or views"
        )));
    }
    Ok(())
}

/// Creates an empty side table; false when a table of that name exists.
///
/// A temporary table belongs to the store's connection and is dropped with it.
pub async fn create(
    store: &mut dyn Store,
    dataset: &Dataset,
    table: &str,
    temporary: bool,
) -> Result<bool, StoreError> {
    check_name(table)?;
    if !temporary && exists(store, table).await? {
        return match exists(store, &revision(table)).await? {
            true => Ok(false),
            false => Err(StoreError::Halt(format!(
                "side table `{table}` has no `{}`, because an earlier version of tapedeck made it: add `--restart`",
                revision(table)
            ))),
        };
    }
    let kind = if temporary { "temporary table" } else { "table" };
    let tables = store.tables();
    tables.create(store, (&dataset.name, table), kind).await?;
    tables.create(store, (&revision(&dataset.name), &revision(table)), kind).await?;
    Ok(true)
}

/// Whether a table of that name exists.
pub async fn exists(store: &mut dyn Store, table: &str) -> Result<bool, StoreError> {
    let query = store.syntax().table_exists.to_owned();
    Ok(!store.rows(query, &[table]).await?.is_empty())
}

/// Drops a side table, if it exists, and forgets the replays into it; whether it existed.
///
/// # Errors
///
/// [`StoreError::Halt`] if the table was not made by a replay.
pub async fn remove(store: &mut dyn Store, table: &str) -> Result<bool, StoreError> {
    check_name(table)?;
    let (exists, runs) = (exists(store, table).await?, runs_into(store, table).await?);
    if exists && runs.is_empty() {
        let reason = format!("table `{table}` was not made by a replay: drop it yourself, or choose another name");
        return Err(StoreError::Halt(reason));
    }
    store.rows("begin".to_owned(), &[]).await?;
    for sink in &runs {
        remove_run(store, sink).await?;
    }
    for table in [revision(table), table.to_owned()] {
        store.rows(format!("drop table if exists {table}"), &[]).await?;
    }
    store.rows("commit".to_owned(), &[]).await?;
    Ok(exists)
}

/// Number of rows of a side table; None if there is no such table.
pub async fn count(store: &mut dyn Store, table: &str) -> Result<Option<u64>, StoreError> {
    check_name(table)?;
    if !exists(store, table).await? {
        return Ok(None);
    }
    let rows = store.rows(format!("select cast(count(*) as text) from {table}"), &[]).await?;
    Ok(rows.into_iter().flatten().flatten().next().and_then(|count| count.parse().ok()))
}

/// Compares a side table with the live table. With `newer` it counts only what an upsert of the side table's rows into
/// the live table would change.
pub async fn compare(store: &mut dyn Store, target: &Target, newer: bool) -> Result<Difference, StoreError> {
    let dataset = target.dataset;
    // Comparing large tables can take hours.
    if let Some(no_time_limit) = store.syntax().no_time_limit {
        store.rows(no_time_limit.to_owned(), &[]).await?;
    }
    let columns: Vec<&str> = dataset.values().map(|at| dataset.fields[at].name.as_str()).chain([DELETED]).collect();
    let sql = Comparison::new(dataset, &target.table, newer);
    let count = |condition: String| format!("cast(count(case when {condition} then 1 end) as text)");
    let any = columns.iter().map(|name| differs(name)).collect::<Vec<_>>().join(" or ");
    let both = &sql.both;
    let counts = [
        count(sql.added.clone()),
        count(sql.vanished.clone()),
        count(format!("{both} and ({any})")),
        count(format!("{both} and not ({any}) and {}", sql.other_version)),
    ];
    let counts = counts.into_iter().chain(columns.iter().map(|name| count(format!("{both} and {}", differs(name)))));
    let query = format!("select {} from {}", counts.collect::<Vec<_>>().join(", "), sql.joined);
    let found = store.rows(query, &[]).await?;
    let mut numbers = found.into_iter().flatten().map(|text| text.and_then(|text| text.parse().ok()).unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    let mut difference =
        Difference { added: next(), vanished: next(), changed: next(), version_only: next(), ..Difference::default() };
    let by_column = columns.iter().map(|name| ((*name).to_owned(), next())).filter(|(_, count)| *count > 0);
    difference.by_column = by_column.collect();
    for (what, condition) in
        [("added", sql.added), ("vanished", sql.vanished), ("changed", format!("{both} and ({any})"))]
    {
        let query = format!("select {} from {} where {condition} limit {EXAMPLES}", sql.key, sql.joined);
        let found = store.rows(query, &[]).await?;
        difference.examples.extend(found.into_iter().flatten().flatten().map(|key| (what.to_owned(), key)));
    }
    Ok(difference)
}

/// The condition that a column differs.
fn differs(name: &str) -> String {
    format!("side.{name} is distinct from live.{name}")
}

/// Parts of the statements that compare.
struct Comparison {
    joined: String,
    added: String,
    vanished: String,
    both: String,
    other_version: String,
    key: String,
}

impl Comparison {
    fn new(dataset: &Dataset, side: &str, newer: bool) -> Comparison {
        let names: Vec<String> = dataset.key.iter().map(|at| dataset.fields[*at].name.clone()).collect();
        let Joined { from, added, vanished, both } = Joined::new(&dataset.name, side, &names);
        let version = |table: &str| {
            let [known_at, observed_at] = dataset.version_fields.map(|at| &dataset.fields[at].name);
            format!("({table}.{known_at}, {table}.{observed_at}, {table}.{CONTENT_HASH})")
        };
        let part = |name: &String| format!("cast(coalesce(side.{name}, live.{name}) as text)");
        let (side_version, live_version) = (version("side"), version("live"));
        let later = format!("{side_version} > {live_version}");
        Comparison {
            joined: from,
            added,
            vanished: if newer { "1 = 0".to_owned() } else { vanished },
            both: if newer { format!("{both} and {later}") } else { both },
            other_version: format!("{side_version} <> {live_version}"),
            key: names.iter().map(part).collect::<Vec<_>>().join(" || '|' || "),
        }
    }
}

/// Two tables with the same key, side by side.
struct Joined {
    from: String,
    added: String,
    vanished: String,
    both: String,
}

impl Joined {
    fn new(live: &str, side: &str, key: &[String]) -> Joined {
        let same = key.iter().map(|name| format!("side.{name} = live.{name}")).collect::<Vec<_>>().join(" and ");
        Joined {
            from: format!("{side} as side full join {live} as live on {same}"),
            added: format!("live.{CONTENT_HASH} is null"),
            vanished: format!("side.{CONTENT_HASH} is null"),
            both: format!("side.{CONTENT_HASH} is not null and live.{CONTENT_HASH} is not null"),
        }
    }
}

/// The sinks of all replays into a side table, finished or not.
async fn runs_into(store: &mut dyn Store, table: &str) -> Result<Vec<String>, StoreError> {
    let rows = store.rows("select sink, parameters from replay_run".to_owned(), &[]).await?;
    let is_into = |row: &Vec<Option<String>>| {
        let parameters = row[1].as_deref().and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        parameters.is_some_and(|parameters| parameters["into"] == table)
    };
    Ok(rows.into_iter().filter(is_into).filter_map(|row| row.into_iter().next().flatten()).collect())
}

/// The sink of an unfinished replay with these parameters.
pub async fn unfinished_run(store: &mut dyn Store, parameters: &str) -> Result<Option<String>, StoreError> {
    let query = "select sink from replay_run where parameters = $1 and finished_at is null";
    Ok(store.rows(query.to_owned(), &[parameters]).await?.into_iter().flatten().flatten().next())
}

/// Of each partition of a topic the latest incarnation that a live sink has read.
pub async fn incarnations(store: &mut dyn Store, topic: &str) -> Result<BTreeMap<i32, i32>, StoreError> {
    let query = "select cast(kafka_partition as text), cast(max(kafka_incarnation) as text) from sink_position \
        where kafka_topic = $1 and sink not like '%.replay.%' group by kafka_partition";
    let rows = store.rows(query.to_owned(), &[topic]).await?;
    let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<i32>().ok());
    Ok(rows.iter().filter_map(|row| number(&row[0]).zip(number(&row[1]))).collect())
}

/// Forgets the places of rows that an executable without revisions may have replaced: it moves no place. A replay into the
/// live table sets them again.
pub async fn forget_places(store: &mut dyn Store, dataset: &Dataset, topic: &str) -> Result<(), StoreError> {
    let [incarnation, partition, offset] = PLACE;
    let update = format!(
        "update {} set {incarnation} = null, {partition} = null, {offset} = null where {offset} is not null \
         and {UPDATED_AT} <= (select max(committed_at) from sink_chunk where records_kept is null and kafka_topic = $1 \
         and sink not like '%.replay.%')",
        dataset.name
    );
    store.rows(update, &[topic]).await.map(drop)
}

/// Records that a replay into the live table has kept the versions of all records that it read: the chunks of live sinks
/// that lie within lack none any more.
pub async fn note_kept(store: &mut dyn Store, sink: &str, topic: &str) -> Result<(), StoreError> {
    let update = "update sink_chunk set records_kept = 0 where records_kept is null and kafka_topic = $1 \
        and sink not like '%.replay.%' and exists (select 1 from sink_chunk as done where done.sink = $2 \
        and done.kafka_topic = sink_chunk.kafka_topic and done.kafka_partition = sink_chunk.kafka_partition \
        group by done.sink having min(done.from_offset) <= sink_chunk.from_offset \
        and max(done.to_offset) >= sink_chunk.to_offset)";
    store.rows(update.to_owned(), &[topic, sink]).await.map(drop)
}

/// Records the start of a replay under the name of that sink.
pub async fn begin_run(store: &mut dyn Store, sink: &str, parameters: &str) -> Result<(), StoreError> {
    let now = store.syntax().now;
    let insert = format!("insert into replay_run (sink, parameters, started_at) values ($1, $2, {now})");
    store.rows(insert, &[sink, parameters]).await.map(drop)
}

/// Records that a replay is complete: from then on the same parameters start a new replay.
pub async fn finish_run(store: &mut dyn Store, sink: &str) -> Result<(), StoreError> {
    let now = store.syntax().now;
    store.rows(format!("update replay_run set finished_at = {now} where sink = $1"), &[sink]).await.map(drop)
}

/// Records that the rows of a replay's side table were exchanged: nothing can resume it.
async fn end_run(store: &mut dyn Store, sink: &str) -> Result<(), StoreError> {
    finish_run(store, sink).await?;
    store.rows("delete from sink_position where sink = $1".to_owned(), &[sink]).await.map(drop)
}

/// Deletes a replay and its positions.
pub async fn remove_run(store: &mut dyn Store, sink: &str) -> Result<(), StoreError> {
    store.rows("delete from replay_run where sink = $1".to_owned(), &[sink]).await?;
    store.rows("delete from sink_position where sink = $1".to_owned(), &[sink]).await.map(drop)
}
