//! The interface of a database connection that commits chunks.

use futures::future::BoxFuture;

use crate::chunk::Chunk;
use crate::outcome::{Commit, Gap, Position, StoreError, Total};
use crate::syntax::Syntax;

/// Rows of texts; None is null.
pub type Texts = Vec<Vec<Option<String>>>;

/// A database connection that commits chunks.
///
/// The connection is opened on first use. After an error, or when a future is dropped before it is ready, the
/// connection is closed and the next call opens another one. Every future is therefore safe to cancel: a transaction
/// that was begun is rolled back, except one whose COMMIT was already sent, which may have been applied.
/// [`Store::commit`] recognises that case.
///
/// Errors name the next action. [`StoreError::Retry`]: retry the same call later, without a limit.
/// [`StoreError::Fenced`]: read the position again. [`StoreError::Halt`]: stop, an operator is needed.
pub trait Store: Send {
    /// The positions of a sink in a topic, of the latest incarnation of each partition; none before its first chunk.
    ///
    /// With PostgreSQL it takes at most 10 seconds, because Kafka is not polled meanwhile. Never
    /// [`StoreError::Fenced`].
    fn positions<'a>(&'a mut self, sink: &'a str, topic: &'a str) -> BoxFuture<'a, Result<Vec<Position>, StoreError>>;

    /// Commits a chunk atomically: position, rows, dead letters and ledger in one transaction.
    ///
    /// The transaction first moves the partition's position from [`Chunk::from_offset`] to [`Chunk::to_offset`]. If the
    /// position is not at `from_offset`, nothing is written: either an earlier attempt committed this very chunk and
    /// its answer was lost ([`Commit::already`], with the outcome from the ledger), or another consumer has moved the
    /// partition on ([`StoreError::Fenced`]). So a chunk can be committed again after any error, and takes effect once.
    ///
    /// Rows whose values the database refuses become dead letters of the chunk; this changes `chunk`, so that a later
    /// attempt does not retry them. More than 50 of them and 5 % of the chunk are [`StoreError::Halt`].
    ///
    /// For a target without accounting only the rows are written, neither position nor ledger.
    fn commit<'a>(&'a mut self, chunk: &'a mut Chunk) -> BoxFuture<'a, Result<Commit, StoreError>>;

    /// Records a gap and moves the position to its end, in one transaction.
    ///
    /// Idempotent: a gap that is already recorded is not recorded again, and a position that is no longer at the gap's
    /// beginning stays where it is.
    fn record_gap<'a>(&'a mut self, gap: &'a Gap) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Runs one statement with texts as its parameters; returns its rows.
    ///
    /// Statements can begin and commit a transaction; after an error it is rolled back. Where sinks share the
    /// connection (SQLite), their chunks can run between two statements outside of a transaction.
    fn rows<'a>(&'a mut self, statement: String, parameters: &'a [&'a str])
    -> BoxFuture<'a, Result<Texts, StoreError>>;

    /// Runs one statement without parameters; returns the number of rows that it wrote. Otherwise as [`Store::rows`].
    fn execute(&mut self, statement: String) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// The sums of the ledger by sink.
    fn totals(&mut self) -> BoxFuture<'_, Result<Vec<Total>, StoreError>>;

    /// Where the SQL of the databases differs.
    #[doc(hidden)]
    fn syntax(&self) -> &'static Syntax;

    /// How side tables are created.
    #[doc(hidden)]
    fn tables(&self) -> &'static dyn Tables;
}

/// How a database creates side tables.
pub trait Tables: Sync {
    /// Creates an empty table like another, given as (that, its name); `kind` is `table` or `temporary table`. In
    /// TimescaleDB it becomes a hypertable with the same chunks, if that is one.
    fn create<'a>(
        &self,
        store: &'a mut dyn Store,
        like_table: (&'a str, &'a str),
        kind: &'static str,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
}
