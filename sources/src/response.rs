//! A request, and what its response becomes: a page of records and rejects ([`Parsed`]), or the reason why it is none
//! ([`PageError`]).

use chrono::{DateTime, NaiveDate, Utc};
use contract::Record;
use thiserror::Error;

/// Longest part of a refused row that a reject keeps: enough to see what was wrong, however broken the page.
pub const MAX_FRAGMENT_BYTES: usize = 4096;

/// Longest reason of a reject: it may quote the row, which may be as long as a page.
pub const MAX_REASON_BYTES: usize = 1000;

/// A request whose response is read.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The requested item.
    pub item: &'a str,
    /// Offset of the first requested row; 0 where the endpoint has no pages.
    pub offset: u64,
    /// When the response was received.
    pub received_at: DateTime<Utc>,
    /// The response's `Last-Modified`.
    pub last_modified: Option<DateTime<Utc>>,
}

impl Request<'_> {
    /// `Last-Modified` of the response, else the time of receipt.
    ///
    /// Never later than the receipt: with a provider's clock that runs ahead, old values would win over its
    /// corrections.
    pub fn last_modified_or_received(&self) -> DateTime<Utc> {
        self.not_after_receipt(self.last_modified.unwrap_or(self.received_at))
    }

    /// The earlier of that time and the receipt.
    pub fn not_after_receipt(&self, known_at: DateTime<Utc>) -> DateTime<Utc> {
        known_at.min(self.received_at)
    }
}

/// A page: what a parser made of one response.
///
/// Every row of the response is counted once: as a record, as a reject or as a hole. Some rows become several records.
#[derive(Debug, Default, PartialEq)]
pub struct Parsed {
    /// Records; no two have the same dataset and key.
    pub records: Vec<Record>,
    /// Rows that could not be read.
    pub rejects: Vec<Reject>,
    /// Number of rows that the provider sent without any value.
    pub holes: u64,
    /// Trading dates whose daily bar the provider sent without any value: no gap, but nothing to record.
    pub empty_days: Vec<NaiveDate>,
    /// Offset of the next page; None on the last page.
    pub next_offset: Option<u64>,
}

/// A row that could not be read, as it goes to the topic of dead letters.
///
/// It holds what is needed to find the cause later: the bytes as received, a class to count by, and a reason in one
/// line. Both lengths are limited, so no provider can fill the topic with one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The row as received, cut at [`MAX_FRAGMENT_BYTES`].
    pub fragment: Vec<u8>,
    /// Class of the cause, one lowercase token such as `date` or `number`: a label of metrics.
    pub class: &'static str,
    /// What is wrong, in one line that quotes the value.
    pub reason: String,
    /// Dataset of the row, where that is not the first of its endpoint.
    pub dataset: Option<&'static str>,
}

impl Reject {
    /// Refuses a row; cuts `reason` and `fragment` to their limits.
    pub fn new(class: &'static str, reason: impl Into<String>, fragment: &[u8]) -> Reject {
        let fragment = fragment[..fragment.len().min(MAX_FRAGMENT_BYTES)].to_vec();
        let mut reason = reason.into();
        if reason.len() > MAX_REASON_BYTES {
            reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
            reason.push('…');
        }
        reason.shrink_to_fit();
        Reject { fragment, class, reason, dataset: None }
    }
}

/// Why a response is not a page, named by what the producer does next.
///
/// Each holds one line for the log: what happened, to what, and the provider's own words where it sent some. Nothing of
/// such a response is published.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PageError {
    /// Retry: the response is damaged, an outage, or a limit that passes.
    #[error("{0}")]
    Retry(String),
    /// Go on with the next item and poll this one again in the next round: an immediate retry would return the same
    /// response.
    #[error("{0}")]
    GiveUp(String),
    /// Go on with the next item: the provider gives no further pages of this one, and the pages read so far are
    /// complete.
    #[error("{0}")]
    NoMore(String),
    /// Go on with the next item: the provider does not have this one, or does not give it to this key.
    #[error("{0}")]
    Skip(String),
    /// Stop polling this source: every request would fail, as with an invalid key.
    #[error("{0}")]
    Halt(String),
}

impl PageError {
    /// The same error with its message reworded.
    pub fn worded(self, words: impl FnOnce(String) -> String) -> PageError {
        match self {
            PageError::Retry(text) => PageError::Retry(words(text)),
            PageError::GiveUp(text) => PageError::GiveUp(words(text)),
            PageError::NoMore(text) => PageError::NoMore(words(text)),
            PageError::Skip(text) => PageError::Skip(words(text)),
            PageError::Halt(text) => PageError::Halt(words(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_short_however_much_of_a_row_it_quotes() {
        let reason = |text: &str| Reject::new("number", text, b"").reason;
        let longest = "é".repeat(MAX_REASON_BYTES / 2);
        assert_eq!(reason(&longest), longest);
        assert_eq!(reason(&format!("{longest}x")), format!("{longest}…"));
        assert_eq!(reason(&format!("x{longest}")), format!("x{}…", "é".repeat(MAX_REASON_BYTES / 2 - 1)));
    }
}
