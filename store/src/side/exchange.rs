//! Exchanges the rows of a side table and a dataset's own table.
//!
//! The tables keep their names and identities, so that everything that people attached to the live table stays. Only
//! rows that differ are written.

use contract::Dataset;

use super::{Joined, differs, end_run};
use crate::chunk::Target;
use crate::outcome::StoreError;
use crate::sql::{UPDATED_AT, joined, revision, version, written};
use crate::store::{Store, Texts};

/// The column that says how two tables differ.
const KIND: &str = "exchange_kind";

/// The result of an exchange.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exchanged {
    /// Partitions in which the replay is behind a live sink, with that sink's position. If there are any, nothing is
    /// exchanged.
    pub behind: Vec<(i32, i64)>,
    /// Rows that the live table gains.
    pub added: u64,
    /// Rows that the live table loses.
    pub vanished: u64,
    /// Rows with other values or another version.
    pub changed: u64,
    /// Revisions that only one of the two has, or that differ.
    pub revisions: u64,
}

/// Exchanges the rows of a side table and the live table in one transaction, if the replay has caught up with every
/// live sink. Without `apply` it only looks, and changes nothing.
///
/// # Errors
///
/// [`StoreError::Halt`] with everything that prevents the exchange; then nothing has changed.
pub async fn exchange(
    store: &mut dyn Store,
    target: &Target,
    topic: &str,
    replay: &str,
    apply: bool,
) -> Result<Exchanged, StoreError> {
    let live = target.dataset.name.as_str();
    match within(store, target, topic, replay, apply).await {
        Err(StoreError::Halt(reason)) => {
            // After an error of the database the transaction is over, and this fails.
            let _ = store.rows("rollback".to_owned(), &[]).await;
            Err(StoreError::Halt(format!("`{live}` is not exchanged, nothing is changed: {reason}")))
        }
        outcome => outcome,
    }
}

async fn within(
    store: &mut dyn Store,
    target: &Target,
    topic: &str,
    replay: &str,
    apply: bool,
) -> Result<Exchanged, StoreError> {
    let (dataset, side) = (target.dataset, &*target.table);
    let pairs = [Pair::of_rows(dataset, side), Pair::of_revisions(dataset, side)];
    begin(store, topic, &pairs).await?;
    let behind = behind(store, topic, replay).await?;
    if !behind.is_empty() {
        store.rows("rollback".to_owned(), &[]).await?;
        return Ok(Exchanged { behind, ..Exchanged::default() });
    }
    let mut changes = Vec::new();
    for pair in pairs {
        refuse(hidden(store, &pair.live).await?)?;
        let columns = columns(store, &pair.live, &pair.side).await?;
        let statements = Statements::new(pair, written(dataset), columns);
        store.rows(statements.difference.clone(), &[]).await?;
        let counts = counts(store, &statements.name).await?;
        refuse(obstacles(store, &statements).await?)?;
        changes.push((statements, counts));
    }
    let [added, vanished, changed] = changes[0].1;
    let exchanged = Exchanged { behind, added, vanished, changed, revisions: changes[1].1.iter().sum() };
    if !apply {
        store.rows("rollback".to_owned(), &[]).await?;
        return Ok(exchanged);
    }
    for (statements, counts) in &changes {
        write(store, statements, *counts).await?;
        store.rows(format!("drop table {}", statements.name), &[]).await?;
    }
    end_run(store, replay).await?;
    store.rows("commit".to_owned(), &[]).await?;
    Ok(exchanged)
}

/// Numbers of rows that are added, vanish and change.
async fn counts(store: &mut dyn Store, difference: &str) -> Result<[u64; 3], StoreError> {
    let count = format!("select {KIND}, cast(count(*) as text) from {difference} group by {KIND}");
    let counts = store.rows(count, &[]).await?;
    Ok(["added", "vanished", "changed"].map(|kind| {
        let of_kind = counts.iter().find(|row| row[0].as_deref() == Some(kind));
        of_kind.and_then(|row| row[1].as_deref()?.parse().ok()).unwrap_or(0)
    }))
}

/// Begins the transaction, with the locks in the order of a chunk's commit: positions, then the tables.
async fn begin(store: &mut dyn Store, topic: &str, pairs: &[Pair]) -> Result<(), StoreError> {
    let syntax = &store.syntax().exchange;
    for statement in syntax.begin {
        store.rows((*statement).to_owned(), &[]).await?;
    }
    if let Some(lock) = syntax.lock_positions {
        store.rows(lock.to_owned(), &[topic]).await?;
    }
    if let Some(lock) = syntax.lock_tables {
        let tables: Vec<&str> = pairs.iter().flat_map(|pair| [&*pair.live, &*pair.side]).collect();
        store.rows(lock(&tables), &[]).await?;
    }
    Ok(())
}

/// The partitions in which the replay is behind a live sink: (partition, position of the live sink).
async fn behind(store: &mut dyn Store, topic: &str, replay: &str) -> Result<Vec<(i32, i64)>, StoreError> {
    let query = "select cast(ours.kafka_partition as text), cast(ours.next_offset as text) from sink_position as ours \
        where ours.kafka_topic = $1 and ours.sink not like '%.replay.%' \
        and ours.kafka_incarnation = (select max(kafka_incarnation) from sink_position \
            where kafka_topic = ours.kafka_topic and sink = ours.sink and kafka_partition = ours.kafka_partition) \
        and not exists (select 1 from sink_position as theirs where theirs.sink = $2 \
            and theirs.kafka_topic = ours.kafka_topic and theirs.kafka_partition = ours.kafka_partition \
            and theirs.next_offset >= ours.next_offset)";
    let behind = store.rows(query.to_owned(), &[topic, replay]).await?;
    let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    Ok(behind.iter().map(|row| (number(&row[0]) as i32, number(&row[1]))).collect())
}

async fn columns(store: &mut dyn Store, live: &str, side: &str) -> Result<Vec<String>, StoreError> {
    let query = store.syntax().exchange.columns.to_owned();
    Ok(first_column(store.rows(query, &[live, side]).await?).collect())
}

/// What hides rows.
async fn hidden(store: &mut dyn Store, live: &str) -> Result<Vec<String>, StoreError> {
    match store.syntax().exchange.hidden {
        Some(query) => Ok(first_column(store.rows(query.to_owned(), &[live]).await?).collect()),
        None => Ok(Vec::new()),
    }
}

/// Halts with the list of what prevents the exchange.
fn refuse(obstacles: Vec<String>) -> Result<(), StoreError> {
    if obstacles.is_empty() { Ok(()) } else { Err(StoreError::Halt(obstacles.join("; "))) }
}

/// What prevents the exchange. The difference is known.
async fn obstacles(store: &mut dyn Store, statements: &Statements) -> Result<Vec<String>, StoreError> {
    let live = &*statements.pair.live;
    let syntax = &store.syntax().exchange;
    let mut obstacles = Vec::new();
    for query in syntax.obstacles {
        obstacles.extend(first_column(store.rows((*query).to_owned(), &[live]).await?));
    }
    for reference in store.rows(syntax.references.to_owned(), &[live]).await? {
        let [Some(name), Some(table), Some(same)] = reference.as_slice() else { continue };
        let query = format!(
            "select cast(count(*) as text) from {table} as theirs join {live} as live on {same} where {}",
            statements.is_vanished
        );
        let found = first_column(store.rows(query, &[]).await?).next().filter(|count| count != "0");
        obstacles.extend(found.map(|count| {
            format!("{count} rows of {table} refer to rows that vanish (foreign key `{name}`): delete or change them")
        }));
    }
    Ok(obstacles)
}

/// Writes the difference into both tables.
async fn write(
    store: &mut dyn Store,
    statements: &Statements,
    [added, vanished, changed]: [u64; 3],
) -> Result<(), StoreError> {
    let now = store.syntax().now;
    let counts = [vanished, changed, added, added, changed, vanished];
    for (statement, wanted) in statements.writes(now).into_iter().zip(counts) {
        if wanted == 0 {
            continue;
        }
        let done = store.execute(statement).await?;
        if done != wanted {
            let query = store.syntax().exchange.triggers.to_owned();
            let triggers: Vec<String> = first_column(store.rows(query, &[&statements.pair.live]).await?).collect();
            return Err(StoreError::Halt(format!(
                "the database wrote {done} of {wanted} rows, because a trigger leaves rows out ({}): disable it for \
                 the exchange",
                triggers.join(", ")
            )));
        }
    }
    Ok(())
}

fn first_column(rows: Texts) -> impl Iterator<Item = String> {
    rows.into_iter().filter_map(|row| row.into_iter().next().flatten())
}

/// A live table and a side table of the same shape.
struct Pair {
    live: String,
    side: String,
    /// Columns of the key.
    key: Vec<String>,
}

impl Pair {
    fn of_rows(dataset: &Dataset, side: &str) -> Pair {
        let key = dataset.key.iter().map(|at| dataset.fields[*at].name.clone()).collect();
        Pair { live: dataset.name.clone(), side: side.to_owned(), key }
    }

    fn of_revisions(dataset: &Dataset, side: &str) -> Pair {
        let key = Pair::of_rows(dataset, side).key;
        let key = key.into_iter().chain(version(dataset).map(str::to_owned)).collect();
        Pair { live: revision(&dataset.name), side: revision(side), key }
    }
}

/// The statements of one exchange.
struct Statements {
    pair: Pair,
    /// Temporary table with the live table's side of every difference.
    name: String,
    /// Columns that a sink writes, beside [`UPDATED_AT`].
    written: Vec<String>,
    /// Columns that both tables have, without the key: a live row takes its columns that no sink writes with it.
    kept: Vec<String>,
    /// Creates the temporary table.
    difference: String,
    /// The condition that a row `live` vanishes.
    is_vanished: String,
}

impl Statements {
    fn new(pair: Pair, written: Vec<String>, columns: Vec<String>) -> Statements {
        let Joined { from, added, vanished, both } = Joined::new(&pair.live, &pair.side, &pair.key);
        let (key, name) = (&pair.key, format!("{}_difference", pair.live));
        let kept: Vec<String> =
            columns.into_iter().filter(|name| !key.contains(name)).map(|name| quoted(&name)).collect();
        // The flags and places, too, which are no values.
        let compared = written.iter().filter(|name| !key.contains(name));
        let any = compared.map(|name| differs(name)).collect::<Vec<_>>().join(" or ");
        let selected = key.iter().map(|name| format!("coalesce(side.{name}, live.{name}) as {name}"));
        let selected = joined(selected.chain(kept.iter().map(|name| format!("live.{name} as {name}"))));
        let difference = format!(
            "create temporary table {name} as select case when {added} then 'added' when {vanished} then \
             'vanished' else 'changed' end as {KIND}, {selected} from {from} \
             where {added} or {vanished} or ({both} and ({any}))"
        );
        let is_vanished = format!("({}) in ({})", of("live", key), keys(&name, key, "vanished"));
        Statements { pair, name, written, kept, difference, is_vanished }
    }

    /// Deletes, updates and inserts of the live table, then of the side table in the opposite direction.
    fn writes(&self, now: &str) -> [String; 6] {
        let Statements { pair: Pair { live, side, key }, name: difference, written, kept, .. } = self;
        let same = |left: &str, right: &str| {
            key.iter().map(|name| format!("{left}.{name} = {right}.{name}")).collect::<Vec<_>>().join(" and ")
        };
        let delete = |table: &str, kind: &str| {
            format!("delete from {table} where ({}) in ({})", key.join(", "), keys(difference, key, kind))
        };
        let values = written.iter().filter(|name| !key.contains(name));
        let values = joined(values.map(|name| format!("{name} = side.{name}")));
        let before = joined(kept.iter().map(|name| format!("{name} = was.{name}")));
        let (all, names) = (joined(key.iter().chain(kept).cloned()), written.join(", "));
        let is = |kind: &str| format!("was.{KIND} = '{kind}'");
        [
            delete(live, "vanished"),
            format!(
                "update {live} as live set {values}, {UPDATED_AT} = {now} from {difference} as was, {side} as side \
                 where {} and {} and {}",
                is("changed"),
                same("side", "was"),
                same("live", "was"),
            ),
            format!(
                "insert into {live} ({names}, {UPDATED_AT}) select {}, {now} from {difference} as was, {side} as side \
                 where {} and {}",
                of("side", written),
                is("added"),
                same("side", "was"),
            ),
            delete(side, "added"),
            format!(
                "update {side} as side set {before} from {difference} as was where {} and {}",
                is("changed"),
                same("side", "was")
            ),
            format!("insert into {side} ({all}) select {all} from {difference} as was where {}", is("vanished")),
        ]
    }
}

/// These columns of a table.
fn of(table: &str, columns: &[String]) -> String {
    joined(columns.iter().map(|name| format!("{table}.{name}")))
}

/// The keys of one kind of difference.
fn keys(difference: &str, key: &[String], kind: &str) -> String {
    format!("select {} from {difference} where {KIND} = '{kind}'", key.join(", "))
}

/// A user's column can have any name.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
