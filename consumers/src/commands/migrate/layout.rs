//! How TimescaleDB holds the tables, for a person.

use std::fmt::Write as _;

use store::{Database, Layout, Timescale};

const BYTES_PER_MB: u64 = 1_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// A line about TimescaleDB, then one per table; empty without it.
pub(super) async fn shown(database: &Database) -> anyhow::Result<String> {
    let Some(timescale) = database.timescale().await? else { return Ok(String::new()) };
    Ok(listed(&timescale, &database.layouts().await?))
}

fn listed(timescale: &Timescale, layouts: &[Layout]) -> String {
    let edition = match timescale.has_policies() {
        true => "community edition",
        false => "Apache edition: compression and retention need the community edition",
    };
    let mut text = format!("TimescaleDB {}, {edition}\n", timescale.version);
    for layout in layouts {
        let _ = writeln!(text, "  {:<29} {}", layout.table, described(layout));
    }
    text
}

fn described(Layout { column, chunk_days, chunks, .. }: &Layout) -> String {
    let Some(chunks) = chunks else {
        return format!("a plain table: `migrate up` divides it by {column} into chunks of {chunk_days} days");
    };
    let days = match (chunks.seconds / SECONDS_PER_DAY, chunks.seconds % SECONDS_PER_DAY) {
        (days, 0) => format!("{days} days"),
        _ => format!("{} s", chunks.seconds),
    };
    let mut text = format!("{} chunks of {days} by {column}", chunks.number);
    if chunks.seconds != u64::from(*chunk_days) * SECONDS_PER_DAY {
        let _ = write!(text, " (declared: {chunk_days} days)");
    }
    if chunks.is_compressible {
        let when = chunks.compress_after.as_ref().map_or("no more".to_owned(), |age| format!("after {age}"));
        let _ = write!(text, ", {} compressed, {when}", chunks.compressed);
    }
    if let Some(age) = &chunks.drop_after {
        let _ = write!(text, ", removed after {age}");
    }
    text
}

/// One line per table that `migrate up` would change.
pub(super) async fn conversions(database: &Database) -> anyhow::Result<String> {
    let layouts = database.layouts().await?;
    let due = layouts.iter().filter(|layout| !layout.is_as_declared());
    let (empty, filled): (Vec<&Layout>, Vec<&Layout>) =
        due.partition(|layout| layout.chunks.is_none() && layout.is_empty());
    let mut text: String = filled.into_iter().map(conversion).collect();
    if !empty.is_empty() {
        let _ = writeln!(text, "converts {} empty tables to hypertables", empty.len());
    }
    Ok(text)
}

fn conversion(Layout { table, column, chunk_days, bytes, chunks, .. }: &Layout) -> String {
    match chunks {
        Some(_) => format!("makes the next chunks of `{table}` {chunk_days} days long\n"),
        None => format!(
            "converts `{table}` ({} MB) to a hypertable by `{column}`: nobody reads or writes it meanwhile\n",
            bytes.div_ceil(BYTES_PER_MB)
        ),
    }
}
