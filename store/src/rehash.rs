//! Hashes stored rows again after the content hash has changed, so that a replay finds them unchanged.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use contract::{Dataset, Kind, Rows, Value, datasets};

use crate::dialect::{Connection, Dialect};
use crate::fault::Fault;
use crate::line::Line;
use crate::migrations::{Progress, Report};
use crate::outcome::{RetryClass, StoreError};
use crate::session::Session;
use crate::sql::{CONTENT_HASH, DELETED, Layer, PLACE, UPDATED_AT, joined};
use crate::statement::Statement;
use crate::text;

/// Version of the content hash; a change of [`contract::Rows::content_hash`] needs the next one. Version 1 hashed values
/// without the names of their fields.
const VERSION: i64 = 2;
/// How long consumers of an earlier build may still write after the first of this one has migrated. Until then each
/// migration checks the rows that were written since the last one, and hashes those with version 1 again.
const ROLLOUT: TimeDelta = TimeDelta::hours(24);
/// How much earlier than the last check the next one begins: for clocks that differ and transactions that were open.
const OVERLAP: TimeDelta = TimeDelta::minutes(10);
/// Time between two attempts at a locked table.
const LOCK_PAUSE: Duration = Duration::from_secs(2);
/// Time between two lines of progress.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// Rows that are read and updated at once.
const PAGE_ROWS: usize = 2000;
/// The same for a dataset with bytes, of which a dead letter can hold megabytes.
const PAGE_ROWS_WITH_BYTES: usize = 50;

/// What is recorded about a dataset's table.
struct Record {
    version: i64,
    since: DateTime<Utc>,
    checked_at: DateTime<Utc>,
}

impl Record {
    /// Whether no row can have another hash.
    fn is_settled(&self, now: DateTime<Utc>) -> bool {
        self.version == VERSION && now > self.since + ROLLOUT
    }
}

impl<D: Dialect> Session<D> {
    /// Hashes the rows of all tables again that an earlier build has written. It can be interrupted at any time.
    ///
    /// It waits for a locked table, but not to check again what was done before: the next start does that.
    ///
    /// Sinks start afterwards. Of two records with one version the higher hash wins, so that a stored hash of version 1
    /// beside a new one could let the other record win.
    pub(crate) async fn rehash(&mut self, report: Report<'_>) -> Result<(), StoreError> {
        while !self.rehash_unlocked(report).await? {
            tokio::time::sleep(LOCK_PAUSE).await;
        }
        Ok(())
    }

    /// The same until a lock is in the way; returns whether that is all for now.
    async fn rehash_unlocked(&mut self, report: Report<'_>) -> Result<bool, StoreError> {
        let mut lease = self.lease().await?;
        let now = Utc::now();
        let records = read_records::<D>(&mut *lease).await?;
        let is_settled = |dataset: &Dataset| records.get(&dataset.name).is_some_and(|record| record.is_settled(now));
        if datasets().iter().all(is_settled) {
            lease.give_back();
            return Ok(true);
        }
        for statement in D::syntax().rehash_alone {
            lease.run(statement).await?;
        }
        // Another process may have done it meanwhile.
        let records = read_records::<D>(&mut *lease).await?;
        for dataset in datasets() {
            let record = records.get(&dataset.name).filter(|record| record.version == VERSION);
            if record.is_some_and(|record| record.is_settled(now) || record.checked_at >= now) {
                continue;
            }
            let written_since = record.map(|record| record.checked_at - OVERLAP);
            let mut tables = vec![dataset.name.clone()];
            if record.is_none() {
                tables.extend(side_tables::<D>(&mut *lease, dataset).await?);
            }
            for table in tables {
                let mut meter = Meter::new(report, &table, written_since.is_none());
                match rehash_table::<D>(&mut *lease, dataset, written_since, &mut meter).await {
                    Err(fault) if is_locked(&fault) => return Ok(record.is_some()),
                    done => done?,
                }
            }
            let since = record.map_or(now, |record| record.since);
            lease.execute(save::<D>(dataset, since)).await?;
        }
        // Not given back: closing the connection ends its lock and its settings.
        Ok(true)
    }
}

/// Reports how much of a table is done.
struct Meter<'a> {
    report: Report<'a>,
    table: &'a str,
    /// Whether all rows are read, and so the number of rows says how many are left.
    reads_all: bool,
    total: Option<u64>,
    done: u64,
    start: Instant,
    reported_at: Instant,
}

impl<'a> Meter<'a> {
    fn new(report: Report<'a>, table: &'a str, reads_all: bool) -> Meter<'a> {
        let start = Instant::now();
        Meter { report, table, reads_all, total: None, done: 0, start, reported_at: start }
    }

    async fn add<D: Dialect>(&mut self, connection: &mut D::Connection, rows: u64) -> Result<(), Fault> {
        self.done += rows;
        if self.reported_at.elapsed() < REPORT_EVERY {
            return Ok(());
        }
        if self.reads_all && self.total.is_none() {
            // Not before: a small table is done by now.
            let count = format!("select cast(count(*) as bigint) from {}", self.table);
            let lines = connection.lines(Statement::once(count)).await?;
            self.total = lines.first().and_then(|line| line.int(0).try_into().ok());
        }
        self.reported_at = Instant::now();
        (self.report)(&Progress::Slow(self.line(self.start.elapsed())));
        Ok(())
    }

    fn line(&self, elapsed: Duration) -> String {
        let Meter { table, done, .. } = self;
        let left = |total: u64| elapsed.as_secs_f64() / (*done).max(1) as f64 * total.saturating_sub(*done) as f64;
        match self.total {
            Some(total) => {
                format!(
                    "hashes rows of `{table}` again: {done} of {total} rows, about {:.0} s left",
                    left(total).ceil()
                )
            }
            None => format!("hashes rows of `{table}` again: {done} rows"),
        }
    }
}

/// Whether another session holds a lock that was waited for.
fn is_locked(fault: &Fault) -> bool {
    matches!(fault, Fault::Store(StoreError::Retry { class: RetryClass::Sqlstate(class), .. }) if class == b"55")
}

async fn read_records<D: Dialect>(connection: &mut D::Connection) -> Result<HashMap<String, Record>, Fault> {
    let read = D::syntax().read;
    let query = format!(
        "select dataset, cast(version as bigint), {}, {} from content_hash_version",
        read(Kind::Timestamp, "since"),
        read(Kind::Timestamp, "checked_at")
    );
    let record = |line: Line| {
        let time = |at: usize| text::read_time(&line.text(at)).unwrap_or_default();
        (line.text(0), Record { version: line.int(1), since: time(2), checked_at: time(3) })
    };
    Ok(connection.lines(Statement::once(query)).await?.into_iter().map(record).collect())
}

/// Records that a table has been checked by now.
fn save<D: Dialect>(dataset: &Dataset, since: DateTime<Utc>) -> Statement {
    let time = D::syntax().time;
    let statement = format!(
        "insert into content_hash_version (dataset, version, since, checked_at) \
         values ($1, {VERSION}, {}, {}) on conflict (dataset) do update set version = excluded.version, \
         since = excluded.since, checked_at = excluded.checked_at",
        time("$2"),
        time("$3")
    );
    Statement::once(statement).bind(&*dataset.name).bind(text::of_time(since)).bind(text::of_time(Utc::now()))
}

/// The side tables of a dataset's replays that exist.
async fn side_tables<D: Dialect>(connection: &mut D::Connection, dataset: &Dataset) -> Result<Vec<String>, Fault> {
    let runs = connection.lines(Statement::once("select parameters from replay_run".to_owned())).await?;
    let mut tables: Vec<String> = runs.iter().filter_map(|run| side_table(&run.text(0), dataset)).collect();
    tables.sort();
    tables.dedup();
    let mut existing = Vec::new();
    for table in tables {
        let exists = Statement::once(D::syntax().table_exists.to_owned()).bind(&*table);
        if !connection.lines(exists).await?.is_empty() {
            existing.push(table);
        }
    }
    Ok(existing)
}

/// The side table of a replay with these parameters, if it is one of this dataset.
fn side_table(parameters: &str, dataset: &Dataset) -> Option<String> {
    let parameters: serde_json::Value = serde_json::from_str(parameters).ok()?;
    let is_ours = parameters.get("dataset")?.as_str()? == dataset.name;
    parameters.get("into")?.as_str().filter(|_| is_ours).map(str::to_owned)
}

/// Hashes the rows of a table again, in the order of their keys and in short transactions.
async fn rehash_table<D: Dialect>(
    connection: &mut D::Connection,
    dataset: &Dataset,
    written_since: Option<DateTime<Utc>>,
    meter: &mut Meter<'_>,
) -> Result<(), Fault> {
    let table = meter.table;
    let has_bytes = dataset.fields.iter().any(|field| field.kind == Kind::Bytes);
    let page_rows = if has_bytes { PAGE_ROWS_WITH_BYTES } else { PAGE_ROWS };
    let update = update::<D>(dataset, table);
    let mut rows = Rows::new(dataset);
    let mut last: Option<Vec<String>> = None;
    loop {
        let lines = connection
            .lines(page::<D>((dataset, Layer::Current), table, written_since, last.as_deref(), page_rows))
            .await?;
        rows.truncate(0);
        let changes: Vec<Vec<String>> =
            lines.iter().filter_map(|line| change(dataset, line, &mut rows, written_since.is_some())).collect();
        if !changes.is_empty() {
            connection.run(D::syntax().begin).await?;
            if let Some(unpack) = D::syntax().unpack {
                connection.run(unpack).await?;
            }
            connection.execute(Statement::new(&update).bind(serde_json::Value::from(changes).to_string())).await?;
            connection.run("COMMIT").await?;
        }
        meter.add::<D>(connection, lines.len() as u64).await?;
        match lines.last().filter(|_| lines.len() == page_rows) {
            Some(line) => last = Some(key_of(dataset, Layer::Current, line)),
            None => return Ok(()),
        }
    }
}

/// Reads the next rows: the fields, the content hash, whether deleted, the place.
pub(crate) fn page<D: Dialect>(
    (dataset, layer): (&Dataset, Layer),
    table: &str,
    written_since: Option<DateTime<Utc>>,
    last: Option<&[String]>,
    rows: usize,
) -> Statement {
    let read = D::syntax().read;
    let fields = joined(dataset.fields.iter().map(|field| read(field.kind, &field.name)));
    let (mut conditions, mut parameters) = (Vec::new(), Vec::new());
    if let Some(since) = written_since {
        parameters.push(text::of_time(since));
        conditions.push(format!("{UPDATED_AT} >= {}", (D::syntax().time)("$1")));
    }
    if let Some(last) = last {
        let first = parameters.len() + 1;
        let key = layer.key(dataset);
        let types = types_of::<D>(dataset, &key);
        let places = types.iter().enumerate().map(|(at, sql_type)| format!("cast(${} as {sql_type})", first + at));
        conditions.push(format!("({}) > ({})", key.join(", "), joined(places)));
        parameters.extend_from_slice(last);
    }
    let condition = if conditions.is_empty() { String::new() } else { format!("where {}", conditions.join(" and ")) };
    let query = format!(
        "select {fields}, {CONTENT_HASH}, cast(case when {DELETED} then 1 else 0 end as bigint), {} from {table} \
         {condition} order by {} limit {rows}",
        joined(PLACE.iter().map(|name| format!("cast({name} as bigint)"))),
        layer.key(dataset).join(", ")
    );
    parameters.into_iter().fold(Statement::new(&query), |statement, parameter| statement.bind(parameter))
}

/// Sets content hashes. Its parameter is a JSON list of [`change`]s. A row that was written meanwhile stays as it is.
fn update<D: Dialect>(dataset: &Dataset, table: &str) -> String {
    let names = Layer::Current.key(dataset);
    let types = types_of::<D>(dataset, &names);
    let same = names
        .into_iter()
        .zip(types)
        .enumerate()
        .map(|(at, (name, sql_type))| format!("stored.{name} = cast(name.value ->> {} as {sql_type})", at + 2));
    format!(
        "update {table} as stored set {CONTENT_HASH} = cast(name.value ->> 0 as bigint) from {} \
         where stored.{CONTENT_HASH} = cast(name.value ->> 1 as bigint) and {}",
        (D::syntax().items)("$1"),
        same.collect::<Vec<_>>().join(" and ")
    )
}

/// The new hash of a row, its old hash and its key; None if the hash is right, or cannot be computed because the row
/// holds what tapedeck never stores. `is_rollout` leaves hashes alone that are not of version 1: `consumer verify`
/// reports those that were changed by hand.
fn change(dataset: &Dataset, line: &Line, rows: &mut Rows, is_rollout: bool) -> Option<Vec<String>> {
    let width = dataset.fields.len();
    let values = dataset.fields.iter().enumerate().map(|(at, field)| line.value(at, field.kind));
    let values: Vec<Value> = values.collect::<Option<_>>()?;
    rows.push_row(values, line.int(width + 1) != 0);
    let row = rows.len() - 1;
    let (new, old) = (rows.content_hash(dataset, row), line.int(width));
    let is_earlier = || !is_rollout || old == rows.hash(dataset.values(), row);
    let hashes = [new, old].map(|hash| hash.to_string());
    (new != old && is_earlier()).then(|| hashes.into_iter().chain(key_of(dataset, Layer::Current, line)).collect())
}

/// The primary key of a row that was read, as texts.
pub(crate) fn key_of(dataset: &Dataset, layer: Layer, line: &Line) -> Vec<String> {
    let part = |at: usize| line.optional_text(at).unwrap_or_else(|| line.int(at).to_string());
    // The content hash follows the fields.
    let place = |name: &str| dataset.position(name).unwrap_or(dataset.fields.len());
    layer.key(dataset).into_iter().map(place).map(part).collect()
}

/// The types of columns.
fn types_of<D: Dialect>(dataset: &Dataset, names: &[&str]) -> Vec<&'static str> {
    let columns = D::columns(dataset);
    let found = |name: &&str| columns.iter().find(|column| column.name == **name).map(|column| column.sql_type);
    names.iter().filter_map(found).collect()
}
