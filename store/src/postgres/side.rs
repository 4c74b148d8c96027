//! Side tables in PostgreSQL.

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::TIMESCALE;
use crate::outcome::StoreError;
use crate::store::{Store, Tables};
use crate::syntax::Exchange;

pub(super) const EXCHANGE: Exchange = Exchange {
    begin: &[
        "begin",
        "set local statement_timeout = 0",
        // A policy of a table that refers to the live one must not hide rows: an error is better.
        "set local row_security = off",
        // A setting of TimescaleDB, which PostgreSQL alone does not have.
        "select set_config(name, '0', true) from pg_settings \
         where name = 'timescaledb.max_tuples_decompressed_per_dml_transaction'",
    ],
    lock_positions: Some(
        "select sink from sink_position where kafka_topic = $1 order by sink, kafka_partition for update",
    ),
    lock_tables: Some(|tables| format!("lock table {} in share row exclusive mode", tables.join(", "))),
    columns: "select attname::text from pg_attribute as live join pg_attribute as side using (attname) \
        where live.attrelid = $1::regclass and side.attrelid = $2::regclass and live.attnum > 0 and side.attnum > 0 \
        and not live.attisdropped and not side.attisdropped and live.attgenerated = '' and side.attgenerated = '' \
        and side.attidentity <> 'a'",
    hidden: Some(
        "select format('row security binds this role (policies: %s): exchange as a role with BYPASSRLS', \
         coalesce(string_agg(polname, ', ' order by polname), 'none')) from pg_policy \
         where polrelid = $1::regclass having row_security_active($1::regclass)",
    ),
    obstacles: &[
        "select format('rule `%s` rewrites statements: drop it, and create it again after the exchange', rulename) \
         from pg_rewrite where ev_class = $1::regclass order by rulename",
        "select format('table `%s` inherits from it: end that with `alter table .. no inherit`', inhrelid::regclass) \
         from pg_inherits join pg_class as child on child.oid = inhrelid \
         join pg_class as parent on parent.oid = inhparent where inhparent = $1::regclass and parent.relkind = 'r' \
         and child.relnamespace::regnamespace::text not like '\\_timescaledb%' order by inhrelid::regclass::text",
    ],
    references: "select conname::text, conrelid::regclass::text, \
        string_agg(format('theirs.%I = live.%I', ours.attname, live.attname), ' and ') \
        from pg_constraint, unnest(conkey, confkey) as pair(ours, live_column) \
        join pg_attribute as ours on ours.attnum = pair.ours \
        join pg_attribute as live on live.attnum = pair.live_column \
        where contype = 'f' and confrelid = $1::regclass and conrelid <> confrelid and conparentid = 0 \
        and ours.attrelid = conrelid and live.attrelid = confrelid group by pg_constraint.oid, conname, conrelid \
        order by conname",
    // Before each row; every hypertable has one of that name.
    triggers: "select tgname::text from pg_trigger where tgrelid = $1::regclass and not tgisinternal \
        and tgtype & 3 = 3 and tgenabled in ('O', 'A') and tgname <> 'ts_insert_blocker' order by tgname",
};

/// PostgreSQL's side tables.
pub(super) struct SideTables;

impl Tables for SideTables {
    fn create<'a>(
        &self,
        store: &'a mut dyn Store,
        (like, table): (&'a str, &'a str),
        kind: &'static str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            store.rows(format!("create {kind} {table} (like {like} including all)"), &[]).await?;
            // A temporary table cannot be a hypertable.
            if kind == "table" {
                hypertable(store, (like, table)).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

/// Converts the table to a hypertable with the same column and chunks, if the other is one.
async fn hypertable(store: &mut dyn Store, (like, table): (&str, &str)) -> Result<(), StoreError> {
    if store.rows(TIMESCALE.to_owned(), &[]).await?.is_empty() {
        return Ok(());
    }
    let query = "select column_name::text, time_interval::text from timescaledb_information.dimensions \
        where hypertable_name = $1 and hypertable_schema = current_schema() and dimension_number = 1";
    let found = store.rows(query.to_owned(), &[like]).await?;
    if let Some([Some(column), Some(interval)]) = found.first().map(Vec::as_slice) {
        let statement = format!(
            "select create_hypertable('{table}', '{column}', chunk_time_interval => $1::interval, \
             create_default_indexes => false)::text"
        );
        store.rows(statement, &[interval]).await?;
    }
    Ok(())
}
