//! Makes hypertables of the tables that the declarations divide into chunks, where TimescaleDB is installed.

use std::time::Instant;

use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use super::Session;
use crate::hypertables::{self, Layout, declared};
use crate::migrations::Progress;
use crate::outcome::StoreError;
use crate::postgres::TIMESCALE;
use crate::postgres::fault::classify;

/// Brings every table to its declaration. Nothing depends on it: a table that the database refuses to convert, or that
/// belongs to another user, stays as it is, and a line says so.
pub(super) async fn arrange(session: &mut Session<'_>) -> Result<(), StoreError> {
    let (ours, others): (Vec<Layout>, Vec<Layout>) =
        due(session).await?.into_iter().partition(|layout| layout.is_owned);
    if !others.is_empty() {
        let count = others.len();
        let line =
            format!("{count} tables are no hypertables as declared: call `migrate up` as the owner of the tables");
        (session.report)(&Progress::Slow(line));
    }
    if ours.is_empty() {
        return Ok(());
    }
    session.lock().await?;
    // Another process may have done it meanwhile.
    for layout in due(session).await?.into_iter().filter(|layout| layout.is_owned) {
        let Some(one) = declared().find(|one| one.table() == layout.table) else { continue };
        let (what, start) = (what(&layout), Instant::now());
        match session.patiently(&what, &[&one.arrange()]).await {
            Ok(()) if layout.is_empty() => {}
            Ok(()) => {
                let line = format!("{what} took {:.1} s", start.elapsed().as_secs_f32());
                (session.report)(&Progress::Done(line));
            }
            Err(StoreError::Halt(reason)) => (session.report)(&Progress::Slow(reason)),
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// What is done with a table that is not as declared.
fn what(layout: &Layout) -> String {
    let Layout { table, column, chunk_days, .. } = layout;
    match layout.chunks {
        None => format!("conversion of `{table}` to a hypertable by `{column}`"),
        Some(_) => format!("chunks of {chunk_days} days for `{table}`"),
    }
}

/// The tables that are not as declared.
async fn due(session: &mut Session<'_>) -> Result<Vec<Layout>, StoreError> {
    if session.connection.fetch_optional(TIMESCALE).await.map_err(classify)?.is_none() {
        return Ok(Vec::new());
    }
    let query = AssertSqlSafe(hypertables::layouts_query());
    let rows = session.connection.fetch_all(query).await.map_err(classify)?;
    let texts = rows.iter().map(|row| (0..row.len()).map(|at| row.get::<Option<String>, _>(at)).collect()).collect();
    Ok(hypertables::layouts(texts).into_iter().filter(|layout| !layout.is_as_declared()).collect())
}
