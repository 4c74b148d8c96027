//! A TCP proxy on loopback that treats connections as networks and crashes do.
//!
//! It sits between a process of tapedeck's and a server. It knows the server's protocol well enough to act at a point
//! inside a transaction or a request. So the tests run what ships, without test hooks.

mod kafka;
mod link;
mod postgres;
mod trap;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

pub use trap::{Action, Point, Trap};

/// The protocol of the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// PostgreSQL's, version 3.
    Postgres,
    /// Kafka's.
    Kafka,
}

/// Direction of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From our process.
    ToServer,
    /// To our process.
    ToClient,
}

/// How bytes are treated, on existing and new connections.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// They pass.
    Pass,
    /// They pass after a delay.
    Latency(Duration),
    /// They wait until the mode changes, in both directions; no side notices.
    Blackhole,
    /// They wait until the mode changes, in this direction only; no side notices.
    HalfOpen(Direction),
}

impl Mode {
    /// True if bytes wait.
    fn holds(self, direction: Direction) -> bool {
        self == Mode::Blackhole || self == Mode::HalfOpen(direction)
    }
}

/// A proxy in front of one server; it ends when it is dropped.
#[expect(missing_debug_implementations, reason = "only the test harness holds it")]
pub struct Proxy {
    /// Where our process connects to.
    pub port: u16,
    control: Arc<Control>,
    runtime: Option<Runtime>,
}

/// State shared by the connections of a proxy.
struct Control {
    upstream: String,
    protocol: Protocol,
    mode: watch::Sender<Mode>,
    /// Connections begun before the last change are reset.
    epoch: watch::Sender<u64>,
    /// Bytes to the client after which its connection is reset.
    budget: Mutex<Option<usize>>,
    traps: Mutex<Vec<Arc<Trap>>>,
    /// The process that connects; 0: not known.
    process: AtomicU32,
    /// Requests seen, by Kafka's number of the API.
    requests: Mutex<HashMap<i16, u64>>,
}

impl Proxy {
    /// Listens on that port, or on a free one, and connects to `upstream` for each connection.
    pub fn start(port: Option<u16>, upstream: &str, protocol: Protocol) -> Proxy {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", port.unwrap_or(0)))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let control = Arc::new(Control {
            upstream: upstream.to_owned(),
            protocol,
            mode: watch::Sender::new(Mode::Pass),
            epoch: watch::Sender::new(0),
            budget: Mutex::default(),
            traps: Mutex::default(),
            process: AtomicU32::new(0),
            requests: Mutex::default(),
        });
        runtime.spawn(accept(listener, control.clone()));
        Proxy { port, control, runtime: Some(runtime) }
    }

    /// Its address.
    pub fn address(&self) -> String {
        SocketAddr::from(([127, 0, 0, 1], self.port)).to_string()
    }

    /// Names the process that owns the connections: a trap kills or stops it.
    pub fn serves(&self, process: u32) {
        self.control.process.store(process, Ordering::SeqCst);
    }

    /// Changes how bytes are treated.
    pub fn set(&self, mode: Mode) {
        self.control.mode.send_replace(mode);
    }

    /// Resets all connections, on both sides.
    pub fn cut(&self) {
        self.control.epoch.send_modify(|epoch| *epoch += 1);
    }

    /// Resets a connection on both sides after so many more bytes, counted over both directions.
    pub fn cut_after(&self, bytes: usize) {
        *lock(&self.control.budget) = Some(bytes);
    }

    /// Cancels a cut that has not happened yet.
    pub fn spare(&self) {
        *lock(&self.control.budget) = None;
    }

    /// True if a requested cut has not happened yet.
    pub fn is_cut_pending(&self) -> bool {
        lock(&self.control.budget).is_some()
    }

    /// Sets a trap; one trap may be set on several proxies and springs once.
    pub fn arm(&self, trap: &Arc<Trap>) {
        lock(&self.control.traps).push(trap.clone());
    }

    /// Removes all traps.
    pub fn disarm(&self) {
        lock(&self.control.traps).clear();
    }

    /// How many requests of a Kafka API have passed, by its number: 0 is Produce.
    pub fn requests(&self, api: i16) -> u64 {
        lock(&self.control.requests).get(&api).copied().unwrap_or(0)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Control {
    /// The trap at this point, which springs by this call.
    fn sprung(&self, is_there: impl Fn(&Point) -> bool) -> Option<Arc<Trap>> {
        let mut traps = lock(&self.traps);
        traps.retain(|trap| !trap.has_sprung());
        traps.iter().find(|trap| is_there(&trap.point) && trap.spring()).cloned()
    }
}

async fn accept(listener: TcpListener, control: Arc<Control>) {
    while let Ok((client, _)) = listener.accept().await {
        let control = control.clone();
        tokio::spawn(async move {
            // An absent server refuses connections; the proxy does so by closing what it accepted.
            if let Ok(server) = TcpStream::connect(&control.upstream).await {
                link::run(client, server, control).await;
            } else {
                let _ = client.set_zero_linger();
            }
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
