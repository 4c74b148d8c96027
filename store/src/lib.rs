//! The SQL of the big database: commits chunks, stores dead letters, reads and migrates tables.
//!
//! One interface, two databases (PostgreSQL with or without TimescaleDB, SQLite), chosen by the address. Depends
//! neither on Kafka nor on a source of records.
//!
//! [`Database`] opens connections: [`Store`] commits chunks, [`DeadLetters`] reads and redrives refused records,
//! [`Audit`] reads a snapshot. A chunk's path is `chunk` -> `commit` -> `postgres` or `sqlite`. The traits in `dialect`
//! hide the differences between the two.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use contract::{Dataset, datasets};
use service::secret::{Secret, without_credentials};
use service::settings;

mod as_of;
mod assumed;
mod audit;
mod check;
pub mod chunk;
mod commit;
mod compact;
mod database;
pub mod dead_letter;
mod dead_letters;
mod dialect;
mod fault;
pub mod halts;
mod history;
mod hypertables;
pub mod identity;
mod isolate;
mod line;
mod migrate;
mod migrations;
pub mod origin;
mod outcome;
mod overview;
mod pages;
mod park;
mod partition;
mod policies;
mod postgres;
pub mod quarantine;
mod query;
mod rehash;
pub mod releases;
mod session;
pub mod side;
pub mod snapshot;
pub mod sql;
mod sqlite;
mod statement;
mod statements;
mod store;
mod syntax;
mod text;
pub mod topics;
mod views;
pub mod writer_schemas;

pub use as_of::{Cut, KNOWN_BASIS, postgres_function, postgres_type};
pub use audit::{Audit, GapRow, HaltRow, LedgerSums, PositionRow};
pub use compact::FINE as LEDGER_FINE;
pub use dead_letters::{
    Batch, Count, DeadLetters, FORWARD_PATIENCE, Fate, Filter, Forward, Forwarded, MAX_DEAD_LETTERS, Name, Relayed,
    StoredDeadLetter,
};
pub use hypertables::{Chunks, Layout, Timescale};
pub use line::Line;
pub use migrate::{MigrationStatus, Reversion};
pub use migrations::{Loss, Progress, Report};
pub use outcome::{Commit, Gap, Outcome, Position, RetryClass, StoreError, Total};
pub use pages::Pages;
pub use partition::{LastRecord, SinkPartition};
pub use policies::{Age, Policies, PolicyStep};
pub use query::Found;
pub use store::{Store, Texts};
pub use views::Refreshed;

use database::{Backed, Backend};
use migrations::Migration;
use sql::Layer;

/// A database, chosen by its address. Cheap to clone; SQLite's clones share one connection.
#[derive(Debug, Clone)]
pub struct Database {
    address: Secret,
    backend: Arc<dyn Backend>,
    migrations: Arc<Vec<Migration>>,
}

impl Database {
    /// The database that the environment names.
    pub fn from_settings() -> anyhow::Result<Database> {
        let variable = settings::DATABASE_URL.name;
        let Some(address) = settings::read_secret(&settings::DATABASE_URL)? else {
            anyhow::bail!(
                "no database: set `{variable}` to `postgres://user:password@host/database` or `sqlite:/path/to/file`"
            );
        };
        Database::new(address.expose())
    }

    /// The database at that address: `postgres://user:password@host/database` or `sqlite:/path/to/file`. Does not
    /// connect.
    pub fn new(address: &str) -> anyhow::Result<Database> {
        let secret = Secret::new(address.to_owned());
        let backend: Arc<dyn Backend> = match address.split_once(':').map(|(scheme, _)| scheme) {
            Some("postgres" | "postgresql") => Arc::new(Backed::new(postgres::Postgres::new(secret.clone()))),
            Some("sqlite") => Arc::new(Backed::new(sqlite::Sqlite::new(secret.clone()))),
            _ => anyhow::bail!(
                "database address `{}` begins with neither `postgres://` nor `sqlite:`",
                without_credentials(address)
            ),
        };
        let migrations = backend.migrations();
        Ok(Database { address: secret, backend, migrations })
    }

    /// The address, for a child process.
    pub fn address(&self) -> &Secret {
        &self.address
    }

    /// The address without credentials.
    pub fn shown(&self) -> String {
        without_credentials(self.address.expose())
    }

    /// The last part of the consumer groups' names.
    pub fn sink(&self) -> String {
        settings::read(&settings::SINK).unwrap_or_else(|| self.backend.name().to_owned())
    }

    /// How many concurrent writers the database can use.
    pub fn writers(&self) -> Result<usize, settings::SettingError> {
        let wanted = settings::read_number(&settings::WRITERS, 1..=64)?;
        Ok((wanted as usize).min(self.backend.max_writers()))
    }

    /// The columns that the migrated table of a dataset has.
    pub fn columns(&self, dataset: &Dataset) -> Vec<sql::ColumnDeclaration> {
        self.backend.columns(dataset)
    }

    /// A store that connects on first use, and again after an error. `role` names its connection for the database's
    /// operator.
    pub fn store(&self, role: &str) -> Box<dyn Store> {
        self.backend.store(role)
    }

    /// A connection for dead letters; it connects on first use, and again after an error.
    pub fn dead_letters(&self, role: &str) -> Box<dyn DeadLetters> {
        self.backend.dead_letters(role)
    }

    /// Opens a snapshot: everything that it reads is as of this moment.
    pub async fn audit(&self) -> Result<Audit, StoreError> {
        self.backend.audit().await
    }

    /// Reads a dataset's table, in the order of its keys and without a snapshot.
    pub fn pages<'a>(&self, dataset: &'a Dataset) -> Pages<'a> {
        Pages::new(self.backend.clone(), dataset, Layer::Current)
    }

    /// Reads a dataset's revisions, in the order of their keys and versions and without a snapshot.
    pub fn revisions<'a>(&self, dataset: &'a Dataset) -> Pages<'a> {
        Pages::new(self.backend.clone(), dataset, Layer::Revisions)
    }

    /// Merges old entries of the ledger, as of that time; returns how many entries fewer it has. Works in short
    /// transactions, and can be interrupted at any time.
    pub async fn compact_ledger(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        self.backend.compact_ledger(now).await
    }

    /// Runs a user's query, which cannot write, and returns all rows. PostgreSQL cancels it after 60 seconds.
    ///
    /// # Errors
    ///
    /// [`StoreError::Halt`] when it is not one statement, or the database refuses it.
    pub async fn query(&self, query: &str) -> Result<Found, StoreError> {
        self.query_some(query, usize::MAX).await
    }

    /// The same with at most so many rows; [`Found::is_cut`] says that there are more.
    ///
    /// # Errors
    ///
    /// As [`Database::query`].
    pub async fn query_some(&self, query: &str, limit: usize) -> Result<Found, StoreError> {
        self.backend.query(query::statement(query)?, limit).await
    }

    /// The same as of a past moment: in place of each dataset's table stands what was known then, with the column
    /// [`KNOWN_BASIS`].
    ///
    /// # Errors
    ///
    /// As [`Database::query`]; [`StoreError::Halt`] also when the moment is in the future, the query names no dataset's
    /// table or a view, or the snapshot is of another topic.
    pub async fn query_as_of(&self, query: &str, limit: usize, cut: &Cut) -> Result<Found, StoreError> {
        let query = query::statement(query)?;
        for (time, what) in [(Some(cut.known), "be known"), (cut.observed, "have been received")] {
            if let Some(time) = time.filter(|time| *time > Utc::now()) {
                let reason =
                    format!("{} is in the future: nobody knows yet what will {what} by then", text::of_time(time));
                return Err(StoreError::Halt(reason));
            }
        }
        let words: HashSet<&str> = query.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')).collect();
        let mut store = self.store("query");
        let views = store.rows(self.backend.syntax().views.to_owned(), &[]).await?;
        if let Some(view) = views.iter().flatten().flatten().find(|view| words.contains(view.as_str())) {
            let reason = format!("`{view}` is a view, which shows only what is known now: query the datasets' tables");
            return Err(StoreError::Halt(reason));
        }
        let mut tables = Vec::new();
        for dataset in datasets().iter().filter(|dataset| words.contains(dataset.name.as_str())) {
            tables.push(format!("{} as not materialized ({})", dataset.name, self.as_of(dataset, cut).await?));
        }
        if tables.is_empty() {
            return Err(StoreError::Halt(
                "the query names no table of a dataset: `tapedeck tables` lists them".to_owned(),
            ));
        }
        // The line break ends a comment at the end of the query.
        let query = format!("with {} select * from ({query}\n) as asked", tables.join(", "));
        self.backend.query(&query, limit).await
    }

    /// What was known of a dataset at a past moment, as a `select`: the columns of its table and [`KNOWN_BASIS`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Halt`] when the snapshot does not cover the dataset, or is of another topic.
    pub async fn as_of(&self, dataset: &Dataset, cut: &Cut) -> Result<String, StoreError> {
        if let Some(snapshot) = &cut.snapshot {
            let topic = format!("%.{}.v%", dataset.name.replace('_', "!_"));
            let query = "select distinct topic_id from sink_topic where kafka_topic like $1 escape '!'";
            let found = self.store("query").rows(query.to_owned(), &[&topic]).await?;
            snapshot.check(&dataset.name, &found.into_iter().flatten().flatten().collect::<Vec<_>>())?;
        }
        Ok(self.backend.as_of(dataset, cut))
    }
}
