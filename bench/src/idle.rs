//! `tapedeck-bench idle`: what a daemon costs while nothing is due.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use cli::deck::child::Child;
use cli::deck::progress::Report as Progress;
use producers::clock::Clock;
use serde::Serialize;
use simulator::{Config, Simulator};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::{sleep, timeout};

use crate::bars::DATASET;
use crate::memory::{memory_mb, resident_mb};
use crate::report::{check_limits, print};
use crate::setup::{Bench, PATIENCE, WATCHLIST, on_bench};

/// Number of items that the limits are for.
const ITEMS: usize = 10_000;
/// Most resident memory of the daemon, in MB.
const MEMORY_LIMIT_MB: f64 = 150.0;
/// Largest share of a core that the daemon may use, in percent.
const CORE_LIMIT_PERCENT: f64 = 5.0;
/// Unit in which the kernel counts a process's time, on every architecture that we support.
const TICKS_PER_SECOND: f64 = 100.0;

/// Measure what a daemon costs while nothing is due
///
/// Runs `producer run` with many items, waits until the simulator has answered all of them once, and then watches it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: tapedeck-bench idle --items 1000 --seconds 10")]
pub(crate) struct Arguments {
    /// Number of items on the watchlist
    #[arg(long, default_value_t = ITEMS)]
    items: usize,
    /// Seconds to watch the daemon after the first round
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    /// Fail when it costs more than its limit
    #[arg(long)]
    check: bool,
}

/// Measures and prints.
pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let report = on_bench(DATASET, async |bench| bench.idle(arguments.items, arguments.seconds).await).await?;
    print(&report, arguments.json)?;
    check_limits(&report.missed, arguments.check)
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    items: usize,
    /// Duration of the first round, in which each item is polled and published.
    round_seconds: f64,
    /// How long the daemon was observed after that.
    idle_seconds: f64,
    /// Share of a core that it used meanwhile.
    core_percent: f64,
    /// Memory that it had resident at the end of that.
    idle_resident_mb: f64,
    /// Peak resident memory, which it reaches in the first round.
    most_resident_mb: f64,
    /// Limits that were exceeded.
    missed: Vec<String>,
}

impl Bench {
    async fn idle(&self, items: usize, seconds: u64) -> anyhow::Result<Report> {
        ensure!(items > 0, "`--items` must be at least 1");
        let simulator = Simulator::start(Config { symbols: items, years: 1, ..Config::default() }).await?;
        // Bars up to today: days that were missing would be asked for again.
        simulator.control().set_now(Clock::default().now());
        std::fs::create_dir_all(&self.folder)?;
        let watchlist = format!("[yahoo]\nchart = {:?}\n", simulator.symbols());
        std::fs::write(self.folder.join(WATCHLIST), watchlist)?;
        let began = Instant::now();
        let arguments = ["run", "yahoo", "--progress"].map(str::to_owned).to_vec();
        let mut producer = self.producer(&simulator, arguments, &[])?;
        let round = timeout(PATIENCE, first_round(&mut producer, items)).await;
        round.with_context(|| format!("the first round is not over; see {}", producer.log().display()))??;
        let round_seconds = began.elapsed().as_secs_f64();

        let (asked, watched, before) =
            (simulator.control().calls("yahoo"), Instant::now(), core_seconds(producer.id())?);
        sleep(Duration::from_secs(seconds)).await;
        let idle_seconds = watched.elapsed().as_secs_f64();
        let core_percent = 100.0 * (core_seconds(producer.id())? - before) / idle_seconds;
        let calls = simulator.control().calls("yahoo") - asked;
        ensure!(calls == 0, "the producer was not idle: {calls} items were due; try again outside trading hours");
        let idle_resident_mb = memory_mb(producer.id(), "VmRSS:")?;
        let most_resident_mb = resident_mb(producer.id())?;
        producer.stop().await?;
        let missed = if items == ITEMS { missed(idle_resident_mb, core_percent) } else { Vec::new() };
        Ok(Report { items, round_seconds, idle_seconds, core_percent, idle_resident_mb, most_resident_mb, missed })
    }
}

/// Waits until each item was answered, and then until the round is over.
async fn first_round(producer: &mut Child, items: usize) -> anyhow::Result<()> {
    let mut lines =
        BufReader::new(producer.stdout().context("the standard output of the producer is not piped")?).lines();
    let mut answered = 0;
    while let Some(line) = lines.next_line().await? {
        let report: Progress = serde_json::from_str(&line).with_context(|| format!("the producer says `{line}`"))?;
        if let Some(error) = report.error {
            bail!("polling `{}` failed: {error}", report.item);
        }
        if report.done {
            ensure!(answered == items, "{answered} of {items} items were answered");
            return Ok(());
        }
        answered += 1;
    }
    bail!("the producer has ended; see {}", producer.log().display())
}

/// Time that a process has taken of all cores so far.
pub(crate) fn core_seconds(process: Option<u32>) -> anyhow::Result<f64> {
    let id = process.context("the process has ended")?;
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name before may hold anything, spaces too. User and system time are the 14th and 15th field.
    let (_, fields) = stat.rsplit_once(')').context("no name in /proc")?;
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / TICKS_PER_SECOND)
}

/// The limits that were exceeded.
fn missed(memory_mb: f64, core_percent: f64) -> Vec<String> {
    let memory = (memory_mb >= MEMORY_LIMIT_MB)
        .then(|| format!("{memory_mb:.0} MB were resident while idle, the limit is {MEMORY_LIMIT_MB} MB"));
    let core = (core_percent >= CORE_LIMIT_PERCENT)
        .then(|| format!("{core_percent:.1} % of a core were used while idle, the limit is {CORE_LIMIT_PERCENT} %"));
    memory.into_iter().chain(core).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_takes_time_of_a_core() {
        let (own, began) = (Some(std::process::id()), Instant::now());
        let before = core_seconds(own).unwrap();
        while began.elapsed() < Duration::from_millis(300) {
            std::hint::black_box(began);
        }
        let taken = core_seconds(own).unwrap() - before;
        assert!(taken >= 0.05, "{taken}");
        assert!(core_seconds(None).is_err());
    }

    #[test]
    fn an_exceeded_limit_is_named() {
        assert!(missed(149.9, 4.9).is_empty());
        assert_eq!(missed(150.0, 5.0).len(), 2);
        assert_eq!(missed(200.4, 0.1), ["200 MB were resident while idle, the limit is 150 MB"]);
    }
}
