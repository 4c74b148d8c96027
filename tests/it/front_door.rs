//! `tapedeck` beside a running deck: every command finds it, and none guesses.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use tests::process::{Environment, Running, command, until};

/// A command of `tapedeck` in that working directory, without any variable.
fn tapedeck(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = command("tapedeck", arguments, &Environment::new());
    command.current_dir(folder).env_remove("TAPEDECK_ENV_FILE");
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    tapedeck(folder, arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Standard output of a command that must succeed.
fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Standard error of a command that must fail with one line.
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.lines().count() == 1, "{arguments:?}: {error}");
    error
}

/// Rows of the demo's daily bars.
fn bars(folder: &Path) -> u64 {
    let output =
        run(folder, &["query", "--format", "csv", "select count(*) from ohlcv_bar where bar_interval = '1d';"]);
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().nth(1).and_then(|line| line.parse().ok()).unwrap_or_default()
}

#[test]
fn every_command_finds_the_running_deck_and_knows_when_none_runs() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let mut up = Running::start(tapedeck(folder, &["up", "--demo", "--kafka-port", "0"]));
    until("bars are stored", || bars(folder) > 1_000);
    // The demo's data ends in the past, so that `status` calls it stale; that it finds the items is enough.
    let status = said(&run(folder, &["status"]));
    assert!(
        status.contains("index_history") && status.contains("the demo's invented data ends on 2025-12-31"),
        "{status}"
    );
    assert!(succeed(folder, &["plan", "cboe"]).contains("index_history"));
    assert!(succeed(folder, &["list", "cboe"]).contains("index_history"));
    succeed(folder, &["gaps", "yahoo", "--json"]);
    succeed(folder, &["dead-letters", "list"]);
    assert!(succeed(folder, &["replay", "fetch_log", "--dry-run"]).contains("read "));
    let wrong = |arguments: &[&str]| {
        let output = run(folder, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(wrong(&["replay", "fetch_log", "--from-time", "yesterday"]).contains("such as `2026-01-31`"));
    let backward = ["replay", "fetch_log", "--from-time", "2026-02-01", "--to-time", "2026-01-01"];
    assert!(refused(folder, &backward).contains("the range is empty"));
    // A mistake leaves nothing behind that the corrected command would stumble over.
    let side = |rule: &'static str| ["replay", "fetch_log", "--into", "side", "--rule", rule];
    assert!(refused(folder, &side("cals > 0")).contains("`cals` is not a field"));
    assert!(succeed(folder, &side("calls > 0")).contains("read "));
    assert!(wrong(&["dead-letters", "list", "--stage", "foo"]).contains("validate"));
    assert!(wrong(&["dead-letters", "list", "--dataset", "foo"]).contains("there is no dataset `foo`"));
    let backfill = ["backfill", "fmp", "eod_prices", "--item", "SIM", "--from", "2024-01-01", "--to", "2024-02-01"];
    succeed(folder, &[&backfill[..], &["--dry-run"]].concat());
    assert!(succeed(folder, &["tables", "--json"]).contains("\"table\":\"ohlcv_bar\""));
    assert!(succeed(folder, &["describe", "ohlcv_bar"]).contains("close"));
    let health = succeed(folder, &["doctor"]);
    assert!(health.contains("a deck runs in it") && health.contains("has our topics"), "{health}");
    assert!(succeed(folder, &["logs"]).contains("producer: "));
    assert!(succeed(folder, &["logs", "-n", "1", "consumer"]).lines().count() == 1);
    assert!(refused(folder, &["reset"]).contains("another tapedeck uses data folder"));
    until("everything is stored", || run(folder, &["verify", "ohlcv_bar", "observation"]).status.success());
    assert!(succeed(folder, &["down"]).contains("stopped"));
    assert!(up.wait(), "`down` did not end `up` with success");
    // The data stays, and nothing guesses a broker.
    assert!(bars(folder) > 1_000);
    assert!(refused(folder, &["verify"]).contains("no deck runs in `.tapedeck-demo`"));
    assert!(succeed(folder, &["down"]).contains("no deck runs"));
    assert!(succeed(folder, &["doctor"]).contains("the demo needs none"));
    assert!(refused(folder, &["reset"]).contains("add `--yes`"));
    // Beside another deck, `reset` never chooses.
    std::fs::create_dir(folder.join(".tapedeck")).unwrap();
    assert!(refused(folder, &["reset", "--yes"]).contains("name the one to delete with --data-dir"));
    assert!(folder.join(".tapedeck-demo").exists());
    std::fs::remove_dir(folder.join(".tapedeck")).unwrap();
    succeed(folder, &["reset", "--yes"]);
    assert!(!folder.join(".tapedeck-demo").exists());
    assert!(refused(folder, &["query", "select 1"]).contains("there is no data folder"));
}

#[test]
fn the_demos_data_and_real_data_never_share_a_folder() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("watchlist.toml"), "[fred]\nseries = [\"GDP\"]\n").unwrap();
    // Without the key there is nothing to poll, and no folder is made.
    assert!(refused(folder, &["up", "--once"]).contains("nothing to poll"));
    assert!(!folder.join(".tapedeck").exists());
    std::fs::write(folder.join("watchlist.toml"), "[cboe]\nindex_history = [\"VIX\"]\n").unwrap();
    std::fs::create_dir(folder.join(".tapedeck")).unwrap();
    std::fs::write(folder.join(".tapedeck/folder.json"), r#"{"format":1,"kind":"real"}"#).unwrap();
    let demo = ["up", "--demo", "--once", "--kafka-port", "0", "--data-dir"];
    assert!(refused(folder, &[&demo[..], &[".tapedeck"]].concat()).contains("holds real data"));
    std::fs::create_dir(folder.join("x")).unwrap();
    std::fs::write(folder.join("x/folder.json"), r#"{"format":1,"kind":"demo"}"#).unwrap();
    assert!(refused(folder, &["up", "--once", "--data-dir", "x"]).contains("the demo's invented data"));
    // A deck that cannot start leaves no folder behind.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = refused(folder, &["up", "--demo", "--once", "--kafka-port", &port]);
    assert!(said.contains("choose another with --kafka-port") && !folder.join(".tapedeck-demo").exists(), "{said}");
    // A folder of somebody else is not deleted.
    std::fs::create_dir(folder.join("photos")).unwrap();
    assert!(refused(folder, &["reset", "--yes", "--data-dir", "photos"]).contains("is no data folder of tapedeck"));
    assert!(folder.join("photos").exists());
}

#[test]
fn settings_come_from_a_file_that_init_writes_and_the_environment_takes_precedence() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    assert!(succeed(folder, &["init"]).contains("wrote `.env`"));
    assert!(succeed(folder, &["init"]).contains("`.env` is there already"));
    let watchlist = std::fs::read_to_string(folder.join("watchlist.toml")).unwrap();
    assert!(watchlist.contains("[cboe]"));
    let key = |folder: &Path, environment: &[(&str, &str)]| {
        let output = tapedeck(folder, &["doctor"]).envs(environment.iter().copied()).output().unwrap();
        let text = said(&output);
        assert!(!text.contains("hunter"), "{text}");
        let line = text.lines().find(|line| line.contains("fred: ")).unwrap_or_else(|| panic!("{text}")).to_owned();
        (text.contains("settings from `.env`"), line.contains("is set"))
    };
    // Everything in it is commented out.
    assert_eq!(key(folder, &[]), (false, false));
    let env = std::fs::read_to_string(folder.join(".env")).unwrap();
    std::fs::write(folder.join(".env"), env.replace("#FRED_API_KEY=", "FRED_API_KEY=hunter2")).unwrap();
    assert_eq!(key(folder, &[]), (true, true));
    std::fs::write(folder.join(".env"), "TAPEDECK_LOG=info\nFRED_API_KEY hunter2\n").unwrap();
    assert!(refused(folder, &["doctor"]).contains("line 2 of `.env` is not `NAME=value`"));
    std::fs::write(folder.join(".env"), "TAPEDECK_WATCHLIST=nowhere.toml\n").unwrap();
    assert!(said(&run(folder, &["plan"])).contains("nowhere.toml"));
    let other = tapedeck(folder, &["plan"]).env("TAPEDECK_WATCHLIST", "watchlist.toml").output().unwrap();
    assert!(other.status.success(), "{}", said(&other));
    // A named file must be there.
    let missing = tapedeck(folder, &["plan"]).env("TAPEDECK_ENV_FILE", "none.env").output().unwrap();
    assert!(said(&missing).contains("cannot read `none.env`, which `TAPEDECK_ENV_FILE` names"));
}
