//! What providers offer, when it is polled, and how their responses become records.
//!
//! The crate is pure: nothing in it knows the network, files, a clock, Kafka or a database. Producers request what a
//! [`Source`](source::Source) declares and hand the bytes to [`Endpoint::read`](source::Endpoint::read). `fuzz`, `bench
//! parse`, `producer parse` and the oracle need this crate and `contract`, nothing else.
//!
//! | module | what lives there |
//! |---|---|
//! | [`providers`] | one folder for each provider, and the list of all sources |
//! | [`source`](mod@source) | [`Source`](source::Source), [`Endpoint`](source::Endpoint), [`History`](source::History): what a provider declares |
//! | [`response`] | [`Request`](response::Request), [`Parsed`](response::Parsed), [`Reject`](response::Reject), [`PageError`](response::PageError): what a parser takes and returns |
//! | [`schedule`], [`market`] | when an item is polled, and when its market trades |
//! | [`parse`] | what parsers share, from the body of a response down to a value |
//! | [`time`] | when a date begins and ends in a zone |
//! | [`dissemination`] | when a filing with the SEC becomes public |
//! | [`sentiment`] | scores of articles that come without one |
//!
//! # Read a saved response
//!
//! ```
//! use sources::response::Request;
//!
//! let endpoint = sources::source("cboe")?.endpoint("index_history")?;
//! let received_at = "2026-11-20T12:00:00Z".parse()?;
//! let request = Request { item: "VIX", offset: 0, received_at, last_modified: None };
//! let page = endpoint.read(&request, b"DATE,OPEN,HIGH,LOW,CLOSE\n11/19/2026,16.1,17.0,15.9,16.5\n11/20/2026,x,1,1,1\n")?;
//! assert_eq!(page.records.len(), 1);
//! assert_eq!(page.rejects[0].reason, "line 3: `x` is not a number");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Add a source
//!
//! A source is a constant and one pure function for each endpoint. Create `providers/<name>/mod.rs`, add the module and
//! the constant to [`SOURCES`], and put fixtures into `fixtures/<name>/<endpoint>/`. CONTRIBUTING.md has the whole
//! recipe.
//!
//! ```
//! use std::time::Duration;
//!
//! use chrono_tz::Tz;
//! use contract::records::Observation;
//! use sources::parse::body::{MAX_ROWS, excerpt};
//! use sources::parse::fault::Fault;
//! use sources::response::{PageError, Parsed, Request};
//! use sources::schedule::{Kind, Schedule, hours};
//! use sources::source::{Auth, Endpoint, History, Source};
//!
//! pub const SOURCE: Source = Source {
//!     name: "bank",
//!     doc: "A central bank: daily fixings of currencies",
//!     base_url: "https://bank.example",
//!     base_url_env: "TAPEDECK_BANK_URL",
//!     auth: Auth::None,
//!     user_agent: "tapedeck",
//!     pause: Duration::from_secs(1),
//!     burst: 1,
//!     quota: None,
//!     endpoints: &[Endpoint {
//!         name: "fixings",
//!         doc: "Every daily fixing of a currency",
//!         datasets: &["observation"],
//!         item: "currency, e.g. `EUR`",
//!         known_at: "`Last-Modified` of the file, else the time of receipt",
//!         schedule: Schedule::on_weekdays(Kind::Macro, Tz::UTC, hours(1)),
//!         history: History::ALL,
//!         base: None,
//!         path: |item, _offset| Ok(format!("/fixings/{item}.csv")),
//!         parse,
//!     }],
//! };
//!
//! fn parse(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
//!     // A body that is not a page is an error, named by what the producer does next.
//!     let text = std::str::from_utf8(body).ok().and_then(|text| text.strip_prefix("date,rate\n"));
//!     let text = text.ok_or_else(|| PageError::Retry(format!("expected fixings, received `{}`", excerpt(body))))?;
//!     let mut parsed = Parsed::default();
//!     for (index, line) in text.lines().take(MAX_ROWS).enumerate() {
//!         match fixing(request, line) {
//!             Ok(fixing) => parsed.records.push(fixing.into()),
//!             // An odd row is a reject: it never loses the other rows.
//!             Err(fault) => parsed.rejects.push(fault.at(format_args!("line {}", index + 2)).reject(line.as_bytes())),
//!         }
//!     }
//!     Ok(parsed)
//! }
//!
//! fn fixing(request: &Request<'_>, line: &str) -> Result<Observation, Fault> {
//!     let odd = || Fault("columns", format!("`{}` is not a date and a rate", excerpt(line.as_bytes())));
//!     let (date, rate) = line.split_once(',').ok_or_else(odd)?;
//!     Ok(Observation {
//!         source: SOURCE.name.into(),
//!         series_id: request.item.into(),
//!         observation_date: date.parse().map_err(|_| odd())?,
//!         value: Some(rate.parse().map_err(|_| odd())?),
//!         known_at: request.last_modified_or_received(),
//!         observed_at: request.received_at,
//!         flags: Vec::new(),
//!     })
//! }
//! ```

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

mod dead_letter;
pub mod dissemination;
#[cfg(any(test, feature = "fixtures"))]
pub mod fixture;
mod instrument;
pub mod market;
pub mod parse;
pub mod providers;
pub mod response;
mod rules;
pub mod schedule;
pub mod sentiment;
pub mod source;
pub mod time;

pub use providers::{SOURCES, source, source_among, variables};
