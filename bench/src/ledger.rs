//! `tapedeck-bench ledger`: how large the ledger is after a year.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use store::Database;

use crate::report::print;
use crate::scratch::{self, size};

/// Chunks of a day at 11 polls/s, each of which is a chunk of its own.
const CHUNKS_PER_DAY: i64 = 11 * 86_400;
const DAYS: i64 = 365;
/// Its table.
const LEDGER: &str = "sink_chunk";

/// Measure the size of the ledger after a year at 11 chunks/s
///
/// Writes a share of a year's chunks, and compacts the ledger after each day as a consumer does.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: tapedeck-bench ledger --share 100")]
pub(crate) struct Arguments {
    /// Write one in so many chunks
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    share: i64,
    /// Partitions of all datasets
    #[arg(long, default_value_t = 48, value_parser = clap::value_parser!(i64).range(1..=1000))]
    partitions: i64,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    /// Entries that were written.
    written: i64,
    /// Entries that are left.
    kept: i64,
    /// Of those, entries of the last day: one per chunk.
    kept_of_the_last_day: i64,
    /// Size of the table and its index.
    size_mb: f64,
    /// Bytes per entry after the first day, before anything was merged.
    bytes_per_chunk: f64,
    /// Size after a year of all chunks: this size, and the other chunks of the last day.
    year_mb: f64,
    /// Time per entry that was merged.
    merge_us: f64,
    database: String,
}

/// Measures and prints.
pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let beside = Database::from_settings()?;
    let name = format!("tapedeck_bench_{}", std::process::id());
    let database = scratch::create(&beside, &name).await?;
    let measured = measure(&database, arguments).await;
    scratch::remove(&database, &beside, &name).await?;
    print(&measured?, arguments.json)
}

async fn measure(database: &Database, arguments: &Arguments) -> anyhow::Result<Report> {
    database.migrate_to(None, &|_| {}).await?;
    let is_sqlite = scratch::is_file(database);
    let Arguments { share, partitions, .. } = *arguments;
    let per_partition = (CHUNKS_PER_DAY / share / partitions).max(1);
    let start: DateTime<Utc> = "2025-01-01T00:00:00Z".parse()?;
    let mut store = database.store("bench");
    let empty = size(database, LEDGER).await?;
    let (mut bytes_per_chunk, mut removed, mut merging) = (0.0, 0, std::time::Duration::ZERO);
    for number in 0..partitions {
        let position = format!(
            "insert into sink_position (sink, kafka_topic, kafka_incarnation, kafka_partition, next_offset, updated_at) \
             values ('tapedeck.ohlcv_bar.postgres', 'tapedeck.ohlcv_bar.v1', 0, {number}, 0, '2025-01-01T00:00:00.000000Z')"
        );
        store.rows(position, &[]).await?;
    }
    for day in 0..DAYS {
        store.rows(chunks(day, start, (partitions, per_partition), is_sqlite), &[]).await?;
        if day == 0 {
            bytes_per_chunk = (size(database, LEDGER).await? - empty) / (partitions * per_partition) as f64;
        }
        let begun = std::time::Instant::now();
        removed += database.compact_ledger(start + TimeDelta::days(day + 1)).await?;
        merging += begun.elapsed();
        if !is_sqlite {
            // Autovacuum does the same after 20 % of the rows have changed.
            store.rows("vacuum sink_chunk".to_owned(), &[]).await?;
        }
    }
    let kept = scratch::number(database, "select count(*) from sink_chunk").await?;
    let kept_of_the_last_day = partitions * per_partition;
    let size_mb = (size(database, LEDGER).await? - empty) / 1e6;
    Ok(Report {
        written: DAYS * partitions * per_partition,
        kept,
        kept_of_the_last_day,
        size_mb,
        bytes_per_chunk,
        year_mb: size_mb + (CHUNKS_PER_DAY - kept_of_the_last_day) as f64 * bytes_per_chunk / 1e6,
        merge_us: merging.as_secs_f64() * 1e6 / removed.max(1) as f64,
        database: database.shown(),
    })
}

/// Writes the chunks of a day, in the order of their commits.
fn chunks(day: i64, start: DateTime<Utc>, (partitions, each): (i64, i64), is_sqlite: bool) -> String {
    let (first, begin) = (day * each, (start + TimeDelta::days(day)).format("%Y-%m-%d 00:00:00"));
    let pause = 86_400.0 / each as f64;
    let (series, time) = if is_sqlite {
        (
            format!(
                "with recursive p(p) as (select 0 union all select p + 1 from p where p < {partitions} - 1), \
                 i(i) as (select 0 union all select i + 1 from i where i < {each} - 1)"
            ),
            format!("strftime('%Y-%m-%dT%H:%M:%f000Z', '{begin}', '+' || (i.i * {pause}) || ' seconds')"),
        )
    } else {
        (
            format!(
                "with p(p) as (select generate_series(0, {partitions} - 1)), i(i) as (select generate_series(0, {each} - 1))"
            ),
            format!("cast('{begin}Z' as timestamptz) + i.i * interval '{pause} seconds'"),
        )
    };
    format!(
        "{series} insert into sink_chunk (sink, kafka_topic, kafka_incarnation, kafka_partition, from_offset, to_offset, \
         records_read, records_inserted, records_changed, records_unchanged, records_superseded, records_dead_lettered, \
         committed_at) select 'tapedeck.ohlcv_bar.postgres', 'tapedeck.ohlcv_bar.v1', 0, p.p, ({first} + i.i) * 10, \
         ({first} + i.i) * 10 + 10, 10, 10, 0, 0, 0, 0, {time} from i, p where true order by i.i, p.p"
    )
}
