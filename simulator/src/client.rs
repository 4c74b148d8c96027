//! An HTTP client for tests that sends and reads raw bytes, without a library that would normalise them.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for a response.
const LONGEST: Duration = Duration::from_secs(20);

/// A response, up to the end of the connection.
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Its status; 0 when there was no response.
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.status(), 200, "{}{}", self.head, self.text());
        serde_json::from_str(self.text()).unwrap()
    }
}

/// Requests a path below an address, and reads at most `most` bytes.
pub(crate) async fn get_at_most(url: &str, path: &str, most: u64) -> Answer {
    let address = url.strip_prefix("http://").unwrap();
    let (host, base) = address.split_once('/').unwrap_or((address, ""));
    let slash = if base.is_empty() { "" } else { "/" };
    let mut socket = TcpStream::connect(host).await.unwrap();
    let headers = "Connection: close\r\nX-Api-Key: simulatedsimulatedsimulated00000\r\n";
    let request = format!("GET {slash}{base}{path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    // A broken or silent connection also ends the response.
    let _ = timeout(LONGEST, socket.take(most).read_to_end(&mut all)).await;
    let end = all.windows(4).position(|part| part == b"\r\n\r\n").map_or(all.len(), |at| at + 4);
    let body = all.split_off(end);
    Answer { head: String::from_utf8(all).unwrap(), body }
}

pub(crate) async fn get(url: &str, path: &str) -> Answer {
    get_at_most(url, path, u64::MAX).await
}
