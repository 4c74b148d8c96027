//! Reading everything at one moment: what `consumer verify` compares with Kafka.

use std::str::FromStr as _;

use chrono::{DateTime, NaiveDate, SecondsFormat};
use contract::{Dataset, Decimal, Kind, Value};
use futures::TryStreamExt as _;
use service::secret::{Secret, without_credentials};
use sqlx::postgres::PgRow;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Executor as _, PgConnection, Row as _, SqliteConnection, ValueRef as _,
};

use crate::outcome::{Outcome, StoreError};
use crate::partition::{LastRecord, SinkPartition};
use crate::{postgres, sql};

/// Days and microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL begins to count.
const POSTGRES_EPOCH: (i32, i64) = (10_957, 946_684_800_000_000);

/// A snapshot: all that it reads is as of one moment, however long that takes. It only reads.
#[derive(Debug)]
pub struct Audit {
    connection: Connection,
}

#[derive(Debug)]
enum Connection {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

/// A row of either database.
#[expect(missing_debug_implementations, reason = "a row of sqlx has none")]
pub enum Line {
    Postgres(PgRow),
    Sqlite(SqliteRow),
}

/// Sums over the ledger of one partition.
#[derive(Debug, Clone)]
pub struct LedgerSums {
    /// Which one.
    pub partition: SinkPartition,
    /// Where the first chunk begins and where the last one ends.
    pub range: (i64, i64),
    /// Sums of the counts.
    pub outcome: Outcome,
    /// Offsets that the chunks span, added up.
    pub span: i64,
    /// Chunks whose counts do not add up.
    pub broken: i64,
    /// Sum of the steps from each chunk's beginning to its end, each offset as 40 mixed bits.
    pub steps: i64,
    /// The first beginning and the last end as mixed bits.
    pub ends: (i64, i64),
}

/// A row of `sink_gap`.
#[derive(Debug, Clone)]
pub struct GapRow {
    /// Where.
    pub partition: SinkPartition,
    /// The offsets that are missing; empty where the topic was made anew.
    pub range: (i64, i64),
    /// `retention`, `truncated` or `recreated`.
    pub reason: String,
    /// The range's ends as mixed bits.
    pub ends: (i64, i64),
}

/// A row of `sink_position`.
#[derive(Debug, Clone)]
pub struct PositionRow {
    /// Where.
    pub partition: SinkPartition,
    /// The next offset to take.
    pub next_offset: i64,
    /// The last record that was taken.
    pub last: Option<LastRecord>,
}

async fn postgres_snapshot(address: &Secret) -> Result<PgConnection, StoreError> {
    let mut connection = postgres::connect(address, "verify").await?;
    // A topic is read while the snapshot waits, and a table takes as long as it takes.
    for statement in [
        "begin isolation level repeatable read read only",
        "set local statement_timeout = 0",
        "set local idle_in_transaction_session_timeout = 0",
    ] {
        connection.execute(statement).await.map_err(|error| failed(&error))?;
    }
    Ok(connection)
}

async fn sqlite_snapshot(address: &Secret) -> Result<SqliteConnection, StoreError> {
    let shown = without_credentials(address.expose());
    let options = SqliteConnectOptions::from_str(address.expose())
        .map_err(|_| StoreError::Halt(format!("`{shown}` is not a database address")))?;
    let options = options.read_only(true).busy_timeout(crate::sqlite::BUSY_TIMEOUT).disable_statement_logging();
    let cannot = |error| StoreError::Halt(format!("cannot open database `{shown}`: {error}"));
    let mut connection = options.connect().await.map_err(cannot)?;
    connection.execute("begin").await.map_err(|error| failed(&error))?;
    Ok(connection)
}

impl Audit {
    /// Opens a snapshot of a PostgreSQL database.
    pub(crate) async fn of_postgres(address: &Secret) -> Result<Audit, StoreError> {
        Ok(Audit { connection: Connection::Postgres(postgres_snapshot(address).await?) })
    }

    /// Opens a snapshot of a SQLite database.
    pub(crate) async fn of_sqlite(address: &Secret) -> Result<Audit, StoreError> {
        Ok(Audit { connection: Connection::Sqlite(sqlite_snapshot(address).await?) })
    }

    /// All positions.
    pub async fn positions(&mut self) -> Result<Vec<PositionRow>, StoreError> {
        let query = "select sink, kafka_topic, cast(kafka_incarnation as bigint), cast(kafka_partition as bigint), \
             next_offset, last_offset, last_fingerprint from sink_position order by 1, 2, 3, 4";
        let row = |line: Line| PositionRow {
            partition: line.partition(),
            next_offset: line.int(4),
            last: line.optional_int(5).zip(line.optional_int(6)).map(|(offset, hash)| LastRecord { offset, hash }),
        };
        Ok(self.all(query, &[]).await?.into_iter().map(row).collect())
    }

    /// The sums of the ledger by partition, in one pass.
    pub async fn ledger(&mut self) -> Result<Vec<LedgerSums>, StoreError> {
        let counts = ["read", "inserted", "changed", "unchanged", "superseded", "dead_lettered"];
        let sums = counts.map(|count| format!("cast(sum(records_{count}) as bigint)")).join(", ");
        let mixed = |of: &str| self.mixed(of);
        let query = format!(
            "select sink, kafka_topic, cast(kafka_incarnation as bigint), cast(kafka_partition as bigint), {sums}, \
             min(from_offset), max(to_offset), cast(sum(to_offset - from_offset) as bigint), \
             count(case when records_read <> records_inserted + records_changed + records_unchanged \
             + records_superseded + records_dead_lettered or records_read > to_offset - from_offset then 1 end), \
             cast(sum({to} - {from}) as bigint), {first}, {last} \
             from sink_chunk group by sink, kafka_topic, kafka_incarnation, kafka_partition order by 1, 2, 3, 4",
            to = mixed("to_offset"),
            from = mixed("from_offset"),
            first = mixed("min(from_offset)"),
            last = mixed("max(to_offset)"),
        );
        let row = |line: Line| {
            let [read, inserted, changed, unchanged, superseded, dead_lettered] =
                std::array::from_fn(|at| line.int(4 + at).cast_unsigned());
            LedgerSums {
                partition: line.partition(),
                outcome: Outcome { read, inserted, changed, unchanged, superseded, dead_lettered },
                range: (line.int(10), line.int(11)),
                span: line.int(12),
                broken: line.int(13),
                steps: line.int(14),
                ends: (line.int(15), line.int(16)),
            }
        };
        Ok(self.all(&query, &[]).await?.into_iter().map(row).collect())
    }

    /// A number of 40 bits for an offset, such that sums of them tell sets of offsets apart.
    ///
    /// Where every chunk begins where another one ended, the steps from `mixed(from)` to `mixed(to)` add up to the step
    /// from the first beginning to the last end. Chunks are never empty and never begin at the same offset, so nothing
    /// else does, but by a chance of 1 in 2^40; and no sorting is needed, which would take ten times as long.
    fn mixed(&self, of: &str) -> String {
        match self.connection {
            Connection::Postgres(_) => format!("(hashint8extended({of}, 0) >> 24)"),
            Connection::Sqlite(_) => format!("((({of}) % 2147483647) * (({of}) % 2147483629) % 1099511627689)"),
        }
    }

    /// All gaps.
    pub async fn gaps(&mut self) -> Result<Vec<GapRow>, StoreError> {
        let query = format!(
            "select sink, kafka_topic, cast(kafka_incarnation as bigint), cast(kafka_partition as bigint), from_offset, \
             to_offset, reason, {}, {} from sink_gap order by 1, 2, 3, 4, 5",
            self.mixed("from_offset"),
            self.mixed("to_offset")
        );
        let row = |line: Line| GapRow {
            partition: line.partition(),
            range: (line.int(4), line.int(5)),
            reason: line.text(6),
            ends: (line.int(7), line.int(8)),
        };
        Ok(self.all(&query, &[]).await?.into_iter().map(row).collect())
    }

    /// The chunks and gaps of a partition that do not begin where the one before them ended: (that end, beginning).
    pub async fn breaks(&mut self, partition: &SinkPartition, most: usize) -> Result<Vec<(i64, i64)>, StoreError> {
        let these = these(partition);
        let query = format!(
            "select before, from_offset from (select from_offset, \
             lag(to_offset) over (order by from_offset, to_offset) as before from \
             (select from_offset, to_offset from sink_chunk where {these} union all \
             select from_offset, to_offset from sink_gap where {these} and to_offset > from_offset) as ranges) as steps \
             where before <> from_offset order by from_offset limit {most}"
        );
        let rows = self.all(&query, &[&partition.sink, &partition.topic]).await?;
        Ok(rows.into_iter().map(|line| (line.int(0), line.int(1))).collect())
    }

    /// Of the chunks that begin at an offset or later: where the first one begins and how many records they read.
    pub async fn read_since(
        &mut self,
        partition: &SinkPartition,
        offset: i64,
    ) -> Result<Option<(i64, i64)>, StoreError> {
        let query = format!(
            "select min(from_offset), cast(coalesce(sum(records_read), 0) as bigint) from sink_chunk \
             where {} and from_offset >= {offset}",
            these(partition)
        );
        let rows = self.all(&query, &[&partition.sink, &partition.topic]).await?;
        Ok(rows.first().and_then(|line| Some((line.optional_int(0)?, line.int(1)))))
    }

    /// How many dead letters have that source, and a name between these two (the second one not included).
    pub async fn dead_letters(&mut self, source: &str, names: Option<(&str, &str)>) -> Result<i64, StoreError> {
        let (first, end) = names.unwrap_or_default();
        let (between, binds): (_, &[&str]) = match names {
            None => ("", &[source]),
            Some(_) => (" and dead_letter_id >= $2 and dead_letter_id < $3", &[source, first, end]),
        };
        let rows = self.all(&format!("select count(*) from dead_letter where source = $1{between}"), binds).await?;
        Ok(rows.first().map_or(0, |line| line.int(0)))
    }

    /// Gives each dead letter of a source: its name, timestamp, key, value, headers, whether it was deleted, and whether
    /// it was stored after all.
    pub async fn each_dead_letter(
        &mut self,
        source: &str,
        each: impl FnMut(Line) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let query = "select letter.dead_letter_id, letter.record_timestamp_ms, letter.record_key, letter.record_value, \
             letter.record_headers, cast(case when letter.deleted then 1 else 0 end as bigint), \
             cast(case when done.source is null then 0 else 1 end as bigint) from dead_letter as letter \
             left join dead_letter_resolution as done on done.source = letter.source \
             and done.dead_letter_id = letter.dead_letter_id where letter.source = $1";
        self.each(query, &[source], each).await
    }

    /// Gives each row of a dataset's table: its fields in order, the content hash, whether it is deleted.
    pub async fn each_row(
        &mut self,
        dataset: &Dataset,
        each: impl FnMut(Line) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let names: Vec<&str> = dataset.fields.iter().map(|field| field.name.as_str()).collect();
        let query = format!(
            "select {}, {}, cast(case when {} then 1 else 0 end as bigint) from {}",
            names.join(", "),
            sql::CONTENT_HASH,
            sql::DELETED,
            dataset.name
        );
        self.each(&query, &[], each).await
    }

    async fn all(&mut self, query: &str, binds: &[&str]) -> Result<Vec<Line>, StoreError> {
        let mut lines = Vec::new();
        let push = |line| {
            lines.push(line);
            Ok(())
        };
        self.each(query, binds, push).await?;
        Ok(lines)
    }

    /// Row by row, so that a table need not fit into memory.
    async fn each(
        &mut self,
        query: &str,
        binds: &[&str],
        mut each: impl FnMut(Line) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let query = AssertSqlSafe(query.to_owned());
        match &mut self.connection {
            Connection::Postgres(connection) => {
                let query = binds.iter().fold(sqlx::query(query), |query, bind| query.bind((*bind).to_owned()));
                let mut rows = query.fetch(connection);
                while let Some(row) = rows.try_next().await.map_err(|error| failed(&error))? {
                    each(Line::Postgres(row))?;
                }
            }
            Connection::Sqlite(connection) => {
                let query = binds.iter().fold(sqlx::query(query), |query, bind| query.bind((*bind).to_owned()));
                let mut rows = query.fetch(connection);
                while let Some(row) = rows.try_next().await.map_err(|error| failed(&error))? {
                    each(Line::Sqlite(row))?;
                }
            }
        }
        Ok(())
    }
}

/// The condition that names a partition; sink and topic are the first two parameters.
fn these(partition: &SinkPartition) -> String {
    format!(
        "sink = $1 and kafka_topic = $2 and kafka_incarnation = {} and kafka_partition = {}",
        partition.incarnation, partition.number
    )
}

/// The same expression on a row of either database.
macro_rules! either {
    ($line:expr, $row:ident => $body:expr) => {
        match $line {
            Line::Postgres($row) => $body,
            Line::Sqlite($row) => $body,
        }
    };
}

impl Line {
    /// The number in a column.
    pub fn int(&self, at: usize) -> i64 {
        either!(self, row => row.get(at))
    }

    /// The number in a column; None when it is null.
    pub fn optional_int(&self, at: usize) -> Option<i64> {
        either!(self, row => row.get(at))
    }

    /// The text in a column.
    pub fn text(&self, at: usize) -> String {
        either!(self, row => row.get(at))
    }

    /// The bytes in a column; None when they are null.
    pub fn bytes(&self, at: usize) -> Option<&[u8]> {
        either!(self, row => row.get(at))
    }

    fn partition(&self) -> SinkPartition {
        SinkPartition {
            sink: self.text(0).into(),
            topic: self.text(1).into(),
            incarnation: self.int(2) as i32,
            number: self.int(3) as i32,
        }
    }

    /// The value in a column of that kind; None when it is not in the form in which it is stored by us.
    pub fn value(&self, at: usize, kind: Kind) -> Option<Value> {
        if either!(self, row => row.try_get_raw(at).ok()?.is_null()) {
            return (kind != Kind::TextList).then_some(Value::Null);
        }
        Some(match (kind, self) {
            (Kind::Text, _) => Value::Text(either!(self, row => row.try_get::<&str, _>(at).ok()?).into()),
            (Kind::Decimal, Line::Postgres(row)) => Value::Decimal(row.try_get::<Decimal, _>(at).ok()?.normalize()),
            (Kind::Decimal, Line::Sqlite(row)) => decimal(row.try_get(at).ok()?)?,
            // The first byte is the version of the format.
            (Kind::Json, Line::Postgres(row)) => {
                let bytes = row.try_get_raw(at).ok()?.as_bytes().ok()?.split_first()?.1;
                Value::Text(std::str::from_utf8(bytes).ok()?.into())
            }
            (Kind::Json, Line::Sqlite(row)) => Value::Text(row.try_get::<&str, _>(at).ok()?.into()),
            (Kind::Long, _) => Value::Long(either!(self, row => row.try_get(at).ok()?)),
            (Kind::Double, _) => Value::Double(either!(self, row => row.try_get(at).ok()?)),
            (Kind::Bytes, _) => Value::Bytes(either!(self, row => row.try_get(at).ok()?)),
            (Kind::TextList, Line::Postgres(row)) => Value::TextList(row.try_get(at).ok()?),
            (Kind::TextList, Line::Sqlite(row)) => Value::TextList(serde_json::from_str(row.try_get(at).ok()?).ok()?),
            // As the server sends them: infinity and what lies beyond chrono's dates are numbers too.
            (Kind::Date, Line::Postgres(row)) => {
                let days = i32::from_be_bytes(row.try_get_raw(at).ok()?.as_bytes().ok()?.try_into().ok()?);
                Value::Date(days.checked_add(POSTGRES_EPOCH.0)?)
            }
            (Kind::Timestamp, Line::Postgres(row)) => {
                let micros = i64::from_be_bytes(row.try_get_raw(at).ok()?.as_bytes().ok()?.try_into().ok()?);
                Value::Long(micros.checked_add(POSTGRES_EPOCH.1)?)
            }
            (Kind::Date, Line::Sqlite(row)) => date(row.try_get(at).ok()?)?,
            (Kind::Timestamp, Line::Sqlite(row)) => timestamp(row.try_get(at).ok()?)?,
        })
    }
}

/// Only the one text that we write for a date: SQLite compares texts.
fn date(text: &str) -> Option<Value> {
    let date = text.parse::<NaiveDate>().ok().filter(|date| date.to_string() == text)?;
    let days = date.signed_duration_since(DateTime::UNIX_EPOCH.date_naive()).num_days();
    Some(Value::Date(i32::try_from(days).ok()?))
}

/// Only the one text that we write for a number.
fn decimal(text: &str) -> Option<Value> {
    let value = contract::decimal::parse(text).filter(|value| value.to_string() == text)?;
    Some(Value::Decimal(value))
}

fn timestamp(text: &str) -> Option<Value> {
    let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    (time.to_rfc3339_opts(SecondsFormat::Micros, true) == text).then(|| Value::Long(time.timestamp_micros()))
}

fn failed(error: &sqlx::Error) -> StoreError {
    let message = error.as_database_error().map_or_else(|| error.to_string(), |database| database.message().to_owned());
    StoreError::Halt(format!("cannot read the database: {message}"))
}
