//! What to poll: for each source and endpoint a list of items, in one TOML file.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use service::settings::{self, files};
use sources::SOURCES;
use sources::schedule::Schedule;
use sources::source::{Endpoint, Source};
use sources::source_among;
use thiserror::Error;

/// What to poll.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watchlist {
    /// Items by source and endpoint.
    lists: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    /// First and last day of the month on which an item is polled, by source, endpoint and item; for items with `days`.
    days: BTreeMap<String, BTreeMap<String, BTreeMap<String, [u32; 2]>>>,
}

/// An item in the file.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected an item in quotes, or `{ item = \"..\", days = [1, 7] }`")]
enum Listed {
    /// Polled at the hours of its endpoint.
    Plain(String),
    /// Polled on some days of the month only.
    OnDays(OnDays),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OnDays {
    item: String,
    days: [u32; 2],
}

/// Why there is no watchlist.
#[derive(Debug, Error)]
pub enum WatchlistError {
    /// The file cannot be read.
    #[error("cannot read watchlist `{path}`: {error}; `tapedeck init` writes one, `{}` names another", settings::WATCHLIST.name)]
    Unreadable {
        /// Its path.
        path: String,
        /// The error of the system.
        error: std::io::Error,
    },
    /// Not TOML, or not lists of texts.
    #[error("watchlist, line {line}: {message}; expected `[source]`, then `endpoint = [\"item\", ..]`")]
    Malformed {
        /// Line number.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// Unknown source or endpoint, or invalid item.
    #[error("watchlist: {0}")]
    Unknown(String),
}

impl Watchlist {
    /// Reads the file that the environment names, else `watchlist.toml` (see [`files::find`]).
    pub fn load() -> Result<Watchlist, WatchlistError> {
        let usual = || files::find(settings::WATCHLIST.default.unwrap_or_default()).display().to_string();
        let path = settings::given(settings::WATCHLIST.name).unwrap_or_else(usual);
        match std::fs::read_to_string(&path) {
            Ok(text) => Watchlist::parse(&text),
            Err(error) => Err(WatchlistError::Unreadable { path, error }),
        }
    }

    /// Reads a watchlist and checks that all of it can be polled.
    pub fn parse(text: &str) -> Result<Watchlist, WatchlistError> {
        Watchlist::parse_among(SOURCES, text)
    }

    /// Reads a watchlist of these sources.
    pub fn parse_among(sources: &'static [Source], text: &str) -> Result<Watchlist, WatchlistError> {
        let listed: BTreeMap<String, BTreeMap<String, Vec<Listed>>> =
            toml::from_str(text).map_err(|error| malformed(text, &error))?;
        let mut watchlist = Watchlist::default();
        for (source_name, endpoints) in listed {
            let source = source_among(sources, &source_name).map_err(WatchlistError::Unknown)?;
            for (endpoint_name, listed) in endpoints {
                let endpoint = source.endpoint(&endpoint_name).map_err(WatchlistError::Unknown)?;
                watchlist.add(source, endpoint, listed)?;
            }
        }
        Ok(watchlist)
    }

    fn add(&mut self, source: &Source, endpoint: &Endpoint, listed: Vec<Listed>) -> Result<(), WatchlistError> {
        let mut items = Vec::with_capacity(listed.len());
        for one in listed {
            let (item, days) = match one {
                Listed::Plain(item) => (item, None),
                Listed::OnDays(OnDays { item, days }) => (item, Some(days)),
            };
            if let Some([first, last]) = days {
                if first < 1 || last > 31 || first > last {
                    let place = format!("`{}.{}`", source.name, endpoint.name);
                    let reason = format!(
                        "{place}: invalid days {first} to {last} of `{item}`: expected two days from 1 to 31, in order"
                    );
                    return Err(WatchlistError::Unknown(reason));
                }
                let of_source = self.days.entry(source.name.to_owned()).or_default();
                of_source.entry(endpoint.name.to_owned()).or_default().insert(item.clone(), [first, last]);
            }
            items.push(item);
        }
        check(source, endpoint, &items)?;
        self.lists.entry(source.name.to_owned()).or_default().insert(endpoint.name.to_owned(), items);
        Ok(())
    }

    /// When an item is polled: by the schedule of its endpoint, restricted to the days of the item, if any.
    pub fn schedule(&self, source: &Source, endpoint: &Endpoint, item: &str) -> Schedule {
        let of_source = self.days.get(source.name);
        let days = of_source.and_then(|endpoints| endpoints.get(endpoint.name)?.get(item));
        match days {
            None => endpoint.schedule,
            Some([first, last]) => endpoint.schedule.on_days(*first, *last),
        }
    }

    /// The items of an endpoint.
    pub fn items(&self, source: &Source, endpoint: &Endpoint) -> &[String] {
        let items = self.lists.get(source.name).and_then(|endpoints| endpoints.get(endpoint.name));
        items.map_or(&[], Vec::as_slice)
    }
}

/// Invalid and duplicate items are mistakes that are better reported now than in every round.
fn check(source: &Source, endpoint: &Endpoint, items: &[String]) -> Result<(), WatchlistError> {
    let place = format!("`{}.{}`", source.name, endpoint.name);
    let mut known = HashSet::new();
    for item in items {
        (endpoint.path)(item, 0).map_err(|error| WatchlistError::Unknown(format!("{place}: {error}")))?;
        if !known.insert(item) {
            return Err(WatchlistError::Unknown(format!("{place}: `{item}` is listed twice")));
        }
    }
    Ok(())
}

fn malformed(text: &str, error: &toml::de::Error) -> WatchlistError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = 1 + before.matches('\n').count();
    WatchlistError::Malformed { line, message: error.message().replace('\n', " ") }
}

#[cfg(test)]
mod tests;
