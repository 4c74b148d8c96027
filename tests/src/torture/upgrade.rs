//! The rolling upgrade in the middle of a run: consumers of the previous build make room for those of this one.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::Stage;
use super::fault::wait_while;
use crate::process::{Environment, command_of, ended};

/// Share of the messages that are sent before the databases are migrated.
const BEFORE_MIGRATION: f64 = 0.3;
/// Share of the messages that are sent before the first consumer is replaced: until then the previous build works on the
/// migrated databases.
const BEFORE_ROLLING: f64 = 0.4;
/// Longest that one step takes. Faults go on, and a consumer may be stopped.
const PATIENCE: Duration = Duration::from_secs(240);

/// How far the load is, and whether it may go beyond the first half.
#[derive(Debug, Default)]
pub(super) struct Progress {
    sent: AtomicU32,
    is_upgraded: AtomicBool,
}

impl Progress {
    /// A message is about to be sent; whether it may be.
    pub(super) fn may_send(&self, id: u32, half: u32) -> bool {
        self.sent.store(id, Ordering::SeqCst);
        id < half || self.is_upgraded.load(Ordering::SeqCst)
    }
}

/// Opens the second half, also when the upgrade fails: the load must end.
struct Opens<'a>(&'a Progress);

impl Drop for Opens<'_> {
    fn drop(&mut self) {
        self.0.is_upgraded.store(true, Ordering::SeqCst);
    }
}

/// Upgrades all sinks while load and faults go on; returns the number of replaced consumers, or what went wrong.
pub(super) fn roll(stage: &Stage, executable: &Path, records: u32, progress: &Progress) -> Result<usize, String> {
    let _opens = Opens(progress);
    let await_share = |share: f64| {
        let is_before = || f64::from(progress.sent.load(Ordering::SeqCst)) < f64::from(records) * share;
        let is_in_time = wait_while(stage.longest_load, is_before);
        if is_in_time { Ok(()) } else { Err(format!("upgrade: the load did not reach {share}")) }
    };
    await_share(BEFORE_MIGRATION)?;
    for fleet in &stage.fleets {
        migrate(executable, &fleet.database)?;
    }
    await_share(BEFORE_ROLLING)?;
    let mut replaced = 0;
    for fleet in &stage.fleets {
        for at in 0..fleet.members.len() {
            if !fleet.replace(at, executable, PATIENCE) {
                return Err(format!("upgrade: consumer {at} of {} does not end", fleet.sink));
            }
            replaced += 1;
        }
    }
    Ok(replaced)
}

/// Migrates a database that is restarted meanwhile.
fn migrate(executable: &Path, database: &str) -> Result<(), String> {
    let environment = Environment::from([("TAPEDECK_DATABASE_URL", database.to_owned())]);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let output = ended(command_of(executable, &["migrate"], &environment));
        if output.status.success() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("upgrade: migrate: {}", String::from_utf8_lossy(&output.stderr)));
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}
