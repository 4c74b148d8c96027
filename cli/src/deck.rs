//! The processes of `tapedeck up`, broker, consumers and producers: start, watch, restart and stop them.

pub mod child;
pub(crate) mod polled;
pub mod progress;
pub(crate) mod summary;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use kafka::Cluster;
use service::settings;
use store::{Database, Progress};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::child::{Child, Event, MAX_ENDS, Recipe, Restart};
use self::progress::Report;
use crate::folder::Folder;

pub use self::polled::simulated_by;

/// Settings for one machine that is idle most of the time, and whose user waits for the rows. A variable of the user's own
/// stays as it is. The last three are glibc's: a daemon returns memory that it does not use any more, where the default keeps
/// what the first load needed.
const FOR_ONE_MACHINE: [(&str, &str); 4] = [
    // The last chunks of a poll are not full: half a second is a tenth of the time in which the demo is stored.
    (settings::CHUNK_AGE_MS.name, "200"),
    // One alone is 15 % slower, because all sinks wait for it.
    ("MALLOC_ARENA_MAX", "8"),
    // Also stops glibc from raising both thresholds to the largest block that it has seen.
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
];

/// Kafka's usual port, so that Kafka tools find the embedded broker.
pub(crate) const USUAL_PORT: u16 = 9092;
/// Neither encrypted nor authenticated.
const PLAINTEXT: &str = "PLAINTEXT";
/// How long the embedded broker may take until it answers.
const BROKER_PATIENCE: Duration = Duration::from_secs(15);

/// The processes, and the addresses that they use.
pub(crate) struct Deck {
    folder: Folder,
    broker: Option<Child>,
    consumer: Option<Child>,
    producer: Option<Child>,
    cluster: Cluster,
    database: Database,
    environment: Vec<(String, String)>,
}

/// One of the processes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Who {
    /// The embedded broker.
    Broker,
    /// The consumers of all datasets, in one process.
    Consumer,
    /// The producer of all sources, in one process.
    Producer,
}

impl Deck {
    /// Starts the embedded broker unless the environment names one, and prepares the database. Without a given port, the
    /// broker takes the usual one, or a free one if that is taken.
    pub(crate) async fn start(folder: &Folder, port: Option<u16>, stop: &CancellationToken) -> anyhow::Result<Deck> {
        let (cluster, broker) = match settings::given(settings::KAFKA_BROKERS.name) {
            Some(_) => (Cluster::from_settings().inspect_err(|_| folder.delete_if_new())?, None),
            None => {
                need_no_security().inspect_err(|_| folder.delete_if_new())?;
                let address = free_address(port).inspect_err(|_| folder.delete_if_new())?;
                let namespace = settings::read(&settings::NAMESPACE).unwrap_or_default();
                (Cluster::new(&address.to_string(), &namespace), Some(start_broker(folder.path(), address)?))
            }
        };
        let given = settings::read_secret(&settings::DATABASE_URL)?;
        let address = given.map_or_else(|| folder.sqlite_address(), |address| address.expose().to_owned());
        let database = Database::new(&address)?;
        let slow = |progress: &Progress| {
            if let Progress::Slow(line) = progress {
                eprintln!("{line}");
            }
        };
        database.migrate_to(None, &slow).await?;
        let mut environment = vec![
            (settings::KAFKA_BROKERS.name.to_owned(), cluster.brokers().to_owned()),
            (settings::DATABASE_URL.name.to_owned(), address),
        ];
        environment.extend(security(broker.is_some())?);
        let state = settings::given(settings::STATE_DIR.name).unwrap_or_else(|| folder.state().display().to_string());
        environment.push((settings::STATE_DIR.name.to_owned(), state));
        let unset = FOR_ONE_MACHINE.iter().filter(|(name, _)| settings::given(name).is_none());
        environment.extend(unset.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let (consumer, producer, folder) = (None, None, folder.clone());
        let mut deck = Deck { folder, broker, consumer, producer, cluster, database, environment };
        let ready = deck.await_broker(stop).await;
        if let Err(error) = ready {
            deck.stop().await?;
            return Err(error);
        }
        Ok(deck)
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The settings of all processes.
    pub(crate) fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// The Kafka cluster in use.
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The database in use.
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// The files with the addresses of the daemons' health servers, to show to the user.
    pub(crate) fn health_files(&self) -> String {
        child::health_file(self.folder.path(), "*").display().to_string()
    }

    /// The folder of all logs, to show to the user.
    pub(crate) fn logs(&self) -> String {
        self.folder.logs().display().to_string()
    }

    /// The way of the records, to show to the user: `embedded broker at 127.0.0.1:9092 -> sqlite:..`.
    pub(crate) fn shown(&self) -> String {
        let kafka = if self.broker.is_some() { "embedded broker" } else { "Kafka" };
        format!("{kafka} at {} -> {}", self.cluster.brokers(), self.database.shown())
    }

    /// Starts the consumers of all datasets.
    pub(crate) fn start_consumer(&mut self) -> anyhow::Result<()> {
        self.consumer = Some(self.child("consumer", &["consumer", "run"], &[], false)?);
        Ok(())
    }

    /// Starts the producer of these sources; its reports go to `reports`.
    pub(crate) fn start_producer(
        &mut self,
        sources: &[&str],
        once: bool,
        environment: &[(String, String)],
        reports: &mpsc::Sender<Report>,
    ) -> anyhow::Result<()> {
        let once: &[&str] = if once { &["--once"] } else { &[] };
        let arguments = [&["producer", "run", "--progress"], once, sources].concat();
        let mut child = self.child("producer", &arguments, environment, true)?;
        relay(&mut child, reports);
        self.producer = Some(child);
        Ok(())
    }

    /// The folder of the producer's state.
    pub(crate) fn state(&self) -> PathBuf {
        let given = self.environment.iter().find(|(name, _)| name == settings::STATE_DIR.name);
        given.map_or_else(|| self.folder.state(), |(_, path)| PathBuf::from(path))
    }

    /// Whether the producer has ended.
    pub(crate) fn polled_all(&self) -> bool {
        self.producer.is_none()
    }

    /// Waits until a process ends on its own, or is started again.
    pub(crate) async fn event(&mut self) -> anyhow::Result<(Who, Event)> {
        tokio::select! {
            event = event_of(&mut self.broker) => Ok((Who::Broker, event?)),
            event = event_of(&mut self.consumer) => Ok((Who::Consumer, event?)),
            event = event_of(&mut self.producer) => Ok((Who::Producer, event?)),
        }
    }

    /// Restarts a process that has ended on its own, after a pause that becomes longer each time; returns a line about it.
    ///
    /// # Errors
    ///
    /// With `gives_up`, when it has ended too often in a row.
    pub(crate) fn restart(&mut self, who: Who, status: ExitStatus, gives_up: bool) -> anyhow::Result<String> {
        let child = self.child_of(who);
        let Restart { wait, ends } = child.restart();
        let (name, log, last) = (child.name(), child.log(), child.last_line());
        if gives_up && ends > MAX_ENDS {
            bail!("`{name}` keeps ending ({status}): {last}; see {}", log.display());
        }
        let wait = wait.as_secs_f64();
        Ok(format!("`{name}` has ended ({status}), next start in {wait} s: {last}; see {}", log.display()))
    }

    /// A process was started again: its reports go to `reports`, too.
    pub(crate) fn restarted(&mut self, who: Who, reports: &mpsc::Sender<Report>) {
        relay(self.child_of(who), reports);
    }

    fn child_of(&mut self, who: Who) -> &mut Child {
        let child = match who {
            Who::Broker => self.broker.as_mut(),
            Who::Consumer => self.consumer.as_mut(),
            Who::Producer => self.producer.as_mut(),
        };
        child.expect("what has ended was there")
    }

    /// Removes the producer, which has finished; returns the path of its log.
    pub(crate) async fn dismiss_producer(&mut self) -> anyhow::Result<PathBuf> {
        let child = self.producer.take().context("the producer has ended before")?;
        let log = child.log();
        child.stop().await?;
        Ok(log)
    }

    /// Stops the processes in the order in which nothing is lost: producer, consumer, broker.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        for child in [self.producer.take(), self.consumer.take(), self.broker.take()].into_iter().flatten() {
            child.stop().await?;
        }
        Ok(())
    }

    /// Waits until the broker answers, and creates the topics.
    async fn await_broker(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let began = Instant::now();
        let Some(broker) = &mut self.broker else {
            return self.ensure_topics().await;
        };
        let log = broker.log();
        let address: SocketAddr = self.cluster.brokers().parse()?;
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::select! {
                status = broker.wait() => bail!("the embedded broker ended ({}); see {}", status?, log.display()),
                () = stop.cancelled() => bail!("interrupted"),
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
            if began.elapsed() > BROKER_PATIENCE {
                bail!("the embedded broker does not answer; see {}", log.display());
            }
        }
        self.ensure_topics().await
    }

    async fn ensure_topics(&self) -> anyhow::Result<()> {
        let cluster = self.cluster();
        let topic = |dataset| contract::topic::topic(cluster.namespace(), dataset);
        cluster.ensure_topics(&contract::datasets().iter().map(topic).collect::<Vec<_>>()).await?;
        Ok(())
    }

    fn child(
        &self,
        name: &str,
        arguments: &[&str],
        environment: &[(String, String)],
        piped: bool,
    ) -> anyhow::Result<Child> {
        // Each child needs a port of its own. It writes the address into a file beside its process id.
        let file = child::health_file(self.folder.path(), name).display().to_string();
        let health = [(settings::HEALTH_ADDRESS.name, "127.0.0.1:0".to_owned()), (settings::HEALTH_FILE.name, file)]
            .map(|(name, value)| (name.to_owned(), value));
        let recipe = Recipe {
            name: name.to_owned(),
            program: this_executable()?,
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            environment: self.environment.iter().chain(environment).chain(&health).cloned().collect(),
            piped,
        };
        Child::start(recipe, self.folder.path())
    }
}

/// One executable is all of tapedeck: every daemon of the deck is this one again.
fn this_executable() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("cannot find the path of this executable")
}

async fn event_of(child: &mut Option<Child>) -> anyhow::Result<Event> {
    match child {
        Some(child) => child.event().await,
        None => std::future::pending().await,
    }
}

/// Forwards a producer's reports; drops lines that are not reports.
fn relay(child: &mut Child, reports: &mpsc::Sender<Report>) {
    let Some(stdout) = child.stdout() else {
        return;
    };
    let reports = reports.clone();
    tokio::spawn(async move {
        let mut lines = BufReader::new(stdout).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Ok(report) = serde_json::from_str(&line)
                && reports.send(report).await.is_err()
            {
                return;
            }
        }
    });
}

/// The embedded broker has neither TLS nor users: whoever sets some means another Kafka.
fn need_no_security() -> anyhow::Result<()> {
    let protocol = settings::given(settings::KAFKA_SECURITY_PROTOCOL.name).unwrap_or_default();
    if protocol.is_empty() || protocol.eq_ignore_ascii_case(PLAINTEXT) {
        return Ok(());
    }
    let [name, brokers] = [settings::KAFKA_SECURITY_PROTOCOL.name, settings::KAFKA_BROKERS.name];
    bail!("`{name}` is `{protocol}`, which the embedded broker lacks: name Kafka's brokers with `{brokers}`")
}

/// How every process of the deck, and every command beside it, connects to its Kafka.
fn security(is_embedded: bool) -> anyhow::Result<Vec<(String, String)>> {
    if is_embedded {
        // Says it, because a process of the deck also reads `.env`.
        return Ok(vec![(settings::KAFKA_SECURITY_PROTOCOL.name.to_owned(), PLAINTEXT.to_owned())]);
    }
    let mut environment = Vec::new();
    for variable in settings::KAFKA_SECURITY {
        let value = if variable.secret {
            settings::read_secret(variable)?.map(|secret| secret.expose().to_owned())
        } else {
            settings::given(variable.name)
        };
        environment.extend(value.map(|value| (variable.name.to_owned(), value)));
    }
    Ok(environment)
}

fn start_broker(folder: &Path, address: SocketAddr) -> anyhow::Result<Child> {
    let data = folder.join("broker").display().to_string();
    let address = address.to_string();
    let arguments = ["broker", "--data-dir", &data, "--listen", &address, "--stop-at-eof"];
    let recipe = Recipe {
        name: "broker".to_owned(),
        program: this_executable()?,
        arguments: arguments.map(str::to_owned).to_vec(),
        environment: Vec::new(),
        piped: false,
    };
    Child::start(recipe, folder)
}

/// The given port; else the usual one, or a free one if that is taken, which is said.
fn free_address(port: Option<u16>) -> anyhow::Result<SocketAddr> {
    let wanted = port.unwrap_or(USUAL_PORT);
    let listener = match (TcpListener::bind(("127.0.0.1", wanted)), port) {
        (Ok(listener), _) => listener,
        // Whoever names a port has clients that know it.
        (Err(error), Some(port)) => {
            bail!("port {port}: {error}; choose another with --kafka-port, or 0 for any free one")
        }
        (Err(error), None) => {
            let listener = TcpListener::bind(("127.0.0.1", 0)).context("cannot find a free port")?;
            let port_taken = listener.local_addr()?.port();
            eprintln!("port {wanted}: {error}; the embedded broker listens on port {port_taken} instead");
            listener
        }
    };
    Ok(listener.local_addr()?)
}
