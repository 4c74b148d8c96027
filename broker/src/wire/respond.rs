//! Writes responses. A client that does not read costs one buffer and is closed after [`WRITE_TIMEOUT`].

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::{Buf, BufMut as _, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Piece;
use crate::limits::{PIECE, WRITE_TIMEOUT};

/// The header of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) correlation_id: i32,
    /// The header ends with tagged fields; the broker sends none.
    pub(super) flexible: bool,
}

impl Head {
    const MOST: usize = 9;

    /// Writes the frame's length and the header.
    fn put(self, out: &mut BytesMut, body: usize) -> io::Result<()> {
        let length = body + if self.flexible { 5 } else { 4 };
        let length = i32::try_from(length).map_err(|_| io::Error::other("a response of more than 2 GiB"))?;
        out.put_i32(length);
        out.put_i32(self.correlation_id);
        if self.flexible {
            out.put_u8(0);
        }
        Ok(())
    }
}

/// Writes a response whose body is in memory.
pub(super) async fn message(write: &mut (impl AsyncWrite + Unpin), head: Head, body: BytesMut) -> io::Result<()> {
    let mut out = BytesMut::with_capacity(Head::MOST);
    head.put(&mut out, body.len())?;
    all(write, &mut out.chain(body)).await
}

/// Writes a response of pieces; files go through one buffer of [`PIECE`] bytes.
pub(super) async fn pieces(write: &mut (impl AsyncWrite + Unpin), head: Head, pieces: Vec<Piece>) -> io::Result<()> {
    let total: usize = pieces.iter().map(Piece::len).sum();
    let mut out = BytesMut::with_capacity((Head::MOST + total).min(PIECE));
    head.put(&mut out, total)?;
    for piece in pieces {
        match piece {
            Piece::Bytes(mut bytes) => {
                while bytes.has_remaining() {
                    let n = room(write, &mut out).await?.min(bytes.len());
                    out.put(bytes.split_to(n));
                }
            }
            Piece::File { file, mut position, mut len } => {
                while len > 0 {
                    let n = room(write, &mut out).await?.min(len);
                    out = read(file.clone(), position, n, out).await?;
                    position += n as u64;
                    len -= n;
                }
            }
        }
    }
    all(write, &mut out).await
}

/// Appends a part of a file to the buffer. A slow disk must not keep other connections waiting.
async fn read(file: Arc<File>, position: u64, n: usize, mut out: BytesMut) -> io::Result<BytesMut> {
    let read = move || {
        let start = out.len();
        out.resize(start + n, 0);
        file.read_exact_at(out.get_mut(start..).unwrap_or_default(), position).map(|()| out)
    };
    spawn_blocking(read).await.map_err(io::Error::other)?
}

/// Free bytes of the buffer; writes the buffer when it is full.
async fn room(write: &mut (impl AsyncWrite + Unpin), out: &mut BytesMut) -> io::Result<usize> {
    if out.len() >= PIECE {
        all(write, &mut out.as_ref()).await?;
        out.clear();
    }
    Ok(PIECE - out.len())
}

/// Writes everything; fails when the client accepts no byte within [`WRITE_TIMEOUT`].
async fn all(write: &mut (impl AsyncWrite + Unpin), out: &mut impl Buf) -> io::Result<()> {
    while out.has_remaining() {
        match timeout(WRITE_TIMEOUT, write.write_buf(out)).await {
            Ok(Ok(0)) => return Err(ErrorKind::WriteZero.into()),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(io::Error::new(ErrorKind::TimedOut, "the client stopped reading")),
        }
    }
    Ok(())
}
