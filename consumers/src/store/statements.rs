//! What both databases are told in the same words: positions and the ledger.

use std::sync::LazyLock;

use sqlx::query::Query;
use sqlx::{ColumnIndex, Database, Decode, Encode, Row, Type};

use super::{Outcome, Position, Total};
use crate::chunk::Chunk;

/// Statements of one dialect. The first six parameters are always sink, topic, incarnation, partition and the offsets
/// where the chunk begins and ends; a statement uses the first of them that it needs.
#[derive(Debug)]
pub(super) struct Statements {
    /// Positions of a sink in a topic, of the latest incarnation.
    pub(super) positions: String,
    /// Moves the position from the chunk's beginning to its end.
    pub(super) move_position: String,
    /// The first chunk of a partition: there is no position yet, and of two writers one gets to make it.
    pub(super) first_position: String,
    /// The outcome of a chunk, if it was committed.
    pub(super) committed: String,
    /// A chunk's row in the ledger; its counts follow as further parameters.
    pub(super) insert_ledger: String,
    /// Sums of the ledger by sink.
    pub(super) totals: String,
}

/// For PostgreSQL.
pub(super) static POSTGRES: LazyLock<Statements> = LazyLock::new(|| Statements::new("now()"));
/// For SQLite, whose times are texts of one width.
pub(super) static SQLITE: LazyLock<Statements> =
    LazyLock::new(|| Statements::new("strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')"));

/// Columns of the ledger that count, in the order of [`counts`].
const COUNTS: [&str; 6] = [
    "records_read",
    "records_inserted",
    "records_changed",
    "records_unchanged",
    "records_superseded",
    "records_dead_lettered",
];

impl Statements {
    fn new(now: &str) -> Statements {
        let partition = "sink = $1 and kafka_topic = $2 and kafka_incarnation = $3 and kafka_partition = $4";
        let names = "sink, kafka_topic, kafka_incarnation, kafka_partition";
        let plain = COUNTS.map(|count| format!("cast({count} as bigint)")).join(", ");
        let sums = COUNTS.map(|count| format!("cast(sum({count}) as bigint)")).join(", ");
        Statements {
            positions: "select kafka_incarnation, kafka_partition, next_offset from sink_position as latest \
                where sink = $1 and kafka_topic = $2 and kafka_incarnation = (select max(kafka_incarnation) \
                from sink_position where sink = latest.sink and kafka_topic = latest.kafka_topic \
                and kafka_partition = latest.kafka_partition)"
                .to_owned(),
            move_position: format!(
                "update sink_position set next_offset = $6, updated_at = {now} where {partition} and next_offset = $5"
            ),
            first_position: format!(
                "insert into sink_position ({names}, next_offset, updated_at) select $1, $2, $3, $4, $6, {now} \
                 where $5 >= 0 on conflict do nothing"
            ),
            committed: format!(
                "select {plain} from sink_chunk where {partition} and from_offset = $5 and to_offset = $6"
            ),
            insert_ledger: format!(
                "insert into sink_chunk ({names}, from_offset, to_offset, {}, committed_at) \
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, {now})",
                COUNTS.join(", ")
            ),
            totals: format!("select sink, {sums} from sink_chunk group by sink order by sink"),
        }
    }
}

/// A statement about a chunk, with its first six parameters.
pub(super) fn about<'q, DB>(statement: &'static str, chunk: &Chunk) -> Query<'q, DB, DB::Arguments>
where
    DB: Database,
    String: Encode<'q, DB> + Type<DB>,
    i32: Encode<'q, DB> + Type<DB>,
    i64: Encode<'q, DB> + Type<DB>,
{
    let partition = &chunk.partition;
    sqlx::query(statement)
        .bind(partition.sink.to_string())
        .bind(partition.topic.to_string())
        .bind(partition.incarnation)
        .bind(partition.number)
        .bind(chunk.from_offset)
        .bind(chunk.to_offset)
}

/// The ledger's row of a chunk.
pub(super) fn ledger_row<'q, DB>(
    statement: &'static str,
    chunk: &Chunk,
    outcome: &Outcome,
) -> Query<'q, DB, DB::Arguments>
where
    DB: Database,
    String: Encode<'q, DB> + Type<DB>,
    i32: Encode<'q, DB> + Type<DB>,
    i64: Encode<'q, DB> + Type<DB>,
{
    counts(outcome).into_iter().fold(about(statement, chunk), |query, count| query.bind(count as i32))
}

fn counts(outcome: &Outcome) -> [u64; 6] {
    let Outcome { read, inserted, changed, unchanged, superseded, dead_lettered } = *outcome;
    [read, inserted, changed, unchanged, superseded, dead_lettered]
}

/// The counts in a row, from that column on.
pub(super) fn outcome<R>(row: &R, first: usize) -> Outcome
where
    R: Row,
    usize: ColumnIndex<R>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    let [read, inserted, changed, unchanged, superseded, dead_lettered] =
        std::array::from_fn(|at| row.get::<i64, _>(first + at).cast_unsigned());
    Outcome { read, inserted, changed, unchanged, superseded, dead_lettered }
}

/// The position in a row.
pub(super) fn position<R>(row: &R) -> Position
where
    R: Row,
    usize: ColumnIndex<R>,
    i32: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    Position { incarnation: row.get(0), partition: row.get(1), next_offset: row.get(2) }
}

/// The sums in a row.
pub(super) fn total<R>(row: &R) -> Total
where
    R: Row,
    usize: ColumnIndex<R>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    Total { sink: row.get(0), outcome: outcome(row, 1) }
}
