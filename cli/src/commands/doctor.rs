//! `tapedeck doctor`: looks for what keeps tapedeck from working, and says what to do.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::process::ExitCode;

use chrono::TimeDelta;
use contract::{datasets, topic};
use kafka::Cluster;
use kafka::offsets::end_offsets;
use producers::watchlist::Watchlist;
use serde::Serialize;
use service::settings;
use sources::SOURCES;
use store::Database;

use super::print;
use crate::deck::USUAL_PORT;
use crate::folder::{Folder, Kind};

/// Free space below which the folder's disk is soon full.
const LITTLE_SPACE: u64 = 1 << 30;
/// Largest difference to the database's clock: `known_at` and `observed_at` come from this machine.
const CLOCK_SECONDS: i64 = 5;

/// Check ports, folders, keys, clock, broker, database and versions; fail if something keeps tapedeck from working
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: tapedeck doctor")]
pub(super) struct Arguments {
    /// Print one JSON object per check
    #[arg(long)]
    json: bool,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// Nothing to do.
    Good,
    /// Works, but look at it.
    Note,
    /// Does not work.
    Bad,
}

/// A check.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    /// What was found, and what to do.
    text: String,
}

fn good(check: &'static str, text: impl Into<String>) -> Finding {
    Finding { check, verdict: Verdict::Good, text: text.into() }
}

fn note(check: &'static str, text: impl Into<String>) -> Finding {
    Finding { check, verdict: Verdict::Note, text: text.into() }
}

fn bad(check: &'static str, text: impl Into<String>) -> Finding {
    Finding { check, verdict: Verdict::Bad, text: text.into() }
}

/// Checks everything, and prints what was found.
pub(super) async fn run(arguments: &Arguments, folder: &Folder) -> anyhow::Result<ExitCode> {
    let version = good("version", format!("tapedeck {}", env!("CARGO_PKG_VERSION")));
    let mut findings = vec![version, data_folder(folder), space(folder), port(folder)];
    findings.push(broker(folder).await);
    findings.extend(database(folder).await);
    findings.push(watchlist());
    findings.extend(keys(folder));
    let mut text = String::new();
    for finding in &findings {
        if arguments.json {
            writeln!(text, "{}", serde_json::to_string(finding)?)?;
        } else {
            let verdict = match finding.verdict {
                Verdict::Good => "ok",
                Verdict::Note => "note",
                Verdict::Bad => "BAD",
            };
            writeln!(text, "{verdict:<5} {:<11} {}", finding.check, finding.text)?;
        }
    }
    print(&text)?;
    let is_bad = findings.iter().any(|finding| finding.verdict == Verdict::Bad);
    Ok(if is_bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn data_folder(folder: &Folder) -> Finding {
    if !folder.exists() {
        return note("folder", format!("`{}` is not there yet: `tapedeck up` makes it", folder.shown()));
    }
    let probe = folder.path().join(".doctor");
    let written = std::fs::write(&probe, "x").and_then(|()| std::fs::remove_file(&probe));
    match written {
        Err(error) => bad("folder", format!("cannot write in `{}`: {error}; check owner and mode", folder.shown())),
        Ok(()) if folder.is_running() => good("folder", format!("`{}`, a deck runs in it", folder.shown())),
        Ok(()) => good("folder", format!("`{}`, no deck runs in it", folder.shown())),
    }
}

fn space(folder: &Folder) -> Finding {
    match folder.free_bytes() {
        Err(error) => note("disk", format!("cannot read the free space: {error}")),
        Ok(free) => {
            let text = format!("{:.1} GiB free", free as f64 / f64::from(1 << 30));
            if free < LITTLE_SPACE { note("disk", format!("{text}: make room")) } else { good("disk", text) }
        }
    }
}

fn port(folder: &Folder) -> Finding {
    if folder.is_running() || settings::given(settings::KAFKA_BROKERS.name).is_some() {
        return good("port", "in use by the deck, or not needed");
    }
    match TcpListener::bind(("127.0.0.1", USUAL_PORT)) {
        Ok(_) => good("port", format!("{USUAL_PORT} is free for the embedded broker")),
        Err(error) => note("port", format!("{USUAL_PORT}: {error}; `tapedeck up` takes another and says which")),
    }
}

async fn broker(folder: &Folder) -> Finding {
    let Some(brokers) = settings::given(settings::KAFKA_BROKERS.name) else {
        return note("broker", format!("no deck runs in `{}`: start it with `tapedeck up`", folder.shown()));
    };
    let cluster = match Cluster::from_settings() {
        Ok(cluster) => cluster,
        Err(error) => return bad("broker", error.to_string()),
    };
    let Some(dataset) = datasets().first() else { return bad("broker", "there are no datasets") };
    let asked = tokio::task::spawn_blocking(move || end_offsets(&cluster, &topic::topic(cluster.namespace(), dataset)));
    match asked.await {
        Ok(Ok(partitions)) if partitions.is_empty() => {
            note("broker", format!("{brokers} answers, and has none of our topics yet"))
        }
        Ok(Ok(_)) => good("broker", format!("{brokers} answers, and has our topics")),
        Ok(Err(error)) => bad("broker", format!("{brokers}: {error}")),
        Err(error) => bad("broker", error.to_string()),
    }
}

async fn database(folder: &Folder) -> Vec<Finding> {
    let database = match Database::from_settings() {
        Ok(database) => database,
        Err(_) if !folder.exists() => return vec![note("database", "there is none yet: `tapedeck up` makes it")],
        Err(error) => return vec![bad("database", error.to_string())],
    };
    let shown = database.shown();
    match database.clock_ahead().await {
        Err(error) => vec![bad("database", format!("{shown}: {error}"))],
        Ok(ahead) => vec![good("database", format!("{shown} answers")), clock(ahead)],
    }
}

fn clock(ahead: TimeDelta) -> Finding {
    let seconds = ahead.num_seconds();
    if seconds.abs() > CLOCK_SECONDS {
        return bad("clock", format!("the database's is {seconds} s ahead: set the clocks, for example with NTP"));
    }
    good("clock", "like the database's")
}

fn watchlist() -> Finding {
    match Watchlist::load() {
        Err(error) => bad("watchlist", format!("{error:#}")),
        Ok(watchlist) => {
            let items = |source: &sources::source::Source| -> usize {
                source.endpoints.iter().map(|endpoint| watchlist.items(source, endpoint).len()).sum()
            };
            let polled: Vec<String> = SOURCES
                .iter()
                .filter(|source| items(source) > 0)
                .map(|source| format!("{} {}", source.name, items(source)))
                .collect();
            if polled.is_empty() {
                return note("watchlist", "it has no items: `tapedeck init` writes one to begin with");
            }
            good("watchlist", format!("items: {}", polled.join(", ")))
        }
    }
}

fn keys(folder: &Folder) -> Vec<Finding> {
    if folder.kind() == Kind::Demo {
        return vec![good("key", "the demo needs none")];
    }
    let key = |source: &&sources::source::Source| {
        let key = source.key_variable()?;
        Some(match settings::read_secret(&key) {
            Ok(Some(_)) => good("key", format!("{}: `{}` is set", source.name, key.name)),
            Ok(None) => {
                note("key", format!("{}: `{}` is not set, so it is not polled ({})", source.name, key.name, key.doc))
            }
            Err(error) => bad("key", error.to_string()),
        })
    };
    SOURCES.iter().filter_map(|source| key(&source)).collect()
}
