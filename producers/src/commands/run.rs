//! `producer run`.

use std::process::ExitCode;

use clap::Args;
use service::health::Health;
use service::telemetry;
use sources::source::Source;

use super::{exit_code, folder, named, run_of};
use crate::fetch::Fetcher;
use crate::poll::{self, Open};
use crate::run::Mode;
use crate::state::State;
use crate::watchlist::Watchlist;

/// Poll sources, as the watchlist says, until stopped
///
/// Example: `producer run yahoo fred`
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Sources to poll
    sources: Vec<String>,
    /// Stop after one round; fail if an item could not be fetched
    #[arg(long)]
    once: bool,
    /// Forget what was published before: fetch everything and publish it again
    #[arg(long)]
    afresh: bool,
    /// Print one JSON line per finished item
    #[arg(long)]
    progress: bool,
}

pub(super) fn run(Arguments { sources, once, afresh, progress }: &Arguments) -> anyhow::Result<ExitCode> {
    let mode = if *once { Mode::Once } else { Mode::Daemon };
    let sources = named(sources)?;
    let watchlist = Watchlist::load()?;
    telemetry::init();
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let health = Health::new();
        let run = run_of(watchlist, mode, *progress, &health)?;
        // A command that ends by itself serves no health pages.
        if mode == Mode::Daemon {
            health.start()?;
        }
        for source in sources.iter().filter(|_| *afresh) {
            State::open(&folder(), source.name).await?.forget().await?;
        }
        let sources = sources.into_iter().map(|source| (source, opener(source))).collect();
        Ok(exit_code(poll::run(sources, run).await))
    })
}

fn opener(source: &'static Source) -> Open {
    Box::new(move || Fetcher::from_settings(source))
}
