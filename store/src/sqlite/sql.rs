//! SQLite's statements for a dataset's rows, derived from its declaration.

use std::fmt::Write as _;

use contract::{Dataset, Kind};

use crate::sql::{
    CONTENT_HASH, DELETED, PLACE, UPDATED_AT, is_lower, joined, key, lower_place, newer, revision, revision_key,
    same_key, updates, version, version_of, written,
};

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

/// The marks of [`standings`].
pub(super) const NEW: char = '+';
pub(super) const CHANGED: char = '*';
pub(super) const UNCHANGED: char = '.';
pub(super) const SAME: char = '=';
pub(super) const LATE: char = '<';
pub(super) const KNOWN: char = '~';

/// Finds which of `count` rows the upsert would write, from their keys, versions and places alone.
///
/// Parameters: incarnation and partition, then for each row its number, the key's fields, the version and its offset.
/// Returns one text, such as `0+1*`: after the number of a row how it stands beside the stored row of its key. No row is
/// stored: [`NEW`]. The stored row is older, with other values: [`CHANGED`]; with the same: [`UNCHANGED`]. It is of the same
/// version: [`SAME`]. It is newer, and the revision is not there: [`LATE`]; it is there: [`KNOWN`]. Of a version that is
/// there already, the place is lower. Null if there is nothing to write. sqlx passes each row of an answer from thread to
/// thread, which took as long as the writing.
pub(super) fn standings(dataset: &Dataset, table: &str, count: usize) -> String {
    let names: Vec<&str> = dataset.key.iter().map(|at| dataset.fields[*at].name.as_str()).collect();
    let [incarnation, partition, offset] = PLACE;
    let (incoming, stored) = (version_of(dataset, "incoming"), version_of(dataset, "stored"));
    format!(
        "with place({incarnation}, {partition}) as (values (?, ?)), \
         rows(number, {names}, {version}, {offset}) as (values {values}), \
         incoming as (select * from rows, place) \
         select group_concat(number || mark, '') from (select number, case when stored.{CONTENT_HASH} is null then '{NEW}' \
         when {incoming} > {stored} then iif(incoming.{CONTENT_HASH} = stored.{CONTENT_HASH}, '{UNCHANGED}', '{CHANGED}') \
         when {incoming} = {stored} then iif({is_lower}, '{SAME}', '') \
         else ifnull((select iif({is_lower_kept}, '{KNOWN}', '') from {revision} as kept \
         where {same_key_kept} and {same_version}), '{LATE}') end as mark \
         from incoming left join {table} as stored on {same_key}) where mark <> ''",
        names = names.join(", "),
        version = version(dataset).join(", "),
        values = values(1 + names.len() + 4, count),
        same_key = same_key(dataset),
        revision = revision(table),
        same_key_kept = same_key(dataset).replace("stored.", "kept."),
        same_version = version(dataset).map(|name| format!("kept.{name} = incoming.{name}")).join(" and "),
        is_lower = is_lower("incoming", "stored"),
        is_lower_kept = is_lower("incoming", "kept"),
    )
}

/// Upserts `count` rows that are new or newer than the stored ones. Parameters: incarnation, partition and the time of the
/// write; for each row all fields of the dataset, the content hash, whether deleted, its offset.
pub(super) fn upsert(dataset: &Dataset, table: &str, count: usize) -> String {
    format!(
        "{incoming} insert into {table} ({columns}) select {columns} from incoming where true on conflict ({key}) do update set {updates}, \
         {UPDATED_AT} = excluded.{UPDATED_AT} where {newer}",
        columns = columns(dataset),
        incoming = incoming(dataset, count),
        key = key(dataset),
        updates = updates(dataset, "excluded"),
        newer = newer(dataset, "excluded", table),
    )
}

/// Copies `count` stored rows to the revisions, before they are replaced. Parameters: the time of the write; for each row
/// the key's fields.
pub(super) fn move_rows(dataset: &Dataset, table: &str, count: usize) -> String {
    let (names, revision) = (written(dataset).join(", "), revision(table));
    format!(
        "insert into {revision} ({names}, {UPDATED_AT}) select {names}, ? from {table} where ({key}) in (values {values}) \
         on conflict ({revision_key}) {lower_place}",
        key = key(dataset),
        values = values(dataset.key.len(), count),
        revision_key = revision_key(dataset),
        lower_place = lower_place(&revision),
    )
}

/// Keeps `count` versions as revisions that are older than the stored rows. Parameters as in the upsert.
pub(super) fn keep(dataset: &Dataset, table: &str, count: usize) -> String {
    let revision = revision(table);
    format!(
        "{incoming} insert into {revision} ({columns}) select {columns} from incoming where true on conflict ({revision_key}) {lower_place}",
        columns = columns(dataset),
        incoming = incoming(dataset, count),
        revision_key = revision_key(dataset),
        lower_place = lower_place(&revision),
    )
}

/// Gives stored rows of the same version a lower place. Parameters as in the upsert.
pub(super) fn lower(dataset: &Dataset, table: &str, count: usize) -> String {
    format!(
        "{incoming} update {table} as stored set {places} from incoming \
         where {same_key} and {version} = {stored}",
        places = joined(PLACE.iter().map(|name| format!("{name} = incoming.{name}"))),
        incoming = incoming(dataset, count),
        same_key = same_key(dataset),
        version = version_of(dataset, "incoming"),
        stored = version_of(dataset, "stored"),
    )
}

/// The columns of a table that a write sets.
fn columns(dataset: &Dataset) -> String {
    format!("{}, {UPDATED_AT}", written(dataset).join(", "))
}

/// The rows of the parameters: the tables `place`, which comes first in a statement, and `incoming`.
fn incoming(dataset: &Dataset, count: usize) -> String {
    let [incarnation, partition, offset] = PLACE;
    let fields = dataset.fields.iter().map(|field| field.name.as_str()).chain([CONTENT_HASH, DELETED, offset]);
    format!(
        "with place({incarnation}, {partition}, {UPDATED_AT}) as (values (?, ?, ?)), \
         rows({}) as (values {}), incoming as (select * from rows, place)",
        joined(fields.map(str::to_owned)),
        values(dataset.fields.len() + 3, count),
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
