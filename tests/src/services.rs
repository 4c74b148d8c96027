//! Kafka, PostgreSQL and TimescaleDB for one test, which crashes and restarts them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::root;

/// Services that end with the test.
#[derive(Debug)]
pub struct Services {
    folder: PathBuf,
    addresses: BTreeMap<String, String>,
    /// True if the folder with data and logs stays.
    pub keep: bool,
}

impl Services {
    /// Starts these services on free ports, with data in a new folder.
    ///
    /// `./test` names the folder, so that it can stop what a killed test left behind.
    pub fn start(services: &[&str]) -> Services {
        Services::start_prepared(services, |_| {})
    }

    /// The same in a folder that `prepare` has filled: see `tests/services.sh`.
    pub fn start_prepared(services: &[&str], prepare: impl FnOnce(&Path)) -> Services {
        let within = std::env::var_os("TAPEDECK_TEST_FOLDER").map_or_else(std::env::temp_dir, PathBuf::from);
        let folder = within.join(crate::unique("services"));
        std::fs::create_dir_all(&folder).unwrap();
        prepare(&folder);
        let mut all = Services { folder, addresses: BTreeMap::new(), keep: false };
        let exports = all.script("up", services);
        let export = |line: &str| {
            let (name, value) = line.strip_prefix("export TAPEDECK_TEST_")?.split_once('=')?;
            Some((name.to_lowercase(), value.to_owned()))
        };
        all.addresses = exports.lines().filter_map(export).collect();
        all
    }

    /// Their addresses; `kafka_proxied` holds the port for a proxy and the port it connects to.
    pub fn address(&self, service: &str) -> &str {
        &self.addresses[service]
    }

    /// The port for a proxy before Kafka, and the address it connects to.
    pub fn kafka_proxied(&self) -> (u16, String) {
        proxied(self.address("kafka_proxied"))
    }

    /// Stops a service as a crash would.
    pub fn crash(&self, service: &str) {
        self.script("crash", &[service]);
    }

    /// Starts a service again, on the same port and data.
    pub fn restart(&self, service: &str) {
        self.script("start", &[service]);
    }

    /// Where data and logs are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn script(&self, action: &str, arguments: &[&str]) -> String {
        let mut command = Command::new("bash");
        command.arg(root().join("tests/services.sh")).arg(action).arg(&self.folder).args(arguments);
        for service in ["KAFKA", "KAFKA_JARS", "KAFKA_PROXIED", "POSTGRES", "TIMESCALE", "REGISTRY", "PYTHON"] {
            command.env_remove(format!("TAPEDECK_TEST_{service}"));
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.join("messages")).unwrap();
        let output = command.stdin(Stdio::null()).stderr(log).output().unwrap();
        let messages = self.folder.join("messages");
        assert!(output.status.success(), "services.sh {action} {arguments:?} failed: see {}", messages.display());
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        // Not `script`, which panics: all services must end, whatever happened in the test.
        let mut down = Command::new("bash");
        down.arg(root().join("tests/services.sh")).arg("down").arg(&self.folder).stdin(Stdio::null());
        let _ = down.stdout(Stdio::null()).stderr(Stdio::null()).status();
        if self.keep {
            eprintln!("data and logs of the services are in {}", self.folder.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// Reads `TAPEDECK_TEST_KAFKA_PROXIED`: the port for a proxy, and the address that it is to connect to.
pub fn proxied(ports: &str) -> (u16, String) {
    let (own, upstream) = ports.split_once(':').unwrap();
    (own.parse().unwrap(), format!("127.0.0.1:{upstream}"))
}
