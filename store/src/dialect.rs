//! The traits that separate shared code from each database's own.
//!
//! [`Connection`] runs statements and reads rows, which is enough for audit, dead letters and positions. [`Dialect`]
//! writes a chunk's rows into a database. Everything else is generic over the two.

use std::time::Duration;

use contract::Dataset;
use contract::rows::Folded;
use futures::future::{BoxFuture, LocalBoxFuture};
use futures::stream::BoxStream;
use futures::{FutureExt as _, TryStreamExt as _};

use crate::chunk::Incoming;
use crate::fault::Fault;
use crate::line::Line;
use crate::migrations::{Migration, Report};
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

    /// Runs a statement; returns the number of changed rows.
    fn execute(&mut self, statement: Statement) -> BoxFuture<'_, Result<u64, Fault>>;

    /// Streams the rows, so that the result need not fit into memory.
    fn fetch(&mut self, statement: Statement) -> BoxStream<'_, Result<Line, Fault>>;

    /// Sets a savepoint.
    fn begin_part(&mut self) -> BoxFuture<'_, Result<(), Fault>> {
        self.run("SAVEPOINT part")
    }

    /// Releases the savepoint: keeps what was written since.
    fn keep_part(&mut self) -> BoxFuture<'_, Result<(), Fault>> {
        self.run("RELEASE SAVEPOINT part")
    }

    /// Rolls back to the savepoint.
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

/// What earlier attempts have shown about this chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Care {
    /// Number of statements for the rows: more after one took too long.
    pub(crate) statements: usize,
    /// Whether the database refused a row, so that each statement needs a savepoint.
    pub(crate) isolate: bool,
    /// Whether TimescaleDB refused to decompress as many rows as the chunk needs.
    pub(crate) unpack: bool,
}

impl Care {
    pub(crate) const NONE: Care = Care { statements: 1, isolate: false, unpack: false };
    /// Most statements for one chunk.
    pub(crate) const MOST_STATEMENTS: usize = 64;
}

/// A database as the commit path uses it. A value keeps what speeds up the next chunk of its connection.
pub(crate) trait Dialect: Clone + Send + Sync + 'static {
    /// Its connection.
    type Connection: Connection + 'static;

    /// The last part of a consumer group's name, unless a setting says otherwise.
    const NAME: &'static str;
    /// The files of its migrations: names and texts.
    const MIGRATIONS: &'static [(&'static str, &'static str)];
    /// How many concurrent writers the database can use.
    const MAX_WRITERS: usize;
    /// Whether all sinks of a process share one connection.
    const SHARES_CONNECTION: bool;
    /// Our time limit for one statement of a commit; None: a local database always answers.
    const ATTEMPT_TIMEOUT: Option<Duration>;
    /// How long the database may send nothing while a snapshot is read; None: a local database always answers.
    const SNAPSHOT_TIMEOUT: Option<Duration>;
    /// Our time limit for reading the positions; None: a local database always answers.
    const POSITIONS_TIMEOUT: Option<Duration>;

    /// The SQL expressions that differ.
    fn syntax() -> &'static Syntax;

    /// The statements built from them.
    fn statements() -> &'static Statements;

    /// How side tables are created.
    fn tables() -> &'static dyn Tables;

    /// The columns of a dataset's table.
    fn columns(dataset: &Dataset) -> Vec<ColumnDeclaration>;

    /// The same database, for connections named after that role.
    fn with_role(&self, role: &str) -> Self;

    /// Opens a connection that writes.
    fn connect(&self) -> BoxFuture<'_, Result<Self::Connection, StoreError>>;

    /// Opens a connection that reads a snapshot.
    fn snapshot(&self) -> BoxFuture<'_, Result<Self::Connection, StoreError>>;

    /// Runs a user's read-only query.
    fn query<'a>(&'a self, query: &'a str, limit: usize) -> BoxFuture<'a, Result<Found, StoreError>>;

    /// Applies the missing migrations up to `to`, or all.
    fn migrate<'a>(
        &'a self,
        migrations: &'a [Migration],
        to: Option<i64>,
        report: Report<'a>,
    ) -> LocalBoxFuture<'a, Result<(), StoreError>>;

    /// Reverts the migrations after `to`.
    fn migrate_down<'a>(
        &'a self,
        migrations: &'a [Migration],
        to: i64,
        report: Report<'a>,
    ) -> LocalBoxFuture<'a, Result<(), StoreError>>;

    /// Creates the least-privilege roles, and gives them their rights.
    fn grant_roles<'a>(
        &'a self,
        migrations: &'a [Migration],
        report: Report<'a>,
    ) -> LocalBoxFuture<'a, Result<(), StoreError>>;

    /// The migrations as a script for the database's own client: up when `from` is below `to`, otherwise down.
    fn migration_script(migrations: &[Migration], from: i64, to: i64) -> String;

    /// Upserts folded rows. Rows that are replaced, and rows that are older than the stored ones, become revisions.
    fn write<'a>(
        &'a mut self,
        connection: &'a mut Self::Connection,
        incoming: Incoming<'a>,
        folded: &'a [Folded],
    ) -> BoxFuture<'a, Result<Upserted, Fault>>;

    /// Keeps versions as revisions that are older than the stored rows of their keys; returns how many were not there.
    fn keep<'a>(
        &'a mut self,
        connection: &'a mut Self::Connection,
        incoming: Incoming<'a>,
        versions: &'a [Folded],
    ) -> BoxFuture<'a, Result<u64, Fault>>;

    /// Upserts all folded rows of a chunk, by the method that is probably fastest.
    fn write_chunk<'a>(
        &'a mut self,
        connection: &'a mut Self::Connection,
        incoming: Incoming<'a>,
        folded: Vec<Folded>,
        care: Care,
    ) -> BoxFuture<'a, Result<Upserted, Fault>>;
}
