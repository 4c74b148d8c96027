//! Reads of a past moment: for each key the version that was known then.
//!
//! `docs/decisions/0026-as-of.md` says what counts as known. The current table holds every key, so it drives the read: where
//! its own version was known at the moment, nothing else is read. Otherwise one search of the revisions finds the highest
//! `known_at` at or before the moment. Among the versions that share it, the first was known then; each later one was known
//! once it was received. On request, a key without such a version has its first one, if its assumed time is at or before the
//! moment.

use chrono::{DateTime, Utc};
use contract::Dataset;

use crate::assumed;
use crate::snapshot::Snapshot;
use crate::sql::{CONTENT_HASH, DELETED, PLACE, UPDATED_AT, joined, revision, version, written};
use crate::text;

/// The column that says why a version counts as known: `provider`, because the provider states the time; `receipt`,
/// because it was received by then; `assumed`, because the declaration says when it usually is known.
pub const KNOWN_BASIS: &str = "known_basis";

/// A past moment to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// What was known by then.
    pub known: DateTime<Utc>,
    /// What had been received by then; None: everything by now.
    pub observed: Option<DateTime<Utc>>,
    /// What the topics held then; None: everything by now.
    pub snapshot: Option<Snapshot>,
    /// Whether the first version of a key counts as known at its assumed time, where nobody states one. See
    /// [`Dataset::assumed_known_at`].
    pub assume: bool,
}

/// The parts of a read, as SQL expressions.
struct Parts<'a> {
    dataset: &'a Dataset,
    known: String,
    observed: String,
    /// The lower of the two.
    both: String,
    /// The condition that a row, given by its alias, belongs to the snapshot; `true` without one.
    is_inside: &'a dyn Fn(&str) -> String,
}

impl Parts<'_> {
    fn key(&self) -> Vec<&str> {
        self.dataset.key.iter().map(|at| self.dataset.fields[*at].name.as_str()).collect()
    }

    /// The columns of an answer, but for the basis: key and all others.
    fn columns(&self) -> Vec<String> {
        let mut columns = written(self.dataset);
        columns.push(UPDATED_AT.to_owned());
        columns
    }

    /// The condition that a revision has the key of the current row.
    fn same_key(&self, alias: &str) -> String {
        self.key().iter().map(|name| format!("{alias}.{name} = t.{name}")).collect::<Vec<_>>().join(" and ")
    }

    /// Whether the current row was known, and had been received by then.
    fn is_answer(&self) -> String {
        let [known_at, observed_at, _] = version(self.dataset);
        format!("t.{known_at} <= {} and t.{observed_at} <= {} and {}", self.known, self.both, (self.is_inside)("t"))
    }

    /// Whether a version's time is at or before the moment, and it was received by the second moment.
    fn is_candidate(&self, alias: &str) -> String {
        let [known_at, observed_at, _] = version(self.dataset);
        format!(
            "{alias}.{known_at} <= {} and {alias}.{observed_at} <= {} and {}",
            self.known,
            self.observed,
            (self.is_inside)(alias)
        )
    }

    /// The highest `known_at` of a candidate.
    fn group(&self) -> String {
        let [known_at, observed_at, _] = version(self.dataset);
        format!(
            "case when {} then t.{known_at} else (select r.{known_at} from {} as r where {} and {} \
             order by r.{known_at} desc, r.{observed_at} desc, r.{CONTENT_HASH} desc limit 1) end",
            self.is_candidate("t"),
            revision(&self.dataset.name),
            self.same_key("r"),
            self.is_candidate("r"),
        )
    }

    /// The first version that is seen, of a revision's columns and of those of the current row.
    fn first(&self, of_r: &str, of_t: &str) -> String {
        let [known_at, observed_at, _] = version(self.dataset);
        let order = format!("{known_at}, {observed_at}, {CONTENT_HASH}");
        format!(
            "(select {of_r} from {} as r where {} and r.{observed_at} <= {observed} and {} order by {order} limit 1) \
             union all select {of_t} where t.{observed_at} <= {observed} and {} order by {order} limit 1",
            revision(&self.dataset.name),
            self.same_key("r"),
            (self.is_inside)("r"),
            (self.is_inside)("t"),
            observed = self.observed,
        )
    }

    /// Why a version counts as known.
    fn basis(&self, of: &str) -> String {
        let [known_at, observed_at, _] = version(self.dataset);
        format!(
            "case when {of}.{known_at} = {of}.{observed_at} or exists (select 1 from {} as e where {} \
             and e.{known_at} = {of}.{known_at} and (e.{observed_at}, e.{CONTENT_HASH}) < \
             ({of}.{observed_at}, {of}.{CONTENT_HASH}) and {}) then 'receipt' else 'provider' end",
            revision(&self.dataset.name),
            self.same_key("e"),
            (self.is_inside)("e"),
        )
    }
}

/// The type of an answer of PostgreSQL: the columns of a dataset's table and the basis.
pub fn postgres_type(dataset: &Dataset, sql_type: impl Fn(&str) -> String) -> String {
    let mut columns = written(dataset);
    columns.push(UPDATED_AT.to_owned());
    let attributes = columns.iter().map(|column| format!("    {column} {}", sql_type(column)));
    let attributes = attributes.chain([format!("    {KNOWN_BASIS} text")]).collect::<Vec<_>>().join(",\n");
    format!("create type {}_version as (\n{attributes}\n);\n", dataset.name)
}

/// Whether a row belongs to the snapshot in the third parameter.
fn inside_in_postgres(name: &str, alias: &str) -> String {
    let [incarnation, partition, offset] = PLACE;
    format!(
        "($3 is null or {alias}.{offset} is null or ({alias}.{incarnation}, {alias}.{offset}) < \
         (((select snapshot_of($3, '{name}')) ->> 'incarnation')::integer, \
         coalesce(((select snapshot_of($3, '{name}')) -> 'next' ->> {alias}.{partition})::bigint, 0)))"
    )
}

/// The function of PostgreSQL that answers for past moments: `<dataset>_as_of(known, observed, snapshot)`. With `can_assume`
/// it has a parameter `assume`, too, if the declaration says when a record counts as known.
pub fn postgres_function(dataset: &Dataset, can_assume: bool) -> String {
    let is_inside = |alias: &str| inside_in_postgres(&dataset.name, alias);
    let (known, observed, both) = ("$1".to_owned(), "$2".to_owned(), "least($1, $2)".to_owned());
    let parts = Parts { dataset, known, observed, both, is_inside: &is_inside };
    let [known_at, observed_at, _] = version(dataset);
    let (name, revision, columns) = (&dataset.name, revision(&dataset.name), parts.columns());
    let key = parts.key();
    let of = |alias: &str| joined(columns.iter().map(|column| format!("{alias}.{column}")));
    let selected = columns.iter().map(|column| {
        let from = if key.contains(&column.as_str()) { "t" } else { "v" };
        format!("{from}.{column}")
    });
    let (is_answer, basis) = (parts.is_answer(), parts.basis("v"));
    let assumed = assumed::in_postgres(dataset).filter(|_| can_assume);
    let [parameter, join, of_c, basis] = match assumed {
        None => ["", "", "", &basis].map(str::to_owned),
        Some(assumed) => [
            ", assume boolean default false".to_owned(),
            format!(
                "left join lateral (select l.* from ({}) as l where l.{known_at} = l.{observed_at} and {assumed} <= $1) as c \
                 on $4 and g.{known_at} is null and not ({is_answer})\n",
                parts.first(&of("r"), &of("t")),
            ),
            format!("\n    union all select {} where c.{CONTENT_HASH} is not null", of("c")),
            format!("case when c.{CONTENT_HASH} is not null then 'assumed' else {basis} end"),
        ],
    };
    format!(
        "create function {name}_as_of(known timestamptz, observed timestamptz default 'infinity', \
         snapshot text default null{parameter})\n\
         returns setof {name}_version language sql stable parallel safe as $$\n\
         select {selected},\n    {basis}\n\
         from {name} as t\n\
         left join lateral (select {group} as {known_at}) as g on not ({is_answer})\n\
         left join lateral (select r.* from {revision} as r where {same_key} and r.{known_at} = g.{known_at} \
         and r.{observed_at} <= {both} and {inside}\n    \
         order by r.{observed_at} desc, r.{CONTENT_HASH} desc limit 1) as a on true\n\
         left join lateral (select r.* from {revision} as r where a.{CONTENT_HASH} is null and {same_key} \
         and r.{known_at} = g.{known_at} and r.{observed_at} <= $2 and {inside}\n    \
         order by r.{observed_at}, r.{CONTENT_HASH} limit 1) as b on true\n\
         {join}\
         cross join lateral (\n    \
         select {of_t} where g.{known_at} is null and {is_answer} \
         or g.{known_at} = t.{known_at} and a.{CONTENT_HASH} is null and b.{CONTENT_HASH} is null and {is_candidate}\n    \
         union all select {of_a} where a.{CONTENT_HASH} is not null\n    \
         union all select {of_b} where b.{CONTENT_HASH} is not null{of_c}) as v\n\
         where not v.{DELETED}\n$$;\n",
        selected = joined(selected),
        group = parts.group(),
        is_candidate = parts.is_candidate("t"),
        same_key = parts.same_key("r"),
        both = parts.both,
        inside = is_inside("r"),
        of_t = of("t"),
        of_a = of("a"),
        of_b = of("b"),
    )
}

/// What PostgreSQL answers for a past moment, as a `select`.
pub(crate) fn in_postgres(dataset: &Dataset, cut: &Cut) -> String {
    let literal = |time: DateTime<Utc>| format!("'{}'", text::of_time(time));
    let observed = cut.observed.map_or_else(|| "'infinity'".to_owned(), literal);
    // Its letters are those of its format: there is no quote among them.
    let snapshot = cut.snapshot.as_ref().map_or_else(|| "null".to_owned(), |snapshot| format!("'{snapshot}'"));
    // An answer without it needs nothing of the newest migration.
    let assume = if cut.assume && !dataset.assumed.is_empty() { ", true" } else { "" };
    format!("select * from {}_as_of({}, {observed}, {snapshot}{assume})", dataset.name, literal(cut.known))
}

/// What SQLite answers for a past moment, as a `select`.
pub(crate) fn in_sqlite(dataset: &Dataset, cut: &Cut) -> String {
    let literal = |time: DateTime<Utc>| format!("'{}'", text::of_time(time));
    let known = literal(cut.known);
    let observed = cut.observed.map_or_else(|| "'9999-12-31T23:59:59.999999Z'".to_owned(), literal);
    let both = literal(cut.observed.map_or(cut.known, |observed| observed.min(cut.known)));
    let next = cut.snapshot.as_ref().and_then(|snapshot| snapshot.of(&dataset.name));
    let is_inside = |alias: &str| {
        let [incarnation, partition, offset] = PLACE;
        let Some(topic) = next else { return "true".to_owned() };
        let ends = topic.next.iter().enumerate().map(|(number, end)| format!("when {number} then {end} "));
        format!(
            "({alias}.{offset} is null or ({alias}.{incarnation}, {alias}.{offset}) < \
             ({}, case {alias}.{partition} {}else 0 end))",
            topic.incarnation,
            ends.collect::<String>()
        )
    };
    let parts = Parts { dataset, known, observed, both, is_inside: &is_inside };
    let [known_at, observed_at, hash] = version(dataset);
    let revision = revision(&dataset.name);
    let group = parts.group();
    let both = &parts.both;
    let assumed = assumed::in_sqlite(dataset).filter(|_| cut.assume);
    format!(
        "select *, {basis} as {KNOWN_BASIS} from (select {selected} \
         from main.{name} as t left join main.{revision} as v on not ({is_answer}) and {same_key_v} \
         and (v.{known_at}, v.{observed_at}, v.{hash}) = (select r.{known_at}, r.{observed_at}, r.{hash} \
         from main.{revision} as r where {same_key} and r.{known_at} = {group} and r.{observed_at} <= {observed} and {inside} \
         order by r.{observed_at} <= {both} desc, iif(r.{observed_at} <= {both}, r.{observed_at}, '') desc, \
         iif(r.{observed_at} <= {both}, r.{hash}, 0) desc, r.{observed_at}, r.{hash} limit 1) \
         where v.{hash} is not null or {is_answer} or {is_candidate}) as t where not {DELETED}{assumed}",
        assumed = assumed.map(|assumed| assumed_in_sqlite(&parts, &assumed)).unwrap_or_default(),
        name = dataset.name,
        basis = parts.basis("t"),
        selected = selected_in_sqlite(&parts, "v"),
        is_answer = parts.is_answer(),
        same_key_v = parts.same_key("v"),
        same_key = parts.same_key("r"),
        observed = parts.observed,
        inside = is_inside("r"),
        is_candidate = parts.is_candidate("t"),
    )
    .replace(&format!("from {revision} as"), &format!("from main.{revision} as"))
}

/// The columns of a version of the current table's key: of the current row where there is none.
fn selected_in_sqlite(parts: &Parts<'_>, of: &str) -> String {
    let key = parts.key();
    joined(parts.columns().iter().map(|column| match key.contains(&column.as_str()) {
        true => format!("t.{column} as {column}"),
        false => format!("iif({of}.{CONTENT_HASH} is null, t.{column}, {of}.{column}) as {column}"),
    }))
}

/// What is appended to the `select` for keys of which only the first version is known, by its assumed time.
fn assumed_in_sqlite(parts: &Parts<'_>, assumed: &str) -> String {
    let Parts { dataset, known, observed, is_inside, .. } = parts;
    let ([known_at, observed_at, hash], name) = (version(dataset), &dataset.name);
    format!(
        " union all select *, 'assumed' from (select {selected} from main.{name} as t \
         left join main.{revision} as l on {same_key_l} and (l.{known_at}, l.{observed_at}, l.{hash}) = \
         (select r.{known_at}, r.{observed_at}, r.{hash} from main.{revision} as r where {same_key} \
         and r.{observed_at} <= {observed} and {inside} order by r.{known_at}, r.{observed_at}, r.{hash} limit 1) \
         where {group} is null and (l.{hash} is not null or t.{observed_at} <= {observed} and {inside_t})) as t \
         where not {DELETED} and {known_at} = {observed_at} and {assumed} <= {known}",
        selected = selected_in_sqlite(parts, "l"),
        revision = revision(name),
        same_key_l = parts.same_key("l"),
        same_key = parts.same_key("r"),
        inside = is_inside("r"),
        group = parts.group(),
        inside_t = is_inside("t"),
    )
}
