//! What is asked of a provider and what it sends: the request, the page that is read of its response, or why there is none.

use chrono::{DateTime, NaiveDate, Utc};
use contract::Record;
use thiserror::Error;

/// Longest fragment of a refused row that is kept: enough to see what was wrong with any row, however broken the page.
pub const MAX_FRAGMENT_BYTES: usize = 4096;

/// Longest reason why a row is refused: it may quote the row, which may be as long as a page.
pub const MAX_REASON_BYTES: usize = 1000;

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
