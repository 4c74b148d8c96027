//! A source: data about a provider, and one pure function per endpoint that reads its responses.
//!
//! A source decides addresses, limits, schedules and parsing. The polling loop, retries, pauses, encoding and delivery
//! are the producer's; no source has its own.

use std::time::Duration;

use chrono::NaiveDate;
use contract::settings::Variable;

use crate::market::Market;
use crate::response::{PageError, Parsed, Request};
use crate::schedule::Schedule;
use crate::{rules, sentiment};

/// Scheme of a [`Source::base_url`] that names a folder on this machine.
pub const SCHEME: &str = "file:";

/// A provider, as a constant: what it is called, where it is, what it allows and which endpoints it has.
///
/// All fields are data, so `producer list`, `.env.example`, the README and `docs/sources` are derived from it. Names
/// are permanent: `name` is part of every message key, and `name` and the endpoints' names are part of the producer's
/// state.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// Short name: the first part of a message key, and what an operator types. Lowercase, unique among the sources.
    pub name: &'static str,
    /// The provider's name and what it offers, without a full stop.
    pub doc: &'static str,
    /// Address of its endpoints, without a trailing slash.
    pub base_url: &'static str,
    /// Environment variable that replaces `base_url`.
    pub base_url_env: &'static str,
    /// How requests authenticate.
    pub auth: Auth,
    /// Value of the `User-Agent` header.
    pub user_agent: &'static str,
    /// Least time between two requests.
    pub pause: Duration,
    /// Requests that may follow each other without `pause`, after an idle time.
    pub burst: u32,
    /// Calls that it allows in a day; None: it sets no limit.
    pub quota: Option<Quota>,
    /// Its endpoints, in the order in which they are listed.
    pub endpoints: &'static [Endpoint],
}

/// A provider's limit on calls in a day.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    /// Calls in a day of the default plan; a day begins at 00:00 UTC.
    pub calls: u32,
    /// Environment variable that overrides `calls`, for another plan.
    pub env: &'static str,
    /// Endpoints whose requests count as several calls, with that number.
    pub costs: &'static [(&'static str, u32)],
}

impl Quota {
    /// The variable that overrides `calls`.
    pub fn variable(&self) -> Variable {
        let doc = "Calls that the provider allows in a day (UTC), where that is not the default plan's";
        Variable { name: self.env, default: None, doc, secret: false }
    }

    /// Number of calls that a request to an endpoint counts as.
    pub fn cost(&self, endpoint: &str) -> u32 {
        self.costs.iter().find(|(name, _)| *name == endpoint).map_or(1, |(_, calls)| *calls)
    }
}

/// How requests to a provider authenticate.
#[derive(Debug, Clone, Copy)]
pub enum Auth {
    /// They do not.
    None,
    /// A key in a header.
    Header {
        /// Name of the header, in lowercase.
        header: &'static str,
        /// Environment variable that holds the key.
        env: &'static str,
        /// Where to get a key.
        doc: &'static str,
    },
    /// A contact, appended to the user agent.
    Contact {
        /// Environment variable that holds the contact.
        env: &'static str,
        /// What the contact must be.
        doc: &'static str,
    },
    /// A cookie and a crumb: the provider issues them to every client and requires them on some requests.
    Crumb {
        /// Address whose `/` sets the cookie, whatever the status of that response.
        cookie: Base,
        /// Path of the crumb that belongs to the cookie, at the source's address.
        crumb_path: &'static str,
        /// Name of the parameter that holds the crumb.
        param: &'static str,
        /// Prefixes of the paths that require both; requests to other paths carry neither.
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

/// An address of endpoints, without a trailing slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// The provider's address.
    pub url: &'static str,
    /// Environment variable that replaces `url`.
    pub env: &'static str,
}

impl Base {
    /// The variable that replaces the address.
    pub fn variable(&self) -> Variable {
        Variable {
            name: self.env,
            default: Some(self.url),
            doc: "Address of some of this source's endpoints, to put a proxy or the simulator in its place",
            secret: false,
        }
    }
}

/// One kind of request to a provider, and how its responses are read.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    /// Name, unique within the source.
    pub name: &'static str,
    /// What its responses hold, without a full stop.
    pub doc: &'static str,
    /// Datasets of its records. A [`Reject`](crate::response::Reject) without a dataset belongs to the first.
    pub datasets: &'static [&'static str],
    /// What one item of the watchlist is, e.g. `series id`.
    pub item: &'static str,
    /// How `known_at` is chosen, for the documentation.
    pub known_at: &'static str,
    /// When an item is polled.
    pub schedule: Schedule,
    /// How its history is read.
    pub history: History,
    /// Its address, where that is not the source's.
    pub base: Option<Base>,
    /// Path and query for the page of an item that begins at `offset`, without what [`History::range`] adds.
    ///
    /// An item that cannot exist is refused with [`PageError::Skip`], before any request. Pure.
    pub path: fn(item: &str, offset: u64) -> Result<String, PageError>,
    /// Reads the body of a response to `request`. Callers use [`Endpoint::read`].
    ///
    /// Pure: the same request and bytes give the same result, without a clock, environment, file or network. It never
    /// panics, and its memory is bounded by the size of the body and by [`MAX_ROWS`](crate::parse::body::MAX_ROWS).
    ///
    /// An `Ok` page accounts for every row of the body: a row is a record, a reject or a hole. One odd row is a
    /// [`Reject`](crate::response::Reject); it never loses the other rows. No two records have the same key. A
    /// [`PageError`] means that the body is not a page, and that nothing of it is published.
    pub parse: fn(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError>,
}

/// How an endpoint's history is read: how much of it each poll repeats, and whether a part of it can be requested.
///
/// Producers use it to find corrections and gaps. Start from [`History::ALL`] or [`History::PASSING`] and override
/// fields.
#[derive(Debug, Clone, Copy)]
pub struct History {
    /// How far back each poll compares with what is already published.
    pub look_back: LookBack,
    /// How a range of dates is requested; None: the provider alone decides which dates a response has.
    pub range: Option<Ranged>,
    /// A value that the provider recomputes for each response, with small differences that are no corrections.
    pub tolerance: Option<Tolerance>,
    /// The market whose every session has a daily bar of the item; None: gaps cannot be told.
    pub sessions: fn(item: &str) -> Option<Market>,
}

impl History {
    /// Each response holds all of the history.
    pub const ALL: History = History { look_back: LookBack::All, range: None, tolerance: None, sessions: |_| None };

    /// Responses hold recent rows only, which the provider may correct for three days.
    pub const PASSING: History = History { look_back: LookBack::Days(3), ..History::ALL };
}

/// How far back a poll compares with what is already published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookBack {
    /// Not at all: every record of every response is published.
    Nothing,
    /// To the first record.
    All,
    /// That many days before the latest record.
    Days(u16),
}

/// How a range of dates is requested.
#[derive(Debug, Clone, Copy)]
pub struct Ranged {
    /// What is appended to the path to request a range; without a range, what a poll requests.
    pub query: fn(item: &str, range: Option<Range>) -> String,
    /// Longest range of one request, in days.
    pub longest_days: u32,
}

/// A range of dates, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First date.
    pub first: NaiveDate,
    /// Last date.
    pub last: NaiveDate,
}

/// How far apart two values of a field may be and still count as equal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Name of the dataset.
    pub dataset: &'static str,
    /// Name of its field.
    pub field: &'static str,
    /// Largest difference, relative to the larger of the two values.
    pub relative: f64,
}

impl Endpoint {
    /// Path and query for the page of an item that begins at `offset`, of a range or of what a poll requests.
    ///
    /// Returns the errors of [`Endpoint::path`].
    pub fn path_of(&self, item: &str, offset: u64, range: Option<Range>) -> Result<String, PageError> {
        let mut path = (self.path)(item, offset)?;
        if let Some(ranged) = self.history.range {
            path.push_str(&(ranged.query)(item, range));
        }
        Ok(path)
    }

    /// Reads a response with [`Endpoint::parse`], scores the articles that the provider did not score, and rejects the
    /// records that break a rule of their dataset.
    ///
    /// Keeps the guarantees of `parse`: scoring is deterministic, too, and takes longer than reading.
    pub fn read(&self, request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
        let mut parsed = (self.parse)(request, body)?;
        parsed.records.iter_mut().for_each(sentiment::score_article);
        rules::apply(&mut parsed, request.received_at);
        Ok(parsed)
    }
}

impl Source {
    /// Whether it reads files on this machine; then it has no provider and no simulator.
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

    /// The other addresses of its endpoints and of its cookie, without duplicates.
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

    /// The variable that holds its key or contact, if it needs one.
    pub fn key_variable(&self) -> Option<Variable> {
        match self.auth {
            Auth::None | Auth::Crumb { .. } => None,
            Auth::Query { env, doc, .. } | Auth::Header { env, doc, .. } | Auth::Contact { env, doc } => {
                Some(Variable { name: env, default: None, doc, secret: true })
            }
        }
    }

    /// Finds an endpoint by its name; the error lists the source's endpoints.
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
