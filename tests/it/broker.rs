//! The embedded broker as a process: killed under load, flooded with connections, and idle.

mod flood;
mod garbage;
mod group;
mod idle;
mod kills;
mod ledger;

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use tempfile::TempDir;
use tests::broker::block_on;
use tests::process::{Environment, Running, command, until};

/// A broker with a folder and a port of its own.
struct Embedded {
    folder: TempDir,
    address: String,
    flush: &'static str,
    running: Running,
}

impl Embedded {
    /// Starts a broker.
    fn start(flush: &'static str) -> Embedded {
        Embedded::launch(flush, |broker| broker)
    }

    /// Starts a broker whose soft limit of open files is `files`.
    fn start_with_files(files: u32) -> Embedded {
        Embedded::launch("interval", |broker| {
            let mut limited = Command::new("bash");
            limited.arg("-c").arg(format!("ulimit -Sn {files} && exec \"$0\" \"$@\""));
            limited.arg(broker.get_program()).args(broker.get_args());
            limited
        })
    }

    fn launch(flush: &'static str, adapt: impl Fn(Command) -> Command) -> Embedded {
        let (folder, address) = (TempDir::new().unwrap(), lasting_address());
        let running = Running::start(logged(adapt(broker(&folder, &address, flush)), &folder));
        let mut embedded = Embedded { folder, address, flush, running };
        until("the broker listens", || embedded.listens());
        embedded
    }

    /// Kills the broker without warning.
    fn kill(&mut self) {
        self.assert_runs();
        self.running.0.kill().unwrap();
        self.running.0.wait().unwrap();
    }

    /// Starts it again with the same port and folder; does not wait for it.
    fn restart(&mut self) {
        self.running = Running::start(logged(broker(&self.folder, &self.address, self.flush), &self.folder));
    }

    /// Whether it accepts connections.
    fn listens(&mut self) -> bool {
        self.assert_runs();
        TcpStream::connect(&self.address).is_ok()
    }

    fn assert_runs(&mut self) {
        let ended = self.running.0.try_wait().unwrap();
        assert!(ended.is_none(), "the broker ended with {ended:?}: {}", self.log());
    }

    /// What it wrote to its standard error so far.
    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Settings of a client that notices a restarted broker within milliseconds.
    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address).set("reconnect.backoff.ms", "5");
        config.set("reconnect.backoff.max.ms", "50").set("retry.backoff.ms", "5").set("retry.backoff.max.ms", "50");
        config
    }

    /// Creates topics with their settings.
    fn create_topics(
        &self,
        names: &[&str],
        partitions: i32,
        settings: impl Fn(&str) -> Vec<(&'static str, &'static str)>,
    ) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let topics = names.iter().map(|name| {
            let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
            settings(name).into_iter().fold(topic, |topic, (setting, value)| topic.set(setting, value))
        });
        let topics: Vec<_> = topics.collect();
        for created in block_on(admin.create_topics(&topics, &AdminOptions::new())).unwrap() {
            created.unwrap();
        }
    }

    /// Resident memory in MB.
    fn resident_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.running.0.id())).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        resident.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }

    /// Time of all cores that it has used.
    fn core_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.running.0.id())).unwrap();
        // The name before may hold spaces. User and system time are fields 14 and 15, in hundredths of a second.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap());
        Duration::from_millis(10 * ticks.sum::<u64>())
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.folder.disable_cleanup(true);
            eprintln!("the broker's data and log stay in {}", self.folder.path().display());
        }
    }
}

/// A free address whose port no outgoing connection takes while the broker restarts: Linux gives those higher ports.
fn lasting_address() -> String {
    // Tests run at the same time: each port is tried once.
    static TRIED: AtomicU32 = AtomicU32::new(0);
    let first = 37 * (std::process::id() % 10_000);
    let mut tried = std::iter::repeat_with(|| TRIED.fetch_add(1, Ordering::Relaxed));
    tried
        .find_map(|tried| {
            let address = format!("127.0.0.1:{}", 20_000 + (first + tried) % 10_000);
            TcpListener::bind(&address).is_ok().then_some(address)
        })
        .unwrap()
}

fn broker(folder: &TempDir, address: &str, flush: &str) -> Command {
    let data = folder.path().join("data");
    let arguments = ["--data-dir", data.to_str().unwrap(), "--listen", address, "--flush", flush];
    command("tapedeck-broker", &arguments, &Environment::new())
}

/// Appends the standard error to a file.
fn logged(mut command: Command, folder: &TempDir) -> Command {
    command.stderr(File::options().create(true).append(true).open(folder.path().join("log")).unwrap());
    command
}
