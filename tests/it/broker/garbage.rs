//! What hostile clients send.

use std::io::Write as _;
use std::net::TcpStream;

use tests::workload::Random;

/// API keys of Kafka.
const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;
/// The first Fetch version that the broker serves.
const FETCH_VERSION: i16 = 4;
/// Large answers that a client asks for at a time, more than the broker works on at a time.
const FETCHES: usize = 8;

/// The topic whose records some clients ask for and never read.
pub(super) const LARGE_TOPIC: &str = "large";

/// Opens a connection and sends the garbage of kind `kind`; the broker may close the connection meanwhile.
pub(super) fn connect(address: &str, kind: usize, random: &mut Random) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    // Failed writes: the broker has closed the connection already.
    let _ = stream.write_all(&sent(kind, random));
    stream
}

fn sent(kind: usize, random: &mut Random) -> Vec<u8> {
    let noise = |random: &mut Random, length| (0..length).map(|_| random.number() as u8).collect::<Vec<_>>();
    match kind % 13 {
        // Never a byte, or an incomplete length.
        0 => Vec::new(),
        1 => vec![0, 0],
        // Half a header, half a body.
        2 => frame(100, METADATA, 1, &[])[..9].to_vec(),
        3 => frame(1_000, METADATA, 1, &[0; 20]),
        // A Produce request of the greatest size that stops after 64 KiB.
        4 => frame(16 << 20, PRODUCE, 9, &noise(random, 64 << 10)),
        // Lengths of 2 GB, of less than nothing, too short.
        5 => frame(i32::MAX, PRODUCE, 9, &[]),
        6 => frame(-1, METADATA, 1, &[]),
        7 => frame(3, METADATA, 1, &[]),
        // An API and versions that do not exist.
        8 => whole(999, 0, &[]),
        9 => [whole(API_VERSIONS, 99, &[]), whole(METADATA, 99, &[])].concat(),
        // Metadata for two billion topics, which are not there.
        10 => whole(METADATA, 1, &i32::MAX.to_be_bytes()),
        11 => noise(random, 200),
        // Large answers that nobody reads.
        _ => whole(FETCH, FETCH_VERSION, &fetch()).repeat(FETCHES),
    }
}

/// A request of which only this body arrives.
fn frame(length: i32, key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut sent = length.to_be_bytes().to_vec();
    sent.extend(key.to_be_bytes());
    sent.extend(version.to_be_bytes());
    // Correlation id, and a client id of length 0.
    sent.extend([0, 0, 0, 1, 0, 0]);
    sent.extend(body);
    sent
}

fn whole(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    frame(10 + body.len() as i32, key, version, body)
}

/// All records of [`LARGE_TOPIC`].
fn fetch() -> Vec<u8> {
    let mut body = Vec::new();
    // A consumer, 500 ms wait, at least 1 byte, at most 64 MB, uncommitted too.
    [-1, 500, 1, 64 << 20].iter().for_each(|number: &i32| body.extend(number.to_be_bytes()));
    body.push(0);
    body.extend(1i32.to_be_bytes());
    body.extend((LARGE_TOPIC.len() as i16).to_be_bytes());
    body.extend(LARGE_TOPIC.as_bytes());
    // One partition, number 0, from offset 0 on, at most 64 MB.
    [1, 0].iter().for_each(|number: &i32| body.extend(number.to_be_bytes()));
    body.extend(0i64.to_be_bytes());
    body.extend((64i32 << 20).to_be_bytes());
    body
}
