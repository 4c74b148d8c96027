//! Sockets: order, garbage, clients that never read or send only half, too many connections, stop.

use std::io::Write as _;
use std::time::Duration;

use bytes::{Buf as _, BufMut as _};
use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::protocol::Decodable as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;
use crate::limits::{MAX_CONNECTIONS, MAX_FRAME, MAX_PRODUCE_FRAME, PIECE};

/// Longest wait for something that must happen.
const SOON: Duration = Duration::from_secs(20);

/// Answers by API; see [`TestHandler::handle`].
struct TestHandler {
    started: Notify,
    dropped: Notify,
    release: Notify,
    file: Arc<File>,
}

/// Tells when a waiting request is dropped.
struct Dropped<'a>(&'a Notify);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// Bytes of the answer to DescribeCluster.
const LARGE: usize = 256 << 10;
const FILE: usize = 3 * PIECE + 17;

impl Handler for Arc<TestHandler> {
    async fn handle(&self, request: Request) -> Reply {
        match request.api {
            ApiKey::Fetch | ApiKey::JoinGroup => {
                let _dropped = Dropped(&self.dropped);
                self.started.notify_one();
                std::future::pending().await
            }
            ApiKey::Produce => Reply::Message(BytesMut::from(&request.body.len().to_be_bytes()[..])),
            ApiKey::DescribeCluster => Reply::Message(BytesMut::zeroed(LARGE)),
            ApiKey::InitProducerId => {
                let handler = self.clone();
                Reply::Later(Box::pin(async move {
                    handler.release.notified().await;
                    Reply::Message(BytesMut::from(&b"later"[..]))
                }))
            }
            ApiKey::Heartbeat => panic!("a handler's panic ends one connection"),
            ApiKey::ListOffsets => Reply::Nothing,
            ApiKey::DeleteGroups => Reply::Close,
            ApiKey::DeleteRecords => Reply::Pieces(vec![
                Piece::Bytes(Bytes::from_static(b"head")),
                Piece::File { file: self.file.clone(), position: 5, len: FILE - 5 },
                Piece::Bytes(Bytes::from(vec![7; PIECE])),
            ]),
            _ => {
                self.release.notify_one();
                Reply::Message(BytesMut::from(&request.body[..]))
            }
        }
    }
}

struct Server {
    address: SocketAddr,
    handler: Arc<TestHandler>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn content() -> Vec<u8> {
    (0..FILE).map(|i| (i % 251) as u8).collect()
}

async fn start() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&content()).unwrap();
    let (started, dropped, release) = (Notify::new(), Notify::new(), Notify::new());
    let handler = Arc::new(TestHandler { started, dropped, release, file: Arc::new(file) });
    let stop = CancellationToken::new();
    let task = tokio::spawn(serve(listener, Arc::new(handler.clone()), MAX_CONNECTIONS, stop.clone()));
    Server { address, handler, stop, task }
}

/// A frame with a header of client id `me`.
fn frame(api: ApiKey, version: i16, id: i32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_i16(api as i16);
    out.put_i16(version);
    out.put_i32(id);
    out.put_i16(2);
    out.put_slice(b"me");
    if api.request_header_version(version) >= 2 {
        out.put_u8(0);
    }
    out.put_slice(body);
    let mut all = (out.len() as i32).to_be_bytes().to_vec();
    all.extend(out);
    all
}

/// Metadata for all topics; the handler echoes it.
fn metadata(id: i32) -> Vec<u8> {
    frame(ApiKey::Metadata, 1, id, &[0xff; 4])
}

/// Produce version 3 with records of `n` bytes.
fn produce(id: i32, n: usize) -> Vec<u8> {
    let mut body = vec![0xff, 0xff, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0];
    body.put_i32(n as i32);
    body.resize(body.len() + n, 9);
    frame(ApiKey::Produce, 3, id, &body)
}

/// Fetch version 4 without topics.
fn fetch(id: i32) -> Vec<u8> {
    frame(ApiKey::Fetch, 4, id, &[0; 21])
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A new client gets its answer.
    async fn serves(&self) {
        let mut client = self.connect().await;
        client.write_all(&metadata(77)).await.unwrap();
        assert_eq!(response(&mut client).await, (77, vec![0xff; 4]));
    }

    async fn end(self) {
        self.stop.cancel();
        timeout(SOON, self.task).await.unwrap().unwrap();
    }
}

async fn response(client: &mut TcpStream) -> (i32, Vec<u8>) {
    timeout(SOON, async {
        let length = client.read_i32().await.unwrap();
        let id = client.read_i32().await.unwrap();
        let mut body = vec![0; length as usize - 4];
        client.read_exact(&mut body).await.unwrap();
        (id, body)
    })
    .await
    .unwrap()
}

/// The server closes the connection without a further byte.
async fn is_closed(client: &mut TcpStream) -> bool {
    matches!(timeout(SOON, client.read_u8()).await, Ok(Err(_)))
}

#[tokio::test]
async fn api_versions_is_answered_in_every_version() {
    let server = start().await;
    let mut client = server.connect().await;
    for version in 0..=4_i16 {
        let body: &[u8] = if version >= 3 { &[2, b'n', 2, b'1', 0] } else { &[] };
        client.write_all(&frame(ApiKey::ApiVersions, version, 5, body)).await.unwrap();
        let (id, body) = response(&mut client).await;
        let mut rest = Bytes::from(body);
        let versions = ApiVersionsResponse::decode(&mut rest, version).unwrap();
        assert_eq!((id, rest.len(), versions.error_code, versions.api_keys.len()), (5, 0, 0, APIS.len()));
        assert!(versions.unknown_tagged_fields.is_empty() && versions.supported_features.is_empty());
        for (got, api) in versions.api_keys.iter().zip(APIS) {
            let min = if api.key == ApiKey::Produce { 0 } else { api.min };
            assert_eq!((got.api_key, got.min_version, got.max_version), (api.key as i16, min, api.max));
        }
    }
    client.write_all(&frame(ApiKey::ApiVersions, 9, 6, &[1, 2, 3])).await.unwrap();
    assert_eq!(response(&mut client).await, (6, vec![0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4]));
    client.write_all(&metadata(7)).await.unwrap();
    assert_eq!(response(&mut client).await.0, 7);
    server.end().await;
}

#[tokio::test]
async fn garbage_closes_its_connection_only() {
    let server = start().await;
    let mut other = server.connect().await;
    let mut long = metadata(1);
    long[..4].copy_from_slice(&(MAX_FRAME as i32 + 1).to_be_bytes());
    let mut huge = produce(1, 10);
    huge[..4].copy_from_slice(&(MAX_PRODUCE_FRAME as i32 + 1).to_be_bytes());
    let mut client_id = metadata(1);
    client_id[12..14].copy_from_slice(&[0x7f, 0xff]);
    let garbage = [
        vec![0xff; 64],
        vec![0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 1, 0, 0, 0, 0, 0, 0],
        vec![0; 64],
        vec![0, 0, 0, 9, 0, 3, 0, 0, 0, 0, 0, 1, 0],
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        long,
        huge,
        client_id,
        frame(ApiKey::Metadata, 14, 1, &[]),
        frame(ApiKey::Metadata, -1, 1, &[]),
        frame(ApiKey::Produce, 2, 1, &[0; 20]),
        frame(ApiKey::EndTxn, 0, 1, &[0; 20]),
        frame(ApiKey::Metadata, 0, 1, &[0x7f, 0xff, 0xff, 0xff, 0]),
        frame(ApiKey::Metadata, 1, 1, &[0, 0, 0, 1]),
    ];
    for (i, bytes) in garbage.iter().enumerate() {
        let mut client = server.connect().await;
        client.write_all(bytes).await.unwrap();
        assert!(is_closed(&mut client).await, "garbage {i}");
        other.write_all(&metadata(i as i32)).await.unwrap();
        assert_eq!(response(&mut other).await, (i as i32, vec![0xff; 4]));
    }
    // A frame that ends early.
    let whole = metadata(3);
    for cut in 1..whole.len() {
        let mut client = server.connect().await;
        client.write_all(&whole[..cut]).await.unwrap();
        client.shutdown().await.unwrap();
        assert!(is_closed(&mut client).await, "{cut} bytes");
    }
    // A frame that arrives byte by byte.
    let mut client = server.connect().await;
    for byte in metadata(4) {
        client.write_all(&[byte]).await.unwrap();
    }
    assert_eq!(response(&mut client).await.0, 4);
    server.end().await;
}

#[tokio::test]
async fn responses_keep_the_order_of_the_requests() {
    let server = start().await;
    let mut client = server.connect().await;
    // The handler of the second request releases the response to the first.
    let mut requests = frame(ApiKey::InitProducerId, 0, 1, &[0xff, 0xff, 0, 0, 0, 0]);
    requests.extend(metadata(2));
    requests.extend(frame(ApiKey::ListOffsets, 1, 3, &[0; 8]));
    requests.extend(metadata(4));
    requests.extend(frame(ApiKey::DeleteGroups, 0, 5, &[0; 4]));
    requests.extend(metadata(6));
    client.write_all(&requests).await.unwrap();
    assert_eq!(response(&mut client).await, (1, b"later".to_vec()));
    assert_eq!(response(&mut client).await.0, 2);
    assert_eq!(response(&mut client).await.0, 4);
    assert!(is_closed(&mut client).await);
    server.end().await;
}

#[tokio::test]
async fn requests_before_the_end_of_the_connection_are_answered() {
    let server = start().await;
    let mut client = server.connect().await;
    client.write_all(&[metadata(1), metadata(2), metadata(3)].concat()).await.unwrap();
    client.shutdown().await.unwrap();
    for id in 1..=3 {
        assert_eq!(response(&mut client).await.0, id);
    }
    assert!(is_closed(&mut client).await);
    server.end().await;
}

#[tokio::test]
async fn files_are_streamed_between_pieces_in_memory() {
    let server = start().await;
    let mut client = server.connect().await;
    client.write_all(&frame(ApiKey::DeleteRecords, 0, 1, &[0; 8])).await.unwrap();
    let (id, body) = response(&mut client).await;
    let expected = [b"head".as_slice(), &content()[5..], &[7; PIECE]].concat();
    assert!(id == 1 && body == expected);
    server.end().await;
}

#[tokio::test]
async fn a_waiting_fetch_ends_with_its_client() {
    let server = start().await;
    let mut client = server.connect().await;
    client.write_all(&fetch(1)).await.unwrap();
    timeout(SOON, server.handler.started.notified()).await.unwrap();
    drop(client);
    timeout(SOON, server.handler.dropped.notified()).await.unwrap();
    server.end().await;
}

#[tokio::test]
async fn a_stop_ends_waiting_requests() {
    let server = start().await;
    let mut clients = Vec::new();
    for request in [fetch(1), frame(ApiKey::JoinGroup, 0, 1, &[0; 14])] {
        let mut client = server.connect().await;
        client.write_all(&request).await.unwrap();
        timeout(SOON, server.handler.started.notified()).await.unwrap();
        clients.push(client);
    }
    server.stop.cancel();
    timeout(STOP_GRACE / 2, server.task).await.unwrap().unwrap();
    for client in &mut clients {
        assert!(is_closed(client).await);
    }
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_panic_ends_one_connection() {
    let server = start().await;
    let mut client = server.connect().await;
    client.write_all(&frame(ApiKey::Heartbeat, 0, 1, &[0; 8])).await.unwrap();
    assert!(is_closed(&mut client).await);
    server.serves().await;
    server.end().await;
}

#[tokio::test]
async fn large_produce_frames_do_not_wait_for_each_other_forever() {
    let server = start().await;
    let records = MAX_PRODUCE_FRAME - 50;
    let request = Arc::new(produce(1, records));
    let tasks: Vec<_> = (0..6)
        .map(|_| (request.clone(), server.address))
        .map(|(request, address)| {
            tokio::spawn(async move {
                let mut client = TcpStream::connect(address).await.unwrap();
                client.write_all(&request).await.unwrap();
                response(&mut client).await
            })
        })
        .collect();
    for task in tasks {
        let (_, body) = task.await.unwrap();
        assert_eq!(body.as_slice().get_u64(), records as u64 + 27);
    }
    server.end().await;
}

#[tokio::test]
async fn half_frames_leave_others_served() {
    let server = start().await;
    let mut halves = Vec::new();
    let request = produce(1, MAX_PRODUCE_FRAME - 50);
    for _ in 0..6 {
        let mut client = server.connect().await;
        // The server stops reading when the memory is used up.
        let sent = timeout(Duration::from_millis(300), client.write_all(&request[..request.len() - 1])).await;
        halves.push((client, sent.is_ok()));
    }
    assert!(!halves.iter().all(|(_, sent)| *sent), "the memory for frames has no bound");
    server.serves().await;
    let mut client = server.connect().await;
    client.write_all(&produce(2, 1_000)).await.unwrap();
    assert_eq!(response(&mut client).await.0, 2);
    server.end().await;
}

#[tokio::test]
async fn a_client_that_never_reads_is_closed_while_others_are_served() {
    let server = start().await;
    let mut deaf = server.connect().await;
    let flood = tokio::spawn(async move {
        // Ends when the server closes the connection.
        while deaf.write_all(&frame(ApiKey::DescribeCluster, 0, 1, &[0, 0])).await.is_ok() {}
    });
    let mut other = server.connect().await;
    let mut served = 0;
    let begin = tokio::time::Instant::now();
    while !flood.is_finished() && begin.elapsed() < 3 * SOON {
        other.write_all(&metadata(served)).await.unwrap();
        assert_eq!(response(&mut other).await.0, served);
        served += 1;
    }
    assert!(flood.is_finished() && served > 1_000, "{served} requests served");
    server.end().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed() {
    let server = start().await;
    let mut clients = Vec::new();
    for id in 0..MAX_CONNECTIONS as i32 {
        let mut client = server.connect().await;
        client.write_all(&metadata(id)).await.unwrap();
        assert_eq!(response(&mut client).await.0, id);
        clients.push(client);
    }
    for _ in 0..100 {
        assert!(is_closed(&mut server.connect().await).await);
    }
    for (id, client) in clients.iter_mut().enumerate() {
        client.write_all(&metadata(id as i32)).await.unwrap();
        assert_eq!(response(client).await.0, id as i32);
    }
    // A slot is free again once the server has seen the end of a connection.
    drop(clients.pop());
    let again = async {
        loop {
            let mut client = server.connect().await;
            let written = client.write_all(&metadata(1)).await;
            if written.is_ok() && client.read_i32().await.is_ok() {
                break;
            }
        }
    };
    timeout(SOON, again).await.unwrap();
    server.end().await;
}
