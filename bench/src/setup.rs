//! The environment of a benchmark: its own topics, database and child processes, removed afterwards.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use cli::deck::child::{Child, Recipe};
use cli::deck::simulated_by;
use contract::{Dataset, topic};
use kafka::Cluster;
use service::settings;
use simulator::Simulator;
use store::Database;

use crate::scratch;

/// Name of the watchlist file; without it nothing is polled but what a command names.
pub(crate) const WATCHLIST: &str = "watchlist.toml";
/// How long a child may take for its first progress, and for each further one.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);
/// How often progress is reported.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// Shortest pause before the ledger is read again.
const LEDGER_PAUSE: Duration = Duration::from_millis(20);
/// The pause is so many times as long as reading the ledger took, so that a long ledger costs the consumer little.
const LEDGER_SHARE: u32 = 20;

/// Measures one dataset in an environment of its own, which is removed whether or not that succeeds.
pub(crate) async fn on_bench<T>(
    dataset: &str,
    measure: impl AsyncFnOnce(&Bench) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let bench = Bench::new(dataset).await?;
    let measured = measure(&bench).await;
    let removed = bench.remove(measured.is_ok()).await;
    let measured = measured?;
    removed?;
    Ok(measured)
}

/// A namespace on Kafka and a database of its own.
pub(crate) struct Bench {
    pub(crate) cluster: Cluster,
    pub(crate) dataset: &'static Dataset,
    pub(crate) database: Database,
    /// Where the children's logs are.
    pub(crate) folder: PathBuf,
    beside: Database,
}

impl Bench {
    async fn new(dataset: &str) -> anyhow::Result<Bench> {
        let namespace = format!("tapedeck_bench_{}", std::process::id());
        let brokers = settings::read(&settings::KAFKA_BROKERS).unwrap_or_default();
        let beside = Database::from_settings()?;
        let database = scratch::create(&beside, &namespace).await?;
        database.migrate().await?;
        Ok(Bench {
            cluster: Cluster::new(&brokers, &namespace),
            dataset: contract::dataset(dataset).expect("it is declared"),
            folder: std::env::temp_dir().join(&namespace),
            beside,
            database,
        })
    }

    /// Removes topics and database; keeps the logs of a failed measurement.
    async fn remove(&self, is_measured: bool) -> anyhow::Result<()> {
        let namespace = self.cluster.namespace();
        scratch::remove(&self.database, &self.beside, namespace).await?;
        let topics: Vec<String> = contract::datasets().iter().map(|dataset| topic::topic(namespace, dataset)).collect();
        self.cluster.delete_topics(&topics).await?;
        if is_measured {
            std::fs::remove_dir_all(&self.folder).ok();
        }
        Ok(())
    }

    /// Starts a producer that polls the simulator instead of Yahoo; its standard output is piped.
    pub(crate) fn producer(
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
        let source = sources::source("yahoo").map_err(anyhow::Error::msg)?;
        let recipe = Recipe {
            name: "producer".to_owned(),
            program: beside("producer")?,
            arguments,
            environment: own.chain(simulated_by(simulator, source)).collect(),
            piped: true,
        };
        Child::start(recipe, &self.folder)
    }

    /// A single number from the database.
    pub(crate) async fn number(&self, query: &str) -> anyhow::Result<i64> {
        scratch::number(&self.database, query).await
    }

    /// Starts a consumer that stores the topic.
    pub(crate) fn consumer(&self, name: &str, environment: &[(&str, &str)]) -> anyhow::Result<Child> {
        self.consumer_command((name, false), &["run"], environment)
    }

    /// Starts a command of `consumer`, with its standard output piped or in its log.
    pub(crate) fn consumer_command(
        &self,
        (name, piped): (&str, bool),
        command: &[&str],
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Child> {
        let own = [
            (settings::KAFKA_BROKERS.name, self.cluster.brokers()),
            (settings::NAMESPACE.name, self.cluster.namespace()),
            (settings::DATABASE_URL.name, self.database.address().expose()),
        ];
        let environment = own.iter().chain(environment).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let recipe = Recipe {
            name: format!("consumer-{name}"),
            program: beside("consumer")?,
            arguments: command.iter().chain([&self.dataset.name.as_str()]).map(|&word| word.to_owned()).collect(),
            environment: environment.collect(),
            piped,
        };
        Child::start(recipe, &self.folder)
    }

    /// Waits until the ledger accounts for that many records.
    pub(crate) async fn await_rows(&self, rows: u64) -> anyhow::Result<()> {
        let (mut progress, mut last, mut last_at) = (Progress::new("records stored", rows), 0, Instant::now());
        loop {
            let asked = Instant::now();
            let read = self.read().await?;
            if read >= rows {
                return Ok(());
            }
            if read > last {
                (last, last_at) = (read, asked);
            }
            if last_at.elapsed() > PATIENCE {
                bail!("only {read} of {rows} records were stored; see {}", self.folder.display());
            }
            progress.at(read);
            tokio::time::sleep(LEDGER_PAUSE.max(asked.elapsed() * LEDGER_SHARE)).await;
        }
    }

    /// How many records the ledger accounts for.
    pub(crate) async fn read(&self) -> anyhow::Result<u64> {
        Ok(self.database.store("bench").totals().await?.iter().map(|total| total.outcome.read).sum())
    }
}

/// Reports on standard error how far a long phase is.
pub(crate) struct Progress {
    what: &'static str,
    total: u64,
    reported: Instant,
}

impl Progress {
    pub(crate) fn new(what: &'static str, total: u64) -> Progress {
        Progress { what, total, reported: Instant::now() }
    }

    /// Reports it when it is time to.
    pub(crate) fn at(&mut self, done: u64) {
        if self.reported.elapsed() >= REPORT_INTERVAL {
            self.reported = Instant::now();
            eprintln!("{done} of {} {}", self.total, self.what);
        }
    }
}

/// Path of another executable in this one's folder.
pub(crate) fn beside(program: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find the path of this executable")?;
    let path = own.with_file_name(program);
    ensure!(path.exists(), "`{program}` is not beside this executable: run `cargo build --release` first");
    Ok(path)
}
