//! The seam between what is the same for both databases and what is not.
//!
//! [`Connection`] runs statements and reads rows; all that only reads (audit, dead letters, positions) needs no more.
//! [`Dialect`] is the way of a chunk's rows into a database. Everything else is generic over the two.

use std::time::Duration;

use contract::rows::Folded;
use contract::{Dataset, Rows};
use futures::future::{BoxFuture, LocalBoxFuture};
use futures::stream::BoxStream;
use futures::{FutureExt as _, TryStreamExt as _};

use crate::chunk::Chunk;
use crate::fault::Fault;
use crate::line::Line;
use crate::outcome::{StoreError, Upserted};
use crate::query::Found;
use crate::sql::ColumnDeclaration;
use crate::statement::Statement;
use crate::statements::Statements;
use crate::store::Tables;
use crate::syntax::Syntax;

/// A connection that runs statements.
pub(crate) trait Connection: Send {
    /// Runs a statement without parameters and results, such as `BEGIN`.
    fn run(&mut self, statement: &'static str) -> BoxFuture<'_, Result<(), Fault>>;

    /// Runs a statement; gives the number of rows that it changed.
    fn execute(&mut self, statement: Statement) -> BoxFuture<'_, Result<u64, Fault>>;

    /// Reads row by row, so that the result need not fit into memory.
    fn fetch(&mut self, statement: Statement) -> BoxStream<'_, Result<Line, Fault>>;

    /// Begins a part of the transaction that can be taken back alone.
    fn begin_part(&mut self) -> BoxFuture<'_, Result<(), Fault>> {
        self.run("SAVEPOINT part")
    }

    /// Ends the part and keeps what it wrote.
    fn keep_part(&mut self) -> BoxFuture<'_, Result<(), Fault>> {
        self.run("RELEASE SAVEPOINT part")
    }

    /// Ends the part and takes back what it wrote.
    fn take_back_part(&mut self) -> BoxFuture<'_, Result<(), Fault>> {
        async move {
            self.run("ROLLBACK TO SAVEPOINT part").await?;
            self.run("RELEASE SAVEPOINT part").await
        }
        .boxed()
    }

    /// Reads all rows.
    fn lines(&mut self, statement: Statement) -> BoxFuture<'_, Result<Vec<Line>, Fault>> {
        self.fetch(statement).try_collect().boxed()
    }
}

/// What earlier attempts have shown about the chunk at hand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Care {
    /// Into how many statements the rows are divided: more after one took too long.
    pub(crate) statements: usize,
    /// Whether the database refused a row, so that each part of the rows needs a savepoint.
    pub(crate) isolate: bool,
    /// Whether TimescaleDB refused to unpack as many rows as the chunk needs.
    pub(crate) unpack: bool,
}

impl Care {
    pub(crate) const NONE: Care = Care { statements: 1, isolate: false, unpack: false };
    /// Most statements that a chunk is divided into.
    pub(crate) const MOST_STATEMENTS: usize = 64;
}

/// Where rows are written: a dataset's own table, or one beside it of the same shape.
pub(crate) type Table<'a> = (&'static Dataset, &'a str);

/// A database as the commit path sees it. A value remembers what helps the next chunk of the same connection.
pub(crate) trait Dialect: Clone + Send + Sync + 'static {
    /// Its connection.
    type Connection: Connection + 'static;

    /// The last part of a consumer group's name, unless a setting says otherwise.
    const NAME: &'static str;
    /// How many chunks can usefully be written at the same time.
    const MAX_WRITERS: usize;
    /// Whether all sinks of a process share one connection.
    const SHARES_CONNECTION: bool;
    /// How long one statement of a commit may take on our side; None: the database itself always answers.
    const ATTEMPT_TIMEOUT: Option<Duration>;
    /// How long the positions may take to be read; None: the database itself always answers.
    const POSITIONS_TIMEOUT: Option<Duration>;

    /// The words that differ.
    fn syntax() -> &'static Syntax;

    /// The statements in those words.
    fn statements() -> &'static Statements;

    /// How side tables are made and exchanged.
    fn tables() -> &'static dyn Tables;

    /// The columns of a dataset's table.
    fn columns(dataset: &Dataset) -> Vec<ColumnDeclaration>;

    /// The same database, for connections that bear that role's name.
    fn with_role(&self, role: &str) -> Self;

    /// Opens a connection that writes.
    fn connect(&self) -> BoxFuture<'_, Result<Self::Connection, StoreError>>;

    /// Opens a connection on which all that is read is as of one moment.
    fn snapshot(&self) -> BoxFuture<'_, Result<Self::Connection, StoreError>>;

    /// Runs a query of a person, who cannot write.
    fn query<'a>(&'a self, query: &'a str) -> BoxFuture<'a, Result<Found, StoreError>>;

    /// Brings the tables up to date.
    fn migrate(&self) -> LocalBoxFuture<'_, Result<(), StoreError>>;

    /// Takes the tables back to that migration.
    fn migrate_down(&self, to: i64) -> LocalBoxFuture<'_, Result<(), StoreError>>;

    /// Upserts folded rows.
    fn write<'a>(
        &'a mut self,
        connection: &'a mut Self::Connection,
        table: Table<'a>,
        rows: &'a Rows,
        folded: &'a [Folded],
    ) -> BoxFuture<'a, Result<Upserted, Fault>>;

    /// Upserts all rows of a chunk in the fastest way.
    fn write_chunk<'a>(
        &'a mut self,
        connection: &'a mut Self::Connection,
        chunk: &'a Chunk,
        folded: Vec<Folded>,
        care: Care,
    ) -> BoxFuture<'a, Result<Upserted, Fault>>;
}
