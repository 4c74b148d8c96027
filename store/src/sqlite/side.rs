//! Side tables in SQLite.

use contract::Dataset;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::outcome::StoreError;
use crate::store::{Store, Tables};

/// SQLite's side tables.
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
            let query = "select sql from sqlite_schema where type = 'table' and name = $1";
            let found = store.rows(query.to_owned(), &[&dataset.name]).await?;
            let definition = found.into_iter().flatten().next().flatten().unwrap_or_default();
            let columns = definition.split_once('(').map_or("", |(_, columns)| columns);
            store.rows(format!("create {kind} {table} ({columns}"), &[]).await.map(drop)
        }
        .boxed()
    }

    /// SQLite's views are not checked.
    fn check_exchange<'a>(&self, _: &'a mut dyn Store, _: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        async { Ok(()) }.boxed()
    }

    /// SQLite allows one writer: a write transaction locks everything.
    fn begin_exchange<'a>(
        &self,
        store: &'a mut dyn Store,
        _: &'a str,
        _: [&'a str; 2],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        async move { store.rows("begin immediate".to_owned(), &[]).await.map(drop) }.boxed()
    }

    fn exchange<'a>(
        &self,
        store: &'a mut dyn Store,
        live: &'a str,
        side: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            let aside = format!("{side}_aside");
            for (from, to) in [(live, aside.as_str()), (side, live), (aside.as_str(), side)] {
                store.rows(format!("alter table {from} rename to {to}"), &[]).await?;
            }
            Ok(())
        }
        .boxed()
    }
}
