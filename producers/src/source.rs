//! What a source is: data, and one pure function per endpoint.
//!
//! Everything a source does not decide (loop, retry, pauses, encoding, delivery) exists once, elsewhere.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use contract::Record;
use contract::records::DeadLetter;
use service::settings::Variable;
use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

use crate::fetch::local::SCHEME;
use crate::market::Market;
use crate::schedule::Schedule;
use crate::sentiment;
use crate::sources::SOURCES;

/// Longest fragment of a refused row that is kept: enough to see what was wrong with any row, however broken the page.
pub const MAX_FRAGMENT_BYTES: usize = 4096;

/// Longest reason why a row is refused: it may quote the row, which may be as long as a page.
pub const MAX_REASON_BYTES: usize = 1000;

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

/// What a response answers.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The item asked for.
    pub item: &'a str,
    /// Offset of the first row asked for; 0 where the endpoint has no pages.
    pub offset: u64,
    /// When the response was received.
    pub received_at: DateTime<Utc>,
    /// The response's `Last-Modified`.
    pub last_modified: Option<DateTime<Utc>>,
}

impl Request<'_> {
    /// `Last-Modified`, else the time of receipt.
    ///
    /// Never later than the receipt: a provider's clock that runs ahead would otherwise win over its own corrections.
    pub fn last_modified_or_received(&self) -> DateTime<Utc> {
        self.not_after_receipt(self.last_modified.unwrap_or(self.received_at))
    }

    /// That time, or the receipt if it lies later.
    pub fn not_after_receipt(&self, known_at: DateTime<Utc>) -> DateTime<Utc> {
        known_at.min(self.received_at)
    }
}

/// What a response holds.
#[derive(Debug, Default, PartialEq)]
pub struct Parsed {
    /// Its records; no two have the same key.
    pub records: Vec<Record>,
    /// Rows that could not be read. One odd row never stops a page.
    pub rejects: Vec<Reject>,
    /// Rows that the provider sent without any value.
    pub holes: u64,
    /// Trading dates of which it sent a daily bar without any value.
    pub empty_days: Vec<NaiveDate>,
    /// Offset of the next page, if there is one.
    pub next_offset: Option<u64>,
}

/// A row that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The row as received, cut at [`MAX_FRAGMENT_BYTES`].
    pub fragment: Vec<u8>,
    /// Short token for counting by cause.
    pub class: &'static str,
    /// One line for a person.
    pub reason: String,
    /// Dataset it was meant for, where that is not the first of its endpoint.
    pub dataset: Option<&'static str>,
}

impl Reject {
    /// Refuses a row.
    pub fn new(class: &'static str, reason: impl Into<String>, fragment: &[u8]) -> Reject {
        let fragment = fragment[..fragment.len().min(MAX_FRAGMENT_BYTES)].to_vec();
        let mut reason = reason.into();
        if reason.len() > MAX_REASON_BYTES {
            reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
            reason.push('…');
        }
        Reject { fragment, class, reason, dataset: None }
    }

    /// The dead letter that keeps it; the same row again has the same id.
    pub fn into_dead_letter(self, source: &Source, endpoint: &Endpoint, request: &Request<'_>) -> DeadLetter {
        let hash = xxh3_64(&self.fragment);
        DeadLetter {
            source: source.name.into(),
            dead_letter_id: format!("{}/{}/{hash:016x}", endpoint.name, request.item).into(),
            stage: "parse".into(),
            error_class: self.class.into(),
            sqlstate: None,
            reason: self.reason.into(),
            dataset: self.dataset.unwrap_or(endpoint.datasets[0]).into(),
            kafka_topic: None,
            kafka_incarnation: None,
            kafka_partition: None,
            kafka_offset: None,
            record_timestamp_ms: None,
            record_key: None,
            record_value: Some(self.fragment),
            record_headers: None,
            known_at: request.received_at,
            observed_at: request.received_at,
            flags: Vec::new(),
        }
    }
}

/// Why a response is not a page of records, named by what to do next; each holds the provider's own words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PageError {
    /// Ask again later.
    #[error("{0}")]
    Retry(String),
    /// Go on with the next item, and ask again in the next round: what was sent is not taken, and now it would be the same.
    #[error("{0}")]
    GiveUp(String),
    /// Go on with the next item: of this one there are no more pages for us, and those that were read are all.
    #[error("{0}")]
    NoMore(String),
    /// Go on with the next item: the provider does not have this one.
    #[error("{0}")]
    Skip(String),
    /// Stop asking this source: no item can be had.
    #[error("{0}")]
    Halt(String),
}

impl PageError {
    /// The same in other words.
    pub(crate) fn worded(self, words: impl FnOnce(String) -> String) -> PageError {
        match self {
            PageError::Retry(text) => PageError::Retry(words(text)),
            PageError::GiveUp(text) => PageError::GiveUp(words(text)),
            PageError::NoMore(text) => PageError::NoMore(words(text)),
            PageError::Skip(text) => PageError::Skip(words(text)),
            PageError::Halt(text) => PageError::Halt(words(text)),
        }
    }
}

/// The source of that name; the error lists the sources there are.
pub fn source(name: &str) -> Result<&'static Source, String> {
    source_among(SOURCES, name)
}

/// The source of that name among these.
pub(crate) fn source_among(sources: &'static [Source], name: &str) -> Result<&'static Source, String> {
    sources.iter().find(|source| source.name == name).ok_or_else(|| {
        let names: Vec<&str> = sources.iter().map(|source| source.name).collect();
        format!("unknown source `{name}`; the sources are {}", list(&names))
    })
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

/// The environment variables of all sources, for `.env.example`.
pub fn variables() -> Vec<Variable> {
    let of_source = |source: &'static Source| {
        let others = source.other_bases().into_iter().map(|base| base.variable());
        let quota = source.quota.map(|quota| quota.variable());
        std::iter::once(source.base_url_variable()).chain(others).chain(source.key_variable()).chain(quota)
    };
    SOURCES.iter().flat_map(of_source).collect()
}

/// Names in backticks, with commas.
fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_reason_is_short_however_much_of_a_row_it_quotes() {
        let reason = |text: &str| Reject::new("number", text, b"").reason;
        let longest = "é".repeat(MAX_REASON_BYTES / 2);
        assert_eq!(reason(&longest), longest);
        assert_eq!(reason(&format!("{longest}x")), format!("{longest}…"));
        assert_eq!(reason(&format!("x{longest}")), format!("x{}…", "é".repeat(MAX_REASON_BYTES / 2 - 1)));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_names_there_are() {
        let error = source("freddy").unwrap_err();
        let names = SOURCES.iter().map(|source| format!("`{}`", source.name)).collect::<Vec<_>>().join(", ");
        assert_eq!(error, format!("unknown source `freddy`; the sources are {names}"));
        let error = source("fred").unwrap().endpoint("x").unwrap_err();
        assert_eq!(
            error,
            "unknown endpoint `x` of source `fred`; its endpoints are `observations`, `series`, `vintages`, `vintage_dates`"
        );
    }

    #[test]
    fn every_variable_of_the_sources_is_listed_and_keys_are_secret() {
        let variables = variables();
        let secret = |name| variables.iter().find(|variable| variable.name == name).map(|variable| variable.secret);
        for source in SOURCES {
            assert_eq!(secret(source.base_url_env), Some(false), "{}", source.name);
            for base in source.other_bases() {
                assert_eq!(secret(base.env), Some(false), "{}", source.name);
            }
            if let Some(key) = source.key_variable() {
                assert_eq!(secret(key.name), Some(key.secret), "{}", source.name);
            }
        }
        assert_eq!(secret("FRED_API_KEY"), Some(true));
        let names: HashSet<&str> = variables.iter().map(|variable| variable.name).collect();
        assert_eq!(names.len(), variables.len(), "a variable is listed twice");
    }

    #[test]
    fn every_endpoint_names_datasets_that_exist() {
        for endpoint in SOURCES.iter().flat_map(|source| source.endpoints) {
            assert!(!endpoint.datasets.is_empty(), "{}", endpoint.name);
            assert!(endpoint.datasets.iter().all(|name| contract::dataset(name).is_some()), "{}", endpoint.name);
        }
    }

    #[test]
    fn the_same_reject_has_the_same_dead_letter_however_long_its_row() {
        let source = source("cboe").unwrap();
        let request = crate::fixture::request("VIX");
        let letter =
            |row: &[u8]| Reject::new("date", "x", row).into_dead_letter(source, &source.endpoints[0], &request);
        let long = letter(&[b'x'; 2 * MAX_FRAGMENT_BYTES]);
        assert_eq!(long.record_value.as_ref().unwrap().len(), MAX_FRAGMENT_BYTES);
        assert_eq!(long, letter(&[b'x'; 3 * MAX_FRAGMENT_BYTES]));
        assert_ne!(long.dead_letter_id, letter(b"y").dead_letter_id);
        assert!(long.dead_letter_id.starts_with("index_history/VIX/"), "{}", long.dead_letter_id);
        assert_eq!((long.source.as_str(), long.stage.as_str(), long.dataset.as_str()), ("cboe", "parse", "ohlcv_bar"));
        assert_eq!(long.known_at, request.received_at);
    }
}
