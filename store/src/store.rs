//! The interface of a database connection that commits chunks.

use contract::Dataset;
use futures::future::BoxFuture;

use crate::chunk::Chunk;
use crate::outcome::{Commit, Gap, Position, StoreError, Total};
use crate::syntax::Syntax;

/// Rows of texts; None is null.
pub type Texts = Vec<Vec<Option<String>>>;

/// A database connection that commits chunks.
///
/// The connection is opened on first use. After an error, or when a future is dropped before it is ready, the connection is
/// closed and the next call opens another one. Every future is therefore safe to cancel: a transaction that was begun is
/// rolled back, except one whose COMMIT was already sent, which may have been applied. [`Store::commit`] recognises that
/// case.
///
/// Errors say what to do next. [`StoreError::Retry`]: make the same call again later, as often as it takes.
/// [`StoreError::Fenced`]: read the position again. [`StoreError::Halt`]: stop, an operator is needed.
pub trait Store: Send {
    /// The positions of a sink in a topic, of the latest incarnation of each partition; none before its first chunk.
    ///
    /// With PostgreSQL it takes at most 10 seconds, because Kafka is not polled meanwhile. Never [`StoreError::Fenced`].
    fn positions<'a>(&'a mut self, sink: &'a str, topic: &'a str) -> BoxFuture<'a, Result<Vec<Position>, StoreError>>;

    /// Commits a chunk: position, rows, dead letters and ledger in one transaction, or nothing of it.
    ///
    /// The transaction begins by moving the partition's position from [`Chunk::from_offset`] to [`Chunk::to_offset`]. If the
    /// position is not at `from_offset`, nothing is written: either an earlier attempt committed this very chunk and its
    /// answer was lost ([`Commit::already`], with the outcome from the ledger), or another consumer has moved the partition
    /// on ([`StoreError::Fenced`]). So a chunk can be committed again after any error, and takes effect once.
    ///
    /// Rows that the database refuses for what they hold become dead letters of the chunk; `chunk` is changed then, and a
    /// later attempt does not try them again. More than 50 of them and 5 % of the chunk are [`StoreError::Halt`].
    ///
    /// A chunk whose target is not accounted for has neither position nor ledger: only its rows are written.
    fn commit<'a>(&'a mut self, chunk: &'a mut Chunk) -> BoxFuture<'a, Result<Commit, StoreError>>;

    /// Records a gap and moves the position to its end, in one transaction.
    ///
    /// Idempotent: a gap that is already recorded is not recorded again, and a position that is no longer at the gap's
    /// beginning stays where it is.
    fn record_gap<'a>(&'a mut self, gap: &'a Gap) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Runs one statement with texts as its parameters; gives the rows that it returns.
    ///
    /// A transaction can be begun and committed by statements of its own; after an error it is rolled back. Where sinks
    /// share the connection (SQLite), their chunks can come between two statements outside of a transaction.
    fn rows<'a>(&'a mut self, statement: String, parameters: &'a [&'a str])
    -> BoxFuture<'a, Result<Texts, StoreError>>;

    /// The sums of the ledger by sink.
    fn totals(&mut self) -> BoxFuture<'_, Result<Vec<Total>, StoreError>>;

    /// Where the SQL of the databases differs.
    #[doc(hidden)]
    fn syntax(&self) -> &'static Syntax;

    /// How side tables are made and exchanged.
    #[doc(hidden)]
    fn tables(&self) -> &'static dyn Tables;
}

/// How a database makes tables beside a dataset's own, and exchanges them for it.
pub trait Tables: Sync {
    /// Makes an empty table like the dataset's own; `kind` is `table` or `temporary table`.
    fn create<'a>(
        &self,
        store: &'a mut dyn Store,
        dataset: &'a Dataset,
        table: &'a str,
        kind: &'static str,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Halts when something depends on the live table and would not follow the exchange.
    fn check_exchange<'a>(&self, store: &'a mut dyn Store, live: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Begins the transaction of an exchange, with the positions of the topic and both tables locked.
    fn begin_exchange<'a>(
        &self,
        store: &'a mut dyn Store,
        topic: &'a str,
        tables: [&'a str; 2],
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Exchanges the names of the live and the side table in the open transaction.
    fn exchange<'a>(
        &self,
        store: &'a mut dyn Store,
        live: &'a str,
        side: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
}
