//! Statements derived from a declaration.
//!
//! A stored row is replaced only by one of a higher version `(known_at, observed_at, content_hash)`; all three are
//! never null, because a row comparison that reaches a null would silently do nothing.

use std::fmt::Write as _;

use contract::{Dataset, Kind};

/// Separates the items of a list on its way into PostgreSQL. No item is empty: one alone could not be told from an empty
/// list.
pub use contract::field::LIST_SEPARATOR;
/// Column with the hash of a row's values, see [`contract::Rows::content_hash`].
pub const CONTENT_HASH: &str = "content_hash";
/// Column with the time of the last write, set by the database.
pub const UPDATED_AT: &str = "updated_at";

/// Column that says that the key was deleted; such a row has null in all its values.
pub const DELETED: &str = "deleted";

/// The databases that tapedeck writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL 15 and later, with or without TimescaleDB.
    Postgres,
    /// SQLite 3.37 and later (strict tables).
    Sqlite,
}

/// A column as the migrated database must have it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ColumnDeclaration {
    /// Name.
    pub name: String,
    /// The database's own name of the type.
    pub sql_type: &'static str,
    /// Whether null is allowed.
    pub nullable: bool,
}

/// The columns of a dataset's table, in order.
pub fn columns(dataset: &Dataset, dialect: Dialect) -> Vec<ColumnDeclaration> {
    let values: Vec<usize> = dataset.values().collect();
    let declared = dataset.fields.iter().enumerate().map(|(at, field)| {
        (field.name.as_str(), sql_type(field.kind, dialect), field.nullable || values.contains(&at))
    });
    let boolean = match dialect {
        Dialect::Postgres => "boolean",
        Dialect::Sqlite => "INTEGER",
    };
    let internal = [
        (CONTENT_HASH, sql_type(Kind::Long, dialect), false),
        (UPDATED_AT, sql_type(Kind::Timestamp, dialect), false),
        (DELETED, boolean, false),
    ];
    declared
        .chain(internal)
        .map(|(name, sql_type, nullable)| ColumnDeclaration { name: name.to_owned(), sql_type, nullable })
        .collect()
}

/// The conditions that a dataset's table checks: its rules, and that a row has its values unless it is deleted.
pub fn checks(dataset: &Dataset) -> Vec<String> {
    let rules = dataset.rules.iter().filter_map(|rule| rule.check()).map(str::to_owned);
    let needed = dataset.values().map(|at| &dataset.fields[at]).filter(|field| !field.nullable);
    let needed: Vec<String> = needed.map(|field| format!("{} is not null", field.name)).collect();
    let present = (!needed.is_empty()).then(|| format!("{DELETED} or {}", needed.join(" and ")));
    rules.chain(present).collect()
}

/// Comments on the table and its columns: (what is commented, text).
pub fn comments(dataset: &Dataset) -> Vec<(Option<&str>, String)> {
    let internal = [
        (CONTENT_HASH, "Hash of the values, the last part of the row's version."),
        (UPDATED_AT, "When the row was last written here; says nothing about when it was known."),
        (DELETED, "Whether the key was deleted, as of `known_at`; then all values are null."),
    ];
    let fields = dataset.fields.iter().map(|field| (Some(field.name.as_str()), field.doc.clone()));
    let internal = internal.into_iter().map(|(name, doc)| (Some(name), doc.to_owned()));
    std::iter::once((None, dataset.doc.clone())).chain(fields).chain(internal).collect()
}

fn sql_type(kind: Kind, dialect: Dialect) -> &'static str {
    match (dialect, kind) {
        (Dialect::Postgres, Kind::Text) => "text",
        (Dialect::Postgres, Kind::Long) => "bigint",
        (Dialect::Postgres, Kind::Double) => "double precision",
        (Dialect::Postgres, Kind::Date) => "date",
        (Dialect::Postgres, Kind::Timestamp) => "timestamp with time zone",
        (Dialect::Postgres, Kind::Decimal) => "numeric",
        (Dialect::Postgres, Kind::Json) => "jsonb",
        (Dialect::Postgres, Kind::Bytes) => "bytea",
        (Dialect::Postgres, Kind::TextList) => "text[]",
        // SQLite has no exact decimals but texts.
        (Dialect::Sqlite, Kind::Text | Kind::Date | Kind::Timestamp | Kind::TextList | Kind::Decimal | Kind::Json) => {
            "TEXT"
        }
        (Dialect::Sqlite, Kind::Long) => "INTEGER",
        (Dialect::Sqlite, Kind::Double) => "REAL",
        (Dialect::Sqlite, Kind::Bytes) => "BLOB",
    }
}

/// PostgreSQL: upserts rows given as one array per column and answers how many were new, changed, unchanged and written.
///
/// Parameters: one array per field of the dataset (a list as text joined by [`LIST_SEPARATOR`]), the content hashes,
/// whether deleted, and for a dataset with a time the least and the greatest, so that a hypertable reads only the chunks it must.
/// The rows must be folded: one per key.
pub fn postgres_upsert(dataset: &Dataset, table: &str) -> String {
    let names = written(dataset);
    let elements = dataset.fields.iter().map(|field| element_type(field.kind)).chain(["bigint", "boolean"]);
    let arrays = elements.enumerate().map(|(at, element)| format!("${}::{element}[]", at + 1));
    let selected = dataset.fields.iter().map(|field| match field.kind {
        Kind::TextList => format!("string_to_array({}, U&'\\001F')", field.name),
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

/// PostgreSQL: which of some rows, given by key and version alone, the upsert would write; answers their places from 1 on.
///
/// Parameters: one array per field of the key and of the version, and as for the upsert the least and the greatest time.
pub fn postgres_newer(dataset: &Dataset, table: &str) -> String {
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

/// PostgreSQL: copies rows of which none is in the table, given in the binary format: all fields of the dataset, the
/// content hash, whether deleted.
pub fn postgres_copy(dataset: &Dataset, table: &str) -> String {
    format!("copy {table} ({}) from stdin (format binary)", written(dataset).join(", "))
}

/// PostgreSQL: a plain upsert of `count` rows that knows no versions, for comparison. Parameters per row: all fields of
/// the dataset, the content hash.
pub fn postgres_values(dataset: &Dataset, table: &str, count: usize) -> String {
    let names: Vec<&str> = dataset.fields.iter().map(|field| field.name.as_str()).chain([CONTENT_HASH]).collect();
    let row = |at: usize| {
        let parameters = (1..=names.len()).map(|place| format!("${}", at * names.len() + place));
        format!("({})", joined(parameters))
    };
    let updates = names.iter().map(|name| format!("{name} = excluded.{name}"));
    format!(
        "insert into {table} ({}) values {} on conflict ({}) do update set {}",
        names.join(", "),
        joined((0..count).map(row)),
        key(dataset),
        joined(updates)
    )
}

/// SQLite: which of `count` rows, given by key and version, would be written, with the hash of the row they would replace.
///
/// Parameters per row: its place, the key's fields, the version. Answers (place, stored hash or null).
pub fn sqlite_newer(dataset: &Dataset, table: &str, count: usize) -> String {
    let names: Vec<&str> = dataset.key.iter().map(|at| dataset.fields[*at].name.as_str()).collect();
    let version = version(dataset);
    format!(
        "with incoming(place, {names}, {version}) as (values {values}) \
         select incoming.place, stored.{CONTENT_HASH} from incoming \
         left join {table} as stored on {same_key} \
         where stored.{CONTENT_HASH} is null or {newer}",
        values = values(1 + names.len() + 3, count),
        same_key = same_key(dataset),
        names = names.join(", "),
        version = version.join(", "),
        newer = newer(dataset, "incoming", "stored"),
    )
}

/// SQLite: upserts `count` rows. Parameters per row: all fields of the dataset, the content hash, whether deleted, the
/// time of the write.
pub fn sqlite_upsert(dataset: &Dataset, table: &str, count: usize) -> String {
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

fn written(dataset: &Dataset) -> Vec<String> {
    dataset.fields.iter().map(|field| field.name.clone()).chain([CONTENT_HASH, DELETED].map(str::to_owned)).collect()
}

fn same_key(dataset: &Dataset) -> String {
    let names = dataset.key.iter().map(|at| &dataset.fields[*at].name);
    names.map(|name| format!("stored.{name} = incoming.{name}")).collect::<Vec<_>>().join(" and ")
}

/// Bounds of the stored rows' time, as parameters from that number on; empty for a dataset without a time.
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
        other => sql_type(other, Dialect::Postgres),
    }
}

fn key(dataset: &Dataset) -> String {
    joined(dataset.key.iter().map(|at| dataset.fields[*at].name.clone()))
}

fn updates(dataset: &Dataset) -> String {
    let fields = dataset.fields.iter().enumerate().filter(|(at, _)| !dataset.key.contains(at));
    joined(
        fields
            .map(|(_, field)| field.name.as_str())
            .chain([CONTENT_HASH, DELETED])
            .map(|name| format!("{name} = excluded.{name}")),
    )
}

fn version(dataset: &Dataset) -> [&str; 3] {
    let [known_at, observed_at] = dataset.version_fields;
    [&dataset.fields[known_at].name, &dataset.fields[observed_at].name, CONTENT_HASH]
}

fn newer(dataset: &Dataset, left: &str, right: &str) -> String {
    let side = |table: &str| joined(version(dataset).iter().map(|name| format!("{table}.{name}")));
    format!("({}) > ({})", side(left), side(right))
}

fn values(width: usize, count: usize) -> String {
    let row = format!("({})", joined(std::iter::repeat_n("?".to_owned(), width)));
    let mut all = String::with_capacity((row.len() + 1) * count);
    for at in 0..count {
        write!(all, "{}{row}", if at == 0 { "" } else { "," }).expect("writing to a string cannot fail");
    }
    all
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}
