//! The declarations' texts as comments on tables and columns.

use std::collections::HashMap;

use contract::{Dataset, datasets};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};

use super::is_contention;
use crate::migrations::{Progress, Report};
use crate::outcome::StoreError;
use crate::postgres::fault::classify;
use crate::sql;

/// The advisory lock for writing comments: any number that no other program uses.
const LOCK: i64 = 0x7461_7065_6465_636b;

/// Writes comments where the present ones differ. Nothing depends on them, so a lock that is held leaves them for the
/// next start.
pub(super) async fn write(connection: &mut PgConnection, report: Report<'_>) -> Result<(), StoreError> {
    match write_all(connection).await {
        Err(error) if is_contention(&error) => {
            let line = "a table is locked: its comments are written at the next start";
            report(&Progress::Slow(line.to_owned()));
            Ok(())
        }
        written => written.map_err(classify),
    }
}

async fn write_all(connection: &mut PgConnection) -> sqlx::Result<()> {
    // One process after the other: PostgreSQL returns an error to one of two that comment on a table concurrently.
    let mut transaction = connection.begin().await?;
    let lock = sqlx::query_scalar("select pg_try_advisory_xact_lock($1)").bind(LOCK);
    if lock.fetch_one(&mut *transaction).await? {
        for dataset in datasets() {
            write_on(&mut transaction, dataset).await?;
        }
    }
    transaction.commit().await
}

async fn write_on(connection: &mut PgConnection, dataset: &Dataset) -> sqlx::Result<()> {
    let query = "select attname::text, col_description(attrelid, attnum) from pg_attribute \
        where attrelid = $1::regclass and attnum > 0 union all select '', obj_description($1::regclass, 'pg_class')";
    let rows = sqlx::query(query).bind(&dataset.name).fetch_all(&mut *connection).await?;
    let present: HashMap<String, Option<String>> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    for (column, text) in sql::comments(dataset) {
        if present.get(column.unwrap_or_default()) != Some(&Some(text.clone())) {
            connection.execute(AssertSqlSafe(statement(dataset, column, &text))).await?;
        }
    }
    Ok(())
}

/// The statement that comments on a table, or on one of its columns.
pub(super) fn statement(dataset: &Dataset, column: Option<&str>, text: &str) -> String {
    let target = match column {
        None => format!("table {}", dataset.name),
        Some(column) => format!("column {}.{column}", dataset.name),
    };
    format!("comment on {target} is '{}'", text.replace('\'', "''"))
}
