//! Dead letters in the database: counted, read, published from the outbox, and redriven.

use chrono::{DateTime, Utc};
use contract::Rows;
use contract::records::DeadLetter;
use futures::future::BoxFuture;

use crate::chunk::Target;
use crate::dead_letter::Cause;
use crate::outcome::StoreError;

mod read;
mod redrive;
mod relay;

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
