//! Finds the rows that a database refuses. Pure.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use contract::rows::{Folded, Versions};

use crate::chunk::Chunk;
use crate::dead_letter::Cause;

/// Into how many parts refused rows are divided. More parts are more statements; fewer parts are more rows that are
/// written and taken back.
const PARTS: usize = 8;

/// Why the database refuses a record.
pub(crate) fn cause(class: &'static str, sqlstate: Option<String>, reason: String) -> Cause {
    Cause { stage: "store", class, sqlstate, reason }
}

/// The rows of a chunk that are still to be written, in parts that get smaller around the rows that are refused.
#[derive(Default)]
pub(crate) struct Isolation {
    parts: Vec<Vec<Folded>>,
    tried: HashSet<usize>,
    /// Whether the last part has only highest versions; the others come when no highest is left.
    pub(crate) are_highest: bool,
}

impl Isolation {
    /// The next part to write; None when all rows are written.
    ///
    /// If the row of a key was refused, the next lower version of that key is written in its place.
    pub(crate) fn next(&mut self, chunk: &Chunk) -> Option<Vec<Folded>> {
        if let Some(part) = self.parts.pop() {
            return Some(part);
        }
        let Versions { highest, others } = chunk.versions();
        for (versions, are_highest) in [(highest, true), (others, false)] {
            let rest: Vec<Folded> = versions.into_iter().filter(|row| self.tried.insert(row.row)).collect();
            if !rest.is_empty() {
                self.are_highest = are_highest;
                self.divide(&rest);
                break;
            }
        }
        self.parts.pop()
    }

    /// Divides rows into parts, in the order of their keys.
    fn divide(&mut self, rows: &[Folded]) {
        let parts = rows.chunks(rows.len().div_ceil(PARTS).max(1));
        self.parts.extend(parts.rev().map(<[Folded]>::to_vec));
    }

    /// Divides a part that the database refused; a single row becomes a dead letter.
    pub(crate) fn refuse(&mut self, part: &[Folded], cause: Cause, chunk: &mut Chunk, now: DateTime<Utc>) {
        match part {
            [row] => chunk.refuse(row.row, cause, now),
            _ => self.divide(part),
        }
    }
}
