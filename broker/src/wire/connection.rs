//! One connection: a reader, a handler and a writer with bounded queues between them.
//!
//! The handler answers one request after the other while the reader reads the next frame. A response may come
//! later ([`Reply::Later`]); the writer keeps the order of the requests.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bytes::BytesMut;
use kafka_protocol::messages::ApiKey;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::frame::{Begin, Frame, Frames, Incoming};
use super::memory::{Lease, Memory};
use super::respond::{Head, message, pieces};
use super::{Handler, Piece, Reply, Request, versions};
use crate::limits::{IDLE_TIMEOUT, MAX_IN_FLIGHT};

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared<H> {
    pub(super) handler: Arc<H>,
    pub(super) memory: Memory,
    pub(super) stop: CancellationToken,
}

/// A reply on its way to the writer.
struct Outgoing {
    head: Head,
    reply: Reply,
    /// The request's memory, held until the reply is known.
    lease: Lease,
    /// The response's memory, held until the client has read it.
    share: Option<OwnedSemaphorePermit>,
}

/// Serves one connection until its end.
pub(super) async fn run<H: Handler>(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared<H>>) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!("{peer}: set TCP_NODELAY: {error}");
    }
    let (read, write) = stream.into_split();
    // One frame waits here while the handler works on another.
    let (requests, queue) = mpsc::channel(1);
    let (replies, answers) = mpsc::channel(MAX_IN_FLIGHT);
    let gone = CancellationToken::new();
    let reader = async {
        let guard = gone.clone().drop_guard();
        if let Err(error) = read_frames(Frames::new(read, peer), &shared, requests).await {
            debug!("{peer}: connection closed: {error:#}");
        }
        drop(guard);
    };
    let handler = handle(queue, &shared, &gone, replies);
    let writer = write_replies(write, answers, &shared.memory);
    tokio::pin!(writer);
    let written = tokio::select! {
        written = &mut writer => written,
        _ = async { tokio::join!(reader, handler) } => writer.await,
    };
    if let Err(error) = written {
        debug!("{peer}: connection closed: {error:#}");
    }
}

/// Reads frames until the client closes the connection, sends an invalid frame or the broker stops.
async fn read_frames<H: Handler>(
    mut frames: Frames<tokio::io::BufReader<tokio::net::tcp::OwnedReadHalf>>,
    shared: &Shared<H>,
    requests: mpsc::Sender<Frame>,
) -> anyhow::Result<()> {
    loop {
        let begin = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return Ok(()),
            begin = frames.begins(IDLE_TIMEOUT) => begin?,
        };
        match begin {
            Begin::Frame => {}
            Begin::End => return Ok(()),
            Begin::Idle => bail!("no request for {} s", IDLE_TIMEOUT.as_secs()),
        }
        let frame = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return Ok(()),
            frame = frames.next(&shared.memory) => frame?,
        };
        if requests.send(frame).await.is_err() {
            return Ok(());
        }
    }
}

/// Handles requests in order until there are no more or a reply closes the connection.
async fn handle<H: Handler>(
    mut queue: mpsc::Receiver<Frame>,
    shared: &Shared<H>,
    gone: &CancellationToken,
    replies: mpsc::Sender<Outgoing>,
) {
    while let Some(Frame { incoming, lease }) = queue.recv().await {
        let (head, reply) = match incoming {
            Incoming::UnknownApiVersions { correlation_id } => {
                let head = Head { correlation_id, flexible: false };
                (head, Reply::Message(versions::unknown_version()))
            }
            Incoming::Request(request) => {
                let flexible = request.api.response_header_version(request.version) >= 1;
                let head = Head { correlation_id: request.correlation_id, flexible };
                (head, answer(request, shared, gone).await)
            }
        };
        let share = match &reply {
            Reply::Nothing => continue,
            Reply::Close => return,
            reply => shared.memory.response(reply.bytes()),
        };
        let Some(share) = share else {
            debug!("unread responses hold all memory for responses");
            return;
        };
        if replies.send(Outgoing { head, reply, lease, share }).await.is_err() {
            return;
        }
    }
}

async fn answer<H: Handler>(request: Request, shared: &Shared<H>, gone: &CancellationToken) -> Reply {
    let api = request.api;
    if api == ApiKey::ApiVersions {
        return Reply::Message(versions::answer(request.version));
    }
    let abandoned = async {
        match api {
            // Nobody reads the response, and a waiting Fetch changes nothing.
            ApiKey::Fetch => gone.cancelled().await,
            ApiKey::JoinGroup | ApiKey::SyncGroup => shared.stop.cancelled().await,
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        reply = shared.handler.handle(request) => reply,
        () = abandoned => Reply::Close,
    }
}

/// Writes replies in order until there are no more.
async fn write_replies(
    mut write: OwnedWriteHalf,
    mut answers: mpsc::Receiver<Outgoing>,
    memory: &Memory,
) -> anyhow::Result<()> {
    while let Some(Outgoing { head, mut reply, lease, mut share }) = answers.recv().await {
        while let Reply::Later(later) = reply {
            reply = later.await;
            let Some(later_share) = memory.response(reply.bytes()) else {
                bail!("unread responses hold all memory for responses");
            };
            share = later_share;
        }
        drop(lease);
        match reply {
            Reply::Message(body) => message(&mut write, head, body).await.context("write a response")?,
            Reply::Pieces(body) => pieces(&mut write, head, body).await.context("write a response")?,
            Reply::Close => return Ok(()),
            Reply::Nothing | Reply::Later(_) => {}
        }
        drop(share);
    }
    Ok(())
}

impl Reply {
    /// Bytes of the response in memory.
    fn bytes(&self) -> usize {
        match self {
            Self::Message(body) => BytesMut::len(body),
            Self::Pieces(pieces) => pieces.iter().map(Piece::memory).sum(),
            Self::Nothing | Self::Close | Self::Later(_) => 0,
        }
    }
}
