//! Just enough of HTTP/2 (RFC 9113) to end a connection with GOAWAY.

use std::io;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::peer::until_gone;
use super::{MAX_HEAD, PAGE, Seen};

/// Its name in ALPN.
pub(super) const PROTOCOL: &[u8] = b"h2";

/// The client's connection preface.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of the head of a frame.
const FRAME_HEAD: usize = 9;
/// The stream of the first request of a connection.
const FIRST: u32 = 1;

/// Types of frames.
mod frame {
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const GOAWAY: u8 = 7;
}

/// Flags of frames; the same bit acknowledges settings and ends a stream.
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `:status: 200`, entry 8 of HPACK's static table.
const STATUS_200: &[u8] = &[0x88];

/// Why a connection is over.
mod reason {
    pub(super) const NO_ERROR: u32 = 0;
    pub(super) const ENHANCE_YOUR_CALM: u32 = 11;
}

/// When a provider sends GOAWAY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoAway {
    /// Instead of a response: the request was not processed.
    Unheard,
    /// In the middle of the response, for too many requests.
    Midway,
    /// After the whole response, as a server does before a restart.
    Answered,
}

/// Accepts one request, and announces that it accepts no other.
pub(super) async fn answer(
    socket: &mut (impl AsyncRead + AsyncWrite + Unpin),
    when: GoAway,
    seen: &Seen,
) -> io::Result<()> {
    socket.read_exact(&mut [0; PREFACE.len()]).await?;
    send(socket, seen, &framed(frame::SETTINGS, 0, 0, &[])).await?;
    while read_frame(socket).await? != frame::HEADERS {}
    seen.requests.fetch_add(1, Ordering::Relaxed);
    let head = framed(frame::HEADERS, END_HEADERS, FIRST, STATUS_200);
    let said = match when {
        GoAway::Unheard => go_away(0, reason::NO_ERROR),
        GoAway::Midway => {
            let half = framed(frame::DATA, 0, FIRST, &PAGE[..PAGE.len() / 2]);
            [head, half, go_away(FIRST, reason::ENHANCE_YOUR_CALM)].concat()
        }
        GoAway::Answered => {
            let page = framed(frame::DATA, END_STREAM, FIRST, PAGE);
            [head, page, go_away(FIRST, reason::NO_ERROR)].concat()
        }
    };
    send(socket, seen, &[framed(frame::SETTINGS, ACK, 0, &[]), said].concat()).await?;
    socket.shutdown().await?;
    // If the connection closed at once, the client might not read the last frames.
    until_gone(socket).await
}

async fn send(socket: &mut (impl AsyncWrite + Unpin), seen: &Seen, bytes: &[u8]) -> io::Result<()> {
    socket.write_all(bytes).await?;
    socket.flush().await?;
    seen.bytes_sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    Ok(())
}

/// Reads a frame; returns its type.
async fn read_frame(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<u8> {
    let mut head = [0; FRAME_HEAD];
    socket.read_exact(&mut head).await?;
    let [a, b, c, kind, ..] = head;
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    if length > MAX_HEAD {
        return Err(io::ErrorKind::InvalidData.into());
    }
    socket.read_exact(&mut vec![0; length]).await?;
    Ok(kind)
}

fn framed(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A GOAWAY frame: no stream after this one was or will be processed.
fn go_away(last: u32, reason: u32) -> Vec<u8> {
    framed(frame::GOAWAY, 0, 0, &[last.to_be_bytes(), reason.to_be_bytes()].concat())
}
