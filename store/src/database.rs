//! One interface for every database.

use std::fmt::Debug;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use contract::Dataset;
use futures::FutureExt as _;
use futures::future::{BoxFuture, LocalBoxFuture};

use crate::as_of::Cut;
use crate::audit::Audit;
use crate::dead_letters::DeadLetters;
use crate::dialect::{Connection, Dialect};
use crate::history::{self, Applied};
use crate::migrations::{self, Migration, Report};
use crate::outcome::StoreError;
use crate::query::Found;
use crate::rehash;
use crate::session::{Session, Slot, bounded};
use crate::sql::{ColumnDeclaration, Layer};
use crate::statement::Statement;
use crate::store::Store;
use crate::syntax::Syntax;

/// The operations of a database.
pub(crate) trait Backend: Debug + Send + Sync {
    /// The last part of a consumer group's name, unless a setting says otherwise.
    fn name(&self) -> &'static str;

    /// How many concurrent writers the database can use.
    fn max_writers(&self) -> usize;

    /// The columns of a dataset's table.
    fn columns(&self, dataset: &Dataset) -> Vec<ColumnDeclaration>;

    fn store(&self, role: &str) -> Box<dyn Store>;

    fn dead_letters(&self, role: &str) -> Box<dyn DeadLetters>;

    fn audit(&self) -> BoxFuture<'_, Result<Audit, StoreError>>;

    /// Opens a connection that reads without a transaction.
    fn reader(&self) -> BoxFuture<'_, Result<Box<dyn Connection>, StoreError>>;

    /// Reads the rows of a dataset's table after that key.
    fn page(&self, table: (&Dataset, Layer), after: Option<&[String]>, rows: usize) -> Statement;

    fn compact_ledger(&self, now: DateTime<Utc>) -> BoxFuture<'_, Result<u64, StoreError>>;

    fn syntax(&self) -> &'static Syntax;

    fn query<'a>(&'a self, query: &'a str, limit: usize) -> BoxFuture<'a, Result<Found, StoreError>>;

    /// What was known of a dataset at a past moment, as a `select`.
    fn as_of(&self, dataset: &Dataset, cut: &Cut) -> String;

    /// The migrations of this executable.
    fn migrations(&self) -> Arc<Vec<Migration>>;

    fn migrate<'a>(
        &'a self,
        migrations: &'a [Migration],
        to: Option<i64>,
        report: Report<'a>,
    ) -> LocalBoxFuture<'a, Result<(), StoreError>>;

    fn migrate_down<'a>(
        &'a self,
        migrations: &'a [Migration],
        to: i64,
        report: Report<'a>,
    ) -> LocalBoxFuture<'a, Result<(), StoreError>>;

    fn grant_roles<'a>(
        &'a self,
        migrations: &'a [Migration],
        report: Report<'a>,
    ) -> LocalBoxFuture<'a, Result<(), StoreError>>;

    fn migration_script(&self, migrations: &[Migration], from: i64, to: i64) -> String;

    /// The migrations that the database has.
    fn history(&self) -> BoxFuture<'_, Result<Vec<Applied>, StoreError>>;
}

/// A database of one dialect.
pub(crate) struct Backed<D: Dialect> {
    dialect: D,
    /// The connection that all sinks of the process share, if they do.
    shared: Slot<D::Connection>,
}

impl<D: Dialect> Backed<D> {
    pub(crate) fn new(dialect: D) -> Backed<D> {
        Backed { dialect, shared: Slot::default() }
    }

    fn session(&self, role: &str) -> Session<D> {
        let slot = if D::SHARES_CONNECTION { self.shared.clone() } else { Slot::default() };
        Session::new(self.dialect.with_role(role), slot)
    }
}

impl<D: Dialect> Debug for Backed<D> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(D::NAME)
    }
}

impl<D: Dialect> Backend for Backed<D> {
    fn name(&self) -> &'static str {
        D::NAME
    }

    fn max_writers(&self) -> usize {
        D::MAX_WRITERS
    }

    fn columns(&self, dataset: &Dataset) -> Vec<ColumnDeclaration> {
        D::columns(dataset)
    }

    fn store(&self, role: &str) -> Box<dyn Store> {
        Box::new(self.session(role))
    }

    fn dead_letters(&self, role: &str) -> Box<dyn DeadLetters> {
        Box::new(self.session(role))
    }

    fn audit(&self) -> BoxFuture<'_, Result<Audit, StoreError>> {
        async move {
            let dialect = self.dialect.with_role("verify");
            let connection = bounded(D::SNAPSHOT_TIMEOUT, dialect.snapshot()).await?;
            Ok(Audit::new(Box::new(connection), D::syntax(), D::SNAPSHOT_TIMEOUT))
        }
        .boxed()
    }

    fn reader(&self) -> BoxFuture<'_, Result<Box<dyn Connection>, StoreError>> {
        async move {
            let mut connection = self.dialect.with_role("verify").snapshot().await?;
            // What is left is a connection that only reads.
            connection.run("COMMIT").await?;
            Ok(Box::new(connection) as Box<dyn Connection>)
        }
        .boxed()
    }

    fn page(&self, (dataset, layer): (&Dataset, Layer), after: Option<&[String]>, rows: usize) -> Statement {
        rehash::page::<D>((dataset, layer), &layer.table(dataset), None, after, rows)
    }

    fn compact_ledger(&self, now: DateTime<Utc>) -> BoxFuture<'_, Result<u64, StoreError>> {
        async move { self.session("ledger").compact(now).await }.boxed()
    }

    fn syntax(&self) -> &'static Syntax {
        D::syntax()
    }

    fn query<'a>(&'a self, query: &'a str, limit: usize) -> BoxFuture<'a, Result<Found, StoreError>> {
        self.dialect.query(query, limit)
    }

    fn as_of(&self, dataset: &Dataset, cut: &Cut) -> String {
        (D::syntax().as_of)(dataset, cut)
    }

    fn migrations(&self) -> Arc<Vec<Migration>> {
        Arc::new(migrations::of_files(D::MIGRATIONS.iter().copied()))
    }

    fn migrate<'a>(
        &'a self,
        migrations: &'a [Migration],
        to: Option<i64>,
        report: Report<'a>,
    ) -> LocalBoxFuture<'a, Result<(), StoreError>> {
        async move {
            self.dialect.with_role("migrate").migrate(migrations, to, report).await?;
            // The tables of an earlier state may lack what this needs.
            if to.is_none() { self.session("migrate").rehash(report).await } else { Ok(()) }
        }
        .boxed_local()
    }

    fn migrate_down<'a>(
        &'a self,
        migrations: &'a [Migration],
        to: i64,
        report: Report<'a>,
    ) -> LocalBoxFuture<'a, Result<(), StoreError>> {
        async move { self.dialect.with_role("migrate").migrate_down(migrations, to, report).await }.boxed_local()
    }

    fn grant_roles<'a>(
        &'a self,
        migrations: &'a [Migration],
        report: Report<'a>,
    ) -> LocalBoxFuture<'a, Result<(), StoreError>> {
        async move { self.dialect.with_role("migrate").grant_roles(migrations, report).await }.boxed_local()
    }

    fn migration_script(&self, migrations: &[Migration], from: i64, to: i64) -> String {
        D::migration_script(migrations, from, to)
    }

    fn history(&self) -> BoxFuture<'_, Result<Vec<Applied>, StoreError>> {
        async move {
            let dialect = self.dialect.with_role("migrate");
            let read = async {
                let mut connection = dialect.snapshot().await?;
                history::read(&mut connection, D::syntax()).await
            };
            bounded(D::SNAPSHOT_TIMEOUT, read).await
        }
        .boxed()
    }
}
