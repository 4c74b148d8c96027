//! What a source is: data, and one pure function per endpoint.
//!
//! Everything a source does not decide (loop, retry, pauses, encoding, delivery) exists once, elsewhere.

use std::time::Duration;

use chrono::NaiveDate;
use contract::settings::Variable;

use crate::market::Market;
use crate::response::{PageError, Parsed, Request};
use crate::schedule::Schedule;
use crate::sentiment;

/// How the address of a folder begins.
pub const SCHEME: &str = "file:";

/// A provider.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// Short name: the first part of a message key, and what an operator types.
    pub name: &'static str,
    /// Who it is and what it offers.
    pub doc: &'static str,
    /// Where its endpoints are, without a slash at the end.
    pub base_url: &'static str,
    /// Environment variable that replaces `base_url`.
    pub base_url_env: &'static str,
    /// How it knows its callers.
    pub auth: Auth,
    /// What we call ourselves there.
    pub user_agent: &'static str,
    /// Time from one request to the next.
    pub pause: Duration,
    /// Requests that may be made at once before that time is kept.
    pub burst: u32,
    /// Calls that it grants in a day; None for any number.
    pub quota: Option<Quota>,
    /// What can be asked.
    pub endpoints: &'static [Endpoint],
}

/// Calls that a provider grants in a day.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    /// Calls in a day, which begins at 00:00 UTC, of the plan that is taken for granted.
    pub calls: u32,
    /// Environment variable that says what another plan grants.
    pub env: &'static str,
    /// Endpoints of which a request counts for several calls.
    pub costs: &'static [(&'static str, u32)],
}

impl Quota {
    /// What another plan grants.
    pub fn variable(&self) -> Variable {
        let doc = "Calls that the provider grants in a day (UTC), if not those of the plan that is taken for granted";
        Variable { name: self.env, default: None, doc, secret: false }
    }

    /// Calls that a request to an endpoint counts for.
    pub fn cost(&self, endpoint: &str) -> u32 {
        self.costs.iter().find(|(name, _)| *name == endpoint).map_or(1, |(_, calls)| *calls)
    }
}

/// How a provider knows its callers.
#[derive(Debug, Clone, Copy)]
pub enum Auth {
    /// It does not ask.
    None,
    /// A key in a header.
    Header {
        /// Name of the header, in small letters.
        header: &'static str,
        /// Environment variable that holds the key.
        env: &'static str,
        /// Where to get a key.
        doc: &'static str,
    },
    /// A contact behind the user agent's name.
    Contact {
        /// Environment variable that holds it.
        env: &'static str,
        /// What it must be.
        doc: &'static str,
    },
    /// A cookie and a crumb, which it hands to whoever asks and wants to see again in some requests.
    Crumb {
        /// Where the cookie is handed out, at `/`, whatever the status of that answer.
        cookie: Base,
        /// Where the crumb that belongs to it is, at the source's address.
        crumb_path: &'static str,
        /// Name of the parameter that holds the crumb.
        param: &'static str,
        /// How the paths begin that want them; the others are asked without.
        paths: &'static [&'static str],
    },
    /// A key in the query string.
    Query {
        /// Name of the parameter.
        param: &'static str,
        /// Environment variable that holds the key.
        env: &'static str,
        /// Where to get a key.
        doc: &'static str,
    },
}

/// An address of endpoints, without a slash at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// The provider's own.
    pub url: &'static str,
    /// Environment variable that replaces it.
    pub env: &'static str,
}

impl Base {
    /// The variable that replaces it.
    pub fn variable(&self) -> Variable {
        Variable {
            name: self.env,
            default: Some(self.url),
            doc: "Address of some of this source's endpoints, to put a proxy or the simulator in its place",
            secret: false,
        }
    }
}

/// One kind of request to a provider.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    /// Name within the source.
    pub name: &'static str,
    /// What it answers.
    pub doc: &'static str,
    /// Datasets of its records; a reject that does not name one counts for the first.
    pub datasets: &'static [&'static str],
    /// What one item of the watchlist is, e.g. `series id`.
    pub item: &'static str,
    /// How `known_at` is chosen.
    pub known_at: &'static str,
    /// When an item is asked for.
    pub schedule: Schedule,
    /// How its past is read.
    pub history: History,
    /// Where it is, if not at the source's address.
    pub base: Option<Base>,
    /// Path and query for an item, from the row at that offset on, without what [`History::range`] adds; refuses what
    /// cannot be an item.
    pub path: fn(item: &str, offset: u64) -> Result<String, PageError>,
    /// Reads a response. Pure: the same bytes give the same result. It is called by [`Endpoint::read`].
    pub parse: fn(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError>,
}

/// How an endpoint's past is read.
#[derive(Debug, Clone, Copy)]
pub struct History {
    /// How far back a poll reads again what was read before.
    pub look_back: LookBack,
    /// How a part of the past is asked for; None: the provider gives all or what it likes.
    pub range: Option<Ranged>,
    /// A value that the provider computes anew each time, and that differs a little without meaning it.
    pub tolerance: Option<Tolerance>,
    /// The market of which an item has a daily bar for each session; None: no day is expected.
    pub sessions: fn(item: &str) -> Option<Market>,
}

impl History {
    /// All of it is in every answer.
    pub const ALL: History = History { look_back: LookBack::All, range: None, tolerance: None, sessions: |_| None };

    /// What comes is new, and does not change for longer than a few days.
    pub const PASSING: History = History { look_back: LookBack::Days(3), ..History::ALL };
}

/// How far back a poll reads again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookBack {
    /// Nothing is remembered: each answer is published as it is.
    Nothing,
    /// To the beginning.
    All,
    /// So many days before the latest record.
    Days(u16),
}

/// How a part of the past is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Ranged {
    /// What is added to the path for the records of some days, and for what is asked for without saying so.
    pub query: fn(item: &str, range: Option<Range>) -> String,
    /// Most days that are asked for at once.
    pub longest_days: u32,
}

/// Days, the first and the last one included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First day.
    pub first: NaiveDate,
    /// Last day.
    pub last: NaiveDate,
}

/// How much a value may differ and be the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Dataset.
    pub dataset: &'static str,
    /// Field of it.
    pub field: &'static str,
    /// Largest difference, as a part of the larger of both values.
    pub relative: f64,
}

impl Endpoint {
    /// Path and query for an item, from the row at that offset on, of some days or of what is given without saying so.
    pub fn path_of(&self, item: &str, offset: u64, range: Option<Range>) -> Result<String, PageError> {
        let mut path = (self.path)(item, offset)?;
        if let Some(ranged) = self.history.range {
            path.push_str(&(ranged.query)(item, range));
        }
        Ok(path)
    }

    /// Reads a response and scores its articles: those that come without a score of their own.
    pub fn read(&self, request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
        let mut parsed = (self.parse)(request, body)?;
        parsed.records.iter_mut().for_each(sentiment::score_article);
        Ok(parsed)
    }
}

impl Source {
    /// Whether what it reads are files on this machine, which no provider has and no simulator.
    pub fn is_local(&self) -> bool {
        self.base_url.starts_with(SCHEME)
    }

    /// The variable that replaces its address.
    pub fn base_url_variable(&self) -> Variable {
        let doc = if self.is_local() {
            "Folder that files are read from, after `file:`; no file outside of it is read"
        } else {
            "Address of this source's endpoints, to put a proxy or the simulator in its place"
        };
        Variable { name: self.base_url_env, default: Some(self.base_url), doc, secret: false }
    }

    /// Addresses that are elsewhere, of its endpoints and of its cookie, each once.
    pub fn other_bases(&self) -> Vec<Base> {
        let mut bases = Vec::new();
        let cookie = match self.auth {
            Auth::Crumb { cookie, .. } => Some(cookie),
            _ => None,
        };
        for base in self.endpoints.iter().filter_map(|endpoint| endpoint.base).chain(cookie) {
            if !bases.contains(&base) {
                bases.push(base);
            }
        }
        bases
    }

    /// The variable that holds its key or contact, if it wants one.
    pub fn key_variable(&self) -> Option<Variable> {
        match self.auth {
            Auth::None | Auth::Crumb { .. } => None,
            Auth::Query { env, doc, .. } | Auth::Header { env, doc, .. } | Auth::Contact { env, doc } => {
                Some(Variable { name: env, default: None, doc, secret: true })
            }
        }
    }

    /// The endpoint of that name; the error lists the source's endpoints.
    pub fn endpoint(&self, name: &str) -> Result<&'static Endpoint, String> {
        self.endpoints.iter().find(|endpoint| endpoint.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.endpoints.iter().map(|endpoint| endpoint.name).collect();
            format!("unknown endpoint `{name}` of source `{}`; its endpoints are {}", self.name, list(&names))
        })
    }
}

/// Names in backticks, with commas.
pub(crate) fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
