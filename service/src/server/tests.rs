use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::*;

fn served(health: &Health) -> SocketAddr {
    let listener = StdTcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    start(listener, health.clone()).unwrap();
    address
}

/// Sends text, and reads what is answered until the connection is closed.
fn exchange(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get(address: SocketAddr, path: &str) -> String {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"))
}

#[test]
fn it_says_what_is_wrong_in_lines_and_ok_when_nothing_is() {
    let health = Health::new();
    let database = health.readiness("database");
    let address = served(&health);
    let answer = get(address, "/readyz");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("\r\n\r\ndatabase: not known yet\n"), "{answer}");
    database.ready();
    assert!(get(address, "/readyz?verbose").starts_with("HTTP/1.1 200 "));
    assert!(get(address, "/livez").ends_with("\r\n\r\nok\n"));
    let answer = get(address, "/metrics");
    assert!(answer.contains("application/openmetrics-text") && answer.ends_with("# EOF\n"), "{answer}");
    assert!(get(address, "/").starts_with("HTTP/1.1 404 "));
    assert!(exchange(address, "POST /livez HTTP/1.1\r\nhost: x\r\n\r\n").starts_with("HTTP/1.1 405 "));
}

#[test]
fn slow_clients_and_long_headers_hold_nobody_up() {
    let address = served(&Health::new());
    let began = Instant::now();
    // As many clients as there are places, none of which ever sends a request.
    let mut silent: Vec<TcpStream> = (0..MAX_CONNECTIONS).map(|_| TcpStream::connect(address).unwrap()).collect();
    silent.iter_mut().for_each(|stream| stream.write_all(b"GET /livez HTTP/1.1\r\n").unwrap());
    assert!(get(address, "/livez").starts_with("HTTP/1.1 200 "));
    assert!(began.elapsed() < CONNECTION_TIMEOUT, "{:?}", began.elapsed());
    for mut stream in silent {
        // Closed, with or without a response.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert!(began.elapsed() < 2 * CONNECTION_TIMEOUT, "{:?}", began.elapsed());
    let long = format!("GET /livez HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(2 * MAX_HEADER_BYTES));
    let mut stream = TcpStream::connect(address).unwrap();
    let _ = stream.write_all(long.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 200"));
}
