//! `tapedeck-broker`: the Kafka-compatible broker of the laptop mode, in one process with its data in one folder.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use tansu_broker::coordinator::group::administrator::Controller;
use tansu_broker::{NODE_ID, broker};
use tansu_storage::StorageContainer;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tracing_subscriber::EnvFilter;
use url::Url;
use uuid::Uuid;

/// Name of the cluster; part of the stored data.
const CLUSTER: &str = "tapedeck";
/// File in the data folder.
const DATABASE: &str = "sqlite://broker.db";

type EmbeddedBroker = broker::Broker<Controller<StorageContainer>, StorageContainer>;

/// A Kafka-compatible broker with its data in one folder, for a laptop.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Folder of its data, created when missing
    #[arg(long, env = "TAPEDECK_BROKER_DATA_DIR", default_value = ".tapedeck/broker")]
    data_dir: PathBuf,
    /// Address to listen on; clients are told the same one
    #[arg(long, env = "TAPEDECK_BROKER_LISTEN", default_value = "127.0.0.1:9092")]
    listen: SocketAddr,
    /// Stop when standard input ends: with the process that started it
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
    // The broker panics when it cannot listen; ask first, to say so in one line.
    drop(TcpListener::bind(arguments.listen).with_context(|| format!("cannot listen on `{}`", arguments.listen))?);
    tokio::runtime::Runtime::new()?.block_on(serve(arguments.listen, arguments.stop_at_eof))
}

/// The storage's address is relative to the working directory, so the data folder becomes that.
fn enter(data_dir: &Path) -> anyhow::Result<()> {
    let shown = data_dir.display();
    std::fs::create_dir_all(data_dir).with_context(|| format!("cannot create data folder `{shown}`"))?;
    std::env::set_current_dir(data_dir).with_context(|| format!("cannot use data folder `{shown}`"))
}

async fn serve(listen: SocketAddr, stop_at_eof: bool) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let address = Url::parse(&format!("tcp://{listen}"))?;
    let mut broker = EmbeddedBroker::builder()
        .node_id(NODE_ID)
        .cluster_id(CLUSTER)
        .incarnation_id(Uuid::new_v4())
        .advertised_listener(address.clone())
        .storage(Url::parse(DATABASE)?)
        .listener(address)
        .silent(true)
        .build()
        .await
        .context("cannot open the broker's data")?;
    // Whatever was acknowledged is in the database file, so stopping needs no more than to stop.
    tokio::select! {
        served = broker.serve(Instant::now()) => served.context("broker stopped"),
        () = end_of_input(), if stop_at_eof => Ok(()),
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

/// Ends when standard input does.
async fn end_of_input() {
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _sender = sender;
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink())
    });
    // The sender says nothing; that it is gone is the answer.
    let _ = receiver.await;
}
