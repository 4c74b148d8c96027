//! `tapedeck-bench pipeline`: old days of many symbols, from the simulator by the producer that ships onto Kafka, and
//! by the consumer that ships into the database at the same time.

use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use cli::deck::child::Child;
use cli::deck::progress::Report as Progress;
use contract::topic;
use serde::Serialize;
use simulator::{Config, Simulator};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::bars::{DATASET, generated};
use crate::limits::copy_rate;
use crate::memory::resident_mb;
use crate::report::{check_limits, print};
use crate::setup::{Bench, on_bench};

/// Symbols and years that the limits are for: 1.26 million bars at 252 sessions a year; the simulator has some more.
const SYMBOLS: usize = 500;
/// See [`SYMBOLS`].
const YEARS: u32 = 10;
/// Seconds from the start until all of them may be on Kafka.
const KAFKA_LIMIT: f64 = 15.0;
/// Seconds from the start until all of them may be in the database.
const DATABASE_LIMIT: f64 = 25.0;
/// The simulator's symbol that trades every day.
const NO_SHARE: &str = "SIM-USD";

/// Measure a backfill from the simulator to the database
///
/// `producer backfill` publishes old daily bars of many symbols while `consumer run` stores them. The clock stops when
/// all of them are in the database. The simulator prepares its responses before the clock starts, and no pauses are
/// made between requests to it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: tapedeck-bench pipeline --symbols 50 --years 2 --partitions 64 --catch-up")]
pub(crate) struct Arguments {
    /// Number of shares
    #[arg(long, default_value_t = SYMBOLS)]
    symbols: usize,
    /// Years of daily bars
    #[arg(long, default_value_t = YEARS, value_parser = clap::value_parser!(u32).range(1..=10))]
    years: u32,
    /// Partitions of the topic; by default as many as tapedeck creates
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=1024))]
    partitions: Option<i32>,
    /// Start the consumer, and its clock, once all bars are on Kafka
    #[arg(long)]
    catch_up: bool,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    /// Fail when it takes longer than its limit
    #[arg(long)]
    check: bool,
}

/// Measures and prints.
pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let report = on_bench(DATASET, async |bench| bench.pipeline(arguments).await).await?;
    print(&report, arguments.json)?;
    check_limits(&report.missed, arguments.check)
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    symbols: usize,
    years: u32,
    bars: u64,
    partitions: i64,
    /// Records of a committed chunk, on average.
    bars_per_chunk: f64,
    /// From the start of producer and consumer until Kafka has acknowledged every bar.
    kafka_seconds: f64,
    /// From the same start until every bar is committed; with `--catch-up` from the start of the consumer.
    database_seconds: f64,
    /// Bars divided by `database_seconds`.
    bars_per_second: f64,
    /// Other rows by plain `COPY` into the same table, one connection: the database's limit, in the same run.
    copy_rows_per_second: Option<f64>,
    /// `bars_per_second` divided by `copy_rows_per_second`.
    ratio_to_copy: Option<f64>,
    producer_resident_mb: f64,
    consumer_resident_mb: f64,
    database: String,
    /// Limits that were exceeded.
    missed: Vec<String>,
}

impl Bench {
    async fn pipeline(&self, arguments: &Arguments) -> anyhow::Result<Report> {
        let Arguments { symbols, years, .. } = *arguments;
        ensure!(symbols > 0, "`--symbols` must be at least 1");
        let simulator = Simulator::start(Config { symbols: symbols + 1, years, ..Config::default() }).await?;
        let shares: Vec<String> = simulator.symbols().into_iter().filter(|symbol| symbol != NO_SHARE).collect();
        let shares = &shares[..symbols];
        // The time that a provider takes to answer must not be measured.
        let bars: u64 = shares.iter().map(|symbol| simulator.draw_chart(symbol) as u64).sum();
        let topics = [topic::topic(self.cluster.namespace(), self.dataset)];
        match arguments.partitions {
            Some(partitions) => self.cluster.ensure_topics_of(&topics, partitions).await?,
            None => self.cluster.ensure_topics(&topics).await?,
        }
        let mut began = Instant::now();
        let early = if arguments.catch_up { None } else { Some(self.consumer("live", &[])?) };
        let producer = self.producer(&simulator, backfill(&simulator, shares), &[])?;
        let (kafka_seconds, producer_resident_mb) = published(producer, (symbols, bars), began).await?;
        let consumer = match early {
            Some(consumer) => consumer,
            None => {
                began = Instant::now();
                self.consumer("live", &[])?
            }
        };
        self.await_rows(bars).await?;
        let database_seconds = began.elapsed().as_secs_f64();
        let consumer_resident_mb = resident_mb(consumer.id())?;
        consumer.stop().await?;
        self.check(bars).await?;
        let copy_rows_per_second = copy_rate(&self.database, self.dataset, &generated(bars / 4)).await?;
        let bars_per_second = bars as f64 / database_seconds;
        let has_limit = (symbols, years) == (SYMBOLS, YEARS) && !arguments.catch_up;
        Ok(Report {
            symbols,
            years,
            bars,
            partitions: self.number("select count(*) from sink_position").await?,
            bars_per_chunk: bars as f64 / self.number("select count(*) from sink_chunk").await? as f64,
            kafka_seconds,
            database_seconds,
            bars_per_second,
            copy_rows_per_second,
            ratio_to_copy: copy_rows_per_second.map(|copy| bars_per_second / copy),
            producer_resident_mb,
            consumer_resident_mb,
            database: self.database.shown(),
            missed: if has_limit { missed(kafka_seconds, database_seconds) } else { Vec::new() },
        })
    }

    /// Fails unless each bar was read once and stored as one row.
    async fn check(&self, bars: u64) -> anyhow::Result<()> {
        let outcomes: Vec<_> =
            self.database.store("bench").totals().await?.into_iter().map(|total| total.outcome).collect();
        let read: u64 = outcomes.iter().map(|outcome| outcome.read).sum();
        let inserted: u64 = outcomes.iter().map(|outcome| outcome.inserted).sum();
        let rows = self.number(&format!("select count(*) from {}", self.dataset.name)).await?.cast_unsigned();
        ensure!(
            [read, inserted, rows] == [bars; 3],
            "the simulator has {bars} bars, of which {read} were read from Kafka, {inserted} inserted, and {rows} are stored"
        );
        // The topic holds nothing that was not read.
        let mut verification = self.consumer_command(("verify", false), &["verify"], &[])?;
        let status = verification.wait().await?;
        ensure!(status.success(), "the database is not what the topic says; see {}", verification.log().display());
        Ok(())
    }
}

/// Waits until the producer of `expected` items and bars has ended; returns when Kafka had acknowledged all of them, in
/// seconds, and the producer's memory.
async fn published(mut producer: Child, expected: (usize, u64), began: Instant) -> anyhow::Result<(f64, f64)> {
    let log = producer.log();
    let mut lines =
        BufReader::new(producer.stdout().context("the standard output of the producer is not piped")?).lines();
    let (mut seconds, mut memory, mut items, mut records) = (0.0, 0.0, 0, 0);
    while let Some(line) = lines.next_line().await? {
        let report: Progress = serde_json::from_str(&line).with_context(|| format!("the producer says `{line}`"))?;
        if let Some(error) = report.error {
            bail!("polling `{}` failed: {error}; see {}", report.item, log.display());
        }
        if !report.done {
            (items, records) = (items + 1, records + report.published);
            seconds = began.elapsed().as_secs_f64();
            // The producer may have ended meanwhile.
            memory = resident_mb(producer.id()).unwrap_or(memory);
        }
    }
    let status = producer.wait().await?;
    // Dividends and splits come with the bars.
    let is_all = status.success() && items == expected.0 && records >= expected.1;
    ensure!(is_all, "of {expected:?} symbols and bars {items} and {records} were published; see {}", log.display());
    Ok((seconds, memory))
}

/// The command line for all days of some symbols.
fn backfill(simulator: &Simulator, symbols: &[String]) -> Vec<String> {
    let [first, last] = simulator.days().map(|day| day.to_string());
    let items = symbols.iter().flat_map(|symbol| ["--item", symbol]);
    let days = ["--from", &first, "--to", &last, "--progress"];
    ["backfill", "yahoo", "chart"].into_iter().chain(items).chain(days).map(str::to_owned).collect()
}

/// The limits that were exceeded.
fn missed(kafka_seconds: f64, database_seconds: f64) -> Vec<String> {
    let kept = [("Kafka", kafka_seconds, KAFKA_LIMIT), ("the database", database_seconds, DATABASE_LIMIT)];
    let missed = kept.into_iter().filter(|(_, seconds, limit)| seconds >= limit);
    missed
        .map(|(place, seconds, limit)| format!("all bars were in {place} after {seconds:.1} s, not {limit} s"))
        .collect()
}
