//! Sockets and frames of Kafka's protocol; knows nothing of topics or groups.
//!
//! [`serve`] reads requests with bounded memory, checks each body before anything decodes it, passes it to the
//! [`Handler`] and writes the responses in the order of the requests. It answers ApiVersions itself.

mod connection;
mod frame;
mod memory;
mod respond;
mod shapes;
mod versions;
mod walk;

use std::fmt::{Debug, Formatter};
use std::fs::File;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::limits::{ACCEPT_PAUSE, FULL_WARNING_INTERVAL, STOP_GRACE};
use connection::{Shared, run};
use memory::Memory;
pub use versions::{APIS, Api};

/// A request of an API and version in [`APIS`].
#[derive(Debug, Clone)]
pub struct Request {
    /// The API.
    pub api: ApiKey,
    /// The version, one of those that [`APIS`] lists.
    pub version: i16,
    /// The client's number of this request.
    pub correlation_id: i32,
    /// The client's name for itself.
    pub client_id: Option<String>,
    /// The client's address.
    pub peer: SocketAddr,
    /// The bytes after the header. `kafka-protocol` decodes them without error, panic or large allocation.
    /// Decoded strings keep the whole frame in memory: copy those that outlive the request.
    pub body: Bytes,
}

/// A reply that a later event completes.
pub type LaterReply = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// The answer to a request.
pub enum Reply {
    /// The body without the header.
    Message(BytesMut),
    /// The body in pieces, for example of a Fetch.
    Pieces(Vec<Piece>),
    /// No response: a Produce with acks=0.
    Nothing,
    /// Close the connection after the responses to earlier requests.
    Close,
    /// The future gives the reply, for example after a flush. Meanwhile the broker handles the connection's next
    /// requests, up to [`MAX_IN_FLIGHT`](crate::limits::MAX_IN_FLIGHT).
    Later(LaterReply),
}

impl Debug for Reply {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Message(body) => f.debug_tuple("Message").field(&body.len()).finish(),
            Self::Pieces(pieces) => f.debug_tuple("Pieces").field(pieces).finish(),
            Self::Nothing => f.write_str("Nothing"),
            Self::Close => f.write_str("Close"),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

/// A part of a response's body.
#[derive(Debug, Clone)]
pub enum Piece {
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes of a file.
    File {
        /// The file.
        file: Arc<File>,
        /// Position of the first byte.
        position: u64,
        /// Number of bytes.
        len: usize,
    },
}

impl Piece {
    /// Number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::File { len, .. } => *len,
        }
    }

    /// No bytes?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of bytes in memory.
    fn memory(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::File { .. } => 0,
        }
    }
}

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers `request`. The connection drops the future of a waiting Fetch when its client closes the connection,
    /// and those of Fetch, JoinGroup and SyncGroup when the broker stops.
    fn handle(&self, request: Request) -> impl Future<Output = Reply> + Send;
}

/// Serves at most so many connections at a time until `stop`, and closes further ones. Returns when all connections are
/// closed, at the latest after [`STOP_GRACE`].
pub async fn serve<H: Handler>(
    listener: TcpListener,
    handler: Arc<H>,
    max_connections: usize,
    stop: CancellationToken,
) {
    let shared = Arc::new(Shared { handler, memory: Memory::new(), stop: stop.clone() });
    let slots = Arc::new(Semaphore::new(max_connections));
    let mut connections = JoinSet::new();
    let mut warned: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
            accepted = accept(&listener) => accepted,
        };
        let Some((stream, peer)) = accepted else { continue };
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            if warned.is_none_or(|at| at.elapsed() >= FULL_WARNING_INTERVAL) {
                warn!("{max_connections} connections are open: closing further ones");
                warned = Some(Instant::now());
            }
            continue;
        };
        connections.spawn(serve_one(stream, peer, shared.clone(), slot));
    }
    drop(listener);
    let rest = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    if timeout(STOP_GRACE, rest).await.is_err() {
        warn!("{} connections were still busy {} s after the stop", connections.len(), STOP_GRACE.as_secs());
        connections.shutdown().await;
    }
}

/// Accepts a connection; `None` after an error, for example without free file descriptors.
async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            warn!("cannot accept a connection: {error}");
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn serve_one<H: Handler>(
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared<H>>,
    slot: OwnedSemaphorePermit,
) {
    run(stream, peer, shared).await;
    drop(slot);
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        error!("a connection's task failed: {error}");
    }
}

#[cfg(test)]
mod tests;
