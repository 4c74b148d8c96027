//! Everything fails again and again, and no record is lost, doubled or reverted.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tests::torture::{PARTITIONS, Plan, run};
use tests::workload::Size;

/// A number from the environment.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// A new seed, or the one given to repeat a run.
fn seed() -> u64 {
    setting("TAPEDECK_FAULTS_SEED")
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64)
}

/// The run of `./test`, or with `TAPEDECK_TORTURE` that of `./test --torture`.
fn plan() -> Plan {
    let plan = Plan {
        seed: seed(),
        size: Size { records: 100_000, keys: 2_000, partitions: PARTITIONS as usize, large: 10, batches: 2 },
        previous: std::env::var_os("TAPEDECK_TEST_PREVIOUS").map(PathBuf::from),
        faults: 24,
        load: Duration::from_secs(150),
        chunk_rows: 250,
        replay_kills: 2,
        least_strikes: 1,
        least_kills_inside: 5,
        least_fenced: 1,
        least_recognised: 1,
        least_assigned: 10,
    };
    if setting("TAPEDECK_TORTURE").is_none() {
        return plan;
    }
    Plan {
        size: Size { records: 2_000_000, keys: 20_000, large: 100, batches: 10, ..plan.size },
        faults: 300,
        load: Duration::from_secs(1_560),
        chunk_rows: 2_000,
        replay_kills: 10,
        least_strikes: 3,
        least_kills_inside: 30,
        least_fenced: 10,
        least_recognised: 5,
        least_assigned: 20,
        ..plan
    }
}

#[test]
fn whatever_fails_the_tables_are_what_the_acknowledged_records_say_and_a_replay_changes_nothing() {
    if tests::service("TAPEDECK_TEST_KAFKA").is_none() && setting("TAPEDECK_TORTURE").is_none() {
        return;
    }
    let plan = plan();
    eprintln!("seed {}: TAPEDECK_FAULTS_SEED={} makes the same records and faults again", plan.seed, plan.seed);
    let report = run(&plan);
    println!("{}", report.summary);
    assert!(report.violations.is_empty(), "violated with seed {}:\n{}", plan.seed, report.violations.join("\n"));
    assert!(report.not_covered.is_empty(), "the run does not cover enough:\n{}", report.not_covered.join("\n"));
}
