//! The report of a run: figures, missing coverage, violations.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::fault::Fault;
use super::fleet::Counts;
use super::load::Delivered;
use super::{ON_KAFKA, ON_SINK, Plan, Stage, Strike};
use crate::oracle::Oracle;
use crate::workload::Poison;

/// Smallest share of the intervals between two faults in which the sink made progress.
const LEAST_PROGRESS: f64 = 0.8;

/// A run.
#[derive(Debug)]
pub struct Report {
    /// Figures for RELIABILITY.md.
    pub summary: String,
    /// What the run missed and needs in order to prove anything.
    pub not_covered: Vec<String>,
    /// Violated invariants.
    pub violations: Vec<String>,
}

/// Everything known at the end.
pub(super) struct Outcome {
    pub(super) delivered: Delivered,
    pub(super) upgraded: usize,
    pub(super) oracle: Oracle,
    /// Of each sink: refused messages of which only the coordinates are kept.
    pub(super) parked: Vec<usize>,
    pub(super) violations: Vec<String>,
    pub(super) replayed: usize,
    pub(super) quiescence: Duration,
    pub(super) begin: Instant,
}

/// Sums over the sinks.
struct Sums {
    fenced: u64,
    recognised: u64,
    assigned: u64,
    aside: u64,
    restarts: u64,
}

impl Report {
    pub(super) fn new(plan: &Plan, mut stage: Stage, mut outcome: Outcome) -> Report {
        for fleet in &stage.fleets {
            outcome.violations.extend(fleet.counts.gave_up.lock().unwrap().iter().cloned());
        }
        let strikes = std::mem::take(&mut *stage.strikes.lock().unwrap());
        let sum = |count: fn(&Counts) -> &AtomicU64| {
            stage.fleets.iter().map(|fleet| count(&fleet.counts).load(Ordering::SeqCst)).sum()
        };
        let sums = Sums {
            fenced: sum(|counts| &counts.fenced),
            recognised: sum(|counts| &counts.recognised),
            assigned: sum(|counts| &counts.assigned),
            aside: sum(|counts| &counts.aside),
            restarts: sum(|counts| &counts.restarts),
        };
        let progress = progress(&strikes);
        let not_covered = not_covered(plan, &strikes, &sums, progress, &outcome);
        let summary = summary(plan, &strikes, &sums, progress, &outcome);
        stage.services.keep = !not_covered.is_empty() || !outcome.violations.is_empty();
        Report { summary, not_covered, violations: outcome.violations }
    }
}

/// Number of strikes of each fault.
fn by_fault(strikes: &[Strike]) -> BTreeMap<Fault, usize> {
    let mut counts: BTreeMap<Fault, usize> = ON_SINK.iter().chain(&ON_KAFKA).map(|fault| (*fault, 0)).collect();
    for strike in strikes.iter().filter(|strike| strike.has_struck) {
        *counts.entry(strike.fault).or_default() += 1;
    }
    counts
}

/// Share of the intervals between two faults on a sink in which it made progress.
fn progress(strikes: &[Strike]) -> f64 {
    let mut last: BTreeMap<&str, i64> = BTreeMap::new();
    let (mut gaps, mut advances) = (0u32, 0u32);
    for strike in strikes {
        let Some(now) = strike.progress else {
            continue;
        };
        if let Some(before) = last.insert(&strike.lane, now) {
            gaps += 1;
            advances += u32::from(now > before);
        }
    }
    f64::from(advances) / f64::from(gaps.max(1))
}

fn kills_inside(strikes: &[Strike]) -> usize {
    let inside = |strike: &&Strike| match strike.fault {
        Fault::KillConsumerAt(point) => strike.has_struck && point.is_inside(),
        _ => false,
    };
    strikes.iter().filter(inside).count()
}

fn not_covered(plan: &Plan, strikes: &[Strike], sums: &Sums, progress: f64, outcome: &Outcome) -> Vec<String> {
    let mut missing = Vec::new();
    for (fault, count) in by_fault(strikes) {
        if count < plan.least_strikes {
            missing.push(format!("{} struck {count} times of {}", fault.family(), plan.least_strikes));
        }
    }
    let struck = strikes.iter().filter(|strike| strike.has_struck).count();
    if struck < plan.faults * 9 / 10 {
        missing.push(format!("{struck} faults of {} struck", plan.faults));
    }
    if progress < LEAST_PROGRESS {
        missing.push(format!("progress between faults only in {:.0} % of the cases", progress * 100.0));
    }
    let events = [
        ("kills inside the transaction", kills_inside(strikes) as u64, plan.least_kills_inside),
        ("fenced commits", sums.fenced, plan.least_fenced),
        ("ambiguous commits that were recognised", sums.recognised, plan.least_recognised),
        ("assignments of partitions", sums.assigned, plan.least_assigned),
        ("batches that were read aside", sums.aside, u64::from(plan.size.batches)),
    ];
    for (what, count, least) in events {
        if count < least {
            missing.push(format!("{count} {what}, fewer than {least}"));
        }
    }
    if outcome.parked.contains(&0) {
        missing.push("a sink has parked no record of the publisher in quarantine".to_owned());
    }
    if outcome.replayed == 0 {
        missing.push("no kill during the replay".to_owned());
    }
    for poison in Poison::all().iter().filter(|poison| !outcome.oracle.poisons.contains(poison)) {
        missing.push(format!("no {poison:?} was sent"));
    }
    if let Some(first) = outcome.delivered.failures.first() {
        missing.push(format!("{} messages were not acknowledged: {first}", outcome.delivered.failures.len()));
    }
    missing
}

fn summary(plan: &Plan, strikes: &[Strike], sums: &Sums, progress: f64, outcome: &Outcome) -> String {
    let Outcome { delivered, upgraded, oracle, parked, violations, replayed, quiescence, begin } = outcome;
    let mut text = String::new();
    let mut line = |name: &str, value: String| writeln!(text, "| {name} | {value} |").unwrap();
    line("seed", plan.seed.to_string());
    line("records acknowledged", delivered.acks.len().to_string());
    line("records on the topic more than once", oracle.copies.to_string());
    line("keys in the table", oracle.rows.len().to_string());
    line("dead letters", format!("{} of {} kinds", oracle.dead_letters.len(), oracle.poisons.len()));
    let flood = format!("{}; parked by the sinks: {parked:?}", oracle.flood.len());
    line("records of a publisher that sends nothing right", flood);
    line("faults", strikes.iter().filter(|strike| strike.has_struck).count().to_string());
    for (fault, count) in by_fault(strikes) {
        line(&format!("- {}", fault.family()), count.to_string());
    }
    line("kills inside the chunk's transaction", kills_inside(strikes).to_string());
    line("fenced commits", sums.fenced.to_string());
    line("ambiguous commits recognised", sums.recognised.to_string());
    line("assignments of partitions", sums.assigned.to_string());
    line("batches read aside", sums.aside.to_string());
    let build = if plan.previous.is_some() { "of the previous build" } else { "of the same build" };
    line("consumers upgraded under load", format!("{upgraded}, {build}"));
    line("restarts of consumers", sums.restarts.to_string());
    line("progress between faults", format!("{:.0} %", progress * 100.0));
    line("caught up after", format!("{:.1} s", quiescence.as_secs_f64()));
    line("kills during the replay", replayed.to_string());
    line("violations", violations.len().to_string());
    line("duration", format!("{:.0} s", begin.elapsed().as_secs_f64()));
    text
}
