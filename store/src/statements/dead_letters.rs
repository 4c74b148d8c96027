//! Dead letters, their resolutions, and their outbox.

use contract::Kind;

use crate::syntax::Syntax;

/// Statements of one database. In those with a filter the first nine parameters are the filter's.
#[derive(Debug)]
pub(crate) struct Statements {
    /// With a filter.
    pub(crate) counts: String,
    /// With a filter; then the limit.
    pub(crate) newest: String,
    /// With a filter; then source and id of the name to start after, and the limit. Returns names and sizes.
    pub(crate) next: String,
    /// By a JSON list of names.
    pub(crate) letters: String,
    /// Records a resolution: source, id, resolution.
    pub(crate) resolve: String,
    /// Counts what waits in the outbox, up to a limit.
    pub(crate) waiting: String,
    /// Counts what Kafka accepts in no form.
    pub(crate) unpublished: &'static str,
    /// Marks as refused: source, id, reason.
    pub(crate) refuse: &'static str,
    /// Returns names and sizes of the outbox, up to a limit.
    pub(crate) outbox: String,
    /// Removes from the outbox, by a JSON list of names.
    pub(crate) forget: String,
}

/// Bytes of a dead letter's message.
const SIZE: &str = "cast(coalesce(length(letter.record_key), 0) + coalesce(length(letter.record_value), 0) \
    + coalesce(length(letter.record_headers), 0) as bigint)";
/// A dead letter with its resolution.
const FROM: &str = "from dead_letter as letter left join dead_letter_resolution as done \
    on done.source = letter.source and done.dead_letter_id = letter.dead_letter_id";

/// The condition with a filter's nine parameters.
fn filter(syntax: &Syntax) -> String {
    format!(
        "not letter.deleted and (cast($8 as bigint) = 1 or done.resolution is null) \
         and (cast($1 as text) is null or letter.dataset = $1) \
         and (cast($2 as text) is null or letter.error_class = $2) \
         and (cast($3 as text) is null or letter.stage = $3) \
         and (cast($4 as text) is null or letter.source = $4) \
         and (cast($5 as text) is null or letter.known_at >= {from}) \
         and (cast($6 as text) is null or letter.known_at < {to}) \
         and (cast($7 as text) is null or letter.dead_letter_id in (select name.value from {ids})) \
         and (cast($9 as bigint) = 0 or letter.stage in ('decode', 'validate', 'store'))",
        from = (syntax.time)("$5"),
        to = (syntax.time)("$6"),
        ids = (syntax.texts)("$7"),
    )
}

/// The bytes of a dead letter's message.
const MESSAGE: &str = "letter.record_key, letter.record_value, letter.record_headers";
/// Typed nulls in place of the message's columns.
const NO_MESSAGE: &str = "nullif(letter.record_key, letter.record_key), nullif(letter.record_value, letter.record_value), \
    nullif(letter.record_headers, letter.record_headers)";

/// The columns of a dead letter and of its resolution, in the order in which they are read.
fn columns(syntax: &Syntax, message: &str) -> String {
    let time = |column: &str| (syntax.read)(Kind::Timestamp, column);
    format!(
        "letter.source, letter.dead_letter_id, letter.stage, letter.error_class, letter.sqlstate, letter.reason, \
         letter.dataset, letter.kafka_topic, cast(letter.kafka_incarnation as bigint), \
         cast(letter.kafka_partition as bigint), letter.kafka_offset, letter.record_timestamp_ms, {message}, \
         {}, {}, {}, done.resolution, {}",
        time("letter.known_at"),
        time("letter.observed_at"),
        (syntax.read)(Kind::TextList, "letter.flags"),
        time("done.resolved_at"),
    )
}

impl Statements {
    pub(super) fn new(syntax: &Syntax) -> Statements {
        let Syntax { now, read, items, lock_outbox, .. } = syntax;
        let text = |time: &str| read(Kind::Timestamp, time);
        let filter = filter(syntax);
        let (oldest, newest, items) = (text("min(letter.known_at)"), text("max(letter.known_at)"), items("$1"));
        let by_name = "letter.source, letter.dead_letter_id";
        Statements {
            counts: format!(
                "select letter.dataset, letter.stage, letter.error_class, letter.sqlstate, count(*), {oldest}, {newest} \
                 {FROM} where {filter} group by letter.dataset, letter.stage, letter.error_class, letter.sqlstate \
                 order by count(*) desc, letter.dataset, letter.stage, letter.error_class, letter.sqlstate"
            ),
            newest: format!(
                "select {} {FROM} where {filter} order by letter.known_at desc, {by_name} limit $10",
                columns(syntax, NO_MESSAGE)
            ),
            next: format!(
                "select letter.source, letter.dead_letter_id, {SIZE} {FROM} where {filter} \
                 and ({by_name}) > ($10, $11) order by {by_name} limit $12"
            ),
            letters: format!(
                "select {} from {items} join dead_letter as letter \
                 on letter.source = name.value ->> 0 and letter.dead_letter_id = name.value ->> 1 \
                 left join dead_letter_resolution as done \
                 on done.source = letter.source and done.dead_letter_id = letter.dead_letter_id \
                 where not letter.deleted order by {by_name}",
                columns(syntax, MESSAGE)
            ),
            resolve: format!(
                "insert into dead_letter_resolution (source, dead_letter_id, resolution, resolved_at) \
                 values ($1, $2, $3, {now}) on conflict do nothing"
            ),
            waiting:
                "select count(*) from (select 1 from dead_letter_outbox where refused is null limit $1) as waiting"
                    .to_owned(),
            unpublished: "select count(*) from dead_letter_outbox where refused is not null",
            refuse: "update dead_letter_outbox set refused = $3 where source = $1 and dead_letter_id = $2",
            outbox: format!(
                "select waiting.source, waiting.dead_letter_id, {SIZE} from dead_letter_outbox as waiting \
                 left join dead_letter as letter \
                 on letter.source = waiting.source and letter.dead_letter_id = waiting.dead_letter_id \
                 where waiting.refused is null order by waiting.source, waiting.dead_letter_id limit $1{lock_outbox}"
            ),
            forget: format!(
                "delete from dead_letter_outbox where (source, dead_letter_id) in \
                 (select name.value ->> 0, name.value ->> 1 from {items})"
            ),
        }
    }
}
