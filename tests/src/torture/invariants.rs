//! What must hold after any faults; each violation is a line.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use contract::Invariant;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use crate::broker::block_on;
use crate::oracle::{Dead, Key, Oracle, Row};

/// Records every update of a bar that does not go forward ([`Invariant::NeverBackward`]). The same version may get a lower
/// place on the topic. The table of the build before the upgrade has no places, hence JSON.
const BACKWARD_TRIGGER: &str = "
create table test_backward (old_row text not null, new_row text not null);
create function test_is_lower(one jsonb, other jsonb) returns boolean language sql as $$
    select one ->> 'topic_offset' is not null and (other ->> 'topic_offset' is null
        or ((one ->> 'topic_incarnation')::integer, (one ->> 'topic_partition')::integer, (one ->> 'topic_offset')::bigint)
            < ((other ->> 'topic_incarnation')::integer, (other ->> 'topic_partition')::integer,
                (other ->> 'topic_offset')::bigint))
$$;
create function test_backward() returns trigger language plpgsql as $$
begin
    if (new.known_at, new.observed_at, new.content_hash) > (old.known_at, old.observed_at, old.content_hash) then
        return new;
    end if;
    if (new.known_at, new.observed_at, new.content_hash) < (old.known_at, old.observed_at, old.content_hash)
        or not test_is_lower(to_jsonb(new), to_jsonb(old)) then
        insert into test_backward values (left(old::text, 500), left(new::text, 500));
    end if;
    return new;
end $$;
create trigger test_backward before update on ohlcv_bar for each row execute function test_backward();
create function test_deleted() returns trigger language plpgsql as $$
begin
    insert into test_backward values (left(old::text, 500), 'removed');
    return old;
end $$;
create trigger test_deleted before delete on ohlcv_bar for each row execute function test_deleted();";

/// Queries that must return no rows, and what a row would violate; `{sink}` is the consumer group.
const NOTHING: &[(Option<Invariant>, &str, &str)] = &[
    (
        Some(Invariant::ContiguousLedger),
        "the ledger has a gap or an overlap",
        "select kafka_partition, from_offset, before from (select *, coalesce(lag(to_offset) over (partition by \
         kafka_topic, kafka_incarnation, kafka_partition order by from_offset), 0) as before from sink_chunk \
         where sink = '{sink}') as chunk where before <> from_offset",
    ),
    (
        Some(Invariant::PositionEndsLedger),
        "a position is not where the ledger ends",
        "select kafka_partition, next_offset from sink_position as position where sink = '{sink}' and next_offset <> \
         (select max(to_offset) from sink_chunk where sink = position.sink and kafka_topic = position.kafka_topic and \
         kafka_incarnation = position.kafka_incarnation and kafka_partition = position.kafka_partition)",
    ),
    (
        Some(Invariant::RecordsAddUp),
        "a chunk does not account for each of its records",
        "select kafka_partition, from_offset from sink_chunk where sink = '{sink}' and (records_read <> to_offset - from_offset \
         or records_read <> records_inserted + records_changed + records_unchanged + records_superseded + records_dead_lettered)",
    ),
    (Some(Invariant::NeverBackward), "a row went backward", "select old_row, new_row from test_backward"),
    (
        None,
        "an incarnation was started again",
        "select kafka_incarnation from sink_position where sink = '{sink}' and kafka_incarnation > 0",
    ),
];

/// Puts the trigger of I6 on the table.
pub(super) fn watch_updates(database: &str) {
    block_on(async {
        let mut connection = PgConnection::connect(database).await.unwrap();
        sqlx::raw_sql(BACKWARD_TRIGGER).execute(&mut connection).await.unwrap();
    });
}

/// Violations in a sink's database; `offsets` are those of Kafka's group and the ends of the topic's partitions.
pub(super) fn violations(
    database: &str,
    group: &str,
    oracle: &Oracle,
    offsets: &[BTreeMap<i32, i64>; 2],
) -> Vec<String> {
    block_on(async {
        let mut connection = PgConnection::connect(database).await.unwrap();
        let mut found = Vec::new();
        for (invariant, what, query) in NOTHING {
            let query = query.replace("{sink}", group);
            let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(&mut connection).await.unwrap();
            if !rows.is_empty() {
                let id = invariant.map(|invariant| format!("{invariant}: ")).unwrap_or_default();
                found.push(format!("{id}{what}: {} times in {group}", rows.len()));
            }
        }
        positions(&mut connection, group, oracle, offsets, &mut found).await;
        let dead_letters = dead_letters(&mut connection, group).await;
        let parked = parked(&mut connection, group).await;
        let mut must_be = oracle.dead_letters.clone();
        let letters_of_flood = oracle.flood.iter().filter(|(at, _)| !parked.contains(at));
        must_be.extend(letters_of_flood.map(|(at, dead)| (*at, dead.clone())));
        differences((Invariant::RefusalsKept, "dead letter"), group, &dead_letters, &must_be, &mut found);
        for at in parked.iter().filter(|at| !oracle.flood.contains_key(at)).take(3) {
            found.push(format!("{}: {group} has parked {at:?} of a good publisher", Invariant::RefusalsKept));
        }
        let rows = rows(&mut connection).await;
        differences((Invariant::HighestVersion, "row"), group, &rows, &oracle.rows, &mut found);
        found
    })
}

/// I3 against the topic, I9 and I10.
async fn positions(
    connection: &mut PgConnection,
    group: &str,
    oracle: &Oracle,
    [reported, ends]: &[BTreeMap<i32, i64>; 2],
    found: &mut Vec<String>,
) {
    let query = "select kafka_partition, next_offset, (select sum(records_read)::bigint from sink_chunk \
        where sink = position.sink and kafka_partition = position.kafka_partition) from sink_position as position where sink = $1";
    let rows = sqlx::query(query).bind(group).fetch_all(connection).await.unwrap();
    let read: BTreeMap<i32, i64> = rows.iter().map(|row| (row.get(0), row.get(2))).collect();
    if read != oracle.counts {
        found.push(format!(
            "{}: {group} has read {read:?}, the topic has {:?}",
            Invariant::RecordsAddUp,
            oracle.counts
        ));
    }
    for row in &rows {
        let (partition, position): (i32, i64) = (row.get(0), row.get(1));
        if reported.get(&partition).is_some_and(|reported| *reported > position) {
            found.push(format!(
                "{}: Kafka's group {group} is ahead of position {position} of partition {partition}",
                Invariant::GroupBehindPosition
            ));
        }
        if position > ends[&partition] {
            found.push(format!(
                "{}: {group} is at {position} of partition {partition}, which ends at {}",
                Invariant::PositionWithinTopic,
                ends[&partition]
            ));
        }
    }
}

async fn dead_letters(connection: &mut PgConnection, group: &str) -> BTreeMap<(i32, i64), Dead> {
    let query = "select kafka_partition::int, kafka_offset, error_class, record_key, record_value, dead_letter_id, \
        kafka_topic || '/' || kafka_incarnation || '/' || kafka_partition || '/' || kafka_offset from dead_letter where source = $1";
    let rows = sqlx::query(query).bind(group).fetch_all(connection).await.unwrap();
    let dead = |row: &sqlx::postgres::PgRow| {
        assert_eq!(row.get::<String, _>(5), row.get::<String, _>(6), "a dead letter's id is its coordinate");
        ((row.get(0), row.get(1)), (row.get(2), row.get(3), row.get(4)))
    };
    rows.iter().map(dead).collect()
}

/// How many refused messages of a sink are no dead letters.
pub(super) fn count_parked(database: &str, group: &str) -> usize {
    block_on(async {
        let mut connection = PgConnection::connect(database).await.unwrap();
        parked(&mut connection, group).await.len()
    })
}

/// Coordinates of refused messages that are no dead letters.
async fn parked(connection: &mut PgConnection, group: &str) -> BTreeSet<(i32, i64)> {
    let query = "select kafka_partition, offsets from parked_record where sink = $1";
    let chunks: Vec<(i32, String)> = sqlx::query_as(query).bind(group).fetch_all(connection).await.unwrap();
    let mut parked = BTreeSet::new();
    for (partition, offsets) in &chunks {
        for range in offsets.split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let offsets = first.parse::<i64>().unwrap()..=last.parse().unwrap();
            offsets.for_each(|offset| assert!(parked.insert((*partition, offset)), "{offset} is parked twice"));
        }
    }
    parked
}

async fn rows(connection: &mut PgConnection) -> BTreeMap<Key, Row> {
    let query = "select source, symbol, bar_interval, ts_start, known_at, observed_at, content_hash, deleted, trading_date, \
        open, high, low, close, volume, adjusted_close, currency, flags from ohlcv_bar";
    let rows = sqlx::query(query).fetch_all(connection).await.unwrap();
    let micros = |row: &sqlx::postgres::PgRow, at: usize| row.get::<DateTime<Utc>, _>(at).timestamp_micros();
    let row = |row: &sqlx::postgres::PgRow| {
        let epoch = DateTime::UNIX_EPOCH.date_naive();
        let day = |date: NaiveDate| date.signed_duration_since(epoch).num_days() as i32;
        let key = (row.get(0), row.get(1), row.get(2), micros(row, 3));
        let value = Row {
            version: (micros(row, 4), micros(row, 5), row.get(6)),
            is_deleted: row.get(7),
            trading_date: row.get::<Option<NaiveDate>, _>(8).map(day),
            numbers: std::array::from_fn(|at| row.get(9 + at)),
            currency: row.get(15),
            flags: row.get(16),
        };
        (key, value)
    };
    rows.iter().map(row).collect()
}

/// A line for each difference between two maps.
fn differences<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    (invariant, what): (Invariant, &str),
    group: &str,
    is: &BTreeMap<K, V>,
    must_be: &BTreeMap<K, V>,
    found: &mut Vec<String>,
) {
    let keys: BTreeSet<&K> = is.keys().chain(must_be.keys()).collect();
    let differ: Vec<&K> = keys.into_iter().filter(|key| is.get(key) != must_be.get(key)).collect();
    for key in differ.iter().take(3) {
        let shown = |value: Option<&V>| format!("{value:?}").chars().take(600).collect::<String>();
        found.push(format!(
            "{invariant}: {what} {key:?} of {group} is {}, must be {}",
            shown(is.get(key)),
            shown(must_be.get(key))
        ));
    }
    if differ.len() > 3 {
        found.push(format!("{invariant}: {what}: {} differ in {group}", differ.len()));
    }
}

/// A checksum over the whole table, including the time of each row's last write; without the places on the topic if a
/// build that stores none has written some of the rows: a replay fills them in.
pub(super) fn checksum(database: &str, has_places: bool) -> String {
    let left_out = if has_places { "{}" } else { "{topic_incarnation,topic_partition,topic_offset}" };
    let query = "select md5(string_agg(md5(cast(to_jsonb(bar) - $1::text[] as text)), '' \
        order by source, symbol, bar_interval, ts_start)) from ohlcv_bar as bar";
    block_on(async {
        let mut connection = PgConnection::connect(database).await.unwrap();
        sqlx::query_scalar(query).bind(left_out).fetch_one(&mut connection).await.unwrap()
    })
}
