//! `tapedeck bench`: speeds, measured in release and told beside what they are to be compared with.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use chrono::{DateTime, TimeDelta, Utc};
use consumers::store::Database;
use contract::records::OhlcvBar;
use contract::{Dataset, Record, topic};
use kafka::Cluster;
use producers::publish::Publisher;
use serde::Serialize;
use service::settings;
use simulator::Simulator;

use crate::child::{Child, Recipe};
use crate::up::simulated_by;

mod idle;
mod inputs;
mod parse;
mod pipeline;
mod poison;
mod upsert;

/// Symbols in the generated bars: enough that all partitions have some.
const SYMBOLS: u64 = 500;
/// Name of the watchlist; where there is none, nothing is watched.
const WATCHLIST: &str = "watchlist.toml";
/// How long the consumer may take to store what was published.
const PATIENCE: Duration = Duration::from_secs(600);

/// What to measure.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Old daily bars of many symbols from the simulator by `producer backfill`, onto Kafka and by `consumer run` into the
    /// database at the same time: when all of them are there, beside what is wanted
    ///
    /// The simulator makes its answers before the clock starts, and no pauses are made between requests to it. Uses
    /// `TAPEDECK_KAFKA_BROKERS` and `TAPEDECK_DATABASE_URL`, with topics of its own and a database of its own beside the one
    /// named; both are removed afterwards.
    Pipeline {
        /// Shares
        #[arg(long, default_value_t = pipeline::SYMBOLS)]
        symbols: usize,
        /// Years of their daily bars
        #[arg(long, default_value_t = pipeline::YEARS, value_parser = clap::value_parser!(u32).range(1..=10))]
        years: u32,
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
        /// Fail when it takes longer than is wanted
        #[arg(long)]
        check: bool,
    },
    /// What a daemon costs while nothing is due: `producer run` with many items, all of them answered
    ///
    /// The simulator answers them in a first round. Uses and removes the same things as `pipeline`.
    Idle {
        /// Items on the watchlist
        #[arg(long, default_value_t = idle::ITEMS)]
        items: usize,
        /// Seconds to look at it after the first round
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
        seconds: u64,
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
        /// Fail when it costs more than is wanted
        #[arg(long)]
        check: bool,
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

/// Runs a benchmark and prints it.
pub(crate) async fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Pipeline { symbols, years, json, check } => {
            let report = on_bench(async |bench| bench.pipeline(*symbols, *years).await).await?;
            print(&report, *json)?;
            told(&report.missed, *check)
        }
        Command::Idle { items, seconds, json, check } => {
            let report = on_bench(async |bench| bench.idle(*items, *seconds).await).await?;
            print(&report, *json)?;
            told(&report.missed, *check)
        }
        Command::Upsert { rows, json } => print(&on_bench(async |bench| bench.upsert(*rows).await).await?, *json),
        Command::Poison { rows, json } => print(&on_bench(async |bench| bench.poison(*rows).await).await?, *json),
        Command::Parse { of, json, check } => parse(of, *json, *check),
    }
}

/// Says what is not as it is wanted.
fn told(missed: &[String], check: bool) -> anyhow::Result<()> {
    if missed.is_empty() {
        return Ok(());
    }
    let text = format!("it costs more than is wanted: {}", missed.join("; "));
    if check {
        bail!(text);
    }
    eprintln!("{text}");
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
async fn on_bench<T>(measure: impl AsyncFnOnce(&Bench) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let bench = Bench::new().await?;
    let measured = measure(&bench).await;
    let removed = bench.remove(measured.is_ok()).await;
    let measured = measured?;
    removed?;
    Ok(measured)
}

fn print(report: &(impl Serialize + std::fmt::Debug), json: bool) -> anyhow::Result<()> {
    println!("{}", if json { serde_json::to_string(report)? } else { format!("{report:#?}") });
    Ok(())
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

    /// Of what failed the logs are kept.
    async fn remove(&self, is_measured: bool) -> anyhow::Result<()> {
        let namespace = self.cluster.namespace();
        self.database.drop_scratch(&self.beside, namespace).await?;
        let topics: Vec<String> = contract::datasets().iter().map(|dataset| topic::topic(namespace, dataset)).collect();
        self.cluster.delete_topics(&topics).await?;
        if is_measured {
            std::fs::remove_dir_all(&self.folder).ok();
        }
        Ok(())
    }

    /// Starts a producer that asks the simulator for what it asks of Yahoo, and tells what it does on its standard output.
    fn producer(
        &self,
        simulator: &Simulator,
        arguments: Vec<String>,
        environment: &[(&str, String)],
    ) -> anyhow::Result<Child> {
        let folder = |name: &str| self.folder.join(name).display().to_string();
        let own = [
            (settings::KAFKA_BROKERS.name, self.cluster.brokers().to_owned()),
            (settings::NAMESPACE.name, self.cluster.namespace().to_owned()),
            (settings::STATE_DIR.name, folder("state")),
            (settings::WATCHLIST.name, folder(WATCHLIST)),
            (settings::HEALTH_ADDRESS.name, "127.0.0.1:0".to_owned()),
        ];
        let own = own.iter().chain(environment).map(|(name, value)| ((*name).to_owned(), value.clone()));
        let source = producers::source::source("yahoo").map_err(anyhow::Error::msg)?;
        let recipe = Recipe {
            name: "producer".to_owned(),
            program: "producer",
            arguments,
            environment: own.chain(simulated_by(simulator, source)).collect(),
            piped: true,
        };
        Child::start(recipe, &self.folder)
    }

    /// A single number from the database.
    async fn number(&self, query: &str) -> anyhow::Result<i64> {
        let query = format!("select cast(({query}) as text)");
        let found = self.database.store("bench").rows(query, &[]).await?;
        Ok(found.into_iter().flatten().flatten().next().context("no number")?.parse()?)
    }

    /// Starts a consumer that stores what is on the topic.
    fn consumer(&self, name: &str, environment: &[(&str, &str)]) -> anyhow::Result<Child> {
        self.consumer_command(name, "run", environment)
    }

    /// Starts a command of `consumer`.
    fn consumer_command(&self, name: &str, command: &str, environment: &[(&str, &str)]) -> anyhow::Result<Child> {
        let own = [
            (settings::KAFKA_BROKERS.name, self.cluster.brokers()),
            (settings::NAMESPACE.name, self.cluster.namespace()),
            (settings::DATABASE_URL.name, self.database.address().expose()),
        ];
        let environment = own.iter().chain(environment).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let recipe = Recipe {
            name: format!("consumer-{name}"),
            program: "consumer",
            arguments: vec![command.to_owned(), self.dataset.name.clone()],
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
    memory_mb(process, "VmHWM:")
}

/// A measure of a process' memory under the kernel's name for it.
fn memory_mb(process: Option<u32>, name: &str) -> anyhow::Result<f64> {
    let id = process.context("the process has ended")?;
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line =
        status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name} in /proc"))?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes / 1024.0)
}
