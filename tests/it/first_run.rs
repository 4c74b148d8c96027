//! What a new user meets: no network, a wrong file, somebody else's database, a deck that still loads.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::process::{Environment, Heard, command, run, signal_process, until};

/// The longest that a round without a network may take: some retries of one item.
const OFFLINE: Duration = Duration::from_secs(60);

/// A command of `tapedeck` in that working directory.
fn tapedeck(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = command("tapedeck", arguments, &Environment::new());
    command.current_dir(folder);
    command
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// One round of `tapedeck up` with that watchlist.
fn round(folder: &Path, watchlist: &str, variables: &[(&'static str, String)]) -> Output {
    let file = folder.join("watchlist.toml");
    std::fs::write(&file, watchlist).unwrap();
    let mut environment = Environment::from([("TAPEDECK_WATCHLIST", file.display().to_string())]);
    environment.extend(variables.iter().cloned());
    let data = folder.join("data");
    run("tapedeck", &["up", "--once", "--kafka-port", "0", "--data-dir", data.to_str().unwrap()], &environment)
}

#[test]
fn without_a_network_one_round_ends_soon_with_a_line_per_source_and_fails() {
    let (folder, began) = (TempDir::new().unwrap(), Instant::now());
    // Nothing listens on this port any more.
    let nobody = format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let watchlist =
        "[cboe]\nindex_history = [\"VIX\", \"SKEW\", \"VVIX\", \"OVX\"]\n[yahoo]\nchart = [\"AAPL\", \"MSFT\"]\n";
    let output =
        round(folder.path(), watchlist, &[("TAPEDECK_CBOE_URL", nobody.clone()), ("TAPEDECK_YAHOO_URL", nobody)]);
    assert!(!output.status.success() && began.elapsed() < OFFLINE, "{:?}: {}", began.elapsed(), errors(&output));
    for source in ["cboe", "yahoo"] {
        let text = errors(&output);
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with(&format!("{source}: "))).collect();
        assert!(matches!(lines[..], [line] if line.ends_with("this source's other items were not tried")), "{text}");
    }
}

#[test]
fn a_file_of_which_every_row_is_refused_fails_the_round_and_one_with_a_good_row_does_not() {
    let folder = TempDir::new().unwrap();
    let item = "prices.csv?ohlcv_bar&symbol=Ticker&trading_date=Date&bar_interval:=1d&source:=mine";
    let address = format!("file:{}", folder.path().display());
    let polled = |rows: &str| {
        let text = format!("Ticker,Date,Open,High,Low,Close,Volume\n{rows}");
        std::fs::write(folder.path().join("prices.csv"), text).unwrap();
        round(folder.path(), &format!("[file]\ncsv = [\"{item}\"]\n"), &[("TAPEDECK_FILE_URL", address.clone())])
    };
    let refused = polled("A,2024-01-02,1,1,1,236;30,5\nA,2024-01-03,1,1,1,237;10,5\n");
    assert!(!refused.status.success(), "{}", errors(&refused));
    assert!(errors(&refused).contains("all 2 rows were refused: `dead-letters list` says why"), "{}", errors(&refused));
    let mixed = polled("A,2024-01-02,1,1,1,236;30,5\nA,2024-01-04,1,1,1,1,5\n");
    assert!(mixed.status.success(), "{}", errors(&mixed));
}

#[test]
fn a_database_that_other_topics_have_filled_is_refused_with_one_line() {
    let folder = TempDir::new().unwrap();
    let demo = |name: &'static str| {
        let mut up = tapedeck(folder.path(), &["up", "--demo", "--once", "--kafka-port", "0", "--data-dir", name]);
        up.env("TAPEDECK_DATABASE_URL", format!("sqlite:{}", folder.path().join("mine.db").display()));
        up.output().unwrap()
    };
    let first = demo("a");
    assert!(first.status.success(), "{}", errors(&first));
    let again = demo("a");
    assert!(again.status.success(), "{}", errors(&again));
    let other = demo("b");
    let text = errors(&other);
    let refusal = text.lines().filter(|line| line.starts_with("error: ")).collect::<Vec<_>>();
    assert!(!other.status.success(), "{text}");
    assert!(matches!(refusal[..], [line] if line.contains("was filled from other topics")), "{text}");
}

#[test]
fn the_demo_leaves_the_database_and_the_cluster_of_the_file_of_settings_alone() {
    let folder = TempDir::new().unwrap();
    let real = format!("TAPEDECK_DATABASE_URL=sqlite:{}\n", folder.path().join("real.db").display());
    std::fs::write(folder.path().join(".env"), real + "TAPEDECK_KAFKA_BROKERS=127.0.0.1:1\n").unwrap();
    let mut up = tapedeck(folder.path(), &["up", "--demo", "--once", "--kafka-port", "0"]);
    let output = up.env_remove("TAPEDECK_ENV_FILE").output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    assert!(!folder.path().join("real.db").exists() && folder.path().join(".tapedeck-demo/tapedeck.db").exists());
}

#[test]
fn a_query_says_that_its_table_is_behind_until_up_says_that_all_is_loaded() {
    let folder = TempDir::new().unwrap();
    let up = Heard::start(tapedeck(folder.path(), &["up", "--demo", "--kafka-port", "0"]));
    let pid = folder.path().join(".tapedeck-demo/run/consumer.pid");
    let mut consumer = 0;
    until("the consumer runs", || {
        consumer = std::fs::read_to_string(&pid).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        consumer > 0
    });
    signal_process(consumer, "STOP");
    until("every source is polled", || up.said(": polled, ").len() == 8);
    let ask = || errors(&tapedeck(folder.path(), &["query", "select count(*) from ohlcv_bar"]).output().unwrap());
    let behind = ask();
    assert!(behind.starts_with("`ohlcv_bar` is behind: ") && behind.lines().count() == 1, "{behind}");
    assert!(up.said("loaded: ").is_empty());
    signal_process(consumer, "CONT");
    up.until_said("loaded: 188834 records in ");
    assert_eq!(ask(), "");
    // Also where nothing is due, which is most of what a second start finds.
    assert!(tapedeck(folder.path(), &["down"]).output().unwrap().status.success());
    let again = Heard::start(tapedeck(folder.path(), &["up", "--demo", "--kafka-port", "0"]));
    again.until_said("loaded: ");
    again.until_said("ici: nothing is due");
}

#[test]
fn a_port_that_the_user_names_is_not_replaced_by_another() {
    let folder = TempDir::new().unwrap();
    let other = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let output = tapedeck(folder.path(), &["up", "--demo", "--once", "--kafka-port", &port]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    let advice = format!("error: port {port}: Address already in use (os error 98); choose another with --kafka-port");
    assert!(errors(&output).contains(&advice), "{}", errors(&output));
}

#[test]
fn settings_of_the_user_apply_where_the_working_directory_has_none() {
    let (home, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let ask = |arguments: &[&str]| {
        let mut command = tapedeck(folder.path(), arguments);
        command.env_remove("TAPEDECK_ENV_FILE").env("XDG_CONFIG_HOME", home.path()).output().unwrap()
    };
    let missing = ask(&["plan"]);
    assert!(errors(&missing).contains("cannot read watchlist `watchlist.toml`"), "{}", errors(&missing));
    assert!(ask(&["init", "--user"]).status.success());
    let own = home.path().join("tapedeck");
    std::fs::write(own.join("watchlist.toml"), "[cboe]\nindex_history = [\"VIX\"]\n").unwrap();
    std::fs::write(own.join(".env"), "TAPEDECK_LOG=warn\n").unwrap();
    let planned = ask(&["plan"]);
    let text = String::from_utf8_lossy(&planned.stdout).into_owned();
    assert!(text.contains("index_history") && !text.contains("yahoo"), "{text}{}", errors(&planned));
    assert!(errors(&planned).contains(&format!("settings from `{}`", own.join(".env").display())));
    std::fs::write(folder.path().join("watchlist.toml"), "[yahoo]\nchart = [\"AAPL\"]\n").unwrap();
    let here = String::from_utf8_lossy(&ask(&["plan"]).stdout).into_owned();
    assert!(here.contains("yahoo") && !here.contains("index_history"), "{here}");
}

#[test]
fn reset_deletes_what_tapedeck_made_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let run = |arguments: &[&str]| {
        let output = tapedeck(folder.path(), arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", errors(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let (mine, data) = (folder.path().join("mine"), ["--data-dir", "mine"]);
    std::fs::create_dir(&mine).unwrap();
    std::fs::write(mine.join("precious"), "x").unwrap();
    run(&[&["up", "--demo", "--once", "--kafka-port", "0"][..], &data].concat());
    let said = run(&[&["reset", "--yes"][..], &data].concat());
    assert!(said.contains("the other files there are not tapedeck's and stay"), "{said}");
    let left: Vec<_> = std::fs::read_dir(&mine).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["precious"]);
}

#[test]
fn nothing_to_poll_leaves_no_folder_behind() {
    let folder = TempDir::new().unwrap();
    let output = tapedeck(folder.path(), &["up", "--once"]).output().unwrap();
    assert!(errors(&output).contains("`tapedeck init` writes one"), "{}", errors(&output));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn an_error_that_cannot_be_written_is_no_crash() {
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    // A file stands where the folder would be.
    let file = tempfile::NamedTempFile::new().unwrap();
    let folder = file.path().to_str().unwrap();
    for (name, arguments) in [
        ("tapedeck-broker", ["--listen", "127.0.0.1:0", "--data-dir", folder]),
        ("tapedeck", ["up", "--demo", "--data-dir", folder]),
    ] {
        let mut command = command(name, &arguments, &Environment::new());
        assert_eq!(command.stderr(full()).status().unwrap().code(), Some(1), "{name}");
    }
}
