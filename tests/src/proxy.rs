//! A TCP proxy on loopback that does to a connection what networks and crashes do.
//!
//! It stands between one of our processes and a server, and knows enough of the server's protocol to act at a point
//! inside a transaction or a request: what the tests run is what ships, without any code for tests in it.

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

/// What is spoken on the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// PostgreSQL's, version 3.
    Postgres,
    /// Kafka's.
    Kafka,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From our process.
    ToServer,
    /// To our process.
    ToClient,
}

/// What happens to all bytes, on the connections that exist and on new ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// They pass.
    Pass,
    /// They pass so much later.
    Latency(Duration),
    /// They wait until the mode changes, both ways; nobody is told.
    Blackhole,
    /// They wait until the mode changes, this way only; nobody is told.
    HalfOpen(Direction),
}

impl Mode {
    /// Whether bytes wait.
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

/// What the connections of a proxy share.
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

    /// Names the process whose connections these are: the one that a trap kills or stops.
    pub fn serves(&self, process: u32) {
        self.control.process.store(process, Ordering::SeqCst);
    }

    /// Changes what happens to bytes.
    pub fn set(&self, mode: Mode) {
        self.control.mode.send_replace(mode);
    }

    /// Resets all connections, on both sides.
    pub fn cut(&self) {
        self.control.epoch.send_modify(|epoch| *epoch += 1);
    }

    /// Resets a connection, on both sides, after so many more bytes, both ways counted together.
    pub fn cut_after(&self, bytes: usize) {
        *lock(&self.control.budget) = Some(bytes);
    }

    /// Takes back a cut that has not happened yet.
    pub fn spare(&self) {
        *lock(&self.control.budget) = None;
    }

    /// Whether a cut that was asked for has not happened yet.
    pub fn is_cut_pending(&self) -> bool {
        lock(&self.control.budget).is_some()
    }

    /// Sets a trap; one trap may be set on several proxies and springs once.
    pub fn arm(&self, trap: &Arc<Trap>) {
        lock(&self.control.traps).push(trap.clone());
    }

    /// Takes all traps away.
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
    /// The trap that is set for this point, which thereby has sprung.
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
            // A server that is away refuses: so does the proxy, by closing what it has accepted.
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
