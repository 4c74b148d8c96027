//! Logging: one line per event on standard error.

use std::io::{self, IsTerminal as _, Write as _};

use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

use crate::settings;

/// Libraries whose output shows addresses with keys, or repeats many times a second that a broker is down. Our own
/// clients log such a failure once.
const QUIET: [(&str, LevelFilter); 8] = [
    ("h2", LevelFilter::WARN),
    ("hyper", LevelFilter::WARN),
    ("librdkafka", LevelFilter::OFF),
    ("rdkafka", LevelFilter::OFF),
    ("reqwest", LevelFilter::WARN),
    ("rustls", LevelFilter::WARN),
    ("rustls_platform_verifier", LevelFilter::OFF),
    ("sqlx", LevelFilter::WARN),
];

/// Starts logging, with the filter in `TAPEDECK_LOG`: a level, or levels by target, such as `warn,producers=debug`.
pub fn init() {
    let wanted = settings::read(&settings::LOG).unwrap_or_default();
    let (filter, ignored) = filter(&wanted);
    subscriber(filter).init();
    for directive in ignored {
        tracing::warn!(directive, "`TAPEDECK_LOG` takes a level, or `crate=level`: ignored");
    }
}

/// Writes what the filter lets pass to standard error.
fn subscriber(filter: Targets) -> impl Subscriber + Send + Sync {
    let format = tracing_subscriber::fmt()
        // The least that does it: rdkafka logs twice per message, which costs a comparison below this level, and above it a
        // tenth of a consumer's time.
        .with_max_level(Layer::<Registry>::max_level_hint(&filter).unwrap_or(LevelFilter::TRACE))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        // Else it panics, for the same reason as in `report`.
        .log_internal_errors(false);
    format.finish().with(filter)
}

/// The filter, and what is ignored because it is no directive. Without a level of its own everything else is `info`.
fn filter(wanted: &str) -> (Targets, Vec<&str>) {
    let (mut targets, mut level, mut ignored) = (Targets::new(), LevelFilter::INFO, Vec::new());
    for directive in wanted.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
        let (target, wanted) = directive.split_once('=').unwrap_or(("", directive));
        let library = target.split("::").next();
        match wanted.parse() {
            Err(_) => ignored.push(directive),
            // An empty level would be `error`.
            Ok(_) if wanted.is_empty() => ignored.push(directive),
            Ok(wanted) if target.is_empty() => level = wanted,
            Ok(_) if QUIET.iter().any(|(name, _)| Some(*name) == library) => ignored.push(directive),
            Ok(wanted) => targets = targets.with_target(target, wanted),
        }
    }
    (targets.with_targets(QUIET).with_default(level), ignored)
}

/// Prints the error of a command as one line, and returns the exit code.
pub fn report(outcome: anyhow::Result<()>) -> std::process::ExitCode {
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            // Not `eprintln`, which panics where standard error is a log on a full disk.
            let _ = writeln!(io::stderr(), "error: {}", one_line(&error));
            std::process::ExitCode::FAILURE
        }
    }
}

/// An error and its causes on one line.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        // Some libraries repeat their cause in their own message.
        if !line.contains(&cause) {
            line.push_str(if line.is_empty() { "" } else { ": " });
            line.push_str(&cause);
        }
    }
    line.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn the_filter_takes_levels_by_crate_and_ignores_what_is_no_level() {
        let (targets, ignored) = filter("warn, producers=debug");
        assert!(ignored.is_empty());
        assert!(targets.would_enable("producers::poll", &Level::DEBUG));
        assert!(!targets.would_enable("consumers::sink", &Level::INFO));
        for (wanted, expected) in
            [("", vec![]), ("nonsense,", vec!["nonsense"]), ("a=b=c,warn=", vec!["a=b=c", "warn="])]
        {
            let (targets, ignored) = filter(wanted);
            assert_eq!(ignored, expected);
            assert!(targets.would_enable("consumers::sink", &Level::INFO), "{wanted}");
            assert!(!targets.would_enable("consumers::sink", &Level::DEBUG), "{wanted}");
        }
    }

    #[test]
    fn a_library_that_logs_each_message_is_stopped_by_the_level_alone() {
        for (wanted, level) in
            [("", LevelFilter::INFO), ("error", LevelFilter::WARN), ("warn,producers=debug", LevelFilter::DEBUG)]
        {
            assert_eq!(subscriber(filter(wanted).0).max_level_hint(), Some(level), "{wanted}");
        }
    }

    #[test]
    fn no_filter_lets_a_library_show_its_addresses() {
        for wanted in ["trace", "reqwest=trace", "reqwest::connect=trace", "sqlx=debug,trace"] {
            let (targets, _) = filter(wanted);
            assert!(!targets.would_enable("reqwest::connect", &Level::DEBUG), "{wanted}");
            assert!(!targets.would_enable("sqlx::query", &Level::DEBUG), "{wanted}");
            assert!(!targets.would_enable("librdkafka", &Level::ERROR), "{wanted}");
        }
    }
}
