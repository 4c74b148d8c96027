//! Frames: reads the requests of a connection with bounded memory.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::{Buf as _, Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::timeout;

use super::Request;
use super::memory::{Lease, Memory};
use super::versions::{Served, served};
use super::walk::{header, walk};
use crate::limits::{
    ELEMENT_MEMORY, FIRST_BUFFER, FRAME_TIMEOUT, MAX_FRAME, MAX_PRODUCE_FRAME, MIN_FRAME, SMALL_FRAME,
};

/// A request as it came from the wire.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A request of a version that the broker serves; its body passed the walk.
    Request(Request),
    /// ApiVersions in an unknown version.
    UnknownApiVersions { correlation_id: i32 },
}

/// A request and its share of the memory.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) incoming: Incoming,
    pub(super) lease: Lease,
}

/// Bytes before the client id: API key, version, correlation id.
const FIXED_HEADER: usize = 8;
/// Size of the buffer that collects small frames. Larger reads bypass it.
const READ_BUFFER: usize = 4 << 10;

/// Reads frames from one connection.
#[derive(Debug)]
pub(super) struct Frames<R> {
    read: R,
    peer: SocketAddr,
}

impl Frames<BufReader<OwnedReadHalf>> {
    pub(super) fn new(read: OwnedReadHalf, peer: SocketAddr) -> Self {
        Self { read: BufReader::with_capacity(READ_BUFFER, read), peer }
    }
}

impl<R: AsyncBufRead + Unpin> Frames<R> {
    /// Waits up to `idle` for the first byte of a frame.
    pub(super) async fn begins(&mut self, idle: Duration) -> anyhow::Result<Begin> {
        match timeout(idle, self.read.fill_buf()).await {
            Ok(bytes) => Ok(if bytes.context("read")?.is_empty() { Begin::End } else { Begin::Frame }),
            Err(_) => Ok(Begin::Idle),
        }
    }

    /// Reads one frame within [`FRAME_TIMEOUT`].
    pub(super) async fn next(&mut self, memory: &Memory) -> anyhow::Result<Frame> {
        timeout(FRAME_TIMEOUT, self.read_frame(memory))
            .await
            .with_context(|| format!("a frame did not arrive within {} s", FRAME_TIMEOUT.as_secs()))?
    }

    async fn read_frame(&mut self, memory: &Memory) -> anyhow::Result<Frame> {
        let length = self.read.read_i32().await.context("read a frame's length")?;
        let length = usize::try_from(length).ok().filter(|length| *length >= MIN_FRAME);
        let Some(length) = length else { bail!("invalid frame length") };
        let mut fixed = [0; FIXED_HEADER];
        self.read.read_exact(&mut fixed).await.context("read a header")?;
        let mut fields = fixed.as_slice();
        let (key, version, correlation_id) = (fields.get_i16(), fields.get_i16(), fields.get_i32());
        let served = served(key, version);
        let most = if served == Served::Yes(ApiKey::Produce) { MAX_PRODUCE_FRAME } else { MAX_FRAME };
        if length > most {
            bail!("frame of {length} bytes for API key {key}, at most {most}");
        }
        let rest = length - FIXED_HEADER;
        let api = match served {
            Served::Yes(api) => api,
            Served::UnknownApiVersions => {
                self.skip(rest).await?;
                return Ok(Frame {
                    incoming: Incoming::UnknownApiVersions { correlation_id },
                    lease: Lease::default(),
                });
            }
            Served::No => bail!("API key {key} version {version} is not served"),
        };
        let mut lease = Lease::default();
        let produce = api == ApiKey::Produce;
        let bytes = self.body(rest, produce, memory, &mut lease).await?;
        let (request, elements) = parse(api, version, correlation_id, self.peer, bytes)
            .with_context(|| format!("{api:?} version {version}"))?;
        memory.cover(&mut lease, length + elements * ELEMENT_MEMORY, produce).await;
        Ok(Frame { incoming: Incoming::Request(request), lease })
    }

    /// Reads and drops `n` bytes.
    async fn skip(&mut self, mut n: usize) -> anyhow::Result<()> {
        while n > 0 {
            let available = self.read.fill_buf().await.context("read a frame")?.len();
            if available == 0 {
                bail!("the client closed the connection inside a frame");
            }
            let taken = available.min(n);
            self.read.consume(taken);
            n -= taken;
        }
        Ok(())
    }

    /// Reads `n` bytes. The buffer grows only as bytes arrive.
    async fn body(&mut self, n: usize, produce: bool, memory: &Memory, lease: &mut Lease) -> anyhow::Result<Bytes> {
        let mut capacity = n.min(if produce { FIRST_BUFFER } else { SMALL_FRAME });
        memory.cover(lease, capacity, produce).await;
        let mut bytes = BytesMut::with_capacity(capacity);
        loop {
            while bytes.len() < capacity {
                let missing = (capacity - bytes.len()) as u64;
                let read = (&mut self.read).take(missing).read_buf(&mut bytes).await.context("read a frame")?;
                if read == 0 {
                    bail!("the client closed the connection inside a frame");
                }
            }
            if capacity == n {
                return Ok(bytes.freeze());
            }
            capacity = if produce { n.min(2 * capacity) } else { n };
            memory.cover(lease, capacity, produce).await;
            bytes.reserve(capacity - bytes.len());
        }
    }
}

/// What [`Frames::begins`] saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// The first byte of a frame is there.
    Frame,
    /// The client closed the connection.
    End,
    /// No byte arrived in time.
    Idle,
}

/// Parses the rest of the header and walks the body. Returns the request and its number of array elements.
fn parse(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    peer: SocketAddr,
    mut bytes: Bytes,
) -> anyhow::Result<(Request, usize)> {
    let header = header(api, version, &bytes);
    let (client_id, header_bytes) = match header {
        Ok((client_id, bytes)) => (client_id.map(str::to_owned), bytes),
        Err(refusal) => bail!("invalid header: {refusal}"),
    };
    bytes.advance(header_bytes);
    let walked = match walk(api, version, &bytes) {
        Ok(walked) => walked,
        Err(refusal) => bail!("invalid request: {refusal}"),
    };
    bytes.truncate(walked.bytes);
    Ok((Request { api, version, correlation_id, client_id, peer, body: bytes }, walked.elements))
}
