//! Divides a chunk's refused records into dead letters and parked ones, in the chunk's transaction.

use std::collections::BTreeMap;

use contract::Text;

use crate::chunk::Chunk;
use crate::dialect::{Connection, Dialect};
use crate::fault::Fault;
use crate::partition::SinkPartition;
use crate::quarantine::{MAX_DEAD_LETTERS, Trip, ranges};
use crate::statement::Statement;

/// What becomes of a chunk's refused records.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    /// Rows of [`Chunk::dead_letters`] that are parked instead, by publisher, ascending.
    parked: BTreeMap<Text, Vec<usize>>,
    /// Quarantines that begin with this chunk.
    pub(crate) begun: Vec<Trip>,
}

impl Sorted {
    /// Whether a row of the dead letters is parked instead.
    pub(crate) fn is_parked(&self, row: usize) -> bool {
        self.parked.values().any(|rows| rows.binary_search(&row).is_ok())
    }

    /// Number of parked records.
    pub(crate) fn parked(&self) -> usize {
        self.parked.values().map(Vec::len).sum()
    }
}

/// Begins the chunk's quarantines, and parks the refused records of publishers that have used up their dead letters.
///
/// The rows of the quarantines stay locked until the end of the transaction, so that the limit holds for all partitions.
pub(crate) async fn sort<D: Dialect>(
    connection: &mut D::Connection,
    chunk: &Chunk,
    sink: &str,
) -> Result<Sorted, Fault> {
    let statements = &D::statements().quarantines;
    let mut sorted = Sorted::default();
    for trip in &chunk.trips {
        let Trip { publisher, refused, seen, reason } = trip;
        let begin = Statement::new(&statements.begin).bind(sink).bind(publisher.as_str());
        let begin = begin.bind(*refused as i64).bind(*seen as i64).bind(reason.as_str());
        if connection.execute(begin).await? == 1 {
            sorted.begun.push(trip.clone());
        }
    }
    for line in connection.lines(Statement::new(&statements.used).bind(sink)).await? {
        let (publisher, used) = (Text::from(line.text(0)), line.int(1).unsigned_abs() as usize);
        let rows: Vec<usize> = (0..chunk.publishers.len()).filter(|row| chunk.publishers[*row] == publisher).collect();
        if rows.is_empty() {
            continue;
        }
        let (letters, parked) = rows.split_at(MAX_DEAD_LETTERS.saturating_sub(used).min(rows.len()));
        let count = Statement::new(&statements.count).bind(sink).bind(publisher.as_str());
        connection.execute(count.bind(letters.len() as i64)).await?;
        if !parked.is_empty() {
            connection.execute(parking(&statements.park, chunk, sink, &publisher, parked)).await?;
            sorted.parked.insert(publisher, parked.to_vec());
        }
    }
    Ok(sorted)
}

/// The statement that parks rows of a chunk's dead letters.
fn parking(text: &str, chunk: &Chunk, sink: &str, publisher: &Text, rows: &[usize]) -> Statement {
    let mut offsets: Vec<i64> = rows.iter().map(|row| chunk.offset_of_dead_letter(*row)).collect();
    // A row that the database refused comes after the others.
    offsets.sort_unstable();
    let SinkPartition { topic, incarnation, number, .. } = &chunk.partition;
    let statement = Statement::new(text).bind(sink).bind(publisher.as_str()).bind(&**topic);
    let statement = statement.bind(*incarnation).bind(*number).bind(chunk.from_offset);
    statement.bind(ranges(&offsets)).bind(offsets.len() as i64)
}
