//! Dead letters in the database: counts, reads, forwards and redrives them.

use chrono::{DateTime, Utc};
use contract::Rows;
use contract::records::DeadLetter;
use futures::future::BoxFuture;

use crate::chunk::Target;
use crate::dead_letter::Cause;
use crate::outcome::StoreError;
use crate::quarantine::{Parked, Quarantine};

mod read;
mod redrive;
mod relay;
mod release;

/// Most dead letters that one call reads.
pub const MAX_DEAD_LETTERS: usize = 500;
/// Most dead letters that are forwarded in one transaction. It bounds what is forwarded again when the transaction is
/// lost.
const MAX_RELAYED: i64 = 200;
/// Most bytes of messages that one call reads, to bound the memory; a single message may be larger.
const MAX_BYTES: i64 = 4 << 20;

/// The name of a dead letter: its natural key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// Who refused the record.
    pub source: String,
    /// The id: for a message of Kafka its coordinate.
    pub id: String,
}

/// Selects dead letters; a condition that is None or empty selects all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The dataset that the records were meant for.
    pub dataset: Option<String>,
    /// The kind of failure.
    pub class: Option<String>,
    /// The stage that refused them.
    pub stage: Option<String>,
    /// Who refused them.
    pub source: Option<String>,
    /// Refused at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Refused before this time.
    pub to: Option<DateTime<Utc>>,
    /// Their ids.
    pub ids: Vec<String>,
    /// Whether to include dead letters that were already redriven.
    pub all: bool,
    /// Whether to select only dead letters with a message, which can be redriven.
    pub of_messages: bool,
}

/// The number of dead letters with one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The dataset that the records were meant for.
    pub dataset: String,
    /// The stage that refused them.
    pub stage: String,
    /// The kind of failure.
    pub class: String,
    /// PostgreSQL's code.
    pub sqlstate: Option<String>,
    /// How many.
    pub count: i64,
    /// When the first of them was refused.
    pub oldest: String,
    /// When the last of them was refused.
    pub newest: String,
}

/// A dead letter and its resolution.
#[derive(Debug, Clone)]
pub struct StoredDeadLetter {
    /// The dead letter.
    pub record: DeadLetter,
    /// How a redrive ended: `inserted`, `changed`, `unchanged` or `superseded`; None while the dead letter is open.
    pub resolution: Option<String>,
    /// When it was redriven, as `2020-01-02T14:30:00.000000Z`.
    pub resolved_at: Option<String>,
}

/// Records of dead letters to redrive.
#[derive(Debug)]
pub struct Batch<'a> {
    /// The table.
    pub target: &'a Target,
    /// The records.
    pub rows: &'a Rows,
    /// The dead letter of each row.
    pub names: &'a [Name],
    /// Whether to write nothing and only report what would happen.
    pub dry_run: bool,
}

/// How the redrive of a dead letter ended.
#[derive(Debug, Clone)]
pub enum Fate {
    /// Upserted, as `inserted`, `changed`, `unchanged` or `superseded`.
    Applied(&'static str),
    /// The database still refuses the row; the dead letter stays open.
    Refused(Cause),
    /// Another process had already redriven it.
    Resolved,
}

/// The destination of the outbox's dead letters.
pub trait Forward: Send {
    /// Forwards dead letters; returns what became of each, within [`FORWARD_PATIENCE`].
    fn forward<'a>(&'a mut self, letters: &'a [DeadLetter]) -> BoxFuture<'a, Vec<Forwarded>>;
}

/// What became of a dead letter that was forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forwarded {
    /// It arrived, or needs not: it leaves the outbox.
    Arrived,
    /// It can never arrive, for this reason: it stays in the outbox, and is not forwarded again.
    Refused(String),
    /// It is forwarded again later, by this process or another.
    Failed,
}

/// How long a [`Forward`] may take. PostgreSQL holds the dead letters for it a little longer, see
/// `Syntax::hold_outbox`.
pub const FORWARD_PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// The result of one call of [`DeadLetters::relay`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Relayed {
    /// Dead letters read from the outbox.
    pub taken: usize,
    /// Dead letters that arrived and were removed from the outbox.
    pub forwarded: usize,
}

/// A database connection that reads, redrives and forwards dead letters.
///
/// Like a [`crate::Store`] it connects on first use and again after an error, and every future is safe to cancel. It
/// never returns [`StoreError::Fenced`].
pub trait DeadLetters: Send {
    /// Counts dead letters by cause, the most frequent first.
    fn counts<'a>(&'a mut self, filter: &'a Filter) -> BoxFuture<'a, Result<Vec<Count>, StoreError>>;

    /// The newest dead letters, without their messages.
    fn newest<'a>(
        &'a mut self,
        filter: &'a Filter,
        limit: i64,
    ) -> BoxFuture<'a, Result<Vec<StoredDeadLetter>, StoreError>>;

    /// The next dead letters after a name, with their messages, ordered by name: at most [`MAX_DEAD_LETTERS`], fewer
    /// when their messages are large. Empty after the last one.
    fn next<'a>(
        &'a mut self,
        filter: &'a Filter,
        after: &'a Name,
    ) -> BoxFuture<'a, Result<Vec<StoredDeadLetter>, StoreError>>;

    /// Upserts the rows of a batch, and records the resolution of each dead letter in the same transaction.
    ///
    /// A row that the database refuses stays a dead letter and does not affect the others. An already resolved dead
    /// letter stays as it is, so that a batch can be redriven again after any error. Returns a fate for each row.
    fn redrive<'a>(&'a mut self, batch: &'a Batch<'a>) -> BoxFuture<'a, Result<Vec<Fate>, StoreError>>;

    /// The number of dead letters that can never be forwarded.
    fn unpublished(&mut self) -> BoxFuture<'_, Result<i64, StoreError>>;

    /// The number of dead letters that wait in the outbox, counted up to `most`.
    fn waiting(&mut self, most: i64) -> BoxFuture<'_, Result<i64, StoreError>>;

    /// Forwards the first dead letters of the outbox and removes those that arrived: at least once each.
    ///
    /// With PostgreSQL, dead letters that another process is forwarding are skipped. They stay locked until that
    /// process has removed them, or its connection ends. If that happens first, the removal fails there with an error,
    /// and another process forwards them again. Whoever reads the topic finds the same version and writes nothing.
    fn relay<'a>(&'a mut self, forward: &'a mut dyn Forward) -> BoxFuture<'a, Result<Relayed, StoreError>>;

    /// All quarantines, and publishers that have parked records although their quarantine was released.
    fn quarantines(&mut self) -> BoxFuture<'_, Result<Vec<Quarantine>, StoreError>>;

    /// Ends a quarantine: refused records become dead letters again. False when there is none.
    fn end_quarantine<'a>(&'a mut self, sink: &'a str, publisher: &'a str) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// The first parked records of a publisher: those of at most `limit` chunks.
    fn parked<'a>(
        &'a mut self,
        sink: &'a str,
        publisher: &'a str,
        limit: i64,
    ) -> BoxFuture<'a, Result<Vec<Parked>, StoreError>>;

    /// Stores parked records of a chunk as dead letters, given as rows of `dead_letter`, and parks them no more. False,
    /// and nothing is stored, when another process has done so.
    fn unpark<'a>(&'a mut self, parked: &'a Parked, letters: &'a Rows) -> BoxFuture<'a, Result<bool, StoreError>>;
}
