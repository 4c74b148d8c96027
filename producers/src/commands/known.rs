//! What the state has of a source.

use chrono::{DateTime, Utc};
use sources::source::Source;

use super::folder;
use crate::fetch::Fetcher;
use crate::state::{Class, Gap, Standing, State, Stopped};
use crate::watchlist::Watchlist;

/// What the state has of a source.
pub(super) struct Known {
    pub(super) standings: Vec<Standing>,
    pub(super) gaps: Vec<Gap>,
    /// Calls that are left today, and the daily quota.
    pub(super) quota: Option<[u32; 2]>,
    /// Why a daemon has stopped it.
    pub(super) stopped: Option<Stopped>,
}

impl Known {
    pub(super) async fn of(source: &'static Source, now: DateTime<Utc>) -> anyhow::Result<Known> {
        let state = State::existing(&folder(), source.name).await?;
        // A source without its key has no fetcher, and so no quota.
        let budget = Fetcher::from_settings(source).ok();
        let budget = budget.as_ref().and_then(Fetcher::budget);
        let Some(state) = state else {
            let quota = budget.map(|budget| [budget.calls, budget.calls]);
            return Ok(Known { standings: Vec::new(), gaps: Vec::new(), quota, stopped: None });
        };
        let spent = state.spent(now).await?;
        let quota = budget.map(|budget| [budget.left(Class::Live, spent), budget.calls]);
        let (standings, gaps) = (state.standings().await?, state.gaps(None).await?);
        Ok(Known { standings, gaps, quota, stopped: state.is_stopped().await? })
    }
}

/// Sources with items in the watchlist.
pub(super) fn watched(sources: Vec<&'static Source>, watchlist: &Watchlist) -> Vec<&'static Source> {
    let is_watched = |source: &&'static Source| {
        source.endpoints.iter().any(|endpoint| !watchlist.items(source, endpoint).is_empty())
    };
    sources.into_iter().filter(is_watched).collect()
}
