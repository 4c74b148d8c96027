//! A hostile or badly broken provider on a local port, one [`Kind`] of harm at a time. It writes HTTP by hand, because
//! an HTTP library would not allow these responses.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

mod bomb;
mod certificate;
mod http2;
mod peer;

use certificate::Certificate;
pub use http2::GoAway;
use peer::Peer;

/// Symbol of the harmless response: a Yahoo chart with one bar.
pub const SYMBOL: &str = "SIM000";
const PAGE: &[u8] = br#"{"chart":{"result":[{"meta":{"currency":"USD","symbol":"SIM000","exchangeTimezoneName":"America/New_York","dataGranularity":"1d","regularMarketTime":1767214800},"timestamp":[1767191400],"indicators":{"quote":[{"open":[10],"high":[12],"low":[9],"close":[11],"volume":[1000]}],"adjclose":[{"adjclose":[11]}]}}],"error":null}}"#;
/// A forged response with another close, sent after the declared end of a response.
const FORGED: &[u8] = br#"{"chart":{"result":[{"meta":{"currency":"USD","symbol":"SIM000","exchangeTimezoneName":"America/New_York","dataGranularity":"1d","regularMarketTime":1767214800},"timestamp":[1767191400],"indicators":{"quote":[{"open":[10],"high":[666],"low":[9],"close":[666],"volume":[1000]}],"adjclose":[{"adjclose":[666]}]}}],"error":null}}"#;
/// An HTML page.
const HTML: &[u8] =
    b"<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body><p>We use cookies.</p></body></html>";

/// Bytes per write of an endless body.
const PIECE: usize = 64 << 10;
/// Bytes missing from a body that is shorter than its declared length.
const MISSING: usize = 1000;
/// Longest head of a request.
const MAX_HEAD: usize = 64 << 10;

/// A kind of harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No harm: a good response, to compare with.
    Harmless,
    /// A megabyte that unpacks to more than a gigabyte.
    GzipBomb,
    /// The same, compressed twice.
    NestedEncoding,
    /// A body without end, and without a length.
    Endless,
    /// A body without end, in chunks.
    EndlessChunked,
    /// A body that is shorter than its declared length.
    WrongLength,
    /// A body that is longer than its declared length: the rest looks like the next response.
    ShortLength,
    /// A good response, sent byte by byte with this pause.
    SlowDrip(Duration),
    /// A head without end.
    NeverEndingHeaders,
    /// Half of the JSON, with a matching length.
    Truncated,
    /// An HTML page with status 200.
    HtmlOk,
    /// An empty body with status 200.
    Empty,
    /// A redirect to an address that only this machine can reach.
    RedirectPrivate(Target),
    /// A redirect to itself.
    RedirectLoop,
    /// No response at all.
    Silent,
    /// A connection that is reset after the request.
    Reset,
    /// TLS with an expired certificate from a trusted issuer.
    ExpiredCertificate,
    /// TLS with a self-signed certificate.
    SelfSigned,
    /// TLS with a certificate of another host from a trusted issuer.
    WrongHost,
    /// HTTP/2 with TLS, on a connection that accepts only one request.
    GoAway(GoAway),
}

impl Kind {
    /// All harmful kinds; `pause` is the time between the bytes of a slow response.
    pub fn harmful(pause: Duration) -> Vec<Kind> {
        vec![
            Kind::GzipBomb,
            Kind::NestedEncoding,
            Kind::Endless,
            Kind::EndlessChunked,
            Kind::WrongLength,
            Kind::ShortLength,
            Kind::SlowDrip(pause),
            Kind::NeverEndingHeaders,
            Kind::Truncated,
            Kind::HtmlOk,
            Kind::Empty,
            Kind::RedirectPrivate(Target::Neighbour),
            Kind::RedirectPrivate(Target::Metadata),
            Kind::RedirectPrivate(Target::File),
            Kind::RedirectLoop,
            Kind::Silent,
            Kind::Reset,
            Kind::ExpiredCertificate,
            Kind::SelfSigned,
            Kind::WrongHost,
            Kind::GoAway(GoAway::Unheard),
            Kind::GoAway(GoAway::Midway),
        ]
    }
}

/// Where a redirect leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// To another port of this machine, which counts connections.
    Neighbour,
    /// To the metadata address of cloud machines, which serves secrets.
    Metadata,
    /// To a file.
    File,
}

/// A hostile provider; dropping it ends it.
#[derive(Debug)]
pub struct Hostile {
    address: SocketAddr,
    /// Certificate of the issuer in PEM; empty without TLS.
    ca_pem: String,
    seen: Arc<Seen>,
    servers: Vec<JoinHandle<()>>,
}

/// Counts of what clients did.
#[derive(Debug, Default)]
struct Seen {
    connections: AtomicU64,
    requests: AtomicU64,
    bytes_sent: AtomicU64,
    lured: AtomicU64,
}

impl Hostile {
    /// Starts on a free port of this machine, on the current tokio runtime.
    pub async fn start(kind: Kind) -> anyhow::Result<Hostile> {
        let certificate = match kind {
            Kind::ExpiredCertificate => Some(Certificate::Expired),
            Kind::SelfSigned => Some(Certificate::SelfSigned),
            Kind::WrongHost => Some(Certificate::WrongHost),
            Kind::GoAway(_) => Some(Certificate::Valid),
            _ => None,
        };
        Hostile::start_with(kind, certificate).await
    }

    /// The same with TLS and a certificate that is valid for clients that trust its issuer.
    pub async fn start_encrypted(kind: Kind) -> anyhow::Result<Hostile> {
        Hostile::start_with(kind, Some(Certificate::Valid)).await
    }

    async fn start_with(kind: Kind, certificate: Option<Certificate>) -> anyhow::Result<Hostile> {
        let listener = listener().await?;
        let address = listener.local_addr().context("the hostile provider has no address")?;
        let protocols: &[&[u8]] = if let Kind::GoAway(_) = kind { &[http2::PROTOCOL] } else { &[] };
        let accepting = certificate.map(|certificate| certificate::acceptor(certificate, protocols));
        let (acceptor, ca_pem) = accepting.transpose()?.unzip();
        let seen = Arc::new(Seen::default());
        let neighbour = listener_of_the_lured(Arc::clone(&seen)).await?;
        let host = Host { kind, neighbour: neighbour.0, acceptor, seen: Arc::clone(&seen) };
        let servers = vec![tokio::spawn(serve(listener, host)), neighbour.1];
        Ok(Hostile { address, ca_pem: ca_pem.unwrap_or_default(), seen, servers })
    }

    /// Its address.
    pub fn url(&self) -> String {
        let scheme = if self.ca_pem.is_empty() { "http" } else { "https" };
        format!("{scheme}://{}", self.address)
    }

    /// Certificate of its issuer in PEM; empty without TLS.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Connections made so far.
    pub fn connections(&self) -> u64 {
        self.seen.connections.load(Ordering::Relaxed)
    }

    /// Requests read so far; with TLS, a client that rejects the certificate sends none.
    pub fn requests(&self) -> u64 {
        self.seen.requests.load(Ordering::Relaxed)
    }

    /// Bytes sent so far, before encryption.
    pub fn bytes_sent(&self) -> u64 {
        self.seen.bytes_sent.load(Ordering::Relaxed)
    }

    /// Connections of clients that followed the redirect to the neighbour.
    pub fn lured(&self) -> u64 {
        self.seen.lured.load(Ordering::Relaxed)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.servers.iter().for_each(JoinHandle::abort);
    }
}

async fn listener() -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    listener.context("the hostile provider cannot listen on 127.0.0.1")
}

/// Counts connections.
async fn listener_of_the_lured(seen: Arc<Seen>) -> anyhow::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = listener().await?;
    let address = listener.local_addr().context("the neighbour has no address")?;
    let counting = tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            seen.lured.fetch_add(1, Ordering::Relaxed);
        }
    });
    Ok((address, counting))
}

/// What each connection needs to know.
#[derive(Clone)]
struct Host {
    kind: Kind,
    neighbour: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    seen: Arc<Seen>,
}

async fn serve(listener: TcpListener, host: Host) {
    // Ends with this task, and all connections with it.
    let mut peers = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        host.seen.connections.fetch_add(1, Ordering::Relaxed);
        while peers.try_join_next().is_some() {}
        let host = host.clone();
        peers.spawn(async move {
            // The client may hang up, and should.
            let _ = host.meet(socket).await;
        });
    }
}

impl Host {
    async fn meet(self, mut socket: TcpStream) -> io::Result<()> {
        if self.kind == Kind::Reset {
            self.read_head(&mut socket).await?;
            socket.set_zero_linger()?;
            return Ok(());
        }
        match self.acceptor.clone() {
            Some(acceptor) => self.answer(acceptor.accept(socket).await?).await,
            None => self.answer(socket).await,
        }
    }

    async fn answer(&self, mut socket: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        if let Kind::GoAway(when) = self.kind {
            return http2::answer(&mut socket, when, &self.seen).await;
        }
        while self.read_head(&mut socket).await? {
            let mut peer = Peer { socket: &mut socket, seen: &self.seen };
            if !self.harm(&mut peer).await? {
                break;
            }
        }
        socket.shutdown().await
    }

    /// Reads the head of a request; false at the end of the connection.
    async fn read_head(&self, socket: &mut (impl AsyncRead + Unpin)) -> io::Result<bool> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if head.len() > MAX_HEAD || socket.read(&mut byte).await? == 0 {
                return Ok(false);
            }
            head.push(byte[0]);
        }
        self.seen.requests.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }

    /// Answers a request; returns whether to keep the connection.
    async fn harm<S: AsyncRead + AsyncWrite + Unpin>(&self, peer: &mut Peer<'_, S>) -> io::Result<bool> {
        let half = &PAGE[..PAGE.len() / 2];
        match self.kind {
            Kind::Harmless | Kind::ExpiredCertificate | Kind::SelfSigned | Kind::WrongHost => {
                peer.page(&[], PAGE).await?
            }
            Kind::GzipBomb => peer.pieces("gzip", bomb::MEMBERS, bomb::member()).await?,
            Kind::NestedEncoding => peer.pieces("gzip, gzip", 1, bomb::nested()).await?,
            Kind::Endless => peer.endless("", b"", b"").await?,
            Kind::EndlessChunked => {
                peer.endless("Transfer-Encoding: chunked\r\n", format!("{PIECE:x}\r\n").as_bytes(), b"\r\n").await?;
            }
            Kind::WrongLength => peer.page_of_length(PAGE.len() + MISSING, PAGE).await?,
            Kind::ShortLength => {
                peer.page_of_length(half.len(), PAGE).await?;
                peer.page(&[], FORGED).await?;
                // Keep the connection, so that the next request finds the rest.
                return Ok(true);
            }
            Kind::SlowDrip(pause) => peer.drip(pause).await?,
            Kind::NeverEndingHeaders => peer.endless_head().await?,
            Kind::Truncated => peer.page(&[], half).await?,
            Kind::HtmlOk => peer.page(&["Content-Type: text/html"], HTML).await?,
            Kind::Empty => peer.page(&[], b"").await?,
            Kind::RedirectPrivate(target) => peer.redirect(&self.location(target)).await?,
            Kind::RedirectLoop => peer.redirect("/again").await?,
            Kind::Silent | Kind::Reset | Kind::GoAway(_) => peer.until_gone().await?,
        }
        Ok(false)
    }

    fn location(&self, target: Target) -> String {
        let scheme = if self.acceptor.is_some() { "https" } else { "http" };
        match target {
            Target::Neighbour => format!("{scheme}://{}/secret", self.neighbour),
            Target::Metadata => format!("{scheme}://169.254.169.254/latest/meta-data/"),
            Target::File => "file:///etc/passwd".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
