//! What both databases are told in the same words: positions and the ledger.

use std::sync::LazyLock;

use sqlx::query::Query;
use sqlx::{ColumnIndex, Database, Decode, Encode, Row, Type};

use crate::chunk::Chunk;
use crate::outcome::{Gap, Outcome, Position, Total};
use crate::partition::LastRecord;

/// Statements of one dialect. The first six parameters are always sink, topic, incarnation, partition and the offsets
/// where the chunk begins and ends; a statement uses the first of them that it needs.
#[derive(Debug)]
pub(crate) struct Statements {
    /// Positions of a sink in a topic, of the latest incarnation.
    pub(crate) positions: String,
    /// Moves the position from the chunk's beginning to its end; offset and hash of its last record follow.
    pub(crate) move_position: String,
    /// The first chunk of a partition: there is no position yet, and of two writers one gets to make it. Parameters as
    /// of `move_position`.
    pub(crate) first_position: String,
    /// The outcome of a chunk, if it was committed.
    pub(crate) committed: String,
    /// A chunk's row in the ledger; its counts follow as further parameters.
    pub(crate) insert_ledger: String,
    /// Sums of the ledger by sink.
    pub(crate) totals: String,
    /// A gap; its reason follows. Nothing when it was written down before.
    pub(crate) insert_gap: String,
    /// Moves the position over a gap.
    pub(crate) pass_gap: String,
    /// The position in a new incarnation, whose number is the third parameter.
    pub(crate) new_incarnation: String,
    /// Takes dead letters, given as a JSON list of their names, into the outbox; the first parameter is their source.
    pub(crate) outbox: String,
}

/// For PostgreSQL.
pub(crate) static POSTGRES: LazyLock<Statements> =
    LazyLock::new(|| Statements::new("now()", "json_array_elements_text($2::json) as name(value)"));
/// For SQLite, whose times are texts of one width.
pub(crate) static SQLITE: LazyLock<Statements> =
    LazyLock::new(|| Statements::new("strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')", "json_each($2) as name"));

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
    /// `now` is the time as a column takes it, `names_of` the JSON list in the second parameter as rows `name.value`.
    fn new(now: &str, names_of: &str) -> Statements {
        let partition = "sink = $1 and kafka_topic = $2 and kafka_incarnation = $3 and kafka_partition = $4";
        let names = "sink, kafka_topic, kafka_incarnation, kafka_partition";
        let plain = COUNTS.map(|count| format!("cast({count} as bigint)")).join(", ");
        let sums = COUNTS.map(|count| format!("cast(sum({count}) as bigint)")).join(", ");
        Statements {
            positions: "select kafka_incarnation, kafka_partition, next_offset, last_offset, last_fingerprint from sink_position as latest \
                where sink = $1 and kafka_topic = $2 and kafka_incarnation = (select max(kafka_incarnation) \
                from sink_position where sink = latest.sink and kafka_topic = latest.kafka_topic \
                and kafka_partition = latest.kafka_partition)"
                .to_owned(),
            move_position: format!(
                "update sink_position set next_offset = $6, last_offset = coalesce($7, last_offset), \
                 last_fingerprint = coalesce($8, last_fingerprint), updated_at = {now} \
                 where {partition} and next_offset = $5"
            ),
            first_position: format!(
                "insert into sink_position ({names}, next_offset, last_offset, last_fingerprint, updated_at) \
                 select $1, $2, $3, $4, $6, $7, $8, {now} where $5 >= 0 on conflict do nothing"
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
            insert_gap: format!(
                "insert into sink_gap ({names}, from_offset, to_offset, reason, noticed_at) \
                 values ($1, $2, $3, $4, $5, $6, $7, {now}) on conflict do nothing"
            ),
            pass_gap: format!(
                "update sink_position set next_offset = $6, updated_at = {now} where {partition} and next_offset = $5"
            ),
            new_incarnation: format!(
                "insert into sink_position ({names}, next_offset, updated_at) \
                 select $1, $2, $3, $4, $6, {now} where $5 >= 0 on conflict do nothing"
            ),
            outbox: format!(
                "insert into dead_letter_outbox (source, dead_letter_id) select $1, name.value from {names_of} \
                 where true on conflict do nothing"
            ),
        }
    }
}

/// A statement about a chunk, with its first six parameters.
pub(crate) fn about<'q, DB>(statement: &'static str, chunk: &Chunk) -> Query<'q, DB, DB::Arguments>
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

/// The statements that move a position, with offset and hash of the chunk's last record.
pub(crate) fn moving<'q, DB>(statement: &'static str, chunk: &Chunk) -> Query<'q, DB, DB::Arguments>
where
    DB: Database,
    String: Encode<'q, DB> + Type<DB>,
    i32: Encode<'q, DB> + Type<DB>,
    i64: Encode<'q, DB> + Type<DB>,
    Option<i64>: Encode<'q, DB>,
{
    let last = chunk.last;
    about(statement, chunk).bind(last.map(|last| last.offset)).bind(last.map(|last| last.hash))
}

/// The statements about a gap: sink, topic, incarnation, partition, from, to.
pub(crate) fn about_gap<'q, DB>(statement: &'static str, gap: &Gap, incarnation: i32) -> Query<'q, DB, DB::Arguments>
where
    DB: Database,
    String: Encode<'q, DB> + Type<DB>,
    i32: Encode<'q, DB> + Type<DB>,
    i64: Encode<'q, DB> + Type<DB>,
{
    let partition = &gap.partition;
    // Offsets of two incarnations cannot be compared: what is missing then has no end.
    let end = if gap.next.0 == partition.incarnation { gap.next.1 } else { gap.from_offset };
    sqlx::query(statement)
        .bind(partition.sink.to_string())
        .bind(partition.topic.to_string())
        .bind(incarnation)
        .bind(partition.number)
        .bind(gap.from_offset)
        .bind(if incarnation == partition.incarnation { end } else { gap.next.1 })
}

/// The ledger's row of a chunk.
pub(crate) fn ledger_row<'q, DB>(
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
pub(crate) fn outcome<R>(row: &R, first: usize) -> Outcome
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
pub(crate) fn position<R>(row: &R) -> Position
where
    R: Row,
    usize: ColumnIndex<R>,
    i32: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    let last: (Option<i64>, Option<i64>) = (row.get(3), row.get(4));
    let last = last.0.zip(last.1).map(|(offset, hash)| LastRecord { offset, hash });
    Position { incarnation: row.get(0), partition: row.get(1), next_offset: row.get(2), last }
}

/// The sums in a row.
pub(crate) fn total<R>(row: &R) -> Total
where
    R: Row,
    usize: ColumnIndex<R>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    Total { sink: row.get(0), outcome: outcome(row, 1) }
}

/// Names of the chunk's dead letters as a JSON list; None when there are none.
pub(crate) fn outbox_names(chunk: &Chunk) -> Option<String> {
    let position = crate::dead_letter::dataset().position("dead_letter_id").expect("it is declared");
    let names = chunk.dead_letters.column(position);
    let names: Vec<&str> = (0..chunk.dead_letters.len()).filter_map(|row| names.text(row)).collect();
    (!names.is_empty()).then(|| serde_json::Value::from(names).to_string())
}
