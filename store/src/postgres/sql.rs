//! PostgreSQL's statements for a dataset's rows, derived from its declaration.

use contract::{Dataset, Kind};

use crate::sql::{CONTENT_HASH, DELETED, UPDATED_AT, joined, key, newer, same_key, updates, written};

/// PostgreSQL's type of a kind.
pub(super) fn sql_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Long => "bigint",
        Kind::Double => "double precision",
        Kind::Date => "date",
        Kind::Timestamp => "timestamp with time zone",
        Kind::Decimal => "numeric",
        Kind::Json => "jsonb",
        Kind::Bytes => "bytea",
        Kind::TextList => "text[]",
    }
}

/// Upserts rows, one array per column; returns how many were new, changed, unchanged and written.
///
/// Parameters: one array per field of the dataset (a list as JSON), the content hashes, whether deleted. A dataset with
/// a time adds the least and the greatest time, so that a hypertable reads only the chunks between. The rows must be
/// folded: one per key.
pub(super) fn upsert(dataset: &Dataset, table: &str) -> String {
    let names = written(dataset);
    let elements = dataset.fields.iter().map(|field| element_type(field.kind)).chain(["bigint", "boolean"]);
    let arrays = elements.enumerate().map(|(at, element)| format!("${}::{element}[]", at + 1));
    let selected = dataset.fields.iter().map(|field| match field.kind {
        // Most records have no flags. The `case` saves them the subquery.
        Kind::TextList => format!(
            "case {name} when '[]' then array[]::text[] else array(select json_array_elements_text({name}::json)) end",
            name = field.name
        ),
        Kind::Json => format!("{}::jsonb", field.name),
        _ => field.name.clone(),
    });
    let selected: Vec<String> = selected.chain([CONTENT_HASH, DELETED].map(str::to_owned)).collect();
    format!(
        "with incoming as (select * from unnest({arrays}) as incoming({names})), \
         newer as (select incoming.*, stored.{CONTENT_HASH} as stored_hash from incoming \
         left join {table} as stored on {same_key}{window} \
         where stored.{CONTENT_HASH} is null or {newer_than_stored}), \
         written as (insert into {table} ({names}) select {selected} from newer order by {key} \
         on conflict ({key}) do update set {updates}, {UPDATED_AT} = now() where {newer_than_table} returning 1) \
         select count(*) filter (where stored_hash is null), \
         count(*) filter (where stored_hash <> {CONTENT_HASH}), \
         count(*) filter (where stored_hash = {CONTENT_HASH}), \
         (select count(*) from written) from newer",
        arrays = joined(arrays),
        names = names.join(", "),
        same_key = same_key(dataset),
        window = window(dataset, names.len() + 1),
        newer_than_stored = newer(dataset, "incoming", "stored"),
        selected = selected.join(", "),
        key = key(dataset),
        updates = updates(dataset),
        newer_than_table = newer(dataset, "excluded", table),
    )
}

/// Finds which rows the upsert would write, from their keys and versions alone; returns their places, counted from 1.
///
/// Parameters: one array per field of the key and of the version, then the least and the greatest time as in the
/// upsert.
pub(super) fn newer_places(dataset: &Dataset, table: &str) -> String {
    let fields = dataset.key.iter().chain(&dataset.version_fields).map(|at| &dataset.fields[*at]);
    let fields = fields.map(|field| (field.name.as_str(), element_type(field.kind)));
    let columns: Vec<(&str, &str)> = fields.chain([(CONTENT_HASH, "bigint")]).collect();
    let arrays = columns.iter().enumerate().map(|(at, (_, element))| format!("${}::{element}[]", at + 1));
    format!(
        "select incoming.place from unnest({arrays}) with ordinality as incoming({names}, place) \
         left join {table} as stored on {same_key}{window} \
         where stored.{CONTENT_HASH} is null or {newer} order by incoming.place",
        arrays = joined(arrays),
        names = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "),
        same_key = same_key(dataset),
        window = window(dataset, columns.len() + 1),
        newer = newer(dataset, "incoming", "stored"),
    )
}

/// Copies rows with new keys in the binary format: all fields of the dataset, the content hash, whether deleted.
pub(super) fn copy(dataset: &Dataset, table: &str) -> String {
    format!("copy {table} ({}) from stdin (format binary)", written(dataset).join(", "))
}

/// The condition on the stored rows' time; its parameters start at that number. Empty for a dataset without a time.
fn window(dataset: &Dataset, first: usize) -> String {
    let Some(field) = dataset.time.map(|time| &dataset.fields[time]) else {
        return String::new();
    };
    let (name, element) = (&field.name, element_type(field.kind));
    format!(" and stored.{name} between ${first}::{element} and ${}::{element}", first + 1)
}

fn element_type(kind: Kind) -> &'static str {
    match kind {
        Kind::TextList | Kind::Json => "text",
        Kind::Timestamp => "timestamptz",
        other => sql_type(other),
    }
}
