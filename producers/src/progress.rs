//! Progress for the program that started the run: one JSON line per item on standard output.

use std::io::Write as _;

use serde::Serialize;

/// Whether to report progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// No output.
    Silent,
    /// One line per item, and one per round.
    Lines,
}

/// An item is finished.
#[derive(Debug, Serialize)]
pub struct ItemDone<'a> {
    /// Source.
    pub source: &'a str,
    /// Endpoint.
    pub endpoint: &'a str,
    /// Item.
    pub item: &'a str,
    /// Items of this round that are finished, this one included.
    pub items_done: usize,
    /// Items of this round.
    pub items_total: usize,
    /// Records of the item that Kafka has acknowledged.
    pub published: u64,
    /// Those of them that are corrections.
    pub corrections: u64,
    /// Records of the item that were already published.
    pub unchanged: u64,
    /// Rows of the item that could not be read.
    pub rejected: u64,
    /// Rows of the item without any value.
    pub holes: u64,
    /// Why the item was skipped or given up.
    pub error: Option<&'a str>,
}

/// A round is finished, nothing is due at the start, or the source was stopped.
#[derive(Debug, Serialize)]
pub struct RoundDone<'a> {
    /// Source.
    pub source: &'a str,
    /// Always true: distinguishes the line from that of an item.
    pub done: bool,
    /// Items of the round; 0 when nothing was due.
    pub items: usize,
    /// Records since the start of the run.
    pub published: u64,
    /// Rows that could not be read, since the start of the run.
    pub rejected: u64,
    /// Items given up since the start of the run.
    pub failed_items: u64,
    /// Why the source was stopped.
    pub error: Option<&'a str>,
    /// Seconds until a stopped source is tried again; None if it is not.
    pub next_try_seconds: Option<u64>,
}

impl Progress {
    /// Writes a line, if progress is reported.
    pub fn tell(self, line: &impl Serialize) {
        if self == Progress::Lines {
            let text = serde_json::to_string(line).unwrap_or_default();
            // A reader that has closed the pipe is no reason to stop.
            let _ = writeln!(std::io::stdout().lock(), "{text}");
        }
    }
}
