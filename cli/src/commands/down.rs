//! `tapedeck down`: stops the running deck.

use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::folder::Folder;

/// How long the deck may take: a consumer waits for its last chunk.
const PATIENCE: Duration = Duration::from_secs(90);

/// Stop the running deck without losing records
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: tapedeck down")]
pub(super) struct Arguments {}

/// Returns when the deck has ended. A deck that does not run is no error.
pub(super) fn run(Arguments {}: &Arguments, folder: &Folder) -> anyhow::Result<()> {
    let Some(process) = folder.process() else {
        println!("no deck runs in `{}`", folder.shown());
        return Ok(());
    };
    let process = Pid::from_raw(process).context("the lock of the data folder holds no process id")?;
    kill_process(process, Signal::TERM).with_context(|| format!("cannot stop process {}", process.as_raw_nonzero()))?;
    if !folder.await_end(PATIENCE) {
        bail!("the deck did not end within {} s; its logs: `{}`", PATIENCE.as_secs(), folder.logs().display());
    }
    println!("stopped; the data stays in `{}`", folder.shown());
    Ok(())
}
