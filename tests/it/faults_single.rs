//! Single faults, each with the promise it tests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contract::Record;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tests::broker::{Bench, block_on, postgres};
use tests::message::{bar, send_records};
use tests::oracle::{ends, group_offsets, plain_consumer};
use tests::pages::Pages;
use tests::process::{Environment, Heard, PATIENCE, command, succeed, until};
use tests::proxy::{Action, Direction, Mode, Point, Protocol, Proxy, Trap};
use tokio::runtime::Runtime;

/// Longest time until rows flow once the database accepts them again.
const RECOVERY: Duration = Duration::from_secs(5);
/// Longest time until rows flow after a consumer was killed, with default settings.
const SUCCESSION: Duration = Duration::from_secs(15);
/// Partitions of a topic that tapedeck creates.
const PARTITIONS: i32 = 4;
/// Kafka's number of the Produce API.
const PRODUCE: i16 = 0;
/// How long a response is held until the connection is half open.
const HELD: Duration = Duration::from_secs(60);

fn execute(bench: &Bench, sql: &str) {
    block_on(async {
        let mut connection = PgConnection::connect(bench.database.address().expose()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    });
}

/// Ends all sessions of tapedeck in the test's database.
fn terminate(bench: &Bench) {
    execute(
        bench,
        "select pg_terminate_backend(pid, 30000) from pg_stat_activity \
         where datname = current_database() and application_name like 'tapedeck/%'",
    );
}

/// Sends the bars of these days.
fn send_days(bench: &Bench, days: std::ops::Range<u32>) {
    let records: Vec<Record> = days.map(|day| bar("AAPL", day, 1.0, 0, 0).into()).collect();
    send_records(bench, "ohlcv_bar", &records);
}

fn rows(bench: &Bench) -> i64 {
    bench.number("select count(*) as n from ohlcv_bar")
}

fn until_rows(bench: &Bench, count: i64) {
    until("all rows are stored", || rows(bench) == count);
}

fn dead_letters(bench: &Bench) -> i64 {
    bench.number("select count(*) as n from dead_letter")
}

/// A running consumer that has stored ten bars.
fn consumer(bench: &Bench, environment: &[(&'static str, &str)]) -> Heard {
    let consumer = Heard::start(command("consumer", &["run", "ohlcv_bar"], &bench.with(environment)));
    // By then it has created the tables.
    consumer.until_said("assigned");
    send_days(bench, 0..10);
    until_rows(bench, 10);
    consumer
}

/// After the fault: rows flow again soon, without help, and no record was taken for a bad one.
fn recovers(bench: &Bench, consumer: &mut Heard, count: i64) {
    let over = Instant::now();
    until_rows(bench, count);
    assert!(over.elapsed() < RECOVERY, "rows flow again after {:?}, which is too late", over.elapsed());
    assert_eq!(dead_letters(bench), 0);
    consumer.signal("TERM");
    assert!(consumer.wait(), "the consumer did not stop cleanly");
}

/// A producer of twenty bars that reaches Kafka through a proxy.
struct Proxied {
    bench: Bench,
    proxy: Proxy,
    environment: Environment,
    _pages: Pages,
    /// Kafka has one port for a proxy, so tests take turns.
    _alone: MutexGuard<'static, ()>,
}

impl Proxied {
    fn start() -> Option<Proxied> {
        static PORT: Mutex<()> = Mutex::new(());
        let (bench, ports) = (postgres()?, tests::service("TAPEDECK_TEST_KAFKA_PROXIED")?);
        let alone = PORT.lock().unwrap_or_else(PoisonError::into_inner);
        let (port, upstream) = tests::services::proxied(&ports);
        let proxy = Proxy::start(Some(port), &upstream, Protocol::Kafka);
        let line = |day: u32| format!("01/{day:02}/2024,13.{day},14.{day},12.{day},13.5\n");
        let file: String = std::iter::once("DATE,OPEN,HIGH,LOW,CLOSE\n".to_owned()).chain((1..=20).map(line)).collect();
        let pages = Pages::of_index("VIX", file.as_bytes());
        let watchlist = bench.folder.path().join("watchlist.toml");
        std::fs::write(&watchlist, "[cboe]\nindex_history = [\"VIX\"]\n").unwrap();
        let environment = bench.with(&[
            ("TAPEDECK_KAFKA_BROKERS", &proxy.address()),
            ("TAPEDECK_WATCHLIST", watchlist.to_str().unwrap()),
            ("TAPEDECK_CBOE_URL", &pages.url),
        ]);
        Some(Proxied { bench, proxy, environment, _pages: pages, _alone: alone })
    }

    /// Messages on a dataset's topic.
    fn messages(&self, dataset: &str) -> i64 {
        ends(&self.bench.brokers, &self.bench.topic(dataset), PARTITIONS).values().sum()
    }
}

#[test]
fn a_record_whose_acknowledgement_was_lost_is_on_the_topic_once() {
    let Some(proxied) = Proxied::start() else { return };
    let trap = Arc::new(Trap::new(Point::ProduceAnswered, Action::Cut));
    proxied.proxy.arm(&trap);
    succeed("producer", &["run", "cboe", "--once"], &proxied.environment);
    assert!(trap.await_strike(Duration::ZERO).is_some(), "no acknowledgement was lost");
    assert_eq!(proxied.messages("ohlcv_bar"), 20);
}

/// Kafka has the records, but its response is withheld for two minutes: longer than the producer waits.
#[test]
fn a_daemon_that_gave_up_waiting_for_an_acknowledgement_recovers_before_it_publishes_again() {
    let Some(proxied) = Proxied::start() else { return };
    let proxy = &proxied.proxy;
    proxy.arm(&Arc::new(Trap::new(Point::ProduceAnswered, Action::Hold(HELD))));
    let mut producer = Heard::start(command("producer", &["run", "cboe"], &proxied.environment));
    until("records are sent", || proxy.requests(PRODUCE) > 0);
    proxy.set(Mode::HalfOpen(Direction::ToClient));
    until("Kafka has them", || proxied.messages("ohlcv_bar") == 20);
    let begin = Instant::now();
    while producer.said("publishing again: ").is_empty() {
        assert!(begin.elapsed() < 2 * PATIENCE, "the producer waits forever: {:?}", producer.said(""));
        std::thread::sleep(Duration::from_millis(100));
    }
    proxy.set(Mode::Pass);
    proxy.cut();
    producer.until_said("round complete");
    assert!(proxied.messages("fetch_log") > 0, "nothing was published again");
    assert_eq!(proxied.messages("ohlcv_bar"), 20);
    producer.signal("TERM");
    assert!(producer.wait(), "the producer did not stop cleanly");
}

#[test]
fn a_lock_on_the_table_delays_its_rows_and_makes_no_dead_letters() {
    let Some(bench) = postgres() else { return };
    let mut consumer = consumer(&bench, &[]);
    // A connection needs the runtime that it was opened on.
    let runtime = Runtime::new().unwrap();
    let mut blocker = runtime.block_on(PgConnection::connect(bench.database.address().expose())).unwrap();
    let mut run = |sql: &'static str| runtime.block_on(sqlx::raw_sql(sql).execute(&mut blocker)).unwrap();
    run("begin; lock table ohlcv_bar in access exclusive mode");
    send_days(&bench, 10..20);
    consumer.until_said("55P03");
    let group = format!("{}.ohlcv_bar.postgres", bench.namespace);
    let reported: i64 = group_offsets(&bench.brokers, &group, &bench.topic("ohlcv_bar"), PARTITIONS).values().sum();
    assert_eq!(reported, 10, "Kafka was told of records that are not in the database");
    run("commit");
    recovers(&bench, &mut consumer, 20);
}

#[test]
fn a_consumer_waits_while_its_database_is_read_only() {
    let Some(bench) = postgres() else { return };
    let mut consumer = consumer(&bench, &[]);
    execute(&bench, &format!("alter database {} set default_transaction_read_only = on", database_name(&bench)));
    terminate(&bench);
    send_days(&bench, 10..20);
    consumer.until_said("25006");
    assert_eq!(rows(&bench), 10);
    let writable = format!(
        "begin read write; alter database {} reset default_transaction_read_only; commit",
        database_name(&bench)
    );
    execute(&bench, &writable);
    recovers(&bench, &mut consumer, 20);
}

fn database_name(bench: &Bench) -> String {
    bench.database.address().expose().rsplit_once('/').unwrap().1.to_owned()
}

#[test]
fn a_consumer_waits_while_its_database_has_no_free_connection() {
    let Some(bench) = postgres() else { return };
    // Not the superuser, who has no limit.
    let role = tests::unique("role");
    let name = database_name(&bench);
    execute(&bench, &format!("create role {role} login; alter database {name} owner to {role}"));
    let address = bench.database.address().expose().replacen("tapedeck@", &format!("{role}@"), 1);
    let mut consumer = consumer(&bench, &[("TAPEDECK_DATABASE_URL", &address)]);
    execute(&bench, &format!("alter role {role} connection limit 0"));
    terminate(&bench);
    send_days(&bench, 10..20);
    consumer.until_said("53300");
    assert_eq!(rows(&bench), 10);
    execute(&bench, &format!("alter role {role} connection limit -1"));
    recovers(&bench, &mut consumer, 20);
}

#[test]
fn a_table_without_one_of_its_columns_halts_the_sink_with_one_line_and_makes_no_dead_letters() {
    let Some(bench) = postgres() else { return };
    let mut consumer = consumer(&bench, &[]);
    execute(&bench, "alter table ohlcv_bar drop column volume cascade");
    send_days(&bench, 10..20);
    assert!(!consumer.wait(), "the consumer took that for a success");
    let errors = consumer.said("error: ");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("volume"), "{errors:?}");
    assert_eq!(dead_letters(&bench), 0);
    assert_eq!(bench.number("select sum(next_offset) as n from sink_position"), 10);
}

/// A consumer that stored ten bars was killed: rows of all partitions flow again soon.
fn is_succeeded(bench: &Bench, killed: Instant) {
    let records: Vec<Record> = (0..100).map(|at| bar(&format!("S{at}"), 0, 1.0, 0, 0).into()).collect();
    send_records(bench, "ohlcv_bar", &records);
    until_rows(bench, 110);
    println!("rows flow again after {:?}", killed.elapsed());
    assert!(killed.elapsed() < SUCCESSION, "rows flow again after {:?}, which is too late", killed.elapsed());
}

fn run(bench: &Bench) -> Heard {
    Heard::start(command("consumer", &["run", "ohlcv_bar"], &bench.environment))
}

#[test]
fn when_a_consumer_is_killed_another_stores_its_rows_within_fifteen_seconds() {
    let Some(bench) = postgres() else { return };
    let first = consumer(&bench, &[]);
    let second = run(&bench);
    for each in [&first, &second] {
        each.until_said("partitions=2");
    }
    first.signal("KILL");
    is_succeeded(&bench, Instant::now());
}

#[test]
fn a_consumer_that_is_killed_and_started_again_stores_rows_within_fifteen_seconds() {
    let Some(bench) = postgres() else { return };
    let first = consumer(&bench, &[]);
    first.signal("KILL");
    let killed = Instant::now();
    let _second = run(&bench);
    is_succeeded(&bench, killed);
}

#[test]
fn a_consumer_retries_after_a_deadlock_with_another_transaction() {
    let Some(bench) = postgres() else { return };
    // The consumer notices the deadlock, before it gives up waiting for a lock.
    execute(&bench, &format!("alter database {} set deadlock_timeout = '3s'", database_name(&bench)));
    let mut consumer = consumer(&bench, &[]);
    let runtime = Runtime::new().unwrap();
    let mut other = runtime.block_on(PgConnection::connect(bench.database.address().expose())).unwrap();
    let mut run = |sql: &'static str| runtime.block_on(sqlx::raw_sql(sql).execute(&mut other)).unwrap();
    run("set deadlock_timeout = '1min'; begin; update ohlcv_bar set flags = flags where trading_date = '2024-01-02'");
    let correction = |day| Record::from(bar("AAPL", day, 2.0, 60, 60));
    send_records(&bench, "ohlcv_bar", &[correction(0), correction(1)]);
    until("the consumer waits for the other", || {
        bench.number("select count(*) as n from pg_locks where not granted") > 0
    });
    // It holds the first of its two rows.
    run("update ohlcv_bar set flags = flags where trading_date = '2024-01-01'; commit");
    consumer.until_said("40P01");
    until("the corrections are stored", || bench.number("select count(*) as n from ohlcv_bar where close = 2") == 2);
    recovers(&bench, &mut consumer, 10);
}

#[test]
fn resetting_kafkas_group_offsets_has_no_effect() {
    let Some(bench) = postgres() else { return };
    let read = || bench.number("select sum(records_read) as n from sink_chunk");
    let consume = || succeed("consumer", &["run", "ohlcv_bar", "--once"], &bench.environment);
    let topic = bench.topic("ohlcv_bar");
    let group = format!("{}.ohlcv_bar.postgres", bench.namespace);
    send_days(&bench, 0..10);
    consume();
    reset(&bench, &group, &topic, |_| 0);
    consume();
    assert_eq!(read(), 10, "after a reset to the beginning nothing is read twice");
    send_days(&bench, 10..20);
    let ends = ends(&bench.brokers, &topic, PARTITIONS);
    reset(&bench, &group, &topic, |partition| ends[&partition]);
    consume();
    assert_eq!((read(), rows(&bench)), (20, 20), "after a reset to the end nothing is left out");
}

/// Commits these offsets for the group, as operators' tools do while it has no members.
fn reset(bench: &Bench, group: &str, topic: &str, offset: impl Fn(i32) -> i64) {
    let consumer = plain_consumer(&bench.brokers, group);
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Offset(offset(partition))).unwrap();
    }
    consumer.commit(&list, CommitMode::Sync).unwrap();
}
