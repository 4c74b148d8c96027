//! Checks a chunk's invariants before its COMMIT. Cheap, because it reads only memory. Pure.
//!
//! A violation is a bug in tapedeck. The transaction is rolled back and the sink halts, so that nothing wrong is
//! stored.

use contract::rows::Folded;
use contract::{Column, Invariant};

use crate::chunk::Chunk;
use crate::outcome::{Outcome, StoreError};

/// Checks that every row has a version, which the fold needs.
pub(crate) fn versions(chunk: &Chunk) -> Result<(), StoreError> {
    let [known_at, observed_at] = chunk.target.dataset.version_fields.map(|at| chunk.rows.column(at));
    let (Column::Timestamp(known_at), Column::Timestamp(observed_at)) = (known_at, observed_at) else {
        return Err(violated(Invariant::VersionNeverNull, chunk, "a version is not a time".to_owned()));
    };
    let missing = known_at.iter().zip(observed_at).position(|(known, observed)| known.is_none() || observed.is_none());
    match missing {
        None => Ok(()),
        Some(row) => Err(violated(Invariant::VersionNeverNull, chunk, format!("row {row} has no version"))),
    }
}

/// Most pairs of neighbouring rows whose keys are compared. All 10,000 of a chunk would take 1 ms, up to 3 % of a
/// commit.
const MOST_PAIRS: usize = 500;

/// Checks after the fold: one row per key, in the order of the keys.
///
/// Of a large chunk it checks a sample of pairs, spread over all rows; each chunk has another sample.
pub(crate) fn folded(chunk: &Chunk, folded: &[Folded]) -> Result<(), StoreError> {
    let (rows, dataset) = (&chunk.rows, chunk.target.dataset);
    let is_ascending = |pair: &[Folded]| rows.compare_keys(dataset, pair[0].row, pair[1].row).is_lt();
    let step = folded.len().div_ceil(MOST_PAIRS).max(1);
    let first = chunk.from_offset.unsigned_abs() as usize % step;
    let mut places = (first..folded.len().saturating_sub(1)).step_by(step);
    match places.find(|place| !is_ascending(&folded[*place..place + 2])) {
        None => Ok(()),
        Some(place) => {
            let what = format!("the keys of rows {place} and {} are not in order", place + 1);
            Err(violated(Invariant::HighestVersion, chunk, what))
        }
    }
}

/// Checks before the COMMIT; `dead_letters` is the number of dead letters written.
pub(crate) fn outcome(chunk: &Chunk, outcome: &Outcome, dead_letters: usize) -> Result<(), StoreError> {
    let Outcome { read, inserted, changed, unchanged, superseded, kept, dead_lettered } = *outcome;
    let (from, to) = (chunk.from_offset, chunk.to_offset);
    let is_outside = |offset: i64| !(from..to).contains(&offset);
    if to <= from || chunk.last.is_some_and(|last| is_outside(last.offset)) {
        let what = format!("its last record is {:?}", chunk.last.map(|last| last.offset));
        return Err(violated(Invariant::ContiguousLedger, chunk, what));
    }
    let sum = inserted + changed + unchanged + superseded + dead_lettered;
    if kept.is_some_and(|kept| kept > superseded) {
        let what = format!("it kept {kept:?} of {superseded} superseded records as revisions");
        return Err(violated(Invariant::RecordsAddUp, chunk, what));
    }
    if read != sum || read > (to - from).cast_unsigned() {
        return Err(violated(Invariant::RecordsAddUp, chunk, format!("it read {read} records, the sum is {sum}")));
    }
    if dead_letters as u64 != dead_lettered {
        let what = format!("it refused {dead_lettered} records and has {dead_letters} dead letters");
        return Err(violated(Invariant::RefusalsKept, chunk, what));
    }
    Ok(())
}

fn violated(invariant: Invariant, chunk: &Chunk, what: String) -> StoreError {
    StoreError::Halt(format!(
        "invariant {invariant} does not hold, nothing of the chunk is stored: {} In the chunk of {} from offset {} to {}, \
         {what}; report this as a bug of tapedeck",
        invariant.sentence(),
        chunk.partition,
        chunk.from_offset,
        chunk.to_offset,
    ))
}

#[cfg(test)]
mod tests;
