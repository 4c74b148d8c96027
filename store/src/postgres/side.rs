//! Side tables in PostgreSQL.

use contract::Dataset;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::outcome::StoreError;
use crate::store::{Store, Tables};

/// PostgreSQL's side tables.
pub(super) struct SideTables;

impl Tables for SideTables {
    fn create<'a>(
        &self,
        store: &'a mut dyn Store,
        dataset: &'a Dataset,
        table: &'a str,
        kind: &'static str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            store.rows(format!("create {kind} {table} (like {} including all)", dataset.name), &[]).await?;
            // A temporary table cannot be a hypertable.
            if kind == "table" {
                hypertable(store, dataset, table).await?;
            }
            Ok(())
        }
        .boxed()
    }

    /// A view would keep reading the old table, whatever its new name.
    fn check_exchange<'a>(&self, store: &'a mut dyn Store, live: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        refuse_views(store, live).boxed()
    }

    /// Locks in the same order as a chunk's commit: positions, then the table.
    fn begin_exchange<'a>(
        &self,
        store: &'a mut dyn Store,
        topic: &'a str,
        [live, side]: [&'a str; 2],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            store.rows("begin".to_owned(), &[]).await?;
            let lock =
                "select sink from sink_position where kafka_topic = $1 order by sink, kafka_partition for update";
            store.rows(lock.to_owned(), &[topic]).await?;
            store.rows(format!("lock table {live}, {side} in access exclusive mode"), &[]).await.map(drop)
        }
        .boxed()
    }

    fn exchange<'a>(
        &self,
        store: &'a mut dyn Store,
        live: &'a str,
        side: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            copy_grants(store, live, side).await?;
            let aside = format!("{side}_aside");
            for (from, to) in [(live, aside.as_str()), (side, live), (aside.as_str(), side)] {
                store.rows(format!("alter table {from} rename to {to}"), &[]).await?;
                rename_parts(store, to, from, to).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

/// Converts the side table to a hypertable with the same chunk interval, if the live table is one.
async fn hypertable(store: &mut dyn Store, dataset: &Dataset, table: &str) -> Result<(), StoreError> {
    let installed =
        store.rows("select 1::text from pg_extension where extname = 'timescaledb'".to_owned(), &[]).await?;
    let Some(time) = dataset.time.filter(|_| !installed.is_empty()) else {
        return Ok(());
    };
    let query = "select time_interval::text from timescaledb_information.dimensions where hypertable_name = $1";
    let found = store.rows(query.to_owned(), &[&dataset.name]).await?;
    if let Some(interval) = found.into_iter().flatten().next().flatten() {
        let statement = format!(
            "select create_hypertable('{table}', '{}', chunk_time_interval => $1::interval, \
             create_default_indexes => false)::text",
            dataset.fields[time].name
        );
        store.rows(statement, &[&interval]).await?;
    }
    Ok(())
}

/// A view would keep reading the old table, whatever its new name.
async fn refuse_views(store: &mut dyn Store, live: &str) -> Result<(), StoreError> {
    let query = "select distinct rewritten.ev_class::regclass::text from pg_depend \
        join pg_rewrite as rewritten on rewritten.oid = pg_depend.objid \
        where pg_depend.refobjid = $1::regclass and rewritten.ev_class <> $1::regclass";
    let views: Vec<String> = store.rows(query.to_owned(), &[live]).await?.into_iter().flatten().flatten().collect();
    if views.is_empty() {
        return Ok(());
    }
    Err(StoreError::Halt(format!(
        "cannot exchange `{live}`: {} would go on reading the old rows; drop and create again after the exchange",
        views.join(", ")
    )))
}

/// Grants the live table's privileges on the side table.
async fn copy_grants(store: &mut dyn Store, live: &str, side: &str) -> Result<(), StoreError> {
    let query = "select case grantee when 0 then 'public' else grantee::regrole::text end, privilege_type, \
        is_grantable::text from pg_class, aclexplode(relacl) where oid = $1::regclass";
    for grant in store.rows(query.to_owned(), &[live]).await? {
        let [Some(grantee), Some(privilege), Some(grantable)] = grant.as_slice() else { continue };
        let option = if grantable == "true" { " with grant option" } else { "" };
        store.rows(format!("grant {privilege} on {side} to {grantee}{option}"), &[]).await?;
    }
    Ok(())
}

/// Renames a table's constraints and indexes after its new name, so that migrations find them.
async fn rename_parts(store: &mut dyn Store, table: &str, from: &str, to: &str) -> Result<(), StoreError> {
    let constraints = "select conname::text from pg_constraint where conrelid = $1::regclass";
    let indexes = "select indexrelid::regclass::text from pg_index where indrelid = $1::regclass \
        and not exists (select from pg_constraint where conindid = indexrelid)";
    for (query, is_constraint) in [(constraints, true), (indexes, false)] {
        for name in store.rows(query.to_owned(), &[table]).await?.into_iter().flatten().flatten() {
            let Some(rest) = name.strip_prefix(from).filter(|rest| rest.starts_with('_')) else { continue };
            let statement = match is_constraint {
                true => format!("alter table {table} rename constraint {name} to {to}{rest}"),
                false => format!("alter index {name} rename to {to}{rest}"),
            };
            store.rows(statement, &[]).await?;
        }
    }
    Ok(())
}
