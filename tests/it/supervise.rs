//! What fails is tried again and costs nothing else, as a user of `tapedeck up` sees it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use simulator::{Config, Simulator};
use tempfile::TempDir;
use tests::process::{Environment, Heard, command, until};
use tokio::runtime::Runtime;

/// A folder with a watchlist of two sources, and both simulated.
struct Desk {
    folder: TempDir,
    environment: Environment,
    /// Serves the simulator.
    _runtime: Runtime,
    _simulator: Simulator,
}

impl Desk {
    fn new() -> Desk {
        let folder = TempDir::new().unwrap();
        let runtime = Runtime::new().unwrap();
        let simulator = runtime.block_on(Simulator::start(Config { symbols: 2, years: 1, seed: 7 })).unwrap();
        let file = |name: &str| folder.path().join(name).display().to_string();
        let watchlist = "[fred]\nobservations = [\"GDP\", \"UNRATE\"]\n[yahoo]\nchart = [\"SIM000\"]\n";
        std::fs::write(file("watchlist.toml"), watchlist).unwrap();
        std::fs::write(file(".env"), "").unwrap();
        let environment = Environment::from([
            ("TAPEDECK_WATCHLIST", file("watchlist.toml")),
            ("TAPEDECK_ENV_FILE", file(".env")),
            ("TAPEDECK_FRED_URL", simulator.url("fred")),
            ("TAPEDECK_YAHOO_URL", simulator.url("yahoo")),
        ]);
        Desk { folder, environment, _runtime: runtime, _simulator: simulator }
    }

    fn tapedeck(&self, arguments: &[&str]) -> Command {
        let mut command = command("tapedeck", arguments, &self.environment);
        command.current_dir(self.path());
        command
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn set_key(&self, key: &str) {
        std::fs::write(self.path().join(".env"), format!("FRED_API_KEY={key}\n")).unwrap();
    }

    fn count(&self, table: &str) -> String {
        let output =
            self.tapedeck(&["query", "--format", "json", &format!("select count(*) as n from {table}")]).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    }

    /// Why FRED is stopped, as `status` says.
    fn stopped(&self) -> Value {
        let output = self.tapedeck(&["status", "fred", "--json"]).output().unwrap();
        let all: Value = serde_json::from_slice(&output.stdout).unwrap();
        all[0]["stopped"].clone()
    }
}

#[test]
fn a_wrong_key_stops_its_source_alone_and_once_it_is_right_the_source_is_polled_without_a_restart() {
    let desk = Desk::new();
    desk.set_key("not-a-key");
    let up = Heard::start(desk.tapedeck(&["up", "--kafka-port", "0"]));
    up.until_said("fred: stopped; the next try is in 10 s, and the others go on");
    up.until_said("loaded: ");
    until("yahoo's bars are stored", || desk.count("ohlcv_bar").contains("256"));
    let stopped = desk.stopped();
    assert!(stopped["reason"].as_str().is_some_and(|reason| reason.contains("api_key")), "{stopped}");
    let text = desk.tapedeck(&["status", "fred"]).output().unwrap().stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("fred: stopped since ") && text.contains("next try at "), "{text}");
    desk.set_key(Simulator::key("fred"));
    up.until_said("fred: polled again");
    until("its observations are stored", || !desk.count("observation").contains("\"n\":0"));
    assert_eq!(desk.stopped(), Value::Null);
    // Nothing of it ended.
    assert!(up.said("has ended").is_empty());
}

#[test]
fn up_restarts_a_consumer_that_was_killed_and_says_so() {
    let desk = Desk::new();
    let up = Heard::start(desk.tapedeck(&["up", "--kafka-port", "0"]));
    let file = desk.path().join(".tapedeck/run/consumer.pid");
    let consumer = || std::fs::read_to_string(&file).ok().and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    until("the consumer runs", || consumer() > 0);
    let killed = consumer();
    tests::process::signal_process(killed, "KILL");
    up.until_said("`consumer` has ended (signal: 9 (SIGKILL)), next start in 0.3 s: ");
    until("another one runs", || consumer() != killed);
    until("yahoo's bars are stored", || desk.count("ohlcv_bar").contains("256"));
}
