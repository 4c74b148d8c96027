//! The corrections in the demo: values that providers publish twice, before and after.

use anyhow::{Context as _, bail};
use service::settings;
use simulator::Simulator;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{REPORTS, watch};
use crate::deck::Deck;
use crate::deck::progress::Progress;
use crate::deck::summary::Meter;

/// Polls the values before their corrections and after, each in a round of its own, without reports. A demo that has
/// polled before has both already.
pub(super) async fn publish(
    deck: &mut Deck,
    simulator: &Simulator,
    environment: &[(String, String)],
    (meter, progress): (&mut Meter, &mut Progress),
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    // It exists until the last round has ended.
    let watchlist = deck.folder().path().join("run").join("corrected-watchlist.toml");
    let was_interrupted = watchlist.exists();
    if deck.state().exists() && !was_interrupted {
        return Ok(());
    }
    std::fs::write(&watchlist, simulator.corrected_watchlist_toml())
        .with_context(|| format!("cannot write `{}`", watchlist.display()))?;
    let others = environment.iter().filter(|(name, _)| name != settings::WATCHLIST.name).cloned();
    let own = (settings::WATCHLIST.name.to_owned(), watchlist.display().to_string());
    let environment: Vec<(String, String)> = others.chain([own]).collect();
    let rounds: &[bool] = if was_interrupted { &[false] } else { &[true, false] };
    for is_uncorrected in rounds {
        simulator.control().uncorrect(*is_uncorrected);
        let (sender, mut unread) = mpsc::channel(REPORTS);
        tokio::spawn(async move { while unread.recv().await.is_some() {} });
        deck.start_producer(&Simulator::CORRECTED_SOURCES, true, &environment, &sender)?;
        let (_, reports) = mpsc::channel(REPORTS);
        let sources = Simulator::CORRECTED_SOURCES.len();
        let failed = watch(deck, (true, sources), meter, progress, (sender, reports), stop).await?;
        if stop.is_cancelled() {
            return Ok(());
        }
        if let Some(failed) = failed {
            bail!("the demo's corrections cannot be polled: {failed}");
        }
    }
    std::fs::remove_file(&watchlist).with_context(|| format!("cannot delete `{}`", watchlist.display()))
}
