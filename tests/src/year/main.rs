//! `producer run yahoo` for the chart only, with a clock in a file. The test of a year starts and kills it.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up should say so and stop")]

use std::path::PathBuf;

use kafka::Cluster;
use producers::fetch::Fetcher;
use producers::meters::Meters;
use producers::poll;
use producers::run::{Mode, Run};
use producers::watchlist::Watchlist;
use service::health::Health;
use service::{settings, shutdown, telemetry};
use tests::year::{self, Time};

fn main() {
    telemetry::init();
    let time = Time::of(&PathBuf::from(std::env::var(year::CLOCK_FILE).unwrap()));
    let health = Health::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        health.start().unwrap();
        let run = Run {
            shutdown: shutdown::token().unwrap(),
            meters: Meters::new(&health),
            state_dir: settings::read(&settings::STATE_DIR).map(PathBuf::from),
            clock: time.clock(),
            ..Run::new(Watchlist::load().unwrap(), Cluster::from_settings().unwrap(), Mode::Daemon)
        };
        let source = year::source();
        poll::run(vec![(source, Box::new(move || Fetcher::from_settings(source)))], run).await;
    });
}
