//! `tapedeck-broker`: the embedded Kafka-compatible broker, one process with its data in one folder.

mod group;
mod groups;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::Parser;
use rama::Service as _;
use tansu_broker::NODE_ID;
use tansu_broker::service::services;
use tansu_storage::{BrokerRegistrationRequest, Storage as _, StorageContainer};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::interval;
use tracing_subscriber::EnvFilter;
use url::Url;
use uuid::Uuid;

use crate::groups::Groups;

/// Name of the cluster; part of the stored data.
const CLUSTER: &str = "tapedeck";
/// File in the data folder.
const DATABASE: &str = "sqlite://broker.db";

/// How often records past their retention are removed.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(600);
/// Pause after accepting a connection failed, usually because no file descriptor is left.
const ACCEPT_WAIT: Duration = Duration::from_millis(100);

/// Run a Kafka-compatible broker with its data in one folder
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Folder of the broker's data; created if missing
    #[arg(long, env = "TAPEDECK_BROKER_DATA_DIR", default_value = ".tapedeck/broker")]
    data_dir: PathBuf,
    /// Address to listen on, which is also advertised to clients
    #[arg(long, env = "TAPEDECK_BROKER_LISTEN", default_value = "127.0.0.1:9092")]
    listen: SocketAddr,
    /// Stop when standard input ends, that is, with the parent process
    #[arg(long)]
    stop_at_eof: bool,
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("TAPEDECK_BROKER_LOG").unwrap_or_else(|_| EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    enter(&arguments.data_dir)?;
    tokio::runtime::Runtime::new()?.block_on(serve(arguments.listen, arguments.stop_at_eof))
}

/// Makes the data folder the working directory, because the storage's address is relative to it.
fn enter(data_dir: &Path) -> anyhow::Result<()> {
    let shown = data_dir.display();
    std::fs::create_dir_all(data_dir).with_context(|| format!("cannot create data folder `{shown}`"))?;
    std::env::set_current_dir(data_dir).with_context(|| format!("cannot use data folder `{shown}`"))
}

async fn serve(listen: SocketAddr, stop_at_eof: bool) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on `{listen}`"))?;
    let storage = open(listen).await.context("cannot open the broker's data")?;
    // Everything acknowledged is in the database file, so stopping needs no further steps.
    tokio::select! {
        served = answer(&listener, &storage) => served.context("broker stopped"),
        () = maintain(&storage) => Ok(()),
        () = end_of_input(), if stop_at_eof => Ok(()),
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

async fn open(advertised: SocketAddr) -> anyhow::Result<StorageContainer> {
    let storage = StorageContainer::builder()
        .node_id(NODE_ID)
        .cluster_id(CLUSTER)
        .advertised_listener(Url::parse(&format!("tcp://{advertised}"))?)
        .storage(Url::parse(DATABASE)?)
        .silent(true)
        .build()
        .await?;
    let (broker_id, cluster_id, incarnation_id) = (NODE_ID, CLUSTER.to_owned(), Uuid::new_v4());
    storage.register_broker(BrokerRegistrationRequest { broker_id, cluster_id, incarnation_id, rack: None }).await?;
    Ok(storage)
}

/// Serves every client in a task of its own.
async fn answer(listener: &TcpListener, storage: &StorageContainer) -> anyhow::Result<()> {
    let groups = Groups::new(storage.clone())?;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_WAIT).await;
            continue;
        };
        // Fails when the client has gone already.
        let _ = stream.set_nodelay(true);
        let service = services(CLUSTER, groups.clone(), storage.clone(), None)?;
        tokio::spawn(async move {
            // A connection usually ends because the client has closed it.
            if let Err(error) = service.serve(rama::Context::default(), stream).await {
                tracing::debug!(?error, "connection ended");
            }
        });
    }
}

/// Removes records past their retention, again and again.
async fn maintain(storage: &StorageContainer) {
    let mut due = interval(MAINTENANCE_INTERVAL);
    loop {
        due.tick().await;
        if let Err(error) = storage.maintain(SystemTime::now()).await {
            tracing::warn!(?error, "cannot remove records past their retention");
        }
    }
}

/// Returns when standard input ends.
async fn end_of_input() {
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _sender = sender;
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink())
    });
    // The thread sends nothing; dropping the sender is the signal.
    let _ = receiver.await;
}
