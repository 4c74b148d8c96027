//! `tapedeck-bench verify`: `consumer verify --deep` of many keys.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use cli::deck::child::Child;
use contract::Record;
use contract::records::Observation;
use kafka::publish::Publisher;
use serde::Serialize;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use crate::idle::core_seconds;
use crate::memory::{resident_mb, temporary_bytes};
use crate::report::{check_limits, print};
use crate::scratch::size;
use crate::setup::{Bench, Progress, on_bench};

/// The dataset with the narrowest rows.
const DATASET: &str = "observation";
/// Observations of a series: 27 years of days.
const DAYS: u64 = 10_000;
/// Of every hundred keys, so many are corrected later.
const CORRECTED: u64 = 2;
/// Of every hundred keys, so many are published again as they were.
const REPEATED: u64 = 1;
/// Most resident memory of the comparison, in MB.
const MEMORY_LIMIT_MB: f64 = 256.0;
/// Time between two looks at the comparison.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Looks between two reports of them.
const LOOKS_REPORTED: u64 = 100;

/// Measure a deep verification of many keys
///
/// Publishes observations, some of them again or corrected, while `consumer run` stores them. Then it runs
/// `consumer verify --deep` and watches its memory and its temporary files. Per million keys it needs about 360 MB on disk.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: tapedeck-bench verify --keys 1000000 --check")]
pub(crate) struct Arguments {
    /// Number of keys
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    keys: u64,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    /// Fail when the comparison needs more memory than its limit
    #[arg(long)]
    check: bool,
}

/// Measures and prints.
pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let report = on_bench(DATASET, async |bench| bench.verify(arguments.keys).await).await?;
    print(&report, arguments.json)?;
    check_limits(&report.missed, arguments.check)
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    keys: u64,
    records: u64,
    /// From the start of producer and consumer until every record is committed.
    load_seconds: f64,
    records_per_second: f64,
    /// The table and its index.
    table_mb: f64,
    verify_seconds: f64,
    keys_per_second: f64,
    #[serde(flatten)]
    cost: Cost,
    database: String,
    /// Limits that were exceeded.
    missed: Vec<String>,
}

/// What the comparison needed.
#[derive(Debug, Default, Serialize)]
struct Cost {
    /// Time that it took of all cores; other processes do not change it much.
    core_seconds: f64,
    /// Peak resident memory.
    peak_resident_mb: f64,
    /// Most bytes of its temporary files.
    temporary_mb: f64,
}

impl Bench {
    async fn verify(&self, keys: u64) -> anyhow::Result<Report> {
        let mut publisher = Publisher::connect(&self.cluster, "bench", &[self.dataset]).await?;
        let began = Instant::now();
        let consumer = self.consumer("load", &[])?;
        let records = publish(&mut publisher, keys).await?;
        drop(publisher);
        self.await_rows(records).await?;
        let load_seconds = began.elapsed().as_secs_f64();
        consumer.stop().await?;
        let table_mb = size(&self.database, &self.dataset.name).await? / 1e6;
        eprintln!("{records} records stored after {load_seconds:.0} s, table of {table_mb:.0} MB");

        let began = Instant::now();
        let mut comparison = self.consumer_command(("verify", true), &["verify", "--deep", "--json"], &[])?;
        let (verified, cost) = watch(&mut comparison).await?;
        let verify_seconds = began.elapsed().as_secs_f64();
        let line = &verified["tables"][0];
        let found = ["keys", "rows", "records"].map(|name| line[name].as_u64());
        ensure!(
            verified["verified"] == true && found == [Some(keys), Some(keys), Some(records)],
            "of {keys} keys and {records} records, `verify` says: {verified}"
        );
        let resident = cost.peak_resident_mb;
        let missed = (resident > MEMORY_LIMIT_MB)
            .then(|| format!("{resident:.0} MB were resident, the limit is {MEMORY_LIMIT_MB} MB"));
        Ok(Report {
            keys,
            records,
            load_seconds,
            records_per_second: records as f64 / load_seconds,
            table_mb,
            verify_seconds,
            keys_per_second: keys as f64 / verify_seconds,
            cost,
            database: self.database.shown(),
            missed: missed.into_iter().collect(),
        })
    }
}

/// Waits until a comparison has ended; returns its report and what it needed.
async fn watch(comparison: &mut Child) -> anyhow::Result<(Value, Cost)> {
    let log = comparison.log();
    let mut stdout = comparison.stdout().context("the standard output of the comparison is not piped")?;
    let report = tokio::spawn(async move {
        let mut text = String::new();
        stdout.read_to_string(&mut text).await.map(|_| text)
    });
    let (began, mut looks, mut cost) = (Instant::now(), 0_u64, Cost::default());
    while timeout(LOOK_INTERVAL, comparison.wait()).await.is_err() {
        // It may have ended meanwhile.
        cost.core_seconds = core_seconds(comparison.id()).unwrap_or(cost.core_seconds);
        cost.peak_resident_mb = resident_mb(comparison.id()).unwrap_or(cost.peak_resident_mb);
        let open = temporary_bytes(comparison.id()).unwrap_or(0) as f64 / 1e6;
        cost.temporary_mb = cost.temporary_mb.max(open);
        looks += 1;
        if looks.is_multiple_of(LOOKS_REPORTED) {
            let (seconds, line) = (began.elapsed().as_secs(), comparison.last_line());
            eprintln!("{seconds} s: at most {:.0} MB resident, {open:.0} MB of files; {line}", cost.peak_resident_mb);
        }
    }
    let report = report.await??;
    let report = serde_json::from_str(&report)
        .with_context(|| format!("the comparison says `{report}`; see {}", log.display()))?;
    Ok((report, cost))
}

/// Publishes all observations, and later some of them again; returns how many records that were.
async fn publish(publisher: &mut Publisher, keys: u64) -> anyhow::Result<u64> {
    let mut progress = Progress::new("keys published", keys);
    for at in 0..keys {
        publisher.publish(&observation(at, 0)).await?;
        progress.at(at);
    }
    for at in (0..keys).filter(|at| at % 100 < CORRECTED + REPEATED) {
        let edition = u64::from(at % 100 < CORRECTED);
        publisher.publish(&observation(at, edition)).await?;
    }
    Ok(publisher.flush().await?.records)
}

/// The observation with that number, series after series, as a backfill publishes them. A later edition has the same
/// keys with other values.
fn observation(at: u64, edition: u64) -> Record {
    let (series, day) = (at / DAYS, at % DAYS);
    let observation_date = (DateTime::UNIX_EPOCH + TimeDelta::days(day.cast_signed())).date_naive();
    let known_at: DateTime<Utc> = DateTime::UNIX_EPOCH + TimeDelta::days(20_000 + edition.cast_signed());
    Observation {
        source: "bench".into(),
        series_id: format!("S{series:05}").into(),
        observation_date,
        value: Some(100.0 + (at * 7919 % 10_007) as f64 / 100.0 + edition as f64),
        known_at,
        observed_at: known_at,
        flags: Vec::new(),
    }
    .into()
}
