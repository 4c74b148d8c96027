//! Health of daemons: `/metrics`, `/readyz`, `/livez`, and how a hung daemon ends.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;

use contract::Record;
use sqlx::{Connection as _, PgConnection};
use tests::broker::{Bench, benches, embedded, postgres};
use tests::forward::{Forward, Network};
use tests::message::{BAR_SCHEMA_ID, Message, bar, encode, send};
use tests::pages::Pages;
use tests::process::{Environment, Heard, Running, command, fail, run, until};
use tokio::runtime::Runtime;

const PASSWORD: &str = "hunter2";

/// A daemon with its health server.
struct Daemon {
    process: Running,
    address: String,
}

impl Daemon {
    fn start(name: &str, arguments: &[&str], environment: &Environment, folder: &Path) -> Daemon {
        let file = folder.join(tests::unique("health"));
        let mut environment = environment.clone();
        environment.insert("TAPEDECK_HEALTH_FILE", file.display().to_string());
        let mut command = command(name, arguments, &environment);
        command.stderr(Stdio::piped());
        let process = Running::start(command);
        Daemon { process, address: address_in(&file) }
    }

    fn consumer(bench: &Bench, more: &[(&'static str, &str)]) -> Daemon {
        Daemon::start("consumer", &["run", "ohlcv_bar"], &bench.with(more), bench.folder.path())
    }

    fn get(&self, path: &str) -> (u16, String) {
        get(&self.address, path)
    }

    /// The value of a metric by name and labels; None if it is missing.
    fn metric(&self, name: &str) -> Option<f64> {
        metric(&self.address, name)
    }

    /// The sum over a metric's labels.
    fn sum(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics");
        let lines = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
    }

    fn is_ready(&self) -> bool {
        self.get("/readyz").0 == 200
    }
}

/// The address in a daemon's file; waits for the file.
pub(crate) fn address_in(file: &Path) -> String {
    let mut address = None;
    until("the health server's address is written", || {
        address = std::fs::read_to_string(file).ok();
        address.is_some()
    });
    address.unwrap().trim().strip_prefix("http://").unwrap().to_owned()
}

pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// The value of a metric at an address.
pub(crate) fn metric(address: &str, name: &str) -> Option<f64> {
    let (status, text) = get(address, "/metrics");
    assert_eq!(status, 200);
    let value = |line: &str| line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' ')).map(str::to_owned);
    text.lines().find_map(value).map(|value| value.parse().unwrap())
}

fn good(days: std::ops::Range<u32>, observed_at: i64) -> Vec<Message> {
    let value = |day| encode(BAR_SCHEMA_ID, &Record::from(bar("AAPL", day, 1.0, 0, observed_at)));
    days.map(|day| (None, Some(format!("key {day}").into_bytes()), Some(value(day)))).collect()
}

fn rows(outcome: &str) -> String {
    format!("tapedeck_rows_total{{dataset=\"ohlcv_bar\",outcome=\"{outcome}\"}}")
}

#[test]
fn a_consumer_counts_what_became_of_the_records_and_its_lag_goes_to_zero() {
    for (name, bench) in benches() {
        let mut messages = good(0..300, 0);
        let refused = encode(BAR_SCHEMA_ID, &Record::from(bar("AAPL", 0, f64::NAN, 0, 0)));
        messages.extend((0..7).map(|_| (Some(0), None, Some(b"no Avro".to_vec()))));
        messages.extend((0..3).map(|_| (Some(1), None, Some(refused.clone()))));
        send(&bench, "ohlcv_bar", &messages);
        let consumer = Daemon::consumer(&bench, &[]);
        until("it is all stored", || consumer.sum("tapedeck_rows_total") == 310.0);
        assert_eq!(consumer.metric(&rows("inserted")), Some(300.0), "on {name}");
        assert_eq!(consumer.metric(&rows("dead_lettered")), Some(10.0), "on {name}");
        assert_eq!(consumer.metric(&rows("superseded")), Some(0.0), "on {name}");
        let (_, text) = consumer.get("/metrics");
        let by_stage = |stage: &str| {
            let start = format!("tapedeck_dead_letters_total{{dataset=\"ohlcv_bar\",stage=\"{stage}\",");
            let line = text.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{text}"));
            line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()
        };
        assert_eq!((by_stage("decode"), by_stage("validate")), (7.0, 3.0), "on {name}");
        assert!(consumer.sum("tapedeck_chunk_commit_seconds_count") >= 4.0, "on {name}");
        assert_eq!(consumer.metric("tapedeck_assigned_partitions{dataset=\"ohlcv_bar\"}"), Some(4.0), "on {name}");
        // The same values, observed later: unchanged. The lag is zero, whatever ends Kafka's client learns meanwhile.
        send(&bench, "ohlcv_bar", &good(0..300, 1));
        until("it is stored again", || consumer.metric(&rows("unchanged")) == Some(300.0));
        until("no lag is left", || consumer.sum("tapedeck_lag_records") == 0.0);
        assert_eq!(consumer.sum("tapedeck_lag_seconds"), 0.0, "on {name}");
        assert_eq!(consumer.get("/readyz"), (200, "ok\n".to_owned()), "on {name}");
        assert_eq!(consumer.get("/livez"), (200, "ok\n".to_owned()), "on {name}");
    }
}

/// A bench on PostgreSQL, and a breakable connection to its database.
fn breakable() -> Option<(Bench, Forward, String)> {
    let bench = postgres()?;
    let address = bench.database.address().expose().to_owned();
    let (user, rest) = address.strip_prefix("postgres://").unwrap().split_once('@').unwrap();
    let (host, name) = rest.split_once('/').unwrap();
    let forward = Forward::to(host);
    let user = user.split(':').next().unwrap();
    let through = format!("postgres://{user}:{PASSWORD}@{}/{name}", forward.address);
    Some((bench, forward, through))
}

#[test]
fn a_consumer_is_not_ready_while_its_database_is_unavailable_and_shows_no_secret() {
    let Some((bench, forward, through)) = breakable() else { return };
    send(&bench, "ohlcv_bar", &good(0..10, 0));
    let consumer = Daemon::consumer(&bench, &[("TAPEDECK_DATABASE_URL", &through)]);
    until("it is ready", || consumer.is_ready());
    until("the first records are stored", || consumer.metric(&rows("inserted")) == Some(10.0));
    forward.set(Network::Down);
    send(&bench, "ohlcv_bar", &good(10..30, 0));
    until("it is not ready", || !consumer.is_ready());
    let (_, reason) = consumer.get("/readyz");
    assert!(reason.starts_with("ohlcv_bar database: ") && reason.lines().count() == 1, "{reason}");
    until("it has tried again", || consumer.sum("tapedeck_commit_retries_total") >= 2.0);
    assert!(consumer.sum("tapedeck_lag_records") >= 1.0);
    let (_, metrics) = consumer.get("/metrics");
    assert!(!reason.contains(PASSWORD) && !metrics.contains(PASSWORD));
    assert_eq!(consumer.get("/livez").0, 200, "waiting for a database is no reason to be started again");
    forward.set(Network::Good);
    until("it is ready again", || consumer.is_ready());
    until("all is stored", || consumer.metric(&rows("inserted")) == Some(30.0));
    until("no lag is left", || consumer.sum("tapedeck_lag_records") == 0.0);
    assert_eq!(bench.number("select count(*) as n from ohlcv_bar"), 30);
}

/// A database that accepts connections and never responds hangs the loop while it reads the positions.
#[test]
fn a_consumer_whose_loop_hangs_says_so_and_ends_with_code_70() {
    let Some((bench, forward, through)) = breakable() else { return };
    send(&bench, "ohlcv_bar", &good(0..10, 0));
    let limits = [("TAPEDECK_WATCHDOG_S", "3"), ("TAPEDECK_DATABASE_URL", &*through)];
    let mut consumer = Daemon::consumer(&bench, &limits);
    until("it is ready", || consumer.is_ready());
    assert_eq!(consumer.get("/livez").0, 200);
    forward.set(Network::Silent);
    // Another member, past the forwarder, causes a rebalance. The silent database blocks the loop for longer than this
    // watchdog allows, though not forever.
    let _other = Daemon::consumer(&bench, &[]);
    until("it is not alive", || consumer.get("/livez").0 == 503);
    let (_, reason) = consumer.get("/livez");
    // The relay waits for the same database.
    let is_loop = |line: &str| line.starts_with("sink ohlcv_bar: ") || line.starts_with("relay of dead letters: ");
    assert!(!reason.is_empty() && reason.lines().all(is_loop), "{reason}");
    let mut status = None;
    until("it ends", || {
        status = consumer.process.0.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(service::watchdog::HUNG_EXIT_CODE));
    let mut said = String::new();
    consumer.process.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(lines.len(), 1, "{said}");
    let names = ["`sink ohlcv_bar` for ", "`relay of dead letters` for "];
    assert!(lines[0].contains("no heartbeat of `") && names.iter().any(|name| lines[0].contains(name)), "{said}");
}

#[test]
fn partitions_that_were_paused_are_read_on_when_they_come_back() {
    let Some(bench) = postgres() else { return };
    let file = bench.folder.path().join("health");
    let environment = bench.with(&[("TAPEDECK_CHUNK_ROWS", "10"), ("TAPEDECK_HEALTH_FILE", file.to_str().unwrap())]);
    let consumer = Heard::start(command("consumer", &["run", "ohlcv_bar"], &environment));
    let address = address_in(&file);
    let stored = || bench.number("select count(*) as n from ohlcv_bar");
    send(&bench, "ohlcv_bar", &good(0..10, 0));
    until("the first records are stored", || stored() == 10);
    let runtime = Runtime::new().unwrap();
    let mut blocker = runtime.block_on(PgConnection::connect(bench.database.address().expose())).unwrap();
    let mut run = |sql: &'static str| runtime.block_on(sqlx::raw_sql(sql).execute(&mut blocker)).unwrap();
    run("begin; lock table ohlcv_bar in access exclusive mode");
    send(&bench, "ohlcv_bar", &good(10..410, 0));
    let pause = "tapedeck_sink_events_total{dataset=\"ohlcv_bar\",event=\"pause\"}";
    until("all partitions are paused", || metric(&address, pause).is_some_and(|pauses| pauses >= 4.0));
    let other = Heard::start(command("consumer", &["run", "ohlcv_bar"], &bench.environment));
    // It commits its chunks before it gives the partitions away: nothing is fenced, and no session restarts.
    consumer.until_said("partitions are being revoked");
    run("commit");
    for each in [&consumer, &other] {
        each.until_said("partitions=2");
    }
    until("all records are stored", || stored() == 410);
    assert_eq!(consumer.said("sink restarts"), Vec::<String>::new());
}

#[test]
fn a_producer_counts_its_fetches_and_records_and_is_ready_once_kafka_has_them() {
    let bench = embedded();
    let file = b"DATE,SKEW\n01/02/1990,126.09\n01/03/1990,123.34\n01/04/1990,x\n";
    let pages = Pages::of_index("SKEW", file);
    let watchlist = bench.folder.path().join("watchlist.toml");
    std::fs::write(&watchlist, "[cboe]\nindex_history = [\"SKEW\"]\n").unwrap();
    let environment =
        bench.with(&[("TAPEDECK_WATCHLIST", watchlist.to_str().unwrap()), ("TAPEDECK_CBOE_URL", &pages.url)]);
    let producer = Daemon::start("producer", &["run", "cboe"], &environment, bench.folder.path());
    until("it is ready", || producer.is_ready());
    let labels = "{source=\"cboe\",endpoint=\"index_history\"";
    until("the page is published", || {
        producer.metric(&format!("tapedeck_records_published_total{labels}}}")) == Some(2.0)
    });
    assert_eq!(producer.metric(&format!("tapedeck_records_rejected_total{labels}}}")), Some(1.0));
    assert_eq!(producer.metric(&format!("tapedeck_fetches_total{labels},outcome=\"answered\"}}")), Some(1.0));
    assert!(producer.metric("tapedeck_published_bytes_total{source=\"cboe\"}").unwrap() > 100.0);
    assert!(producer.metric(&format!("tapedeck_last_success_age_seconds{labels}}}")).unwrap() < 60.0);
    assert_eq!(producer.get("/livez").0, 200);
}

#[test]
fn an_item_that_fails_three_times_in_a_row_raises_one_alert_until_it_succeeds() {
    let bench = embedded();
    let serve = |page: &[u8]| Pages::of_index("SKEW", page);
    let [spoilt, good] = [&b"<html>We use cookies.</html>"[..], b"DATE,SKEW\n01/02/1990,126.09\n"].map(serve);
    let watchlist = bench.folder.path().join("watchlist.toml");
    std::fs::write(&watchlist, "[cboe]\nindex_history = [\"SKEW\"]\n").unwrap();
    let asking = |pages: &Pages| {
        bench.with(&[("TAPEDECK_WATCHLIST", watchlist.to_str().unwrap()), ("TAPEDECK_CBOE_URL", &pages.url)])
    };
    let poll = |pages: &Pages, word: &str| -> usize {
        let output = run("producer", &["run", "cboe", "--once"], &asking(pages));
        let said = String::from_utf8(output.stderr).unwrap();
        let alerts: Vec<&str> = said.lines().filter(|line| line.contains(word)).collect();
        assert!(alerts.iter().all(|line| line.contains("SKEW")), "{said}");
        alerts.len()
    };
    let alerts_by_poll: Vec<usize> = (0..4).map(|_| poll(&spoilt, "ERROR")).collect();
    assert_eq!(alerts_by_poll, [0, 0, 1, 0]);
    let status = run("producer", &["status", "cboe", "--json"], &asking(&spoilt));
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    let error = status[0]["error"].as_str().unwrap();
    assert!(status[0]["failing"] == 1 && error.starts_with("SKEW, 4 times in a row: "), "{status}");
    assert_eq!([poll(&good, "answered again"), poll(&good, "answered again")], [1, 0]);
}

#[test]
fn a_health_address_that_is_taken_is_an_error_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::TempDir::new().unwrap();
    let database = format!("sqlite:{}", folder.path().join("x.db").display());
    let environment =
        Environment::from([("TAPEDECK_DATABASE_URL", database), ("TAPEDECK_HEALTH_ADDRESS", address.clone())]);
    let said = fail("consumer", &["run"], &environment);
    assert_eq!(said.lines().count(), 1, "{said}");
    let start = format!("error: cannot serve health on `{address}` (`TAPEDECK_HEALTH_ADDRESS`): ");
    assert!(said.starts_with(&start) && said.contains("in use"), "{said}");
}

#[test]
fn up_saves_the_health_addresses_of_its_daemons() {
    let folder = tempfile::TempDir::new().unwrap();
    let arguments = ["up", "--demo", "--kafka-port", "0", "--data-dir", folder.path().to_str().unwrap()];
    // The second process would take the address of the first.
    let environment = Environment::from([("TAPEDECK_HEALTH_ADDRESS", tests::broker::free_address())]);
    let mut up = Running::start(command("tapedeck", &arguments, &environment));
    let files = ["consumer", "producer"].map(|name| folder.path().join("run").join(format!("{name}.health")));
    for file in &files {
        let address = address_in(file);
        until("it is ready", || get(&address, "/readyz").0 == 200);
    }
    up.signal("INT");
    assert!(up.wait());
    assert!(files.iter().all(|file| !file.exists()), "addresses of what is gone");
}
