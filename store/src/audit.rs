//! Reads a snapshot of the database, which `consumer verify` compares with Kafka.

use std::time::Duration;

use chrono::{DateTime, Utc};
use contract::{Kind, datasets, topic};
use futures::TryStreamExt as _;

use crate::commit::outcome;
use crate::dialect::Connection;
use crate::fault::Fault;
use crate::line::Line;
use crate::outcome::{Outcome, StoreError};
use crate::partition::{LastRecord, SinkPartition};
use crate::quarantine::{self, Parked};
use crate::session::bounded;
use crate::snapshot::{NO_ID, Snapshot, TopicSnapshot};
use crate::statement::Statement;
use crate::statements::sinks::TOPIC_ID;
use crate::syntax::Syntax;
use crate::text;

/// A read-only snapshot: everything that it reads is as of one moment, however long reading takes.
///
/// Every error is [`StoreError::Halt`]: the snapshot is lost with the connection, so a retry needs a new one.
#[expect(missing_debug_implementations, reason = "a connection has none")]
pub struct Audit {
    connection: Box<dyn Connection>,
    syntax: &'static Syntax,
    /// How long the database may send nothing. A whole result has no limit: a large table takes hours.
    silence: Option<Duration>,
}

/// Sums over the ledger of one partition of a sink.
#[derive(Debug, Clone)]
pub struct LedgerSums {
    /// The partition.
    pub partition: SinkPartition,
    /// Beginning of the first chunk and end of the last chunk.
    pub range: (i64, i64),
    /// Sums of the counts.
    pub outcome: Outcome,
    /// Sum of the chunks' lengths in offsets.
    pub span: i64,
    /// Number of chunks whose counts do not add up.
    pub broken: i64,
    /// Sum over all chunks of mixed(end) - mixed(beginning), see [`Audit::ledger`].
    pub steps: i64,
    /// The first beginning and the last end, mixed.
    pub ends: (i64, i64),
}

/// A row of `sink_gap`.
#[derive(Debug, Clone)]
pub struct GapRow {
    /// The partition.
    pub partition: SinkPartition,
    /// The skipped offsets; empty if the topic was recreated.
    pub range: (i64, i64),
    /// `retention`, `truncated` or `recreated`.
    pub reason: String,
    /// The range's ends, mixed.
    pub ends: (i64, i64),
}

/// A row of `sink_position`.
#[derive(Debug, Clone)]
pub struct PositionRow {
    /// The partition.
    pub partition: SinkPartition,
    /// The next offset to read.
    pub next_offset: i64,
    /// The last record that was read.
    pub last: Option<LastRecord>,
    /// When the position was last moved.
    pub moved_at: Option<DateTime<Utc>>,
    /// The id of the topic that was read; None where Kafka did not say.
    pub topic_id: Option<String>,
}

/// A row of `sink_halt`.
#[derive(Debug, Clone)]
pub struct HaltRow {
    /// The consumer group.
    pub sink: String,
    /// The sink's last line.
    pub reason: String,
    /// When it halted, as `2020-01-02T14:30:00.000000Z`.
    pub halted_at: String,
}

impl Audit {
    pub(crate) fn new(connection: Box<dyn Connection>, syntax: &'static Syntax, silence: Option<Duration>) -> Audit {
        Audit { connection, syntax, silence }
    }

    /// All positions.
    pub async fn positions(&mut self) -> Result<Vec<PositionRow>, StoreError> {
        let query = format!(
            "select latest.sink, latest.kafka_topic, cast(latest.kafka_incarnation as bigint), \
             cast(latest.kafka_partition as bigint), next_offset, last_offset, last_fingerprint, {}, topic_id \
             from sink_position as latest {TOPIC_ID} order by 1, 2, 3, 4",
            (self.syntax.read)(Kind::Timestamp, "updated_at")
        );
        let row = |line: Line| PositionRow {
            partition: line.partition(),
            next_offset: line.int(4),
            last: line.optional_int(5).zip(line.optional_int(6)).map(|(offset, hash)| LastRecord { offset, hash }),
            moved_at: line.optional_text(7).and_then(|time| text::read_time(&time)),
            topic_id: line.optional_text(8),
        };
        Ok(self.all(&query, &[]).await?.into_iter().map(row).collect())
    }

    /// What the sinks of a namespace have read by now, of these datasets; of all that have been read if there are none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Halt`] if nothing was read of one of them.
    pub async fn topics(&mut self, namespace: &str, names: &[String]) -> Result<Snapshot, StoreError> {
        let positions = self.positions().await?;
        let mut topics = Vec::new();
        for dataset in datasets().iter().filter(|dataset| names.is_empty() || names.contains(&dataset.name)) {
            let name = topic::topic(namespace, dataset);
            let is_read = |sink: &str, of: &str| of == name && !sink.contains(".replay.");
            let read = positions.iter().filter(|row| is_read(&row.partition.sink, &row.partition.topic));
            let Some(incarnation) = read.clone().map(|row| row.partition.incarnation).max() else {
                if names.contains(&dataset.name) {
                    let reason =
                        format!("nothing of `{}` has been read yet, so there is no snapshot of it", dataset.name);
                    return Err(StoreError::Halt(reason));
                }
                continue;
            };
            let (mut next, mut topic_id) = (Vec::new(), NO_ID.to_owned());
            for row in read.filter(|row| row.partition.incarnation == incarnation) {
                let number = usize::try_from(row.partition.number).unwrap_or_default();
                next.resize(next.len().max(number + 1), 0);
                next[number] = row.next_offset.max(next[number]);
                topic_id = row.topic_id.clone().unwrap_or(topic_id);
            }
            topics.push(TopicSnapshot { dataset: dataset.name.clone(), topic_id, incarnation, next });
        }
        Ok(Snapshot::new(topics))
    }

    /// Partitions of which a sink has stored nothing yet, and the id of the topic that it was assigned.
    pub async fn unread(&mut self) -> Result<Vec<(SinkPartition, String)>, StoreError> {
        let query = "select assigned.sink, assigned.kafka_topic, cast(assigned.kafka_incarnation as bigint), \
             cast(assigned.kafka_partition as bigint), assigned.topic_id from sink_topic as assigned \
             left join sink_position as latest on latest.sink = assigned.sink \
             and latest.kafka_topic = assigned.kafka_topic and latest.kafka_partition = assigned.kafka_partition \
             where latest.sink is null order by 1, 2, 3, 4";
        Ok(self.all(query, &[]).await?.iter().map(|line| (line.partition(), line.text(4))).collect())
    }

    /// The identity of the database; None when it has none.
    pub async fn identity(&mut self) -> Result<Option<String>, StoreError> {
        let lines = self.all("select database_id from sink_identity", &[]).await?;
        Ok(lines.first().and_then(|line| line.optional_text(0)))
    }

    /// The sinks that have halted.
    pub async fn halts(&mut self) -> Result<Vec<HaltRow>, StoreError> {
        let halted_at = (self.syntax.read)(Kind::Timestamp, "halted_at");
        let query = format!("select sink, reason, {halted_at} from sink_halt order by sink");
        let row = |line: Line| HaltRow { sink: line.text(0), reason: line.text(1), halted_at: line.text(2) };
        Ok(self.all(&query, &[]).await?.into_iter().map(row).collect())
    }

    /// The number of dead letters that Kafka refuses for good, by sink.
    pub async fn unpublished(&mut self) -> Result<Vec<(String, i64)>, StoreError> {
        let query =
            "select source, count(*) from dead_letter_outbox where refused is not null group by source order by 1";
        Ok(self.all(query, &[]).await?.iter().map(|line| (line.text(0), line.int(1))).collect())
    }

    /// The sums of the ledger by partition, in one pass.
    ///
    /// Each offset is mixed into a number of 40 bits. If every chunk begins where another ends, the steps from
    /// mixed(from) to mixed(to) add up to the step from the first beginning to the last end. Chunks are never empty and
    /// never begin at the same offset, so any other ledger has another sum, except by a chance of 1 in 2^40. This
    /// avoids a sort, which would be ten times as slow.
    pub async fn ledger(&mut self) -> Result<Vec<LedgerSums>, StoreError> {
        let counts = ["read", "inserted", "changed", "unchanged", "superseded", "dead_lettered", "kept"];
        let sums = counts.map(|count| format!("cast(sum(records_{count}) as bigint)")).join(", ");
        let mixed = self.syntax.mixed;
        let query = format!(
            "select sink, kafka_topic, cast(kafka_incarnation as bigint), cast(kafka_partition as bigint), {sums}, \
             min(from_offset), max(to_offset), cast(sum(to_offset - from_offset) as bigint), \
             count(case when records_read <> records_inserted + records_changed + records_unchanged \
             + records_superseded + records_dead_lettered or records_read > to_offset - from_offset then 1 end), \
             cast(sum({to} - {from}) as bigint), {first}, {last} \
             from sink_chunk group by sink, kafka_topic, kafka_incarnation, kafka_partition order by 1, 2, 3, 4",
            to = mixed("to_offset"),
            from = mixed("from_offset"),
            first = mixed("min(from_offset)"),
            last = mixed("max(to_offset)"),
        );
        let row = |line: Line| LedgerSums {
            partition: line.partition(),
            outcome: outcome(&line, 4),
            range: (line.int(11), line.int(12)),
            span: line.int(13),
            broken: line.int(14),
            steps: line.int(15),
            ends: (line.int(16), line.int(17)),
        };
        Ok(self.all(&query, &[]).await?.into_iter().map(row).collect())
    }

    /// All gaps.
    pub async fn gaps(&mut self) -> Result<Vec<GapRow>, StoreError> {
        let query = format!(
            "select sink, kafka_topic, cast(kafka_incarnation as bigint), cast(kafka_partition as bigint), from_offset, \
             to_offset, reason, {}, {} from sink_gap order by 1, 2, 3, 4, 5",
            (self.syntax.mixed)("from_offset"),
            (self.syntax.mixed)("to_offset")
        );
        let row = |line: Line| GapRow {
            partition: line.partition(),
            range: (line.int(4), line.int(5)),
            reason: line.text(6),
            ends: (line.int(7), line.int(8)),
        };
        Ok(self.all(&query, &[]).await?.into_iter().map(row).collect())
    }

    /// The chunks and gaps of a partition that do not begin at the end of the one before: (that end, the beginning).
    pub async fn breaks(&mut self, partition: &SinkPartition, most: usize) -> Result<Vec<(i64, i64)>, StoreError> {
        let these = these(partition);
        let query = format!(
            "select before, from_offset from (select from_offset, \
             lag(to_offset) over (order by from_offset, to_offset) as before from \
             (select from_offset, to_offset from sink_chunk where {these} union all \
             select from_offset, to_offset from sink_gap where {these} and to_offset > from_offset) as ranges) as steps \
             where before <> from_offset order by from_offset limit {most}"
        );
        let rows = self.all(&query, &[&partition.sink, &partition.topic]).await?;
        Ok(rows.into_iter().map(|line| (line.int(0), line.int(1))).collect())
    }

    /// Of the chunks that begin at an offset or later: the first beginning, and the number of their records.
    pub async fn read_since(
        &mut self,
        partition: &SinkPartition,
        offset: i64,
    ) -> Result<Option<(i64, i64)>, StoreError> {
        let query = format!(
            "select min(from_offset), cast(coalesce(sum(records_read), 0) as bigint) from sink_chunk \
             where {} and from_offset >= {offset}",
            these(partition)
        );
        let rows = self.all(&query, &[&partition.sink, &partition.topic]).await?;
        Ok(rows.first().and_then(|line| Some((line.optional_int(0)?, line.int(1)))))
    }

    /// The ranges of a partition whose superseded records were not kept, merged and in order.
    pub async fn without_revisions(&mut self, partition: &SinkPartition) -> Result<Vec<(i64, i64)>, StoreError> {
        let query = format!(
            "select from_offset, to_offset from sink_chunk where {} and records_kept is null order by from_offset",
            these(partition)
        );
        let mut ranges: Vec<(i64, i64)> = Vec::new();
        let push = |line: Line| {
            let (from, to) = (line.int(0), line.int(1));
            match ranges.last_mut() {
                Some(last) if last.1 >= from => last.1 = to.max(last.1),
                _ => ranges.push((from, to)),
            }
            Ok(())
        };
        self.each(&query, &[&partition.sink, &partition.topic], push).await?;
        Ok(ranges)
    }

    /// The number of dead letters of a source, optionally with an id in a range: from the first name (inclusive) to the
    /// second (exclusive).
    pub async fn dead_letters(&mut self, source: &str, names: Option<(&str, &str)>) -> Result<i64, StoreError> {
        let (first, end) = names.unwrap_or_default();
        let (between, binds): (_, &[&str]) = match names {
            None => ("", &[source]),
            Some(_) => (" and dead_letter_id >= $2 and dead_letter_id < $3", &[source, first, end]),
        };
        let rows = self.all(&format!("select count(*) from dead_letter where source = $1{between}"), binds).await?;
        Ok(rows.first().map_or(0, |line| line.int(0)))
    }

    /// Refused records of a sink without dead letters.
    pub async fn parked(&mut self, sink: &str) -> Result<Vec<Parked>, StoreError> {
        let query = "select sink, kafka_topic, cast(kafka_incarnation as bigint), cast(kafka_partition as bigint), \
             from_offset, offsets, publisher from parked_record where sink = $1";
        let parked = |line: &Line| Parked {
            partition: line.partition(),
            publisher: line.text(6),
            from_offset: line.int(4),
            offsets: quarantine::offsets(&line.text(5)).unwrap_or_default(),
        };
        Ok(self.all(query, &[sink]).await?.iter().map(parked).collect())
    }

    /// Reads each dead letter of a source: id, timestamp, key, value, headers, whether deleted, whether redriven.
    pub async fn each_dead_letter(
        &mut self,
        source: &str,
        each: impl FnMut(Line) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let query = "select letter.dead_letter_id, letter.record_timestamp_ms, letter.record_key, letter.record_value, \
             letter.record_headers, cast(case when letter.deleted then 1 else 0 end as bigint), \
             cast(case when done.source is null then 0 else 1 end as bigint) from dead_letter as letter \
             left join dead_letter_resolution as done on done.source = letter.source \
             and done.dead_letter_id = letter.dead_letter_id where letter.source = $1";
        self.each(query, &[source], each).await
    }

    /// Reads the names of a source's dead letters that were redriven.
    pub async fn each_resolution(&mut self, source: &str, mut each: impl FnMut(String)) -> Result<(), StoreError> {
        let query = "select dead_letter_id from dead_letter_resolution where source = $1";
        let each = |line: Line| {
            each(line.text(0));
            Ok(())
        };
        self.each(query, &[source], each).await
    }

    async fn all(&mut self, query: &str, parameters: &[&str]) -> Result<Vec<Line>, StoreError> {
        let mut lines = Vec::new();
        let push = |line| {
            lines.push(line);
            Ok(())
        };
        self.each(query, parameters, push).await?;
        Ok(lines)
    }

    /// Streams the rows, so that a table need not fit into memory.
    async fn each(
        &mut self,
        query: &str,
        parameters: &[&str],
        mut each: impl FnMut(Line) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let query = Statement::once(query.to_owned());
        let query = parameters.iter().fold(query, |query, parameter| query.bind(*parameter));
        let mut lines = self.connection.fetch(query);
        while let Some(line) = bounded(self.silence, lines.try_next()).await.map_err(failed)? {
            each(line)?;
        }
        Ok(())
    }
}

/// The condition for a partition; sink and topic are the first two parameters.
fn these(partition: &SinkPartition) -> String {
    format!(
        "sink = $1 and kafka_topic = $2 and kafka_incarnation = {} and kafka_partition = {}",
        partition.incarnation, partition.number
    )
}

fn failed(fault: Fault) -> StoreError {
    StoreError::Halt(format!("cannot read the database: {}", fault.reason()))
}
