//! Everything about SQL of the big database: chunks are committed, dead letters kept, tables read and migrated.
//!
//! One interface, two databases (PostgreSQL with or without TimescaleDB, SQLite), chosen by the address. Knows neither
//! Kafka nor a source of records.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

use std::sync::Arc;

use service::secret::{Secret, without_credentials};
use service::settings;

mod audit;
pub mod chunk;
pub mod dead_letter;
mod dead_letters;
mod isolate;
mod outcome;
mod partition;
mod postgres;
mod query;
mod scratch;
pub mod side;
pub mod sql;
mod sqlite;
mod statements;
mod store;

pub use audit::{Audit, GapRow, LedgerSums, Line, PositionRow};
pub use dead_letters::{
    Batch, Count, DeadLetters, FORWARD_PATIENCE, Fate, Filter, Forward, Letter, MAX_LETTERS, Name, Relayed,
};
pub use outcome::{Commit, Gap, Outcome, Position, StoreError, Total};
pub use partition::{LastRecord, SinkPartition};
pub use query::Found;
pub use sql::Dialect;
pub use store::{Store, Texts};

/// A database, by its address.
#[derive(Debug, Clone)]
pub struct Database {
    address: Secret,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Postgres,
    /// SQLite writes one transaction at a time: all sinks of a process share one connection.
    Sqlite(Arc<sqlite::Shared>),
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

    /// The database at that address.
    pub fn new(address: &str) -> anyhow::Result<Database> {
        let kind = match address.split_once(':').map(|(scheme, _)| scheme) {
            Some("postgres" | "postgresql") => Kind::Postgres,
            Some("sqlite") => Kind::Sqlite(Arc::default()),
            _ => anyhow::bail!(
                "database address `{}` begins with neither `postgres://` nor `sqlite:`",
                without_credentials(address)
            ),
        };
        Ok(Database { address: Secret::new(address.to_owned()), kind })
    }

    /// The address without credentials.
    pub fn shown(&self) -> String {
        without_credentials(self.address.expose())
    }

    /// The last part of the consumer groups' names.
    pub fn sink(&self) -> String {
        let kind = match self.kind {
            Kind::Postgres => "postgres",
            Kind::Sqlite(_) => "sqlite",
        };
        settings::read(&settings::SINK).unwrap_or_else(|| kind.to_owned())
    }

    /// How many chunks can usefully be written at the same time.
    pub fn writers(&self) -> Result<usize, settings::SettingError> {
        let wanted = settings::read_number(&settings::WRITERS, 1..=64)?;
        Ok(match self.kind {
            Kind::Postgres => wanted as usize,
            Kind::Sqlite(_) => 1,
        })
    }

    /// A store that connects when it is first used, and again after an error.
    pub fn store(&self, role: &str) -> Box<dyn Store> {
        match &self.kind {
            Kind::Postgres => Box::new(postgres::Postgres::new(self.address.clone(), role)),
            Kind::Sqlite(shared) => Box::new(sqlite::Sqlite::new(self.address.clone(), shared.clone())),
        }
    }

    /// A connection that knows dead letters; it connects when it is first used, and again after an error.
    pub fn dead_letters(&self, role: &str) -> Box<dyn DeadLetters> {
        match &self.kind {
            Kind::Postgres => Box::new(postgres::Postgres::new(self.address.clone(), role)),
            Kind::Sqlite(shared) => Box::new(sqlite::Sqlite::new(self.address.clone(), shared.clone())),
        }
    }

    /// Opens a snapshot.
    pub async fn audit(&self) -> Result<Audit, StoreError> {
        match &self.kind {
            Kind::Postgres => Audit::of_postgres(&self.address).await,
            Kind::Sqlite(_) => Audit::of_sqlite(&self.address).await,
        }
    }

    /// Brings the tables up to date.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        match &self.kind {
            Kind::Postgres => postgres::migrate(&self.address).await,
            Kind::Sqlite(_) => sqlite::migrate(&self.address).await,
        }
    }

    /// What a query finds; it cannot write.
    pub async fn query(&self, query: &str) -> Result<Found, StoreError> {
        match &self.kind {
            Kind::Postgres => query::postgres(&self.address, query).await,
            Kind::Sqlite(_) => query::sqlite(&self.address, query).await,
        }
    }

    /// Takes the tables back to that migration; 0 removes them all, with their data.
    pub async fn migrate_down(&self, to: i64) -> Result<(), StoreError> {
        match &self.kind {
            Kind::Postgres => postgres::migrate_down(&self.address, to).await,
            Kind::Sqlite(_) => sqlite::migrate_down(&self.address, to).await,
        }
    }
}
