//! The watchdog: ends a process whose loop hangs, so that its supervisor restarts it.

use std::io;
use std::process;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use crate::health::{Health, Hung};

/// Exit code of a process whose loop hangs: "internal software error" in sysexits.h. No other failure of ours uses it.
pub const HUNG_EXIT_CODE: i32 = 70;

/// How often the watchdog checks the heartbeats.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long writing the last line may take before the process ends without it: standard error itself can hang.
const LINE_PATIENCE: Duration = Duration::from_secs(3);
/// How long an orderly exit may take before the process is aborted.
const EXIT_PATIENCE: Duration = Duration::from_secs(6);

/// Checks the heartbeats from now on; without a limit it only updates their ages.
pub(crate) fn start(health: Health, limit: Option<Duration>) -> io::Result<()> {
    health.limit(limit);
    thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
        while look(&health, Instant::now(), end) {
            sleep(INTERVAL);
        }
    })?;
    Ok(())
}

/// Checks once; false when it has ended the process.
fn look(health: &Health, now: Instant, end: impl FnOnce(&str)) -> bool {
    let hung = health.hung(now);
    if hung.is_empty() {
        return true;
    }
    let names: Vec<String> =
        hung.iter().map(|Hung { name, age }| format!("`{name}` for {} s", age.as_secs())).collect();
    end(&format!("no heartbeat of {}: ending with exit code {HUNG_EXIT_CODE}, for a restart", names.join(", ")));
    false
}

fn end(line: &str) {
    // What blocks the other threads must not block the exit.
    let _ = thread::Builder::new().spawn(|| {
        sleep(LINE_PATIENCE);
        process::exit(HUNG_EXIT_CODE);
    });
    let _ = thread::Builder::new().spawn(|| {
        sleep(EXIT_PATIENCE);
        process::abort();
    });
    tracing::error!("{line}");
    process::exit(HUNG_EXIT_CODE);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Checks every second of a clock of its own; returns the second that ended the process, and the line.
    fn watched(health: &Health, seconds: u32, mut each: impl FnMut(u32)) -> Option<(u32, String)> {
        let began = Instant::now();
        for second in 1..=seconds {
            each(second);
            let mut said = None;
            if !look(health, began + second * SECOND, |line| said = Some(line.to_owned())) {
                return Some((second, said.unwrap()));
            }
        }
        None
    }

    #[test]
    fn a_loop_that_hangs_ends_the_process_with_a_line_that_names_it() {
        let health = Health::new();
        health.limit(Some(120 * SECOND));
        let (hangs, goes_on) = (health.heartbeat("sink `x`", SECOND), health.heartbeat("other", SECOND));
        let ended = watched(&health, 1000, |second| {
            goes_on.beat();
            if second <= 50 {
                hangs.beat();
            }
        });
        let line = "no heartbeat of `sink `x`` for 121 s: ending with exit code 70, for a restart";
        assert_eq!(ended, Some((171, line.to_owned())));
    }

    #[test]
    fn a_loop_that_beats_now_and_then_or_rests_is_left_alone() {
        let health = Health::new();
        health.limit(Some(120 * SECOND));
        let (slow, rests) = (health.heartbeat("slow", SECOND), health.heartbeat("rests", SECOND));
        rests.rest();
        let beat = |second| {
            if second % 100 == 0 {
                slow.beat();
            }
        };
        assert_eq!(watched(&health, 5000, beat), None);
    }

    #[test]
    fn without_a_limit_nothing_is_ended() {
        let health = Health::new();
        health.limit(None);
        let _hangs = health.heartbeat("hangs", SECOND);
        assert_eq!(watched(&health, 10_000, |_| ()), None);
    }
}
