//! `tapedeck-bench broker`: how many records per second the embedded broker takes and gives, beside a given Kafka.

mod load;

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use cli::deck::child::{Child, Recipe};
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::idle::core_seconds;
use crate::memory::resident_mb;
use crate::report::{check_limits, print};
use crate::setup::beside;
use load::{Latency, Load, Rates};

/// Number of small records that the limits are for.
const RECORDS: usize = 2_000_000;
/// Fewest small records per second, in and out.
const RATE_LIMIT: f64 = 200_000.0;
/// How long the broker may take to start.
const START_PATIENCE: Duration = Duration::from_secs(10);
/// Wait before the next attempt to connect to a starting broker.
const START_WAIT: Duration = Duration::from_millis(5);

/// Measure the embedded broker beside a given Kafka
///
/// Starts a broker with a folder of its own. One client produces small records and then consumes them. It does the same
/// with records of 1 MB. Then it waits for the acknowledgement of one record at a time. `--against` measures a running
/// Kafka in the same way.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: tapedeck-bench broker --records 500000 --against 127.0.0.1:9092")]
pub(crate) struct Arguments {
    /// Number of small records, of 100 bytes each
    #[arg(long, default_value_t = RECORDS)]
    records: usize,
    /// Number of records of 1 MB
    #[arg(long, default_value_t = 300)]
    large: usize,
    /// Number of records that are sent one at a time
    #[arg(long, default_value_t = 2_000)]
    single: usize,
    /// Compression of the small records
    #[arg(long, default_value = "none", value_parser = ["none", "lz4", "zstd"])]
    compression: String,
    /// When the embedded broker flushes
    #[arg(long, default_value = "interval", value_parser = ["interval", "always"])]
    flush: String,
    /// Address of a running Kafka, to measure it too
    #[arg(long, value_name = "HOST:PORT")]
    against: Option<String>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    /// Fail when the embedded broker is slower than its limit
    #[arg(long)]
    check: bool,
}

/// Measures and prints.
pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    ensure!(arguments.records > 0 && arguments.large > 0 && arguments.single > 0, "all numbers must be at least 1");
    let embedded = embedded(arguments).await?;
    let kafka = match &arguments.against {
        Some(address) => Some(load(arguments, address).run(|| Ok(0.0)).await.context(address.clone())?),
        None => None,
    };
    let missed = if arguments.records == RECORDS { missed(&embedded.measured.small) } else { Vec::new() };
    let ratio_to_kafka = kafka.as_ref().map(|kafka| Ratios::new(&embedded.measured, kafka));
    let (records, compression) = (arguments.records, arguments.compression.clone());
    let report = Report { records, compression, embedded, kafka, ratio_to_kafka, missed };
    print(&report, arguments.json)?;
    check_limits(&report.missed, arguments.check)
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    records: usize,
    compression: String,
    embedded: Embedded,
    /// With `--against`.
    kafka: Option<Measured>,
    ratio_to_kafka: Option<Ratios>,
    /// Limits that were missed.
    missed: Vec<String>,
}

/// The embedded broker's measurements.
#[derive(Debug, Serialize)]
struct Embedded {
    measured: Measured,
    most_resident_mb: f64,
}

/// One broker's measurements.
#[derive(Debug, Serialize)]
struct Measured {
    small: Rates,
    large: Rates,
    /// From sending one record with acks=all until its acknowledgement.
    single: Latency,
}

/// The embedded broker's figures divided by Kafka's.
#[derive(Debug, Serialize)]
struct Ratios {
    small_in: f64,
    small_out: f64,
    large_in: f64,
    large_out: f64,
    single_p50: f64,
    single_p99: f64,
}

impl Ratios {
    fn new(embedded: &Measured, kafka: &Measured) -> Ratios {
        Ratios {
            small_in: embedded.small.in_per_second / kafka.small.in_per_second,
            small_out: embedded.small.out_per_second / kafka.small.out_per_second,
            large_in: embedded.large.in_per_second / kafka.large.in_per_second,
            large_out: embedded.large.out_per_second / kafka.large.out_per_second,
            single_p50: embedded.single.p50_microseconds / kafka.single.p50_microseconds,
            single_p99: embedded.single.p99_microseconds / kafka.single.p99_microseconds,
        }
    }
}

fn load(arguments: &Arguments, address: &str) -> Load {
    Load {
        address: address.to_owned(),
        records: arguments.records,
        large: arguments.large,
        single: arguments.single,
        compression: arguments.compression.clone(),
    }
}

/// Measures a broker that this starts and stops.
async fn embedded(arguments: &Arguments) -> anyhow::Result<Embedded> {
    let folder = std::env::temp_dir().join(format!("tapedeck_bench_{}", std::process::id()));
    // Free now; a process that takes it in the meantime is reported.
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let data = folder.join("broker").display().to_string();
    let options = ["--data-dir", &data, "--listen", &address, "--flush", &arguments.flush, "--stop-at-eof"];
    let recipe = Recipe {
        name: "broker".to_owned(),
        program: beside("tapedeck-broker")?,
        arguments: options.map(str::to_owned).to_vec(),
        environment: Vec::new(),
        piped: false,
    };
    let broker = Child::start(recipe, &folder)?;
    let began = Instant::now();
    while TcpStream::connect(&address).await.is_err() {
        ensure!(began.elapsed() < START_PATIENCE, "the broker did not start; see {}", broker.log().display());
        sleep(START_WAIT).await;
    }
    let id = broker.id();
    let measured = load(arguments, &address).run(|| core_seconds(id)).await?;
    let most_resident_mb = resident_mb(id)?;
    broker.stop().await?;
    std::fs::remove_dir_all(&folder).ok();
    Ok(Embedded { measured, most_resident_mb })
}

/// The limits that were missed.
fn missed(small: &Rates) -> Vec<String> {
    let each = [("in", small.in_per_second), ("out", small.out_per_second)];
    let slow = each.iter().filter(|(_, rate)| *rate < RATE_LIMIT);
    slow.map(|(way, rate)| format!("{rate:.0} small records/s {way}, the limit is {RATE_LIMIT}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_limit_is_named() {
        let rates = |in_per_second, out_per_second| Rates {
            in_per_second,
            out_per_second,
            in_mb_per_second: 0.0,
            out_mb_per_second: 0.0,
            in_core_seconds: 0.0,
            out_core_seconds: 0.0,
        };
        assert!(missed(&rates(200_000.0, 200_000.0)).is_empty());
        assert_eq!(missed(&rates(300_000.0, 150_000.4)), ["150000 small records/s out, the limit is 200000"]);
    }
}
