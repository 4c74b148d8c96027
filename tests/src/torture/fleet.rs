//! The consumers of one sink, each behind its own proxy, and their supervisor.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use sqlx::{Connection as _, PgConnection};

use super::fault::wait_while;
use crate::broker::block_on;
use crate::process::{Environment, command_of, executable, signal_process};
use crate::proxy::{Mode, Protocol, Proxy};

/// What a consumer logs if another was faster.
const FENCED: &str = "fenced: another consumer moved the partition on";
/// What it logs if a commit succeeded although its response was lost.
const RECOGNISED: &str = "already committed: the answer to an earlier attempt was lost";
/// What it logs if it gets partitions.
const ASSIGNED: &str = " assigned sink=";
/// What it logs if it reads a batch aside.
const ASIDE: &str = "cannot read a batch";

/// Sums over all consumers of a sink.
#[derive(Debug, Default)]
pub struct Counts {
    /// Commits refused because another consumer had moved the partition on.
    pub fenced: AtomicU64,
    /// Commits recognised as done although their response was lost.
    pub recognised: AtomicU64,
    /// Assignments of partitions.
    pub assigned: AtomicU64,
    /// Batches read aside.
    pub aside: AtomicU64,
    /// Restarted processes.
    pub restarts: AtomicU64,
    /// Consumers that ended by themselves, each with its last lines.
    pub gave_up: Mutex<Vec<String>>,
}

/// One consumer.
#[expect(missing_debug_implementations, reason = "only the test harness holds it")]
pub struct Member {
    /// The proxy between it and its database.
    pub proxy: Proxy,
    /// What the next process executes.
    executable: Mutex<PathBuf>,
    process: Mutex<Process>,
}

#[derive(Default)]
struct Process {
    child: Option<Child>,
    executable: PathBuf,
    is_leaving: bool,
    last_words: Arc<Mutex<String>>,
}

/// The consumers of one sink.
#[expect(missing_debug_implementations, reason = "only the test harness holds it")]
pub struct Fleet {
    /// Name of the sink: the last part of the group's name.
    pub sink: String,
    /// The consumer group.
    pub group: String,
    /// The service to crash.
    pub service: &'static str,
    /// The database's own address.
    pub database: String,
    /// The consumers.
    pub members: Vec<Member>,
    /// What they logged.
    pub counts: Arc<Counts>,
    environment: Environment,
    log: Arc<Mutex<File>>,
}

impl Fleet {
    /// Consumers of a database, not yet started. Their environment names a proxy's address instead of the database's.
    pub fn new(
        (sink, service): (&str, &'static str),
        database: &str,
        (executable, size): (&Path, usize),
        environment: &Environment,
        folder: &Path,
    ) -> Arc<Fleet> {
        let (server, _) = database.split_once('@').unwrap().1.split_once('/').unwrap();
        let member = |_| Member {
            proxy: Proxy::start(None, server, Protocol::Postgres),
            executable: Mutex::new(executable.to_owned()),
            process: Mutex::default(),
        };
        let log = File::create(folder.join(format!("{sink}.log"))).unwrap();
        let mut environment = environment.clone();
        environment.insert("TAPEDECK_SINK", sink.to_owned());
        Arc::new(Fleet {
            sink: sink.to_owned(),
            group: format!("{}.ohlcv_bar.{sink}", environment["TAPEDECK_NAMESPACE"]),
            service,
            database: database.to_owned(),
            members: (0..size).map(member).collect(),
            counts: Arc::default(),
            environment,
            log: Arc::new(Mutex::new(log)),
        })
    }

    /// The same of this build under another name: a sink that starts at offset 0, in the same database.
    pub fn again(&self, folder: &Path) -> Arc<Fleet> {
        let sink = format!("again_{}", self.sink);
        let members = (&*executable("consumer"), self.members.len());
        Fleet::new((&sink, self.service), &self.database, members, &self.environment, folder)
    }

    /// Starts all consumers and restarts those that end, until the supervisor is dropped.
    pub fn supervise(self: &Arc<Fleet>) -> Supervisor {
        let is_over = Arc::<AtomicBool>::default();
        let (fleet, over) = (self.clone(), is_over.clone());
        let thread = std::thread::spawn(move || {
            while !over.load(Ordering::SeqCst) {
                for at in 0..fleet.members.len() {
                    fleet.look_after(at);
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            fleet.members.iter().for_each(Member::kill);
        });
        Supervisor { is_over, thread: Some(thread) }
    }

    fn look_after(&self, at: usize) {
        let member = &self.members[at];
        let mut process = member.process.lock().unwrap();
        if let Some(child) = &mut process.child {
            let Some(status) = child.try_wait().unwrap() else {
                return;
            };
            self.counts.restarts.fetch_add(1, Ordering::SeqCst);
            if status.signal().is_none() && !process.is_leaving {
                let words = process.last_words.lock().unwrap().clone();
                self.counts.gave_up.lock().unwrap().push(format!("{} ended with {status}: {words}", self.sink));
            }
        }
        *process = self.spawn(at);
    }

    fn spawn(&self, at: usize) -> Process {
        let member = &self.members[at];
        let (scheme, rest) = self.database.split_once('@').unwrap();
        let name = rest.split_once('/').unwrap().1;
        let mut environment = self.environment.clone();
        environment.insert("TAPEDECK_DATABASE_URL", format!("{scheme}@{}/{name}", member.proxy.address()));
        // A consumer must not outlive a killed test.
        environment.insert("TAPEDECK_STOP_AT_EOF", "1".to_owned());
        let executable = member.executable.lock().unwrap().clone();
        let mut command = command_of(&executable, &["run", "ohlcv_bar"], &environment);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        member.proxy.serves(child.id());
        let last_words = Arc::<Mutex<String>>::default();
        let said = BufReader::new(child.stderr.take().unwrap());
        let (words, counts, log) = (last_words.clone(), self.counts.clone(), self.log.clone());
        let name = format!("{}-{at} ({})", self.sink, child.id());
        std::thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                counts.take(&line);
                writeln!(log.lock().unwrap(), "{name}: {line}").unwrap();
                *words.lock().unwrap() = line;
            }
        });
        Process { child: Some(child), executable, is_leaving: false, last_words }
    }

    /// Lets a consumer leave, and the supervisor start this executable in its place; whether it did in that time.
    pub fn replace(&self, at: usize, executable: &Path, patience: Duration) -> bool {
        let member = &self.members[at];
        *member.executable.lock().unwrap() = executable.to_owned();
        member.leave();
        wait_while(patience, || {
            let process = member.process.lock().unwrap();
            // One that was started meanwhile, or leaves already.
            process.executable != executable || process.is_leaving
        })
    }

    /// The sink's position in each partition; None while the database is unavailable.
    pub fn positions(&self) -> Option<BTreeMap<i32, i64>> {
        let query = "select kafka_partition, next_offset from sink_position where sink = $1";
        let positions: Vec<(i32, i64)> = block_on(async {
            let mut connection = PgConnection::connect(&self.database).await.ok()?;
            sqlx::query_as(query).bind(&self.group).fetch_all(&mut connection).await.ok()
        })?;
        Some(positions.into_iter().collect())
    }

    /// The sum of the sink's positions; None while the database is unavailable.
    pub fn progress(&self) -> Option<i64> {
        self.positions().map(|positions| positions.values().sum())
    }

    /// Ends all faults: everything passes and runs again.
    pub fn heal(&self) {
        for member in &self.members {
            member.proxy.disarm();
            member.proxy.spare();
            member.proxy.set(Mode::Pass);
            member.signal("CONT");
        }
    }
}

/// Keeps consumers running; kills them when it is dropped, also by a failing test.
#[derive(Debug)]
pub struct Supervisor {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Its panic has been printed, and a second one would hide why the test fails.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Member {
    /// Kills it.
    pub fn kill(&self) {
        let mut process = self.process.lock().unwrap();
        if let Some(child) = &mut process.child {
            // It may have ended by itself.
            let _ = child.kill();
        }
    }

    /// Sends it a signal; false if it is not running.
    pub fn signal(&self, signal: &str) -> bool {
        let mut process = self.process.lock().unwrap();
        let Some(child) = &mut process.child else {
            return false;
        };
        let is_running = child.try_wait().unwrap().is_none();
        if is_running {
            signal_process(child.id(), signal);
        }
        is_running
    }

    /// Asks it to stop cleanly.
    pub fn leave(&self) -> bool {
        self.process.lock().unwrap().is_leaving = true;
        self.signal("TERM")
    }
}

impl Counts {
    fn take(&self, line: &str) {
        let counted =
            [(FENCED, &self.fenced), (RECOGNISED, &self.recognised), (ASSIGNED, &self.assigned), (ASIDE, &self.aside)];
        for (text, count) in counted {
            if line.contains(text) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}
