//! How fast responses are read: every endpoint's, as the simulator answers, or one from a file.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use producers::fetch::{Fetcher, LIMITS, Response};
use producers::source::{Endpoint, Request, Source, source};
use producers::watchlist::Watchlist;
use serde::Serialize;
use service::secret::Secret;
use simulator::Simulator;

/// How long one response is read again and again.
const MEASURED: Duration = Duration::from_millis(500);
/// Bytes of a megabyte.
const MEGABYTE: f64 = 1e6;

/// What was measured of one response.
#[derive(Debug, Serialize)]
pub(super) struct Speed {
    source: &'static str,
    endpoint: &'static str,
    bytes: usize,
    records: usize,
    milliseconds: f64,
    megabytes_per_second: f64,
}

/// Reads the response that is named by source, endpoint, item and file, or else one of every endpoint.
pub(super) async fn measure(of: &[String]) -> anyhow::Result<Vec<Speed>> {
    if of.is_empty() { all().await } else { Ok(vec![one(of)?]) }
}

/// Reads the largest answer of every endpoint of the simulator.
async fn all() -> anyhow::Result<Vec<Speed>> {
    let simulator = Simulator::start(simulator::Config::default()).await?;
    let watchlist = Watchlist::parse(&simulator.watchlist_toml())?;
    let mut speeds = Vec::new();
    for source in producers::SOURCES {
        let key = source.key_variable().map(|_| Secret::new(simulator::FRED_API_KEY.to_owned()));
        let fetcher = Fetcher::new(source, &simulator.url(source.name), key, LIMITS)?;
        for endpoint in source.endpoints {
            let mut largest: Option<(&String, Response)> = None;
            for item in watchlist.items(source, endpoint) {
                let response = fetcher.get(endpoint.base, &(endpoint.path)(item, 0)?).await?;
                if largest.as_ref().is_none_or(|(_, other)| other.body.len() < response.body.len()) {
                    largest = Some((item, response));
                }
            }
            if let Some((item, response)) = largest {
                speeds.push(speed(source, endpoint, item, &response.body, response.received_at)?);
            }
        }
    }
    Ok(speeds)
}

/// Reads the response in a file.
fn one(of: &[String]) -> anyhow::Result<Speed> {
    let [name, endpoint, item, file] = of else { bail!("name a source, an endpoint, an item and a file") };
    let source = source(name).map_err(anyhow::Error::msg)?;
    let endpoint = source.endpoint(endpoint).map_err(anyhow::Error::msg)?;
    let unreadable = || format!("cannot read `{file}`");
    let body = std::fs::read(file).with_context(unreadable)?;
    let written_at = std::fs::metadata(file).and_then(|metadata| metadata.modified()).with_context(unreadable)?;
    speed(source, endpoint, item, &body, written_at.into())
}

fn speed(
    source: &'static Source,
    endpoint: &'static Endpoint,
    item: &str,
    body: &[u8],
    received_at: DateTime<Utc>,
) -> anyhow::Result<Speed> {
    let request = Request { item, offset: 0, received_at, last_modified: None };
    let began = Instant::now();
    let (mut times, mut records) = (0_u32, 0);
    while times == 0 || began.elapsed() < MEASURED {
        let parsed = (endpoint.parse)(&request, body);
        let parsed = parsed.with_context(|| format!("{} {} of `{item}`", source.name, endpoint.name))?;
        (times, records) = (times + 1, parsed.records.len());
    }
    let seconds = began.elapsed().as_secs_f64() / f64::from(times);
    Ok(Speed {
        source: source.name,
        endpoint: endpoint.name,
        bytes: body.len(),
        records,
        milliseconds: seconds * 1e3,
        megabytes_per_second: body.len() as f64 / MEGABYTE / seconds,
    })
}
