//! Which sources `tapedeck up` polls.

use anyhow::{Context as _, bail};
use producers::watchlist::Watchlist;
use service::settings;
use simulator::Simulator;
use sources::SOURCES;
use sources::source::Source;

use crate::folder::Folder;

/// Which sources are polled, and with what environment.
pub(crate) struct Polled {
    pub(crate) sources: Vec<&'static str>,
    pub(crate) left_out: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
}

impl Polled {
    /// The simulated sources.
    pub(crate) fn demo(simulator: &Simulator, folder: &Folder) -> anyhow::Result<Polled> {
        let watchlist = folder.demo_watchlist();
        std::fs::write(&watchlist, simulator.watchlist_toml())
            .with_context(|| format!("cannot write `{}`", watchlist.display()))?;
        let mut environment = vec![(settings::WATCHLIST.name.to_owned(), watchlist.display().to_string())];
        let simulated = || SOURCES.iter().filter(|source| !source.is_local());
        for source in simulated() {
            environment.extend(simulated_by(simulator, source));
        }
        Ok(Polled { sources: simulated().map(|source| source.name).collect(), left_out: Vec::new(), environment })
    }

    /// The real sources that have a key and an item.
    pub(crate) fn real() -> anyhow::Result<Polled> {
        let watchlist = Watchlist::load()?;
        let (mut sources, mut left_out) = (Vec::new(), Vec::new());
        for source in SOURCES {
            let missing = match source.key_variable() {
                Some(key) => settings::read_secret(&key)?.is_none().then_some(key),
                None => None,
            };
            let is_listed = source.endpoints.iter().any(|endpoint| !watchlist.items(source, endpoint).is_empty());
            match missing {
                // Nobody asked for it.
                _ if !is_listed => {}
                Some(key) => {
                    left_out.push(format!("{}: left out, `{}` is not set ({})", source.name, key.name, key.doc));
                }
                None => sources.push(source.name),
            }
        }
        if sources.is_empty() && left_out.is_empty() {
            bail!("nothing to poll: the watchlist has no items; `tapedeck init` writes one to begin with");
        }
        if sources.is_empty() {
            bail!("nothing to poll: {}", left_out.join("; "));
        }
        Ok(Polled { sources, left_out, environment: Vec::new() })
    }
}

/// The environment that makes a producer poll the simulator instead of a provider, without pauses between requests.
pub fn simulated_by(simulator: &Simulator, source: &Source) -> Vec<(String, String)> {
    let others = source.other_bases().into_iter().map(|base| base.env);
    let addresses = std::iter::once(source.base_url_env).chain(others);
    let key = source.key_variable().map(|key| (key.name.to_owned(), Simulator::key(source.name).to_owned()));
    addresses.map(|variable| (variable.to_owned(), simulator.url(source.name))).chain(key).collect()
}
