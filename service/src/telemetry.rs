//! Logging: one line per event on standard error.

use std::io::{self, IsTerminal as _, Write as _};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::settings;

/// Libraries whose output shows addresses with keys, or repeats many times a second that a broker is down. Our own
/// clients log such a failure once.
const QUIET: &str =
    "hyper=warn,reqwest=warn,rustls=warn,rustls_platform_verifier=off,h2=warn,sqlx=warn,librdkafka=off,rdkafka=off";

/// Starts logging, with the filter in `TAPEDECK_LOG`: a level, or levels by target, such as `warn,producers=debug`.
pub fn init() {
    let wanted = settings::read(&settings::LOG).unwrap_or_default();
    let format = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        // Else it panics, for the same reason as in `report`.
        .log_internal_errors(false);
    format.finish().with(filter(&wanted)).init();
}

/// The filter; `info` when `wanted` is none.
fn filter(wanted: &str) -> Targets {
    let wanted = if wanted.trim().is_empty() { "info" } else { wanted };
    let targets = format!("{wanted},{QUIET}").parse();
    targets.unwrap_or_else(|_| format!("info,{QUIET}").parse().expect("these directives are valid"))
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

    use super::filter;

    #[test]
    fn the_filter_takes_levels_by_target_and_never_lets_a_library_show_its_addresses() {
        let targets = filter("warn,producers=debug");
        assert!(targets.would_enable("producers::poll", &Level::DEBUG));
        assert!(!targets.would_enable("consumers::sink", &Level::INFO));
        for wanted in ["trace", "", "what=is=this", "trace,"] {
            let targets = filter(wanted);
            assert!(targets.would_enable("consumers::sink", &Level::INFO), "{wanted}");
            assert!(!targets.would_enable("reqwest::connect", &Level::DEBUG), "{wanted}");
            assert!(!targets.would_enable("librdkafka", &Level::ERROR), "{wanted}");
        }
    }
}
