//! Finds the rows that a database refuses. Pure.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use contract::rows::Folded;

use crate::chunk::{Chunk, MIN_REFUSED};
use crate::dead_letter::Cause;
use crate::outcome::StoreError;

/// Into how many parts refused rows are divided. More parts are more statements; fewer parts are more rows that are
/// written and taken back.
const PARTS: usize = 8;
/// Share of a chunk's records that the database may refuse, in percent. More are a systematic fault, and the sink
/// halts.
const MAX_REFUSED_PERCENT: usize = 5;

/// Why the database refuses a record.
pub(crate) fn cause(class: &'static str, sqlstate: Option<String>, reason: String) -> Cause {
    Cause { stage: "store", class, sqlstate, reason }
}

/// The rows of a chunk that are still to be written, in parts that get smaller around the rows that are refused.
pub(crate) struct Isolation {
    parts: Vec<Vec<Folded>>,
    tried: HashSet<usize>,
    refused: usize,
    most: usize,
}

impl Isolation {
    pub(crate) fn new(chunk: &Chunk) -> Isolation {
        let most = (chunk.records() * MAX_REFUSED_PERCENT / 100).max(MIN_REFUSED);
        Isolation { parts: Vec::new(), tried: HashSet::new(), refused: 0, most }
    }

    /// The next part to write; None when all rows are written.
    ///
    /// If the row of a key was refused, the next lower version of that key is written in its place.
    pub(crate) fn next(&mut self, chunk: &Chunk) -> Option<Vec<Folded>> {
        if let Some(part) = self.parts.pop() {
            return Some(part);
        }
        let rest: Vec<Folded> = chunk.fold().into_iter().filter(|row| self.tried.insert(row.row)).collect();
        self.divide(&rest);
        self.parts.pop()
    }

    /// Divides rows into parts, in the order of their keys.
    fn divide(&mut self, rows: &[Folded]) {
        let parts = rows.chunks(rows.len().div_ceil(PARTS).max(1));
        self.parts.extend(parts.rev().map(<[Folded]>::to_vec));
    }

    /// Divides a part that the database refused; a single row becomes a dead letter.
    pub(crate) fn refuse(
        &mut self,
        part: Vec<Folded>,
        cause: Cause,
        chunk: &mut Chunk,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let [row] = part.as_slice() else {
            self.divide(&part);
            return Ok(());
        };
        self.refused += 1;
        if self.refused > self.most {
            return Err(StoreError::Halt(format!(
                "the database refuses more than {} of {} records of {} from offset {} on, the last one because: {}",
                self.most,
                chunk.records(),
                chunk.partition,
                chunk.from_offset,
                cause.reason
            )));
        }
        chunk.refuse(row.row, cause, now);
        Ok(())
    }
}
