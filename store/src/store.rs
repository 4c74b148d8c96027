//! The interface of a database connection that commits chunks.

use futures::future::BoxFuture;

use crate::chunk::Chunk;
use crate::outcome::{Commit, Gap, Position, StoreError, Total};
use crate::sql::Dialect;

/// Rows of texts; None is null.
pub type Texts = Vec<Vec<Option<String>>>;

/// A database connection that commits chunks.
pub trait Store: Send {
    /// The positions of a sink in a topic, of the latest incarnation.
    fn positions<'a>(&'a mut self, sink: &'a str, topic: &'a str) -> BoxFuture<'a, Result<Vec<Position>, StoreError>>;

    /// Commits a chunk: position, rows, dead letters and ledger in one transaction, or nothing of it.
    ///
    /// A chunk that an earlier, interrupted attempt did commit is recognised, and its outcome is given again. Rows that
    /// the database refuses become dead letters of the chunk.
    fn commit<'a>(&'a mut self, chunk: &'a mut Chunk) -> BoxFuture<'a, Result<Commit, StoreError>>;

    /// Writes a gap down and moves the position to its end, unless somebody else has done so.
    fn record_gap<'a>(&'a mut self, gap: &'a Gap) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The language that the database speaks.
    fn dialect(&self) -> Dialect;

    /// Runs one statement, with texts as its parameters; gives the rows, of which every column must be a text.
    ///
    /// A transaction can be begun and committed by statements of its own; after an error it is rolled back.
    fn rows<'a>(&'a mut self, statement: String, parameters: &'a [&'a str])
    -> BoxFuture<'a, Result<Texts, StoreError>>;

    /// The sums of the ledger by sink.
    fn totals(&mut self) -> BoxFuture<'_, Result<Vec<Total>, StoreError>>;
}
