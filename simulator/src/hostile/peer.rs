//! What a hostile provider sends to a client.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::sleep;

use super::{PAGE, PIECE, Seen};

/// A client.
pub(super) struct Peer<'a, S> {
    pub(super) socket: &'a mut S,
    pub(super) seen: &'a Seen,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<'_, S> {
    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes).await?;
        self.seen.bytes_sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    pub(super) async fn page(&mut self, headers: &[&str], body: &[u8]) -> io::Result<()> {
        let more: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{more}\r\n", body.len());
        self.send(&[head.as_bytes(), body].concat()).await
    }

    pub(super) async fn page_of_length(&mut self, length: usize, body: &[u8]) -> io::Result<()> {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        self.send(&[head.as_bytes(), body].concat()).await
    }

    /// A body of `count` copies of a piece.
    pub(super) async fn pieces(&mut self, encoding: &str, count: usize, piece: &[u8]) -> io::Result<()> {
        let length = count * piece.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {length}\r\n\r\n");
        self.send(head.as_bytes()).await?;
        for _ in 0..count {
            self.send(piece).await?;
        }
        Ok(())
    }

    pub(super) async fn endless(&mut self, header: &str, before: &[u8], after: &[u8]) -> io::Result<()> {
        self.send(format!("HTTP/1.1 200 OK\r\n{header}Connection: close\r\n\r\n").as_bytes()).await?;
        // JSON may begin with any number of spaces.
        let piece = [before, &vec![b' '; PIECE], after].concat();
        loop {
            self.send(&piece).await?;
        }
    }

    pub(super) async fn endless_head(&mut self) -> io::Result<()> {
        self.send(b"HTTP/1.1 200 OK\r\n").await?;
        for number in 0_u64.. {
            self.send(format!("X-Padding-{number}: {:0>1000}\r\n", number).as_bytes()).await?;
        }
        Ok(())
    }

    pub(super) async fn drip(&mut self, pause: Duration) -> io::Result<()> {
        self.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", PAGE.len()).as_bytes()).await?;
        for byte in PAGE {
            self.send(&[*byte]).await?;
            self.socket.flush().await?;
            sleep(pause).await;
        }
        Ok(())
    }

    pub(super) async fn redirect(&mut self, location: &str) -> io::Result<()> {
        let head = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        self.send(head.as_bytes()).await
    }

    /// Waits until the client has hung up.
    pub(super) async fn until_gone(&mut self) -> io::Result<()> {
        until_gone(self.socket).await
    }
}

pub(super) async fn until_gone(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    while socket.read(&mut [0; 1024]).await? > 0 {}
    Ok(())
}
