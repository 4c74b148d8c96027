//! What the broker costs while nothing happens.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tests::process::until;

use super::Embedded;

/// Consumers, each with a topic of its own, like the deck's.
const CONSUMERS: usize = 22;
/// Partitions of each topic.
const PARTITIONS: i32 = 4;
/// How long the broker is watched.
const WATCHED: Duration = Duration::from_secs(10);
/// Largest share of a core that they may cost.
const CORE_LIMIT: f64 = 0.01;
/// Idle connections.
const CONNECTIONS: usize = 100;
/// Most resident memory beside them, in MB.
const MEMORY_LIMIT_MB: f64 = 40.0;

#[test]
fn waiting_consumers_cost_less_than_a_hundredth_of_a_core() {
    let broker = Embedded::start("interval");
    let names: Vec<String> = (0..CONSUMERS).map(|number| format!("topic-{number}")).collect();
    broker.create_topics(&names.iter().map(String::as_str).collect::<Vec<_>>(), PARTITIONS, |_| Vec::new());
    let consumers: Vec<BaseConsumer> = names
        .iter()
        .map(|name| {
            let consumer: BaseConsumer = broker.client().set("group.id", name).create().unwrap();
            consumer.subscribe(&[name]).unwrap();
            consumer
        })
        .collect();
    let (stop, before, used) = (AtomicBool::new(false), Instant::now(), |before| broker.core_time() - before);
    std::thread::scope(|scope| {
        for consumer in &consumers {
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    assert!(consumer.poll(Duration::from_millis(500)).is_none(), "no record was sent");
                }
            });
        }
        let is_assigned = |consumer: &BaseConsumer| {
            consumer.position().is_ok_and(|positions| positions.count() == PARTITIONS as usize)
        };
        until("all partitions are assigned", || consumers.iter().all(is_assigned));
        eprintln!("assigned after {:.1?}", before.elapsed());
        let (watched, core_time) = (Instant::now(), broker.core_time());
        sleep(WATCHED);
        let share = used(core_time).as_secs_f64() / watched.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        eprintln!("{CONSUMERS} waiting consumers cost {:.2} % of a core", 100.0 * share);
        assert!(share < CORE_LIMIT, "{:.2} % of a core", 100.0 * share);
    });
}

#[test]
fn a_hundred_idle_connections_cost_less_than_40_mb() {
    let broker = Embedded::start("interval");
    let connections: Vec<TcpStream> = (0..CONNECTIONS).map(|_| greeted(&broker.address)).collect();
    let resident_mb = broker.resident_mb();
    eprintln!("{} idle connections: {resident_mb:.1} MB", connections.len());
    assert!(resident_mb < MEMORY_LIMIT_MB, "{resident_mb} MB are resident");
}

/// A connection on which the broker has answered ApiVersions.
fn greeted(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    // ApiVersions 0, correlation id 7, no client id.
    stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 255, 255]).unwrap();
    let (mut length, mut answer) = ([0; 4], Vec::new());
    stream.read_exact(&mut length).unwrap();
    answer.resize(u32::from_be_bytes(length) as usize, 0);
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..4], [0, 0, 0, 7]);
    stream
}
