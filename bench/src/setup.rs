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
/// How long the consumer may take to store what was published.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// Measures in an environment of its own, which is removed whether or not that succeeds.
pub(crate) async fn on_bench<T>(measure: impl AsyncFnOnce(&Bench) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let bench = Bench::new().await?;
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
    async fn new() -> anyhow::Result<Bench> {
        let namespace = format!("tapedeck_bench_{}", std::process::id());
        let brokers = settings::read(&settings::KAFKA_BROKERS).unwrap_or_default();
        let beside = Database::from_settings()?;
        let database = scratch::create(&beside, &namespace).await?;
        database.migrate().await?;
        Ok(Bench {
            cluster: Cluster::new(&brokers, &namespace),
            dataset: contract::dataset("ohlcv_bar").expect("it is declared"),
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
        let query = format!("select cast(({query}) as text)");
        let found = self.database.store("bench").rows(query, &[]).await?;
        Ok(found.into_iter().flatten().flatten().next().context("no number")?.parse()?)
    }

    /// Starts a consumer that stores the topic.
    pub(crate) fn consumer(&self, name: &str, environment: &[(&str, &str)]) -> anyhow::Result<Child> {
        self.consumer_command(name, "run", environment)
    }

    /// Starts a command of `consumer`.
    pub(crate) fn consumer_command(
        &self,
        name: &str,
        command: &str,
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
            arguments: vec![command.to_owned(), self.dataset.name.clone()],
            environment: environment.collect(),
            piped: false,
        };
        Child::start(recipe, &self.folder)
    }

    /// Waits until the ledger accounts for that many records.
    pub(crate) async fn await_rows(&self, rows: u64, began: Instant) -> anyhow::Result<()> {
        let mut store = self.database.store("bench");
        loop {
            let read: u64 = store.totals().await?.iter().map(|total| total.outcome.read).sum();
            if read >= rows {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                bail!("only {read} of {rows} records were stored; see {}", self.folder.display());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
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
