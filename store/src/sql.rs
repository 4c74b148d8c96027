//! SQL that both databases derive from a declaration: columns, checks, comments, and the parts of an upsert.
//!
//! Only a row of a higher version `(known_at, observed_at, content_hash)` replaces a stored row. None of the three is
//! ever null, because a comparison with a null is silently never true.

use contract::{Dataset, Kind};

/// Column with the hash of a row's values, see [`contract::Rows::content_hash`].
pub const CONTENT_HASH: &str = "content_hash";
/// Column with the time of the last write, set by the database.
pub const UPDATED_AT: &str = "updated_at";

/// Columns with the lowest place of a row's version on the topic: incarnation, partition, offset. Null in rows that come
/// from no topic, and in those that were stored before these columns existed.
pub const PLACE: [&str; 3] = ["topic_incarnation", "topic_partition", "topic_offset"];

/// The table with the earlier versions of a table's rows, and those that came late.
pub fn revision(table: &str) -> String {
    format!("{table}_revision")
}

/// Which table of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// The highest version of each key.
    Current,
    /// All other versions.
    Revisions,
}

impl Layer {
    /// The columns of the primary key.
    pub(crate) fn key(self, dataset: &Dataset) -> Vec<&str> {
        let key = primary_key(dataset);
        match self {
            Layer::Current => key,
            Layer::Revisions => key.into_iter().chain(version(dataset)).collect(),
        }
    }

    /// The table.
    pub(crate) fn table(self, dataset: &Dataset) -> String {
        match self {
            Layer::Current => dataset.name.clone(),
            Layer::Revisions => revision(&dataset.name),
        }
    }
}

/// Column that marks a deleted key; such a row has null in all its values.
pub const DELETED: &str = "deleted";

/// A column that the migrated database must have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ColumnDeclaration {
    /// Its name.
    pub name: String,
    /// The database's own name of the type.
    pub sql_type: &'static str,
    /// Whether null is allowed.
    pub nullable: bool,
}

/// The columns of a dataset's table, in order; `sql_type` maps a kind to the database's type, then follow those of a flag
/// and of a small number.
pub(crate) fn columns(
    dataset: &Dataset,
    sql_type: fn(Kind) -> &'static str,
    [boolean, integer]: [&'static str; 2],
) -> Vec<ColumnDeclaration> {
    let values: Vec<usize> = dataset.values().collect();
    let declared = dataset
        .fields
        .iter()
        .enumerate()
        .map(|(at, field)| (field.name.as_str(), sql_type(field.kind), field.nullable || values.contains(&at)));
    let internal = [
        (CONTENT_HASH, sql_type(Kind::Long), false),
        (UPDATED_AT, sql_type(Kind::Timestamp), false),
        (DELETED, boolean, false),
        (PLACE[0], integer, true),
        (PLACE[1], integer, true),
        (PLACE[2], sql_type(Kind::Long), true),
    ];
    declared
        .chain(internal)
        .map(|(name, sql_type, nullable)| ColumnDeclaration { name: name.to_owned(), sql_type, nullable })
        .collect()
}

/// The `CHECK`s of a dataset's table: its rules, and that a row has its values unless it is deleted.
pub fn checks(dataset: &Dataset) -> Vec<String> {
    let rules = dataset.rules.iter().filter_map(|rule| rule.check()).map(str::to_owned);
    let needed = dataset.values().map(|at| &dataset.fields[at]).filter(|field| !field.nullable);
    let needed: Vec<String> = needed.map(|field| format!("{} is not null", field.name)).collect();
    let present = (!needed.is_empty()).then(|| format!("{DELETED} or {}", needed.join(" and ")));
    rules.chain(present).collect()
}

/// Comments on the table (None) and its columns: (column, text).
pub fn comments(dataset: &Dataset) -> Vec<(Option<&str>, String)> {
    let internal = [
        (CONTENT_HASH, "Hash of the values, the last part of the row's version."),
        (UPDATED_AT, "When the row was last written here; says nothing about when it was known."),
        (DELETED, "Whether the key was deleted, as of `known_at`; then all values are null."),
        (PLACE[0], "How often the topic had been created again when this version was first on it."),
        (PLACE[1], "The partition on which this version is first."),
        (PLACE[2], "The lowest offset of this version. A snapshot leaves out versions at its own offset and after."),
    ];
    let fields = dataset.fields.iter().map(|field| (Some(field.name.as_str()), field.doc.clone()));
    let internal = internal.into_iter().map(|(name, doc)| (Some(name), doc.to_owned()));
    std::iter::once((None, dataset.doc.clone())).chain(fields).chain(internal).collect()
}

/// The columns that an upsert writes.
pub(crate) fn written(dataset: &Dataset) -> Vec<String> {
    let internal = [CONTENT_HASH, DELETED].into_iter().chain(PLACE);
    dataset.fields.iter().map(|field| field.name.as_str()).chain(internal).map(str::to_owned).collect()
}

/// The condition that joins incoming with stored rows.
pub(crate) fn same_key(dataset: &Dataset) -> String {
    let names = dataset.key.iter().map(|at| &dataset.fields[*at].name);
    names.map(|name| format!("stored.{name} = incoming.{name}")).collect::<Vec<_>>().join(" and ")
}

/// The columns of the primary key of a table with revisions.
pub(crate) fn revision_key(dataset: &Dataset) -> String {
    Layer::Revisions.key(dataset).join(", ")
}

/// What an upsert of a version that is there already does: it keeps the lower place.
pub(crate) fn lower_place(table: &str) -> String {
    let updates = joined(PLACE.iter().map(|name| format!("{name} = excluded.{name}")));
    format!("do update set {updates} where {}", is_lower("excluded", table))
}

/// Whether the place on the left is lower than the one on the right.
pub(crate) fn is_lower(left: &str, right: &str) -> String {
    let side = |table: &str| joined(PLACE.iter().map(|name| format!("{table}.{name}")));
    let [.., offset] = PLACE;
    format!("({left}.{offset} is not null and ({right}.{offset} is null or ({}) < ({})))", side(left), side(right))
}

/// The columns of a table's primary key, in its order.
pub fn primary_key(dataset: &Dataset) -> Vec<&str> {
    dataset.primary_key.iter().map(|at| dataset.fields[*at].name.as_str()).collect()
}

/// The same, joined.
pub(crate) fn key(dataset: &Dataset) -> String {
    primary_key(dataset).join(", ")
}

/// The assignments to an existing row, of the columns of `from`.
pub(crate) fn updates(dataset: &Dataset, from: &str) -> String {
    let fields = dataset.fields.iter().enumerate().filter(|(at, _)| !dataset.key.contains(at));
    joined(
        fields
            .map(|(_, field)| field.name.as_str())
            .chain([CONTENT_HASH, DELETED])
            .chain(PLACE)
            .map(|name| format!("{name} = {from}.{name}")),
    )
}

/// The columns of the version.
pub(crate) fn version(dataset: &Dataset) -> [&str; 3] {
    let [known_at, observed_at] = dataset.version_fields;
    [&dataset.fields[known_at].name, &dataset.fields[observed_at].name, CONTENT_HASH]
}

/// Whether the version on the left is higher than the one on the right.
pub(crate) fn newer(dataset: &Dataset, left: &str, right: &str) -> String {
    format!("{} > {}", version_of(dataset, left), version_of(dataset, right))
}

/// The version of a table's row.
pub(crate) fn version_of(dataset: &Dataset, table: &str) -> String {
    format!("({})", joined(version(dataset).iter().map(|name| format!("{table}.{name}"))))
}

pub(crate) fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}
