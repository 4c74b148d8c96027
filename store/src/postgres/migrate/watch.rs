//! Looks at a migration from a second connection, while the first one waits for its statement.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::migrations::Index;
use crate::outcome::StoreError;
use crate::postgres::Postgres;
use crate::postgres::fault::classify;

/// How far the statement is, and who is in its way.
const PHASE: &str = "select concat_ws(', ', \
    (select phase || case when blocks_total > 0 then ' ' || 100 * blocks_done / blocks_total || ' %' else '' end \
        from pg_stat_progress_create_index where pid = $1 limit 1), \
    (select 'waits for process ' || string_agg(blocking.pid::text, ' and ') \
        from unnest(pg_blocking_pids($1)) as blocking(pid)))";

/// How many chunks of a hypertable have an index whose name ends like that, which is how TimescaleDB names them.
fn chunks(index: &Index) -> String {
    let Index { name, table, .. } = index;
    format!(
        "select format('%s of %s chunks', count(*) filter (where exists (select from pg_index \
            join pg_class as index on index.oid = indexrelid where indrelid = inhrelid \
            and right(index.relname::text, length('_{name}')) = '_{name}')), count(*)) \
         from pg_inherits where inhparent = to_regclass('{table}')"
    )
}

/// The oldest transaction that holds a lock on a table here.
const OLDEST_LOCK: &str = "select format('process %s (`%s`) has one on `%s` for %s s', pid, application_name, \
        relation::regclass, extract(epoch from clock_timestamp() - xact_start)::bigint) \
    from pg_locks join pg_stat_activity using (pid) \
    where granted and relation in (select oid from pg_class where relnamespace = current_schema()::regnamespace) \
        and pg_locks.database = (select oid from pg_database where datname = current_database()) \
        and pid not in ($1, pg_backend_pid()) and xact_start is not null \
    order by xact_start limit 1";

/// Knows the session that migrates.
pub(super) struct Watcher {
    database: Postgres,
    process: i32,
}

impl Watcher {
    pub(super) async fn new(database: &Postgres, connection: &mut PgConnection) -> Result<Watcher, StoreError> {
        let process = sqlx::query_scalar("select pg_backend_pid()").fetch_one(connection).await.map_err(classify)?;
        Ok(Watcher { database: database.clone(), process })
    }

    /// `: building index: scanning table 40 %`, or `: 5 of 14 chunks` where an index of a hypertable is built, or nothing.
    pub(super) async fn phase(&self, index: Option<&Index>) -> String {
        let of_chunks = match index {
            Some(index) => self.ask(chunks(index)).await,
            None => String::new(),
        };
        of_chunks + &self.ask(PHASE.to_owned()).await
    }

    /// `: process 123 (`psql`) has one on `ohlcv_bar` for 45 s`, or nothing.
    pub(super) async fn oldest_lock(&self) -> String {
        self.ask(OLDEST_LOCK.to_owned()).await
    }

    /// Empty when there is no answer: it is only for a line of progress.
    async fn ask(&self, query: String) -> String {
        let Ok(mut connection) = self.database.open().await else { return String::new() };
        let answer = sqlx::query_scalar(AssertSqlSafe(query)).bind(self.process).fetch_optional(&mut connection).await;
        // The answer is there; how the connection ends does not matter.
        let _ = connection.close().await;
        let answer: Option<Option<String>> = answer.unwrap_or_default();
        answer.flatten().filter(|text| !text.is_empty()).map(|text| format!(": {text}")).unwrap_or_default()
    }
}
