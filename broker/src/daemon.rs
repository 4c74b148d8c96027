//! The process of the broker: its arguments, signals and upkeep.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, ValueEnum};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::LevelFilter;

use crate::api::{Broker, KnownTopics};
use crate::groups::Groups;
use crate::limits::{CONNECTION_SHARE_OF_FILES, MAX_CONNECTIONS};
use crate::log::{Flush, Log, Options};
use crate::wire;

/// How often the broker looks for segments past their retention and for data to flush.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(1);

/// Run a Kafka-compatible broker with its data in one folder
#[derive(Debug, Parser)]
#[command(name = "tapedeck-broker", version)]
struct CommandLine {
    #[command(flatten)]
    arguments: Arguments,
}

/// The arguments of the broker's process.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folder of the broker's data; created if missing
    #[arg(long, env = "TAPEDECK_BROKER_DATA_DIR", default_value = ".tapedeck/broker")]
    data_dir: PathBuf,
    /// Address to listen on, which is also advertised to clients
    #[arg(long, env = "TAPEDECK_BROKER_LISTEN", default_value = "127.0.0.1:9092")]
    listen: SocketAddr,
    /// When records are on disk before they are acknowledged
    #[arg(long, env = "TAPEDECK_BROKER_FLUSH", default_value = "interval")]
    flush: FlushArgument,
    /// Least severe events that are logged: `off`, `error`, `warn`, `info`, `debug` or `trace`
    #[arg(long, env = "TAPEDECK_BROKER_LOG", default_value = "warn")]
    log: LevelFilter,
    /// Stop when standard input ends, that is, with the parent process
    #[arg(long)]
    stop_at_eof: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FlushArgument {
    /// Every few seconds: an acknowledged record survives a crash of the broker, but not a power loss
    Interval,
    /// Before each acknowledgement: an acknowledged record also survives a power loss
    Always,
}

impl From<FlushArgument> for Flush {
    fn from(flush: FlushArgument) -> Flush {
        match flush {
            FlushArgument::Interval => Flush::Interval,
            FlushArgument::Always => Flush::Always,
        }
    }
}

/// Runs the broker with the arguments that the process was started with, until a signal stops it.
pub fn main() -> ExitCode {
    run(&CommandLine::parse().arguments)
}

/// Runs the broker until a signal stops it.
pub fn run(arguments: &Arguments) -> ExitCode {
    tracing_subscriber::fmt()
        .with_max_level(arguments.log)
        .with_writer(std::io::stderr)
        .log_internal_errors(false)
        .init();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime");
    match runtime.and_then(|runtime| runtime.block_on(serve(arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not `eprintln`, which panics where standard error is a log on a full disk.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: &Arguments) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let listen = arguments.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on `{listen}`"))?;
    let advertised = listener.local_addr()?;
    let log = Arc::new(Log::open(&arguments.data_dir, Options { flush: arguments.flush.into() })?);
    let topics = Arc::new(KnownTopics(log.clone()));
    let groups = Groups::open(&arguments.data_dir, topics, advertised)?;
    let broker = Arc::new(Broker::new(log, groups, advertised));
    let stop = CancellationToken::new();
    let served = tokio::spawn(wire::serve(listener, broker.clone(), most_connections(), stop.clone()));
    tokio::select! {
        () = maintain(&broker) => {}
        () = end_of_input(), if arguments.stop_at_eof => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    stop.cancel();
    served.await?;
    broker.close()
}

/// Raises the limit of open files as far as the system permits; returns how many connections it leaves room for.
fn most_connections() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files).unwrap_or(usize::MAX).div_euclid(CONNECTION_SHARE_OF_FILES).min(MAX_CONNECTIONS)
}

/// Removes what is past its retention and flushes, again and again.
async fn maintain(broker: &Arc<Broker>) {
    let mut due = tokio::time::interval(MAINTENANCE_INTERVAL);
    loop {
        due.tick().await;
        let broker = broker.clone();
        // Flushing blocks.
        if let Err(error) = tokio::task::spawn_blocking(move || broker.maintain()).await {
            tracing::error!(%error, "maintenance failed");
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
