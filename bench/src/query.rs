//! `tapedeck-bench query`: how long the queries take that dashboards and backtests ask most.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use serde::Serialize;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection};
use store::Database;

use crate::report::{check_limits, print};
use crate::scratch;

mod ask;
mod data;

use ask::{AS_OF, QUERIES, Query};
use data::Data;

/// A query with many rows is asked in one of so many rounds.
const LARGE_EVERY: u64 = 10;
/// Most that the median of an as-of read may grow from 1 to 1,000 revisions per row.
const AS_OF_RATIO_LIMIT: f64 = 1.5;

/// Measure queries of five million bars
///
/// Fills a PostgreSQL database of its own with daily bars, of which 2 % are revised, and with statements, facts and splits.
/// Then it asks each query with other symbols and days in each round, without a source, as users write them. A time is that
/// from sending the statement to its last row, planning included. The same statements run once before, so they are warm. Per
/// million bars it needs about 0.5 GB on disk.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: tapedeck-bench query --bars 500000 --symbols 200 --check")]
pub(crate) struct Arguments {
    /// Number of daily bars
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    bars: u64,
    /// Symbols that the bars are of
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    symbols: u64,
    /// Rounds in which each query is asked
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rounds: u64,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    /// Fail when a query takes longer than its limit
    #[arg(long)]
    check: bool,
}

/// Measures and prints.
pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let beside = Database::from_settings()?;
    ensure!(!scratch::is_file(&beside), "`query` measures PostgreSQL: set `TAPEDECK_DATABASE_URL` to one");
    let data = Data::new(arguments.bars, arguments.symbols)?;
    let name = format!("tapedeck_bench_{}", std::process::id());
    let database = scratch::create(&beside, &name).await?;
    let measured = measure(&database, &data, arguments.rounds).await;
    scratch::remove(&database, &beside, &name).await?;
    let report = measured?;
    print(&report, arguments.json)?;
    check_limits(&report.missed, arguments.check)
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    bars: u64,
    symbols: u64,
    rounds: u64,
    load_seconds: f64,
    queries: Vec<Measured>,
    /// Median of the as-of read at 1,000 revisions per row, divided by that at 1.
    as_of_ratio: f64,
    database: String,
    /// Limits that were exceeded.
    missed: Vec<String>,
}

/// How long a query took.
#[derive(Debug, Serialize)]
struct Measured {
    name: &'static str,
    /// Rows of one answer.
    rows: usize,
    p50_ms: f64,
    p99_ms: f64,
    limit_ms: Option<f64>,
}

async fn measure(database: &Database, data: &Data, rounds: u64) -> anyhow::Result<Report> {
    database.migrate_to(None, &|_| {}).await?;
    let options: PgConnectOptions = database.address().expose().parse()?;
    let mut connection = options.disable_statement_logging().connect().await?;
    let began = Instant::now();
    data.load(&mut connection).await?;
    let load_seconds = began.elapsed().as_secs_f64();
    eprintln!("{} bars and what belongs to them stored after {load_seconds:.0} s", data.bars());
    // The first pass only warms the caches.
    ask(&mut connection, data, rounds).await?;
    let queries = ask(&mut connection, data, rounds).await?;
    connection.close().await?;
    let median = |name: &str| queries.iter().find(|query| query.name == name).map(|query| query.p50_ms);
    let [first, .., last] = AS_OF;
    let as_of_ratio = median(last).zip(median(first)).map(|(last, first)| last / first).context("no as-of read")?;
    Ok(Report {
        bars: data.bars(),
        symbols: data.symbols,
        rounds,
        load_seconds,
        missed: missed(&queries, as_of_ratio),
        queries,
        as_of_ratio,
        database: database.shown(),
    })
}

/// The figures above their limits.
fn missed(queries: &[Measured], as_of_ratio: f64) -> Vec<String> {
    let slow = queries.iter().filter_map(|query| {
        let limit = query.limit_ms.filter(|limit| query.p99_ms > *limit)?;
        Some(format!("p99 of {} is {:.2} ms, the limit is {limit} ms", query.name, query.p99_ms))
    });
    let steep = (as_of_ratio > AS_OF_RATIO_LIMIT).then(|| {
        format!("1,000 revisions per row take {as_of_ratio:.2} times as long as 1, the limit is {AS_OF_RATIO_LIMIT}")
    });
    slow.chain(steep).collect()
}

/// Asks all queries in each round, so that they meet the same conditions.
async fn ask(connection: &mut PgConnection, data: &Data, rounds: u64) -> anyhow::Result<Vec<Measured>> {
    let mut times: Vec<Vec<f64>> = QUERIES.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for (query, times) in QUERIES.iter().zip(&mut times) {
            if !query.is_large || round.is_multiple_of(LARGE_EVERY) {
                times.push(time(connection, data, query, round).await?);
            }
        }
    }
    Ok(QUERIES.iter().zip(times).map(|(query, times)| measured(data, query, times)).collect())
}

/// Asks once; returns the time until the last row, in milliseconds.
async fn time(connection: &mut PgConnection, data: &Data, query: &Query, round: u64) -> anyhow::Result<f64> {
    let (statement, expected) = ((query.statement)(data, round), (query.rows)(data));
    let began = Instant::now();
    let found = connection.fetch_all(AssertSqlSafe(statement)).await?;
    let elapsed = began.elapsed().as_secs_f64() * 1e3;
    ensure!(found.len() == expected, "{} found {} rows in round {round}, not {expected}", query.name, found.len());
    Ok(elapsed)
}

fn measured(data: &Data, query: &Query, mut times: Vec<f64>) -> Measured {
    times.sort_unstable_by(f64::total_cmp);
    let at = |percent: usize| times[(times.len() * percent).div_ceil(100).max(1) - 1];
    let (p50_ms, p99_ms) = (at(50), at(99));
    Measured { name: query.name, rows: (query.rows)(data), p50_ms, p99_ms, limit_ms: query.limit_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_above_its_limit_is_named_and_no_other() {
        let query = |name, p99_ms, limit_ms| Measured { name, rows: 1, p50_ms: 0.1, p99_ms, limit_ms };
        let queries = [query("one", 1.0, Some(1.0)), query("two", 2.25, Some(2.0)), query("three", 9.0, None)];
        assert_eq!(missed(&queries, 1.5), ["p99 of two is 2.25 ms, the limit is 2 ms"]);
        assert_eq!(
            missed(&queries[..1], 1.75),
            ["1,000 revisions per row take 1.75 times as long as 1, the limit is 1.5"]
        );
    }

    #[test]
    fn the_99th_percentile_of_a_hundred_times_is_exceeded_by_one_of_them() {
        let data = Data::new(1_000, 1).unwrap();
        let found = measured(&data, &QUERIES[0], (1..=100).rev().map(f64::from).collect());
        assert_eq!((found.p50_ms, found.p99_ms), (50.0, 99.0));
        let found = measured(&data, &QUERIES[0], vec![7.0]);
        assert_eq!((found.p50_ms, found.p99_ms), (7.0, 7.0));
    }
}
