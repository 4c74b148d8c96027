//! Side tables in SQLite.

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::outcome::StoreError;
use crate::store::{Store, Tables};
use crate::syntax::Exchange;

pub(super) const EXCHANGE: Exchange = Exchange {
    // SQLite allows one writer: a write transaction locks everything.
    begin: &["begin immediate"],
    lock_positions: None,
    lock_tables: None,
    columns: "select live.name from pragma_table_xinfo($1) as live join pragma_table_xinfo($2) as side using (name) \
        where live.hidden = 0 and side.hidden = 0",
    hidden: None,
    obstacles: &[],
    references: "select 'of ' || name, '\"' || replace(name, '\"', '\"\"') || '\"', \
        group_concat('theirs.\"' || replace(ours, '\"', '\"\"') || '\" = live.\"' || theirs || '\"', ' and ') \
        from (select tables.name, keys.id, keys.\"from\" as ours, \
            coalesce(keys.\"to\", (select name from pragma_table_info($1) where pk = keys.seq + 1)) as theirs \
            from sqlite_schema as tables, pragma_foreign_key_list(tables.name) as keys \
            where tables.type = 'table' and lower(keys.\"table\") = lower($1) and tables.name <> $1) \
        group by name, id order by name, id",
    triggers: "select name from sqlite_schema where type = 'trigger' and tbl_name = $1 order by name",
};

/// SQLite's side tables.
pub(super) struct SideTables;

impl Tables for SideTables {
    fn create<'a>(
        &self,
        store: &'a mut dyn Store,
        (like, table): (&'a str, &'a str),
        kind: &'static str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            let query = "select sql from sqlite_schema where type = 'table' and name = $1";
            let found = store.rows(query.to_owned(), &[like]).await?;
            let definition = found.into_iter().flatten().next().flatten().unwrap_or_default();
            let columns = definition.split_once('(').map_or("", |(_, columns)| columns);
            store.rows(format!("create {kind} {table} ({columns}"), &[]).await.map(drop)
        }
        .boxed()
    }
}
