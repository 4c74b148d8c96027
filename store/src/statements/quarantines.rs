//! Quarantines and parked records.

use contract::Kind;

use crate::syntax::Syntax;

/// Statements of one database. The first two parameters are always sink and publisher; a statement uses the first of
/// them that it needs.
#[derive(Debug)]
pub(crate) struct Statements {
    /// Begins a quarantine, unless there is one: refused, seen and the reason follow.
    pub(crate) begin: String,
    /// Locks the quarantines of a sink; returns publishers and numbers of dead letters.
    pub(crate) used: String,
    /// Counts dead letters, whose number follows.
    pub(crate) count: String,
    /// Parks records of a chunk: topic, incarnation, partition, first offset of the chunk, offsets and their number follow.
    pub(crate) park: String,
    /// All quarantines.
    pub(crate) all: String,
    /// Numbers of parked records, by sink and publisher.
    pub(crate) parked: String,
    /// Ends a quarantine.
    pub(crate) end: String,
    /// The parked records of a publisher, at most as many rows as the third parameter says.
    pub(crate) rows: String,
    /// Removes a row of parked records: topic, incarnation, partition and first offset of the chunk follow.
    pub(crate) unpark: String,
}

impl Statements {
    pub(super) fn new(syntax: &Syntax) -> Statements {
        let Syntax { now, read, lock_quarantines, .. } = syntax;
        let since = read(Kind::Timestamp, "since");
        Statements {
            begin: format!(
                "insert into quarantine (sink, publisher, since, refused, seen, reason, dead_letters) \
                 values ($1, $2, {now}, $3, $4, $5, 0) on conflict do nothing"
            ),
            used: format!(
                "select publisher, dead_letters from quarantine where sink = $1 order by publisher{lock_quarantines}"
            ),
            count: "update quarantine set dead_letters = dead_letters + $3 where sink = $1 and publisher = $2"
                .to_owned(),
            park: format!(
                "insert into parked_record (sink, publisher, kafka_topic, kafka_incarnation, kafka_partition, \
                 from_offset, offsets, records, parked_at) values ($1, $2, $3, $4, $5, $6, $7, $8, {now})"
            ),
            all: format!(
                "select sink, publisher, {since}, refused, seen, reason, dead_letters from quarantine \
                 order by sink, publisher"
            ),
            parked: "select sink, publisher, cast(sum(records) as bigint) from parked_record \
                group by sink, publisher order by sink, publisher"
                .to_owned(),
            end: "delete from quarantine where sink = $1 and publisher = $2".to_owned(),
            rows: "select sink, kafka_topic, cast(kafka_incarnation as bigint), cast(kafka_partition as bigint), \
                from_offset, offsets from parked_record where sink = $1 and publisher = $2 \
                order by kafka_topic, kafka_incarnation, kafka_partition, from_offset limit $3"
                .to_owned(),
            unpark: "delete from parked_record where sink = $1 and publisher = $2 and kafka_topic = $3 \
                and kafka_incarnation = $4 and kafka_partition = $5 and from_offset = $6"
                .to_owned(),
        }
    }
}
