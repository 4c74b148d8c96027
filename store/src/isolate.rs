//! Finding the rows that a database refuses. Pure.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use contract::rows::Folded;

use crate::chunk::{Chunk, MIN_REFUSED};
use crate::dead_letter::Cause;
use crate::outcome::StoreError;

/// Into how many parts rows are divided of which one is refused: more parts are more statements, fewer are more rows
/// that are written and taken back.
const PARTS: usize = 8;
/// Share of a chunk's records that the database may refuse, in percent; more are no accident, and the sink halts.
const MAX_REFUSED_PERCENT: usize = 5;

/// Refused by the database.
pub(crate) fn cause(class: &'static str, sqlstate: Option<String>, reason: String) -> Cause {
    Cause { stage: "store", class, sqlstate, reason }
}

/// The rows of a chunk that are still to be written, in parts that are narrowed down around what is refused.
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

    /// The next part to write; None when all are written.
    ///
    /// Where the row that stood for its key was refused, the next version of that key takes its place.
    pub(crate) fn next(&mut self, chunk: &Chunk) -> Option<Vec<Folded>> {
        if let Some(part) = self.parts.pop() {
            return Some(part);
        }
        let rest: Vec<Folded> = chunk.fold().into_iter().filter(|row| self.tried.insert(row.row)).collect();
        self.divide(&rest);
        self.parts.pop()
    }

    /// Rows are tried in the order of their keys.
    fn divide(&mut self, rows: &[Folded]) {
        let parts = rows.chunks(rows.len().div_ceil(PARTS).max(1));
        self.parts.extend(parts.rev().map(<[Folded]>::to_vec));
    }

    /// Notes that a part was refused: it is divided, or its only row becomes a dead letter.
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
