//! Dead letters in the database: found, shown, published from the outbox, and tried again.

use std::sync::LazyLock;

use chrono::{DateTime, SecondsFormat, Utc};
use contract::records::DeadLetter;
use contract::rows::Folded;
use contract::{Rows, Text};
use futures::future::BoxFuture;
use sqlx::query::Query;
use sqlx::{ColumnIndex, Decode, Encode, Row, Type};

use crate::chunk::Target;
use crate::dead_letter::Cause;
use crate::outcome::{StoreError, Upserted};

/// Most dead letters that are handled at once.
pub const MAX_LETTERS: usize = 500;
/// Most dead letters that are taken from the outbox at once: Kafka must acknowledge them within [`FORWARD_PATIENCE`].
pub(crate) const MAX_RELAYED: i64 = 200;
/// Most bytes of messages that are handled at once, unless one alone has more: what bounds the memory that this needs.
const MAX_BYTES: i64 = 4 << 20;

/// Name of a dead letter: its natural key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// Who refused it.
    pub source: String,
    /// Which one.
    pub id: String,
}

/// Which dead letters are meant; what is None or empty does not restrict them.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Dataset that they were meant for.
    pub dataset: Option<String>,
    /// Kind of the failure.
    pub class: Option<String>,
    /// Where they were refused.
    pub stage: Option<String>,
    /// Who refused them.
    pub source: Option<String>,
    /// Refused at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Refused before this time.
    pub to: Option<DateTime<Utc>>,
    /// Their ids.
    pub ids: Vec<String>,
    /// Also those that are no longer open.
    pub all: bool,
    /// Only those of a message, which can be tried again.
    pub of_messages: bool,
}

/// How many dead letters have the same cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Dataset that they were meant for.
    pub dataset: String,
    /// Where they were refused.
    pub stage: String,
    /// Kind of the failure.
    pub class: String,
    /// The database's code.
    pub sqlstate: Option<String>,
    /// How many.
    pub count: i64,
    /// When the first of them was refused.
    pub oldest: String,
    /// When the last of them was refused.
    pub newest: String,
}

/// A dead letter, and what became of it.
#[derive(Debug, Clone)]
pub struct Letter {
    /// The dead letter.
    pub record: DeadLetter,
    /// `inserted`, `changed`, `unchanged` or `superseded` once it was tried again with success; None: it is open.
    pub resolution: Option<String>,
    /// When that was.
    pub resolved_at: Option<String>,
}

/// Records of dead letters that are good now.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Where they go.
    pub target: &'a Target,
    /// The records.
    pub rows: &'a Rows,
    /// The dead letter of each row.
    pub names: &'a [Name],
    /// Whether to write nothing, and only say what would happen.
    pub dry_run: bool,
}

/// What became of a dead letter that was tried again.
#[derive(Debug, Clone)]
pub enum Fate {
    /// In the table, as `inserted`, `changed`, `unchanged` or `superseded`.
    Applied(&'static str),
    /// The database refuses it still.
    Refused(Cause),
    /// Somebody else was faster.
    Resolved,
}

impl Fate {
    /// Of the upsert of a single row.
    pub(crate) fn of_upsert(upserted: Upserted) -> Fate {
        Fate::Applied(match upserted {
            Upserted { written: 0, .. } => "superseded",
            Upserted { seen: [1, ..], .. } => "inserted",
            Upserted { seen: [_, 1, _], .. } => "changed",
            Upserted { .. } => "unchanged",
        })
    }
}

/// Takes dead letters somewhere.
pub trait Forward: Send {
    /// Says of each whether it is there. Must answer within [`FORWARD_PATIENCE`].
    fn forward<'a>(&'a mut self, letters: &'a [DeadLetter]) -> BoxFuture<'a, Vec<bool>>;
}

/// How long a [`Forward`] may take: PostgreSQL ends a transaction that idles for 10 seconds.
pub const FORWARD_PATIENCE: std::time::Duration = std::time::Duration::from_secs(8);

/// What one turn of the outbox did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Relayed {
    /// Taken from the outbox to be forwarded.
    pub taken: usize,
    /// Of these, those that are there and no longer in the outbox.
    pub forwarded: usize,
}

/// A database connection that knows dead letters.
pub trait DeadLetters: Send {
    /// Counts by cause, the most frequent first.
    fn counts<'a>(&'a mut self, filter: &'a Filter) -> BoxFuture<'a, Result<Vec<Count>, StoreError>>;

    /// The newest ones, without their messages.
    fn newest<'a>(&'a mut self, filter: &'a Filter, limit: i64) -> BoxFuture<'a, Result<Vec<Letter>, StoreError>>;

    /// The first ones after a name, as many as may be handled at once, with their messages; in the order of their names.
    fn next<'a>(&'a mut self, filter: &'a Filter, after: &'a Name) -> BoxFuture<'a, Result<Vec<Letter>, StoreError>>;

    /// Upserts rows as any chunk does, and in the same transaction notes of each dead letter what became of it. One that
    /// the database refuses stays open and costs no other.
    fn redrive<'a>(&'a mut self, batch: &'a Batch<'a>) -> BoxFuture<'a, Result<Vec<Fate>, StoreError>>;

    /// How many wait in the outbox, counted up to that many.
    fn waiting(&mut self, most: i64) -> BoxFuture<'_, Result<i64, StoreError>>;

    /// Forwards some of the outbox and removes those that arrived. What other consumers have in hand is left to them,
    /// where the database can tell (PostgreSQL).
    fn relay<'a>(&'a mut self, forward: &'a mut dyn Forward) -> BoxFuture<'a, Result<Relayed, StoreError>>;
}

/// Statements of one dialect. In those with a filter the first nine parameters are the filter's.
#[derive(Debug)]
pub(crate) struct Statements {
    /// With a filter.
    pub(crate) counts: String,
    /// With a filter; then the limit.
    pub(crate) newest: String,
    /// With a filter; then source and id of the name after which to begin, and the limit. Names and sizes.
    pub(crate) next: String,
    /// By a JSON list of names.
    pub(crate) letters: String,
    /// Notes what became of one: source, id, resolution.
    pub(crate) resolve: String,
    /// Counts the outbox, up to a limit.
    pub(crate) waiting: String,
    /// Names and sizes in the outbox, up to a limit.
    pub(crate) outbox: String,
    /// Removes from the outbox, by a JSON list of names.
    pub(crate) forget: String,
}

/// For PostgreSQL.
pub(crate) static POSTGRES: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(&Dialect {
        now: "now()",
        time: |parameter| format!("cast({parameter} as timestamptz)"),
        text: |time| format!("to_char({time} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"),
        list: |list| format!("cast(array_to_json({list}) as text)"),
        texts: |parameter| format!("json_array_elements_text(cast({parameter} as json)) as name(value)"),
        items: |parameter| format!("json_array_elements(cast({parameter} as json)) as name(value)"),
        lock: " for update of waiting skip locked",
    })
});
/// For SQLite, whose times are texts of one width.
pub(crate) static SQLITE: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(&Dialect {
        now: "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')",
        time: str::to_owned,
        text: str::to_owned,
        list: str::to_owned,
        texts: |parameter| format!("json_each({parameter}) as name"),
        items: |parameter| format!("json_each({parameter}) as name"),
        lock: "",
    })
});

/// Where the two databases differ.
struct Dialect {
    now: &'static str,
    /// A time from a parameter.
    time: fn(&str) -> String,
    /// A time as text.
    text: fn(&str) -> String,
    /// A list as JSON.
    list: fn(&str) -> String,
    /// A JSON list of texts as rows `name.value`.
    texts: fn(&str) -> String,
    /// A JSON list of lists as rows `name.value`.
    items: fn(&str) -> String,
    /// What keeps others from the same rows of the outbox.
    lock: &'static str,
}

/// Bytes of a dead letter's message.
const SIZE: &str = "cast(coalesce(length(letter.record_key), 0) + coalesce(length(letter.record_value), 0) \
    + coalesce(length(letter.record_headers), 0) as bigint)";
/// A dead letter with what became of it.
const FROM: &str = "from dead_letter as letter left join dead_letter_resolution as done \
    on done.source = letter.source and done.dead_letter_id = letter.dead_letter_id";

/// The condition with a filter's nine parameters.
fn filter(dialect: &Dialect) -> String {
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
        from = (dialect.time)("$5"),
        to = (dialect.time)("$6"),
        ids = (dialect.texts)("$7"),
    )
}

impl Statements {
    fn new(dialect: &Dialect) -> Statements {
        let Dialect { now, text, list, items, lock, .. } = dialect;
        let filter = filter(dialect);
        let columns = |with_message: bool| {
            let message = if with_message {
                "letter.record_key, letter.record_value, letter.record_headers"
            } else {
                // Nulls that have a type.
                "nullif(letter.record_key, letter.record_key), nullif(letter.record_value, letter.record_value), \
                 nullif(letter.record_headers, letter.record_headers)"
            };
            format!(
                "letter.source, letter.dead_letter_id, letter.stage, letter.error_class, letter.sqlstate, letter.reason, \
                 letter.dataset, letter.kafka_topic, cast(letter.kafka_incarnation as bigint), \
                 cast(letter.kafka_partition as bigint), letter.kafka_offset, letter.record_timestamp_ms, {message}, \
                 {}, {}, {}, done.resolution, {}",
                text("letter.known_at"),
                text("letter.observed_at"),
                list("letter.flags"),
                text("done.resolved_at"),
            )
        };
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
                columns(false)
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
                columns(true)
            ),
            resolve: format!(
                "insert into dead_letter_resolution (source, dead_letter_id, resolution, resolved_at) \
                 values ($1, $2, $3, {now}) on conflict do nothing"
            ),
            waiting: "select count(*) from (select 1 from dead_letter_outbox limit $1) as waiting".to_owned(),
            outbox: format!(
                "select waiting.source, waiting.dead_letter_id, {SIZE} from dead_letter_outbox as waiting \
                 left join dead_letter as letter \
                 on letter.source = waiting.source and letter.dead_letter_id = waiting.dead_letter_id \
                 order by waiting.source, waiting.dead_letter_id limit $1{lock}"
            ),
            forget: format!(
                "delete from dead_letter_outbox where (source, dead_letter_id) in \
                 (select name.value ->> 0, name.value ->> 1 from {items})"
            ),
        }
    }
}

/// A statement with a filter's parameters.
pub(crate) fn filtered<'q, DB>(statement: &'static str, filter: &Filter) -> Query<'q, DB, DB::Arguments>
where
    DB: sqlx::Database,
    Option<String>: Encode<'q, DB> + Type<DB>,
    i64: Encode<'q, DB> + Type<DB>,
{
    let time = |time: Option<DateTime<Utc>>| time.map(|time| time.to_rfc3339_opts(SecondsFormat::Micros, true));
    let ids = (!filter.ids.is_empty()).then(|| serde_json::Value::from(filter.ids.clone()).to_string());
    sqlx::query(statement)
        .bind(filter.dataset.clone())
        .bind(filter.class.clone())
        .bind(filter.stage.clone())
        .bind(filter.source.clone())
        .bind(time(filter.from))
        .bind(time(filter.to))
        .bind(ids)
        .bind(i64::from(filter.all))
        .bind(i64::from(filter.of_messages))
}

/// The counts in a row.
pub(crate) fn count<R>(row: &R) -> Count
where
    R: Row,
    usize: ColumnIndex<R>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    Count {
        dataset: row.get(0),
        stage: row.get(1),
        class: row.get(2),
        sqlstate: row.get(3),
        count: row.get(4),
        oldest: row.get(5),
        newest: row.get(6),
    }
}

/// Name and size in a row.
pub(crate) fn sized<R>(row: &R) -> (Name, i64)
where
    R: Row,
    usize: ColumnIndex<R>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    (Name { source: row.get(0), id: row.get(1) }, row.get(2))
}

/// The first of these, as many as may be in memory at once.
pub(crate) fn first(sized: Vec<(Name, i64)>) -> Vec<Name> {
    let mut bytes = 0;
    let mut fits = |at: usize, size: i64| {
        bytes += size;
        at == 0 || bytes <= MAX_BYTES
    };
    sized.into_iter().enumerate().take_while(|(at, (_, size))| fits(*at, *size)).map(|(_, (name, _))| name).collect()
}

/// Names as the statements take them.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a Name>) -> String {
    let names = names.into_iter().map(|name| serde_json::json!([name.source, name.id]));
    serde_json::Value::Array(names.collect()).to_string()
}

/// The dead letter in a row.
pub(crate) fn letter<R>(row: &R) -> Result<Letter, StoreError>
where
    R: Row,
    usize: ColumnIndex<R>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    Vec<u8>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    let text = |column: usize| Text::from(row.get::<String, _>(column));
    let optional = |column: usize| row.get::<Option<String>, _>(column).map(Text::from);
    let record = DeadLetter {
        source: text(0),
        dead_letter_id: text(1),
        stage: text(2),
        error_class: text(3),
        sqlstate: optional(4),
        reason: text(5),
        dataset: text(6),
        kafka_topic: optional(7),
        kafka_incarnation: row.get(8),
        kafka_partition: row.get(9),
        kafka_offset: row.get(10),
        record_timestamp_ms: row.get(11),
        record_key: row.get(12),
        record_value: row.get(13),
        record_headers: row.get(14),
        known_at: time(&row.get::<String, _>(15))?,
        observed_at: time(&row.get::<String, _>(16))?,
        flags: serde_json::from_str(&row.get::<String, _>(17)).unwrap_or_default(),
    };
    Ok(Letter { record, resolution: row.get(18), resolved_at: row.get(19) })
}

fn time(text: &str) -> Result<DateTime<Utc>, StoreError> {
    let time = DateTime::parse_from_rfc3339(text);
    time.map(|time| time.to_utc()).map_err(|_| StoreError::Halt(format!("`{text}` in `dead_letter` is not a time")))
}

/// What was forwarded or is gone, of what was taken: the names to remove from the outbox.
pub(crate) fn settled<'a>(taken: &'a [Name], letters: &'a [DeadLetter], arrived: &[bool]) -> Vec<&'a Name> {
    let is = |letter: &DeadLetter, name: &Name| letter.source == name.source && letter.dead_letter_id == name.id;
    let is_settled = |name: &&Name| match letters.iter().position(|letter| is(letter, name)) {
        Some(at) => arrived.get(at).copied().unwrap_or(false),
        // Somebody has removed it by hand.
        None => true,
    };
    taken.iter().filter(is_settled).collect()
}

/// The rows in the order in which every writer takes them, so that none waits for another in a circle; of one key the
/// highest version first.
pub(crate) fn in_order(batch: &Batch<'_>) -> Vec<Folded> {
    let (rows, dataset) = (batch.rows, batch.target.dataset);
    let mut all: Vec<Folded> = (0..rows.len()).map(|row| Folded { row, version: rows.version(dataset, row) }).collect();
    all.sort_by(|left, right| {
        rows.compare_keys(dataset, left.row, right.row).then_with(|| right.version.cmp(&left.version))
    });
    all
}
