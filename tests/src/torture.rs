//! Consumers of two sinks under load while everything around them fails; then the invariants are checked.

pub mod fault;
mod fleet;
mod invariants;
mod load;
mod produce;
mod report;
mod upgrade;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;

use crate::broker::block_on;
use crate::oracle::{Oracle, ends, group_offsets, read_topic};
use crate::process::{Environment, command_of, ended, executable, run as run_command};
use crate::proxy::{Protocol, Proxy};
use crate::services::Services;
use crate::workload::{Random, Size, Workload};
use fault::{CrashPoint, Fault, ON_KAFKA, ON_SINK};
use fleet::Fleet;
pub use report::Report;

/// Partitions of the topic.
pub const PARTITIONS: i32 = 6;
/// Longest time for the sinks to catch up after the last fault.
const QUIESCENCE: Duration = Duration::from_secs(60);
/// Share of the load's time in which faults strike: traps need chunks to spring.
const STRUCK_PART: f64 = 0.85;
/// First part of the names on Kafka.
const NAMESPACE: &str = "torture";

/// Size of a run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Seed of the workload and the faults.
    pub seed: u64,
    /// The messages.
    pub size: Size,
    /// The consumer that runs before the upgrade; None: this build's own.
    pub previous: Option<PathBuf>,
    /// Faults.
    pub faults: usize,
    /// Duration of the load.
    pub load: Duration,
    /// Most records in a chunk.
    pub chunk_rows: u32,
    /// Kills during the replay, of each sink.
    pub replay_kills: usize,
    /// Fewest strikes of each fault.
    pub least_strikes: usize,
    /// Fewest kills between BEGIN and COMMIT of a chunk.
    pub least_kills_inside: u64,
    /// Fewest commits refused because another consumer was faster.
    pub least_fenced: u64,
    /// Fewest recognised commits whose response was lost.
    pub least_recognised: u64,
    /// Fewest assignments of partitions.
    pub least_assigned: u64,
}

/// A fault as it happened.
#[derive(Debug, Clone)]
struct Strike {
    /// The sink, or `kafka`.
    lane: String,
    fault: Fault,
    has_struck: bool,
    /// How far the sink was before.
    progress: Option<i64>,
}

/// Services, sinks and proxies of a run.
struct Stage {
    services: Services,
    kafka_proxy: Proxy,
    topic: String,
    /// Longest that the load may take.
    longest_load: Duration,
    fleets: Vec<Arc<Fleet>>,
    strikes: Mutex<Vec<Strike>>,
    /// Lanes whose faults are over.
    ended_lanes: AtomicUsize,
    is_loaded: AtomicBool,
}

/// Runs it all.
pub fn run(plan: &Plan) -> Report {
    let begin = Instant::now();
    let stage = Stage::set_up(plan);
    let supervisors: Vec<_> = stage.fleets.iter().map(Fleet::supervise).collect();
    let (delivered, upgraded) = stage.strike_under_load(plan);
    stage.fleets.iter().for_each(|fleet| fleet.heal());
    let brokers = stage.services.address("kafka");
    let ends = ends(brokers, &stage.topic, PARTITIONS);
    let healed = Instant::now();
    let mut violations = stage.await_quiescence(&stage.fleets, &ends, QUIESCENCE);
    let quiescence = healed.elapsed();
    drop(supervisors);

    let seen = read_topic(brokers, &stage.topic, &ends);
    let sent = Workload::new(plan.seed, plan.size.clone()).take(plan.size.records as usize);
    let oracle = Oracle::new(&delivered.acks, seen, sent);
    violations.extend(upgraded.as_ref().err().cloned());
    violations.extend(oracle.violations.iter().cloned());
    for fleet in &stage.fleets {
        violations.extend(stage.check(fleet, &oracle, &ends));
    }
    let parked = |fleet: &Arc<Fleet>| invariants::count_parked(&fleet.database, &fleet.group);
    let parked = stage.fleets.iter().map(parked).collect();
    let replayed = stage.replay(plan, &oracle, &ends, &mut violations);
    violations.extend(stage.fleets.iter().filter_map(|fleet| stage.verify(fleet)));
    Report::new(
        plan,
        stage,
        report::Outcome {
            delivered,
            upgraded: upgraded.unwrap_or(0),
            oracle,
            parked,
            violations,
            replayed,
            quiescence,
            begin,
        },
    )
}

impl Plan {
    /// Faults for each of two sinks and for Kafka: every kind at least once.
    fn decks(&self, random: &mut Random) -> [Vec<Fault>; 3] {
        let on_kafka = (self.faults / 10).max(ON_KAFKA.len());
        let mut deal = |kinds: &[Fault], count: usize| {
            let mut deck = Vec::new();
            while deck.len() < count {
                let mut round = kinds.to_vec();
                random.shuffle(&mut round);
                deck.extend(round);
            }
            deck.truncate(count);
            deck
        };
        let kafka = deal(&ON_KAFKA, on_kafka);
        let both = deal(&ON_SINK, self.faults.saturating_sub(on_kafka).max(ON_SINK.len()));
        let every_second = |from: usize| both.iter().skip(from).step_by(2).copied().collect();
        [every_second(0), every_second(1), kafka]
    }
}

impl Stage {
    fn set_up(plan: &Plan) -> Stage {
        let services = Services::start(&["kafka", "postgres", "timescale"]);
        let (port, upstream) = services.kafka_proxied();
        let kafka_proxy = Proxy::start(Some(port), &upstream, Protocol::Kafka);
        let topic = format!("{NAMESPACE}.ohlcv_bar.v1");
        create_topic(services.address("kafka"), &topic);
        let environment = Environment::from([
            ("TAPEDECK_KAFKA_BROKERS", kafka_proxy.address()),
            ("TAPEDECK_NAMESPACE", NAMESPACE.to_owned()),
            ("TAPEDECK_CHUNK_AGE_MS", "100".to_owned()),
            ("TAPEDECK_CHUNK_ROWS", plan.chunk_rows.to_string()),
        ]);
        let previous = plan.previous.clone().unwrap_or_else(|| executable("consumer"));
        let fleet = |(sink, size): (&'static str, usize)| {
            let database = services.address(sink);
            let direct = Environment::from([("TAPEDECK_DATABASE_URL", database.to_owned())]);
            let migrated = ended(command_of(&previous, &["migrate"], &direct));
            assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
            invariants::watch_updates(database);
            Fleet::new((sink, sink), database, (&previous, size), &environment, services.folder())
        };
        let fleets = [("postgres", 3), ("timescale", 2)].map(fleet).into();
        Stage {
            services,
            kafka_proxy,
            topic,
            longest_load: 2 * plan.load,
            fleets,
            strikes: Mutex::default(),
            ended_lanes: AtomicUsize::new(0),
            is_loaded: AtomicBool::new(false),
        }
    }

    /// Sends all messages while faults strike the sinks and Kafka, each at its own pace.
    fn strike_under_load(&self, plan: &Plan) -> (load::Delivered, Result<usize, String>) {
        let mut random = Random::new(plan.seed);
        let [first, second, kafka] = plan.decks(&mut random);
        let struck = plan.load.mul_f64(STRUCK_PART);
        let progress = &upgrade::Progress::default();
        std::thread::scope(|scope| {
            for (fleet, deck) in self.fleets.iter().zip([first, second]) {
                let mut random = Random::new(random.number());
                scope.spawn(move || {
                    self.lane(
                        &fleet.sink,
                        deck,
                        struck,
                        || fleet.progress(),
                        |fault| fault.strike_sink(fleet, &self.services, &mut random),
                    );
                });
            }
            scope.spawn(move || {
                let strike = |fault: Fault| fault.strike_kafka(&self.kafka_proxy, &self.services);
                self.lane("kafka", kafka, struck, || None, strike);
            });
            let upgrade =
                scope.spawn(move || upgrade::roll(self, &executable("consumer"), plan.size.records, progress));
            let lanes = self.fleets.len() + 1;
            let are_over = || self.ended_lanes.load(Ordering::SeqCst) == lanes;
            let delivered = load::send(&self.kafka_proxy.address(), &self.topic, plan, progress, are_over);
            self.is_loaded.store(true, Ordering::SeqCst);
            (delivered, upgrade.join().unwrap())
        })
    }

    /// Lets faults strike one by one, evenly over that time; a fault without occasion gets a second try.
    fn lane(
        &self,
        lane: &str,
        deck: Vec<Fault>,
        time: Duration,
        progress: impl Fn() -> Option<i64>,
        mut strike: impl FnMut(Fault) -> bool,
    ) {
        let begin = Instant::now();
        let pause = time / u32::try_from(deck.len()).unwrap();
        let mut again = Vec::new();
        let mut strike_one = |fault: Fault| {
            let before = progress();
            let has_struck = strike(fault);
            eprintln!(
                "{:>6.1} s  {lane}: {}{}",
                begin.elapsed().as_secs_f64(),
                fault.family(),
                if has_struck { "" } else { ", without effect" }
            );
            let strike = Strike { lane: lane.to_owned(), fault, has_struck, progress: before };
            self.strikes.lock().unwrap().push(strike);
            has_struck
        };
        for (at, fault) in (0..).zip(deck) {
            // The first ones wait until the consumers have joined.
            std::thread::sleep((pause * at + pause / 2).saturating_sub(begin.elapsed()));
            // A sink without load springs no trap; a fault that has not struck by then invalidates the run.
            if self.is_loaded.load(Ordering::SeqCst) {
                return;
            }
            if !strike_one(fault) {
                again.push(fault);
            }
        }
        for fault in again {
            if !self.is_loaded.load(Ordering::SeqCst) {
                strike_one(fault);
            }
        }
        self.ended_lanes.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until these sinks have read everything; returns a line for each that has not.
    fn await_quiescence(&self, fleets: &[Arc<Fleet>], ends: &BTreeMap<i32, i64>, patience: Duration) -> Vec<String> {
        let total: i64 = ends.values().sum();
        let behind = |fleet: &&Arc<Fleet>| fleet.progress() != Some(total);
        let deadline = Instant::now() + patience;
        loop {
            let late: Vec<&Arc<Fleet>> = fleets.iter().filter(behind).collect();
            if late.is_empty() {
                return Vec::new();
            }
            if Instant::now() > deadline {
                let line = |fleet: &&Arc<Fleet>| {
                    let at = fleet.progress();
                    format!("liveness: {} is at {at:?} of {total} after {} s", fleet.group, patience.as_secs())
                };
                return late.iter().map(line).collect();
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn check(&self, fleet: &Fleet, oracle: &Oracle, ends: &BTreeMap<i32, i64>) -> Vec<String> {
        let reported = group_offsets(self.services.address("kafka"), &fleet.group, &self.topic, PARTITIONS);
        invariants::violations(&fleet.database, &fleet.group, oracle, &[reported, ends.clone()])
    }

    /// What `consumer verify` reports of the sinks; None if it succeeds.
    fn verify(&self, fleet: &Fleet) -> Option<String> {
        let environment = Environment::from([
            ("TAPEDECK_KAFKA_BROKERS", self.services.address("kafka").to_owned()),
            ("TAPEDECK_NAMESPACE", NAMESPACE.to_owned()),
            ("TAPEDECK_DATABASE_URL", fleet.database.clone()),
            ("TAPEDECK_SINK", fleet.sink.clone()),
        ]);
        let output = run_command("consumer", &["verify", "ohlcv_bar", "--deep"], &environment);
        let said =
            || format!("{} {}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (!output.status.success()).then(|| format!("verify --deep of {}: {}", fleet.group, said()))
    }

    /// Replays everything into the same tables by new sinks, whose consumers are killed meanwhile. Nothing may change.
    /// Returns the number of kills.
    fn replay(&self, plan: &Plan, oracle: &Oracle, ends: &BTreeMap<i32, i64>, violations: &mut Vec<String>) -> usize {
        let checksum = |fleet: &Arc<Fleet>| invariants::checksum(&fleet.database, plan.previous.is_none());
        let before: Vec<String> = self.fleets.iter().map(checksum).collect();
        let again: Vec<Arc<Fleet>> = self.fleets.iter().map(|fleet| fleet.again(self.services.folder())).collect();
        let supervisors: Vec<_> = again.iter().map(Fleet::supervise).collect();
        let points = [CrashPoint::AfterUpsert, CrashPoint::CommittedUnanswered, CrashPoint::AfterPosition];
        let kill = |fleet: &Arc<Fleet>| {
            let mut random = Random::new(plan.seed);
            let faults = points.iter().cycle().take(plan.replay_kills).map(|point| Fault::KillConsumerAt(*point));
            faults.filter(|fault| fault.strike_sink(fleet, &self.services, &mut random)).count()
        };
        let kills = std::thread::scope(|scope| {
            let lanes: Vec<_> = again.iter().map(|fleet| scope.spawn(|| kill(fleet))).collect();
            lanes.into_iter().map(|lane| lane.join().unwrap()).sum()
        });
        again.iter().for_each(|fleet| fleet.heal());
        violations.extend(self.await_quiescence(&again, ends, QUIESCENCE + plan.load / 10));
        drop(supervisors);
        for (fleet, before) in again.iter().zip(before) {
            violations.extend(self.check(fleet, oracle, ends));
            violations.extend(fleet.counts.gave_up.lock().unwrap().iter().cloned());
            if checksum(fleet) != before {
                violations.push(format!("replay: {} has changed the table", fleet.group));
            }
        }
        kills
    }
}

fn create_topic(brokers: &str, topic: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let new = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1))
        .set("retention.ms", "-1")
        .set("message.timestamp.type", "LogAppendTime");
    let created = block_on(admin.create_topics(&[new], &AdminOptions::new())).unwrap();
    created.into_iter().for_each(|outcome| assert!(outcome.is_ok(), "{outcome:?}"));
}
