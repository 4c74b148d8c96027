//! What could lose records unnoticed: a topic that is created again, a second database, a database that is down.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use contract::Record;
use kafka::Cluster;
use kafka::topic_id::topic_id;
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tests::broker::{Bench, ScratchDatabase, benches, block_on, postgres};
use tests::forward::{Network, through};
use tests::message::{BAR_SCHEMA_ID, Message, bar, encode, send};
use tests::process::{Environment, Heard, command, fail, run, succeed, until};

fn bars(symbol: &str, days: std::ops::Range<u32>, partitions: i32) -> Vec<Message> {
    let value = |day| encode(BAR_SCHEMA_ID, &Record::from(bar(symbol, day, 1.0, 0, 0)));
    days.map(|day| (Some(day as i32 % partitions), Some(format!("key {day}").into_bytes()), Some(value(day)))).collect()
}

fn cluster(bench: &Bench) -> Cluster {
    Cluster::new(&bench.brokers, &bench.namespace)
}

fn rows(bench: &Bench) -> i64 {
    bench.number("select count(*) as n from ohlcv_bar")
}

fn start(environment: &Environment) -> Heard {
    Heard::start(command("consumer", &["run", "ohlcv_bar"], environment))
}

/// What `verify --deep` says, and whether it succeeded.
fn verify(bench: &Bench) -> (bool, String) {
    let output = run("consumer", &["verify", "ohlcv_bar", "--deep"], &bench.environment);
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

/// Deletes the topic and creates it again, as fast as the brokers do it.
fn create_again(bench: &Bench) -> Duration {
    let (cluster, topics) = (cluster(bench), [bench.topic("ohlcv_bar")]);
    let before = topic_id(&cluster, &topics[0]).unwrap();
    assert!(before.is_some());
    let began = Instant::now();
    block_on(cluster.delete_topics(&topics)).unwrap();
    let admin = cluster.client_config("admin").create::<rdkafka::admin::AdminClient<_>>().unwrap();
    let new = [NewTopic::new(&topics[0], 1, TopicReplication::Fixed(1)).set("message.timestamp.type", "LogAppendTime")];
    until("the topic is created again", || {
        block_on(admin.create_topics(&new, &AdminOptions::new())).unwrap()[0].is_ok()
    });
    let elapsed = began.elapsed();
    until("the brokers know it", || topic_id(&cluster, &topics[0]).is_ok_and(|id| id.is_some() && id != before));
    elapsed
}

#[test]
fn a_topic_that_was_created_again_under_a_frozen_or_a_running_consumer_is_read_from_its_beginning() {
    for (name, bench) in benches() {
        for is_frozen in [true, false] {
            let symbol = if is_frozen { "FROZEN" } else { "RUNS" };
            let before = rows_of_symbols(&bench);
            let recording = bench.with(&[("TAPEDECK_ON_GAP", "record")]);
            send(&bench, "ohlcv_bar", &bars(&format!("{symbol}_BEFORE"), 0..10, 1));
            let mut consumer = start(&bench.environment);
            until("the first records are stored", || rows_of_symbols(&bench) == before + 10);
            if is_frozen {
                consumer.signal("STOP");
            }
            let elapsed = create_again(&bench);
            // More than before: by the offsets alone nothing is missing.
            send(&bench, "ohlcv_bar", &bars(symbol, 0..40, 1));
            if is_frozen {
                consumer.signal("CONT");
            }
            assert!(!consumer.wait(), "it must halt on {name}, the topic was new after {elapsed:?}");
            let last = consumer.said("error: ").pop().unwrap();
            assert!(last.contains("is not the topic that it has read: the topic was recreated"), "on {name}: {last}");
            let (good, said) = verify(&bench);
            assert!(!good && said.contains("recreated: ohlcv_bar: ") && said.contains("halted: "), "on {name}: {said}");
            succeed("consumer", &["run", "ohlcv_bar", "--once"], &recording);
            assert_eq!(rows_of_symbols(&bench), before + 50, "on {name}");
            let (good, said) = verify(&bench);
            assert!(good, "on {name}: {said}");
        }
    }
}

#[test]
fn a_topic_that_was_created_again_before_anything_of_it_was_stored_fails_the_verification() {
    for (name, bench) in benches() {
        succeed("consumer", &["run", "ohlcv_bar", "--once"], &bench.environment);
        send(&bench, "ohlcv_bar", &bars("UNREAD", 0..10, 1));
        assert!(verify(&bench).0, "on {name}");
        create_again(&bench);
        let (good, said) = verify(&bench);
        let named = "[0] was assigned the topic with id `";
        assert!(!good && said.contains("recreated: ohlcv_bar: ") && said.contains(named), "on {name}: {said}");
        send(&bench, "ohlcv_bar", &bars("READ", 0..10, 1));
        succeed("consumer", &["run", "ohlcv_bar", "--once"], &bench.environment);
        let (good, said) = verify(&bench);
        assert!(good && rows(&bench) == 10, "on {name}: {said}");
    }
}

fn rows_of_symbols(bench: &Bench) -> i64 {
    // Before the first migration there is no table.
    block_on(bench.database.query("select count(*) as n from ohlcv_bar"))
        .map_or(0, |found| found.rows[0][0].as_deref().unwrap_or("0").parse().unwrap())
}

/// Another empty database of the same kind, and an environment with it.
fn second(bench: &Bench) -> (Option<ScratchDatabase>, store::Database, Environment) {
    let address = bench.database.address().expose();
    let scratch = (!address.starts_with("sqlite")).then(|| ScratchDatabase::create(address));
    let database = match &scratch {
        Some(scratch) => scratch.database.clone(),
        None => store::Database::new(&format!("sqlite:{}", bench.folder.path().join("second.db").display())).unwrap(),
    };
    let environment = bench.with(&[("TAPEDECK_DATABASE_URL", database.address().expose())]);
    (scratch, database, environment)
}

fn count(database: &store::Database) -> i64 {
    let found = block_on(database.query("select count(*) as n from ohlcv_bar")).unwrap();
    found.rows[0][0].as_deref().unwrap().parse().unwrap()
}

#[test]
fn a_second_database_under_the_same_sink_is_refused_while_the_first_one_is_filled() {
    for (name, bench) in benches() {
        let (_scratch, database, environment) = second(&bench);
        send(&bench, "ohlcv_bar", &bars("A", 0..20, 4));
        let first = start(&bench.environment);
        until("the first records are stored", || rows_of_symbols(&bench) == 20);
        let said = fail("consumer", &["run", "ohlcv_bar"], &environment);
        let last = said.lines().last().unwrap();
        assert!(last.contains("already fills database `") && last.contains("`TAPEDECK_SINK`"), "on {name}: {said}");
        send(&bench, "ohlcv_bar", &bars("A", 20..60, 4));
        until("the first one stores all", || rows(&bench) == 60);
        assert_eq!(count(&database), 0, "on {name}");
        assert!(verify(&bench).0, "on {name}");
        // Its own name makes it another sink.
        let mut named = environment.clone();
        named.insert("TAPEDECK_SINK", "second".to_owned());
        succeed("consumer", &["run", "ohlcv_bar", "--once"], &named);
        assert_eq!(count(&database), 60, "on {name}");
        // Once nobody fills the first one, another may take its place: it reads everything.
        drop(first);
        succeed("consumer", &["run", "ohlcv_bar", "--once"], &environment);
        let (good, said) = verify(&bench);
        assert!(!good && said.contains("other_database: "), "on {name}: {said}");
        // The database itself, as after a restart, a restore or a failover.
        succeed("consumer", &["run", "ohlcv_bar", "--once"], &bench.environment);
        assert!(verify(&bench).0, "on {name}");
    }
}

#[test]
fn of_two_databases_that_begin_together_one_gets_everything() {
    for (name, bench) in benches() {
        let (_scratch, database, environment) = second(&bench);
        for environment in [&bench.environment, &environment] {
            succeed("consumer", &["migrate"], environment);
        }
        send(&bench, "ohlcv_bar", &bars("A", 0..20, 4));
        let mut both = [start(&bench.environment), start(&environment)];
        let is_running = |one: &mut Heard| one.ended().is_none();
        until("one of them fills its database alone", || {
            let running = both.each_mut().map(is_running);
            for (one, environment) in both.iter_mut().zip([&bench.environment, &environment]) {
                // Both can be refused when they see each other's claim; a supervisor starts them again.
                if running == [false, false] {
                    *one = start(environment);
                }
            }
            running[0] != running[1] && [rows(&bench), count(&database)].contains(&20)
        });
        send(&bench, "ohlcv_bar", &bars("A", 20..60, 4));
        until("it gets everything", || [rows(&bench), count(&database)].contains(&60));
        let [one, other] = [rows(&bench), count(&database)];
        assert_eq!(one.min(other), 0, "on {name}: {one} and {other}");
    }
}

/// The ids of the group's members: a member that leaves and joins again has another one.
fn members(bench: &Bench) -> BTreeSet<String> {
    let client: BaseConsumer = cluster(bench).client_config("members").create().unwrap();
    let group = format!("{}.ohlcv_bar.{}", bench.namespace, bench.database.sink());
    let groups = client.fetch_group_list(Some(&group), Duration::from_secs(10)).unwrap();
    let members = groups.groups().iter().flat_map(|group| group.members());
    members.map(|member| member.id().to_owned()).collect()
}

#[test]
fn members_whose_database_is_down_stay_in_their_group_and_go_on_when_it_is_back() {
    let Some(bench) = postgres() else { return };
    let (forward, environment) = through(&bench);
    send(&bench, "ohlcv_bar", &bars("A", 0..20, 4));
    let [one, other, third] = [(); 3].map(|()| start(&environment));
    until("all three are members", || members(&bench).len() == 3);
    until("the first records are stored", || rows_of_symbols(&bench) == 20);
    for each in [&one, &other, &third] {
        each.until_said("assigned");
    }
    forward.set(Network::Down);
    // The others get its partitions, and the database cannot say where to start in them.
    drop(third);
    for each in [&one, &other] {
        each.until_said("waiting for the database, without partitions until it answers");
    }
    let stayed = members(&bench);
    assert_eq!(stayed.len(), 2);
    let revoked = || [&one, &other].map(|each| each.said("partitions are being revoked").len());
    let (before, began) = (revoked(), Instant::now());
    send(&bench, "ohlcv_bar", &bars("A", 20..200, 4));
    until("the database has been down for 12 s", || {
        assert_eq!((members(&bench), revoked()), (stayed.clone(), before));
        began.elapsed() > Duration::from_secs(12)
    });
    forward.set(Network::Good);
    until("everything is stored", || rows(&bench) == 200);
    assert_eq!((members(&bench), revoked()), (stayed, before));
    for each in [&one, &other] {
        assert_eq!(each.said("sink restarts"), Vec::<String>::new());
    }
}
