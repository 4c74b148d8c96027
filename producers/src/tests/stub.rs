//! A provider for tests that sends given bytes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::sleep;

/// How long each connection waits for the response, and then for its end.
#[derive(Clone, Copy)]
struct Pauses {
    hesitation: Duration,
    linger: Duration,
}

const NONE: Pauses = Pauses { hesitation: Duration::ZERO, linger: Duration::ZERO };

pub(crate) struct Stub {
    pub(crate) base: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    /// Sends the next response to each request, and the last one from then on; then keeps the connection open for
    /// `linger`.
    pub(crate) async fn start(responses: Vec<Vec<u8>>, linger: Duration) -> Stub {
        Stub::with(move |index, _| responses[index.min(responses.len() - 1)].clone(), Pauses { linger, ..NONE }).await
    }

    /// Sends this response to every request, after a while.
    pub(crate) async fn hesitating(response: Vec<u8>, hesitation: Duration) -> Stub {
        Stub::with(move |_, _| response.clone(), Pauses { hesitation, ..NONE }).await
    }

    /// Sends the response that the function returns for the request.
    pub(crate) async fn saying(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Stub {
        Stub::with(move |_, request| answer(request), NONE).await
    }

    async fn with(answer: impl Fn(usize, &str) -> Vec<u8> + Send + Sync + 'static, pauses: Pauses) -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(socket.read_u8().await.unwrap());
                    }
                    let response = {
                        let mut seen = seen.lock().unwrap();
                        let request = String::from_utf8(head).unwrap();
                        let response = answer(seen.len(), &request);
                        seen.push(request);
                        response
                    };
                    sleep(pauses.hesitation).await;
                    // In some tests the client closes the connection early.
                    let _ = socket.write_all(&response).await;
                    sleep(pauses.linger).await;
                });
            }
        });
        Stub { base, requests }
    }

    pub(crate) async fn answering(responses: &[Vec<u8>]) -> Stub {
        Stub::start(responses.to_vec(), Duration::ZERO).await
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// A response with that status and these header lines.
pub(crate) fn response(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    [text.as_bytes(), b"\r\n", body].concat()
}
