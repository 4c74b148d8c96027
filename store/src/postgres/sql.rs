//! PostgreSQL's statements for a dataset's rows, derived from its declaration.

use contract::dataset::Field;
use contract::{Dataset, Kind};

use crate::sql::{
    CONTENT_HASH, DELETED, PLACE, UPDATED_AT, is_lower, joined, key, lower_place, newer, revision, revision_key,
    same_key, updates, version, version_of, written,
};

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

/// What an upsert does with a row: its standing beside the stored row of its key.
const NEW: u8 = 0;
const NEWER: u8 = 1;
const SAME: u8 = 2;
const OLDER: u8 = 3;

/// What an upsert expects of the rows that it replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Moving {
    /// They are no revisions yet, as nearly always. Without `on conflict`, PostgreSQL writes them 1.9 times as fast.
    Unseen,
    /// Some may be revisions, such as after somebody deleted rows of the table and replayed their topic.
    Any,
}

/// Upserts rows, one array per column; returns how many rows it inserted, changed, left unchanged but for their version,
/// and kept as revisions, and how many it missed because another transaction wrote their key meanwhile.
///
/// Parameters: one array per field of the dataset (a list as JSON), the content hashes, whether deleted, the offsets,
/// then incarnation and partition. A dataset with a time adds the least and the greatest time, so that a hypertable
/// reads only the chunks between. The rows must be folded: one per key.
///
/// No version is lost: a row that is replaced becomes a revision, and so does a row that is older than the stored one.
/// With [`Moving::Unseen`] the statement fails with a conflict if a row that is replaced is a revision already.
pub(super) fn upsert(dataset: &Dataset, table: &str, moving: Moving) -> String {
    let (names, revision) = (written(dataset).join(", "), revision(table));
    let is_same = same_key(dataset).replace("incoming.", "compared.");
    let was = |name: String| format!("(was).{name}");
    let ours = version_of(dataset, "stored");
    let read = format!("({})", joined(version(dataset).iter().map(|name| was((*name).to_owned()))));
    format!(
        "with incoming as ({incoming}), \
         compared as materialized (select {selected}, stored.{CONTENT_HASH} as stored_hash, stored as was, {standing} \
         as standing from incoming left join {table} as stored on {same_key}{window} \
         where stored.{CONTENT_HASH} is null or {version} <> {ours} or {is_lower}), \
         inserted as (insert into {table} ({names}) select {names} from compared where standing = {NEW} \
         order by {key} on conflict ({key}) do nothing returning 1), \
         updated as (update {table} as stored set {updates}, {UPDATED_AT} = now() from compared \
         where standing = {NEWER} and {is_same}{window} and {ours} = {read} \
         returning was, stored_hash <> compared.{CONTENT_HASH} as is_changed), \
         moved as (insert into {revision} ({names}) select {moved} from updated{on_moved}), \
         kept as (insert into {revision} ({names}) select {names} from compared where standing = {OLDER} \
         order by {key} on conflict ({revision_key}) {lower_place} returning xmax = 0 as is_new), \
         lowered as (update {table} as stored set {places} from compared \
         where standing = {SAME} and {is_same}{window} and {ours} = {same} and {is_lower_now} returning 1), \
         done as (select (select count(*) from inserted) as inserted, count(*) filter (where is_changed) as changed, \
         count(*) filter (where not is_changed) as unchanged, (select count(*) from lowered) as lowered from updated) \
         select inserted, changed, unchanged, (select count(*) filter (where is_new) from kept), \
         (select count(*) from compared where standing < {OLDER}) - inserted - changed - unchanged - lowered from done",
        incoming = incoming(dataset),
        selected = selected(dataset),
        standing = standing(dataset),
        same_key = same_key(dataset),
        window = window(dataset, names.split(", ").count() + 1),
        version = version_of(dataset, "incoming"),
        is_lower = is_lower("incoming", "stored"),
        key = key(dataset),
        updates = updates(dataset, "compared"),
        moved = joined(written(dataset).into_iter().map(was)),
        on_moved = match moving {
            Moving::Unseen => String::new(),
            Moving::Any => format!(" on conflict ({}) {}", revision_key(dataset), lower_place(&revision)),
        },
        revision_key = revision_key(dataset),
        lower_place = lower_place(&revision),
        places = joined(PLACE.iter().map(|name| format!("{name} = compared.{name}"))),
        same = version_of(dataset, "compared"),
        is_lower_now = is_lower("compared", "stored"),
    )
}

/// Keeps versions that are older than the stored row of their key; returns how many were not there. Parameters as in the
/// upsert; a key may have several rows.
pub(super) fn keep(dataset: &Dataset, table: &str) -> String {
    let (names, revision) = (written(dataset).join(", "), revision(table));
    format!(
        "with incoming as ({incoming}), \
         kept as (insert into {revision} ({names}) select {selected} from incoming join {table} as stored \
         on {same_key}{window} where {older} order by {order} on conflict ({revision_key}) {lower_place} \
         returning xmax = 0 as is_new) \
         select count(*) filter (where is_new) from kept",
        incoming = incoming(dataset),
        selected = selected(dataset),
        same_key = same_key(dataset),
        window = window(dataset, names.split(", ").count() + 1),
        older = newer(dataset, "stored", "incoming"),
        order = joined(revision_key(dataset).split(", ").map(|name| format!("incoming.{name}"))),
        revision_key = revision_key(dataset),
        lower_place = lower_place(&revision),
    )
}

/// The rows of the parameters.
fn incoming(dataset: &Dataset) -> String {
    let elements = dataset.fields.iter().map(|field| element_type(field.kind)).chain(["bigint", "boolean", "bigint"]);
    let arrays = joined(elements.enumerate().map(|(at, element)| format!("${}::{element}[]", at + 1)));
    let [incarnation, partition, offset] = PLACE;
    let fields = dataset.fields.iter().map(|field| field.name.as_str()).chain([CONTENT_HASH, DELETED, offset]);
    let names = joined(fields.map(str::to_owned));
    let first = dataset.fields.len() + 4;
    format!(
        "select rows.*, ${first}::integer as {incarnation}, ${}::integer as {partition} from unnest({arrays}) \
         as rows({names})",
        first + 1
    )
}

/// The columns of an incoming row, with the types of the table.
fn selected(dataset: &Dataset) -> String {
    let fields = dataset.fields.iter().map(|Field { name, kind, .. }| match kind {
        // Most records have no flags. The `case` saves them the subquery.
        Kind::TextList => format!(
            "case incoming.{name} when '[]' then array[]::text[] \
             else array(select json_array_elements_text(incoming.{name}::json)) end as {name}"
        ),
        Kind::Json => format!("incoming.{name}::jsonb as {name}"),
        _ => format!("incoming.{name}"),
    });
    let internal = [CONTENT_HASH, DELETED].into_iter().chain(PLACE).map(|name| format!("incoming.{name}"));
    joined(fields.chain(internal))
}

/// An incoming row's standing beside the stored row.
fn standing(dataset: &Dataset) -> String {
    let (incoming, stored) = (version_of(dataset, "incoming"), version_of(dataset, "stored"));
    format!(
        "case when stored.{CONTENT_HASH} is null then {NEW} when {incoming} > {stored} then {NEWER} \
         when {incoming} = {stored} then {SAME} else {OLDER} end"
    )
}

/// Finds which rows the upsert would write, from their keys, versions and places alone; returns their places among the
/// rows, counted from 1.
///
/// Parameters: one array per field of the key and of the version, the offsets, incarnation and partition, then the least
/// and the greatest time as in the upsert.
pub(super) fn newer_places(dataset: &Dataset, table: &str) -> String {
    let fields = dataset.key.iter().chain(&dataset.version_fields).map(|at| &dataset.fields[*at]);
    let fields = fields.map(|field| (field.name.as_str(), element_type(field.kind)));
    let [incarnation, partition, offset] = PLACE;
    let columns: Vec<(&str, &str)> = fields.chain([(CONTENT_HASH, "bigint"), (offset, "bigint")]).collect();
    let arrays = columns.iter().enumerate().map(|(at, (_, element))| format!("${}::{element}[]", at + 1));
    let first = columns.len() + 1;
    let version = |table: &str| version_of(dataset, table);
    format!(
        "select place from (select rows.*, ${first}::integer as {incarnation}, ${second}::integer as {partition} \
         from unnest({arrays}) with ordinality as rows({names}, place)) as incoming \
         left join {table} as stored on {same_key}{window} \
         where case {standing} when {SAME} then {is_lower} when {OLDER} then not exists (select 1 from {revision} as kept \
         where {same_key_kept} and {incoming} = {kept} and not {is_lower_kept}) else true end order by place",
        second = first + 1,
        arrays = joined(arrays),
        names = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "),
        same_key = same_key(dataset),
        window = window(dataset, first + 2),
        revision = revision(table),
        same_key_kept = same_key(dataset).replace("stored.", "kept."),
        incoming = version("incoming"),
        kept = version("kept"),
        standing = standing(dataset),
        is_lower = is_lower("incoming", "stored"),
        is_lower_kept = is_lower("incoming", "kept"),
    )
}

/// Copies rows with new keys in the binary format: all fields of the dataset, the content hash, whether deleted, the
/// place.
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
