//! Logging: one line per event on standard error.

use std::io::{self, IsTerminal as _, Write as _};

use tracing_subscriber::EnvFilter;

use crate::settings;

/// Libraries whose output shows addresses with keys, or repeats many times a second that a broker is down. Our own
/// clients log such a failure once.
const QUIET: &str =
    "hyper=warn,reqwest=warn,rustls=warn,rustls_platform_verifier=off,h2=warn,sqlx=warn,librdkafka=off,rdkafka=off";

/// Starts logging, with the filter in `TAPEDECK_LOG`.
pub fn init() {
    let wanted = settings::read(&settings::LOG).unwrap_or_default();
    let filter =
        EnvFilter::try_new(format!("{wanted},{QUIET}")).unwrap_or_else(|_| EnvFilter::new(format!("info,{QUIET}")));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        // Else it panics, for the same reason as in `report`.
        .log_internal_errors(false)
        .init();
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
