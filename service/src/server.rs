//! The health server: `/livez`, `/readyz` and `/metrics`, on its own thread, so that it answers even when the process
//! hangs.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener as StdTcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::health::{Health, Hung};
use crate::metrics;

/// Most connections at the same time; further ones wait.
const MAX_CONNECTIONS: usize = 32;
/// How long a client may take to send the header of its request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a connection may last. Each is for one request, and the server reads no bodies.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest header, in bytes: the smallest limit that the library accepts.
const MAX_HEADER_BYTES: usize = 8192;
/// Pause after accepting a connection failed, usually because no file descriptor is left.
const ACCEPT_WAIT: Duration = Duration::from_millis(100);

const PLAIN: &str = "text/plain; charset=utf-8";

/// Serves until the process ends.
pub(crate) fn start(listener: StdTcpListener, health: Health) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _entered = runtime.enter();
        TcpListener::from_std(listener)?
    };
    std::thread::Builder::new()
        .name("health".to_owned())
        .spawn(move || runtime.block_on(serve(listener, health)))
        .map(drop)
}

async fn serve(listener: TcpListener, health: Health) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_WAIT).await;
            continue;
        };
        let health = health.clone();
        tokio::spawn(async move {
            // A slow or vanished client is not an error of this process.
            let _ = timeout(CONNECTION_TIMEOUT, connection(stream, health)).await;
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, health: Health) -> hyper::Result<()> {
    let answer = service_fn(move |request: Request<Incoming>| {
        let response = answer(&health, request.method(), request.uri().path());
        async move { Ok::<_, Infallible>(response) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .keep_alive(false)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), answer)
        .await
}

fn answer(health: &Health, method: &Method, path: &str) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        return response(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET\n".to_owned());
    }
    match path {
        "/livez" => {
            let line = |Hung { name, age }| format!("{name}: no heartbeat for {} s", age.as_secs());
            verdict(health.not_alive(Instant::now()).into_iter().map(line).collect())
        }
        "/readyz" => verdict(health.not_ready()),
        "/metrics" => response(StatusCode::OK, metrics::CONTENT_TYPE, health.shown_metrics()),
        _ => response(StatusCode::NOT_FOUND, PLAIN, "not found: ask for /livez, /readyz or /metrics\n".to_owned()),
    }
}

/// 200 without reasons against it, otherwise 503 and the reasons.
fn verdict(reasons: Vec<String>) -> Response<Full<Bytes>> {
    if reasons.is_empty() {
        return response(StatusCode::OK, PLAIN, "ok\n".to_owned());
    }
    response(StatusCode::SERVICE_UNAVAILABLE, PLAIN, format!("{}\n", reasons.join("\n")))
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
