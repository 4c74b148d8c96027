//! Where chunks are committed: one interface, two databases, chosen by the address.

use std::sync::Arc;

use futures::future::BoxFuture;
use service::secret::{Secret, without_credentials};
use service::settings;
use thiserror::Error;

use crate::chunk::{Chunk, LastRecord, SinkPartition};

mod audit;
mod isolate;
mod letters;
mod postgres;
mod query;
mod scratch;
pub mod side;
mod sqlite;
mod statements;

pub(crate) use audit::Line;
pub use audit::{Audit, GapRow, LedgerSums, PositionRow};
pub use contract::sql::Dialect;
pub use letters::{
    Batch, Count, DeadLetters, FORWARD_PATIENCE, Fate, Filter, Forward, Letter, MAX_LETTERS, Name, Relayed,
};
pub use query::Found;

/// Why a store did not do it, named by what to do next.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database is not available or busy: the same again later.
    #[error("{0}")]
    Retry(String),
    /// Another consumer has moved this partition on: read the position and go on from there.
    #[error("partition {partition} was moved on by another consumer")]
    Fenced {
        /// The partition.
        partition: SinkPartition,
    },
    /// The database is not what it must be: an operator is needed.
    #[error("{0}")]
    Halt(String),
}

/// What became of a chunk's records; the sum of the parts is `read`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Outcome {
    /// All.
    pub read: u64,
    /// Keys that were not in the table.
    pub inserted: u64,
    /// Rows replaced by other values of a higher version.
    pub changed: u64,
    /// Rows whose version alone advanced: the same values again.
    pub unchanged: u64,
    /// Records older than the table's row, or than another one in the same chunk.
    pub superseded: u64,
    /// Refused records.
    pub dead_lettered: u64,
}

impl std::ops::AddAssign for Outcome {
    fn add_assign(&mut self, other: Outcome) {
        self.read += other.read;
        self.inserted += other.inserted;
        self.changed += other.changed;
        self.unchanged += other.unchanged;
        self.superseded += other.superseded;
        self.dead_lettered += other.dead_lettered;
    }
}

impl Outcome {
    /// The outcome of an upsert that wrote `written` rows, of which a look beforehand saw so many of each class.
    ///
    /// Between that look and the write another partition's chunk can have written the same keys; what was then not
    /// written is superseded, so that the sum holds whatever happens.
    fn of_upsert(chunk: &Chunk, Upserted { seen, written }: Upserted) -> Outcome {
        let read = chunk.records() as u64;
        let dead_lettered = chunk.dead_letters.len() as u64;
        let mut lost = seen.iter().sum::<u64>().saturating_sub(written);
        let [inserted, changed, unchanged] = seen.map(|count| {
            let taken = count.min(lost);
            lost -= taken;
            count - taken
        });
        let superseded = read - dead_lettered - inserted - changed - unchanged;
        Outcome { read, inserted, changed, unchanged, superseded, dead_lettered }
    }
}

/// What an upsert did: how many rows were seen as new, changed and unchanged beforehand, and how many were written.
#[derive(Debug, Clone, Copy, Default)]
struct Upserted {
    seen: [u64; 3],
    written: u64,
}

impl std::ops::AddAssign for Upserted {
    fn add_assign(&mut self, other: Upserted) {
        self.seen = std::array::from_fn(|at| self.seen[at] + other.seen[at]);
        self.written += other.written;
    }
}

/// A chunk that is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// What became of its records.
    pub outcome: Outcome,
    /// Whether an earlier attempt had committed it, whose answer was lost.
    pub already: bool,
}

/// Records that were gone before a sink could read them.
#[derive(Debug)]
pub struct Gap {
    /// Where.
    pub partition: SinkPartition,
    /// The next offset that the sink wanted.
    pub from_offset: i64,
    /// Incarnation and offset at which it goes on.
    pub next: (i32, i64),
    /// `retention`, `truncated` or `recreated`.
    pub reason: &'static str,
}

/// How far a sink has got in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// How often the topic has been recreated or truncated.
    pub incarnation: i32,
    /// The partition's number.
    pub partition: i32,
    /// The next offset to take.
    pub next_offset: i64,
    /// The last record that was taken; None before the first.
    pub last: Option<LastRecord>,
}

/// What became of all records of one dataset's sinks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Total {
    /// The consumer group.
    pub sink: String,
    /// The sum over its chunks.
    pub outcome: Outcome,
}

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
