//! The stored dead letters of a sink, by the coordinates of their messages.

use std::collections::HashMap;

use contract::Coordinate;
use store::quarantine::Parked;
use store::{Audit, PositionRow};
use tokio::runtime::Handle;

use super::fingerprint;
use super::report::Findings;

/// Whether the sink's position is past the coordinate.
pub(super) fn is_passed(at: &Coordinate<'_>, sink: &str, positions: &[PositionRow]) -> bool {
    positions.iter().any(|row| {
        let partition = &row.partition;
        *partition.sink == *sink && partition.coordinate(at.offset) == *at && at.offset < row.next_offset
    })
}

/// Whether a redrive has stored the record of a dead letter.
#[derive(Debug, Clone, Copy)]
pub(super) enum Resolved {
    No,
    Before,
    /// While the table was read.
    Meanwhile,
}

/// A dead letter of a sink.
#[derive(Debug)]
pub(super) struct DeadLetter {
    /// Fingerprint of the original message; None when the dead letter was deleted, or is parked.
    pub(super) message: Option<u64>,
    /// Whether a redrive has stored its record.
    pub(super) resolved: Resolved,
    /// Whether its message was found on the topic.
    pub(super) found: bool,
}

/// The dead letters of one sink in a topic, by incarnation, partition and offset.
pub(super) type DeadLetters = HashMap<(i32, i32, i64), DeadLetter>;

/// The dead letters of each sink in a topic.
pub(super) type SinkDeadLetters = HashMap<String, DeadLetters>;

/// Loads the dead letters of a sink. Each needs some 64 bytes of memory.
pub(super) fn load(
    (sink, topic, dataset): (&str, &str, &str),
    audit: &mut Audit,
    runtime: &Handle,
    findings: &mut Findings,
) -> anyhow::Result<DeadLetters> {
    let mut letters = DeadLetters::new();
    let each = audit.each_dead_letter(sink, |line| {
        let name = line.text(0);
        let Some(coordinate) = Coordinate::parse(&name) else {
            findings.add("dead_letters", dataset, || format!("dead letter `{name}` of `{sink}` names no coordinate"));
            return Ok(());
        };
        if coordinate.topic == topic {
            let parts = [line.bytes(2), line.bytes(3), line.bytes(4)];
            let message = (line.int(5) == 0).then(|| fingerprint::of_message(parts, line.optional_int(1)));
            let resolved = if line.int(6) != 0 { Resolved::Before } else { Resolved::No };
            let letter = DeadLetter { message, resolved, found: false };
            letters.insert((coordinate.incarnation, coordinate.partition, coordinate.offset), letter);
        }
        Ok(())
    });
    runtime.block_on(each)?;
    let parked = runtime.block_on(audit.parked(sink))?;
    for Parked { partition, offsets, .. } in parked.into_iter().filter(|parked| *parked.partition.topic == *topic) {
        let letter = |offset| {
            let letter = DeadLetter { message: None, resolved: Resolved::No, found: false };
            ((partition.incarnation, partition.number, offset), letter)
        };
        letters.extend(offsets.into_iter().map(letter));
    }
    Ok(letters)
}

/// Notes that the dead letter of that name is resolved by now.
pub(super) fn note_resolution(name: &str, topic: &str, letters: &mut DeadLetters) {
    let at = Coordinate::parse(name).filter(|at| at.topic == topic);
    let letter = at.and_then(|at| letters.get_mut(&(at.incarnation, at.partition, at.offset)));
    if let Some(letter) = letter.filter(|letter| matches!(letter.resolved, Resolved::No)) {
        letter.resolved = Resolved::Meanwhile;
    }
}
