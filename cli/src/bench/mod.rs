//! `tapedeck bench`: speeds, measured in release and told beside what they are to be compared with.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use chrono::{DateTime, TimeDelta, Utc};
use consumers::store::Database;
use contract::records::OhlcvBar;
use contract::{Dataset, Record, topic};
use producers::publish::Publisher;
use serde::Serialize;
use service::kafka::Cluster;
use service::settings;

use crate::child::{Child, Recipe};

mod inputs;
mod parse;
mod poison;
mod upsert;

/// Symbols in the generated bars: enough that all partitions have some.
const SYMBOLS: u64 = 500;
/// How long the consumer may take to store what was published.
const PATIENCE: Duration = Duration::from_secs(600);

/// What to measure.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Producer -> Kafka -> consumer -> database, each a process of its own, on generated daily bars
    ///
    /// Uses `TAPEDECK_KAFKA_BROKERS` and `TAPEDECK_DATABASE_URL`, with topics of its own and a database of its own
    /// beside the one named; both are removed afterwards.
    Pipeline {
        /// Bars to publish
        #[arg(long, default_value_t = 1_000_000)]
        rows: u64,
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Topic -> consumer -> PostgreSQL, from a filled topic, beside plain `COPY` and 500-row upserts of the same rows
    ///
    /// Uses and removes the same things as `pipeline`.
    Upsert {
        /// Bars in the topic
        #[arg(long, default_value_t = 1_000_000)]
        rows: u64,
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// What one bad record among many costs its partition: one that the consumer refuses, one that PostgreSQL refuses
    ///
    /// Uses and removes the same things as `pipeline`.
    Poison {
        /// Good bars in the topic, each time
        #[arg(long, default_value_t = 500_000)]
        rows: u64,
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// How fast providers' responses are read, on one core: every endpoint's, beside what is wanted
    ///
    /// They are the fixtures of the repository, made longer, and recorded responses where those lie beside it.
    Parse {
        /// The response in a file instead
        #[arg(long, num_args = 4, value_names = ["SOURCE", "ENDPOINT", "ITEM", "FILE"])]
        of: Vec<String>,
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
        /// Fail when one is slower than is wanted
        #[arg(long)]
        check: bool,
    },
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    rows: u64,
    /// From the first record published to the last acknowledged.
    publish_seconds: f64,
    /// From the first record published to the last one committed.
    seconds: f64,
    rows_per_second: f64,
    /// The same rows by plain `COPY` into the same table, one connection: the database's limit, in the same run.
    copy_rows_per_second: Option<f64>,
    /// `rows_per_second` by `copy_rows_per_second`.
    ratio_to_copy: Option<f64>,
    /// All rows again from the topic, of which none changes anything.
    replay_rows_per_second: f64,
    producer_resident_mb: f64,
    consumer_resident_mb: f64,
    database: String,
}

/// Runs a benchmark and prints it.
pub(crate) async fn run(command: &Command) -> anyhow::Result<()> {
    let text = match command {
        Command::Pipeline { rows, json } => on_bench(*json, async |bench| bench.pipeline(*rows).await).await?,
        Command::Upsert { rows, json } => on_bench(*json, async |bench| bench.upsert(*rows).await).await?,
        Command::Poison { rows, json } => on_bench(*json, async |bench| bench.poison(*rows).await).await?,
        Command::Parse { of, json, check } => return parse(of, *json, *check),
    };
    println!("{text}");
    Ok(())
}

fn parse(of: &[String], json: bool, check: bool) -> anyhow::Result<()> {
    let speeds = parse::measure(of)?;
    println!("{}", if json { serde_json::to_string(&speeds)? } else { parse::table(&speeds) });
    let missed = speeds.iter().filter(|speed| speed.is_missed()).count();
    if check && missed > 0 {
        bail!("{missed} of {} responses are read more slowly than is wanted", speeds.len());
    }
    Ok(())
}

/// Measures on a bench of its own, which is removed however that ends.
async fn on_bench<T: Serialize + std::fmt::Debug>(
    json: bool,
    measure: impl AsyncFnOnce(&Bench) -> anyhow::Result<T>,
) -> anyhow::Result<String> {
    let bench = Bench::new().await?;
    let measured = measure(&bench).await;
    bench.remove().await?;
    printed(&measured?, json)
}

fn printed(report: &(impl Serialize + std::fmt::Debug), json: bool) -> anyhow::Result<String> {
    Ok(if json { serde_json::to_string(report)? } else { format!("{report:#?}") })
}

/// A topic and a database of its own.
struct Bench {
    cluster: Cluster,
    dataset: &'static Dataset,
    beside: Database,
    database: Database,
    folder: std::path::PathBuf,
}

impl Bench {
    async fn new() -> anyhow::Result<Bench> {
        let namespace = format!("tapedeck_bench_{}", std::process::id());
        let brokers = settings::read(&settings::KAFKA_BROKERS).unwrap_or_default();
        let beside = Database::from_settings()?;
        let database = beside.scratch(&namespace).await?;
        database.migrate().await?;
        Ok(Bench {
            cluster: Cluster::new(&brokers, &namespace),
            dataset: contract::dataset("ohlcv_bar").expect("it is declared"),
            folder: std::env::temp_dir().join(&namespace),
            beside,
            database,
        })
    }

    async fn remove(&self) -> anyhow::Result<()> {
        let namespace = self.cluster.namespace();
        self.database.drop_scratch(&self.beside, namespace).await?;
        self.cluster.delete_topics(&[topic::topic(namespace, self.dataset)]).await?;
        std::fs::remove_dir_all(&self.folder).ok();
        Ok(())
    }

    async fn pipeline(&self, rows: u64) -> anyhow::Result<Report> {
        let mut publisher = Publisher::connect(&self.cluster, "bench", &[self.dataset]).await?;
        let consumer = self.consumer("live", &[])?;
        let began = Instant::now();
        publish(&mut publisher, rows, 0).await?;
        let publish_seconds = began.elapsed().as_secs_f64();
        self.await_rows(rows, began).await?;
        let seconds = began.elapsed().as_secs_f64();
        let consumer_resident_mb = resident_mb(consumer.id())?;
        let producer_resident_mb = resident_mb(Some(std::process::id()))?;
        consumer.stop().await?;
        let replay_rows_per_second = self.replay(rows).await?;
        // Last, because the records are all held in memory for it.
        let copy_rows_per_second = self.database.copy_rate(self.dataset, &generated(rows / 4)).await?;
        let rows_per_second = rows as f64 / seconds;
        Ok(Report {
            rows,
            publish_seconds,
            seconds,
            rows_per_second,
            copy_rows_per_second,
            ratio_to_copy: copy_rows_per_second.map(|copy| rows_per_second / copy),
            replay_rows_per_second,
            producer_resident_mb,
            consumer_resident_mb,
            database: self.database.shown(),
        })
    }

    /// A sink of another name reads everything again into the same table.
    async fn replay(&self, rows: u64) -> anyhow::Result<f64> {
        let consumer = self.consumer("replay", &[(settings::SINK.name, "replay")])?;
        let began = Instant::now();
        self.await_rows(2 * rows, began).await?;
        let rate = rows as f64 / began.elapsed().as_secs_f64();
        consumer.stop().await?;
        Ok(rate)
    }

    fn consumer(&self, name: &str, environment: &[(&str, &str)]) -> anyhow::Result<Child> {
        let own = [
            (settings::KAFKA_BROKERS.name, self.cluster.brokers()),
            (settings::NAMESPACE.name, self.cluster.namespace()),
            (settings::DATABASE_URL.name, self.database.address().expose()),
        ];
        let environment = own.iter().chain(environment).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let recipe = Recipe {
            name: format!("consumer-{name}"),
            program: "consumer",
            arguments: vec!["run".to_owned(), self.dataset.name.clone()],
            environment: environment.collect(),
            piped: false,
        };
        Child::start(recipe, &self.folder)
    }

    /// Waits until the ledger accounts for that many records.
    async fn await_rows(&self, rows: u64, began: Instant) -> anyhow::Result<()> {
        let mut store = self.database.store("bench");
        loop {
            let read: u64 = store.totals().await?.iter().map(|total| total.outcome.read).sum();
            if read >= rows {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                bail!("only {read} of {rows} records were stored; see {}", Path::new(&self.folder).display());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn publish(publisher: &mut Publisher, rows: u64, edition: i64) -> anyhow::Result<()> {
    for at in 0..rows {
        publisher.publish(&bar(at, edition)).await?;
    }
    let delivered = publisher.flush().await?;
    if delivered.records != rows {
        bail!("Kafka acknowledged {} of {rows} records", delivered.records);
    }
    Ok(())
}

fn generated(rows: u64) -> Vec<Record> {
    (0..rows).map(|at| bar(at, 0)).collect()
}

/// Day after day, all symbols of a day one after the other, as a poll of many symbols gives them; a later edition has
/// the same keys and other values.
fn bar(at: u64, edition: i64) -> Record {
    let (day, symbol) = ((at / SYMBOLS).cast_signed(), at % SYMBOLS);
    let ts_start = DateTime::UNIX_EPOCH + TimeDelta::days(day);
    let observed_at: DateTime<Utc> = DateTime::UNIX_EPOCH + TimeDelta::days(20_000 + edition);
    let price = 50.0 + edition as f64 + symbol as f64 + (day % 100) as f64 / 8.0;
    OhlcvBar {
        source: "bench".into(),
        symbol: format!("SYM{symbol:04}").into(),
        bar_interval: "1d".into(),
        ts_start,
        trading_date: ts_start.date_naive(),
        open: Some(price),
        high: Some(price + 1.5),
        low: Some(price - 1.25),
        close: price + 0.25,
        volume: Some(1_000_000.0 + at as f64),
        adjusted_close: Some(price + 0.125),
        currency: Some("USD".into()),
        known_at: observed_at,
        observed_at,
        flags: Vec::new(),
    }
    .into()
}

/// Most memory that a process has had resident, in MB, as the kernel counts it.
fn resident_mb(process: Option<u32>) -> anyhow::Result<f64> {
    let id = process.context("the process has ended")?;
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM in /proc")?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes / 1024.0)
}
