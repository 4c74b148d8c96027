//! `tapedeck-bench parse`: how fast responses are parsed, compared with their targets.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::bail;
use contract::Record;
use serde::Serialize;

use crate::inputs::{self, Input};
use crate::memory::resident_mb;

/// Turns of each response: a shared machine can be slow for seconds, so each is measured several times.
const TURNS: usize = 3;
/// How long a turn parses one response again and again.
const MEASURED: Duration = Duration::from_millis(300);
/// Shortest time between two readings of the clock.
const ROUND: Duration = Duration::from_millis(5);
/// Bytes of a megabyte.
const MEGABYTE: f64 = 1e6;
/// Targets in megabytes per second, by the format of a response.
const JSON_OR_XML: f64 = 100.0;
const CSV: f64 = 150.0;
/// First bytes of an OLE2 container; it has no target, because it is a few kilobytes a week.
const WORKBOOK: &[u8] = b"\xd0\xcf\x11\xe0";
/// First bytes of a Parquet file; it has no target, because its bytes say little about its rows.
const PARQUET: &[u8] = b"PAR1";

/// Measure how fast providers' responses are read, on one core
///
/// Reads the fixtures of the repository, made longer, and recorded responses where they lie beside the repository.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: tapedeck-bench parse --of yahoo chart AAPL response.json")]
pub(crate) struct Arguments {
    /// Read the response in a file instead
    #[arg(long, num_args = 4, value_names = ["SOURCE", "ENDPOINT", "ITEM", "FILE"])]
    of: Vec<String>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    /// Fail when one is slower than its target
    #[arg(long)]
    check: bool,
}

/// Measures and prints.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let speeds = measure(&arguments.of)?;
    println!("{}", if arguments.json { serde_json::to_string(&speeds)? } else { table(&speeds) });
    let missed = speeds.iter().filter(|speed| speed.is_missed()).count();
    if arguments.check && missed > 0 {
        bail!("{missed} of {} responses are read more slowly than their target", speeds.len());
    }
    Ok(())
}

/// What was measured of one response.
#[derive(Debug, Serialize)]
struct Speed {
    source: &'static str,
    endpoint: &'static str,
    response: String,
    bytes: usize,
    records: usize,
    rejects: usize,
    /// Time of the fastest round; the next field is the mean of all rounds.
    milliseconds: f64,
    mean_milliseconds: f64,
    /// Time to score its articles, which is not part of the time to parse it.
    scoring_milliseconds: Option<f64>,
    /// Speed of the fastest round.
    megabytes_per_second: f64,
    /// Target in megabytes per second; None: there is none.
    target: Option<f64>,
    /// Peak memory of this process so far, including the responses that wait.
    peak_resident_mb: f64,
}

/// Measures the response named by source, endpoint, item and file, or those of every endpoint.
fn measure(of: &[String]) -> anyhow::Result<Vec<Speed>> {
    let inputs = if of.is_empty() { inputs::all()? } else { vec![inputs::named(of)?] };
    let mut times = vec![Times::default(); inputs.len()];
    for _ in 0..TURNS {
        for (times, input) in times.iter_mut().zip(&inputs) {
            times.add(|| input.parse())?;
        }
    }
    inputs.iter().zip(times).map(|(input, times)| speed(input, times)).collect()
}

/// How long something took, in seconds.
#[derive(Clone, Copy)]
struct Times {
    /// The fastest round counts: the machine, not our code, makes others slower.
    fastest: f64,
    sum: f64,
    count: u32,
}

impl Default for Times {
    fn default() -> Times {
        Times { fastest: f64::INFINITY, sum: 0.0, count: 0 }
    }
}

impl Times {
    /// One turn: rounds that each last long enough to be measured.
    fn add<T>(&mut self, mut run: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<()> {
        let began = Instant::now();
        run()?;
        let times = (ROUND.as_secs_f64() / began.elapsed().as_secs_f64()).ceil().max(1.0) as u32;
        let began = Instant::now();
        while began.elapsed() < MEASURED {
            let round = Instant::now();
            for _ in 0..times {
                std::hint::black_box(run()?);
            }
            let seconds = round.elapsed().as_secs_f64();
            self.fastest = self.fastest.min(seconds / f64::from(times));
            self.sum += seconds;
            self.count += times;
        }
        Ok(())
    }
}

fn speed(input: &Input, times: Times) -> anyhow::Result<Speed> {
    let parsed = input.parse()?;
    let is_article = |record: &Record| matches!(record, Record::NewsArticle(_));
    let scoring_milliseconds = match parsed.records.iter().any(is_article) {
        true => {
            let mut scored = Times::default();
            scored.add(|| input.read())?;
            Some((scored.fastest - times.fastest).max(0.0) * 1e3)
        }
        false => None,
    };
    Ok(Speed {
        source: input.source.name,
        endpoint: input.endpoint.name,
        response: input.name.clone(),
        bytes: input.body.len(),
        records: parsed.records.len(),
        rejects: parsed.rejects.len(),
        milliseconds: times.fastest * 1e3,
        mean_milliseconds: times.sum / f64::from(times.count) * 1e3,
        scoring_milliseconds,
        megabytes_per_second: input.body.len() as f64 / MEGABYTE / times.fastest,
        target: target(&input.body),
        peak_resident_mb: resident_mb(Some(std::process::id()))?,
    })
}

fn target(body: &[u8]) -> Option<f64> {
    match body.trim_ascii_start() {
        packed if packed.starts_with(WORKBOOK) || packed.starts_with(PARQUET) => None,
        [b'{' | b'[' | b'<', ..] => Some(JSON_OR_XML),
        _ => Some(CSV),
    }
}

impl Speed {
    /// Whether it is slower than its target.
    fn is_missed(&self) -> bool {
        self.target.is_some_and(|target| self.megabytes_per_second < target)
    }
}

/// One line per response.
fn table(speeds: &[Speed]) -> String {
    let mut text = format!("{:>7} {:>7} {:>9} {:>8}  response", "MB/s", "target", "kB", "records");
    for speed in speeds {
        let target = speed.target.map_or("-".to_owned(), |target| format!("{target:.0}"));
        let mark = if speed.is_missed() { "<" } else { " " };
        write!(
            text,
            "\n{:>7.1}{mark}{target:>7} {:>9.1} {:>8}  {} {} {}",
            speed.megabytes_per_second,
            speed.bytes as f64 / 1e3,
            speed.records,
            speed.source,
            speed.endpoint,
            speed.response,
        )
        .expect("writing to a string cannot fail");
        if let Some(scoring) = speed.scoring_milliseconds.filter(|scoring| *scoring > 0.0) {
            write!(text, "; scored in {scoring:.2} ms").expect("writing to a string cannot fail");
        }
    }
    text
}
