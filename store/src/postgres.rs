//! PostgreSQL, with or without TimescaleDB.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use contract::rows::Folded;
use contract::{Dataset, Kind};
use futures::FutureExt as _;
use futures::future::{BoxFuture, LocalBoxFuture};
use service::secret::Secret;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use crate::as_of;
use crate::chunk::Incoming;
use crate::dialect::{Care, Connection as _, Dialect};
use crate::fault::Fault;
use crate::migrations::{self, Migration, Report};
use crate::outcome::{RetryClass, StoreError, Upserted};
use crate::query::Found;
use crate::session::bounded;
use crate::sql::{ColumnDeclaration, columns};
use crate::statements::Statements;
use crate::store::Tables;
use crate::syntax::Syntax;

mod bind;
mod connection;
mod copy;
mod fault;
mod migrate;
mod query;
mod side;
mod sql;

use bind::{arguments, keys_and_versions};
use copy::{Coldness, LEAST_ROWS};
use fault::{fault, is_conflict};
use sql::Moving;

/// The version and the licence of TimescaleDB; no row without it.
const TIMESCALE: &str = "select extversion, current_setting('timescaledb.license', true) from pg_extension \
    where extname = 'timescaledb'";

static SYNTAX: Syntax = Syntax {
    begin: "BEGIN",
    now: "now()",
    time: |parameter| format!("cast({parameter} as timestamptz)"),
    read,
    texts: |parameter| format!("json_array_elements_text(cast({parameter} as json)) as name(value)"),
    items: |parameter| format!("json_array_elements(cast({parameter} as json)) as name(value)"),
    lock_outbox: " for update of waiting skip locked",
    lock_quarantines: " for update",
    // Longer than the patience with Kafka: a relay whose locks end before it knows the results publishes beside
    // another. Not for ever: a relay that hangs would keep its dead letters from all others.
    hold_outbox: Some("set local idle_in_transaction_session_timeout = '40s'"),
    mixed: |offset| format!("(hashint8extended({offset}, 0) >> 24)"),
    judge_at_once: Some("set constraints all immediate"),
    // A setting of TimescaleDB; only an error of TimescaleDB leads here.
    unpack: Some("set local timescaledb.max_tuples_decompressed_per_dml_transaction = 0"),
    // The number is any that no other program uses.
    rehash_alone: &[
        "set statement_timeout = 0",
        "set lock_timeout = 0",
        "select pg_advisory_lock(8386094132303619947)",
        // Every query that comes later waits behind a lock that is waited for.
        "set lock_timeout = '1s'",
    ],
    // The number is any that no other program uses.
    compact_alone: Some("select cast(pg_try_advisory_xact_lock(8386094132303619948) as integer)"),
    no_time_limit: Some("set statement_timeout = 0"),
    table_exists: "select 1::text where to_regclass($1) is not null",
    exchange: side::EXCHANGE,
    views: "select relname::text from pg_class where relkind in ('v', 'm') and pg_table_is_visible(oid) \
        and relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema')",
    as_of: as_of::in_postgres,
    timescale: Some(TIMESCALE),
};

static STATEMENTS: LazyLock<Statements> = LazyLock::new(|| Statements::new(&SYNTAX));

/// Converts a column of one of PostgreSQL's own types to text. `to_char` returns null for an infinite time.
/// PostgreSQL's cast then returns a text that the reader rejects.
fn read(kind: Kind, column: &str) -> String {
    match kind {
        Kind::Timestamp => format!(
            "coalesce(to_char({column} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), cast({column} as text))"
        ),
        Kind::Date => format!("coalesce(to_char({column}, 'YYYY-MM-DD'), cast({column} as text))"),
        Kind::Decimal => format!("cast(trim_scale({column}) as text)"),
        Kind::Json => format!("cast({column} as text)"),
        Kind::TextList => format!("cast(array_to_json({column}) as text)"),
        Kind::Text | Kind::Long | Kind::Double | Kind::Bytes => column.to_owned(),
    }
}

/// How often an upsert is repeated because other transactions write the same keys. Each time one of them has committed.
const MAX_RACES: u32 = 100;
/// How often it is repeated where a trigger may leave rows out.
const FEW_RACES: u32 = 5;

/// A PostgreSQL database, and what one of its connections learnt from earlier chunks.
#[derive(Debug, Clone)]
pub(crate) struct Postgres {
    address: Secret,
    role: String,
    /// The upserts of each table.
    upserts: HashMap<(String, Moving), Arc<str>>,
    coldness: Coldness,
    moving: Moving,
    /// Whether the last chunk changed nothing. Then the next one probably changes nothing either, which its keys and
    /// versions alone can show.
    settled: bool,
}

impl Postgres {
    pub(crate) fn new(address: Secret) -> Postgres {
        let (role, upserts) = (String::new(), HashMap::new());
        Postgres { address, role, upserts, coldness: Coldness::UNKNOWN, moving: Moving::Unseen, settled: false }
    }

    fn upsert(&mut self, incoming: &Incoming<'_>, moving: Moving) -> Arc<str> {
        let of = (incoming.table.to_owned(), moving);
        let derive = || sql::upsert(incoming.dataset, incoming.table, moving).into();
        self.upserts.entry(of).or_insert_with(derive).clone()
    }

    /// Runs the upsert once; returns its counts.
    async fn upsert_once(
        &mut self,
        connection: &mut PgConnection,
        incoming: &Incoming<'_>,
        folded: &[Folded],
    ) -> Result<[u64; 5], Fault> {
        if self.moving == Moving::Unseen && folded.len() >= LEAST_ROWS {
            connection.begin_part().await?;
            match self.run_upsert(connection, incoming, folded, Moving::Unseen).await {
                Ok(counts) => {
                    connection.keep_part().await?;
                    return Ok(counts);
                }
                Err(error) => {
                    let taken_back = connection.take_back_part().await;
                    if !is_conflict(&error) {
                        return Err(fault(error));
                    }
                    taken_back?;
                    self.moving = Moving::Any;
                }
            }
        }
        self.run_upsert(connection, incoming, folded, Moving::Any).await.map_err(fault)
    }

    async fn run_upsert(
        &mut self,
        connection: &mut PgConnection,
        incoming: &Incoming<'_>,
        folded: &[Folded],
        moving: Moving,
    ) -> sqlx::Result<[u64; 5]> {
        let arguments = arguments(incoming, folded).map_err(sqlx::Error::Encode)?;
        let upsert = AssertSqlSafe(self.upsert(incoming, moving));
        let row = sqlx::query_with(upsert, arguments).fetch_one(&mut *connection).await?;
        let mut counts = [0; 5];
        for (at, count) in counts.iter_mut().enumerate() {
            *count = row.try_get::<i64, _>(at)?.cast_unsigned();
        }
        Ok(counts)
    }

    /// Upserts folded rows. Repeats the statement while another transaction writes the same keys.
    async fn write_rows(
        &mut self,
        connection: &mut PgConnection,
        incoming: Incoming<'_>,
        folded: &[Folded],
    ) -> Result<Upserted, Fault> {
        let mut upserted = Upserted::default();
        if folded.is_empty() {
            return Ok(upserted);
        }
        for attempt in 1..=MAX_RACES {
            let [inserted, changed, unchanged, kept, missed] = self.upsert_once(connection, &incoming, folded).await?;
            let written = inserted + changed + unchanged;
            upserted += Upserted { seen: [inserted, changed, unchanged], written, kept };
            // What is missed again and again is what a trigger leaves out: a row that another transaction wrote is seen by the
            // next attempt.
            if missed == 0 || attempt >= FEW_RACES && has_trigger(connection, incoming.table).await? {
                return Ok(upserted);
            }
        }
        let reason = format!("others wrote the same keys of `{}` {MAX_RACES} times in a row", incoming.table);
        Err(Fault::Store(StoreError::Retry { class: RetryClass::Timeout, reason }))
    }

    async fn keep_rows(
        &self,
        connection: &mut PgConnection,
        incoming: Incoming<'_>,
        versions: &[Folded],
    ) -> sqlx::Result<u64> {
        let arguments = arguments(&incoming, versions).map_err(sqlx::Error::Encode)?;
        let keep = AssertSqlSafe(sql::keep(incoming.dataset, incoming.table));
        let kept: i64 = sqlx::query_scalar_with(keep, arguments).fetch_one(connection).await?;
        Ok(kept.cast_unsigned())
    }

    /// Writes by `COPY` or by the upsert, where it helps after a query for the newer rows. Earlier chunks decide.
    async fn write_all(
        &mut self,
        connection: &mut PgConnection,
        incoming: Incoming<'_>,
        mut folded: Vec<Folded>,
        care: Care,
    ) -> Result<Upserted, Fault> {
        if self.settled {
            folded = newer(connection, incoming, folded).await.map_err(fault)?;
        }
        let is_cold = care.statements == 1 && self.coldness.is_copy_worthwhile(folded.len());
        if is_cold && let Some(copied) = self.copy_rows(connection, incoming, &folded).await? {
            return Ok(copied);
        }
        let mut upserted = Upserted::default();
        for part in folded.chunks(folded.len().div_ceil(care.statements).max(1)) {
            upserted += self.write_rows(connection, incoming, part).await?;
        }
        self.coldness.note(!folded.is_empty() && upserted.seen[0] == folded.len() as u64);
        self.settled = (upserted.written, upserted.kept) == (0, 0);
        Ok(upserted)
    }

    /// Copies rows; None when the table already has one of the keys, or a trigger left a row out.
    async fn copy_rows(
        &mut self,
        connection: &mut PgConnection,
        incoming: Incoming<'_>,
        folded: &[Folded],
    ) -> Result<Option<Upserted>, Fault> {
        connection.begin_part().await?;
        match copy::copy(connection, &incoming, folded).await {
            Ok(copied) if copied == folded.len() as u64 => {
                connection.keep_part().await?;
                self.coldness.note(true);
                Ok(Some(Upserted { seen: [copied, 0, 0], written: copied, kept: 0 }))
            }
            // Only the upsert accounts for rows that a trigger leaves out.
            outcome => match outcome.err().filter(|error| !is_conflict(error)) {
                Some(error) => Err(fault(error)),
                None => {
                    connection.take_back_part().await?;
                    self.coldness.note_conflict();
                    Ok(None)
                }
            },
        }
    }
}

impl Dialect for Postgres {
    type Connection = PgConnection;

    const NAME: &'static str = "postgres";
    const MIGRATIONS: &'static [(&'static str, &'static str)] = migrations::POSTGRES;
    const MAX_WRITERS: usize = usize::MAX;
    const SHARES_CONNECTION: bool = false;
    /// Longer than the server's own statement timeout.
    const ATTEMPT_TIMEOUT: Option<Duration> = Some(Duration::from_secs(35));
    // The server has no limit of its own there: summing a large ledger takes a while before the first row.
    const SNAPSHOT_TIMEOUT: Option<Duration> = Some(Duration::from_secs(60));
    /// Short, because Kafka is not polled meanwhile.
    const POSITIONS_TIMEOUT: Option<Duration> = Some(Duration::from_secs(10));

    fn syntax() -> &'static Syntax {
        &SYNTAX
    }

    fn statements() -> &'static Statements {
        &STATEMENTS
    }

    fn tables() -> &'static dyn Tables {
        &side::SideTables
    }

    fn columns(dataset: &Dataset) -> Vec<ColumnDeclaration> {
        columns(dataset, sql::sql_type, ["boolean", "integer"])
    }

    fn with_role(&self, role: &str) -> Postgres {
        Postgres { role: role.to_owned(), ..self.clone() }
    }

    fn connect(&self) -> BoxFuture<'_, Result<PgConnection, StoreError>> {
        self.open().boxed()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<PgConnection, StoreError>> {
        self.open_snapshot().boxed()
    }

    fn query<'a>(&'a self, query: &'a str, limit: usize) -> BoxFuture<'a, Result<Found, StoreError>> {
        // Longer than the server's own limit.
        bounded(Some(Duration::from_secs(70)), self.find(query, limit)).boxed()
    }

    fn migrate<'a>(
        &'a self,
        migrations: &'a [Migration],
        to: Option<i64>,
        report: Report<'a>,
    ) -> LocalBoxFuture<'a, Result<(), StoreError>> {
        self.migrate_up(migrations, to, report).boxed_local()
    }

    fn migrate_down<'a>(
        &'a self,
        migrations: &'a [Migration],
        to: i64,
        report: Report<'a>,
    ) -> LocalBoxFuture<'a, Result<(), StoreError>> {
        self.undo(migrations, to, report).boxed_local()
    }

    fn grant_roles<'a>(
        &'a self,
        migrations: &'a [Migration],
        report: Report<'a>,
    ) -> LocalBoxFuture<'a, Result<(), StoreError>> {
        self.create_roles(migrations, report).boxed_local()
    }

    fn migration_script(migrations: &[Migration], from: i64, to: i64) -> String {
        migrate::script(migrations, from, to)
    }

    fn write<'a>(
        &'a mut self,
        connection: &'a mut PgConnection,
        incoming: Incoming<'a>,
        folded: &'a [Folded],
    ) -> BoxFuture<'a, Result<Upserted, Fault>> {
        self.write_rows(connection, incoming, folded).boxed()
    }

    fn keep<'a>(
        &'a mut self,
        connection: &'a mut PgConnection,
        incoming: Incoming<'a>,
        versions: &'a [Folded],
    ) -> BoxFuture<'a, Result<u64, Fault>> {
        async move { self.keep_rows(connection, incoming, versions).await.map_err(fault) }.boxed()
    }

    fn write_chunk<'a>(
        &'a mut self,
        connection: &'a mut PgConnection,
        incoming: Incoming<'a>,
        folded: Vec<Folded>,
        care: Care,
    ) -> BoxFuture<'a, Result<Upserted, Fault>> {
        self.write_all(connection, incoming, folded, care).boxed()
    }
}

/// The rows that the upsert would write.
async fn newer(
    connection: &mut PgConnection,
    incoming: Incoming<'_>,
    folded: Vec<Folded>,
) -> sqlx::Result<Vec<Folded>> {
    let arguments = keys_and_versions(&incoming, &folded).map_err(sqlx::Error::Encode)?;
    let query = sql::newer_places(incoming.dataset, incoming.table);
    let places: Vec<i64> = sqlx::query_scalar_with(AssertSqlSafe(query), arguments).fetch_all(connection).await?;
    Ok(places.into_iter().map(|place| folded[place as usize - 1]).collect())
}

/// Whether a trigger of the table's may leave rows out.
async fn has_trigger(connection: &mut PgConnection, table: &str) -> Result<bool, Fault> {
    let found = sqlx::query(side::EXCHANGE.triggers).bind(table).fetch_optional(connection).await.map_err(fault)?;
    Ok(found.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FORWARD_PATIENCE;

    #[test]
    fn the_outbox_is_held_longer_than_kafka_may_take() {
        let held = SYNTAX.hold_outbox.and_then(|hold| hold.split('\'').nth(1)?.strip_suffix('s')?.parse().ok());
        assert!(Duration::from_secs(held.unwrap()) >= FORWARD_PATIENCE + Duration::from_secs(5), "{held:?}");
    }
}
