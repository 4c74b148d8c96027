//! Positions, the ledger and gaps.

use contract::Kind;

use crate::syntax::Syntax;

/// Statements of one database. The first six parameters are always sink, topic, incarnation, partition and the offsets
/// where the chunk begins and ends; a statement uses the first of them that it needs.
#[derive(Debug)]
pub(crate) struct Statements {
    /// Positions of a sink in a topic, of the latest incarnation.
    pub(crate) positions: String,
    /// Moves the position from the chunk's beginning to its end; offset and hash of its last record follow.
    pub(crate) move_position: String,
    /// Inserts the position with the first chunk of a partition; of two concurrent writers one succeeds. Parameters as
    /// for `move_position`.
    pub(crate) first_position: String,
    /// The outcome of a chunk, if it was committed.
    pub(crate) committed: String,
    /// A chunk's row in the ledger; its counts follow as further parameters.
    pub(crate) insert_ledger: String,
    /// A partition's entries from an offset on, in order; offset and most entries follow the partition. Without its last
    /// entry: a commit whose answer was lost is recognised by it, however long ago it was.
    pub(crate) ledger_page: String,
    /// Removes the entries that begin between two offsets, both included.
    pub(crate) delete_ledger: String,
    /// An entry instead of those; its counts and its time follow the range.
    pub(crate) merge_ledger: String,
    /// Sums of the ledger by sink.
    pub(crate) totals: String,
    /// A gap; its reason follows. Inserts nothing when the gap is already recorded.
    pub(crate) insert_gap: String,
    /// Moves the position over a gap.
    pub(crate) pass_gap: String,
    /// The position in a new incarnation, whose number is the third parameter.
    pub(crate) new_incarnation: String,
    /// Puts dead letters, given as a JSON list of their ids, into the outbox; the first parameter is their source.
    pub(crate) outbox: String,
}

/// Joins a position, under the name `latest`, with the id of the topic that was read.
pub(crate) const TOPIC_ID: &str = "left join sink_topic as read on read.sink = latest.sink \
    and read.kafka_topic = latest.kafka_topic and read.kafka_incarnation = latest.kafka_incarnation \
    and read.kafka_partition = latest.kafka_partition";

/// Columns of the ledger that count, in the order of [`crate::Outcome`].
const COUNTS: [&str; 7] = [
    "records_read",
    "records_inserted",
    "records_changed",
    "records_unchanged",
    "records_superseded",
    "records_dead_lettered",
    // Null in chunks of an executable without revisions.
    "records_kept",
];

impl Statements {
    pub(super) fn new(syntax: &Syntax) -> Statements {
        let (now, ids) = (syntax.now, (syntax.texts)("$2"));
        let partition = "sink = $1 and kafka_topic = $2 and kafka_incarnation = $3 and kafka_partition = $4";
        let names = "sink, kafka_topic, kafka_incarnation, kafka_partition";
        let plain = COUNTS.map(|count| format!("cast({count} as bigint)")).join(", ");
        let sums = COUNTS.map(|count| format!("cast(sum({count}) as bigint)")).join(", ");
        Statements {
            positions: format!(
                "select latest.kafka_incarnation, latest.kafka_partition, next_offset, last_offset, last_fingerprint, \
                 topic_id from sink_position as latest {TOPIC_ID} where latest.sink = $1 and latest.kafka_topic = $2 \
                 and latest.kafka_incarnation = (select max(kafka_incarnation) from sink_position \
                 where sink = latest.sink and kafka_topic = latest.kafka_topic \
                 and kafka_partition = latest.kafka_partition)"
            ),
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
            insert_ledger: insert_ledger(names, now),
            ledger_page: format!(
                "select {} from sink_chunk as chunk where {partition} and from_offset >= $5 and from_offset < \
                 (select max(from_offset) from sink_chunk where {partition}) order by from_offset limit $6",
                page(syntax, &plain)
            ),
            delete_ledger: format!(
                "delete from sink_chunk where {partition} and from_offset >= $5 and from_offset <= $6"
            ),
            merge_ledger: insert_ledger(names, &(syntax.time)("$14")),
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
                "insert into dead_letter_outbox (source, dead_letter_id) select $1, name.value from {ids} \
                 where true on conflict do nothing"
            ),
        }
    }
}

/// Inserts an entry of the ledger that was committed at that time.
fn insert_ledger(names: &str, committed_at: &str) -> String {
    format!(
        "insert into sink_chunk ({names}, from_offset, to_offset, {}, committed_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, {committed_at})",
        COUNTS.join(", ")
    )
}

/// The columns of an entry for [`crate::compact`]; the last one is 1 when it covers offsets of a recorded gap.
fn page(syntax: &Syntax, counts: &str) -> String {
    let is_in_gap = "exists (select 1 from sink_gap as gap where gap.sink = chunk.sink \
         and gap.kafka_topic = chunk.kafka_topic and gap.kafka_incarnation = chunk.kafka_incarnation \
         and gap.kafka_partition = chunk.kafka_partition and gap.from_offset < chunk.to_offset \
         and gap.to_offset > chunk.from_offset)";
    let committed_at = (syntax.read)(Kind::Timestamp, "committed_at");
    format!("from_offset, to_offset, {counts}, {committed_at}, cast(case when {is_in_gap} then 1 else 0 end as bigint)")
}
