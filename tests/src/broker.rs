//! Brokers and databases to test with: the real ones that `./test` starts, and the embedded ones.

use std::net::TcpListener;

use kafka::Cluster;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{Offset, TopicPartitionList};
use store::Database;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::process::{Environment, Running, command, until};
use crate::{service, unique};

/// A broker and a database, both empty, for one test.
#[expect(missing_debug_implementations, reason = "only the test harness holds it")]
pub struct Bench {
    /// The environment in which our executables use them.
    pub environment: Environment,
    /// The brokers' addresses.
    pub brokers: String,
    /// First part of the names of topics and groups.
    pub namespace: String,
    /// The database.
    pub database: Database,
    /// A folder for whatever the test needs.
    pub folder: TempDir,
    beside: Option<Database>,
    broker: Option<Running>,
}

/// Every pair of broker and database that is available, with its name.
pub fn benches() -> Vec<(&'static str, Bench)> {
    let mut all = vec![("embedded broker and SQLite", embedded())];
    all.extend(postgres().map(|bench| ("Kafka and PostgreSQL", bench)));
    all.extend(timescale().map(|bench| ("Kafka and TimescaleDB", bench)));
    all
}

/// The laptop: embedded broker and SQLite.
pub fn embedded() -> Bench {
    let folder = TempDir::new().unwrap();
    let address = free_address();
    let data = folder.path().join("broker");
    let data = data.to_str().unwrap();
    let arguments = ["--data-dir", data, "--listen", &address];
    let broker = Running::start(command("tapedeck-broker", &arguments, &Environment::new()));
    until("the embedded broker listens", || std::net::TcpStream::connect(&address).is_ok());
    let database = format!("sqlite:{}", folder.path().join("tapedeck.db").display());
    Bench::new(address, database, folder, Some(broker))
}

/// Real Kafka and PostgreSQL 15.
pub fn postgres() -> Option<Bench> {
    real("TAPEDECK_TEST_POSTGRES")
}

/// Real Kafka and TimescaleDB.
pub fn timescale() -> Option<Bench> {
    real("TAPEDECK_TEST_TIMESCALE")
}

/// Real Kafka of the test's own, and SQLite.
pub fn sqlite_beside(brokers: &str) -> Bench {
    let folder = TempDir::new().unwrap();
    let database = format!("sqlite:{}", folder.path().join("tapedeck.db").display());
    Bench::new(brokers.to_owned(), database, folder, None)
}

fn real(database: &str) -> Option<Bench> {
    let brokers = service("TAPEDECK_TEST_KAFKA")?;
    let scratch = ScratchDatabase::create(&service(database)?);
    let mut bench = Bench::new(brokers, scratch.database.address().expose().to_owned(), TempDir::new().unwrap(), None);
    bench.beside = Some(scratch.into_beside());
    Some(bench)
}

/// An address on loopback without a listener.
pub fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

impl Bench {
    fn new(brokers: String, database: String, folder: TempDir, broker: Option<Running>) -> Bench {
        let namespace = unique("tape");
        let environment = Environment::from([
            ("TAPEDECK_KAFKA_BROKERS", brokers.clone()),
            ("TAPEDECK_NAMESPACE", namespace.clone()),
            ("TAPEDECK_DATABASE_URL", database.clone()),
            ("TAPEDECK_CHUNK_AGE_MS", "50".to_owned()),
            ("TAPEDECK_STATE_DIR", folder.path().join("state").display().to_string()),
        ]);
        let database = Database::new(&database).unwrap();
        Bench { environment, brokers, namespace, database, folder, beside: None, broker }
    }

    /// The environment, extended.
    pub fn with(&self, more: &[(&'static str, &str)]) -> Environment {
        let mut environment = self.environment.clone();
        environment.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        environment
    }

    /// Name of a dataset's topic.
    pub fn topic(&self, dataset: &str) -> String {
        format!("{}.{dataset}.v1", self.namespace)
    }

    /// A client that administers the broker's topics.
    pub fn admin(&self) -> AdminClient<DefaultClientContext> {
        Cluster::new(&self.brokers, &self.namespace).client_config("admin").create().unwrap()
    }

    /// Removes the records of a partition before an offset, as retention does.
    pub fn remove_before(&self, dataset: &str, partition: i32, offset: i64) {
        let mut before = TopicPartitionList::new();
        before.add_partition_offset(&self.topic(dataset), partition, Offset::Offset(offset)).unwrap();
        block_on(self.admin().delete_records(&before, &AdminOptions::new())).unwrap();
    }

    /// Registers a schema of the dataset as one that is not the registry's first; returns its id, which no declaration had.
    pub fn register(&self, registry: &str, dataset: &str) -> u32 {
        let client = kafka::Registry::new(registry).unwrap();
        let (subject, schema) = (format!("{}-value", self.topic(dataset)), &contract::dataset(dataset).unwrap().schema);
        let register = |number: u32| {
            let schema = schema.replacen("Open,", &format!("{number}. Open,"), 1);
            block_on(client.register(&subject, &schema)).unwrap()
        };
        // The declarations' own ids were 1 to 22.
        (0..).map(register).find(|id| *id > 22).unwrap()
    }

    /// Sends the embedded broker a signal.
    pub fn signal_broker(&self, signal: &str) {
        self.broker.as_ref().expect("the bench has an embedded broker").signal(signal);
    }

    /// Rows of a query, as texts; None is null.
    pub fn query(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        block_on(self.database.query(sql)).unwrap().rows
    }

    /// Changes the database by hand.
    pub fn execute(&self, sql: &str) {
        self.try_execute(sql).unwrap();
    }

    /// Tries to change the database by hand.
    pub fn try_execute(&self, sql: &str) -> Result<(), store::StoreError> {
        block_on(self.database.store("test").rows(sql.to_owned(), &[])).map(drop)
    }

    /// A single number from the database.
    pub fn number(&self, sql: &str) -> i64 {
        self.query(sql)[0][0].as_deref().unwrap_or("0").parse().unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            let address = self.database.address().expose();
            drop_database(beside, address.rsplit_once('/').unwrap().1);
        }
    }
}

/// An empty database on a real server, for tests without a broker.
#[expect(missing_debug_implementations, reason = "only the test harness holds it")]
pub struct ScratchDatabase {
    /// The database.
    pub database: Database,
    beside: Option<Database>,
    name: String,
}

impl ScratchDatabase {
    /// Creates it on the server of that address.
    pub fn create(address: &str) -> ScratchDatabase {
        let beside = Database::new(address).unwrap();
        let name = unique("db");
        block_on(beside.store("scratch").rows(format!("create database {name}"), &[])).unwrap();
        let database = Database::new(&format!("{}/{name}", address.rsplit_once('/').unwrap().0)).unwrap();
        ScratchDatabase { database, beside: Some(beside), name }
    }

    fn into_beside(mut self) -> Database {
        self.beside.take().unwrap()
    }
}

impl Drop for ScratchDatabase {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            drop_database(beside, &self.name);
        }
    }
}

fn drop_database(beside: &Database, name: &str) {
    // Whatever stays goes with the server's data folder.
    let _ = block_on(beside.store("scratch").rows(format!("drop database {name} with (force)"), &[]));
}

/// Runs a future to completion on its own runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    Runtime::new().unwrap().block_on(future)
}
